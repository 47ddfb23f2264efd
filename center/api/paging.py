"""Lists by pages: where a page ends is where the next begins, whatever comes in between."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Select, tuple_
from sqlalchemy.sql import ColumnElement

from center.api.context import ApiError
from center.api.items import Item, columns

DEFAULT_LIMIT: Final = 100
MOST: Final = 1000
_INT64: Final = 1 << 63


@dataclass(frozen=True, slots=True)
class Order:
    """The columns that put a list in one order, which together are unique."""

    columns: tuple[ColumnElement[Any], ...]
    descending: bool = False

    def after(self, cursor: str | None) -> list[ColumnElement[bool]]:
        """The condition for what comes after a cursor. Raises ApiError 422."""
        if not cursor:
            return []
        values = decoded(cursor, [_kind(column) for column in self.columns])
        if len(self.columns) == 1:
            (column,), (value,) = self.columns, values
            return [column < value if self.descending else column > value]
        mine = tuple_(*self.columns)
        return [mine < tuple_(*values) if self.descending else mine > tuple_(*values)]


def page(
    connection: Connection,
    query: Select[Any],
    order: Order,
    cursor: str | None,
    limit: int,
    item: Callable[[Any], Item],
) -> Item:
    """`{"items": […], "next": cursor or null}`. The query selects all columns of the order."""
    ordered = [column.desc() if order.descending else column.asc() for column in order.columns]
    rows = connection.execute(query.where(*order.after(cursor)).order_by(*ordered).limit(limit + 1)).all()
    return cut(rows, limit, lambda row: [columns(row)[column] for column in order.columns], item)


def cut(
    rows: Sequence[Any], limit: int, key: Callable[[Any], Sequence[float | str]], item: Callable[[Any], Item]
) -> Item:
    """The same of rows that were read up to one more than the limit; `key` is what orders a row."""
    following = encoded(key(rows[limit - 1])) if len(rows) > limit else None
    return {"items": [item(row) for row in rows[:limit]], "next": following}


def encoded(values: Sequence[float | str]) -> str:
    """A cursor from the values that order a list's last row."""
    return base64.urlsafe_b64encode(json.dumps(list(values), separators=(",", ":")).encode()).decode().rstrip("=")


def decoded(cursor: str, kinds: Sequence[type]) -> list[Any]:
    """The inverse. Raises ApiError 422."""
    try:
        values = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True))
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, list) or [type(value) for value in values] != list(kinds) or not all(map(_fits, values)):
        raise ApiError(422, "cursor: not one that this list gave")
    return values


def _fits(value: float | str) -> bool:
    """Whether both databases can hold it."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, int):
        return -_INT64 <= value < _INT64
    return "\x00" not in value and value == value.encode("utf-8", "replace").decode()


def _kind(column: ColumnElement[Any]) -> type:
    kind: type = column.type.python_type
    return kind
