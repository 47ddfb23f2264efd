"""Messages to the merchants of many sites: of an incident, a maintenance window or an audience; whom they reached."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection, select

from center.access.roles import Who
from center.api import items
from center.api.context import ApiError, Center
from center.api.filters import Place
from center.api.lookups import Name
from center.api.models import At, Page, example
from center.api.paging import Order, page
from center.api.proof import Reader, TheCenter, allowed
from center.api.registry import Cursor, Limit
from center.db.tables import broadcast_sites, broadcasts
from center.domain import broadcast
from center.domain.refusal import Refusal

router = APIRouter(prefix="/api/v1", tags=["merchants"])

Lead = Annotated[Who, Depends(allowed("suppress"))]
Text = Annotated[str, Field(min_length=1, max_length=broadcast.LONGEST, pattern=r"^[^\x00]*\S[^\x00]*$")]
State = Literal["waiting", "sent", "read", "failed", "unreachable", "cancelled"]


class Texts(BaseModel):
    """What merchants read, each in the language of their site."""

    model_config = ConfigDict(extra="forbid")
    en: Text
    zh: Text


class NewBroadcast(BaseModel):
    """Of one of the three. A maintenance window brings its own text with its times; the others need `texts`."""

    model_config = ConfigDict(extra="forbid")
    incident: Place | None = None
    suppression: Place | None = None
    audience: dict[str, Any] | None = Field(None, description="As that of a campaign")
    texts: Texts | None = None


class BroadcastAudience(BaseModel):
    """One of the two."""

    model_config = ConfigDict(extra="forbid")
    audience: dict[str, Any] | None = Field(None, description="As that of a campaign")
    incident: Place | None = None


class BroadcastReach(BaseModel):
    """`without_contact` of `sites`: nobody there has a telephone number or a mail address."""

    model_config = example(terminals=240, sites=96, without_contact=4)
    terminals: int
    sites: int
    without_contact: int


class Cancel(BaseModel):
    model_config = ConfigDict(extra="forbid")
    reason: Text


class BroadcastItem(BaseModel):
    """`sites`: how many of those inside of the caller's scope are in which state."""

    model_config = example(
        id="cast-01m8q0zk6v",
        kind="message",
        incident="inc-01m8q0zk6v",
        suppression=None,
        audience=None,
        texts={"en": "The network is down. We are on it.", "zh": "网络故障，正在处理。"},
        terminals_n=3,
        by="ann",
        created_at="2026-11-21T09:30:00.000Z",
        cancelled_by=None,
        cancelled_at=None,
        cancel_reason=None,
        sites={"waiting": 0, "sent": 1, "read": 1, "failed": 0, "unreachable": 1, "cancelled": 0},
    )
    id: str
    kind: Literal["maintenance", "message"]
    incident: str | None
    suppression: str | None
    audience: Any
    texts: dict[str, str] | None
    terminals_n: int
    by: str
    created_at: At
    cancelled_by: str | None
    cancelled_at: At | None
    cancel_reason: str | None
    sites: dict[State, int]


class BroadcastSite(BaseModel):
    """`read_at`: when somebody first opened the link in this site's copy; some mail programs do that by themselves."""

    estate: str
    site: str
    name: str | None
    state: State
    why: str
    read_at: At | None


@router.post("/broadcasts", response_model=BroadcastItem, status_code=201)
def begin_broadcast(body: NewBroadcast, center: TheCenter, who: Lead) -> JSONResponse:
    """Tell the merchants, each site's contacts by the channels that tell contacts."""
    given = [name for name in ("incident", "suppression", "audience") if getattr(body, name) is not None]
    if len(given) != 1:
        raise ApiError(422, "give one of incident, suppression or audience")
    if (body.texts is None) != (body.suppression is not None):
        raise ApiError(422, "texts: a maintenance window brings its own, the others need them")
    texts = body.texts.model_dump() if body.texts else {}
    database, now_ms, page_of = center.database, center.now_ms(), center.policy.notice_page
    if body.suppression is not None:
        new = broadcast.of_maintenance(database, who, body.suppression, now_ms, page_of)
    elif body.incident is not None:
        new = broadcast.of_incident(database, who, body.incident, texts, now_ms, page_of)
    else:
        new = broadcast.of_audience(database, who, body.audience or {}, texts, now_ms, page_of)
    return JSONResponse(_shown(center, who, new), 201)


@router.post("/broadcasts/reach", response_model=BroadcastReach)
def count_broadcast(body: BroadcastAudience, center: TheCenter, who: Lead) -> JSONResponse:
    """How many sites a message to an audience or of an incident would be for now. Nobody is told, nothing is kept."""
    if (body.audience is None) == (body.incident is None):
        raise ApiError(422, "give one of incident or audience")
    return JSONResponse(broadcast.reach(center.database, who, body.audience, body.incident))


@router.get("/broadcasts", response_model=Page[BroadcastItem])
def list_broadcasts(center: TheCenter, who: Reader, limit: Limit = 20, cursor: Cursor = None) -> JSONResponse:
    """Those that reached into the caller's scope, newest first."""
    with center.database.read() as connection:
        query = select(broadcasts).where(broadcast.within(who.scope))
        order = Order((broadcasts.c.id,), descending=True)
        found = page(connection, query, order, cursor, limit, lambda row: items.plain(broadcasts, row))
        told = broadcast.counts(connection, who.scope, [each["id"] for each in found["items"]])
    for each in found["items"]:
        each["sites"] = told.get(each["id"]) or dict.fromkeys(broadcast.STATES, 0)
    return JSONResponse(found)


@router.get("/broadcasts/{name}", response_model=BroadcastItem)
def get_broadcast(name: Name, center: TheCenter, who: Reader) -> JSONResponse:
    """One message, and how far it is."""
    return JSONResponse(_shown(center, who, name))


@router.post("/broadcasts/{name}/cancel", response_model=BroadcastItem)
def cancel_broadcast(name: Name, body: Cancel, center: TheCenter, who: Lead) -> JSONResponse:
    """Tell nobody more. Whoever was told stays `sent`, and what is being sent at this moment still arrives."""
    broadcast.cancel(center.database, who, name, body.reason, center.now_ms())
    return JSONResponse(_shown(center, who, name))


@router.get("/broadcasts/{name}/sites", response_model=Page[BroadcastSite])
def list_broadcast_sites(
    name: Name,
    center: TheCenter,
    who: Reader,
    state: Annotated[State | None, Query()] = None,
    limit: Limit = 200,
    cursor: Cursor = None,
) -> JSONResponse:
    """Each site, and why somebody could not be reached; by estate and name."""
    query = broadcast.sites_of(name, who.scope)
    if state is not None:
        query = query.where(broadcast.in_state(state))
    order = Order((broadcast_sites.c.estate, broadcast_sites.c.site))
    with center.database.read() as connection:
        found = page(connection, query, order, cursor, limit, lambda row: items.named(items.columns(row)))
        if not found["items"]:
            _one(connection, who, name)
    return JSONResponse(found)


def _shown(center: Center, who: Who, name: str) -> items.Item:
    with center.database.read() as connection:
        return _one(connection, who, name)


def _one(connection: Connection, who: Who, name: str) -> items.Item:
    row = connection.execute(select(broadcasts).where(broadcasts.c.id == name)).first()
    told = broadcast.counts(connection, who.scope, [name])
    if row is None or not told:
        raise Refusal("not_found", "there is no such broadcast")
    return items.plain(broadcasts, row) | {"sites": told[name]}
