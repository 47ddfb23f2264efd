"""How campaigns stand: how many terminals one would be for, how far each wave is, what its gate sees, each terminal."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import case, func, select, tuple_

from center.access.roles import Who
from center.api import items
from center.api.lookups import Name, one
from center.api.models import At, Page, example
from center.api.paging import DEFAULT_LIMIT, MOST, cut, decoded
from center.api.proof import Reader, TheCenter, allowed
from center.api.registry import Cursor
from center.db.tables import campaign_targets, campaigns, terminals
from center.domain import campaigns_audience
from center.domain.campaigns import check_args
from center.domain.campaigns_engine import Seen, seen_by_gate, tally_of

router = APIRouter(prefix="/api/v1", tags=["campaigns"])

Manager = Annotated[Who, Depends(allowed("campaign.write"))]
State = Literal["waiting", "offline", "sent", "succeeded", "failed", "unanswered", "skipped"]
_MOST_IDS = 50


class Audience(BaseModel):
    """What a campaign would be: as in POST /campaigns."""

    model_config = ConfigDict(extra="forbid")
    kind: str = Field(max_length=20)
    audience: dict[str, Any]
    args: dict[str, Any] = Field(default_factory=dict)


class Reach(BaseModel):
    """`offline` of `terminals` would be asked once they are back; `second_person`: somebody else has to approve."""

    model_config = example(terminals=240, offline=3, second_person=True)
    terminals: int
    offline: int
    second_person: bool


class ProgressItem(BaseModel):
    """`states`: of the targets inside of the caller's scope; none before they are listed."""

    model_config = example(id="cam-01m8q0zk6v", wave=2, targets_n=240, states={"succeeded": 24, "waiting": 216})
    id: str
    wave: int
    targets_n: int
    states: dict[str, int]


class Stand(BaseModel):
    """A campaign's plan and its present wave, of which `hurt` terminals were done well and cannot sell since.

    `bad_share` is the share of failures and harm among those that answered since it was started or resumed.
    """

    model_config = example(
        reason="the busy days begin on Friday",
        pace={"parallel": 500, "attempts": 3, "patience_s": 86400, "quiet": False},
        targets_n=240,
        wave=2,
        wave_begun_at="2026-11-21T09:31:00.000Z",
        wave_done_at=None,
        answered=24,
        failed=1,
        hurt=0,
        bad_share=0.0417,
        halt_share=0.1,
        mine=True,
    )
    reason: str
    pace: Any
    targets_n: int
    wave: int
    wave_begun_at: At | None
    wave_done_at: At | None
    answered: int
    failed: int
    hurt: int
    bad_share: float
    halt_share: float | None
    mine: bool = Field(description="Whether the caller's account made it, and so cannot approve it")


class TargetItem(BaseModel):
    """One terminal of a campaign, and how it went there."""

    model_config = example(
        estate="cn-east",
        terminal="t0001",
        site="s-12",
        wave=1,
        state="failed",
        attempts=1,
        error="the device did not answer in time",
        command="cmd-01m8q0zk6v",
        asked_at="2026-11-21T09:31:00.000Z",
        updated_at="2026-11-21T09:31:04.000Z",
    )
    estate: str
    terminal: str
    site: str | None
    wave: int
    state: str
    attempts: int
    error: str
    command: str | None
    asked_at: At | None
    updated_at: At


@router.post("/audience", response_model=Reach)
def count_audience(body: Audience, center: TheCenter, who: Manager) -> JSONResponse:
    """How many terminals a campaign would be for now. Nothing is kept."""
    audience = campaigns_audience.check(body.audience)
    args = check_args(body.kind, body.args)
    gone = func.count(case((terminals.c.status == "offline", 1)))
    counted = campaigns_audience.members(who.scope, audience).with_only_columns(func.count(), gone)
    with center.database.read() as connection:
        n, away = connection.execute(counted).one()
    second = center.campaigns.needs_second(body.kind, args, n)
    return JSONResponse({"terminals": n, "offline": away, "second_person": second})


