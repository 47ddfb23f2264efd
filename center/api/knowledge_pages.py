"""What is known about faults: runbooks, guides, and what helped. Guides are about kinds of devices, for everybody."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select

from center.access.roles import Who
from center.api import items
from center.api.context import ApiError, Center
from center.api.filters import Language
from center.api.lookups import Name, one
from center.api.models import At, Page, example
from center.api.paging import DEFAULT_LIMIT, MOST, Order, page
from center.api.proof import Reader, TheCenter, allowed, everywhere, record
from center.api.reads import Segment
from center.api.registry import Cursor, Limit
from center.db.tables import guides
from center.db.tables import remedies as tried
from center.domain import knowledge, remedies
from center.domain.knowledge import Audience, Guide
from center.domain.remedies import Basis

router = APIRouter(prefix="/api/v1/knowledge", tags=["knowledge"])

Author = Annotated[Who, Depends(allowed("knowledge.write"))]
Second = Annotated[Who, Depends(everywhere("knowledge.write"))]
Kind = Annotated[str, Query(max_length=200, pattern=r"^[^\x00-\x1f]*$")]
Text = Annotated[str, Field(max_length=20_000, pattern=r"^[^\x00]*$")]


class NewGuide(BaseModel):
    """A text about a fault; `model` and `firmware` "" are for all."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "fault": "printer/paper_out",
                    "language": "en",
                    "title": "No paper on the TM-T20",
                    "body": "The roll goes in with its end to the front.",
                    "model": "TM-T20",
                }
            ]
        },
    )
    fault: Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,64}/[a-z0-9_-]{1,64}$")]
    language: Literal["en", "zh"]
    title: Text
    body: Text
    audience: Audience = "agent"
    model: Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f]*$")] = ""
    firmware: Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f]*$")] = ""


class GuideItem(BaseModel):
    """A guide; one that ships with the product has `id` "" and version 0."""

    model_config = example(
        id="guide-01m8q0zk6v",
        fault="printer/paper_out",
        model="TM-T20",
        firmware="",
        language="en",
        audience="agent",
        title="No paper on the TM-T20",
        body="The roll goes in with its end to the front.",
        version=1,
        reviewed_at="2026-11-21T09:30:00.000Z",
        author="ann",
    )
    id: str
    fault: str
    model: str
    firmware: str
    language: str
    audience: str
    title: str
    body: str
    version: int
    reviewed_at: str | None
    author: str


class FaultKnowledge(BaseModel):
    """`runbook`: where to look, when to send whom with what. `remedies`: what helped, as `cases/{id}/remedies`."""

    fault: str
    runbook: dict[str, str]
    guide: GuideItem | None
    remedies: list[dict[str, Any]]


@router.get("/faults/{unit}/{kind}", response_model=FaultKnowledge)
def get_fault_knowledge(
    unit: Segment,
    kind: Segment,
    center: TheCenter,
    who: Reader,
    language: Language = None,
    audience: Audience = "agent",
    model: Kind = "",
    firmware: Kind = "",
) -> JSONResponse:
    """What is known about a fault, the closest to this model and firmware; remedies are of the caller's cases."""
    fault, spoken = f"{unit}/{kind}", language or who.language
    with center.database.read() as connection:
        guide = knowledge.guide_for(connection, fault, spoken, audience, model=model, firmware=firmware)
        found = remedies.success(connection, who.scope, f"{fault}|{model}", firmware)
    if guide is None:
        raise ApiError(404, "nothing is known about such a fault")
    book = asdict(knowledge.runbook(fault, spoken))
    told = [asdict(each) for each in found]
    return JSONResponse({"fault": fault, "runbook": book, "guide": _item(guide), "remedies": told})


class Tries(BaseModel):
    """Of which row of `remedies`: its own `basis`, `signature`, `firmware` and `remedy`; of all without that."""

    model_config = ConfigDict(extra="forbid")
    basis: Basis
    signature: Annotated[str, Field(max_length=400, pattern=r"^[^\x00-\x1f]+$")]
    firmware: Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f]*$")] = ""
    remedy: Annotated[str, Field(pattern=r"^[a-z_]{1,40}$")] | None = None
    settled: bool = Field(True, description="Those that worked or failed; without it those not settled yet")
    limit: int = Field(DEFAULT_LIMIT, ge=1, le=MOST)
    cursor: Annotated[str, Field(max_length=500)] | None = None


