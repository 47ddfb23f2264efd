"""Service indicators over a period, each with its definition. A period is [from_ms, until_ms); a scope cuts all.

Shares are None where nothing could be counted: no cases is not a hundred percent.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any, Final, Literal

from sqlalchemy import ColumnElement, Connection, Float, and_, case, cast, exists, func, or_, select

from center.access.scope import Scope
from center.db.tables import case_steps, case_tags, cases, events, faults, surveys
from center.domain.cases_policy import CLOCKS, DAY_MS

Group = Literal["fault", "model", "firmware", "operator", "team", "site"]
REPEAT_MS: Final = 30 * DAY_MS
MOST: Final = 200_000
"""Cases that a distribution is computed from at most; above, the newest."""
SPANS: Final = {
    "detect": (cases.c.onset_ms, cases.c.detected_ms),
    "acknowledge": (cases.c.created_ms, cases.c.acked_ms),
    "repair": (cases.c.detected_ms, cases.c.solved_ms),
}
"""From and until when each of `times` is measured."""
_SOLVED: Final = ("confirmed", "unanswered", "resolved")


@dataclass(frozen=True, slots=True)
class Period:
    from_ms: int
    until_ms: int

    def holds(self, column: ColumnElement[Any]) -> ColumnElement[bool]:
        return and_(column >= self.from_ms, column < self.until_ms)


@dataclass(frozen=True, slots=True)
class Spread:
    """How long it takes, in milliseconds: of `n` cases half are within `median_ms`, nine of ten within `p90_ms`."""

    n: int
    median_ms: int | None
    p90_ms: int | None


@dataclass(frozen=True, slots=True)
class Share:
    """`n` of `of`; `share` is None of none."""

    n: int
    of: int

    @property
    def share(self) -> float | None:
        return self.n / self.of if self.of else None


def times(connection: Connection, scope: Scope, period: Period) -> dict[str, Spread]:
    """Of fault cases opened in the period.

    `detect` from when the trouble began, by a terminal's clock that can be trusted, until the center knew of it;
    `acknowledge` from the opening until a person took it on; `repair` from when the center knew of it until it worked
    again and stayed so: whatever came back counts from the beginning.
    """
    lengths = [case((known, length)) for length, known in map(_length, SPANS)]
    newest = select(*lengths).where(_opened(scope, period)).order_by(cases.c.created_ms.desc()).limit(MOST)
    columns = zip(*connection.execute(newest), strict=True)
    found = [spread(each for each in column if each is not None) for column in columns]
    return dict(zip(SPANS, found or [spread(())] * len(SPANS), strict=True))


def timed(name: str, scope: Scope, period: Period) -> tuple[ColumnElement[int], ColumnElement[bool]]:
    """The length in milliseconds that one of `times` is about, and of which cases."""
    length, known = _length(name)
    return length, and_(_opened(scope, period), known)


def _length(name: str) -> tuple[ColumnElement[int], ColumnElement[bool]]:
    since, until = SPANS[name]
    known = [since.is_not(None), until.is_not(None)]
    if name == "repair":
        known.append(cases.c.outcome.in_(_SOLVED))
    return until - since, and_(*known)


def spread(lengths_ms: Iterable[int]) -> Spread:
    """Median, and the 90th percentile as the smallest length that nine of ten do not exceed. Pure."""
    known = sorted(max(0, length) for length in lengths_ms)
    if not known:
        return Spread(0, None, None)
    return Spread(len(known), round(median(known)), known[-(-9 * len(known) // 10) - 1])


def first_time_fix(connection: Connection, scope: Scope, period: Period) -> Share:
    """Of fault cases closed in the period after a visit, those with exactly one that were never reopened."""
    return _share(connection, *of_closed("first_time_fix", scope, period))


def repeats(connection: Connection, scope: Scope, period: Period) -> Share:
    """Of fault cases closed in the period, those whose trouble came back.

    That is reopened, or a new case of the same fault of the same terminal within 30 days of the end.
    """
    return _share(connection, *of_closed("repeats", scope, period))


def false_alarms(connection: Connection, scope: Scope, period: Period) -> Share:
    """Of fault cases closed in the period, duplicates left out, those that a person dismissed as false."""
    return _share(connection, *of_closed("false_alarms", scope, period))


def closed(connection: Connection, scope: Scope, period: Period) -> dict[str, Share]:
    """`first_time_fix`, `repeats` and `false_alarms`, for which the closed cases are read once."""
    counts = [_count(each) for which, met in CLOSED.values() for each in (and_(which, met), which)]
    found = map(int, connection.execute(select(*counts).where(_closed(scope, period))).one())
    return {name: Share(n, of) for name, n, of in zip(CLOSED, found, found, strict=False)}


def of_closed(name: str, scope: Scope, period: Period) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """What is counted of closed cases, and of which of them that is asked."""
    which, met = CLOSED[name]
    return met, and_(_closed(scope, period), which)


def _closed(scope: Scope, period: Period) -> ColumnElement[bool]:
    return and_(period.holds(cases.c.closed_ms), cases.c.kind == "fault", scope.where(cases, many=True))


def _again() -> ColumnElement[bool]:
    """Whether the same fault of the same terminal became a new case after this one was closed."""
    later = cases.alias()
    return exists().where(
        *(later.c.estate == cases.c.estate, later.c.terminal == cases.c.terminal, later.c.fault == cases.c.fault),
        *(later.c.created_ms > cases.c.closed_ms, later.c.created_ms <= cases.c.closed_ms + REPEAT_MS),
    )


_WELL: Final = cases.c.outcome.in_(_SOLVED)
CLOSED: Final[Mapping[str, tuple[ColumnElement[bool], ColumnElement[bool]]]] = {
    "first_time_fix": (and_(_WELL, cases.c.visits > 0), and_(cases.c.visits == 1, cases.c.reopened == 0)),
    "repeats": (and_(_WELL, cases.c.terminal.is_not(None)), (cases.c.reopened > 0) | _again()),
    "false_alarms": (cases.c.outcome != "duplicate", cases.c.outcome == "false_alarm"),
}
"""Of which closed cases each is asked, and what is counted."""


def deflection(connection: Connection, scope: Scope, period: Period) -> Share:
    """Of the root faults that the merchant can mend, raised in the period, those that ended and never became a case.

    What still stands without a case is not counted yet. A case counts against the period in which it was opened, so
    that at its edges the share is off by what was in work.
    """
    raised = (
        events.c.event == "fault.raised",
        events.c.data["act"].as_string() == "merchant",
        events.c.data["cause"].as_string().is_(None),
        period.holds(events.c.at_ms),
        scope.where(events, many=True),
    )
    total = connection.execute(select(func.count()).select_from(events).where(*raised)).scalar_one()
    by_device = (cases.c.channel == "device", cases.c.kind == "fault", cases.c.terminal.is_not(None))
    mendable = exists().where(
        *(events.c.estate == cases.c.estate, events.c.terminal == cases.c.terminal, *raised[:3]),
        events.c.data["fault"].as_string() == cases.c.fault,
        events.c.at_ms <= cases.c.created_ms,
        events.c.at_ms > cases.c.created_ms - DAY_MS,
    )
    opened = select(func.count()).select_from(cases).where(*by_device, mendable)
    became = connection.execute(
        opened.where(period.holds(cases.c.created_ms), scope.where(cases, many=True))
    ).scalar_one()
    total = int(total) - _standing_without_case(connection, scope, period)
    return Share(max(0, total - int(became)), max(0, total))


def _standing_without_case(connection: Connection, scope: Scope, period: Period) -> int:
    """Root faults that the merchant can mend, raised in the period, of which nobody knows yet how they end."""
    same = (cases.c.estate == faults.c.estate, cases.c.terminal == faults.c.terminal, cases.c.fault == faults.c.fault)
    standing = select(func.count()).where(
        faults.c.state != "cleared",
        faults.c.act == "merchant",
        faults.c.cause.is_(None),
        period.holds(faults.c.first_ms),
        ~exists().where(*same, cases.c.created_ms >= faults.c.first_ms),
        scope.where(faults, many=True),
    )
    return int(connection.execute(standing).scalar_one())


@dataclass(frozen=True, slots=True)
class Promises:
    """Promised times of cases solved in the period. `first`: kept the first promise; `last`: kept the last one.

    `changed` is how many cases had more than one promise.
    """

    first: Share
    last: Share
    changed: int


def promises(connection: Connection, scope: Scope, period: Period) -> Promises:
    """Promised against kept: a promise is kept when it works again no later than that."""
    steps = select(case_steps.c.case_id, case_steps.c.data, cases.c.solved_ms)
    steps = steps.join(cases, cases.c.id == case_steps.c.case_id).where(case_steps.c.kind == "eta")
    told: dict[str, list[bool]] = defaultdict(list)
    rows = connection.execute(steps.where(promised(scope, period)).order_by(case_steps.c.id.desc()).limit(MOST)).all()
    for row in reversed(rows):
        told[row.case_id].append(row.solved_ms <= row.data["eta_ms"])
    kept = list(told.values())
    return Promises(
        Share(sum(each[0] for each in kept), len(kept)),
        Share(sum(each[-1] for each in kept), len(kept)),
        sum(len(each) > 1 for each in kept),
    )


def promised(scope: Scope, period: Period) -> ColumnElement[bool]:
    """Cases whose promises, if there were any, are counted."""
    return and_(period.holds(cases.c.solved_ms), cases.c.state == "closed", scope.where(cases, many=True))


def deadlines(connection: Connection, scope: Scope, period: Period) -> dict[str, Share]:
    """By clock: cases opened in the period whose deadline was missed, of those opened that have this clock."""
    where = (period.holds(cases.c.created_ms), scope.where(cases, many=True))
    clocks = [_count(_has_clock(name)) for name in CLOCKS]
    had = dict(zip(CLOCKS, connection.execute(select(*clocks).where(*where)).one(), strict=True))
    key = case_steps.c.data["clock"].as_string()
    has_it = or_(*(and_(key == name, _has_clock(name)) for name in CLOCKS))
    query = select(key, func.count(func.distinct(case_steps.c.case_id)))
    query = query.join(cases, cases.c.id == case_steps.c.case_id).where(*_BREACH, has_it, *where).group_by(key)
    missed = {str(name): int(count) for name, count in connection.execute(query)}
    return {name: Share(missed.get(name, 0), int(had[name])) for name in CLOCKS if had[name]}


def overdue(clock: str, scope: Scope, period: Period) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Whether a case missed the deadline of this clock, and of which cases that is asked."""
    told = (case_steps.c.case_id == cases.c.id, case_steps.c.data["clock"].as_string() == clock)
    where = (period.holds(cases.c.created_ms), _has_clock(clock), scope.where(cases, many=True))
    return exists().where(*told, *_BREACH), and_(*where)


