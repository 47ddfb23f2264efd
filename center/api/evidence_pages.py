"""Evidence of disputed periods, and the overview that a desk begins its day with."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Depends, Query
from fastapi.responses import FileResponse, JSONResponse, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy import select

from center.access.roles import Who
from center.api import filters, items
from center.api.actions import Reason
from center.api.filters import Place, Placed, Word, moment_ms
from center.api.lookups import Name
from center.api.paging import Order, page
from center.api.proof import Reader, TheCenter, allowed, record
from center.api.reads import Segment
from center.db.tables import evidence
from center.domain import overview
from center.domain.evidence import Wanted

router = APIRouter(prefix="/api/v1")

Shared = Literal["estate", "region", "operator", "cell"]
Witness = Annotated[Who, Depends(allowed("evidence"))]


class Dispute(BaseModel):
    """A period of a terminal: to `hold`, so that nothing of it is deleted, or to `seal` into a pack once it is over."""

    model_config = ConfigDict(extra="forbid")
    what: Literal["hold", "seal"]
    estate: Word
    terminal: Word
    from_: AwareDatetime = Field(alias="from")
    until: AwareDatetime
    hold_until: AwareDatetime | None = None
    reason: str = Field(max_length=2000)
    case: Place | None = None


@router.get("/evidence")
def list_evidence(query: Annotated[Placed, Query()], center: TheCenter, who: Witness) -> JSONResponse:
    """Holds and packs, `size` in bytes, newest first. `since` and `until`: of their making."""
    conditions = [*filters.of_terminal(evidence, query), *filters.between(evidence.c.at_ms, query)]
    if query.unit or query.kind:
        conditions.append(evidence.c.id.is_(None))
    statement = select(evidence).where(who.scope.where(evidence), *conditions)
    order = Order((evidence.c.at_ms, evidence.c.id), descending=True)
    leave_out = frozenset({"path"})

    def shown(row: Any) -> items.Item:
        return items.plain(evidence, row, leave_out) | {"size": center.evidence.size(row.path)}

    with center.database.read() as connection:
        return JSONResponse(page(connection, statement, order, query.cursor, query.limit, shown))


@router.post("/evidence", status_code=201)
def make_evidence(body: Dispute, center: TheCenter, who: Witness) -> JSONResponse:
    """Hold a period, or seal a pack of it."""
    wanted = Wanted(
        estate=body.estate,
        terminal=body.terminal,
        from_ms=moment_ms(body.from_),
        until_ms=moment_ms(body.until),
        reason=body.reason,
        hold_until_ms=None if body.hold_until is None else moment_ms(body.hold_until),
        case_id=body.case,
    )
    make = center.evidence.hold if body.what == "hold" else center.evidence.seal
    return JSONResponse({"id": make(who, wanted, center.now_ms())}, 201)


@router.post("/evidence/{name}/release", status_code=204)
def release_evidence(name: Name, body: Reason, center: TheCenter, who: Witness) -> Response:
    """Hold it no longer."""
    center.evidence.release(who, name, body.reason, center.now_ms())
    return Response(status_code=204)


@router.get("/evidence/{name}/verify")
def verify_evidence(name: Name, center: TheCenter, who: Witness) -> JSONResponse:
    """Whether the pack on the disk is as it was sealed; `problems` is empty then."""
    found = center.evidence.verify(who, name)
    shown = {"digest": found.digest, "fingerprint": found.fingerprint, "vouched": found.vouched}
    return JSONResponse(shown | {"problems": found.problems, "manifest": found.manifest})


@router.get(
    "/evidence/{name}/pack",
    response_class=FileResponse,
    responses={200: {"content": {"application/zip": {}}, "description": "The pack"}},
)
def get_pack(name: Name, center: TheCenter, who: Witness) -> FileResponse:
    """The sealed pack, a ZIP that the independent verifier reads."""
    path = center.evidence.file(who, name)
    with center.database.begin() as connection:
        record(connection, center, who, "evidence.fetch", name)
    return FileResponse(path, media_type="application/zip", filename=f"{name}.zip")


@router.get("/overview")
def get_overview(center: TheCenter, who: Reader) -> JSONResponse:
    """How the fleet is now: who can sell, how fresh that is, what is open and due, and what troubles the center."""
    with center.database.read() as connection:
        return JSONResponse(items.in_words(overview.now(connection, who.scope, center.now_ms())))


@router.get("/overview/shares")
def get_shares(center: TheCenter, who: Reader, by: Shared = "region") -> JSONResponse:
    """Terminals of each estate, region, operator or cell, and which share is offline or cannot sell; worst first."""
    with center.database.read() as connection:
        return JSONResponse({"items": overview.shares(connection, who.scope, by), "next": None})


@router.get("/overview/map", response_class=JSONResponse)
def get_map(
    center: TheCenter,
    who: Reader,
    by: Shared | None = None,
    key: Annotated[Place | None, Query(description="Only terminals of this region, operator or the like")] = None,
) -> Response:
    """Sites with a place on the map, how many terminals each has and how many in trouble; the most troubled first.

    With `by` each site is there once for each `key` that its terminals are of. `unplaced` are terminals at sites whose
    place is not known; with `cut` there are more sites than these.
    """
    with center.database.read() as connection:
        found = overview.on_map(connection, who.scope, by=by, key=key)
    told = {"items": found.sites, "next": None, "unplaced": found.unplaced, "cut": found.cut}
    return Response(orjson.dumps(told), media_type="application/json")  # of megabytes, in a fifth of the time


@router.get("/terminals/{estate}/{terminal}/timeline")
def get_timeline(estate: Segment, terminal: Segment, center: TheCenter, who: Reader) -> JSONResponse:
    """What befell a terminal in seven days."""
    with center.database.read() as connection:
        told = overview.timeline(connection, who.scope, estate, terminal, center.now_ms())
    return JSONResponse({"items": items.in_words(told), "next": None})
