"""Parsers: what no frame can show by itself - contradictions, limits, and that they only ever raise ValueError."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.codecs import at_quectel, at_replies, at_simcom
from firmware_notes import load_golden

PARSERS: list[Callable[[list[str]], Any]] = [
    at_replies.parse_sim,
    at_replies.parse_csq,
    at_replies.parse_cesq,
    lambda lines: at_replies.parse_registration(lines, "+CEREG"),
    at_replies.parse_operator,
    at_replies.parse_attached,
    at_replies.parse_active,
    at_replies.parse_addressed,
    at_replies.parse_iccid,
    at_replies.parse_iccid_file,
    at_replies.parse_clock,
    at_replies.parse_text,
    at_replies.parse_imei,
    at_quectel.parse_serving_cell,
    at_quectel.parse_temperature,
    at_quectel.parse_network_time,
    at_simcom.parse_system,
    at_simcom.parse_temperature,
]
GOLDEN_LINES = sorted(
    {
        line.strip()
        for family in ("at", "quectel", "simcom")
        for frame in load_golden(family)
        if frame.direction == "from_device"
        for line in frame.data.decode("latin-1").splitlines()
        if line.strip()
    }
)


@settings(max_examples=1500, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(GOLDEN_LINES), st.text(max_size=80)), max_size=4), st.data())
def test_parsers_are_total(lines, data):
    if lines:  # a golden line with a piece replaced reaches further in than plain rubbish
        at = data.draw(st.integers(0, len(lines) - 1))
        cut = data.draw(st.integers(0, len(lines[at])))
        lines[at] = lines[at][:cut] + data.draw(st.text('0123456789,"-:+ABCF', max_size=6)) + lines[at][cut + 1 :]
    for parse in PARSERS:
        with contextlib.suppress(ValueError):
            parse(lines)
    for line in lines:
        with contextlib.suppress(ValueError):
            at_replies.parse_registration_push(line)


@pytest.mark.parametrize("parse", PARSERS)
def test_an_empty_answer_is_an_answer_only_where_a_list_may_be_empty(parse):
    if parse in (at_replies.parse_active, at_replies.parse_addressed):
        assert parse([]) == set()
        return
    with pytest.raises(ValueError):
        parse([])


@pytest.mark.parametrize(
    ("parse", "first", "second"),
    [
        (at_replies.parse_sim, "+CPIN: READY", "+CPIN: SIM PIN"),
        (at_replies.parse_csq, "+CSQ: 20,99", "+CSQ: 21,99"),
        (at_replies.parse_attached, "+CGATT: 1", "+CGATT: 0"),
        (at_replies.parse_active, "+CGACT: 1,1", "+CGACT: 1,0"),
        (at_replies.parse_iccid, "89860000000000000003", "89860000000000000011"),
        (at_replies.parse_imei, "490154203237518", "490154203237519"),
        (at_replies.parse_text, "EC25", "EC21"),
        (at_simcom.parse_system, "+CPSI: NO SERVICE,Online", "+CPSI: NO SERVICE,Offline"),
    ],
)
def test_two_answers_that_differ_are_none_and_a_repeated_one_is_one(parse, first, second):
    assert parse([first, first]) == parse([first])
    with pytest.raises(ValueError):
        parse([first, second])


@pytest.mark.parametrize("parse", [at_replies.parse_active, at_replies.parse_addressed])
def test_a_line_that_could_be_a_garbled_member_spoils_a_list(parse):
    with pytest.raises(ValueError):
        parse(["+CGACS: 1,1", "+CGPADDS: 1"])


def test_an_answer_is_told_from_a_report_of_the_same_name():
    answer, report = '+CEREG: 2,1,"1A2B","0123ABCD",7', '+CEREG: 5,"1A2B","0123ABCD",7'
    assert at_replies.parse_registration([report, answer], "+CEREG").state == "home"
    with pytest.raises(ValueError):
        at_replies.parse_registration([report], "+CEREG")
    assert at_replies.parse_registration_push(answer) is None
    pushed = at_replies.parse_registration_push(report)
    assert pushed is not None
    assert pushed.state == "roaming"


@pytest.mark.parametrize("text", ["+CEREG: 2,1", "+CEREG: 0,5", "+CREG: 1", "RING"])
def test_no_report(text):
    assert at_replies.parse_registration_push(text) is None


@pytest.mark.parametrize("text", ["+CEREG: 1,1A2B,0123ABCD,7", '+CEREG: 1,"1A2B","0123ABCD",7'])
def test_a_report_with_and_without_quotes(text):
    pushed = at_replies.parse_registration_push(text)
    assert pushed is not None
    assert (pushed.state, pushed.tac, pushed.cell, pushed.access) == ("home", "1A2B", "0123ABCD", "LTE")


@pytest.mark.parametrize("filler", ["0000", "FFFF", "ffff", ""])
def test_an_area_that_is_a_filler_is_none(filler):
    assert at_replies.parse_registration([f'+CEREG: 2,1,"{filler}","{filler}{filler}",7'], "+CEREG").tac == ""


@pytest.mark.parametrize("code", ["", "3", "4", "16", "30", "100", "ERROR", "unknown"])
def test_errors_that_say_nothing_about_the_card(code):
    assert at_replies.sim_by_error(code) is None


@pytest.mark.parametrize(
    "number", ["8986000000000000", "89860000000000000000003", "88860000000000000003", "8986000000000000000G"]
)
def test_what_is_no_card_number(number):
    with pytest.raises(ValueError):
        at_replies.parse_iccid([number])


@pytest.mark.parametrize(
    ("number", "checked"),
    [
        ("8944500612345678900", False),
        ("89014103211118510720", True),
        ("79927398713", True),
        ("898602B0000000000003", False),
    ],
)
def test_check_digit(number, checked):
    assert at_replies.has_check_digit(number) is checked


def test_addresses_do_not_leave_the_parser():
    assert at_replies.parse_addressed(['+CGPADDR: 1,"10.36.130.148"', "+CGPADDR: 2,0.0.0.0", "+CGPADDR: 3"]) == {1}


def test_lte_and_nr_sinr_are_kept_apart():
    lte = at_quectel.parse_serving_cell(
        ['+QENG: "servingcell","NOCONN","LTE","FDD",460,01,5F1EA15,12,1650,3,5,5,DE10,-100,-12,-68,11,0,-32768,27']
    )
    assert (lte.sinr_db, lte.raw_sinr, lte.cell, lte.tac) == (None, 11, "05F1EA15", "DE10")


def test_simcom_cell_is_decimal_and_area_hexadecimal():
    signal = at_simcom.parse_system(
        ["+CPSI: LTE,Online,460-11,0x5A1E,187214780,257,EUTRAN-BAND3,1850,5,5,-94,-850,-545,15"]
    )
    assert (signal.cell, signal.tac, signal.raw_sinr) == ("0B28ABBC", "5A1E", 15)
