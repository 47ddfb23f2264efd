"""The merchant's page: what it says, what it takes, and what it keeps to itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from sqlalchemy import update

from agent.vocabulary import VOCABULARY
from center.console import words
from center.console.plain.merchant import _STAGE, STAGES
from center.console.plain.page import dialled
from center.console.plain.pictures import drawing, picture_of
from center.db.engine import Database
from center.db.tables import case_steps, case_tasks, cases, surveys
from center.domain.cases import NewCase
from center.domain.dispatch import Dispatch
from center.domain.grouping import OFFLINE
from center.domain.merchant import LINK_DAYS, MOST_AN_HOUR
from center.domain.texts import guidance
from tests.center.console.pages import Shop, hidden, new_world, shop
from tests.center.desk_world import AGENT, DAY, ESTATE, HOUR, act

EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>"


@pytest.fixture
def at(database: Database) -> Iterator[Shop]:
    with shop(new_world(database)) as running:
        yield running


class _Page(HTMLParser):
    """Sees to it that tags are closed, and that nothing is in them that the policy forbids."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        assert tag not in {"script", "style", "iframe"}
        assert not any(name == "style" or name.startswith("on") for name, _ in attrs), attrs
        if tag not in {"meta", "link", "input", "img", "br"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def _send(at: Shop, token: str, what: str, **told: str) -> Any:
    key = hidden(at.client.get(f"/m/{token}").text)
    return at.client.post(f"/m/{token}/{what}", data=key | told)


def test_it_says_what_is_wrong_what_to_do_and_how_far_it_is(at: Shop) -> None:
    case = at.case()
    at.world.cases.acknowledge(AGENT, case["id"])
    at.world.cases.set_eta(AGENT, case["id"], at.world.now_ms + HOUR)
    at.world.cases.set_eta(AGENT, case["id"], at.world.now_ms + 3 * HOUR, "traffic")
    at.world.cases.message(AGENT, case["id"], "Paper is on its way")
    answer = at.client.get(f"/m/{case['merchant_token']}?lang=en")
    page = _Page(answer.text)
    for said in (
        "The paper roll is empty",
        "Payments can be taken, but not everything works",
        "Corner shop",
        f"Case C-{case['number']}",
        'tomorrow 01:13</time></strong> <span class="was">(before: <time datetime="2026-09-21T23:13+08:00">today 23:13',
        "We are looking at it.",
        '<a href="tel:4008201234">400-820-1234</a> (24 hours)',
        "the same number is on the terminal&#39;s screen",
        "Pudong service point",
        "Paper is on its way",
        'aria-current="step"><span class="label">Looked at',
    ):
        assert said in answer.text, said
    steps = guidance("printer/paper_out", "en")
    assert steps is not None
    assert page.tags.count("svg") >= len(steps["steps"])
    assert all(step in answer.text for step in steps["steps"])
    assert "set-cookie" not in answer.headers
    assert answer.headers["content-security-policy"].startswith(
        "default-src 'self'; img-src 'self' data:; style-src 's"
    )
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert 'name="robots" content="noindex' in answer.text


def test_it_speaks_the_language_of_the_case_until_another_is_chosen(at: Shop) -> None:
    case = at.case()
    told = at.client.get(f"/m/{case['merchant_token']}", headers={"accept-language": "en"}).text
    assert '<html lang="zh-CN">' in told
    assert "打印纸用完了" in told
    assert f'href="/m/{case["merchant_token"]}?lang=en"' in told
    assert '<html lang="en">' in at.client.get(f"/m/{case['merchant_token']}?lang=en").text
    assert '<html lang="zh-CN">' in at.client.get(f"/m/{case['merchant_token']}?lang=fr").text


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"can_sell": "yes"}, "Payments can be taken<"),
        ({"can_sell": "no"}, "This terminal cannot take payments now"),
        ({"can_sell": "yes", "status": "offline"}, "We cannot see from here whether"),
    ],
)
def test_whether_payments_can_be_taken(at: Shop, told: dict[str, Any], said: str) -> None:
    case = at.case(**told)
    assert said in at.client.get(f"/m/{case['merchant_token']}?lang=en").text


def test_a_terminal_that_must_not_be_used_says_so_first(at: Shop) -> None:
    page = at.client.get(f"/m/{at.case('keypad/tamper', can_sell='yes')['merchant_token']}?lang=en").text
    assert "Do not use this terminal" in page
    assert "Payments can be taken" not in page


