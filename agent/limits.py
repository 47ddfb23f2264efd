"""Limits that stand beside a type in `Annotated`: the daemon carries them without pydantic, which enforces them.

They cost less than the package that names them (annotated-types takes a megabyte of the resting daemon).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Pattern:
    """A text that matches the whole expression (Rust's syntax), of at most `longest` characters."""

    regex: str
    longest: int = 128

    def __get_pydantic_core_schema__(self, source: object, handler: object) -> Any:
        from pydantic_core import core_schema  # noqa: PLC0415 - only validation needs it

        return core_schema.str_schema(pattern=self.regex, max_length=self.longest)


class AnyJson:
    """Any JSON value: what was parsed as JSON is one, so nothing more is asked of it."""

    def __get_pydantic_core_schema__(self, source: object, handler: object) -> Any:
        from pydantic_core import core_schema  # noqa: PLC0415 - as above

        return core_schema.any_schema()


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Bounds of a number: at least, more than, at most, less than. None for no bound."""

    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None

    def __get_pydantic_core_schema__(self, source: object, handler: Any) -> Any:
        bounds = {"ge": self.ge, "gt": self.gt, "le": self.le, "lt": self.lt}
        return {**handler(source), **{name: bound for name, bound in bounds.items() if bound is not None}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Length:
    """Bounds of a text's length in characters."""

    shortest: int = 0
    longest: int

    def __get_pydantic_core_schema__(self, source: object, handler: Any) -> Any:
        return {**handler(source), "min_length": self.shortest, "max_length": self.longest}
