"""Settings as they were wished and as they are, and how ready each store is for a busy day."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from sqlalchemy import Connection, select

from center.access.scope import Scope
from center.api import items
from center.api.lookups import Name, one
from center.api.paging import DEFAULT_LIMIT, MOST, cut, decoded
from center.api.proof import Reader, TheCenter
from center.api.reads import Segment
from center.api.registry import Cursor, Limit
from center.db.tables import campaigns
from center.domain import campaigns_readiness, desired
from center.domain.heard import heard

router = APIRouter(prefix="/api/v1")

Key = tuple[str, str, str]
_CSV: Final = "text/csv"


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


@router.get("/campaigns/{name}/stores")
def list_stores(
    name: Name, center: TheCenter, who: Reader, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> JSONResponse:
    """Terminals of a readiness campaign by store: `data` holds score, whether it is ready, and what is to do."""
    after = None if not cursor else tuple(decoded(cursor, [str, str, str]))
    with center.database.read() as connection:
        _require(connection, who.scope, name)
        rows = campaigns_readiness.stores(connection, who.scope, name, after, limit + 1)
    return JSONResponse(cut(rows, limit, _key, dict))


@router.get("/campaigns/{name}/readiness")
def count_ready(name: Name, center: TheCenter, who: Reader) -> JSONResponse:
    """Terminals of a readiness campaign that are ready, not_ready, unknown, and waiting to answer."""
    with center.database.read() as connection:
        _require(connection, who.scope, name)
        return JSONResponse(campaigns_readiness.summary(connection, who.scope, name))


@router.get(
    "/campaigns/{name}/export",
    response_class=Response,
    responses={200: {"content": {_CSV: {"schema": {"type": "string"}}}, "description": "A line for each thing to do"}},
)
def export_stores(name: Name, center: TheCenter, who: Reader) -> Response:
    """The to-do lists of a readiness campaign as CSV, to hand out."""
    with center.database.read() as connection:
        _require(connection, who.scope, name)
        text = campaigns_readiness.export(_all(connection, who.scope, name))
    headers = {"content-disposition": f'attachment; filename="{name}.csv"'}
    return Response(text, media_type=_CSV, headers=headers)


def _require(connection: Connection, scope: Scope, name: str) -> None:
    one(connection, select(campaigns.c.id).where(campaigns.c.id == name, scope.where(campaigns)), "campaign")


def _all(connection: Connection, scope: Scope, name: str) -> Iterator[Mapping[str, Any]]:
    after: Key | None = None
    while rows := campaigns_readiness.stores(connection, scope, name, after, MOST):
        yield from rows
        after = _key(rows[-1])


def _key(row: Mapping[str, Any]) -> Key:
    return row["estate"], row["site"] or "", row["terminal"]
