"""Telemetry by hour and by day: n, minimum, maximum, sum and last of each number; its mean is sum / n.

Words and failed readings are no numbers and count nowhere. Late samples count where they belong.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from sqlalchemy import Connection, Table, case
from sqlalchemy.dialects import postgresql, sqlite

from center.db.tables import metrics_day, metrics_hour

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
_LARGEST: Final = 1e300
_NAME_CHARACTERS: Final = 200  # an index of PostgreSQL takes 2,700 bytes

Row = tuple[str, str, int, Any]
"""Estate, terminal, at_ms and samples of one telemetry message."""


def add(connection: Connection, rows: Iterable[Row]) -> None:
    """Add messages that were not added before."""
    hours: dict[tuple[str, str, str, int], list[float]] = {}
    days: dict[tuple[str, str, str, int], list[float]] = {}
    for estate, terminal, at_ms, samples in rows:
        for after_ms, values in samples:
            moment = at_ms + int(after_ms)
            for metric, value in values.items():
                if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > _LARGEST:
                    continue
                if len(metric) > _NAME_CHARACTERS:
                    continue
                key = (estate, terminal, metric)
                _put(hours, (*key, moment - moment % HOUR_MS), float(value), moment)
                _put(days, (*key, moment - moment % DAY_MS), float(value), moment)
    _store(connection, metrics_hour, hours)
    _store(connection, metrics_day, days)


def _put(
    into: dict[tuple[str, str, str, int], list[float]], key: tuple[str, str, str, int], value: float, at: int
) -> None:
    known = into.get(key)
    if known is None:
        into[key] = [1, value, value, value, value, at]
        return
    known[0] += 1
    known[1] = min(known[1], value)
    known[2] = max(known[2], value)
    known[3] += value
    if at >= known[5]:
        known[4], known[5] = value, at


def _store(connection: Connection, table: Table, found: dict[tuple[str, str, str, int], list[float]]) -> None:
    if not found:
        return
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert(table)
    new, old = statement.excluded, table.c
    statement = statement.on_conflict_do_update(
        index_elements=[column.name for column in table.primary_key],
        set_={
            "n": old.n + new.n,
            "min": case((new.min < old.min, new.min), else_=old.min),
            "max": case((new.max > old.max, new.max), else_=old.max),
            "sum": old.sum + new.sum,
            "last": case((new.last_ms >= old.last_ms, new.last), else_=old.last),
            "last_ms": case((new.last_ms >= old.last_ms, new.last_ms), else_=old.last_ms),
        },
    )
    names = ("n", "min", "max", "sum", "last", "last_ms")
    rows = [
        {"estate": estate, "terminal": terminal, "metric": metric.replace("\0", ""), "bucket_ms": bucket}
        | dict(zip(names, values, strict=True))
        for (estate, terminal, metric, bucket), values in sorted(found.items())
    ]
    connection.execute(statement, rows)
