"""What the console says, in every language: `words/{screen}.toml`, one table a phrase, one text a language."""

from __future__ import annotations

import tomllib
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final

LANGUAGES: Final = {"en": "English", "zh": "中文"}
_COUNTS: Final = frozenset({"n", "of", "all", "bad", "unknown", "terminals", "changed"})
"""Blanks of which there may be very many."""


def say(language: str, key: str, **values: Any) -> str:
    """The text of `screen.phrase` in a language, its {names} filled in.

    A phrase may have a table `one` of texts for n=1, or for another value that `by` names; in a language that has none
    the text is the same. Counts (`_COUNTS`) are numbers, and are told as 1,234. Raises KeyError for a phrase that
    nobody wrote: a missing text is a defect, and tests ask for every one.
    """
    screen, _, phrase = key.partition(".")
    table = phrases(screen)[phrase]
    text: str = table[language]
    if values.get(table.get("by", "n")) == 1:
        text = table.get("one", {}).get(language, text)
    told = {name: f"{value:,}" if name in _COUNTS and type(value) is int else value for name, value in values.items()}
    return text.format(**told) if values else text


def word_or(language: str, key: str, otherwise: str) -> str:
    """The text of a key that may come from a newer terminal; the word itself where nobody wrote it."""
    try:
        return say(language, key)
    except KeyError:
        return otherwise


@lru_cache(maxsize=64)
def phrases(screen: str) -> dict[str, dict[str, Any]]:
    """All phrases of one screen. Raises KeyError for a screen without any."""
    path = files(__package__) / "words" / f"{screen}.toml"
    if not path.is_file():
        raise KeyError(screen)
    return tomllib.loads(path.read_text("utf-8"))
