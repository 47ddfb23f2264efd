"""Incidents regrouped by hand: one made a part of another, terminals taken out, and either undone."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from center.access.roles import Who
from center.api import items
from center.api.actions import Reason
from center.api.context import ApiError, Center
from center.api.filters import Place
from center.api.lookups import Name
from center.api.models import At, Page, example
from center.api.proof import Reader, TheCenter, allowed
from center.domain import regroup

router = APIRouter(prefix="/api/v1/incidents/{name}", tags=["incidents"])

Desk = Annotated[Who, Depends(allowed("incident.write"))]
Terminal = Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,64}\.[a-z0-9_-]{1,64}$")]


class Merge(Reason):
    """`into` becomes the parent."""

    into: Place


class Split(Reason):
    """Terminals as `estate.terminal`."""

    terminals: list[Terminal] = Field(min_length=1, max_length=regroup.MOST_TERMINALS)


class RegroupingItem(BaseModel):
    """`members`: estate, terminal and fault of each that was taken out, those inside of the caller's scope.

    `waits`: it is written down, and will be carried out within a moment.
    """

    model_config = example(
        id="regroup-01m8q0zk6v",
        kind="merge",
        incident="inc-01m8q0zk6v",
        into="inc-01m8q0zk5a",
        members=[],
        reason="the same switch feeds both",
        by="ann",
        at="2026-11-21T09:30:00.000Z",
        undone_by=None,
        undone_at=None,
        waits=False,
    )
    id: str
    kind: str
    incident: str
    into: str | None
    members: list[list[str]]
    reason: str
    by: str
    at: At
    undone_by: str | None
    undone_at: At | None
    waits: bool


@router.get("/regroupings", response_model=Page[RegroupingItem])
def list_regroupings(name: Name, center: TheCenter, who: Reader) -> JSONResponse:
    """What people did about the grouping of an incident, oldest first."""
    with center.database.read() as connection:
        found = regroup.listed(connection, who.scope, name)
    return JSONResponse({"items": [items.named(each) for each in found], "next": None})


@router.post("/merge", response_model=RegroupingItem, status_code=201)
def merge(name: Name, body: Merge, center: TheCenter, who: Desk) -> JSONResponse:
    """Make it a part of another incident, with a reason."""
    return _one(center, who, name, regroup.merge(center.database, who, name, body.into, body.reason, center.now_ms()))


@router.post("/split", response_model=RegroupingItem, status_code=201)
def split(name: Name, body: Split, center: TheCenter, who: Desk) -> JSONResponse:
    """Take terminals out of it, into incidents of their own, with a reason. They do not come back by themselves."""
    terminals = [(each.partition(".")[0], each.partition(".")[2]) for each in body.terminals]
    new = regroup.split(center.database, who, name, terminals, body.reason, center.now_ms())
    return _one(center, who, name, new)


@router.post("/regroupings/{act}/undo", response_model=RegroupingItem)
def undo(name: Name, act: Name, center: TheCenter, who: Desk) -> JSONResponse:
    """Take it back."""
    regroup.undo(center.database, who, name, act, center.now_ms())
    return _one(center, who, name, act, 200)


def _one(center: Center, who: Who, name: str, act: str, status: int = 201) -> JSONResponse:
    with center.database.read() as connection:
        found = {each["id"]: each for each in regroup.listed(connection, who.scope, name)}
    if act not in found:
        raise ApiError(404, "there is no such regrouping")
    return JSONResponse(items.named(found[act]), status)
