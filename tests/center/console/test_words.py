"""What the console says: every phrase that a screen asks for is there, in every language, with the same blanks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from string import Formatter
from typing import Any, get_args

import pytest

from agent.vocabulary import UNITS
from agent.wire import TIERS
from center.console import lights, terminal_time
from center.console.case_record import _STEPS
from center.console.words import LANGUAGES, phrases, say
from center.db.places import IMPORTED, MEASURED
from center.domain import tasks
from center.domain.cases_book import StepKind
from center.domain.contacts import TROUBLES

CONSOLE = Path(str(files("center.console")))
SCREENS = sorted(path.stem for path in (CONSOLE / "words").glob("*.toml"))
_ASKED = re.compile(r"""\bsay\(\s*(?:visit\.language,\s*|language,\s*)?["']([a-z_]+\.[a-z0-9_]+)["']""")


def _asked() -> set[str]:
    """Keys that stand in the sources as they are."""
    return {key for path in CONSOLE.rglob("*.py") for key in _ASKED.findall(path.read_text("utf-8"))}


@pytest.mark.parametrize("kind", get_args(StepKind))
def test_every_step_of_a_case_has_words_on_the_screen_and_on_paper(kind: str) -> None:
    assert kind in phrases("step")
    by_state = {"watching", "asking", "closed"}  # of which the record says what the merchant reads
    assert kind in by_state or all(kind in _STEPS[language] for language in LANGUAGES)


def test_every_step_of_an_incident_has_words() -> None:
    by_hand = [f"{kind}{undone}" for kind in ("merged", "adopted", "split") for undone in ("", "_undone")]
    for kind in ("began", "opened", "acknowledged", "resolved", "joined", "left", "retired", *by_hand):
        assert f"step_{kind}" in phrases("incident")


def _made() -> Iterator[str]:
    """Keys of terminals' pages that are put together there."""
    yield from (f"terminal.unit_{unit}" for unit in UNITS)
    yield from (f"terminal.do_{cmd}" for cmd in TIERS)
    yield from (f"terminal.tier_{tier}" for tier in set(TIERS.values()))
    yield from (f"terminal.span_{span}" for span in terminal_time.SPANS)
    yield from (f"terminal.chart_{chart.name}" for chart in terminal_time.CHARTS)
    for state in ("online", "late", "offline", "unknown"):
        yield from (f"terminal.contact_{state}", f"terminal.why_{state}")
    yield from (f"terminal.says_{verdict}" for verdict in ("yes", "degraded", "no", "unknown", "offline", "silent"))
    yield from (f"site.contact_{why}" for why in TROUBLES if why != "none")
    yield from (f"terminal.basis_{basis}" for basis in (IMPORTED, MEASURED))
    yield from (f"terminal.said_{said}" for said in ("stale", "never", "absent", "unsupported", "silent", "partly"))
    yield from (f"case.task_{kind}" for kind in tasks.KINDS)
    yield from (f"site.says_{each}" for each in ("fine", "no", "all", "unsure", "limits", "none"))
    yield from (f"parts.{severity}" for severity in lights.SEVERITIES)


def test_units_of_the_lights_are_those_of_the_vocabulary() -> None:
    assert set(lights.UNITS) == set(UNITS)


@pytest.mark.parametrize("key", sorted(_asked() | set(_made())))
def test_a_phrase_that_is_asked_for_is_there(key: str) -> None:
    screen, _, phrase = key.partition(".")
    assert phrase in phrases(screen)


_ALIKE = "min|h|s|ms|of|more|cannot|unknown|no|out|joined|recovered|taken|answered"
_COUNTED = re.compile(rf"\{{(n|of|all)\}} (?!(?:{_ALIKE})\b)[a-z]")
"""A number with the word that it counts: none of those that are the same for one and for many."""
_MANY = {"map.sites", "broadcasts.shown"}
"""JavaScript fills the first in, and says the name of one; the second is of more than fit into a list."""


@pytest.mark.parametrize("screen", [screen for screen in SCREENS if screen not in {"refused", "engine"}])
def test_what_is_counted_can_be_said_of_one(screen: str) -> None:
    for name, table in phrases(screen).items():
        if _COUNTED.search(table["en"]) and f"{screen}.{name}" not in _MANY:
            values: dict[str, Any] = dict.fromkeys(_blanks(table, "en"), "x") | {table.get("by", "n"): 1}
            assert say("en", f"{screen}.{name}", **values) != table["en"].format(**values), f"{screen}.{name}"


def test_numbers_are_written_for_people() -> None:
    assert say("en", "now.of", n=1) == "Of 1 terminal."
    assert say("en", "now.of", n=1234) == "Of 1,234 terminals."
    assert say("zh", "now.of", n=1) == "共 1 台终端。"
    assert say("en", "site.says_no", n=1, all=3) == "1 of 3 terminals here cannot sell."
    assert say("en", "site.says_no", n=1, all=1) == "The one terminal here cannot sell."


def test_no_caller_makes_a_text_of_what_is_counted() -> None:
    made = re.compile(r"\bn=f[\"']\{[^}]*:,\}")
    assert [path.name for path in CONSOLE.rglob("*.py") if made.search(path.read_text("utf-8"))] == []


@pytest.mark.parametrize("screen", SCREENS)
def test_every_phrase_is_there_in_every_language_with_the_same_blanks(screen: str) -> None:
    for name, table in phrases(screen).items():
        blanks = [_blanks(table, language) for language in LANGUAGES]
        assert all(each == blanks[0] for each in blanks), f"{screen}.{name}"


def _blanks(table: dict[str, Any], language: str) -> set[str]:
    assert table[language].strip()
    return {field for _, field, _, _ in Formatter().parse(table[language]) if field}
