"""Terminals that were heard of, retired ones included: for what stays readable when a terminal is out of the fleet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection, Select, select
from sqlalchemy.sql import ColumnElement

from center.access.scope import Scope
from center.db.tables import retired, terminals
from center.domain.refusal import Refusal

MOST: Final = 200
_COLUMNS: Final = tuple(column.name for column in terminals.c)


def heard(connection: Connection, scope: Scope, estate: str, terminal: str) -> Mapping[str, Any]:
    """The terminal's row; as it was, where it is retired. Raises Refusal for one that is not in scope."""
    here = terminals.c.estate == estate, terminals.c.terminal == terminal
    row = connection.execute(select(terminals).where(*here, scope.where(terminals))).mappings().first()
    found = dict(row) if row is not None else as_it_was(connection, scope, _is(estate, terminal))
    if found is None:
        raise Refusal("not_found", "there is no such terminal")
    return found


def as_it_was(connection: Connection, scope: Scope, named: ColumnElement[bool]) -> dict[str, Any] | None:
    """The row of the one retired terminal for which this holds, as it was; None for none."""
    rows = connection.execute(gone(scope, named).with_only_columns(retired.c.row).limit(2)).scalars().all()
    return dict.fromkeys(_COLUMNS) | dict(rows[0]) if len(rows) == 1 else None


def retirement(connection: Connection, estate: str, terminal: str) -> dict[str, Any] | None:
    """Its last retirement, from which it may have returned; None for none."""
    row = connection.execute(select(retired).where(_is(estate, terminal))).mappings().first()
    return None if row is None else told(row)


def retirements(connection: Connection, scope: Scope, *conditions: ColumnElement[bool]) -> list[dict[str, Any]]:
    """Terminals that are out of the fleet, those that went last first; MOST of them."""
    newest = gone(scope, *conditions).order_by(retired.c.retired_ms.desc(), retired.c.terminal).limit(MOST)
    return [told(row) for row in connection.execute(newest).mappings()]


def gone(scope: Scope, *conditions: ColumnElement[bool]) -> Select[Any]:
    """Rows of `retired` of terminals that have not come back, for `told`."""
    return select(retired).where(retired.c.returned_ms.is_(None), scope.where(retired), *conditions)


def told(row: Mapping[Any, Any]) -> dict[str, Any]:
    """A row of `retired` as the API shows it: with what it was made of, by which a part is known again."""
    devices = ((row["row"] or {}).get("inventory") or {}).get("devices") or ()
    serials = [f"{each.get('name')} {each['serial']}" for each in devices if each.get("serial")]
    plain = ("estate", "terminal", "site", "reason", "by", "successor", "retired_ms", "returned_ms")
    return {name: row[name] for name in plain} | {"model": (row["row"] or {}).get("model"), "serials": serials}


def _is(estate: str, terminal: str) -> ColumnElement[bool]:
    return (retired.c.estate == estate) & (retired.c.terminal == terminal)
