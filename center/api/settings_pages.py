"""Settings as they were wished and as they are."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from center.api import items
from center.api.paging import DEFAULT_LIMIT, cut, decoded
from center.api.proof import Reader, TheCenter
from center.api.reads import Segment
from center.api.registry import Cursor, Limit
from center.domain import desired
from center.domain.heard import heard

router = APIRouter(prefix="/api/v1")


@router.get("/settings/drift")
def list_drift(center: TheCenter, who: Reader, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> JSONResponse:
    """Terminals where other settings are in force than those that were applied, by estate and name.

    `body` is what was wished, by whom and why stands beside it; `reported` is what the terminal says.
    """
    after = None if not cursor else tuple(decoded(cursor, [str, str]))
    with center.database.read() as connection:
        rows = desired.drift(connection, who.scope, after, limit + 1)
    return JSONResponse(cut(rows, limit, lambda row: (row["estate"], row["terminal"]), items.named))


@router.get("/settings/states")
def count_states(center: TheCenter, who: Reader) -> JSONResponse:
    """How many terminals' wished settings stand how: sent, tried, applied, drifted, rejected, rolled_back."""
    with center.database.read() as connection:
        return JSONResponse(desired.by_state(connection, who.scope))


@router.get("/terminals/{estate}/{terminal}/settings")
def list_settings(estate: Segment, terminal: Segment, center: TheCenter, who: Reader) -> JSONResponse:
    """Each version that was wished of a terminal, newest first: by whom, why, and what `changed`, [before, after]."""
    with center.database.read() as connection:
        heard(connection, who.scope, estate, terminal)
        rows = desired.history(connection, who.scope, estate, terminal)
    return JSONResponse({"items": [items.named(row) for row in rows], "next": None})