_BREACH: Final = (case_steps.c.kind == "clock", case_steps.c.data["level"].as_string() == "breach")


def _has_clock(name: str) -> ColumnElement[bool]:
    minutes: ColumnElement[Any] = cases.c.data[("clocks", name, "minutes")].as_float()
    return minutes.is_not(None)


def top(connection: Connection, scope: Scope, period: Period, by: Group, limit: int = 20) -> list[tuple[str, str, int]]:
    """(group, fault, cases) of fault cases opened in the period, duplicates and false alarms left out; most first."""
    group = group_of(by)
    query = select(group, cases.c.fault, func.count()).where(counted(scope, period)).group_by(group, cases.c.fault)
    rows = connection.execute(query.order_by(func.count().desc(), group, cases.c.fault).limit(limit))
    return [(str(name), str(fault), int(count)) for name, fault, count in rows]


def counted(scope: Scope, period: Period) -> ColumnElement[bool]:
    """Cases that `top` counts."""
    return and_(_opened(scope, period), cases.c.fault.is_not(None))


def group_of(by: Group) -> ColumnElement[str]:
    """The group that a case belongs to, "" where nobody knows."""
    return func.coalesce(cases.c[by], "")


@dataclass(frozen=True, slots=True)
class Satisfaction:
    """Answers of one group. `score` is the mean of 1 to 5; `asked` how many cases were closed that could be rated."""

    group: str
    rated: int
    asked: int
    score: float


