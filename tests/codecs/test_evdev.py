"""Input events and threaded answers: the golden ones both ways, any split, any garbage."""

from __future__ import annotations

import random
import struct
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.codecs import evdev
from drivers.codecs.evdev import Answer, Event, Question
from drivers.codecs.malformed import Malformed
from drivers.reading import Risk
from firmware_notes import Frame, load_golden
from tests.codecs.readers import fed, survived

GOLDEN = load_golden("evdev")
EVENTS = [frame for frame in GOLDEN if frame.means["kind"] == "event"]
STATES = {"up": evdev.UP, "down": evdev.DOWN, "repeat": evdev.REPEAT}

# The kernel's structure is the machine's own; the goldens are a 64-bit little-endian machine's.
pytestmark = pytest.mark.skipif(evdev.EVENT_BYTES != 24 or sys.byteorder != "little", reason="another machine's format")


def by_name(frame: Frame) -> str:
    return frame.name


def decode(*chunks: bytes) -> list[Event | Answer | str]:
    return fed(evdev.Decoder(), *chunks)


def event_of(frame: Frame) -> Event:
    means = frame.means
    return Event(means["at_s"], means["type"], means["code"], means["value"])


@pytest.mark.parametrize("frame", EVENTS, ids=by_name)
def test_a_golden_event_is_understood_whole_and_byte_by_byte(frame: Frame):
    for chunks in ([frame.data], [bytes((byte,)) for byte in frame.data]):
        assert decode(*chunks) == [event_of(frame)]
    assert evdev.encode_event(event_of(frame)) == frame.data
    if "key" in frame.means:
        assert frame.means["type"] == evdev.EV_KEY
        assert evdev.key_name(frame.means["code"]) == frame.means["key"]
        assert STATES[frame.means["state"]] == frame.means["value"]


@pytest.mark.parametrize("frame", [frame for frame in GOLDEN if frame.means["kind"] == "noise"], ids=by_name)
def test_what_the_kernel_cannot_send_is_malformed(frame: Frame):
    assert set(decode(frame.data)) == {"malformed"}


def test_the_stream_finds_its_feet_after_a_lost_byte():
    down, report = EVENTS[0].data, next(frame for frame in EVENTS if frame.name == "report").data
    found = decode(down[5:] + report + down + report)
    assert found[-2:] == [event_of(EVENTS[0]), decode(report)[0]]


@pytest.mark.parametrize("question", list(Question))
def test_an_answer_comes_between_events(question: Question):
    down = EVENTS[0].data
    stream = down + evdev.encode_answer(question, b"abc") + down
    for chunks in ([stream], [bytes((byte,)) for byte in stream]):
        assert decode(*chunks) == [event_of(EVENTS[0]), Answer(question, b"abc"), event_of(EVENTS[0])]


def test_a_refused_question_tells_its_error():
    assert decode(evdev.encode_answer(Question.HELD, error=25)) == [Answer(Question.HELD, b"", 25)]


def test_every_question_only_reads():
    assert dict.fromkeys(Question, Risk.READ) == evdev.RISK


def test_the_bitmap_has_one_bit_for_each_key():
    assert evdev.decode_held(bytes(evdev.BITMAP_BYTES)) == frozenset()
    for code in (0, 1, 28, 63, 64, 355, 0x2FF):
        bitmap = bytearray(evdev.BITMAP_BYTES)
        bitmap[code // 8] |= 1 << code % 8
        assert evdev.decode_held(bytes(bitmap)) == {code}


def test_the_kernels_list_of_keys_has_the_highest_word_first():
    assert evdev.decode_keys_line("1 ffc") == {64, *range(2, 12)}


def test_identity_and_name():
    ids = evdev.decode_ids(struct.pack("<4H", 3, 0x04D9, 0x1702, 0x0110))
    assert (ids.bus, ids.vendor, ids.product, ids.version) == (3, 0x04D9, 0x1702, 0x0110)
    assert evdev.decode_name(b"USB Keypad\x00rest") == "USB Keypad"
    with pytest.raises(Malformed):
        evdev.decode_ids(b"1234567")


@given(st.lists(st.binary(max_size=600), max_size=8))
def test_the_decoder_is_total_bounded_and_makes_progress(chunks: list[bytes]):
    survive(chunks)


def test_hundreds_of_thousands_of_random_bytes_press_no_key():
    chance = random.Random(96)
    for _ in range(200):
        survive([chance.randbytes(chance.randrange(1, 2048)) for _ in range(2)], no_key=True)


def survive(chunks: list[bytes], *, no_key: bool = False) -> None:
    for message in survived(evdev.Decoder(), chunks):
        assert not (no_key and isinstance(message, Event) and message.kind == evdev.EV_KEY)
