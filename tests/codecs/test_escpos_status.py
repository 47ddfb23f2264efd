"""What status bytes mean: each bit and each state of the golden frames, and the contradictions."""

from __future__ import annotations

from collections import defaultdict
from itertools import product

import pytest

from drivers.codecs.escpos_profiles import PROFILES, profile_named
from drivers.codecs.escpos_status import (
    FULL_STATUS_BITS,
    PACKET_BITS,
    SPECS,
    STATUS_BITS,
    decode_full_status,
    decode_packet,
    decode_status,
    last_byte_is_legal,
    readings_from,
)
from firmware_notes import Frame, load_golden

FRAMES = load_golden("escpos")
EPSON = profile_named("epson")
NO_FACT = {"reply", "n", "state", "profile"}


def decode(frame: Frame) -> dict[str, bool | None]:
    match frame.means["reply"]:
        case "status":
            return decode_status(int(frame.means["n"]), frame.data[0])
        case "packet":
            return decode_packet(frame.data)
        case _:
            return decode_full_status(frame.data[2:])


def said(readings) -> dict[str, object]:
    return {name: reading.value if reading.unknown is None else reading.unknown for name, reading in readings.items()}


def status_facts(*replies: int) -> dict[str, bool | None]:
    facts: dict[str, bool | None] = {}
    for number, byte in enumerate(replies, 1):
        facts |= decode_status(number, byte)
    return facts


def from_status(*replies: int, profile=EPSON) -> dict[str, object]:
    return said(readings_from(status_facts(*replies), profile, bytes(replies)))


BIT_FRAMES = [
    frame
    for frame in FRAMES
    if frame.means.get("reply") in {"status", "packet", "full_status"} and "state" not in frame.means
]


@pytest.mark.parametrize("frame", BIT_FRAMES, ids=lambda frame: frame.name)
def test_each_bit(frame: Frame):
    facts = decode(frame)
    expected = dict.fromkeys(facts, False)
    expected |= {name: None if fact == "half" else fact for name, fact in frame.means.items() if name not in NO_FACT}
    assert facts == expected


def test_every_fact_is_set_in_some_golden_frame():
    told = {(frame.means["reply"], fact) for frame in BIT_FRAMES for fact in frame.means if fact not in NO_FACT}
    assert {("status", fact) for table in STATUS_BITS.values() for fact in table} <= told
    assert {("packet", fact) for table in PACKET_BITS for fact in table} <= told
    assert {("full_status", fact) for table in FULL_STATUS_BITS for fact in table} <= told


def _states() -> dict[str, list[Frame]]:
    found: dict[str, list[Frame]] = defaultdict(list)
    for frame in FRAMES:
        if "state" in frame.means:
            found[str(frame.means["state"])].append(frame)
    return found


STATES = _states()


@pytest.mark.parametrize("state", STATES)
def test_each_state_by_questions_and_by_packet(state: str):
    *replies, packet = STATES[state]
    assert [frame.means.get("n") for frame in replies] == [1, 2, 3, 4]
    expected = {name: value for name, value in packet.means.items() if name not in NO_FACT}

    asked = from_status(*(frame.data[0] for frame in replies))
    assert {name: asked[name] for name in expected} == expected

    pushed = said(readings_from(decode_packet(packet.data), EPSON, packet.data))
    assert {name: pushed[name] for name in expected} == expected


def test_every_legal_value_appears_in_some_state_or_test_below():
    seen = {(name, value) for frames in STATES.values() for name, value in frames[-1].means.items()}
    told_elsewhere = {"voltage", "presenter", "feed_button", "drawer"}
    for name, spec in SPECS.items():
        if name not in told_elsewhere:
            assert {(name, value) for value in spec.values} <= seen


def test_drawer_and_feed_button_by_both_ways():
    assert from_status(0x16, 0x12, 0x12, 0x12)["drawer"] == "high"
    assert from_status(0x12, 0x12, 0x12, 0x12)["drawer"] == "low"
    assert from_status(0x12, 0x1A, 0x12, 0x12)["feed_button"] is True
    assert from_status(0x52, 0x12, 0x12, 0x12)["feed_button"] is True
    assert from_status(0x12, 0x12, 0x12, 0x12)["feed_button"] is False


def test_one_flipped_bit_makes_no_fault_out_of_a_ready_printer():
    healthy = from_status(0x12, 0x12, 0x12, 0x12)
    for place, bit in product(range(4), (0x04, 0x08, 0x20, 0x40)):
        replies = [0x12] * 4
        replies[place] ^= bit
        for name in ("online", "cover", "paper", "cutter", "head", "mechanism", "condition"):
            assert from_status(*replies)[name] in {healthy[name], "inconsistent"}, (place, bit, name)


def test_one_flipped_bit_hides_no_fault():
    for state in ("paper out", "cover open", "cutter error", "head hot", "mechanical error", "unrecoverable"):
        original = [frame.data[0] for frame in STATES[state][:4]]
        truth = from_status(*original)
        for place, bit in product(range(4), (0x04, 0x08, 0x20, 0x40)):
            replies = list(original)
            replies[place] ^= bit
            now = from_status(*replies)
            for name in ("cover", "paper", "cutter", "head", "mechanism", "condition"):
                if truth[name] in {"open", "out", "error", "hot", "unrecoverable"}:
                    assert now[name] in {truth[name], "inconsistent", "masked"}, (state, place, bit, name)


