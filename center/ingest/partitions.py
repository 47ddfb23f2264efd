"""PostgreSQL's partitions of `telemetry`, one a day: made before they are needed, dropped when they are too old.

What comes with a time far from now (a wrong clock) is in `telemetry_rest`. Where `telemetry` is a hypertable,
TimescaleDB makes what is needed, and only the end is here.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, text

from center.db import timescale

DAY_MS: Final = 86_400_000
AHEAD: Final = 3
_REST: Final = "telemetry_rest"


def ensure(connection: Connection, now_ms: int) -> None:
    """Make the partitions of yesterday to three days ahead. What waits for one in the rest moves into it."""
    if not timescale.has_partitions(connection):
        return
    there = existing(connection)
    today = now_ms // DAY_MS
    for day in range(today - 1, today + AHEAD + 1):
        if day not in there:
            _make(connection, day)


def drop(connection: Connection, before_ms: int, now_ms: int) -> None:
    """Drop the partitions whose last moment is before `before_ms`, but those that are held as evidence."""
    if not timescale.has_partitions(connection):
        for first, end in timescale.old_chunks(connection, before_ms):
            if not _held(connection, first, end, now_ms):
                timescale.drop_chunk(connection, first, end)
        return
    for day in existing(connection):
        first, end = day * DAY_MS, (day + 1) * DAY_MS
        if end <= before_ms and not _held(connection, first, end, now_ms):
            connection.execute(text(f"DROP TABLE {_name(day)}"))


def existing(connection: Connection) -> set[int]:
    """The days, counted from 1970, that have a partition."""
    partitions = (
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
        "WHERE i.inhparent = 'telemetry'::regclass"
    )
    names = connection.execute(text(partitions)).scalars()
    return {int(name.rpartition("_")[2]) for name in names if name != _REST}


def _name(day: int) -> str:
    return f"telemetry_{day}"


def _make(connection: Connection, day: int) -> None:
    first, end, name = day * DAY_MS, (day + 1) * DAY_MS, _name(day)
    connection.execute(text(f"CREATE TABLE {name} (LIKE telemetry INCLUDING DEFAULTS)"))
    moved = f"DELETE FROM {_REST} WHERE at_ms >= {first} AND at_ms < {end} RETURNING *"  # noqa: S608 - numbers of ours
    connection.execute(text(f"WITH moved AS ({moved}) INSERT INTO {name} SELECT * FROM moved"))  # noqa: S608 - as above
    connection.execute(text(f"ALTER TABLE telemetry ATTACH PARTITION {name} FOR VALUES FROM ({first}) TO ({end})"))


def _held(connection: Connection, first_ms: int, end_ms: int, now_ms: int) -> bool:
    held = text("SELECT 1 FROM evidence WHERE hold_until_ms > :now AND from_ms < :end AND until_ms >= :first LIMIT 1")
    return connection.execute(held, {"first": first_ms, "end": end_ms, "now": now_ms}).first() is not None
