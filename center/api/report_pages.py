"""Reports: service indicators over a period."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse
from pydantic import AwareDatetime, BaseModel
from sqlalchemy import Connection

from center.access.scope import Scope
from center.api import items
from center.api.context import ApiError
from center.api.filters import moment_ms
from center.api.models import At, example
from center.api.proof import Reader, TheCenter
from center.domain import reports
from center.domain.cases_policy import DAY_MS
from center.domain.reports import Group, Period, Share

router = APIRouter(prefix="/api/v1")

Name = Literal[
    "times",
    "first_time_fix",
    "repeats",
    "false_alarms",
    "deflection",
    "promises",
    "deadlines",
    "arrivals",
    "tags",
    "top",
    "satisfaction",
]
_USUAL_MS: Final = 30 * DAY_MS
_MOST_MS: Final = 400 * DAY_MS
_PLAIN: Final[Mapping[str, Callable[[Connection, Scope, Period], Any]]] = {
    "times": reports.times,
    "first_time_fix": reports.first_time_fix,
    "repeats": reports.repeats,
    "false_alarms": reports.false_alarms,
    "deflection": reports.deflection,
    "promises": reports.promises,
    "deadlines": reports.deadlines,
    "arrivals": reports.arrivals,
    "tags": lambda *of: [dict(zip(("tag", "fault", "cases"), row, strict=True)) for row in reports.tags(*of)],
}
_GROUPED: Final[Mapping[str, Callable[[Connection, Scope, Period, Group], Any]]] = {
    "top": lambda *of: [dict(zip(("group", "fault", "cases"), row, strict=True)) for row in reports.top(*of)],
    "satisfaction": reports.satisfaction,
}


class Report(BaseModel):
    """One indicator. A share is {n, of, share}, null of none; a spread is {n, median_ms, p90_ms} in milliseconds."""

    model_config = example(
        report="first_time_fix",
        since="2026-10-22T00:00:00.000Z",
        until="2026-11-21T00:00:00.000Z",
        by=None,
        result={"n": 41, "of": 50, "share": 0.82},
    )
    report: str
    since: At
    until: At
    by: str | None
    result: Any


@router.get("/reports/{name}", response_model=Report)
def get_report(
    name: Name,
    center: TheCenter,
    who: Reader,
    since: Annotated[AwareDatetime | None, Query(description="30 days before `until` without it")] = None,
    until: Annotated[AwareDatetime | None, Query(description="Itself left out; now without it")] = None,
    by: Annotated[Group | None, Query(description="Of `top` and `satisfaction`; by fault without it")] = None,
) -> JSONResponse:
    """One indicator over a period of 400 days at most, of the caller's part of the fleet.

    `times`: from trouble to knowing, from opening to taking on, from knowing to working again, of cases opened in the
    period. `first_time_fix`: of cases closed after a visit, those with one visit and no return. `repeats`: of closed
    cases, those whose trouble came back within 30 days. `false_alarms`: of closed cases, those dismissed as false.
    `deflection`: of faults that a merchant can mend, those that never became a case. `promises`: promised times that
    were kept, by the first and by the last promise. `deadlines`: by clock, cases whose deadline was missed.
    `arrivals`: cases opened in each hour of the week, in UTC from Thursday 00:00. `tags`: cases by tag and fault.
    `top`: cases by group and fault. `satisfaction`: ratings by group, groups of fewer than three left out.
    """
    period = period_of(since, until, center.now_ms())
    if by is not None and name not in _GROUPED:
        raise ApiError(422, f"by: only {' and '.join(_GROUPED)} are by something")
    with center.database.read() as connection:
        if name in _GROUPED:
            by = by or "fault"
            result = _GROUPED[name](connection, who.scope, period, by)
        else:
            result = _PLAIN[name](connection, who.scope, period)
    span = {"since": items.at(period.from_ms), "until": items.at(period.until_ms)}
    return JSONResponse({"report": name, **span, "by": by, "result": _json(result)})


def period_of(since: datetime | None, until: datetime | None, now_ms: int) -> Period:
    """The period that is asked for. Raises ApiError 422."""
    until_ms = now_ms if until is None else moment_ms(until)
    period = Period(until_ms - _USUAL_MS if since is None else moment_ms(since), until_ms)
    if not 0 < period.until_ms - period.from_ms <= _MOST_MS:
        raise ApiError(422, "since: before until, by 400 days at most")
    return period


def _json(value: Any) -> Any:
    if is_dataclass(value):
        shown = {each.name: _json(getattr(value, each.name)) for each in fields(value)}
        return shown | {"share": value.share} if isinstance(value, Share) else shown
    if isinstance(value, Mapping):
        return {name: _json(each) for name, each in value.items()}
    return [_json(each) for each in value] if isinstance(value, list) else value
