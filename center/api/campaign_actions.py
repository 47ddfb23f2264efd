"""What people do with campaigns and incidents."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import not_, select

from center.access.roles import Who
from center.api import items
from center.api.actions import Reason
from center.api.case_actions import THERE, Key, opened, opener
from center.api.context import ApiError, Center
from center.api.filters import Language
from center.api.lookups import Name, one
from center.api.proof import TheCenter, allowed
from center.api.work_models import CampaignItem, CaseItem, IncidentItem
from center.db.tables import campaigns, incident_members, incidents
from center.domain import incident_acts
from center.domain.campaigns import HALT_SHARE, Plan
from center.domain.incident_texts import operator_text

router = APIRouter(prefix="/api/v1")

Manager = Annotated[Who, Depends(allowed("campaign.write"))]
Second = Annotated[Who, Depends(allowed("campaign.approve"))]
Desk = Annotated[Who, Depends(allowed("incident.write"))]


class NewCampaign(BaseModel):
    """The same for many terminals. What `audience`, `args`, `waves` and `pace` hold: center/domain/campaigns*.py."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "name": "Readiness before the holiday",
                    "kind": "check",
                    "audience": {"estates": ["cn-east"]},
                    "reason": "the busy days begin on Friday",
                    "args": {"level": "internal"},
                }
            ]
        },
    )
    name: str = Field(max_length=200)
    kind: str = Field(max_length=20)
    audience: dict[str, Any]
    reason: str = Field(max_length=2000)
    args: dict[str, Any] = Field(default_factory=dict)
    waves: list[dict[str, Any]] = Field(default_factory=list, max_length=50)
    pace: dict[str, Any] = Field(default_factory=dict)
    halt_share: float = Field(HALT_SHARE, ge=0, le=1)


class Owner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    owner: str = Field(min_length=1, max_length=200, description="An account that may work on the incident")
    external: bool = Field(False, description="The owner has no account here")


@router.post("/campaigns", response_model=CampaignItem, status_code=201)
def create_campaign(body: NewCampaign, center: TheCenter, who: Manager) -> JSONResponse:
    """A draft, or one that waits for a second person."""
    return _campaign(center, center.campaigns.create(who, Plan(**body.model_dump()), center.now_ms()), 201)


@router.post("/campaigns/{name}/approve", response_model=CampaignItem)
def approve_campaign(name: Name, center: TheCenter, who: Second) -> JSONResponse:
    """The second person's yes: it may be started."""
    center.campaigns.approve(who, name, center.now_ms())
    return _campaign(center, name)


@router.post("/campaigns/{name}/start", response_model=CampaignItem)
def start_campaign(name: Name, center: TheCenter, who: Manager) -> JSONResponse:
    """From a draft to its first wave."""
    center.campaigns.start(who, name, center.now_ms())
    return _campaign(center, name)


@router.post("/campaigns/{name}/pause", response_model=CampaignItem)
def pause_campaign(name: Name, body: Reason, center: TheCenter, who: Manager) -> JSONResponse:
    """No further terminal is asked."""
    center.campaigns.pause(who, name, body.reason, center.now_ms())
    return _campaign(center, name)


@router.post("/campaigns/{name}/resume", response_model=CampaignItem)
def resume_campaign(name: Name, center: TheCenter, who: Manager) -> JSONResponse:
    """Go on, after a pause or a halt."""
    center.campaigns.resume(who, name, center.now_ms())
    return _campaign(center, name)


@router.post("/campaigns/{name}/cancel", response_model=CampaignItem)
def cancel_campaign(name: Name, body: Reason, center: TheCenter, who: Manager) -> JSONResponse:
    """It ends here."""
    center.campaigns.cancel(who, name, body.reason, center.now_ms())
    return _campaign(center, name)


@router.post("/campaigns/{name}/roll_back", response_model=CampaignItem, status_code=201)
def roll_back_campaign(name: Name, body: Reason, center: TheCenter, who: Manager) -> JSONResponse:
    """A draft that gives each terminal the settings back that it had before."""
    return _campaign(center, center.campaigns.roll_back(who, name, body.reason, center.now_ms()), 201)


@router.post("/incidents/{name}/acknowledge", response_model=IncidentItem)
def acknowledge_incident(name: Name, center: TheCenter, who: Desk) -> JSONResponse:
    """Take it on."""
    incident_acts.acknowledge(center.database, who, name, center.now_ms())
    return _incident(center, name)


@router.post("/incidents/{name}/assign", response_model=IncidentItem)
def assign_incident(name: Name, body: Owner, center: TheCenter, who: Desk) -> JSONResponse:
    """Give it to somebody, which acknowledges it."""
    incident_acts.assign(center.database, who, name, body.owner, center.now_ms(), external=body.external)
    return _incident(center, name)


@router.post("/incidents/{name}/release", response_model=IncidentItem)
def release_incident(name: Name, center: TheCenter, who: Desk) -> JSONResponse:
    """Nobody's again."""
    incident_acts.release(center.database, who, name, center.now_ms())
    return _incident(center, name)


@router.post("/incidents/{name}/case", response_model=CaseItem, status_code=201, responses=THERE)
def open_case_of_incident(
    name: Name, center: TheCenter, who: Annotated[Who, Depends(allowed("case.write"))], idempotency_key: Key = None
) -> JSONResponse:
    """Open the case of an open incident, with all terminals that are in it; 200 with the one that is there."""
    case, is_new = center.cases.open_of(opener(center, who, "case.open", idempotency_key), name)
    return opened(center, who, case["id"], is_new)


class OperatorText(BaseModel):
    """What is handed to an operator: numbers, cells and times, no name and no contact of a merchant."""

    subject: str
    text: str


@router.get("/incidents/{name}/operator-text", response_model=OperatorText)
def get_operator_text(name: Name, center: TheCenter, who: Desk, language: Language = None) -> JSONResponse:
    """Subject and text of a trouble report to a network operator, for those whose scope holds all of the incident."""
    with center.database.read() as connection:
        one(connection, select(incidents.c.id).where(incidents.c.id == name, who.scope.where(incidents)), "incident")
        foreign = incident_members.c.incident_id == name, not_(who.scope.where(incident_members))
        if connection.execute(select(incident_members.c.terminal).where(*foreign).limit(1)).first() is not None:
            raise ApiError(403, "this incident reaches further than what is yours")
        subject, text = operator_text(connection, who.scope, name, language or who.language)
    return JSONResponse({"subject": subject, "text": text})


def _campaign(center: Center, name: str, status: int = 200) -> JSONResponse:
    with center.database.read() as connection:
        row = one(connection, select(campaigns).where(campaigns.c.id == name), "campaign")
    return JSONResponse(items.campaign(row), status)


def _incident(center: Center, name: str) -> JSONResponse:
    with center.database.read() as connection:
        row = one(connection, select(incidents).where(incidents.c.id == name), "incident")
    return JSONResponse(items.incident(row))
