"""The cases behind each number of the reports, so that whoever doubts one can look."""

from __future__ import annotations

from typing import Any, Final, Literal, get_args

from sqlalchemy import ColumnElement, Connection, and_, exists, null, select

from center.access.scope import Scope
from center.db.tables import case_steps, cases, surveys
from center.domain import reports
from center.domain.reports import Group, Period

Of = Literal[
    "detect", "acknowledge", "repair", "first_time_fix", "repeats", "false_alarms", "promises", "top", "satisfaction",
    "deadline_first_response", "deadline_update", "deadline_solve",
]  # fmt: skip
OF: Final[tuple[Of, ...]] = get_args(Of)
_DEADLINE: Final = "deadline_"
_SHOWN: Final = ("id", "number", "estate", "terminal", "site", "fault", "title", "state", "created_ms", "closed_ms")


def rows(
    connection: Connection,
    scope: Scope,
    period: Period,
    of: Of,
    *,
    by: Group = "fault",
    group: str | None = None,
    fault: str | None = None,
    met: bool | None = None,
    before: str | None = None,
    limit: int = 200,
) -> list[dict[str, Any]]:
    """Cases that a number is made of, newest first, from before the id `before`.

    `length_ms` of times; `met` of shares: mended at the first visit, came back, false, promise kept, deadline missed;
    `score` of satisfaction. Null where a number has no such thing. `by` and `group` narrow all of them, `fault` too,
    and `met` those of shares.
    """
    length, is_met, score, where = _about(of, scope, period)
    query = select(
        *(cases.c[name] for name in _SHOWN), length.label("length_ms"), is_met.label("met"), score.label("score")
    ).where(where)
    if of == "satisfaction":
        query = query.join(surveys, surveys.c.case_id == cases.c.id)
    if group is not None:
        query = query.where(reports.group_of(by) == group)
    if fault is not None:
        query = query.where(cases.c.fault == fault)
    if met is not None:
        query = query.where(is_met.is_(met))
    if before is not None:
        query = query.where(cases.c.id < before)
    found = [dict(row) for row in connection.execute(query.order_by(cases.c.id.desc()).limit(limit)).mappings()]
    return [row | {"met": None if row["met"] is None else bool(row["met"])} for row in found]


def _about(
    of: Of, scope: Scope, period: Period
) -> tuple[ColumnElement[Any], ColumnElement[Any], ColumnElement[Any], ColumnElement[bool]]:
    """Length, met, score, and which cases."""
    nothing = null()
    if of in reports.SPANS:
        length, where = reports.timed(of, scope, period)
        return length, nothing, nothing, where
    if of in reports.CLOSED:
        return nothing, *_between(reports.of_closed(of, scope, period))
    if of.startswith(_DEADLINE):
        return nothing, *_between(reports.overdue(of.removeprefix(_DEADLINE), scope, period))
    if of == "promises":
        promised = case_steps.c.case_id == cases.c.id, case_steps.c.kind == "eta"
        last = select(case_steps.c.data["eta_ms"].as_float()).where(*promised).order_by(case_steps.c.id.desc())
        kept = cases.c.solved_ms <= last.limit(1).scalar_subquery()
        return nothing, kept, nothing, and_(reports.promised(scope, period), exists().where(*promised))
    if of == "satisfaction":
        return nothing, nothing, surveys.c.score, and_(period.holds(surveys.c.at_ms), scope.where(cases))
    return nothing, nothing, nothing, reports.counted(scope, period)


def _between(
    told: tuple[ColumnElement[bool], ColumnElement[bool]],
) -> tuple[ColumnElement[Any], ColumnElement[Any], ColumnElement[bool]]:
    met, where = told
    return met, null(), where
