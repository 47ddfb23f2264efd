"""A terminal's measurements over time, for charts: so many points, each with minimum, mean and maximum.

Terminals report by exception: a value holds until the next is told. It is held for a while and not for ever: a reading
that failed, an outage, or a silence longer than this metric's usual one ends it, and what follows is a gap.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, zip_longest
from statistics import median
from typing import Any, Final

from sqlalchemy import Connection, Table, or_, select

from center.access.scope import Scope
from center.db.tables import metrics_day, metrics_hour, outages, telemetry
from center.domain.freshness import LATE_MS, SILENT_MS
from center.domain.heard import heard
from center.domain.refusal import Refusal

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
FINE_MS: Final = 2 * DAY_MS
"""Spans up to this are drawn from the samples themselves, longer ones from hours and days."""
HOURS_MS: Final = 60 * DAY_MS
MOST_MS: Final = 3660 * DAY_MS
MOST_METRICS: Final = 20
SEEN_MS: Final = 30 * DAY_MS
"""Metrics that came within this are a terminal's metrics."""

Point = tuple[float, float, float]
"""Minimum, mean, maximum."""


@dataclass(frozen=True, slots=True)
class Told:
    """What one sample, hour or day says: numbers over `[at_ms, until_ms]`; `n` 0 for a reading that failed."""

    at_ms: int
    until_ms: int
    n: int = 0
    least: float = 0.0
    total: float = 0.0
    most: float = 0.0
    last: float = 0.0


@dataclass(frozen=True, slots=True)
class Grid:
    """The buckets of a chart, and which table they are made from."""

    start_ms: int
    step_ms: int
    n: int
    basis: str

    @property
    def end_ms(self) -> int:
        return self.start_ms + self.step_ms * self.n

    def index(self, at_ms: int) -> int:
        return (at_ms - self.start_ms) // self.step_ms


