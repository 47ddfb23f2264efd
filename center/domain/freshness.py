"""Whether a terminal is there, and if not, why: no power, no network, or the terminal itself. Pure.

What a silent terminal suffers from cannot be measured while it is silent: it is inferred from what it said last and
from its siblings, the other terminals of its site. Once it is back, its boot counter and boot reason tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Freshness = Literal["online", "late", "offline", "unknown"]
Kind = Literal["lost", "stopped", "silent"]
"""How it went: the broker told (will), it said so itself, or nothing came for longer than any terminal may be quiet."""
Cause = Literal["no_power", "no_network", "terminal", "stopped", "restarted", "crashed", "unknown"]
Basis = Literal["measured", "inferred", "unknown"]

LATE_MS: Final = 1_800_000
"""A wired terminal sends a sign of life each 15 minutes; after two it is late. A metered one may be quiet for hours."""
SILENT_MS: Final = 13 * 3_600_000
"""After this a metered terminal, too, has missed two signs of life, and the broker has not told of its end."""
LOW_PERCENT: Final = 15.0
WEAK_DBM: Final = -115.0


def freshness(status: str | None, last_contact_ms: int | None, now_ms: int) -> Freshness:
    """By the state that it, or the broker for it, told last, and by its last sign of life. `unknown` is no guess."""
    if status == "offline":
        return "offline"
    if status is None or last_contact_ms is None or now_ms - last_contact_ms > SILENT_MS:
        return "unknown"
    return "late" if now_ms - last_contact_ms > LATE_MS else "online"


def kind_of(status: str | None, reason: str | None) -> Kind | None:
    """How a terminal with this state went; None for one that is there."""
    if status != "offline":
        return None
    return "lost" if reason == "connection_lost" else "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signs:
    """What is known of an outage while it lasts. Counts are of siblings."""

    kind: Kind = "lost"
    raised: frozenset[str] = frozenset()
    """Faults that it had when it was last heard."""
    battery_percent: float | None = None
    rsrp_dbm: float | None = None
    siblings_there: int = 0
    siblings_gone: int = 0
    siblings_without_mains: int = 0
    incident: str = ""
    """The scope of the group that it is part of, by center/domain/grouping.py, or ""."""

    def to_json(self) -> dict[str, Any]:
        """As evidence: what was there and counted."""
        told: dict[str, Any] = {
            "siblings_there": self.siblings_there,
            "siblings_gone": self.siblings_gone,
            "siblings_without_mains": self.siblings_without_mains,
            "raised": sorted(self.raised),
        }
        optional = {"battery_percent": self.battery_percent, "rsrp_dbm": self.rsrp_dbm, "group": self.incident or None}
        return told | {name: value for name, value in optional.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Judgement:
    """Why a terminal is or was not there. `because` names the rule, `evidence` holds what it went by."""

    cause: Cause
    basis: Basis
    because: str
    evidence: Mapping[str, Any] = field(default_factory=dict)


def judge(signs: Signs) -> Judgement:
    """The verdict while it lasts; the first rule that holds. Nothing but a goodbye is measured."""
    evidence = signs.to_json()
    if signs.kind == "stopped":
        return Judgement("stopped", "measured", "it said that it stops", evidence)
    for holds, cause, because in _rules(signs):
        if holds:
            return Judgement(cause, "inferred", because, evidence)
    return Judgement("unknown", "unknown", "nothing speaks for power or for network", evidence)


def _rules(signs: Signs) -> list[tuple[bool, Cause, str]]:
    mains_lost = "power/mains_lost" in signs.raised
    empty = "power/battery_critical" in signs.raised or (
        mains_lost and signs.battery_percent is not None and signs.battery_percent <= LOW_PERCENT
    )
    network = any(fault.startswith(("modem/", "network/")) for fault in signs.raised)
    weak = signs.rsrp_dbm is not None and signs.rsrp_dbm <= WEAK_DBM
    alone = signs.siblings_there > 0
    return [
        (empty, "no_power", "its battery was nearly empty"),
        (mains_lost, "no_power", "its mains were gone when it was last heard"),
        (signs.siblings_without_mains > 0, "no_power", "a terminal of the same site has lost its mains"),
        (signs.incident == "power", "no_power", "others of the same power district are without power"),
        (
            signs.incident in {"operator", "cell", "host", "estate"},
            "no_network",
            "many others on the same way are gone",
        ),
        (network, "no_network", "it had trouble with its network when it was last heard"),
        (weak, "no_network", "its signal was very weak when it was last heard"),
        (alone, "terminal", "other terminals of the same site are there"),
        (signs.siblings_gone > 0, "no_network", "all terminals of the site are gone, and none had lost its mains"),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Return:
    """What a terminal tells once it is back. Boots count up; None where one is not known."""

    boot_before: int | None
    boot_after: int | None
    boot_reason: str | None
    """Of the first boot after the outage began: clean, power_loss, crash or unknown; None if its event has not come."""
    agent_started: bool = False


_REASONS: Final[Mapping[str, tuple[Cause, str]]] = {
    "power_loss": ("no_power", "its boot record tells of a power loss"),
    "crash": ("crashed", "its boot record tells of a crash"),
    "clean": ("restarted", "its boot record tells of an orderly restart"),
}


def correct(before: Judgement, back: Return) -> Judgement | None:
    """The verdict on an outage that is over; None while the event that would tell may still come."""
    evidence = {**before.evidence, "boot_before": back.boot_before, "boot_after": back.boot_after}
    if before.cause == "stopped":
        return before
    if back.boot_reason is not None and back.boot_reason in _REASONS:
        cause, because = _REASONS[back.boot_reason]
        return Judgement(cause, "measured", because, evidence | {"boot_reason": back.boot_reason})
    if back.boot_before is None or back.boot_after is None:
        return None
    if back.boot_after == back.boot_before:
        if back.agent_started:
            return Judgement("terminal", "measured", "the agent was started anew within the same boot", evidence)
        return Judgement("no_network", "measured", "it ran on all the time", evidence)
    if back.boot_reason is None:
        return None
    evidence["boot_reason"] = back.boot_reason
    if before.cause == "no_network":
        return Judgement("unknown", "unknown", "it had restarted, and does not know why", evidence)
    return Judgement(before.cause, before.basis, before.because, evidence)
