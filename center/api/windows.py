"""Pages of a log that is too long to look through in one go: each looks at so many rows at most, and says where on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from sqlalchemy import Connection, Select, Table, func, select

from center.api.filters import Listing
from center.api.items import Item
from center.api.paging import decoded, encoded

WINDOW: Final = 100_000


def in_windows(
    connection: Connection, query: Select[Any], table: Table, asked: Listing, item: Callable[[Any], Item]
) -> Item:
    """A page of a table with a counted id, newest first. Who asks for one terminal is served from its index at once."""
    below = decoded(asked.cursor, [int])[0] if asked.cursor else None
    if below is None:
        below = (connection.execute(select(func.max(table.c.id))).scalar() or 0) + 1
    query = query.where(table.c.id < below)
    floor = 0 if None not in asked.named else max(0, below - WINDOW)
    rows = connection.execute(query.where(table.c.id >= floor).order_by(table.c.id.desc()).limit(asked.limit + 1)).all()
    if len(rows) > asked.limit:
        rows = rows[: asked.limit]
        following: str | None = encoded([rows[-1].id])
    else:
        following = encoded([floor]) if floor > 1 else None
    return {"items": [item(row) for row in rows], "next": following}
