"""Is this terminal ready for a busy day? A score and a to-do list from one check and what the trends say. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from agent.guidance import Language, guidance
from agent.vocabulary import VOCABULARY

_COST: Final = {"critical": 60, "major": 30, "minor": 10, "warning": 5}
"""What one root costs of a hundred: a critical one alone makes a terminal unfit, six warnings do as well."""
_UNKNOWN_COST: Final = 10  # a part that nobody could check may be as bad as a major fault, or be fine
_READY: Final = 75

_WORDS: Final[dict[Language, dict[str, str]]] = {
    "en": {
        "ready": "Ready",
        "not": "Not ready",
        "todo": "To do",
        "unchecked": "could not be checked",
        "forecast": "Forecast",
        "nothing": "nothing to do",
    },
    "zh": {
        "ready": "已准备好",
        "not": "尚未准备好",
        "todo": "待办",
        "unchecked": "无法检查",
        "forecast": "预测",
        "nothing": "无需处理",
    },
}


def readiness(report: Mapping[str, Any], language: Language) -> dict[str, Any]:
    """The score (0-100), whether that is ready, what to do first, what could not be checked, and forecasts.

    `report` is what `agent.check.build_report` returns. Only roots cost: a symptom goes with its cause. A terminal
    that cannot sell, or of which that is unknown, is never ready whatever its score.
    """
    roots = [fault for fault in report["faults"] if fault["cause"] is None]
    roots.sort(key=lambda fault: (-_COST[fault["severity"]], fault["fault"]))
    unchecked = [name for name, device in report["devices"].items() if not _answers(device["readings"])]
    explained = {fault["device"] for fault in report["faults"]}
    score = 100 - sum(_COST[fault["severity"]] for fault in roots)
    score -= _UNKNOWN_COST * sum(name not in explained for name in unchecked)
    score = max(0, score)
    return {
        "score": score,
        "ready": score >= _READY and report["verdict"]["can_sell"] in {"yes", "degraded"},
        "todo": [_todo(fault, language) for fault in roots],
        "unchecked": unchecked,
        "forecast": _forecasts(report["devices"]),
    }


def _answers(readings: Mapping[str, Any]) -> bool:
    return any(not isinstance(value, dict) for name, value in readings.items() if name not in {"port", "reply"})


def _todo(fault: Mapping[str, Any], language: Language) -> dict[str, Any]:
    told = guidance(fault["fault"], language) if fault["fault"] in VOCABULARY else None
    return {
        "fault": fault["fault"],
        "severity": fault["severity"],
        "title": told.title if told else fault["fault"],
        "act": fault["act"],
        "steps": [step.text for step in told.steps] if told else [],
        "explains": fault["symptoms"],
    }


_FORECAST_ENDS: Final = ("_days_left", "_wear_percent", "_health_percent")


def _forecasts(devices: Mapping[str, Any]) -> dict[str, Any]:
    """Every reading that looks ahead, with what is unknown said so."""
    return {
        f"{source}.{name}": value
        for source, device in devices.items()
        for name, value in device["readings"].items()
        if name.endswith(_FORECAST_ENDS)
    }


def render(result: Mapping[str, Any], language: Language) -> str:
    """The result as lines for people, in their language."""
    words = _WORDS[language]
    lines = [f"{words['ready'] if result['ready'] else words['not']}: {result['score']}/100"]
    if result["todo"]:
        lines += ["", f"{words['todo']}:"]
    for number, item in enumerate(result["todo"], 1):
        lines.append(f"{number}. {item['title']} ({item['fault']})")
        lines += [f"   - {step}" for step in item["steps"]]
    if not result["todo"] and not result["unchecked"]:
        lines.append(words["nothing"])
    lines += [f"? {name}: {words['unchecked']}" for name in result["unchecked"]]
    known = {name: value for name, value in result["forecast"].items() if not isinstance(value, dict)}
    if known:
        lines += ["", f"{words['forecast']}: " + ", ".join(f"{name} {value}" for name, value in known.items())]
    return "\n".join(lines)
