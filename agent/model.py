"""What the agent believes: faults and their changes. Pure; readings come from `drivers.reading`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from agent.vocabulary import Severity
from agent.wire import Basis, FaultState
from drivers.reading import Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault as it stands. Times are wall-clock seconds since the epoch; `evidence` is small and redacted."""

    key: str
    state: FaultState
    severity: Severity
    device: str
    first_at: float
    last_at: float
    count: int = 1
    evidence: Mapping[str, Value] = field(default_factory=dict)
    cause: str | None = None
    symptoms: tuple[str, ...] = ()
    basis: Basis = "measured"


@dataclass(frozen=True, slots=True)
class Transition:
    """One change of one fault: what it is now. `event` is the word in the event log, such as `fault.raised`."""

    event: Literal["fault.raised", "fault.cleared", "fault.flapping", "fault.changed"]
    fault: Fault