@router.get("/campaign-progress", response_model=Page[ProgressItem])
def list_progress(
    center: TheCenter,
    who: Reader,
    ids: Annotated[str, Query(max_length=4000, pattern=r"^[a-z0-9-]+(,[a-z0-9-]+)*$", description="By commas")],
) -> JSONResponse:
    """How far each of these campaigns is, 50 at most."""
    target = campaign_targets.c
    named = ids.split(",")[:_MOST_IDS]
    counts = select(target.campaign_id, target.state, func.count())
    counts = counts.where(target.campaign_id.in_(named), who.scope.where(campaign_targets, many=True))
    with center.database.read() as connection:
        rows = connection.execute(select(campaigns).where(campaigns.c.id.in_(named), who.scope.where(campaigns))).all()
        found = {
            row.id: {"id": row.id, "wave": row.wave, "targets_n": row.targets_n, "states": {}}
            for row in sorted(rows, key=lambda row: named.index(row.id))
        }
        for name, state, n in connection.execute(counts.group_by(target.campaign_id, target.state)):
            if name in found:
                found[name]["states"][state] = n
    return JSONResponse({"items": list(found.values()), "next": None})


@router.get("/campaigns/{name}/stand", response_model=Stand)
def get_stand(name: Name, center: TheCenter, who: Reader) -> JSONResponse:
    """What the gate of the present wave sees."""
    with center.database.read() as connection:
        row = one(connection, select(campaigns).where(campaigns.c.id == name, who.scope.where(campaigns)), "campaign")
        known = dict(items.columns(row))
        tally = tally_of(connection, known)
    return JSONResponse(
        {
            **{each: known[each] for each in ("reason", "pace", "targets_n", "wave", "halt_share")},
            "wave_begun_at": items.at(row.wave_begun_ms),
            "wave_done_at": items.at(row.wave_done_ms),
            "answered": tally.succeeded + tally.failed,
            "failed": tally.failed,
            "hurt": tally.hurt,
            "bad_share": round(tally.bad_share, 4),
            "mine": who.account_id is not None and who.account_id == row.asked_by_account,
        }
    )


@router.get("/campaigns/{name}/targets", response_model=Page[TargetItem])
def list_targets(
    name: Name,
    center: TheCenter,
    who: Reader,
    state: State | None = None,
    wave: Annotated[int | None, Query(ge=1, le=100)] = None,
    gate: Annotated[Seen | None, Query(description="Those behind this figure of the stand")] = None,
    limit: Annotated[int, Query(ge=1, le=MOST)] = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> JSONResponse:
    """The terminals of a campaign, by estate and name."""
    target = campaign_targets.c
    same = (terminals.c.estate == target.estate) & (terminals.c.terminal == target.terminal)
    names = ("estate", "terminal", "wave", "state", "attempts", "error", "command_id", "asked_ms", "updated_ms")
    query = select(*(target[each] for each in names), terminals.c.site)
    query = query.select_from(campaign_targets.outerjoin(terminals, same))
    query = query.where(target.campaign_id == name, who.scope.where(campaign_targets))
    for column, value in ((target.state, state), (target.wave, wave)):
        if value is not None:
            query = query.where(column == value)
    if cursor:
        query = query.where(tuple_(target.estate, target.terminal) > tuple_(*decoded(cursor, [str, str])))
    query = query.order_by(target.estate, target.terminal).limit(limit + 1)
    with center.database.read() as connection:
        row = one(connection, select(campaigns).where(campaigns.c.id == name, who.scope.where(campaigns)), "campaign")
        if gate is not None:
            query = query.where(seen_by_gate(items.columns(row), gate))
        rows = [dict(row) for row in connection.execute(query).mappings()]
    return JSONResponse(cut(rows, limit, lambda row: (row["estate"], row["terminal"]), items.named))
