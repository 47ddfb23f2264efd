"""What the center found when it looked at itself, in words: the same on the first page and on an incident's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from center.console.words import say, word_or

_MUST_WORK: Final = frozenset({"broker", "engine"})
"""Kinds of which the text tells what fails, and the value nothing."""
_RESTLESS: Final = frozenset({"worker", "lag"})
"""Kinds whose number changes with every look, so that it is left out while it is right."""

Told = Mapping[str, Any]


def name(language: str, key: str) -> str:
    """What was looked at, and of whom."""
    kind, _, who = key.partition(":")
    said = word_or(language, f"now.reading_{kind}", kind)
    return say(language, "now.of_whom", what=said, who=_who(language, who)) if who else said


def _who(language: str, who: str) -> str:
    """A part of the center that has a word of its own, with what stands behind it: `upkeep-event`; else as it is."""
    part, _, rest = who.partition("-")
    said = word_or(language, f"now.who_{part}", "")
    behind = word_or(language, f"now.class_{rest}", rest)
    return word_or(language, f"now.who_{who}", f"{said} {behind}" if said else who)


def line(language: str, told: Told) -> str:
    """A reading in one line."""
    kind, right = told["key"].partition(":")[0], told["state"] == "right"
    named = name(language, told["key"])
    if right and told["value"] is not None and kind in _MUST_WORK | _RESTLESS:
        return named
    return say(language, "now.reading", what=named, found=found(language, told))


def found(language: str, told: Told) -> str:
    """The value with its unit; why there is none; or what fails, with the words of the system that said so."""
    if told["value"] is None:
        return say(language, "now.not_measured", why=told["text"])
    if told["key"].partition(":")[0] not in _MUST_WORK:
        return _value(language, told["value"], told["unit"])
    if told["state"] == "right":
        return say(language, "now.works")
    return word_or(language, f"now.state_{told['text'].replace(' ', '_')}", "") or say(
        language, "now.fails", why=told["text"] or "–"
    )


def advice(language: str, told: Told) -> str:
    """What to do about it; "" where nobody wrote it."""
    return word_or(language, f"now.do_{told['key'].partition(':')[0]}", "")


def _value(language: str, value: float, unit: str) -> str:
    if unit == "bytes":
        return say(language, "now.unit_gib", n=f"{value / 2**30:.0f}")
    if unit == "s" and value >= 120:
        return say(language, "now.unit_min", n=round(value / 60))
    return f"{value:g} {word_or(language, f'now.unit_{unit}', unit)}".strip()
