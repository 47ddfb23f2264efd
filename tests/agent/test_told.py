"""What of an unsigned word on a case is shown: nothing that leads a merchant to somebody else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config import SupportConfig
from agent.told import is_page, shown

HOSTS = ("pos.example.org", "10.1.2.3:8443")
OPEN = SupportConfig()
TOLD = {
    "case": "C-1042",
    "progress": "技术员已出发 (technician on the way)",
    "eta": "2026-11-22T14:30:00.000Z",
    "channel": "+86 400 800 1234",
    "at": "2026-11-22T13:00:00.000Z",
}


def test_what_the_contract_names_is_shown_as_it_came() -> None:
    assert shown(TOLD, OPEN) == TOLD
    assert shown({**TOLD, "work_order_until": "2026-11-22T14:30:00Z", "html": "<b>"}, OPEN) == TOLD


def test_the_terminals_own_number_is_never_replaced() -> None:
    own = SupportConfig(channel="400 800 1234")
    assert "channel" not in shown({**TOLD, "channel": "139 0000 0000"}, own)
    assert shown({**TOLD, "channel": "400 800 1234"}, own)["channel"] == "400 800 1234"


@pytest.mark.parametrize(
    ("part", "text", "becomes"),
    [
        ("case", "C-1\x1b[2J\x1b[H", "C-1 [2J [H"),
        ("case", "C" * 100, "C" * 32),
        ("case", "  ", None),
        ("progress", "one\r\ntwo\u2028three", "one two three"),
        ("progress", "call \u202e4321\u202c", "call 4321"),
        ("progress", "x" * 16_000, "x" * 240),
        ("progress", "pay at https://evil.example/x now", "pay at … now"),
        ("progress", "see WWW.evil.example", "see …"),
        ("channel", "tel://666", "…"),
        ("channel", ["400"], None),
        ("eta", "soon, call 666", None),
        ("eta", 7, None),
        ("at", "2026-11-22T14:30:00.000Z\n", None),
    ],
)
def test_each_part_keeps_its_form_and_length(part: str, text: object, becomes: str | None) -> None:
    assert shown({**TOLD, part: text}, OPEN).get(part) == becomes


@pytest.mark.parametrize("case", [{}, {"case": 7}, {"progress": "x"}, {"case": "\x00"}])
def test_what_is_no_case_shows_nothing(case: dict[str, object]) -> None:
    assert shown(case, OPEN) == {}


@pytest.mark.parametrize(
    ("link", "good"),
    [
        ("https://pos.example.org/m/3q2pXv0Zb8aQf1Yk6hT9sL", True),
        ("https://POS.example.org:443/m/x", True),
        ("https://10.1.2.3:8443/m/x", True),
        ("http://127.0.0.1:8480/m/x", True),
        ("http://localhost:8480/m/x", True),
        ("http://pos.example.org/m/x", False),
        ("https://pos.example.org:444/m/x", False),
        ("https://10.1.2.3/m/x", False),
        ("https://evil.example/m/x", False),
        ("https://pos.example.org.evil.example/m/x", False),
        ("https://pos.example.org@evil.example/m/x", False),
        ("https://evil.example\\@pos.example.org/m/x", False),
        ("https://evil.example#pos.example.org", False),
        ("http://127.0.0.1@evil.example/", False),
        ("http://127.0.0.1.evil.example/", False),
        ("https://pos.example.org:https/m/x", False),
        ("javascript:alert(1)", False),
        ("/m/x", False),
        ("https://pos.example.org/\x1b[2J", False),
        ("https://pos.example.org/a b", False),
        ("https://pos.example.org/" + "x" * 181, False),
        ("https://[", False),
        ("", False),
        (None, False),
    ],
)
def test_a_page_is_shown_only_where_the_settings_name_its_host(link: object, good: bool) -> None:
    assert is_page(link, HOSTS) is good
    assert ("link" in shown({**TOLD, "link": link}, SupportConfig(pages=HOSTS))) is good


def test_without_hosts_no_page_elsewhere_is_shown() -> None:
    assert not is_page("https://pos.example.org/m/x", ())


_ANY = st.none() | st.integers() | st.text(max_size=400) | st.lists(st.text(max_size=9), max_size=2)


@given(st.dictionaries(st.sampled_from(["case", "progress", "eta", "channel", "link", "at"]), _ANY))
def test_whatever_comes_what_is_shown_is_one_short_line_each(case: dict[str, object]) -> None:
    for text in shown(case, OPEN).values():
        assert 0 < len(text) <= 240
        assert text.isprintable()
