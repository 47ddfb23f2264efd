"""Which fault explains which, and the verdict. Pure: raised faults in, explained faults and one answer out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from agent.model import Fault
from agent.vocabulary import VOCABULARY, Act, act_of

CanSell = Literal["yes", "degraded", "no", "unknown"]

_RANK = {"critical": 0, "major": 1, "minor": 2, "warning": 3}


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """What hangs on what: unit to its power (mains, battery, host), and the bearer of the network."""

    powered_by: Mapping[str, str]
    bearer: str = "ethernet"


def explain(faults: Iterable[Fault], topology: Topology) -> dict[str, Fault]:
    """Give each raised fault its nearest raised cause, and each root its symptoms. The order of `faults` is nothing.

    A fault whose cause is gone becomes a root by itself, because causes are found anew from what is raised now. `basis`
    is inferred where the cause was: past a fault that is not raised, or by a battery that is critical, not known dead.
    A forecast, which comes inferred, explains nothing: what it foretells is not so yet.
    """
    raised = {fault.key: fault for fault in faults if fault.state != "cleared"}
    measured = {key: fault for key, fault in raised.items() if fault.basis == "measured"}
    found = {key: _cause_of(key, measured, topology) for key in raised}
    causes = {key: cause for key, (cause, _sure) in found.items()}
    symptoms: dict[str, list[str]] = {key: [] for key in raised}
    for key in raised:
        root = causes[key]
        seen = {key}
        while root is not None and root not in seen:
            symptoms[root].append(key)
            seen.add(root)
            root = causes[root]
    return {
        key: replace(
            fault,
            cause=causes[key],
            symptoms=tuple(sorted(symptoms[key])),
            basis=fault.basis if found[key][1] else "inferred",
        )
        for key, fault in raised.items()
    }


def _cause_of(key: str, raised: Mapping[str, Fault], topology: Topology) -> tuple[str | None, bool]:
    """The nearest raised fault along the relations, and whether no link to it is missing.

    What lies between need not be raised: its delay may be longer.
    """
    seen = {key}
    ring = [key]
    while ring:
        further: list[str] = []
        for effect in ring:
            for candidate in _may_explain(effect):
                if candidate in seen or not _applies(effect, candidate, topology, raised):
                    continue
                if candidate in raised:
                    battery = candidate == "power/battery_critical" and not effect.startswith("power/")
                    return candidate, effect == key and not battery
                seen.add(candidate)
                if not candidate.startswith("power/"):  # power is measured in seconds: what is not raised is not so
                    further.append(candidate)
        ring = further
    return None, True


def _may_explain(key: str) -> Iterable[str]:
    kind = VOCABULARY.get(key)
    for pattern in kind.explained_by if kind is not None else ():
        unit, _, name = pattern.partition("/")
        if name == "*":
            yield from (other for other in VOCABULARY if other.startswith(f"{unit}/"))
        else:
            yield pattern


_POWER_LOSS = {
    "power/mains_lost": {"mains"},
    "power/battery_critical": {"battery", "host"},
    "power/undervoltage": {"mains", "battery", "host"},
}
"""Which supply each power fault takes away. The other power faults silence nothing."""


_TLS_FAILS: Final[Mapping[str, frozenset[str]]] = {
    "modem/weak_signal": frozenset({"timeout", "closed"}),
    "system/clock_wrong": frozenset({"expired", "not_yet_valid"}),
}
"""What a cause can do to a handshake, in words of `tls_why`: no weak signal makes a certificate another host's."""


def _applies(key: str, candidate: str, topology: Topology, raised: Mapping[str, Fault]) -> bool:
    unit = key.partition("/")[0]
    if key == "network/tls_failed" and key in raised and candidate in _TLS_FAILS:
        why = raised[key].evidence.get("tls_why")
        if isinstance(why, str) and why not in _TLS_FAILS[candidate]:
            return False
    if candidate.startswith("power/") and unit != "power":
        return topology.powered_by.get(unit, "host") in _POWER_LOSS.get(candidate, set())
    if candidate.startswith("modem/") and unit == "network":
        return topology.bearer == "modem"
    return True


# --- the verdict -----------------------------------------------------------------------------------------------------

_STOPS = {
    "power/battery_critical",
    "reader/port_lost",
    "reader/no_reply",
    "reader/card_jam",
    "reader/shutter_error",
    "reader/self_test_failed",
    "reader/tamper",
    "keypad/port_lost",
    "keypad/no_reply",
    "keypad/key_stuck",
    "keypad/keys_missing",
    "keypad/tamper",
    "network/link_down",
    "network/no_address",
    "network/gateway_unreachable",
    "network/dns_failed",
    "network/acquirer_unreachable",
    "network/tls_failed",
    "network/captive_portal",
    "system/payment_app_down",
    "system/disk_readonly",
    "system/reboot_loop",
    "security/case_opened",
    "security/device_swapped",
}
"""Faults with which no card payment can be taken, or none may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The verdict: `since` is wall-clock seconds, when the root began, None while nothing is wrong."""

    can_sell: CanSell
    cause: str | None
    act: Act
    since: float | None


def verdict(explained: Mapping[str, Fault], *, blind: Iterable[str] = ()) -> Answer:
    """One answer from explained faults. `blind` names essential units of which nothing is known yet."""
    roots = sorted(
        (fault for fault in explained.values() if fault.cause is None),
        key=lambda fault: (not _stops(fault, explained), _RANK[fault.severity], fault.first_at, fault.key),
    )
    if not roots:
        return Answer(can_sell="unknown" if any(blind) else "yes", cause=None, act="none", since=None)
    worst = roots[0]
    if _stops(worst, explained):
        can_sell: CanSell = "no"
    elif any(blind):
        can_sell = "unknown"
    else:
        can_sell = "degraded" if _RANK[worst.severity] < _RANK["warning"] else "yes"
    return Answer(can_sell=can_sell, cause=worst.key, act=act_of(worst.key), since=worst.first_at)


def _stops(root: Fault, explained: Mapping[str, Fault]) -> bool:
    return root.key in _STOPS or any(key in _STOPS for key in root.symptoms if key in explained)
