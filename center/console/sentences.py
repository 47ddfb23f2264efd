"""Sentences that the center and its terminals write in English, in the visitor's language.

`words/{screen}.toml` holds each sentence as it is written, its {blanks} as they may be, and what it means elsewhere.
"""

from __future__ import annotations

import re
from functools import lru_cache
from string import Formatter
from typing import Final

from center.console.words import phrases, say, word_or

WRITTEN: Final = "en"
"""The language that they are written in, in which they are given as they are."""
_FREE: Final = frozenset({"who", "how", "why", "list", "names", "roles", "kinds", "scopes", "path", "did"})
"""Blanks that hold more than one word."""
_WORDS: Final = ("did_", "guide_state_", "act_")
"""Phrases that stand in blanks, and are no sentences."""
_STATES: Final = {
    "case_state": ("case", ""),
    "incident_state": ("incident", ""),
    "campaign_state": ("campaigns", "state_"),
}


def told(language: str, text: str) -> str:
    """What an engine or a terminal says, in a language; as it is where nobody wrote it."""
    return _known(language, "engine", text) or text


def refusal(language: str, status: int, text: str) -> str:
    """One line of the API in a language; where nobody wrote it, what its status means, with the line behind it."""
    if language == WRITTEN:
        return text
    word = f"status_{status}"
    other = word if word in phrases("refused") else "status_other"
    return _known(language, "refused", text) or say(language, f"refused.{other}", text=text)


def _known(language: str, screen: str, text: str) -> str:
    """A sentence of the screen's in a language, the values carried over; "" for one that it has not."""
    for pattern, phrase in _patterns(screen):
        found = pattern.fullmatch(text.rstrip("."))
        if found is not None:
            values = {name: _word(language, screen, name, value) for name, value in found.groupdict().items()}
            return say(language, f"{screen}.{phrase}", **values)
    return ""


def _word(language: str, screen: str, blank: str, value: str) -> str:
    """What stands in a blank: a word of ours in the language, else as it is."""
    key = re.sub(r"\W+", "_", value)
    if blank in _STATES:
        of, prefix = _STATES[blank]
        return word_or(language, f"{of}.{prefix}{key}", value)
    if blank == "why":
        return _known(language, screen, value) or value
    return word_or(language, f"{screen}.{blank}_{key}", value)


@lru_cache(maxsize=4)
def _patterns(screen: str) -> tuple[tuple[re.Pattern[str], str], ...]:
    """What each sentence looks like but for capitals and a full stop, the most letters of their own first."""
    found = []
    for phrase, table in phrases(screen).items():
        pieces = list(Formatter().parse(table[WRITTEN].rstrip(".")))
        own = sum(len(literal) for literal, *_ in pieces)
        if own and not phrase.startswith(_WORDS):
            made = "".join(re.escape(literal) + (_blank(name) if name else "") for literal, name, *_ in pieces)
            found.append((own, re.compile(made, re.DOTALL | re.IGNORECASE), phrase))
    return tuple((pattern, phrase) for _, pattern, phrase in sorted(found, key=lambda each: (-each[0], each[2])))


def _blank(name: str) -> str:
    several = name in _FREE or name.endswith("_state")
    return f"(?P<{name}>{'.+' if several else '[^ ]+'})"
