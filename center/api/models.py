"""What the lists hold, as OpenAPI tells it. Answers are made by `center.api.items`, and held to this by the tests."""

from __future__ import annotations

from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

T = TypeVar("T")
Json = dict[str, Any]
At = str
"""RFC 3339 in UTC with milliseconds."""


def example(**values: Any) -> ConfigDict:
    """A closed object with this example."""
    return ConfigDict(extra="forbid", json_schema_extra={"examples": [values]})


class Page(BaseModel, Generic[T]):
    """One page; `next` is the cursor of the following one, null at the end."""

    model_config = ConfigDict(extra="forbid")
    items: list[T]
    next: str | None


class Problem(BaseModel):
    """Why not, in one line."""

    model_config = example(error="limit: Input should be less than or equal to 1000")
    error: str


class OfTerminal(BaseModel):
    """What belongs to one terminal."""

    estate: str
    terminal: str


class VerdictItem(BaseModel):
    can_sell: Literal["yes", "degraded", "no", "unknown"]
    cause: str | None
    act: str | None
    since: At | None


Basis = Annotated[Literal["imported", "measured"] | None, Field(description="Whose word it is; null where it is null")]


class TerminalItem(OfTerminal):
    """`verdict` and `status` are null until the terminal was heard; `id` is `estate.terminal`.

    The place is imported, from the terminal's row or else its site's; what no import says of operator and cell, its
    modem measures.
    """

    model_config = example(
        id="cn-east.t0001",
        estate="cn-east",
        terminal="t0001",
        site="s-12",
        operator="46000",
        operator_basis="imported",
        cell="46000-0A1B2C3D",
        cell_basis="measured",
        region="zhejiang",
        power_district="hz-7",
        host="acq-1",
        model="TM-T20",
        firmware="1.04",
        language="zh",
        status="online",
        conn=14,
        reason="running",
        verdict={
            "can_sell": "no",
            "cause": "printer/paper_out",
            "act": "merchant",
            "since": "2026-11-21T09:30:00.000Z",
        },
        poi={"PrinterStatus": "PaperOut"},
        boot=41,
        last_contact_at="2026-11-21T09:31:00.000Z",
        will_at=None,
    )
    id: str
    site: str | None
    operator: str | None
    operator_basis: Basis
    cell: str | None
    cell_basis: Basis
    region: str | None
    power_district: str | None
    host: str | None
    model: str | None
    firmware: str | None
    language: str | None
    status: Literal["online", "offline", "maintenance"] | None
    conn: int | None
    reason: str | None
    verdict: VerdictItem | None
    poi: Json | None
    boot: int | None
    last_contact_at: At | None
    will_at: At | None


class FaultItem(OfTerminal):
    """The present state of one fault; `id` is `estate.terminal.unit.kind`."""

    model_config = example(
        id="cn-east.t0001.printer.paper_out",
        estate="cn-east",
        terminal="t0001",
        fault="printer/paper_out",
        state="raised",
        severity="major",
        cause=None,
        symptoms=[],
        first_at="2026-11-21T09:30:00.000Z",
        last_at="2026-11-21T09:31:00.000Z",
        count=1,
        device="printer",
        evidence={"paper": "out"},
        advice="printer.paper_out",
        act="merchant",
        basis="measured",
        boot=41,
        received_at="2026-11-21T09:31:00.120Z",
        incident=None,
    )
    id: str
    fault: str
    state: Literal["raised", "cleared", "flapping"]
    severity: str
    cause: str | None
    symptoms: list[str]
    first_at: At
    last_at: At
    count: int
    device: str
    evidence: Json
    advice: str
    act: str
    basis: str
    boot: int
    received_at: At
    incident: str | None


class RetiredItem(OfTerminal):
    """A terminal that was taken out of the fleet; `returned_at` once it spoke again, and so is back."""

    model_config = example(
        estate="cn-east",
        terminal="t0001",
        site="s-12",
        model="TM-T20",
        serials=["printer TMT2000042"],
        reason="water in the housing",
        by="alice",
        successor="t0002",
        retired_at="2026-11-21T09:30:00.000Z",
        returned_at=None,
    )
    site: str | None
    model: str | None
    serials: list[str]
    reason: str
    by: str
    successor: str | None
    retired_at: At
    returned_at: At | None


class TerminalDetail(TerminalItem):
    """With what its retained topics say, its tags and those of its site, and its faults.

    `retired` is its last retirement, `predecessors` those whose place it took. One that is retired is as it was then.
    """

    model_config = ConfigDict(extra="forbid")
    inventory: Json | None
    health: Json | None
    config_reported: Json | None
    tags: list[str]
    retired: RetiredItem | None
    predecessors: list[RetiredItem]
    faults: list[FaultItem]


class EventItem(OfTerminal):
    """One line of a terminal's log, as it said it."""

    model_config = example(
        id="1024",
        estate="cn-east",
        terminal="t0001",
        boot=41,
        seq=7,
        at="2026-11-21T09:30:00.000Z",
        up_ms=120000,
        clock="synced",
        late=False,
        event="fault.raised",
        data={"fault": "printer/paper_out", "state": "raised"},
        received_at="2026-11-21T09:30:00.210Z",
    )
    id: str
    boot: int
    seq: int
    at: At
    up_ms: int
    clock: str
    late: bool
    event: str
    data: Json
    received_at: At


class TelemetryItem(OfTerminal):
    """One batch; `id` is `estate.terminal.boot.seq`. A sample is [milliseconds after `at`, {metric: value}]."""

    model_config = example(
        id="cn-east.t0001.41.12",
        estate="cn-east",
        terminal="t0001",
        boot=41,
        seq=12,
        at="2026-11-21T09:30:00.000Z",
        late=False,
        samples=[[0, {"modem.rsrp_dbm": -97}]],
        received_at="2026-11-21T09:30:00.210Z",
    )
    id: str
    boot: int
    seq: int
    at: At
    late: bool
    samples: list[Any]
    received_at: At


class HealthItem(OfTerminal):
    """What the agent of a terminal last said about itself; `id` is `estate.terminal`."""

    model_config = example(
        id="cn-east.t0001",
        estate="cn-east",
        terminal="t0001",
        health={"pss_kib": 21000, "cpu_percent": 0.4, "threads": 9},
        status="online",
        last_contact_at="2026-11-21T09:31:00.000Z",
    )
    id: str
    health: Json
    status: str | None
    last_contact_at: At | None
