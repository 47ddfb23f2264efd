"""One incident: what it is, which signals it holds, what it weighs, and why it was made. Without SQL."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from center.domain.fleet import Fleet, Who
from center.domain.grouping import RANKS, Group, Signal
from center.domain.suppression import AT_TERMINAL, MOST_MEMBERS, Suppression

Key = tuple[str, str, str]
"""Estate, terminal and fault."""
Identity = tuple[str, str, str, str]
"""Estate, scope, what is shared, and the family; of a terminal's own incident the fault."""

LEFT_SHARE: Final = 0.02
"""A group is over when no more of its most are left; those get incidents of their own."""
CLOSED_WEIGHT: Final = 0.1
"""What a terminal counts whose site does not trade now, beside one that does."""
SEVERITIES: Final = ("warning", "minor", "major", "critical")
_SIDE_OF_SCOPE: Final = {"operator": "operator", "cell": "operator", "host": "host", "power": "merchant"}
_SIDES: Final = {
    "merchant": {
        *("power/mains_lost", "modem/sim_absent", "modem/port_lost", "network/link_down", "network/no_address"),
        *("network/gateway_unreachable", "network/captive_portal"),
    },
    "operator": {"modem/no_network", "modem/registration_denied", "modem/no_data"},
    "host": {"network/acquirer_unreachable", "network/tls_failed"},
    "unknown": {"network/dns_failed", "network/broker_unreachable", "network/lossy", "network/slow"},
}
_WEIGHTS: Final = {"no": 1.0, "degraded": 0.3, "yes": 0.1}
_UNKNOWN_WEIGHT: Final = 0.5


@dataclass(slots=True, eq=False)
class Incident:
    """One row of `incidents` that is open, or was lately, and the signals that it holds now."""

    id: str
    estate: str
    scope: str
    key: str
    family: str
    opened_ms: int
    fault: str = ""
    severity: str = "warning"
    why: dict[str, Any] = field(default_factory=dict)
    last_ms: int = 0
    quiet_since_ms: int | None = None
    resolved_ms: int | None = None
    parent_id: str | None = None
    suppression_id: str | None = None
    terminals_n: int = 0
    peak_n: int = 0
    cannot_sell_n: int = 0
    unknown_n: int = 0
    impact: float = 0.0
    members: dict[Key, Signal] = field(default_factory=dict)
    apart: set[Who] = field(default_factory=set)
    """Terminals that people took out of it: they do not join it again."""
    counted_ms: int = 0
    rank: int = field(init=False)
    """Which groups may take over its signals: those of a higher one."""

    def __post_init__(self) -> None:
        self.rank = RANKS.get((self.scope, self.family.partition(":")[0]), 0)

    @property
    def identity(self) -> Identity:
        return self.estate, self.scope, self.key, self.family or self.fault

    @property
    def is_group(self) -> bool:
        return self.scope != "terminal"


@dataclass(slots=True)
class Changes:
    """What a step has to write."""

    new: dict[str, Incident] = field(default_factory=dict)
    changed: dict[str, Incident] = field(default_factory=dict)
    reopened: dict[str, Incident] = field(default_factory=dict)
    resolved: dict[str, Incident] = field(default_factory=dict)
    members: dict[tuple[str, Key], int | None] = field(default_factory=dict)
    """By incident and signal: when it left, None for one that joined."""
    links: dict[Key, str | None] = field(default_factory=dict)
    """The incident that a fault belongs to now."""