def test_a_promise_that_is_over_is_said_to_be(at: Shop) -> None:
    case = at.case()
    at.world.cases.set_eta(AGENT, case["id"], at.world.now_ms + HOUR)
    assert "This time has passed" not in at.client.get(f"/m/{case['merchant_token']}?lang=en").text
    at.world.now_ms += 2 * HOUR
    assert "This time has passed" in at.client.get(f"/m/{case['merchant_token']}?lang=en").text


def test_a_visit_is_named_with_how_to_tell_that_it_is_one(at: Shop) -> None:
    case = at.case("printer/mechanical_error")
    desk = Dispatch(at.world.database, at.world.policy, lambda: at.world.now_ms)
    desk.send(act(), case["id"], "Zhang San", at.world.now_ms + 12 * HOUR, at.world.now_ms + 14 * HOUR)
    page = at.client.get(f"/m/{case['merchant_token']}?lang=en").text
    assert "Zhang San comes" in page
    assert re.search(r"tomorrow 10:13</time>–12:13", page)
    assert "Ask for the visit code" in page
    assert 'aria-current="step"><span class="label">Technician or part' in page


def test_every_state_is_a_stage(at: Shop) -> None:
    assert set(_STAGE.values()) == set(range(len(STAGES)))
    case = at.case()
    at.world.cases.acknowledge(AGENT, case["id"])
    at.world.cases.pause(AGENT, case["id"], "part", "roll ordered")
    page = at.client.get(f"/m/{case['merchant_token']}?lang=en").text
    assert 'aria-current="step"><span class="label">Technician or part' in page
    assert "We wait for a spare part." in page


def test_it_says_as_of_when_it_speaks_and_shows_what_is_new_until_the_end(at: Shop) -> None:
    case = at.case()
    first = at.client.get(f"/m/{case['merchant_token']}?lang=en&done=wrote").text
    shown = re.search(r'As of <time datetime="2026-09-21T22:13[^>]*>today 22:13</time>. <a href="([^"]+)">Show', first)
    assert shown is not None
    at.world.later(HOUR)
    later = at.client.get(shown[1]).text
    assert "today 23:13</time>. <a " in later
    assert "Your message is with support." not in later
    at.world.fault("printer/paper_out", "cleared")
    at.world.run()
    at.world.later(DAY)
    _send(at, case["merchant_token"], "answer", works="yes")
    assert "Show what is new" not in at.client.get(f"/m/{case['merchant_token']}?lang=en").text


@pytest.mark.parametrize("how", ["nobody", "operator", "cancelled", "before", "visit", "part"])
def test_at_the_end_a_visit_or_a_part_is_a_stage_only_where_there_was_one(at: Shop, how: str) -> None:
    case = at.case()
    desk = Dispatch(at.world.database, at.world.policy, lambda: at.world.now_ms)
    if how in {"part", "operator"}:
        at.world.cases.pause(AGENT, case["id"], how, "as ordered")
        at.world.cases.resume(AGENT, case["id"])
    elif how != "nobody":
        desk.send(act(), case["id"], "Zhang San", at.world.now_ms + HOUR, at.world.now_ms + 3 * HOUR)
        if how == "cancelled":
            desk.cancel(act(), case["id"], "not needed")
        at.world.later(0 if how == "before" else 2 * HOUR)
    assert "Technician or part" in at.client.get(f"/m/{case['merchant_token']}?lang=en").text
    at.world.cases.repaired(AGENT, case["id"], "refilled")
    at.world.fault("printer/paper_out", "cleared")
    at.world.run()
    at.world.later(DAY)
    _send(at, case["merchant_token"], "answer", works="yes")
    page = at.client.get(f"/m/{case['merchant_token']}?lang=en").text
    assert 'aria-current="step"><span class="label">Done' in page
    assert ("Technician or part" in page) == (how in {"visit", "part"})


