"""What the lists hold that the center makes itself, as OpenAPI tells it."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from center.api.desk_models import ClockItem
from center.api.models import At, Json, OfTerminal, example


class IncidentItem(BaseModel):
    """What one cause did to one terminal or many. `why` says what made the engine group them."""

    model_config = example(
        id="inc-01m8q0zk6v",
        estate="cn-east",
        scope="operator",
        scope_key="46000",
        fault="modem/no_network",
        severity="major",
        state="open",
        parent=None,
        title="No network at operator 46000: 20000 terminals",
        why={"terminals": 20000},
        opened_at="2026-11-21T09:30:00.000Z",
        last_at="2026-11-21T09:31:00.000Z",
        resolved_at=None,
        terminals_n=20000,
        cannot_sell_n=19870,
        ack_by=None,
        ack_at=None,
        owner=None,
        case=None,
    )
    id: str
    estate: str
    scope: str
    scope_key: str
    fault: str | None
    severity: str
    state: str
    parent: str | None
    title: str
    why: Any
    opened_at: At
    last_at: At
    resolved_at: At | None
    terminals_n: int
    cannot_sell_n: int
    ack_by: str | None
    ack_at: At | None
    owner: str | None
    case: str | None


class MemberItem(OfTerminal):
    """One fault of one terminal that belongs, or belonged, to an incident."""

    fault: str
    joined_at: At
    left_at: At | None


class IncidentDetail(IncidentItem):
    """With its first 1000 members inside the caller's scope; more by `incidents/{id}/members`."""

    model_config = ConfigDict(extra="forbid")
    members: list[MemberItem]


_CASE: Final[dict[str, Any]] = {
    "id": "case-01m8q0zk6v",
    "number": 1042,
    "estate": "cn-east",
    "terminal": "t0001",
    "site": "s-12",
    "incident": None,
    "kind": "fault",
    "title": "Printer: paper out",
    "fault": "printer/paper_out",
    "signature": "printer/paper_out|TM-T20",
    "severity": "major",
    "state": "new",
    "owner": None,
    "team": None,
    "channel": "device",
    "language": "zh",
    "root_cause": None,
    "part": None,
    "eta": None,
    "first_response_due_at": "2026-11-21T10:00:00.000Z",
    "update_due_at": None,
    "solve_due_at": "2026-11-21T17:00:00.000Z",
    "paused_since": None,
    "pause_reason": None,
    "watch_until": None,
    "created_at": "2026-11-21T09:30:00.000Z",
    "updated_at": "2026-11-21T09:30:00.000Z",
    "closed_at": None,
}
_CLOCK: Final = {"kind": "first_response", "due_at": "2026-11-21T10:00:00.000Z", "used": 0.4, "state": "green"}


class CaseItem(BaseModel):
    """One matter of one terminal or site, from its opening to its close."""

    model_config = example(**_CASE)
    id: str
    number: int
    estate: str
    terminal: str | None
    site: str | None
    incident: str | None
    kind: str
    title: str
    fault: str | None
    signature: str
    severity: str
    state: str
    owner: str | None
    team: str | None
    channel: str
    language: str
    root_cause: str | None
    part: str | None
    eta: At | None
    first_response_due_at: At | None
    update_due_at: At | None
    solve_due_at: At | None
    paused_since: At | None
    pause_reason: str | None
    watch_until: At | None
    created_at: At
    updated_at: At
    closed_at: At | None


class StepItem(BaseModel):
    """One line of a case's time line."""

    id: int
    at: At
    by: str
    kind: str
    text: str
    data: Any


class CaseRow(CaseItem):
    """`clock` is null where none runs, `timezone` where nobody told the center of the site."""

    model_config = example(**_CASE, timezone="Asia/Shanghai", clock=_CLOCK)
    timezone: str | None
    clock: ClockItem | None


class CaseDetail(CaseRow):
    """With its time line, oldest first."""

    model_config = ConfigDict(extra="forbid")
    steps: list[StepItem]


class CommandItem(OfTerminal):
    """One signed command and what became of it; `id` is its `jti`."""

    model_config = example(
        id="cmd-01m8q0zk6v",
        estate="cn-east",
        terminal="t0001",
        cmd="check",
        args={"device": "printer", "level": "internal"},
        tier=0,
        reason="merchant says that nothing prints",
        issued_by="ann",
        approved_by=None,
        state="succeeded",
        nbf="2026-11-21T09:30:00.000Z",
        exp="2026-11-21T09:35:00.000Z",
        campaign=None,
        case=None,
        output={"result": "ok"},
        error="",
        created_at="2026-11-21T09:30:00.000Z",
        updated_at="2026-11-21T09:30:02.000Z",
    )
    id: str
    cmd: str
    args: Json
    tier: int
    reason: str
    issued_by: str
    approved_by: str | None
    state: str
    nbf: At | None
    exp: At | None
    campaign: str | None
    case: str | None
    output: Any
    error: str
    created_at: At
    updated_at: At


class ResultItem(BaseModel):
    """One step of a command's life, as the terminal said it."""

    state: str
    code: int
    output: Any
    error: str
    ms: int
    at: At
    received_at: At


class CommandDetail(CommandItem):
    model_config = ConfigDict(extra="forbid")
    results: list[ResultItem]


class CampaignItem(BaseModel):
    """The same done to many terminals, wave by wave."""

    model_config = example(
        id="cam-01m8q0zk6v",
        name="Readiness before the holiday",
        kind="check",
        audience={"estate": "cn-east"},
        waves=[{"share": 0.01}, {"share": 1.0}],
        args={"level": "internal"},
        halt_share=0.05,
        state="running",
        why="",
        created_by="max",
        approved_by="ann",
        created_at="2026-11-21T09:30:00.000Z",
        updated_at="2026-11-21T09:31:00.000Z",
        started_at="2026-11-21T09:30:30.000Z",
        ended_at=None,
    )
    id: str
    name: str
    kind: str
    audience: Any
    waves: Any
    args: Any
    halt_share: float | None
    state: str
    why: str
    created_by: str
    approved_by: str | None
    created_at: At
    updated_at: At
    started_at: At | None
    ended_at: At | None


class CampaignDetail(CampaignItem):
    """With how many targets are in which state, wave by wave."""

    model_config = ConfigDict(extra="forbid")
    progress: list[WaveItem]


class WaveItem(BaseModel):
    wave: int
    state: str
    targets_n: int = Field(ge=0)


CampaignDetail.model_rebuild()
