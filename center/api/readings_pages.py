"""What a terminal measured last, and what became of its parts."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from center.api import items
from center.api.models import At, Json, Page, example
from center.api.proof import Reader, TheCenter
from center.api.reads import Segment
from center.domain import inspection, readings

router = APIRouter(prefix="/api/v1")


class ReadingItem(BaseModel):
    """The last that was said of a metric: a value, or null and the cause in `error`; `at` by the terminal's clock."""

    model_config = example(metric="modem.rsrp_dbm", unit="dbm", value=-97, error=None, at="2026-11-21T09:30:00.000Z")
    metric: str
    unit: str
    value: float | bool | str | None
    error: str | None
    at: At


class PartEvent(BaseModel):
    """Something that befell a part: swapped, inspected, opened, updated."""

    model_config = example(
        event="device.swapped", at="2026-11-21T09:30:00.000Z", data={"device": "printer", "announced": False}
    )
    event: str
    at: At
    data: Json | None


@router.get("/terminals/{estate}/{terminal}/readings", response_model=Page[ReadingItem])
def list_readings(estate: Segment, terminal: Segment, center: TheCenter, who: Reader) -> JSONResponse:
    """What a terminal last said of each of its metrics, those that could not be read with the cause."""
    with center.database.read() as connection:
        found = readings.latest(connection, who.scope, estate, terminal)
    return JSONResponse({"items": [items.named(each) for each in found], "next": None})


@router.get("/terminals/{estate}/{terminal}/history", response_model=Page[PartEvent])
def list_history(estate: Segment, terminal: Segment, center: TheCenter, who: Reader) -> JSONResponse:
    """Parts, seals and firmware: what happened to them, newest first; the last 200 events."""
    with center.database.read() as connection:
        found = inspection.sheet(connection, who.scope, estate, terminal).history
    return JSONResponse({"items": [items.named(each) for each in found], "next": None})
