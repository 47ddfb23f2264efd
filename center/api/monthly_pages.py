"""The monthly report: service targets, whether they were kept, and what is used of their error budgets."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from center.api import items
from center.api.context import ApiError
from center.api.models import At, example
from center.api.proof import Reader, TheCenter
from center.domain.monthly import month_of, monthly

router = APIRouter(prefix="/api/v1")


class Kept(BaseModel):
    """One target. The budget is what it leaves: `allowed` of `of` may miss, `used` is the share that did."""

    name: str
    target: float
    share: float | None = Field(description="The share that was good; null of none")
    missed: int
    of: int
    allowed: float
    used: float | None = Field(description="Above 1 once the budget is overdrawn; null of none")
    kept: bool | None


class Monthly(BaseModel):
    """`over` is false while the month is under way, and then `until` is now."""

    model_config = example(
        month="2026-10",
        over=True,
        timezone="Asia/Shanghai",
        since="2026-09-30T16:00:00.000Z",
        until="2026-10-31T16:00:00.000Z",
        targets=[
            {
                "name": "first_response",
                "target": 0.95,
                "share": 0.97,
                "missed": 6,
                "of": 200,
                "allowed": 10.0,
                "used": 0.6,
                "kept": True,
            }
        ],
    )
    month: str
    over: bool
    timezone: str
    since: At
    until: At
    targets: list[Kept]


@router.get("/reports/monthly", response_model=Monthly)
def get_monthly(
    center: TheCenter,
    who: Reader,
    month: Annotated[
        str, Query(pattern=r"^(20\d\d-(0[1-9]|1[0-2]))?$", description="Such as 2026-11; the present one without it")
    ] = "",
) -> JSONResponse:
    """One month of the caller's part of the fleet against the targets of the policy file, in the office's time zone.

    `first_response`, `update` and `solve`: cases opened in the month whose deadline was kept. `promise`: cases solved
    whose last promised time was kept. `first_time_fix`: cases closed after one visit that did not come back.
    `no_return`: closed cases whose trouble did not come back within 30 days. `true_alarm`: closed cases that were no
    false alarm.
    """
    timezone = center.policy.office_timezone
    try:
        found = month_of(month, timezone, center.now_ms())
    except ValueError as error:
        raise ApiError(422, f"month: {error}") from None
    with center.database.read() as connection:
        targets: list[dict[str, Any]] = monthly(connection, who.scope, center.policy, found.period)
    span = {"since": items.at(found.period.from_ms), "until": items.at(found.period.until_ms)}
    return JSONResponse({"month": found.name, "over": found.over, "timezone": timezone, **span, "targets": targets})
