"""The API's refusals in the visitor's language: `words/refused.toml` holds its English sentences and what they mean."""

from __future__ import annotations

import re
from functools import lru_cache
from string import Formatter
from typing import Final

from center.console.words import phrases, say, word_or

_OWN: Final = "en"
"""The API's language, whose sentences are given as they are."""
_FREE: Final = frozenset({"who", "how", "why", "list", "names", "roles", "kinds", "scopes", "path", "did", "account"})
"""Blanks that hold more than one word."""
_STATES: Final = {"case_state": "case.", "incident_state": "incident.", "campaign_state": "campaigns.state_"}


def told(language: str, status: int, text: str) -> str:
    """One line of the API in a language; where nobody wrote it, what its status means, with the line behind it."""
    if language == _OWN:
        return text
    for pattern, phrase in _patterns():
        found = pattern.fullmatch(text)
        if found is not None:
            values = {name: _word(language, name, value) for name, value in found.groupdict().items()}
            return say(language, f"refused.{phrase}", **values)
    known = f"status_{status}"
    return say(language, f"refused.{known if known in phrases('refused') else 'status_other'}", text=text)


def _word(language: str, blank: str, value: str) -> str:
    """What stands in a blank: a word of ours in the language, else as it is."""
    key = re.sub(r"\W+", "_", value)
    if blank in _STATES:
        return word_or(language, _STATES[blank] + key, value)
    return word_or(language, f"refused.{blank}_{key}", value)


@lru_cache(maxsize=1)
def _patterns() -> tuple[tuple[re.Pattern[str], str], ...]:
    """What each sentence looks like, those with the most letters of their own first."""
    found = []
    for phrase, table in phrases("refused").items():
        pieces = list(Formatter().parse(table[_OWN]))
        own = sum(len(literal) for literal, *_ in pieces)
        if own and not phrase.startswith(("did_", "guide_state_")):
            made = "".join(re.escape(literal) + (_blank(name) if name else "") for literal, name, *_ in pieces)
            found.append((own, re.compile(made, re.DOTALL), phrase))
    return tuple((pattern, phrase) for _, pattern, phrase in sorted(found, key=lambda each: (-each[0], each[2])))


def _blank(name: str) -> str:
    several = name in _FREE or name.endswith("_state")
    return f"(?P<{name}>{'.+' if several else '[^ ]+'})"