def satisfaction(connection: Connection, scope: Scope, period: Period, by: Group) -> list[Satisfaction]:
    """Ratings given in the period by group, the least satisfied first; groups of fewer than three stay anonymous."""
    group = group_of(by)
    rated = select(group.label("name"), func.count(), func.avg(cast(surveys.c.score, Float)))
    rated = rated.join(surveys, surveys.c.case_id == cases.c.id).where(
        period.holds(surveys.c.at_ms), scope.where(cases, many=True)
    )
    ended = (
        period.holds(cases.c.closed_ms),
        cases.c.outcome.not_in(("duplicate", "false_alarm")),
        scope.where(cases, many=True),
    )
    closed = connection.execute(select(group, func.count()).where(*ended).group_by(group))
    asked = {str(name): int(count) for name, count in closed}
    rows = connection.execute(rated.group_by(group))
    found = [Satisfaction(str(name), n, asked.get(str(name), 0), float(score)) for name, n, score in rows if n >= 3]
    return sorted(found, key=lambda each: (each.score, each.group))


def tags(connection: Connection, scope: Scope, period: Period, limit: int = 100) -> list[tuple[str, str, int]]:
    """(tag, fault, cases) of cases opened in the period, so that suggestions can be counted by what they are about."""
    fault = func.coalesce(cases.c.fault, "")
    query = select(case_tags.c.tag, fault, func.count()).join(cases, cases.c.id == case_tags.c.case_id)
    query = query.where(period.holds(cases.c.created_ms), scope.where(cases, many=True)).group_by(
        case_tags.c.tag, fault
    )
    rows = connection.execute(query.order_by(func.count().desc(), case_tags.c.tag, fault).limit(limit))
    return [(str(tag), str(name), int(count)) for tag, name, count in rows]


def arrivals(connection: Connection, scope: Scope, period: Period) -> list[int]:
    """Cases opened in each hour of the week, in UTC: 168 counts from Thursday 00:00, the weekday of the epoch."""
    hour = (cases.c.created_ms // 3_600_000) % 168
    where = (period.holds(cases.c.created_ms), scope.where(cases, many=True))
    counts = [0] * 168
    for at, count in connection.execute(select(hour, func.count()).where(*where).group_by(hour)):
        counts[int(at)] += int(count)
    return counts


def _opened(scope: Scope, period: Period) -> ColumnElement[bool]:
    return and_(period.holds(cases.c.created_ms), cases.c.kind == "fault", _real(), scope.where(cases, many=True))


def _real() -> ColumnElement[bool]:
    """Neither dismissed as a duplicate nor as a false alarm."""
    return cases.c.outcome.is_(None) | cases.c.outcome.not_in(("duplicate", "false_alarm"))


def _share(connection: Connection, condition: ColumnElement[bool], *where: ColumnElement[bool]) -> Share:
    n, of = connection.execute(select(_count(condition), func.count()).select_from(cases).where(*where)).one()
    return Share(int(n), int(of))


def _count(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)
