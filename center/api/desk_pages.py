"""What the desk looks at all day: the fault queue, how noisy each fault is, and what to do before something fails."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from center.access.roles import Who
from center.api import items
from center.api.context import ApiError
from center.api.desk_models import QueueItem
from center.api.filters import Language, Place, Word
from center.api.models import Page
from center.api.paging import DEFAULT_LIMIT, MOST, cut, decoded
from center.api.proof import Reader, TheCenter
from center.api.reads import Segment
from center.domain import knowledge, overview, queue
from center.domain.hours import HoursError

router = APIRouter(prefix="/api/v1")

FaultKey = Annotated[str, Query(pattern=r"^[a-z0-9_-]{1,64}/[a-z0-9_-]{1,64}$")]


class Queue(BaseModel):
    """Filters of the queue."""

    model_config = ConfigDict(extra="forbid")
    limit: int = Field(DEFAULT_LIMIT, ge=1, le=MOST, description="Items on a page at most")
    cursor: Annotated[str, Field(max_length=500)] | None = Field(None, description="`next` of the page before")
    owner: Place | None = Field(None, description="A name, `me`, or `none` for those that nobody has")
    severity: Literal["critical", "major", "minor", "warning"] | None = None
    unit: Word | None = None
    kind: Word | None = None
    region: Place | None = None
    site: Place | None = None
    operator: Place | None = None
    q: Place | None = Field(None, description="Words of the title, a terminal, site, owner or case number")
    parent: Place | None = Field(None, description="The parts of this incident; those of none without it")
    suppressed: bool | None = None
    ids: Annotated[str, Field(max_length=4000, pattern=r"^[a-z0-9-]+(,[a-z0-9-]+)*$")] | None = Field(
        None, description="Only these incidents, by commas: what a page reads anew when the stream told of them"
    )
    language: Language = None


@router.get("/queue", response_model=Page[QueueItem])
def get_queue(asked: Annotated[Queue, Query()], center: TheCenter, who: Reader) -> JSONResponse:
    """Open incidents, those that keep most merchants from selling first, each with its case and clock."""
    after = None if not asked.cursor else tuple(decoded(asked.cursor, [float, str]))
    with center.database.read() as connection:
        rows = queue.page(
            connection,
            who.scope,
            _wanted(asked, who),
            asked.language or who.language,
            center.policy,
            center.now_ms(),
            limit=asked.limit + 1,
            after=after,
        )
    return JSONResponse(cut(rows, asked.limit, lambda row: (float(row["impact"]), row["id"]), row_item))


def _wanted(asked: Queue, who: Who) -> queue.Wanted:
    owner = {"me": who.called, "none": ""}.get(asked.owner or "", asked.owner)
    same = ("severity", "unit", "kind", "region", "site", "operator", "parent", "suppressed")
    ids = None if asked.ids is None else asked.ids.split(",")
    return queue.Wanted(owner=owner, words=asked.q, ids=ids, **{name: getattr(asked, name) for name in same})


def row_item(row: dict[str, Any]) -> items.Item:
    case = row["case"]
    return items.named(row) | {"case": None if case is None else _case(case)}


def _case(case: dict[str, Any]) -> items.Item:
    plain = {name: case[name] for name in ("id", "number", "state", "team", "pause_reason")}
    times = {"eta": "eta_ms", "paused_since": "paused_since_ms", "updated_at": "updated_ms"}
    clock = None if case["clock"] is None else items.named(case["clock"])
    return plain | {name: items.at(case[column]) for name, column in times.items()} | {"clock": clock}


@router.get("/noise")
def get_noise(center: TheCenter, who: Reader) -> JSONResponse:
    """How often each fault was raised in each of the last 24 hours, the oldest first."""
    with center.database.read() as connection:
        return JSONResponse(overview.noise(connection, who.scope, center.now_ms()))


@router.get("/rhythm")
def get_rhythm(
    fault: FaultKey,
    center: TheCenter,
    who: Reader,
    timezone: Annotated[str, Query(max_length=64, pattern=r"^[A-Za-z0-9_+/-]+$")] = "UTC",
    days: Annotated[int, Query(ge=1, le=90)] = 28,
    special: Annotated[list[date] | None, Query(max_length=90, description="Promotions, holidays")] = None,
) -> JSONResponse:
    """When a fault is raised: `week` has 24 counts for each day from Monday, by local time; and special days apart."""
    with center.database.read() as connection:
        try:
            now_ms = center.now_ms()
            found = overview.rhythm(connection, who.scope, fault, timezone, now_ms, days, special or ())
        except HoursError as error:
            raise ApiError(422, f"timezone: {error}") from None
    return JSONResponse(found)


@router.get("/sites/{estate}/{site}/overview")
def get_site_overview(estate: Segment, site: str, center: TheCenter, who: Reader) -> JSONResponse:
    """One site: what is known of it, its terminals with their freshness, and its open incidents."""
    with center.database.read() as connection:
        found = overview.site(connection, who.scope, estate, site.replace("\x00", ""), center.now_ms())
    inside = {name: [items.named(each) for each in found[name]] for name in ("terminals", "incidents")}
    return JSONResponse(items.named(found) | inside)


@router.get("/preventive")
def list_preventive(
    center: TheCenter,
    who: Reader,
    language: Language = None,
    site: Place | None = None,
    limit: Annotated[int, Query(ge=1, le=MOST)] = 200,
) -> JSONResponse:
    """What to do before something fails, the oldest warning first, with the measurements that say so."""
    with center.database.read() as connection:
        found = knowledge.preventive(connection, who.scope, language or who.language, site=site, limit=limit)
    return JSONResponse({"items": [items.named(asdict(each)) for each in found], "next": None})
