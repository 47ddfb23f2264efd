"""What the console says, in every language: `words/{screen}.toml`, one table a phrase, one text a language."""

from __future__ import annotations

import tomllib
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final

LANGUAGES: Final = {"en": "English", "zh": "中文"}


def say(language: str, key: str, **values: Any) -> str:
    """The text of `screen.phrase` in a language, its {names} filled in.

    A phrase may have `one` beside the languages' texts, in a table `one`, for n=1. Raises KeyError for a phrase that
    nobody wrote: a missing text is a defect, and tests ask for every one.
    """
    screen, _, phrase = key.partition(".")
    table = phrases(screen)[phrase]
    if values.get("n") == 1 and "one" in table:
        table = table["one"]
    text: str = table[language]
    return text.format(**values) if values else text


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
