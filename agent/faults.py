"""A fault as it travels and as it is kept. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from agent import wire
from agent.model import Fault
from agent.vocabulary import act_of
from drivers.reading import Value


def body_fields(fault: Fault) -> dict[str, Any]:
    """The fields of a fault's body, as they stand in its own message and in events."""
    return {
        "fault": fault.key,
        "state": fault.state,
        "severity": fault.severity,
        "cause": fault.cause,
        "symptoms": fault.symptoms,
        "first_at": wire.timestamp(fault.first_at),
        "last_at": wire.timestamp(fault.last_at),
        "count": fault.count,
        "device": fault.device,
        "evidence": _evidence(fault),
        "advice": fault.key.replace("/", "."),
        "act": act_of(fault.key),
        "basis": fault.basis,
    }


def _evidence(fault: Fault) -> Mapping[str, Value]:
    """A device's finer words belong to its trouble; that this is over needs none, and a metered line pays for them."""
    if fault.state != "cleared" or "specific" not in fault.evidence:
        return fault.evidence
    return {name: value for name, value in fault.evidence.items() if name != "specific"}


def body(fault: Fault) -> dict[str, Any]:
    """The body as JSON values."""
    return wire.to_json(wire.FaultBody(**body_fields(fault)))


def to_text(fault: Fault) -> str:
    """What the store keeps of a raised fault."""
    return json.dumps(asdict(fault), ensure_ascii=False)


def from_text(text: str) -> Fault:
    """The inverse of `to_text`. Raises ValueError or TypeError for what an older version wrote otherwise."""
    values = json.loads(text)
    return Fault(**{**values, "symptoms": tuple(values["symptoms"])})


def relabelled(before: Fault, now: Fault) -> bool:
    """Whether its explanation changed."""
    return before.cause != now.cause or before.symptoms != now.symptoms
