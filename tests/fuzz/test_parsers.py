"""What reads the decoders' messages, and everything else that takes bytes from outside: only the documented error."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent import wire
from agent.probes import dns
from drivers.codecs import at_quectel, at_replies, escpos_profiles, escpos_status, evdev, smartpin, szzt
from drivers.redact import redact
from tests.fuzz.devices import INSIDE, LINE_PARSERS, MODEM_FRAMES, reads
from tests.fuzz.mutator import Mutator
from tests.fuzz.targets import COMMAND

pytestmark = pytest.mark.timeout(300)

# --- modem lines ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LINE_PARSERS)
def test_a_modem_parser_raises_nothing_but_value_error(name: str):
    """Lines of golden replies, half of them such as this parser reads, with the others between."""
    parser = LINE_PARSERS[name]
    lines = sorted({line for frame in MODEM_FRAMES for line in frame.splitlines() if line.isascii() and line.strip()})
    own = [line + b"\r\n" for line in lines if reads(parser, [line.decode("ascii")])]
    assert own
    good = 0
    for piece in Mutator((own * len(lines))[: len(lines)] + lines, seed=27007).pieces(60_000):
        good += reads(parser, piece.decode("latin-1").splitlines())
    assert good


CCLK = st.from_regex(r'\+CCLK: "\d\d/\d\d/\d\d,\d\d:\d\d:\d\d([+-]\d{1,3})?"', fullmatch=True)
QLTS = st.from_regex(r'\+QLTS: "\d{4}/\d\d/\d\d,\d\d:\d\d:\d\d[+-]\d{1,3}(,\d)?"', fullmatch=True)


@settings(max_examples=500, deadline=None)
@given(CCLK, QLTS)
def test_a_clock_that_cannot_be_is_no_clock(cclk: str, qlts: str):
    for parser, line in ((at_replies.parse_clock, cclk), (at_quectel.parse_network_time, qlts)):
        with contextlib.suppress(ValueError):
            told = parser([line])
            assert told is None or (told.utcoffset() is not None and 2019 <= told.year <= 2070)


# --- texts and tables inside frames -----------------------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.text(max_size=40), st.integers(0, 0xFFFF))
def test_what_the_kernel_says_of_an_input_device(data: bytes, words: str, code: int):
    assert all(0 <= each < 8 * len(data) for each in evdev.decode_held(data))
    assert evdev.decode_name(data).isprintable()
    assert evdev.key_name(code)
    with contextlib.suppress(ValueError):
        evdev.decode_keys_line(words)


@pytest.mark.parametrize("profile", escpos_profiles.PROFILES.values(), ids=lambda profile: profile.word)
def test_any_status_bytes_have_a_meaning_or_a_cause(profile: escpos_profiles.Profile):
    draw = random.Random(4)
    for _ in range(2000):
        facts: dict[str, bool | None] = {}
        for number in (1, 2, 3, 4):
            facts |= escpos_status.decode_status(number, draw.randrange(256))
        if profile.has_full_status:
            facts |= escpos_status.decode_full_status(draw.randbytes(4))
        packet = draw.randbytes(4)
        for told in (facts, escpos_status.decode_packet(packet)):
            readings = escpos_status.readings_from(told, profile, packet)
            assert readings.keys() == escpos_status.SPECS.keys()
            for name, reading in readings.items():
                assert reading.value is None or reading.value in escpos_status.SPECS[name].values


# --- what the network says --------------------------------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=300), st.integers(0, 0xFFFF))
def test_a_name_becomes_a_question_or_is_refused(name: str, number: int):
    with contextlib.suppress(ValueError):
        assert len(dns.encode_query(name, number)) < 300


# --- what programs and the center say ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff\xfe",
        b"null",
        b"[" * 16_000,
        b'{"a":' * 3_000,
        b"9" * 16_000,
        b'{"exp": 1e999, "iss": "\\ud800"}',
        b"x" * (wire.MAX_PACKET_BYTES + 1),
        json.dumps({**COMMAND, "exp": "soon"}).encode(),
        json.dumps({**COMMAND, "jti": "../../etc"}).encode(),
        json.dumps({**COMMAND, "cmd": "format"}).encode(),
        json.dumps({**COMMAND, "tier": 4}).encode(),
        json.dumps({**COMMAND, "tier": "0"}).encode(),
        json.dumps([COMMAND]).encode(),
    ],
    ids=lambda payload: repr(payload[:24]),
)
def test_a_command_that_is_none(payload: bytes):
    with pytest.raises(wire.WireError) as failure:
        wire.decode(wire.CommandBody, payload)
    assert "\n" not in str(failure.value)
    assert len(str(failure.value)) < 300


@settings(max_examples=500, deadline=None)
@given(st.one_of(st.text(max_size=80), st.from_regex(r"pos/1(/[a-z0-9_/-]{0,20}){0,7}", fullmatch=True)))
def test_topics_and_times(text: str):
    with contextlib.suppress(wire.WireError):
        parsed = wire.parse_topic(text)
        assert "/".join(("pos/1", parsed.estate, parsed.terminal, *parsed.rest)) == text
    with contextlib.suppress(wire.WireError):
        wire.epoch(text)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=40), st.from_regex(rb"[0-9 %;^=?-]{0,60}", fullmatch=True)), max_size=8))
def test_what_is_redacted_grows_no_card_data(pieces: list[bytes]):
    once = redact(b"".join(pieces))
    assert redact(once) == once


def test_every_codec_function_that_reads_bytes_is_tried_here_or_above():
    """A new `parse_*` or `decode_*` must join the tables of this file."""
    tried = {parser.__name__ for _, parser in INSIDE.values()} | {
        *("decode_held", "decode_name", "decode_keys_line"),
        *("decode_status", "decode_packet", "decode_full_status"),
    }
    for module in (szzt, smartpin, evdev, escpos_status, *_other_codecs()):
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if name.startswith(("decode_", "parse_")) and function.__module__ == module.__name__:
                assert name in tried, f"{module.__name__}.{name}"


def _other_codecs() -> list[Any]:
    names = ("at", "at_requests", "ccid_serial", "creator", "escpos", "escpos_print", "text", "vivotech2")
    return [importlib.import_module(f"drivers.codecs.{name}") for name in names]
