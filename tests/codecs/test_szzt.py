"""ZT588 frames: the golden ones both ways, any split, any garbage."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.codecs import szzt
from drivers.codecs.malformed import Malformed
from drivers.reading import Risk
from firmware_notes import Frame, load_golden
from tests.codecs.readers import fed, survived

GOLDEN = load_golden("zt588")
FRAMES = [frame for frame in GOLDEN if frame.means["kind"] in {"identity", "error"}]


def by_name(frame: Frame) -> str:
    return frame.name


def decode(*chunks: bytes) -> list[szzt.Frame | szzt.Presses | str]:
    return fed(szzt.Decoder(), *chunks)


def check(frame: Frame, message: szzt.Frame | szzt.Presses | str) -> None:
    means = dict(frame.means)
    kind = means.pop("kind")
    if kind == "error":
        assert f"{message.error:02X}" == means["code"]
        assert (message.error == szzt.LOW_BATTERY) == (means.get("battery") == "low")
        assert (message.error in szzt.KEYS_MISSING) == (means.get("keys") == "missing")
        return
    assert message.error is None
    told = szzt.decode_identity(message.text)
    for name in ("model", "hardware", "software", "made", "serial", "no_master_key", "input_on", "sound_on"):
        assert getattr(told, name) == means[name], name
    assert told.no_master_key == (means["keys"] == "missing")
    assert told.scancodes == szzt.USUAL_SCANCODES
    assert told.pin_mask == 0xFF


@pytest.mark.parametrize("frame", FRAMES, ids=by_name)
def test_a_golden_frame_is_understood_whole_and_byte_by_byte(frame: Frame):
    for chunks in ([frame.data], [bytes((byte,)) for byte in frame.data]):
        [message] = decode(*chunks)
        check(frame, message)


@pytest.mark.parametrize("frame", FRAMES, ids=by_name)
def test_a_golden_frame_survives_garbage_around_it(frame: Frame):
    found = decode(b"\x80\x02\x39\x02xx" + frame.data + b"\xaa\xbb" + frame.data + b"\x7f")
    whole = [message for message in found if isinstance(message, szzt.Frame)]
    assert len(whole) == 2
    for message in whole:
        check(frame, message)
    assert found.count("malformed") >= 3


@pytest.mark.parametrize("frame", [frame for frame in GOLDEN if frame.means["kind"] == "press"], ids=by_name)
def test_a_key_sends_a_bare_byte(frame: Frame):
    assert decode(frame.data) == [szzt.Presses(frame.data)]
    assert szzt.LABELS[szzt.USUAL_SCANCODES.index(frame.data)] == frame.means["key"]


@pytest.mark.parametrize("frame", [frame for frame in GOLDEN if frame.means["kind"] == "noise"], ids=by_name)
def test_noise_is_malformed_and_never_a_frame(frame: Frame):
    found = decode(frame.data)
    assert "malformed" in found
    assert not any(isinstance(message, szzt.Frame) for message in found)


def test_the_question_is_the_golden_one_and_only_reads():
    [question] = [frame for frame in GOLDEN if frame.direction == "to_device"]
    assert szzt.encode_identity_question() == question.data
    assert szzt.RISK == {b"3": Risk.READ}


def test_keys_before_and_behind_a_frame_stay_keys():
    frame = szzt.encode(b"3")
    found = decode(b"12" + frame + b"\r")
    assert found == [szzt.Presses(b"12"), szzt.Frame(b"3"), szzt.Presses(b"\r")]


def test_a_frame_that_fails_does_not_swallow_the_one_inside_it():
    good = szzt.encode(b"3")
    found = decode(b"\x02" + b"004" + good + b"!!!!")
    assert szzt.Frame(b"3") in found


@pytest.mark.parametrize(
    "text",
    [
        b"0" * (szzt.IDENTITY_BYTES - 1),
        b"0" * 51 + b"G" * 48 + b"0" * 48,
        b"0" * 99 + b"G" * 20 + b"0" * 28,
        b"0" * (szzt.IDENTITY_BYTES - 1) + b"\x80",
    ],
    ids=["short", "scancodes", "settings", "serial"],
)
def test_an_identity_with_a_field_that_cannot_be_is_malformed(text: bytes):
    with pytest.raises(Malformed):
        szzt.decode_identity(text)


def test_an_abandoned_frame_frees_what_follows():
    decoder = szzt.Decoder()
    decoder.feed(b"\x02050")
    assert decoder.next() is None
    assert decoder.in_frame
    assert decoder.abandon() == b"\x02050"
    decoder.feed(b"5")
    assert decoder.next() == szzt.Presses(b"5")


@given(st.lists(st.binary(max_size=600), max_size=8))
def test_the_decoder_is_total_bounded_and_makes_progress(chunks: list[bytes]):
    survive(chunks)


def test_hundreds_of_thousands_of_random_bytes_are_no_frame_that_means_anything():
    chance = random.Random(588)
    for _ in range(200):
        survive([chance.randbytes(chance.randrange(1, 2048)) for _ in range(2)])


def survive(chunks: list[bytes]) -> None:
    for message in survived(szzt.Decoder(), chunks):
        if isinstance(message, szzt.Frame):
            with pytest.raises(Malformed):
                szzt.decode_identity(message.text)
