"""Columns as the tables write them. Times are milliseconds since the epoch in UTC, in columns named `…_ms`."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, Boolean, Column, Float, Integer, MetaData, Text, false

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    }
)
BIG = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by itself only where it reads INTEGER


def serial(name: str = "id") -> Column[int]:
    """A primary key that the database counts up and never gives twice."""
    return Column(name, BIG, primary_key=True, autoincrement=True)


def key(name: str) -> Column[str]:
    """A text that is, or is part of, the primary key."""
    return Column(name, Text, primary_key=True)


def key_ms(name: str) -> Column[int]:
    """A whole number that is part of the primary key."""
    return Column(name, BigInteger, primary_key=True, autoincrement=False)


def text(name: str, *, default: str | None = None) -> Column[Any]:
    """A text: never null when it has a default."""
    return Column(name, Text, nullable=default is None, server_default=default)


def must(name: str) -> Column[str]:
    """A text that is never null."""
    return Column(name, Text, nullable=False)


def whole(name: str, *, default: int | None = None) -> Column[Any]:
    """A whole number of 64 bits: never null when it has a default."""
    return Column(name, BigInteger, nullable=default is None, server_default=None if default is None else str(default))


def ms(name: str) -> Column[int]:
    """A moment that is never null."""
    return Column(name, BigInteger, nullable=False)


def ms_or_null(name: str) -> Column[int | None]:
    """A moment that may be unknown or not have come."""
    return Column(name, BigInteger)


def real(name: str, *, default: float | None = None) -> Column[Any]:
    """A number with a fraction: never null when it has a default."""
    return Column(name, Float(53), nullable=default is None, server_default=None if default is None else str(default))


def flag(name: str) -> Column[bool]:
    """True or false, false unless said otherwise."""
    return Column(name, Boolean, nullable=False, server_default=false())


def values(name: str) -> Column[Any]:
    """JSON values, null for none."""
    return Column(name, JSON(none_as_null=True))
