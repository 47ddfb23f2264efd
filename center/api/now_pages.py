"""What a shift must not miss: cases whose next deadline is near."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse

from center.api import items
from center.api.filters import Language
from center.api.paging import MOST
from center.api.proof import Reader, TheCenter
from center.domain import due
from center.domain.cases_policy import MINUTE_MS

router = APIRouter(prefix="/api/v1")


@router.get("/overview/due")
def list_due(
    center: TheCenter,
    who: Reader,
    language: Language = None,
    minutes: Annotated[int, Query(ge=1, le=10_080, description="How far ahead")] = 60,
    limit: Annotated[int, Query(ge=1, le=MOST)] = 20,
) -> JSONResponse:
    """Cases that are not paused and whose next deadline is over or comes within so many minutes; that one first."""
    with center.database.read() as connection:
        found = due.soon(
            connection,
            who.scope,
            language or who.language,
            center.policy,
            center.now_ms(),
            within_ms=minutes * MINUTE_MS,
            limit=limit,
        )
    shown = [items.named(row) | {"clock": None if row["clock"] is None else items.named(row["clock"])} for row in found]
    return JSONResponse({"items": shown, "next": None})
