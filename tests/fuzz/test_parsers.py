"""What reads the decoders' messages, and everything else that takes bytes from outside: only the documented error."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent import wire
from agent.probes import dns, nut
from agent.probes.sntp import parse_reply
from agent.report import parse
from drivers.codecs import at_quectel, at_replies, at_simcom, escpos_profiles, escpos_status, evdev, smartpin, szzt
from drivers.codecs.malformed import Malformed
from drivers.reading import Reading
from drivers.redact import redact
from firmware_notes import load_golden
from tests.fuzz.mutator import Mutator

Parser = Callable[..., Any]


# --- modem lines ------------------------------------------------------------------------------------------------------


def _line_parsers() -> dict[str, Parser]:
    found: dict[str, Parser] = {}
    for module in (at_replies, at_quectel, at_simcom):
        for name, parser in inspect.getmembers(module, inspect.isfunction):
            if name.startswith("parse_") and parser.__module__ == module.__name__:
                found[f"{module.__name__.rpartition('.')[2]}.{name}"] = parser
    return found


LINE_PARSERS = _line_parsers()


def call(parser: Parser, lines: list[str]) -> Any:
    parameters = inspect.signature(parser).parameters
    if "prefix" in parameters:
        return parser(lines, "+CEREG")
    return parser(lines) if "lines" in parameters else [parser(line) for line in lines]


def reads(parser: Parser, lines: list[str]) -> bool:
    try:
        told = call(parser, lines)
    except ValueError:
        return False
    return any(each is not None for each in told) if isinstance(told, list) else told is not None


@pytest.mark.parametrize("name", LINE_PARSERS)
def test_a_modem_parser_raises_nothing_but_value_error(name: str):
    """Lines of golden replies, half of them such as this parser reads, with the others between."""
    parser = LINE_PARSERS[name]
    frames = [frame.data for family in ("at", "quectel", "simcom") for frame in load_golden(family)]
    lines = sorted({line for frame in frames for line in frame.splitlines() if line.isascii() and line.strip()})
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

INSIDE: dict[str, tuple[str, Parser, type[Exception]]] = {
    "zt588 identity": ("zt588", szzt.decode_identity, Malformed),
    "smartpin text": ("smartpin", smartpin.decode_text, Malformed),
    "smartpin keys": ("smartpin", smartpin.decode_keys, Malformed),
    "smartpin removals": ("smartpin", smartpin.decode_removals, Malformed),
    "evdev identity": ("evdev", evdev.decode_ids, Malformed),
}


@pytest.mark.parametrize("name", INSIDE)
def test_a_text_inside_a_frame(name: str):
    family, parser, error = INSIDE[name]
    frames = load_golden(family)
    inner = [frame.data[cut : len(frame.data) - tail] for frame in frames for cut, tail in ((0, 0), (3, 3), (4, 3))]
    mutator = Mutator([each for each in inner if each], seed=588)
    for piece in mutator.pieces(60_000):
        with contextlib.suppress(error):
            parser(piece)


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

QUERY = dns.encode_query("host.acquirer.test", 4711)
ADDRESS = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\x7f\x00\x00\x01"
ANSWERS = [
    QUERY[:2] + b"\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00" + QUERY[12:] + ADDRESS,
    QUERY[:2] + b"\x81\x83\x00\x01\x00\x00\x00\x00\x00\x00" + QUERY[12:],
    QUERY[:2] + b"\x81\x80\x00\x01\x00\x40\x00\x00\x00\x00" + QUERY[12:] + ADDRESS * 64,
    QUERY[:2] + b"\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00" + QUERY[12:] + b"\x01a" * 300,
]


def test_dns_answers():
    good = 0
    for piece in Mutator(ANSWERS, seed=1035).pieces(150_000):
        for data in (piece, QUERY[:2] + piece[2:], ANSWERS[0][: len(QUERY)] + piece):
            with contextlib.suppress(dns.NotAnAnswer):
                answer = dns.parse_answer(data, QUERY)
                assert len(answer.addresses) <= 64
                good += bool(answer.addresses)
    assert good


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=300), st.integers(0, 0xFFFF))
def test_a_name_becomes_a_question_or_is_refused(name: str, number: int):
    with contextlib.suppress(ValueError):
        assert len(dns.encode_query(name, number)) < 300


LIST = b'BEGIN LIST VAR ups\nVAR ups battery.charge "42"\nVAR ups ups.status "OB LB \\"x\\""\nEND LIST VAR ups\n'
NUT = [LIST, b"ERR DATA-STALE\n", b"ERR UNKNOWN-UPS\n", LIST.replace(b"42", b"nan"), LIST.replace(b"42", b"1e999")]


def test_nut_lists():
    good = 0
    for piece in Mutator(NUT, seed=3493).pieces(150_000):
        with contextlib.suppress(nut.NutError):
            readings = nut.readings_of(nut.parse_list(piece, "ups"))
            good += readings["mains"].value is not None
            numbers = [each.value for each in readings.values() if isinstance(each.value, float)]
            assert all(abs(value) < 1e12 for value in numbers), "neither infinite nor no number"
    assert good


def test_ntp_replies():
    token = b"12345678"
    reply = b"\x24\x02" + bytes(22) + token + b"\xe8\x00\x00\x00\x00\x00\x00\x00" * 2
    assert parse_reply(reply, token, 0.0, 0.0) is not None
    for piece in Mutator([reply], seed=4330).pieces(60_000):
        offset = parse_reply(piece, token, 0.0, 0.0)
        assert offset is None or abs(offset) <= 1 << 31


# --- what programs and the center say ---------------------------------------------------------------------------------

REPORTS = [
    b'{"reader": {"good": 120, "failed": 3, "attempts": 2}}',
    b'{"printer": {"result": "paper_out", "slips": 7}, "modem": {}}',
    b'{"reader": {"good": 4111111111111111}}',
    b'{"reader": {"good": NaN}, "keypad": {"x": -Infinity}}',
    b'{"reader": {"word": "4111-1111-1111-1111"}}',
]


def test_reports_of_the_payment_application():
    good = 0
    for piece in Mutator(REPORTS, seed=8192).pieces(150_000):
        for line in piece.splitlines():
            with contextlib.suppress(ValueError):
                for readings in parse(line).values():
                    good += len(readings)
                    for reading in readings.values():
                        assert isinstance(reading, Reading)
                        assert sum(letter.isdigit() for letter in str(reading.value)) <= 20
                        assert isinstance(reading.value, str) or abs(reading.value or 0) < 1e12
    assert good


COMMAND = {
    "iss": "center",
    "aud": "demo/pos-1",
    "jti": "abcdefgh",
    "nbf": 1_795_000_000,
    "exp": 1_795_000_100,
    "cmd": "check",
    "args": {"level": "internal", "device": "printer"},
    "tier": 0,
}
MESSAGES = [
    each
    for _, each in inspect.getmembers(wire, inspect.isclass)
    if each.__module__ == wire.__name__ and each.__name__.endswith(("Message", "Body"))
]


def test_commands_and_every_other_message():
    frames = [json.dumps(COMMAND).encode(), json.dumps({"case": "C-1", "at": "2026-11-21T12:00:00.000Z"}).encode()]
    good = 0
    for piece in Mutator(frames, seed=311).pieces(150_000):
        for kind in (wire.CommandBody, wire.CaseMessage):
            with contextlib.suppress(wire.WireError):
                wire.decode(kind, piece)
                good += kind is wire.CommandBody
    assert good
    for piece in Mutator(frames, seed=312).pieces(20_000):
        for kind in MESSAGES:
            with contextlib.suppress(wire.WireError):
                wire.decode(kind, piece)


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
    tried = {parser.__name__ for _, parser, _ in INSIDE.values()} | {
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
