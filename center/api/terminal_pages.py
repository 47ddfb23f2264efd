"""One terminal over time, for charts; and the search box, which finds it."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse
from pydantic import AwareDatetime, BaseModel

from center.api import items
from center.api.filters import Language, moment_ms
from center.api.models import At, example
from center.api.proof import Reader, TheCenter
from center.api.reads import Segment
from center.domain import find, series

router = APIRouter(prefix="/api/v1")

_USUAL_MS: Final = series.DAY_MS
Metric = Annotated[str, Query(pattern=r"^[A-Za-z0-9_.-]{1,200}$")]


class Line(BaseModel):
    """`points`: [minimum, mean, maximum] of each bucket, null where nobody knows; `unit` is "" for none."""

    metric: str
    unit: str
    points: list[list[float] | None]


class Series(BaseModel):
    """Buckets of `step_ms` from `start`. `basis` says what the points are made from."""

    model_config = example(
        start="2026-11-21T09:30:00.000Z",
        step_ms=300_000,
        basis="samples",
        series=[{"metric": "modem.rsrp_dbm", "unit": "dbm", "points": [[-101.0, -99.5, -97.0], None]}],
    )
    start: At
    step_ms: int
    basis: Literal["samples", "hours", "days"]
    series: list[Line]


@router.get("/terminals/{estate}/{terminal}/metrics")
def list_metrics(estate: Segment, terminal: Segment, center: TheCenter, who: Reader) -> JSONResponse:
    """The numbers that a terminal told within 30 days, with their units and the last of each."""
    with center.database.read() as connection:
        found = series.metrics(connection, who.scope, estate, terminal, center.now_ms())
    return JSONResponse({"items": [items.named(each) for each in found], "next": None})


@router.get("/terminals/{estate}/{terminal}/series", response_model=Series)
def get_series(
    estate: Segment,
    terminal: Segment,
    center: TheCenter,
    who: Reader,
    metric: Annotated[list[Metric], Query(min_length=1, max_length=series.MOST_METRICS)],
    since: Annotated[AwareDatetime | None, Query(description="A day before `until` without it")] = None,
    until: Annotated[AwareDatetime | None, Query(description="Now without it")] = None,
    points: Annotated[int, Query(ge=1, le=2000, description="Buckets at most")] = 300,
) -> JSONResponse:
    """Measurements for a chart, from samples for two days, from hours for two months, and from days beyond.

    A terminal tells a value when it changes, so a value holds until the next one, but not through an outage, a failed
    reading, or a silence that is unusual for it.
    """
    now_ms = center.now_ms()
    until_ms = now_ms if until is None else moment_ms(until)
    since_ms = until_ms - _USUAL_MS if since is None else moment_ms(since)
    keep_ms = center.settings.keep_telemetry_days * series.DAY_MS
    on = series.grid(since_ms, until_ms, points, now_ms, keep_ms)
    with center.database.read() as connection:
        lines = series.series(connection, who.scope, estate, terminal, list(dict.fromkeys(metric)), on, now_ms)
    return JSONResponse({"start": items.at(on.start_ms), "step_ms": on.step_ms, "basis": on.basis, "series": lines})


@router.get("/find")
def get_found(
    center: TheCenter,
    who: Reader,
    q: Annotated[str, Query(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f]+$")],
    language: Language = None,
) -> JSONResponse:
    """Terminals, sites, cases and incidents by part of a name, number or address: eight of each at most."""
    with center.database.read() as connection:
        found = find.find(connection, who.scope, q, language or who.language)
    shown: dict[str, Any] = {kind: [items.named(each) for each in rows] for kind, rows in found.items()}
    return JSONResponse(shown)
