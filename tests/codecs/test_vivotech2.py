from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.codecs.vivotech2 import Decoder, Reply, Request, encode
from drivers.reading import Risk
from firmware_notes import load_golden
from tests.codecs.readers import decode, drain, good, stands_anything

GOLDEN = load_golden("neo")
ASKED = [frame for frame in GOLDEN if frame.direction == "to_device"]
REPLIES = [frame for frame in GOLDEN if frame.direction == "from_device" and "command" in frame.means]
MODES = ["none", "restricted", "self_check", "customer", "system", "boot_loader"]


@pytest.mark.parametrize("frame", ASKED, ids=lambda frame: frame.name)
def test_a_request_is_the_golden_frame(frame):
    assert encode(Request[frame.means["command"].upper()]) == frame.data


def test_every_request_has_a_golden_frame_and_only_reads():
    assert {frame.means["command"] for frame in ASKED} == {request.name.lower() for request in Request}
    assert {request.risk for request in Request} == {Risk.READ}


@pytest.mark.parametrize("step", [0, 1, 7])
@pytest.mark.parametrize("frame", REPLIES, ids=lambda frame: frame.name)
def test_a_reply_says_what_the_golden_frame_means(frame, step):
    (reply,) = decode(Decoder, frame.data, step)
    means = frame.means
    assert isinstance(reply, Reply)
    assert reply.command == Request[means["command"].upper()].command
    assert f"{reply.status:02X}" == means["status"]
    if "text" in means:
        assert reply.data.rstrip(b"\0").decode() == means["text"]
    if "chip_mode" in means:
        mode = means["chip_mode"]
        assert reply.data == bytes([MODES.index(mode)]) if mode in MODES else bytes.fromhex(mode)


@pytest.mark.parametrize(
    "frame", [each for each in GOLDEN if each.means.get("malformed")], ids=lambda frame: frame.name
)
def test_what_is_no_reply_is_rejected(frame):
    found = decode(Decoder, frame.data + b"\xff" * 20)
    assert found
    assert good(found) == []


def test_the_other_byte_order_is_an_option_of_both_directions():
    (frame,) = [each for each in GOLDEN if each.means.get("lsb_first")]
    assert good(decode(lambda: Decoder("lsb"), frame.data)) == [Reply(0x18, 0, b"")]
    usual = next(each.data for each in GOLDEN if each.name == "ping: ok")
    assert good(decode(lambda: Decoder("lsb"), usual + b"\xff" * 20)) == []


@pytest.mark.parametrize("bit", range(8))
def test_no_single_flipped_bit_passes(bit):
    frame = next(each.data for each in GOLDEN if each.name == "ping: ok")
    for at in range(len(frame)):
        damaged = bytearray(frame)
        damaged[at] ^= 1 << bit
        assert good(decode(Decoder, bytes(damaged) + b"\xff" * 20)) == []


def test_noise_before_between_and_after_frames_hides_none():
    noise = b"\x00\xffViVOViVOtech\x00V"
    data = noise + noise.join(frame.data for frame in REPLIES) + noise
    assert good(decode(Decoder, data, 500)) == [decode(Decoder, frame.data)[0] for frame in REPLIES]


@given(st.lists(st.one_of(st.binary(max_size=200), st.just(b"ViVOtech2\x00")), max_size=30))
def test_any_bytes_end_and_stay_bounded(pieces):
    decoder = Decoder()
    for piece in pieces:
        decoder.feed(piece)
        drain(decoder)
        assert len(decoder._kept) <= 4096


def test_three_hundred_thousand_random_bytes():
    stands_anything(Decoder, [frame.data for frame in REPLIES], 4096)