@pytest.mark.parametrize("withdrawn", ["unknown", "expired", "withdrawn", "odd"])
def test_a_link_that_is_none_tells_nothing_but_whom_to_call(at: Shop, withdrawn: str) -> None:
    case = at.closed()
    token = case["merchant_token"]
    if withdrawn == "unknown":
        token = token[:-1]
    elif withdrawn == "odd":
        token = "%00%F0x"
    elif withdrawn == "expired":
        at.world.now_ms += (LINK_DAYS + 1) * DAY
    else:
        with at.world.database.begin() as connection:
            connection.execute(update(cases).values(merchant_token=None))
    answers = [at.client.get(f"/m/{token}?lang=en"), at.client.get(f"/m/{token}/qr.svg?lang=en")]
    answers.append(at.client.post(f"/m/{token}/answer?lang=en", data={"works": "no", "key": "k"}))
    for answer in answers:
        _Page(answer.text)
        assert answer.status_code == 404
        assert "There is nothing here." in answer.text
        assert 'href="tel:4008201234"' in answer.text
        assert "Corner shop" not in answer.text
        assert "C-1" not in answer.text.replace(token, "")  # which may hold any letters
    assert "这里没有内容" in at.client.get(f"/m/{token}", headers={"accept-language": "zh-CN,zh;q=0.9"}).text


def test_what_others_typed_is_text(at: Shop) -> None:
    at.world.site("s1", name=EVIL, timezone="Asia/Shanghai")
    at.world.terminal()
    new = NewCase(estate=ESTATE, terminal="t1", kind="complaint", title=EVIL)
    case = at.world.cases.open(act(), new)[0]
    at.world.cases.message(AGENT, case["id"], EVIL)
    token = case["merchant_token"]
    assert _send(at, token, "message", said=EVIL).status_code == 303
    refused = _send(at, token, "message", said=EVIL + "x" * 2001)
    assert refused.status_code == 422
    for text in (at.client.get(f"/m/{token}").text, refused.text):
        _Page(text)
        assert text.count("&lt;script&gt;") >= 4
        assert "<img src=x" not in text


def test_answers_and_messages_arrive_once(at: Shop) -> None:
    case = at.case()
    token = case["merchant_token"]
    form = hidden(at.client.get(f"/m/{token}?lang=en").text)
    for _ in range(3):
        sent = at.client.post(f"/m/{token}/message", data=form | {"said": "please hurry"})
        assert (sent.status_code, sent.headers["location"]) == (303, f"/m/{token}?done=wrote&lang=en")
    assert at.world.steps(case["id"]).count("message") == 1
    shown = at.client.get(sent.headers["location"]).text
    assert "Your message is with support." in shown
    assert "please hurry" in shown
    sent = _send(at, token, "answer", works="no", said="it jams")
    assert sent.headers["location"] == f"/m/{token}?done=answered_no&lang=zh"
    assert "已记录仍未解决" in at.client.get(sent.headers["location"]).text


def test_a_merchant_asks_to_be_called_back_once(at: Shop) -> None:
    case = at.case()
    token = case["merchant_token"]
    page = at.client.get(f"/m/{token}?lang=en").text
    assert f'action="/m/{token}/call"' in page
    for said in ("after five, 138 0013 8000", ""):
        sent = _send(at, token, "call", said=said)
        assert (sent.status_code, sent.headers["location"]) == (303, f"/m/{token}?done=call_asked&lang=zh")
    (task,) = at.world.rows(case_tasks)
    assert (task["kind"], task["text"], task["by"]) == ("call_back", "after five, 138 0013 8000", "merchant")
    page = at.client.get(f"/m/{token}?lang=en&done=call_asked").text
    assert "You asked to be called back." in page
    assert "Please call me back." in page  # the second wish had no words
    assert f'action="/m/{token}/call"' not in page
    assert "我们会尽快给您回电" in at.client.get(f"/m/{token}?lang=zh&done=call_asked").text
    closed = at.closed("t2")["merchant_token"]
    assert f'action="/m/{closed}/call"' not in at.client.get(f"/m/{closed}").text
    refused = at.client.post(f"/m/{closed}/call", data={"key": "k1", "said": "now"})
    assert (refused.status_code, "本工单已经结案" in refused.text) == (409, True)
    assert at.client.post(f"/m/{token}/call", data={"said": "now"}).status_code == 422


