from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.codecs.creator import Ack, BadCheck, Decoder, Nak, Reply, Request, encode
from drivers.reading import Risk
from firmware_notes import load_golden
from tests.codecs.readers import decode, drain, good, stands_anything

GOLDEN = load_golden("crt571")
ASKED = [frame for frame in GOLDEN if frame.direction == "to_device" and "command" in frame.means]
REPLIES = [frame for frame in GOLDEN if frame.direction == "from_device" and "command" in frame.means]
POSITIONS = {0x30: "absent", 0x31: "gate", 0x32: "present"}


@pytest.mark.parametrize("frame", ASKED, ids=lambda frame: frame.name)
def test_a_request_is_the_golden_frame(frame):
    address = frame.means.get("address", 0)
    assert encode(Request[str(frame.means["command"]).upper()], address) == frame.data


def test_every_request_has_a_golden_frame_and_only_initialise_may_disturb():
    assert {frame.means["command"] for frame in ASKED} == {request.name.lower() for request in Request}
    assert [request for request in Request if request.risk is not Risk.READ] == [Request.INITIALISE_KEEP]


def test_no_request_can_move_capture_or_read_a_card():
    commands = {request.command[0] for request in Request}
    assert commands == {0x30, 0x31, 0xA2, 0xA3, 0xA4, 0xA5}
    assert Request.INITIALISE_KEEP.command[1] == 0x33
    assert (0xA5, 0x31) not in {request.command for request in Request}


@pytest.mark.parametrize("address", [-1, 16])
def test_an_address_beyond_the_switches_is_refused(address):
    with pytest.raises(ValueError, match="0 to 15"):
        encode(Request.STATUS, address)


@pytest.mark.parametrize("step", [0, 1, 3])
@pytest.mark.parametrize("frame", REPLIES, ids=lambda frame: frame.name)
def test_a_reply_says_what_the_golden_frame_means(frame, step):
    (reply,) = decode(Decoder, frame.data, step)
    means = frame.means
    assert isinstance(reply, Reply)
    assert reply.address == means.get("address", 0)
    assert reply.command == Request[means["command"].upper()].command
    assert reply.error == means.get("error", "")
    if reply.error:
        assert reply.status == b""
        return
    assert len(reply.status) == 3
    assert POSITIONS.get(reply.status[0], "") == means.get("card", "")
    if "sensors" in means:
        assert reply.data[:7].decode() == means["sensors"]
    if means["command"] == "serial":
        assert reply.data == bytes([len(means["text"])]) + means["text"].encode()
    elif "text" in means:
        assert reply.data.decode() == means["text"]


@pytest.mark.parametrize(
    "frame", [each for each in GOLDEN if each.means.get("malformed")], ids=lambda frame: frame.name
)
def test_what_is_no_reply_is_rejected(frame):
    assert not [message for message in good(decode(Decoder, frame.data)) if isinstance(message, Reply)]


def test_single_bytes_outside_a_frame_are_ack_and_nak():
    assert decode(Decoder, b"\x06\x15") == [Ack(), Nak()]


def test_a_wrong_check_byte_is_told_apart_from_noise():
    decoder = Decoder()
    decoder.feed(next(frame.data for frame in GOLDEN if frame.name == "wrong BCC"))
    with pytest.raises(BadCheck):
        decoder.next()


def test_a_frame_without_its_end_byte_is_none_even_when_the_check_byte_fits():
    frame = bytearray(next(each.data for each in GOLDEN if each.name == "status: no card"))
    frame[-2] ^= 0x40
    frame[-1] ^= 0x40
    assert not [message for message in good(decode(Decoder, bytes(frame))) if isinstance(message, Reply)]


@pytest.mark.parametrize("bit", range(8))
def test_no_single_flipped_bit_passes(bit):
    frame = next(each.data for each in GOLDEN if each.name == "status: no card")
    for at in range(len(frame)):
        damaged = bytearray(frame)
        damaged[at] ^= 1 << bit
        assert not [message for message in good(decode(Decoder, bytes(damaged))) if isinstance(message, Reply)]


def test_noise_before_between_and_after_frames_hides_none():
    noise = b"\x00\xff\x7fR\xf2\xf2\x41"
    data = noise + noise.join(frame.data for frame in REPLIES) + noise
    found = [message for message in good(decode(Decoder, data, 64)) if isinstance(message, Reply)]
    assert found == [decode(Decoder, frame.data)[0] for frame in REPLIES]


@given(st.lists(st.binary(max_size=200), max_size=30))
def test_any_bytes_end_and_stay_bounded(pieces):
    decoder = Decoder()
    for piece in pieces:
        decoder.feed(piece)
        drain(decoder)
        assert len(decoder._kept) <= 1024


def test_three_hundred_thousand_random_bytes():
    stands_anything(Decoder, [frame.data for frame in REPLIES], 1024)
