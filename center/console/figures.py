"""Readings in words: numbers with their units, truths, and why a reading is not known."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any, Final

from center.console import parts
from center.console.session import Visit

_SCALES: Final[Mapping[str, tuple[float, str, int]]] = {
    "mv": (1000, "V", 2),
    "c": (1, "°C", 1),
    "°c": (1, "°C", 1),
    "percent": (1, "%", 1),
    "dbm": (1, "dBm", 0),
    "db": (1, "dB", 0),
    "ms": (1, "ms", 1),
    "s": (1, "s", 1),
    "bytes": (1 << 20, "MiB", 1),
    "kib": (1024, "MiB", 1),
}
"""By unit as terminals tell it: how many of it are one of those shown, their sign, and decimals at most."""

_LONGEST: Final = 400
_MOST: Final = 100
"""Letters of a text, and entries of a table or list, that are shown: a terminal may send anything."""


def scale(unit: str) -> tuple[float, str]:
    """What to divide a metric's numbers by for people, and the unit they have then."""
    divisor, sign, _ = _SCALES.get(unit.lower(), (1.0, unit, 2))
    return divisor, sign


def figure(visit: Visit, value: Any, unit: str = "") -> str:
    """A value of JSON as people read it."""
    if isinstance(value, bool):
        return visit.say("terminal.true" if value else "terminal.false")
    if isinstance(value, int | float):
        divisor, sign, decimals = _SCALES.get(unit.lower(), (1.0, unit, 2))
        number = f"{value / divisor:,.{decimals}f}" if isinstance(value, float) or divisor != 1 else str(value)
        number = number.rstrip("0").rstrip(".") if "." in number else number
        return f"{number} {sign}".strip()
    return "–" if value in (None, "") else short(str(value))


def short(text: str) -> str:
    """A text from outside, cut where it is longer than anybody reads."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def reading(visit: Visit, row: Mapping[str, Any], *, stale: bool) -> None:
    """The value of one reading; one that failed as a light with its cause, none of which looks like a value."""
    error = row["error"]
    if error is None:
        if stale:
            parts.light(visit, "stale", figure(visit, row["value"], row["unit"]))
        else:
            parts.text("span", figure(visit, row["value"], row["unit"])).classes("figures")
        return
    state = error if error in {"unsupported", "stale"} else "unknown"
    parts.light(visit, state, cause(visit, error))


def cause(visit: Visit, error: str) -> str:
    """Why a reading is not known."""
    return visit.word(f"terminal.cause_{error}", short(error))


def told(visit: Visit, values: Mapping[str, Any], depth: int = 3) -> None:
    """What a table of JSON holds, as names and values; what lies deeper than `depth` as it was written."""
    pairs: list[tuple[str, Any]] = []
    for key, value in islice(values.items(), _MOST):
        name = short(str(key))
        if isinstance(value, Mapping) and set(value) == {"error"}:
            row = {"error": str(value["error"]), "value": None, "unit": ""}
            pairs.append((name, lambda row=row: reading(visit, row, stale=False)))
        elif isinstance(value, Mapping) and value and depth > 1:
            pairs.append((name, lambda value=value: told(visit, value, depth - 1)))
        elif isinstance(value, list):
            shown = [figure(visit, each) for each in value[:_MOST]]
            pairs.append((name, ", ".join([*shown, *_rest(visit, len(value))]) or "–"))
        else:
            pairs.append((name, figure(visit, value)))
    pairs += [("…", rest) for rest in _rest(visit, len(values))]
    parts.facts(pairs)


def _rest(visit: Visit, n: int) -> list[str]:
    """How many of so many entries are not shown; nothing for none."""
    return [visit.say("terminal.not_shown", n=n - _MOST)] if n > _MOST else []
