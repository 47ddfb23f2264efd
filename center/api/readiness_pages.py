"""How ready each store is for a busy day: terminals by store, how many are ready, what is to do, and all as a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel
from sqlalchemy import Connection, select

from center.access.scope import Scope
from center.api.lookups import Name, one
from center.api.models import Page, example
from center.api.paging import DEFAULT_LIMIT, MOST, cut, decoded
from center.api.proof import Reader, TheCenter
from center.api.registry import Cursor, Limit
from center.db.tables import campaigns
from center.domain import campaigns_readiness
from center.domain.campaigns_readiness import State

router = APIRouter(prefix="/api/v1", tags=["campaigns"])

Key = tuple[str, str, str]
What = Annotated[
    str | None,
    Query(
        min_length=1,
        max_length=200,
        pattern=r"^[^\x00]+$",
        description="Only terminals that have this to do, as `failing` names it",
    ),
]
_CSV: Final = "text/csv"


class FailingItem(BaseModel):
    """Something to do, and at how many terminals: a fault, `settings`, what runs out, a part that was not checked.

    `check` is to do at each terminal that told nothing.
    """

    model_config = example(what="printer/paper_near_end", terminals=310)
    what: str
    terminals: int


@router.get("/campaigns/{name}/stores")
def list_stores(
    name: Name,
    center: TheCenter,
    who: Reader,
    state: Annotated[State | None, Query(description="Only terminals that are so, as `readiness` counts them")] = None,
    what: What = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> JSONResponse:
    """Terminals of a readiness campaign by store: `data` holds score, whether it is ready, and what is to do.

    The store is where it stood when it was chosen.
    """
    after = None if not cursor else tuple(decoded(cursor, [str, str, str]))
    with center.database.read() as connection:
        _require(connection, who.scope, name)
        rows = campaigns_readiness.stores(connection, who.scope, name, after, limit + 1, state=state, what=what)
    return JSONResponse(cut(rows, limit, _key, dict))


@router.get("/campaigns/{name}/readiness")
def count_ready(name: Name, center: TheCenter, who: Reader, what: What = None) -> JSONResponse:
    """Terminals of a readiness campaign that are ready, not_ready, unknown, and waiting to answer."""
    with center.database.read() as connection:
        _require(connection, who.scope, name)
        return JSONResponse(campaigns_readiness.summary(connection, who.scope, name, what))


@router.get("/campaigns/{name}/failing", response_model=Page[FailingItem])
def list_failing(name: Name, center: TheCenter, who: Reader) -> JSONResponse:
    """What is to do at the terminals of a readiness campaign: the 50 that most of them have, most first."""
    with center.database.read() as connection:
        _require(connection, who.scope, name)
        found = campaigns_readiness.failing(connection, who.scope, name)
    return JSONResponse({"items": found, "next": None})


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
