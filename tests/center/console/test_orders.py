"""What a command brought, as the page shows it: a terminal may answer anything, and the page holds."""

from __future__ import annotations

import string
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nicegui import Client, ui
from nicegui.page import page

from center.console import knowledge_views, orders
from center.console.words import say, word_or
from center.domain import check_output

HOSTILE = '<img src=x onerror="document.title=1">'
PAPER = {"fault": "printer/paper_out"}


class _Visit:
    """Only the words of a visit."""

    language = "en"

    def say(self, key: str, **values: Any) -> str:
        return say("en", key, **values)

    def word(self, key: str, otherwise: str) -> str:
        return word_or("en", key, otherwise)


def _shown(show: Any, output: Any) -> list[str]:
    """The texts of the elements that were built."""
    visit: Any = _Visit()
    with Client(page("/orders")) as client:
        try:
            with ui.element("div") as box:
                show(visit, output)
            told = [str(getattr(each, "text", "")) for each in box.descendants()]
        finally:
            client.delete()
    return [text for text in told if text]


def _check(**more: Any) -> dict[str, Any]:
    return {"verdict": {"can_sell": "no"}, "sentence": "No paper.", "faults": [PAPER], "took_ms": 20} | more


def test_a_check_is_told_in_words() -> None:
    shown = _shown(orders.result, _check(devices={"printer": {"text": "answers", "readings": {"paper": "out"}}}))
    for said in (
        "cannot sell",
        " No paper.",
        "The paper roll is empty",
        "printer",
        "answers",
        "paper",
        "It took 20 ms.",
    ):
        assert any(said in text for text in shown), said
    assert "no fault" in _shown(orders.result, _check(faults=[]))


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (None, "the answer does not tell its faults"),
        ("printer/paper_out", "the answer does not tell its faults"),
        ({"fault": "printer/paper_out"}, "the answer does not tell its faults"),
        ([7, None, "x", [PAPER], {"fault": {}}, {"fault": "f" * 200}], "6 entries of the answer could not be read"),
        ([PAPER, 7], "1 entry of the answer could not be read"),
    ],
)
def test_faults_that_cannot_be_read_are_not_said_to_be_none(told: Any, said: str) -> None:
    shown = _shown(orders.result, _check(faults=told))
    assert said in shown
    assert "no fault" not in shown
    assert any("paper roll" in text for text in shown) == (isinstance(told, list) and PAPER in told)
    assert "No fault found." not in _shown(knowledge_views.answer, _check(faults=told))


def test_a_huge_answer_is_cut_and_says_so() -> None:
    many = [{"fault": f"printer/f{n}"} for n in range(1000)]
    table = {f"key{n}": n for n in range(1000)}
    shown = _shown(orders.result, _check(faults=many, more=table, long="x" * 9000, row=list(range(1000))))
    assert len(shown) < 400
    assert max(map(len, shown)) < 1000
    assert "950 more, not shown" in shown
    assert "900 more, not shown" in shown


def test_a_verdict_of_another_kind_is_unknown_and_text_stays_text() -> None:
    shown = _shown(orders.result, _check(verdict={"can_sell": [HOSTILE]}, sentence={"a": 1}, took_ms="{n}"))
    assert "unknown" in " ".join(shown)
    assert not any(HOSTILE in text or "It took" in text for text in shown)
    assert any(HOSTILE in text for text in _shown(orders.result, _check(sentence=HOSTILE)))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(string.printable, max_size=8), inner, max_size=4)
    ),
    max_leaves=20,
)
_NAMES = st.sampled_from(["verdict", "sentence", "faults", "devices", "took_ms", "answered", "x"])
_ENTRY = st.fixed_dictionaries({"fault": _JSON, "text": _JSON, "readings": _JSON, "can_sell": _JSON})


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(_NAMES, _JSON | _ENTRY | st.lists(_ENTRY | _JSON, max_size=3), max_size=7))
def test_no_answer_breaks_the_page(output: dict[str, Any]) -> None:
    _shown(orders.result, output)
    _shown(knowledge_views.answer, output)
    _shown(orders.result, output | {"verdict": {"can_sell": "yes"}})
    listed = check_output.listed(output)
    assert (check_output.faults(output) is None) == (listed is None or listed.odd > 0)
