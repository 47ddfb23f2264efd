"""The feed of changes: what the event stream and the engines follow, in one order for all processes.

A follower remembers the last id that it saw. That is only safe if ids become visible in their order, so whoever
appends in PostgreSQL holds a lock from then until its commit: append last, and commit soon. The commit wakes followers,
in this process by `Database.fed` and in others by center/db/feed_watch.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, func, select, text

from center.db.engine import FED, bulk_insert, upsert
from center.db.tables import changes, heartbeat

SETTLED_MS: Final = 30_000
"""A row's `received_ms` is stamped within its transaction, which ends before this time is over or not at all: what
was received so long ago is all there, in whichever order it was committed."""
CHANNEL: Final = "posdiag_feed"
"""PostgreSQL notifies whoever listens to this of each commit that held the feed."""
_LOCK: Final = 0x706F7364  # "posd"
_TAKE: Final = text("SELECT pg_advisory_xact_lock(:key), pg_notify(:channel, '')")


class Change(NamedTuple):
    """One line of the feed. `key` names the row within its kind: a fault's key, an event's id, or a case's."""

    id: int
    kind: str
    estate: str | None
    terminal: str | None
    key: str
    at_ms: int


def append(connection: Connection, rows: Iterable[tuple[str, str | None, str | None, str]], at_ms: int) -> None:
    """Append (kind, estate, terminal, key) rows to the feed. The last thing that a transaction does."""
    values = [
        {"kind": kind, "estate": estate, "terminal": terminal, "key": key, "at_ms": at_ms}
        for kind, estate, terminal, key in rows
    ]
    if values:
        lock(connection)
        bulk_insert(connection, changes, values)


def lock(connection: Connection) -> None:
    """Take the feed's turn until the commit, which wakes followers. In SQLite a writer has its turn anyway."""
    connection.info[FED] = True
    if connection.dialect.name == "postgresql":
        connection.execute(_TAKE, {"key": _LOCK, "channel": CHANNEL})


def after(connection: Connection, cursor: int, limit: int = 1000) -> list[Change]:
    """The changes after the id `cursor`, in order."""
    rows = connection.execute(select(changes).where(changes.c.id > cursor).order_by(changes.c.id).limit(limit))
    return [Change(*row) for row in rows]


def head(connection: Connection) -> int:
    """The id of the last change, 0 for none."""
    return int(connection.execute(select(func.coalesce(func.max(changes.c.id), 0))).scalar_one())


def load_cursor(connection: Connection, name: str) -> dict[str, Any] | None:
    """What a follower stored under its name, or None before it ever did."""
    row = connection.execute(select(heartbeat.c.data).where(heartbeat.c.name == name)).first()
    return None if row is None else dict(row.data or {})


def save_cursor(connection: Connection, name: str, data: dict[str, Any], at_ms: int) -> None:
    """Store where a follower stands, in the transaction that holds what it did up to there."""
    upsert(connection, heartbeat, [{"name": name, "at_ms": at_ms, "data": data}])
