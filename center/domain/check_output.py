"""What the output of a `check` tells. A terminal may have put anything there, so each part is looked at first. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

_LONGEST_KEY: Final = 130


@dataclass(frozen=True, slots=True)
class Readiness:
    """How ready a terminal says it is. `todo` is (fault, title, who must act); `forecast` is days left by metric."""

    score: float
    ready: bool
    todo: tuple[tuple[str, str, str], ...]
    unchecked: tuple[str, ...]
    forecast: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Listed:
    """`keys` of faults in the order they were told in, and how many entries more name none."""

    keys: tuple[str, ...]
    odd: int


def listed(output: object) -> Listed | None:
    """The faults that it found; None where it has no list of them."""
    told = output.get("faults") if isinstance(output, Mapping) else None
    if not isinstance(told, list):
        return None
    names = [each.get("fault") if isinstance(each, Mapping) else None for each in told]
    keys = tuple(name for name in names if isinstance(name, str) and 0 < len(name) <= _LONGEST_KEY)
    return Listed(keys, len(told) - len(keys))


def faults(output: object) -> frozenset[str] | None:
    """The keys of the faults that it found; None where it does not tell all of them."""
    told = listed(output)
    return None if told is None or told.odd else frozenset(told.keys)


def readiness(output: object) -> Readiness | None:
    """None where it does not tell how ready it is."""
    told = output.get("readiness") if isinstance(output, Mapping) else None
    if not isinstance(told, Mapping):
        return None
    score, todo, unchecked = _number(told.get("score")), told.get("todo") or [], told.get("unchecked") or []
    if score is None or not isinstance(todo, list) or not isinstance(unchecked, list):
        return None
    if not all(isinstance(each, Mapping) and isinstance(each.get("fault"), str) for each in todo):
        return None
    forecast = told.get("forecast")
    left = {name: _number(value) for name, value in forecast.items()} if isinstance(forecast, Mapping) else {}
    return Readiness(
        score=min(100.0, max(0.0, score)),
        ready=told.get("ready") is True,
        todo=tuple((_name(each["fault"]), _word(each, "title", ""), _word(each, "act", "support")) for each in todo),
        unchecked=tuple(map(_name, unchecked)),
        forecast={name: value for name, value in left.items() if value is not None},
    )


def _name(told: object) -> str:
    """Its beginning, of characters that both databases hold and a filter can ask for."""
    return str(told)[:_LONGEST_KEY].encode("utf-8", "replace").decode().replace("\x00", "\ufffd")


def _word(told: Mapping[str, Any], name: str, otherwise: str) -> str:
    word = told.get(name)
    return word if isinstance(word, str) else otherwise


def _number(value: object) -> float | None:
    """None for what is none, and for what a calculation could not go on with."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < 2**63 and math.isfinite(value) else None