def test_any_flip_in_a_packet_that_faults_a_ready_printer_needs_two_bits():
    ready = [0x10, 0, 0, 0]
    healthy = said(readings_from(decode_packet(bytes(ready)), EPSON, b""))
    for place, bit in product(range(3), (0x01, 0x02, 0x04, 0x08, 0x20, 0x40)):
        packet = list(ready)
        packet[place] ^= bit
        if packet[0] & 0x93 != 0x10:
            continue
        now = said(readings_from(decode_packet(bytes(packet)), EPSON, b""))
        for name in ("online", "cover", "paper", "cutter", "head", "mechanism", "condition"):
            assert now[name] in {healthy[name], "inconsistent"}


def test_citizen_counts_either_bit_of_a_paper_sensor():
    citizen = profile_named("citizen")
    assert from_status(0x12, 0x12, 0x12, 0x16, profile=citizen)["paper"] == "near_end"
    assert from_status(0x12, 0x12, 0x12, 0x1A, profile=citizen)["paper"] == "near_end"
    assert from_status(0x1A, 0x32, 0x12, 0x32, profile=citizen)["paper"] == "out"
    assert from_status(0x1A, 0x32, 0x12, 0x52, profile=citizen)["paper"] == "out"


def test_snbc_has_voltage_for_unrecoverable_and_no_mechanical_bit():
    snbc = profile_named("snbc")
    volts = from_status(0x1A, 0x52, 0x32, 0x12, profile=snbc)
    assert (volts["voltage"], volts["condition"], volts["mechanism"]) == ("error", "unsupported", "unsupported")
    assert from_status(0x12, 0x12, 0x12, 0x12, profile=snbc)["voltage"] == "ok"
    undefined = from_status(0x1A, 0x52, 0x16, 0x12, profile=snbc)
    assert (undefined["cutter"], undefined["head"]) == ("inconsistent", "inconsistent")
    assert last_byte_is_legal(b"\x10\x00\x00\x0f", snbc)
    assert not last_byte_is_legal(b"\x10\x00\x00\x0f", EPSON)
    assert not last_byte_is_legal(b"\x10\x00\x00\x07", snbc)


def from_custom(replies: tuple[int, int, int, int], full: str) -> dict[str, object]:
    facts = status_facts(*replies) | decode_full_status(bytes.fromhex(full))
    return said(readings_from(facts, profile_named("custom"), b""))


def test_custom_full_status_says_more():
    ready = (0x12, 0x12, 0x12, 0x12)
    assert from_custom(ready, "00 00 00 00")["presenter"] == "empty"
    assert from_custom(ready, "20 00 00 00")["presenter"] == "paper"
    assert from_custom(ready, "00 00 00 00")["voltage"] == "ok"
    stopped = (0x1A, 0x12, 0x12, 0x12)
    assert from_custom(stopped, "00 00 08 00")["voltage"] == "error"
    assert from_custom(stopped, "00 00 40 00")["mechanism"] == "error"
    assert from_custom(stopped, "00 00 01 00")["head"] == "hot"
    assert from_custom(stopped, "00 00 00 01")["cutter"] == "error"
    for memory in ("04", "08", "40"):
        assert from_custom(stopped, f"00 00 00 {memory}")["condition"] == "unrecoverable"
    assert from_custom((0x1A, 0x32, 0x12, 0x72), "01 00 00 00")["paper"] == "out"


def test_custom_full_status_must_agree_with_the_rest():
    ready = (0x12, 0x12, 0x12, 0x12)
    assert from_custom(ready, "01 00 00 00")["paper"] == "inconsistent"
    assert from_custom((0x1A, 0x32, 0x12, 0x72), "00 00 00 00")["paper"] == "inconsistent"
    assert from_custom(ready, "00 02 00 00")["cover"] == "inconsistent"
    assert from_custom(ready, "00 00 40 00")["mechanism"] == "inconsistent"
    assert from_custom(ready, "00 00 08 00")["voltage"] == "inconsistent"


def test_what_a_maker_does_not_tell_is_unsupported():
    ready = from_status(0x12, 0x12, 0x12, 0x12)
    assert (ready["voltage"], ready["presenter"]) == ("unsupported", "unsupported")


@pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda profile: profile.word)
def test_every_combination_of_bits_gives_every_reading_a_legal_value_or_a_cause(profile):
    data = (0x04, 0x08, 0x20, 0x40)
    bytes_ = [0x12 | sum(bits) for bits in product(*((0, bit) for bit in data))]
    for replies in product(bytes_, bytes_, bytes_[::3], bytes_):
        for name, value in from_status(*replies, profile=profile).items():
            assert value in (*SPECS[name].values, "inconsistent", "masked", "unsupported")


def test_an_unknown_profile_is_named_with_the_legal_ones():
    with pytest.raises(ValueError, match="epson, citizen, bixolon, snbc, zjiang, custom"):
        profile_named("star")