def test_the_whole_way_to_the_survey_and_back(at: Shop) -> None:
    case = at.case()
    token = case["merchant_token"]
    at.world.fault("printer/paper_out", "cleared")
    at.world.run()
    watching = at.client.get(f"/m/{token}?lang=en").text
    assert 'aria-current="step"><span class="label">Trying it out' in watching
    assert "What to do now" not in watching
    at.world.later(HOUR)
    assert _send(at, token, "answer", works="yes").headers["location"].startswith(f"/m/{token}?done=answered_closed")
    assert at.world.case(id=case["id"])["outcome"] == "confirmed"
    page = at.client.get(f"/m/{token}?lang=en").text
    assert "Two questions" in page
    assert page.count('type="radio"') == 7
    unscored = _send(at, token, "survey", solved="yes", said="quick")
    assert (unscored.status_code, "请选择1到5分" in unscored.text, ">quick</textarea>" in unscored.text) == (
        422,
        True,
        True,
    )
    assert _send(at, token, "survey", solved="yes", score="5", said="quick").headers["location"].count("done=rated")
    (row,) = at.world.rows(surveys)
    assert (row["score"], row["text"]) == (5, "quick")
    assert "Two questions" not in at.client.get(f"/m/{token}?lang=en").text
    again = at.closed("t2")
    assert _send(at, again["merchant_token"], "survey", solved="no", said="no paper again").status_code == 303
    assert at.world.case(id=again["id"])["state"] == "reopened"


def test_what_is_refused_is_one_line_in_the_language_that_is_read(at: Shop) -> None:
    case = at.case()
    token = case["merchant_token"]
    for number in range(MOST_AN_HOUR):
        _send(at, token, "message", said=f"message {number}")
    form = hidden(at.client.get(f"/m/{token}?lang=en").text)
    refused = at.client.post(f"/m/{token}/message", data=form | {"said": "one more"})
    _Page(refused.text)
    assert refused.status_code == 409
    assert re.search(r'role="alert">.*too much within an hour; call support instead</p>', refused.text)
    assert ">one more</textarea>" in refused.text
    assert f'href="/m/{token}?lang=zh"' in refused.text
    closed = at.closed("t3")
    both = _send(at, closed["merchant_token"], "answer", works="yes")
    assert (both.status_code, "本工单已经结案" in both.text) == (409, True)
    assert at.world.rows(case_steps, case_steps.c.kind == "answered") == []


@pytest.mark.parametrize("told", [{}, {"works": "maybe", "key": "k"}, {"works": "yes"}, {"works": "yes", "key": "ä b"}])
def test_a_form_that_is_none_of_ours_changes_nothing(at: Shop, told: dict[str, str]) -> None:
    case = at.case()
    answer = at.client.post(f"/m/{case['merchant_token']}/answer?lang=en", data=told)
    assert answer.status_code == 422
    assert "could not be understood" in answer.text
    assert at.world.steps(case["id"]) == ["opened"]


@pytest.mark.parametrize("fault", [*VOCABULARY, OFFLINE])
def test_every_step_has_a_drawing_which_is_the_same_in_both_languages(fault: str) -> None:
    english, chinese = guidance(fault, "en"), guidance(fault, "zh")
    assert english is not None
    assert chinese is not None
    for one, other in zip(english["steps"], chinese["steps"], strict=True):
        assert picture_of(one) == picture_of(other), (one, other)
        assert drawing(picture_of(one)).startswith("<svg ")


@pytest.mark.parametrize(
    ("step", "picture"),
    [
        ("Open the paper cover.", "cover"),
        ("Close the cover until it clicks.", "close"),
        ("Put in a new roll.", "paper"),
        ("Push the printer cable in firmly at both ends.", "cable"),
        ("Push the power plug in firmly.", "plug"),
        ("Look at the slot without touching it.", "card"),
        ("Restart the terminal once. Then call support.", "restart"),
        ("Push the SIM card in until it clicks.", "sim"),
        ("Take the terminal to a window or outside.", "network"),
        ("If that does not help, call support.", "call"),
        ("Do what nobody has drawn.", "look"),
    ],
)
def test_the_drawing_is_of_what_is_to_be_done(step: str, picture: str) -> None:
    assert picture_of(step) == picture


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Call 100", "Call 100"),
        ("+86 21 5555-0100, day & night", '<a href="tel:+862155550100">+86 21 5555-0100</a>, day &amp; night'),
        ("<b>95588</b>", '&lt;b&gt;<a href="tel:95588">95588</a>&lt;/b&gt;'),
        ("", ""),
    ],
)
def test_numbers_can_be_tapped(text: str, shown: str) -> None:
    assert dialled(text) == shown


@pytest.mark.parametrize("texts", ["plain", "merchant", "login", "print"])
def test_every_phrase_is_there_in_both_languages_with_the_same_places(texts: str) -> None:
    for name, phrase in words.phrases(texts).items():
        assert set(phrase) - {"one", "by"} == set(words.LANGUAGES), name
        places = [sorted(re.findall(r"{\w+}", phrase[language])) for language in words.LANGUAGES]
        assert places[0] == places[1], name
