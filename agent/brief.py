"""A check's report within what one result message carries. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, get_args

from agent import wire
from agent.vocabulary import Severity

_DULL: Final = ("unsupported", "not_asked")
_SEVERITIES: Final = get_args(Severity)
_DROPS: Final[tuple[tuple[str, Mapping[str, tuple[str, ...]]], ...]] = (
    ("steps", {"todo": ("steps",)}),
    ("readings", {"devices": ("readings",)}),
    ("evidence", {"faults": ("evidence",)}),
    ("symptoms", {"faults": ("symptoms",), "todo": ("explains",)}),
    ("advice", {"faults": ("advice",), "todo": ("severity",)}),
    ("history", {"faults": ("first_at", "last_at", "count")}),
    ("texts", {"devices": ("text",)}),
)
"""What goes first: what the reader can look up by the fault's key, then what he can ask for one device at a time."""


def brief(report: dict[str, Any], most_bytes: int) -> dict[str, Any]:
    """The report, without identities and what was not asked, and without as much else as does not fit.

    What does not fit is absent, never empty, and `left_out` names it; `faults_n` says how many faults there were when
    even some of them had to go, the least severe symptoms first.
    """
    for device in report["devices"].values():
        device.pop("identity", None)
        device["readings"] = {
            n: v for n, v in device["readings"].items() if not (isinstance(v, dict) and v["error"] in _DULL)
        }
    for word, fields in _DROPS:
        if _fits(report, most_bytes):
            return report
        for place, names in fields.items():
            for entry in _entries(report, place):
                for name in names:
                    entry.pop(name, None)
        report.setdefault("left_out", []).append(word)
    return report if _fits(report, most_bytes) else _fewer(report, most_bytes)


def brief_each(told: Mapping[str, Mapping[str, Any]], most_bytes: int) -> dict[str, Any]:
    """What each device told, without its longest facts where not all fit; `left_out` names whose those were."""
    kept: dict[str, Any] = {name: dict(facts) for name, facts in told.items()}
    by_length = sorted(
        (len(wire.dumps({fact: value})), name, fact) for name, facts in told.items() for fact, value in facts.items()
    )
    left_out: set[str] = set()
    while by_length and (over := len(wire.dumps(kept)) - most_bytes) > 0:
        while by_length and over > 0:
            length, name, fact = by_length.pop()
            del kept[name][fact]
            left_out.add(name)
            over -= length
        kept["left_out"] = sorted(left_out)
    return kept


def _fewer(report: dict[str, Any], most_bytes: int) -> dict[str, Any]:
    """The most important faults alone."""

    def importance(fault: Mapping[str, Any]) -> tuple[bool, bool, int]:
        judged = fault["fault"] == report["verdict"]["cause"]
        return not judged, fault["cause"] is not None, _SEVERITIES.index(fault["severity"])

    faults = sorted(report["faults"], key=importance)
    report |= {"left_out": [*report["left_out"], "faults"], "faults_n": len(faults), "devices": {}}
    while True:
        kept = {fault["fault"] for fault in faults}
        report["faults"] = faults
        if "readiness" in report:
            report["readiness"]["todo"] = [item for item in report["readiness"]["todo"] if item["fault"] in kept]
        if len(faults) <= 1 or _fits(report, most_bytes):
            return report
        faults = faults[:-1]


def _fits(report: Mapping[str, Any], most_bytes: int) -> bool:
    return len(wire.dumps(report)) <= most_bytes


def _entries(report: Mapping[str, Any], place: str) -> Iterator[dict[str, Any]]:
    match place:
        case "devices":
            yield from report["devices"].values()
        case "todo":
            yield from report.get("readiness", {}).get("todo", ())
        case _:
            yield from report[place]
