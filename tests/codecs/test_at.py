"""The line discipline: framing, echo, reports in between, noise."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.codecs import at_requests
from drivers.codecs.at import CLOSE_MUX, AtDecoder, Final, Line, Request, fields, info, number
from drivers.codecs.malformed import Malformed
from drivers.reading import Risk
from firmware_notes import load_golden
from tests.codecs.readers import fed

FAMILIES = ("at", "quectel", "simcom")
REPLIES = [frame for family in FAMILIES for frame in load_golden(family) if frame.direction == "from_device"]
REQUESTS = [value for value in vars(at_requests).values() if isinstance(value, Request)]
REQUESTS += [one for value in vars(at_requests).values() if isinstance(value, tuple) for one in value]


def test_every_request_is_golden_and_every_golden_request_is_sent():
    sent = {request.encoded for request in REQUESTS} | {CLOSE_MUX}
    golden = {frame.data for family in FAMILIES for frame in load_golden(family) if frame.direction == "to_device"}
    assert sent == golden


def test_only_the_restart_disrupts():
    assert {request.text for request in REQUESTS if request.risk is not Risk.READ} == {"AT+CFUN=1,1"}


@pytest.mark.parametrize(
    "forbidden",
    ["CIMI", "CNUM", "CPBR", "CMG", "CPIN=", "CLCK", "CPWD", "ATD", "CGDCONT", "&W", "&F", "ATZ", "CGACT=", "CUSD"],
)
def test_no_request_reads_a_subscriber_or_stores_or_dials(forbidden):
    assert not [request for request in REQUESTS if forbidden in request.text]


@pytest.mark.parametrize("frame", REPLIES, ids=lambda frame: frame.name)
def test_golden_replies_decode_alike_however_they_are_split(frame):
    sent = str(frame.means.get("answers", ""))
    whole = fed(AtDecoder(sent), frame.data)
    assert whole == fed(AtDecoder(sent), *(bytes([byte]) for byte in frame.data))
    assert isinstance(whole[-1], Line if frame.means.get("push") else Final)
    if "error" in frame.means:
        assert whole[-1] == Final(ok=False, code=str(frame.means["error"]))


@pytest.mark.parametrize("garbage", [b"\xff\x00\xfe", b"\x80rubbish", bytes(range(0x80, 0x100))])
def test_garbage_costs_the_line_it_stands_in_and_no_other(garbage):
    good = [Line("+CSQ: 20,99"), Final(ok=True)]
    reply = b"\r\n+CSQ: 20,99\r\n\r\nOK\r\n"
    decoder = AtDecoder()
    found = fed(decoder, garbage + b"\r\n" + reply + garbage + b"x\r" + reply)
    assert [message for message in found if message != "malformed"] == good + good
    assert decoder.bad == 2


def test_the_rest_of_a_bad_line_is_not_taken_for_a_line():
    assert fed(AtDecoder(), b"\xc1\xffOK\r\nOK\r\n") == ["malformed", Final(ok=True)]


def test_echo_is_told_from_information():
    assert fed(AtDecoder("AT+CGMM"), b"AT+CGMM\r\r\nEC25\r\n") == [Line("AT+CGMM", echo=True), Line("EC25")]


def test_a_line_without_end_is_dropped_and_the_buffer_stays_small():
    decoder = AtDecoder()
    found = fed(decoder, b"A" * 3000)
    assert found == ["malformed"]
    decoder.feed(b"B" * 9000)
    assert len(decoder._buffer) <= 4096
    assert fed(decoder, b"\r\nOK\r\n") == [Final(ok=True)]


def test_decoder_is_total_on_half_a_million_random_bytes():
    rng = random.Random(1)
    for alphabet in (bytes(range(256)), b'\r\nOKERA+CPIN: 0419,"\xff'):
        decoder = AtDecoder("AT")
        for _ in range(1000):
            chunk = bytes(rng.choices(alphabet, k=250))
            decoder.feed(chunk)
            for _ in range(len(chunk) + 2):
                try:
                    if decoder.next() is None:
                        break
                except Malformed:
                    continue
            else:
                pytest.fail("no progress")
            assert len(decoder._buffer) <= 4096


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=64), max_size=20))
def test_splits_do_not_change_the_lines(chunks):
    together = fed(AtDecoder("AT"), b"".join(chunks))
    apart = fed(AtDecoder("AT"), *chunks)
    assert [m for m in together if m != "malformed"] == [m for m in apart if m != "malformed"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [('0,2,"46000",7', ["0", "2", "46000", "7"]), ('1, "a,b" ,', ["1", "a,b", ""]), ("", [""]), ('""', [""])],
)
def test_fields(text, expected):
    assert fields(text) == expected


@pytest.mark.parametrize("text", ['"open', 'a"b"', '"a"b'])
def test_fields_with_stray_quotes_are_refused(text):
    with pytest.raises(ValueError):
        fields(text)


@pytest.mark.parametrize("text", ["", " 1", "1.5", "+1", "0x1", "11", "-1", "99999999999"])
def test_number_is_strict(text):
    with pytest.raises(ValueError):
        number(text, 0, 10)


def test_info_takes_the_colon_with_and_without_space():
    assert info(["+QENG:1", "+QENG: 2", "+QENGX: 3"], "+QENG") == ["1", "2"]