def grid(since_ms: int, until_ms: int, points: int, now_ms: int, keep_samples_ms: int) -> Grid:
    """At most `points` buckets that hold the span. Raises Refusal for a span that is none, or longer than ten years."""
    span = until_ms - since_ms
    if not 0 < span <= MOST_MS:
        raise Refusal("invalid", "since lies before until, by ten years at most")
    if span <= FINE_MS and since_ms >= now_ms - keep_samples_ms:
        basis, width = "samples", 1000
    else:
        basis, width = ("hours", HOUR_MS) if span <= HOURS_MS else ("days", DAY_MS)
    steps = max(1, -(-span // (points * width)))
    start_ms = since_ms - since_ms % width
    while -(-(until_ms - start_ms) // (steps * width)) > points:  # the rest at the front may need one more
        steps += 1
    step_ms = steps * width
    return Grid(start_ms, step_ms, -(-(until_ms - start_ms) // step_ms), basis)


def metrics(connection: Connection, scope: Scope, estate: str, terminal: str, now_ms: int) -> list[dict[str, Any]]:
    """The numbers that a terminal tells: `metric`, `unit` ("" for none), `last`, `last_ms`. Raises Refusal."""
    units = _units(connection, scope, estate, terminal)
    table = metrics_day
    here = table.c.estate == estate, table.c.terminal == terminal, table.c.bucket_ms >= now_ms - SEEN_MS
    rows = select(table.c.metric, table.c.last, table.c.last_ms).where(*here).order_by(table.c.metric, table.c.last_ms)
    newest = {row.metric: row for row in connection.execute(rows)}
    return [
        {"metric": name, "unit": units.get(name, ""), "last": row.last, "last_ms": row.last_ms}
        for name, row in newest.items()
    ]


def series(
    connection: Connection, scope: Scope, estate: str, terminal: str, wanted: Sequence[str], on: Grid, now_ms: int
) -> list[dict[str, Any]]:
    """Of each metric `metric`, `unit` and `points`: one for each bucket, null where nobody knows. Raises Refusal."""
    if len(wanted) > MOST_METRICS:
        raise Refusal("invalid", f"{len(wanted)} metrics; at most {MOST_METRICS} at once")
    units = _units(connection, scope, estate, terminal)
    from_ms = on.start_ms - LATE_MS  # what was told shortly before may hold still
    read = _samples if on.basis == "samples" else _buckets
    table = metrics_hour if on.basis == "hours" else metrics_day
    told: dict[str, list[Told]] = {name: [] for name in wanted}
    for name, each in read(connection, estate, terminal, told, from_ms, on.end_ms, table):
        told[name].append(each)
    gone = _gone(connection, estate, terminal, from_ms, on.end_ms)
    return [
        {"metric": name, "unit": units.get(name, ""), "points": drawn(sorted(said, key=_when), on, gone, now_ms)}
        for name, said in told.items()
    ]


def drawn(told: Sequence[Told], on: Grid, gone: Sequence[int], now_ms: int) -> list[Point | None]:
    """A point for each bucket of what was told, in order. `gone` are the moments when outages began. Pure."""
    sums: dict[int, list[float]] = {}
    for each in told:
        index = on.index(each.at_ms)
        if each.n and 0 <= index < on.n:
            known = sums.setdefault(index, [each.least, 0.0, each.most, 0])
            known[0], known[2] = min(known[0], each.least), max(known[2], each.most)
            known[1] += each.total
            known[3] += each.n
    points: list[Point | None] = [None] * on.n
    for index, (least, total, most, n) in sums.items():
        points[index] = least, round(total / n, 4), most
    hold_ms = _hold_ms(told)
    for each, later in zip_longest(told, told[1:]):
        if each.n:
            next_ms = on.end_ms if later is None else later.at_ms
            until_ms = min(next_ms, each.until_ms + hold_ms, now_ms, _first_after(gone, each.at_ms))
            for index in range(max(0, on.index(each.until_ms)), min(on.n - 1, on.index(until_ms - 1)) + 1):
                if points[index] is None:
                    points[index] = each.last, each.last, each.last
    return points


def _hold_ms(told: Sequence[Told]) -> int:
    """Three times as long as this metric usually is silent: by its link that is minutes or hours."""
    usual = median(later.at_ms - sooner.at_ms for sooner, later in pairwise(told)) if len(told) > 1 else 0
    return int(min(max(LATE_MS, 3 * usual), SILENT_MS))


def _first_after(moments: Sequence[int], at_ms: int) -> int:
    index = bisect_right(moments, at_ms)
    return moments[index] if index < len(moments) else 1 << 62


def _when(told: Told) -> int:
    return told.at_ms


# --- reading ----------------------------------------------------------------------------------------------------------


def _samples(
    connection: Connection,
    estate: str,
    terminal: str,
    wanted: Collection[str],
    from_ms: int,
    until_ms: int,
    _table: Table,
) -> Iterator[tuple[str, Told]]:
    here = telemetry.c.estate == estate, telemetry.c.terminal == terminal
    # a batch holds what was gathered since its `at`, for an hour at most on a metered link that spares
    within = telemetry.c.at_ms >= from_ms - HOUR_MS, telemetry.c.at_ms < until_ms
    rows = select(telemetry.c.at_ms, telemetry.c.samples).where(*here, *within)
    for row in connection.execute(rows):
        for after_ms, values in row.samples or ():
            at_ms = row.at_ms + int(after_ms)
            if from_ms <= at_ms < until_ms:
                for name in wanted & values.keys():
                    yield name, _told(at_ms, values[name])


def _told(at_ms: int, value: Any) -> Told:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return Told(at_ms, at_ms)
    number = float(value)
    return Told(at_ms, at_ms, 1, number, number, number, number)


def _buckets(
    connection: Connection,
    estate: str,
    terminal: str,
    wanted: Collection[str],
    from_ms: int,
    until_ms: int,
    table: Table,
) -> Iterator[tuple[str, Told]]:
    here = table.c.estate == estate, table.c.terminal == terminal, table.c.metric.in_(wanted)
    within = table.c.bucket_ms >= from_ms, table.c.bucket_ms < until_ms
    for row in connection.execute(select(table).where(*here, *within)):
        yield row.metric, Told(row.bucket_ms, row.last_ms, row.n, row.min, row.sum, row.max, row.last)


def _gone(connection: Connection, estate: str, terminal: str, from_ms: int, until_ms: int) -> list[int]:
    here = outages.c.estate == estate, outages.c.terminal == terminal, outages.c.from_ms < until_ms
    lasting = or_(outages.c.until_ms.is_(None), outages.c.until_ms >= from_ms)
    rows = select(outages.c.from_ms).where(*here, lasting).order_by(outages.c.from_ms)
    return list(connection.execute(rows).scalars())


def _units(connection: Connection, scope: Scope, estate: str, terminal: str) -> dict[str, str]:
    """By metric. Raises Refusal for a terminal out of scope."""
    told = (heard(connection, scope, estate, terminal)["inventory"] or {}).get("metrics")
    return {str(name): str(unit) for name, unit in told.items()} if isinstance(told, dict) else {}
