"""What the desk's own lists hold, as OpenAPI tells it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel

from center.api.models import At, example


class SiteName(BaseModel):
    """A site; `name` and `timezone` are null for one that nobody has told the center of."""

    estate: str
    site: str
    name: str | None
    timezone: str | None


class ClockItem(BaseModel):
    """The clock of a case that is broken first. `used` is the share of its time that is gone, by its calendar."""

    kind: Literal["first_response", "update", "solve"]
    due_at: At
    used: float
    state: Literal["green", "amber", "breached"]


class QueueCase(BaseModel):
    """The case of an incident. While it is paused no time goes by on its clock."""

    id: str
    number: str
    state: str
    team: str | None
    eta: At | None
    pause_reason: str | None
    paused_since: At | None
    updated_at: At
    clock: ClockItem | None


class QueueItem(BaseModel):
    """One open incident as the desk sees it.

    `can_sell` is of the worst terminal, null once none is left; other says that not this fault, but another one stops
    sales. `basis` says whether the verdict was measured or is
    inferred; `why` has the numbers of a group. `sites` are the three with most terminals in it, `sites_n` all.
    """

    model_config = example(
        id="inc-01m8q0zk6v",
        estate="cn-east",
        scope="terminal",
        scope_key="t0001",
        fault="printer/paper_out",
        unit="printer",
        kind="paper_out",
        severity="major",
        state="open",
        impact=1.0,
        title="The printer is out of paper",
        can_sell="no",
        act="merchant",
        basis="measured",
        verdict=None,
        side="",
        why={},
        terminals_n=1,
        peak_n=1,
        cannot_sell_n=1,
        unknown_n=0,
        sites=[{"estate": "cn-east", "site": "s-12", "name": "Corner shop", "timezone": "Asia/Shanghai"}],
        sites_n=1,
        first_at="2026-11-21T09:30:00.000Z",
        opened_at="2026-11-21T09:30:00.000Z",
        last_at="2026-11-21T09:31:00.000Z",
        owner="ann",
        acknowledged_by="ann",
        parent=None,
        suppression=None,
        case=None,
    )
    id: str
    estate: str
    scope: str
    scope_key: str
    fault: str | None
    unit: str
    kind: str
    severity: str
    state: Literal["open", "acknowledged"]
    impact: float
    title: str
    can_sell: Literal["yes", "degraded", "no", "other", "unknown"] | None
    act: str
    basis: str
    verdict: str | None
    side: str
    why: dict[str, Any]
    terminals_n: int
    peak_n: int
    cannot_sell_n: int
    unknown_n: int
    sites: list[SiteName]
    sites_n: int
    first_at: At
    opened_at: At
    last_at: At
    owner: str | None
    acknowledged_by: str | None
    parent: str | None
    suppression: str | None
    case: QueueCase | None
