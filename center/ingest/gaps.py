"""What did not come: holes in the numbers of each class within each boot of a terminal, less what has a receipt.

A terminal that the center has known since an earlier boot counts from 1; of another the first number heard begins.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Table, and_, exists, func, select, update
from sqlalchemy.sql import ColumnElement

from center.db.engine import upsert
from center.db.tables import events, gaps, receipts, results, streams, telemetry
from center.spans import Receipt, Span, Spans, unaccounted

CLASSES: Final[Mapping[str, Table]] = {"event": events, "telemetry": telemetry, "result": results}
ENDLESS: Final = 2**62
_KEY: Final = ("estate", "terminal", "boot", "class")


@dataclass(frozen=True, slots=True)
class Stream:
    """One class within one boot."""

    estate: str
    terminal: str
    boot: int
    cls: str

    def values(self) -> dict[str, Any]:
        """As columns."""
        return dict(zip(_KEY, (self.estate, self.terminal, self.boot, self.cls), strict=True))

    def of(self, table: Table) -> Any:
        """The condition that selects its rows in a table that has a column `class`."""
        return and_(*(table.c[name] == value for name, value in self.values().items()))


def look(connection: Connection, cls: str, which: ColumnElement[bool], now_ms: int) -> None:
    """Account for those rows of the class's table. Doing it again changes nothing."""
    table = CLASSES[cls]
    if cls == "event":
        for stream, first, last in _take_receipts(connection, which):
            _settle(connection, stream, first, last, now_ms)
    smooth: list[dict[str, Any]] = []
    begun: set[tuple[str, str]] = set()
    for row in connection.execute(_heard(table, cls, which)).all():
        stream = Stream(row.estate, row.terminal, row.boot, cls)
        first = row.known_first
        if row.known_last is None:
            is_known = row.earlier or (row.estate, row.terminal) in begun
            first = 1 if is_known else row.first
            begun.add((row.estate, row.terminal))
        expected = first if row.known_last is None else row.known_last + 1
        if row.first == expected and row.n == row.last - row.first + 1:
            values = {"first": first, "last": row.last, "updated_ms": now_ms}
            smooth.append(stream.values() | values)  # the common case: it begins, or goes on where it stood
        else:
            _extend(connection, stream, row, first, now_ms)
    upsert(connection, streams, smooth)


def _heard(table: Table, cls: str, which: ColumnElement[bool]) -> Any:
    """For each stream what came of it, and what was known of it."""
    key = (table.c.estate, table.c.terminal, table.c.boot)
    window = (
        select(
            *key,
            func.min(table.c.seq).label("first"),
            func.max(table.c.seq).label("last"),
            func.count(table.c.seq.distinct()).label("n"),
        )
        .where(which)
        .group_by(*key)
        .subquery()
    )
    same = and_(
        *(streams.c[name] == window.c[name] for name in ("estate", "terminal", "boot")), streams.c["class"] == cls
    )
    known = (streams.c.first.label("known_first"), streams.c.last.label("known_last"))
    before = streams.alias()
    earlier = exists().where(
        before.c.estate == window.c.estate, before.c.terminal == window.c.terminal, before.c.boot < window.c.boot
    )
    heard = select(window, *known, earlier.label("earlier")).select_from(window.outerjoin(streams, same))
    return heard.order_by(window.c.boot)


def _extend(connection: Connection, stream: Stream, row: Any, begin: int, now_ms: int) -> None:
    """What came leaves a hole, fills one, or begins a stream at `begin` with a hole."""
    if row.known_last is None:
        first = low = begin
        high = row.last
    else:
        first = min(row.known_first, row.first)
        low = min(row.first, row.known_last + 1)
        high = max(row.last, row.known_first - 1)
    last = max(row.last, row.known_last or 0)
    upsert(connection, streams, [stream.values() | {"first": first, "last": last, "updated_ms": now_ms}])
    _settle(connection, stream, low, high, now_ms)


def _settle(connection: Connection, stream: Stream, low: int, high: int, now_ms: int) -> None:
    """Say anew what is missing from `low` to `high`, and in every gap and receipt that reaches in there."""
    bounds = connection.execute(select(streams.c.first, streams.c.last).where(stream.of(streams))).first()
    if bounds is None:
        return
    low, high, told = _widened(connection, stream, max(low, bounds.first), min(high, bounds.last))
    low, high = max(low, bounds.first), min(high, bounds.last)
    table = CLASSES[stream.cls]
    numbers = connection.execute(
        select(table.c.seq)
        .where(
            *(table.c.estate == stream.estate, table.c.terminal == stream.terminal, table.c.boot == stream.boot),
            table.c.seq.between(low, high),
        )
        .distinct()
        .order_by(table.c.seq)
    ).scalars()
    holes = _runs(numbers).holes(low, high)
    missing, _explained = unaccounted(holes, told)
    _write(connection, stream, low, high, missing, now_ms)