class TryItem(BaseModel):
    """A remedy as it was tried once. `case` and what belongs to it are null once the case is deleted."""

    model_config = example(
        id="remedy-01m8q0zk6v",
        case="case-01m8q0zk6v",
        number=1042,
        remedy="refilled",
        worked="yes",
        model="TM-T20",
        firmware="1.04",
        at="2026-11-21T09:30:00.000Z",
        estate="cn-east",
        terminal="t0001",
        site="s-12",
        fault="printer/paper_out",
        title="Printer: paper out",
    )
    id: str
    case: str | None
    number: int | None
    remedy: str
    worked: str
    model: str
    firmware: str
    at: At
    estate: str | None
    terminal: str | None
    site: str | None
    fault: str | None
    title: str | None


@router.get("/tries", response_model=Page[TryItem])
def list_tries(asked: Annotated[Tries, Query()], center: TheCenter, who: Reader) -> JSONResponse:
    """The tries behind the figures of a remedy, newest first: as many as `worked` and `failed` say, or `unknown`."""
    alike = (asked.basis, asked.signature, asked.firmware)
    found = remedies.tries(who.scope, *alike, asked.remedy, settled=asked.settled)
    order = Order((tried.c.id,), descending=True)
    with center.database.read() as connection:
        shown = page(connection, found, order, asked.cursor, asked.limit, lambda row: items.named(items.columns(row)))
    return JSONResponse(shown)


@router.get("/search")
def search_guides(
    center: TheCenter,
    who: Reader,
    words: Annotated[str, Query(min_length=1, max_length=200, pattern=r"^[^\x00]+$")],
    language: Language = None,
    limit: Limit = DEFAULT_LIMIT,
) -> JSONResponse:
    """Guides for agents that hold these words, those that were written here first."""
    with center.database.read() as connection:
        found = knowledge.search(connection, words, language or who.language, limit)
    return JSONResponse({"items": [_item(each) for each in found], "next": None})


@router.get("/guides")
def list_guides(
    center: TheCenter,
    _who: Reader,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
    state: Literal["draft", "approved", "retired"] | None = None,
    fault: Annotated[str | None, Query(max_length=130, pattern=r"^[a-z0-9_/-]+$")] = None,
) -> JSONResponse:
    """Guides that were written here, newest first, with drafts that wait for a second person."""
    statement = select(guides) if state is None else select(guides).where(guides.c.state == state)
    if fault is not None:
        statement = statement.where(guides.c.fault == fault)
    order = Order((guides.c.id,), descending=True)
    with center.database.read() as connection:
        return JSONResponse(page(connection, statement, order, cursor, limit, lambda row: items.plain(guides, row)))


@router.post("/guides", status_code=201)
def propose_guide(body: NewGuide, center: TheCenter, who: Author) -> JSONResponse:
    """A draft, of a next version where there is one already."""
    new = knowledge.propose(center.database, who=who, now_ms=center.now_ms(), **body.model_dump())
    return _written(center, who, "guide.propose", new, 201)


@router.post("/guides/{name}/approve")
def approve_guide(name: Name, center: TheCenter, who: Second) -> JSONResponse:
    """Put a draft into force, in place of the version before it; by somebody else than its author."""
    knowledge.approve(center.database, name, who=who, now_ms=center.now_ms())
    return _written(center, who, "guide.approve", name, 200)


def _written(center: Center, who: Who, what: str, name: str, status: int) -> JSONResponse:
    with center.database.begin() as connection:
        row = one(connection, select(guides).where(guides.c.id == name), "guide")
        record(connection, center, who, what, name, {"fault": row.fault, "version": row.version})
    return JSONResponse(items.plain(guides, row), status)


def _item(guide: Guide) -> items.Item:
    return items.named(asdict(guide))
