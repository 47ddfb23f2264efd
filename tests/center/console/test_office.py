"""What campaigns, readiness and reports work out before they show it."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Any, cast

import pytest

from center.console import broadcast_new, broadcasts, campaign, campaigns, readiness_stores, reports_period, words
from center.console.campaign_form import AUDIENCE, KINDS, Wrong, settings_of, shown_waves, waves_of
from center.console.readiness_stores import STATES, by_store, what_words
from center.console.reports_period import DAYS, GROUPS, Span, length
from center.console.session import Visit
from center.domain import broadcast
from center.domain.campaigns_plan import check_waves
from center.domain.cases_policy import Policy
from center.domain.texts import sms_parts

SCREENS = ("campaigns", "broadcasts", "readiness", "reports")


class _English:
    """As much of a visit as words need."""

    language = "en"

    def say(self, key: str, **values: Any) -> str:
        return words.say("en", key, **values)

    def word(self, key: str, otherwise: str) -> str:
        return words.word_or("en", key, otherwise)


NO_LINK = Policy().notice_page
LINK = Policy(public_url="https://pos.example.org").notice_page
VISIT = cast("Visit", _English())


@pytest.mark.parametrize("screen", SCREENS)
def test_every_phrase_is_there_in_both_languages_with_the_same_places(screen: str) -> None:
    for name, phrase in words.phrases(screen).items():
        assert set(phrase) - {"one", "by"} == set(words.LANGUAGES), name
        places = [sorted(re.findall(r"{\w+}", phrase[language])) for language in words.LANGUAGES]
        assert places[0] == places[1], name


@pytest.mark.parametrize("screen", SCREENS)
def test_every_phrase_that_a_screen_asks_for_is_written(screen: str) -> None:
    asked = set()
    for path in Path(words.__file__).parent.glob("*.py"):
        asked |= set(re.findall(rf'"{screen}\.(\w+)"', path.read_text("utf-8")))
    asked -= {each for each in asked if f"{each}_title" in words.phrases(screen)}  # what `parts.empty` builds on
    more = {
        "campaigns": [
            *AUDIENCE,
            *(f"kind_{each}" for each in KINDS),
            *(f"state_{each}" for each in campaigns.STATES),
            *(f"target_{each}" for each in campaign.RESULTS),
        ],
        "broadcasts": [*broadcasts.LOOKS, *broadcasts.WHY.values(), *(f"text_{each}" for each in words.LANGUAGES)],
        "readiness": [*STATES, *(f"tile_{each}" for each in STATES)],
        "reports": [*(f"days_{each}" for each in DAYS), *(f"by_{each}" for each in GROUPS)],
    }[screen]
    assert asked
    assert sorted({*asked, *more} - set(words.phrases(screen))) == []


def test_waves_are_written_as_counts_and_shares() -> None:
    told = waves_of("5, 10%，100%", 900, VISIT)
    assert told == [{"count": 5, "pause_s": 900}, {"share": 0.1, "pause_s": 900}, {"share": 1.0, "pause_s": 0}]
    assert check_waves(told) == told
    assert shown_waves(VISIT, told) == ["5 terminals", "10% of all", "all the others"]
    assert waves_of("", 900, VISIT) == []  # the usual ones
    with pytest.raises(Wrong, match="no size of a wave: some"):
        waves_of("5, some", 0, VISIT)


def test_settings_are_written_a_line_each() -> None:
    told = settings_of("printer.paper_warn_mm = 500\n\nprinter.name =\nagent.note = till 2\nmodem.on = true", VISIT)
    assert told == {
        "printer": {"paper_warn_mm": 500, "name": None},
        "agent": {"note": "till 2"},
        "modem": {"on": True},
    }
    for line in ("printer = 1", "printer.x", ".x = 1"):
        with pytest.raises(Wrong, match="This line is no setting"):
            settings_of(line, VISIT)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", 0),
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("€" * 80, 1),
        ("€" * 81, 2),
        ("a" + "€" * 153, 3),  # 153 is odd: the 77th sign of two septets goes to the next part whole
        ("网" * 70, 1),
        ("网" * 71, 2),
        ("网" * 134, 2),
        ("网" * 135, 3),
        ("😀" * 35, 1),
        ("😀" * 67, 3),  # 67 is odd, too
        ("a" * 70 + "网", 2),
    ],
)
def test_how_many_sms_a_text_takes(text: str, parts: int) -> None:
    assert sms_parts(text) == parts


def test_the_length_of_a_message_is_told_with_the_subject_before_it() -> None:
    assert broadcast_new.length(VISIT, "  ", "en", NO_LINK) == words.say("en", "broadcasts.length_none")
    subject = len(broadcast.as_sms("", "en", NO_LINK))
    assert broadcast_new.length(VISIT, "a" * (160 - subject), "en", NO_LINK) == "138 characters, 1 SMS for each contact"
    assert broadcast_new.length(VISIT, "a" * (161 - subject), "en", NO_LINK) == "139 characters, 2 SMS for each contact"
    assert broadcast_new.length(VISIT, "网" * 64, "zh", NO_LINK) == "64 characters, 1 SMS for each contact"
    assert broadcast_new.length(VISIT, "网" * 65, "zh", NO_LINK) == "65 characters, 2 SMS for each contact"
    linked = len(broadcast.as_sms("", "en", LINK))
    assert linked == subject + len("\nhttps://pos.example.org/n/") + 22
    assert broadcast_new.length(VISIT, "a" * (161 - linked), "en", LINK) == "90 characters, 2 SMS for each contact"


def test_a_message_is_named_by_what_it_says_and_whom_it_is_for() -> None:
    about = {"kind": "message", "texts": {"en": "The network\nis down. " + 9 * "Please wait. "}, "incident": None}
    about |= {"suppression": None, "audience": {"sites": ["s1", "s2", "s3", "s4", "s5"], "tags": ["mall"]}}
    assert broadcasts.name_of(VISIT, about, 24) == "The network is down. Pl…"
    assert broadcasts.whom(VISIT, about) == "Sites: s1, s2, s3 +2; Tags: mall"
    assert broadcasts.name_of(VISIT, about | {"kind": "maintenance", "texts": None}) == "Planned maintenance"
    assert broadcasts.whom(VISIT, about | {"incident": "inc-1"}) == "merchants of an incident"
    assert broadcasts.whom(VISIT, about | {"suppression": "sup-1"}) == "merchants of a maintenance window"


def _terminal(name: str, site: str | None, score: int | None = None, **more: Any) -> dict[str, Any]:
    data = None
    if more.get("state", "succeeded") == "succeeded":
        data = {"score": score, "ready": (score or 0) >= 75, "todo": more.pop("todo", []), "forecast": {}}
        data["forecast"] = more.pop("forecast", {})
    usual = {"estate": "e", "terminal": name, "site": site, "name": None, "address": None, "error": ""}
    return usual | {"state": "succeeded", "data": data} | more


def test_a_store_is_as_ready_as_its_worst_terminal_and_silence_is_not_ready() -> None:
    todo = [{"what": "printer/paper_out", "why": "empty", "act": "merchant"}]
    rows = [
        _terminal("t1", "s1", 100),
        _terminal("t2", "s1", 40, todo=todo, forecast={"printer.paper_days_left": 3, "p.wear_percent": 1}),
        _terminal("t3", "s2", 90),
        _terminal("t4", "s2", state="unanswered", error="it was not there in time"),
        _terminal("t5", "s3", 100),
        _terminal("t6", None, state="offline"),
    ]
    stores = by_store(rows)
    assert [(each.site, each.state, each.score) for each in stores] == [
        ("s1", "not_ready", 40), ("s2", "unknown", 90), ("", "waiting", None), ("s3", "ready", 100),
    ]  # fmt: skip
    assert stores[0].soonest == ("printer.paper_days_left", 3.0)
    assert [(terminal, item["what"]) for terminal, item in stores[0].todo] == [("t2", "printer/paper_out")]
    assert [(terminal, item["why"]) for terminal, item in stores[1].todo] == [("t4", "it was not there in time")]
    assert stores[2].todo == []


def test_what_is_to_do_is_said_in_words() -> None:
    assert what_words(VISIT, "printer/paper_out") == "The paper roll is empty"
    assert what_words(VISIT, "printer.paper_days_left") == "Runs out before the day: paper"
    assert what_words(VISIT, "settings") == "Settings are not as wished"
    assert what_words(VISIT, "till-printer") == "Could not be checked: till-printer"
    assert readiness_stores.STATES[0] == "ready"


def test_a_period_comes_from_the_address_and_goes_back_into_it() -> None:
    assert Span.of("7", "", "", "model") == Span(7, None, None, "model")
    assert Span.of("8", "", "", "DROP") == Span(30, None, None, "fault")
    own = Span.of("", "2026-01-01", "2026-02-01", "site")
    assert own == Span(0, date(2026, 1, 1), date(2026, 2, 1), "site")
    assert own.query == {"since": "2026-01-01T00:00:00Z", "until": "2026-02-01T00:00:00Z"}
    assert own.address(of="repair") == "since=2026-01-01&until=2026-02-01&by=site&of=repair"
    for since, until in (("2026-02-01", "2026-01-01"), ("2024-01-01", "2026-01-01"), ("x", "2026-01-01"), ("", "x")):
        with pytest.raises(ValueError, match=r".+"):
            Span.of("", since, until, "site")


@pytest.mark.parametrize(
    ("milliseconds", "said"),
    [(0, "0 s"), (43_400, "43 s"), (61_000, "1 min"), (90_000, "1.5 min"), (3 * 3_600_000, "3 h"), (2e8, "2.3 days")],
)
def test_lengths_are_said_in_the_unit_that_fits(milliseconds: float, said: str) -> None:
    assert length(VISIT, milliseconds) == said
    assert reports_period.percent({"share": None}) is None