def _runs(numbers: Iterable[int]) -> Spans:
    spans = Spans()
    for number in numbers:
        spans.add(number)
    return spans


def _widened(connection: Connection, stream: Stream, low: int, high: int) -> tuple[int, int, list[Receipt]]:
    """The range with every open gap and every receipt that overlaps it, and these receipts."""
    while True:
        found = connection.execute(
            select(receipts).where(stream.of(receipts), receipts.c.first <= high, receipts.c.last >= low)
        ).all()
        open_gaps = connection.execute(
            select(gaps.c.first, gaps.c.last).where(stream.of(gaps), gaps.c.first <= high, gaps.c.last >= low)
        ).all()
        finite = [(row.first, row.last) for row in [*found, *open_gaps] if row.last < ENDLESS]
        wider = min([low, *(first for first, _ in finite)]), max([high, *(last for _, last in finite)])
        if wider == (low, high):
            return low, high, [Receipt(row.first, row.last, row.n, row.why) for row in found]
        low, high = wider


def _write(connection: Connection, stream: Stream, low: int, high: int, missing: list[Span], now_ms: int) -> None:
    inside = and_(stream.of(gaps), gaps.c.first >= low, gaps.c.first <= high, gaps.c.closed_ms.is_(None))
    known = {(row.first, row.last) for row in connection.execute(select(gaps.c.first, gaps.c.last).where(inside))}
    for first, _last in sorted(known - set(missing)):
        connection.execute(update(gaps).where(stream.of(gaps), gaps.c.first == first).values(closed_ms=now_ms))
    new = [
        stream.values() | {"first": first, "last": last, "why": "", "found_ms": now_ms, "closed_ms": None}
        for first, last in missing
        if (first, last) not in known
    ]
    upsert(connection, gaps, new)


# --- receipts ---------------------------------------------------------------------------------------------------------


def _take_receipts(connection: Connection, which: ColumnElement[bool]) -> list[tuple[Stream, int, int]]:
    """Keep what `store.gap` and `store.reset` say; the streams and ranges that they speak of."""
    told = connection.execute(
        select(
            events.c.estate,
            events.c.terminal,
            events.c.boot,
            events.c.seq,
            events.c.event,
            events.c.data,
            events.c.at_ms,
        ).where(which, events.c.event.in_(["store.gap", "store.reset"]))
    ).all()
    found: list[tuple[Stream, int, int]] = []
    for row in told:
        if row.event == "store.reset":
            found += _reset(connection, row)
            continue
        data: dict[str, Any] = row.data or {}
        counts = [data.get(name) for name in ("boot", "first", "last", "n")]
        cls = data.get("class")
        if not isinstance(cls, str) or cls not in CLASSES or not all(map(_is_count, counts)):
            continue  # it names no rows, so it explains none
        boot, first, last, n = map(int, counts)  # type: ignore[arg-type]  # they are counts, as was just asked
        stream = Stream(row.estate, row.terminal, boot, cls)
        _keep(connection, stream, Receipt(first, last, n, str(data.get("why", "")).replace("\0", "")), row.at_ms)
        found.append((stream, first, last))
    return found


def _reset(connection: Connection, row: Any) -> list[tuple[Stream, int, int]]:
    """A store that was lost explains what was numbered before, in each stream that is known by then."""
    known = connection.execute(
        select(streams.c.boot, streams.c["class"].label("cls")).where(
            streams.c.estate == row.estate, streams.c.terminal == row.terminal, streams.c.boot <= row.boot
        )
    ).all()
    found = []
    for boot, cls in {(each.boot, each.cls) for each in known} | {(row.boot, "event")}:
        last = row.seq - 1 if (boot, cls) == (row.boot, "event") else ENDLESS
        if last >= 1:
            stream = Stream(row.estate, row.terminal, boot, cls)
            _keep(connection, stream, Receipt(1, last, ENDLESS, "store.reset"), row.at_ms)
            found.append((stream, 1, last))
    return found


def _keep(connection: Connection, stream: Stream, receipt: Receipt, at_ms: int) -> None:
    values = {"first": receipt.first, "last": receipt.last, "n": receipt.n, "why": receipt.why, "at_ms": at_ms}
    upsert(connection, receipts, [stream.values() | values])


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < ENDLESS
