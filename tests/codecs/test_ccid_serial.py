from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.codecs.ccid_serial import Decoder, Echo, Nak, Reply, Request, SlotChange, encode
from drivers.reading import Risk
from firmware_notes import load_golden
from tests.codecs.readers import decode, drain, good, stands_anything

GOLDEN = load_golden("gempc")
ASKED = [frame for frame in GOLDEN if frame.direction == "to_device"]
FROM = [frame for frame in GOLDEN if frame.direction == "from_device" and not frame.means.get("malformed")]
REPLIES = [frame for frame in FROM if "command" in frame.means]
ICC = ["active", "inactive", "absent", "reserved"]


@pytest.mark.parametrize("frame", ASKED, ids=lambda frame: frame.name)
def test_a_request_is_the_golden_frame(frame):
    assert encode(Request[frame.means["command"].upper()], frame.means["seq"]) == frame.data


def test_only_the_slot_status_and_the_firmware_can_be_asked_for():
    assert {request.value[:3] for request in Request} == {(0x65, 0x81, b""), (0x6B, 0x83, b"\x02")}
    assert {request.risk for request in Request} == {Risk.READ}


@pytest.mark.parametrize("step", [0, 1, 5])
@pytest.mark.parametrize("frame", REPLIES, ids=lambda frame: frame.name)
def test_a_reply_says_what_the_golden_frame_means(frame, step):
    (reply,) = decode(Decoder, frame.data, step)
    means = frame.means
    assert isinstance(reply, Reply)
    assert (reply.kind, reply.slot, reply.sequence) == (Request[means["command"].upper()].answer, 0, means["seq"])
    assert (reply.status >> 6 == 1) == ("error" in means)
    assert (reply.status >> 6 == 2) == means.get("busy", False)
    assert (reply.status >> 6 == 3) == means.get("reserved", False)
    if "error" in means:
        assert f"{reply.error:02X}" == means["error"]
    if "icc" in means:
        assert ICC[reply.status & 3] == means["icc"]
    if "text" in means:
        assert reply.data.decode() == means["text"]


def test_echo_notices_and_nak_are_told_apart():
    named = {frame.name: decode(Decoder, frame.data, 1) for frame in FROM}
    assert named["echo of a question"] == [Echo(0)]
    assert named["card put in"] == [SlotChange(present=True)]
    assert named["card taken out"] == [SlotChange(present=False)]
    assert named["reader did not understand"] == [Nak()]


@pytest.mark.parametrize(
    "frame", [each for each in GOLDEN if each.means.get("malformed")], ids=lambda frame: frame.name
)
def test_what_is_no_message_is_rejected(frame):
    found = decode(Decoder, frame.data + b"\xff" * 300)
    assert found
    assert good(found) == []


@pytest.mark.parametrize("bit", range(8))
def test_no_single_flipped_bit_passes_as_a_reply(bit):
    frame = next(each.data for each in GOLDEN if each.name == "slot: no card")
    for at in range(len(frame)):
        damaged = bytearray(frame)
        damaged[at] ^= 1 << bit
        found = good(decode(Decoder, bytes(damaged) + b"\xff" * 300))
        assert not [message for message in found if isinstance(message, Reply)]


def test_noise_before_between_and_after_frames_hides_none():
    noise = b"\x00\xff\x03\x07\x50\x09\x15"
    data = noise + noise.join(frame.data for frame in FROM) + noise
    assert good(decode(Decoder, data, 100)) == [decode(Decoder, frame.data)[0] for frame in FROM]


@given(st.lists(st.one_of(st.binary(max_size=200), st.just(b"\x03\x06\x81")), max_size=30))
def test_any_bytes_end_and_stay_bounded(pieces):
    decoder = Decoder()
    for piece in pieces:
        decoder.feed(piece)
        drain(decoder)
        assert len(decoder._kept) <= 2048


def test_three_hundred_thousand_random_bytes():
    stands_anything(Decoder, [frame.data for frame in REPLIES], 2048)
