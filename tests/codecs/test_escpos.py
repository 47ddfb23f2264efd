"""The demultiplexer and the questions, against the golden frames and against noise."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.codecs import escpos
from drivers.codecs.escpos import Demux, Kind, Message
from drivers.codecs.malformed import Malformed
from drivers.reading import Risk
from firmware_notes import Frame, load_golden

FRAMES = load_golden("escpos")
FROM = [frame for frame in FRAMES if frame.direction == "from_device" and frame.means["reply"] != "malformed"]
KINDS = {
    "status": Kind.STATUS,
    "packet": Kind.PACKET,
    "full_status": Kind.FULL_STATUS,
    "model_id": Kind.BYTE,
    "text": Kind.BLOCK,
    "counter": Kind.BLOCK,
    "notice": Kind.NOTICE,
    "flow": Kind.FLOW,
}
UNASKED = {Kind.PACKET, Kind.NOTICE, Kind.FLOW}


def messages(demux: Demux) -> list[Message | str]:
    found: list[Message | str] = []
    while True:
        try:
            message = demux.next()
        except Malformed:
            found.append("malformed")
            continue
        if message is None:
            return found
        found.append(message)


def expected(frame: Frame) -> Message:
    kind = KINDS[str(frame.means["reply"])]
    if kind is Kind.BLOCK:
        text = frame.means["text"] if "text" in frame.means else frame.means["count"]
        return Message(kind, str(text).encode("ascii"), asked=True)
    data = {Kind.FULL_STATUS: frame.data[2:], Kind.NOTICE: frame.data[1:-1]}.get(kind, frame.data)
    return Message(kind, data, asked=kind not in UNASKED)


def asked(frame: Frame) -> Demux:
    demux = Demux()
    kind = KINDS[str(frame.means["reply"])]
    demux.expect(None if kind in UNASKED else kind)
    return demux


@pytest.mark.parametrize("frame", FROM, ids=lambda frame: frame.name)
def test_each_golden_frame_whole_byte_by_byte_and_with_a_tail(frame: Frame):
    demux = asked(frame)
    demux.feed(frame.data)
    assert messages(demux) == [expected(frame)]

    demux, found = asked(frame), []
    for byte in frame.data:
        demux.feed(bytes((byte,)))
        found += messages(demux)
    assert found == [expected(frame)]

    demux = asked(frame)
    demux.feed(frame.data + b"\x10\x00\x03\x00" + frame.data[:1])
    assert messages(demux)[:2] == [expected(frame), Message(Kind.PACKET, b"\x10\x00\x03\x00")]


@pytest.mark.parametrize(
    "frame", [frame for frame in FROM if frame.means["reply"] not in {"model_id", "flow"}], ids=lambda frame: frame.name
)
def test_each_golden_frame_after_garbage(frame: Frame):
    demux = asked(frame)
    demux.feed(b"\x01\x7f\x80\xff\x10\x00" + frame.data)
    found = messages(demux)
    assert found == ["malformed"] * 5 + [expected(frame)]
    assert demux.malformed == 5


def test_a_model_number_behind_half_a_packet_is_swallowed_and_not_misread():
    demux = Demux()
    demux.expect(Kind.BYTE)
    demux.feed(b"\x10\x00\x20")
    assert messages(demux) == []


@pytest.mark.parametrize(
    "frame",
    [frame for frame in FRAMES if frame.means.get("reply") == "malformed"],
    ids=lambda frame: frame.name,
)
def test_what_is_no_message_is_said_to_be_none(frame: Frame):
    demux = Demux()
    demux.expect(Kind.STATUS)
    demux.feed(frame.data)
    found = messages(demux)
    assert found[0] == "malformed"
    assert demux.malformed == 1
    then = frame.means.get("then")
    assert [message.kind.value for message in found[1:]] == ([then] if then else [])


REQUESTS = {
    "status": lambda means: escpos.encode_status_request(means["n"]),
    "full_status": lambda _means: escpos.encode_full_status_request(),
    "model_id": lambda _means: escpos.encode_model_id_request(),
    "text": lambda means: escpos.encode_text_request(means["n"]),
    "counter": lambda means: escpos.encode_counter_request(means["n"]),
}


@pytest.mark.parametrize(
    "frame", [frame for frame in FRAMES if frame.means.get("request") in REQUESTS], ids=lambda frame: frame.name
)
def test_each_golden_question(frame: Frame):
    request = REQUESTS[str(frame.means["request"])](frame.means)
    assert request.data == frame.data
    assert request.risk is Risk.READ


@pytest.mark.parametrize(
    "frame", [frame for frame in FRAMES if frame.means.get("request") == "push"], ids=lambda frame: frame.name
)
def test_push_setting_is_followed_by_the_question_that_shows_it_arrived(frame: Frame):
    request = escpos.encode_push_setting(int(frame.means["bits"]))
    assert request.data == frame.data + b"\x10\x04\x01"
    assert request.reply is Kind.STATUS


def test_recovery_is_marked_as_disruptive():
    request = escpos.encode_recovery()
    assert request.data == b"\x10\x05\x02\x10\x04\x01"
    assert request.risk is Risk.DISRUPT


@pytest.mark.parametrize(
    "encode",
    [
        lambda: escpos.encode_status_request(5),
        lambda: escpos.encode_text_request(70),
        lambda: escpos.encode_counter_request(-1),
        lambda: escpos.encode_push_setting(256),
    ],
)
def test_questions_outside_their_range_are_refused(encode):
    with pytest.raises(ValueError):
        encode()


def test_flow_control_may_stand_inside_everything():
    for frame in FROM:
        for xon in (b"\x11", b"\x13"):
            for at in range(len(frame.data) + 1):
                demux = asked(frame)
                demux.feed(frame.data[:at] + xon + frame.data[at:])
                found = messages(demux)
                assert expected(frame) in found
                assert Message(Kind.FLOW, xon) in found
                assert demux.malformed == 0


def test_a_reply_counts_as_asked_once_only():
    demux = Demux()
    demux.expect(Kind.STATUS)
    demux.feed(b"\x12\x16")
    assert messages(demux) == [
        Message(Kind.STATUS, b"\x12", asked=True),
        Message(Kind.STATUS, b"\x16", asked=False),
    ]


def test_a_packet_between_question_and_reply_keeps_both():
    demux = Demux()
    demux.expect(Kind.STATUS)
    demux.feed(b"\x18\x00\x0f\x00\x1a")
    assert messages(demux) == [
        Message(Kind.PACKET, b"\x18\x00\x0f\x00"),
        Message(Kind.STATUS, b"\x1a", asked=True),
    ]


def test_an_echo_of_the_question_is_noise_and_not_a_packet():
    demux = Demux()
    demux.expect(Kind.STATUS)
    demux.feed(b"\x10\x04\x01\x12")
    assert messages(demux) == ["malformed", Message(Kind.STATUS, b"\x12", asked=True)]


def test_full_status_shape_is_a_packet_unless_asked():
    demux = Demux()
    demux.feed(b"\x10\x0f\x00\x00")
    assert messages(demux) == [Message(Kind.PACKET, b"\x10\x0f\x00\x00")]


def test_a_model_number_outside_the_published_class_is_still_one():
    for number in (0x3D, 0x5E, 0x75, 0x93, 0xB9):
        demux = Demux()
        demux.expect(Kind.BYTE)
        demux.feed(bytes((number,)))
        assert messages(demux) == [Message(Kind.BYTE, bytes((number,)), asked=True)]


def test_reset_gives_up_what_is_half_read_and_counts_it():
    demux = Demux()
    demux.feed(b"\x10\x00")
    assert messages(demux) == []
    assert demux.half_read
    demux.reset()
    assert not demux.half_read
    assert demux.malformed == 1
    demux.reset()
    assert demux.malformed == 1


def test_a_text_without_end_is_given_up():
    demux = Demux()
    demux.expect(Kind.BLOCK)
    demux.feed(b"\x5f" + b"A" * 80 + b"\x12")
    assert "malformed" in messages(demux)
    assert not demux.half_read


def test_a_long_run_of_random_bytes_is_sorted_without_end_or_growth():
    chance = random.Random(7)
    demux = Demux()
    for step in range(3000):
        demux.expect(chance.choice([None, *Kind]))
        demux.feed(chance.randbytes(100))
        for message in messages(demux):
            assert isinstance(message, Message) or message == "malformed"
        assert not demux._waiting
        assert len(demux._packet) < 6
        assert len(demux._block or b"") <= 81
        if step % 50 == 0:
            demux.reset()


def test_a_flood_that_nobody_reads_stays_bounded():
    demux = Demux()
    for _ in range(100):
        demux.feed(bytes(1000))
    assert len(demux._waiting) <= 4096


@settings(max_examples=300)
@given(st.lists(st.binary(max_size=20), max_size=20), st.sampled_from([None, *Kind]))
def test_the_split_of_the_bytes_makes_no_difference(chunks: list[bytes], reply: Kind | None):
    whole, parts = Demux(), Demux()
    whole.expect(reply)
    parts.expect(reply)
    whole.feed(b"".join(chunks))
    found = []
    for chunk in chunks:
        parts.feed(chunk)
        found += messages(parts)
    assert found == messages(whole)
    assert parts.malformed == whole.malformed
