"""Terminals out of the fleet: retire one, and read of those that are."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Row

from center.access.roles import Who
from center.api import items
from center.api.filters import Place, Word
from center.api.models import Page, RetiredItem
from center.api.paging import DEFAULT_LIMIT, Order, page
from center.api.proof import Reader, TheCenter, allowed, record
from center.api.reads import Segment
from center.api.registry import Cursor, Limit
from center.db.tables import retired
from center.domain.heard import gone, retirement, told
from center.domain.retirement import retire

router = APIRouter(prefix="/api/v1")

Mover = Annotated[Who, Depends(allowed("place.write"))]


class Retirement(BaseModel):
    """Why, and which terminal stands in its place, if one does: it takes over a place that it has none of."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"reason": "water in the housing", "successor": "t0002"}]}
    )
    reason: str = Field(min_length=1, max_length=2000)
    successor: Word | None = Field(None, description="Of the same estate, and heard of")


@router.post("/terminals/{estate}/{terminal}/retire", response_model=RetiredItem)
def retire_terminal(
    estate: Segment, terminal: Segment, body: Retirement, center: TheCenter, who: Mover
) -> JSONResponse:
    """Take a terminal out of the fleet. Its log stays readable; what stands because of it ends.

    It must be out of contact. If it speaks again it is back by itself, and says so.
    """
    detail = {"reason": body.reason, "successor": body.successor}
    retire(
        center.database,
        center.policy,
        who,
        (estate, terminal),
        body.reason,
        body.successor,
        center.now_ms(),
        lambda connection: record(connection, center, who, "terminal.retire", f"{estate}/{terminal}", detail),
    )
    with center.database.read() as connection:
        found = retirement(connection, estate, terminal)
    return JSONResponse(items.named(found or {}))


@router.get("/retired", response_model=Page[RetiredItem])
def list_retired(
    center: TheCenter,
    who: Reader,
    estate: Word | None = None,
    site: Annotated[Place | None, Query(description="Where it stood")] = None,
    successor: Word | None = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> JSONResponse:
    """Terminals that are out of the fleet, those that went last first."""
    given = {"estate": estate, "site": site, "successor": successor}
    conditions = [retired.c[name] == value for name, value in given.items() if value is not None]
    order = Order((retired.c.retired_ms, retired.c.estate, retired.c.terminal), descending=True)
    with center.database.read() as connection:
        found = page(connection, gone(who.scope, *conditions), order, cursor, limit, _item)
    return JSONResponse(found)


def _item(row: Row[Any]) -> items.Item:
    return items.named(told(row._mapping))  # noqa: SLF001 - by design so named