def count(incident: Incident, fleet: Fleet, suppressions: Sequence[Suppression], now_ms: int) -> None:
    """Numbers from the members that it has now; a fault that nobody has any more stays the one it was of."""
    members = incident.members.values()
    unsure: dict[Who, tuple[str, str]] = {}
    for signal in members:
        who = signal.estate, signal.terminal
        if unsure.get(who, ("", ""))[0] != "no":
            unsure[who] = _can_sell(signal, fleet), signal.place.site
    said = Counter(can for can, _site in unsure.values())
    incident.terminals_n, incident.peak_n = len(unsure), max(incident.peak_n, len(unsure))
    incident.cannot_sell_n, incident.unknown_n = said["no"], said["unknown"]
    trading = ((can, fleet.trades(incident.estate, site, now_ms)) for can, site in unsure.values())
    impact = sum(_WEIGHTS.get(can, _UNKNOWN_WEIGHT) * (1 if trades else CLOSED_WEIGHT) for can, trades in trading)
    incident.impact = round(impact, 2)
    if members:
        incident.last_ms = now_ms
        incident.severity = max((signal.severity for signal in members), key=_severity)
        if incident.is_group:
            incident.fault = Counter(signal.fault for signal in members).most_common(1)[0][0]
        incident.suppression_id = _suppressed(incident, fleet, suppressions)
        whose = side(incident.scope, incident.family, {(signal.fault, signal.verdict) for signal in members})
        if incident.why.get("side") != whose:
            incident.why = incident.why | {"side": whose}
    quiet = incident.terminals_n <= (LEFT_SHARE * incident.peak_n if incident.is_group else 0)
    if incident.resolved_ms is not None or not quiet:
        incident.quiet_since_ms = None
    elif incident.quiet_since_ms is None:
        incident.quiet_since_ms = now_ms


def side(scope: str, family: str, faults: Collection[tuple[str, str]]) -> str:
    """On whose side an interruption lies, as far as it is known: merchant, operator, host, or unknown; "" for none.

    `faults` are (fault, verdict) of the members. Of a group, what its terminals share tells; else each fault does.
    """
    if scope in _SIDE_OF_SCOPE:
        return _SIDE_OF_SCOPE[scope]
    said = {_side_of(fault, verdict) for fault, verdict in faults}
    if scope == "site" and family == "reach":
        return "merchant" if said <= {"merchant", "unknown", "operator"} and "operator" not in said else "unknown"
    return said.pop() if len(said) == 1 else "unknown" if said - {""} else ""


def _side_of(fault: str, verdict: str) -> str:
    if verdict:
        return {"no_power": "merchant", "terminal": "merchant"}.get(verdict, "unknown")
    return next((side for side, some in _SIDES.items() if fault in some), "")


def _can_sell(signal: Signal, fleet: Fleet) -> str:
    """What is known now: yes, degraded, no or unknown. Without power nothing is sold.

    A fault beside the one that the terminal's verdict names has no share in that: at most it limits sales.
    """
    if signal.verdict == "no_power":
        return "no"
    known = fleet.terminals.get((signal.estate, signal.terminal))
    if known is None or not known.can_sell or known.status == "offline":
        return "unknown"
    if known.can_sell in {"no", "degraded"} and known.cause not in {"", signal.fault}:
        return "degraded" if signal.severity in {"critical", "major"} else "yes"
    return known.can_sell


def _suppressed(incident: Incident, fleet: Fleet, suppressions: Sequence[Suppression]) -> str | None:
    """By what, if by anything: most of its members must be meant."""
    by: Counter[str] = Counter()
    for (estate, terminal, fault), signal in incident.members.items():
        known = fleet.terminals.get((estate, terminal))
        if known is not None and known.status == "maintenance":
            by[AT_TERMINAL] += 1
        elif suppressions:
            covers = (each.id for each in suppressions if each.covers(estate, terminal, signal.place, fault))
            by[next(covers, "")] += 1
    meant = sum(n for name, n in by.items() if name)
    if meant == 0 or meant < MOST_MEMBERS * len(incident.members):
        return None
    return max((name for name in by if name), key=lambda name: by[name])


def why(group: Group) -> dict[str, Any]:
    """Why the group was made, as the row keeps it: the rule, its numbers, and the first of its rows."""
    first = sorted(group.signals, key=lambda signal: signal.onset_ms)
    return {
        "rule": f"{group.rule.scope} by {group.family}",
        "affected": group.affected,
        "population": group.population,
        "share": round(group.share, 4),
        "outside_share": round(group.outside, 4),
        "sites": group.sites,
        "gain_nats": group.gain,
        "from_ms": first[0].onset_ms,
        "until_ms": first[-1].onset_ms,
        "faults": dict(Counter(signal.fault for signal in group.signals).most_common(10)),
        "cells": dict(Counter(signal.place.cell for signal in group.signals if signal.place.cell).most_common(10)),
        "first": [[*signal.key, signal.onset_ms] for signal in first[:20]],
        "alternatives": group.alternatives,
    }


def _severity(name: str) -> int:
    return SEVERITIES.index(name) if name in SEVERITIES else 0
