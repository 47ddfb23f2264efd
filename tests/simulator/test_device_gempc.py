"""The simulated chip card reader against libccid's start-up and the golden frames."""

from __future__ import annotations

import random
from functools import reduce
from operator import xor

import pytest

from simulator.device import Illegal
from simulator.devices.gempc import GemPcTwin
from tests.simulator.bench import Bench, golden

GOLDEN = golden("gempc")
SLOT = GOLDEN["ask slot status"]


@pytest.fixture
def bench() -> Bench:
    return Bench(GemPcTwin)


def frame(kind: int, data: bytes = b"", number: int = 0) -> bytes:
    whole = bytes((3, 6, kind)) + len(data).to_bytes(4, "little") + bytes((0, number, 0, 0, 0)) + data
    return whole + bytes((reduce(xor, whole),))


def answer(bench: Bench, question: bytes, *, split: bool = False) -> bytes:
    heard = bench.ask(question, split=split)
    assert heard.startswith(question)
    return heard[len(question) :]


@pytest.mark.parametrize(
    ("state", "question", "expected"),
    [
        ({}, "ask slot status", "slot: no card"),
        ({}, "ask slot status, highest sequence number", "slot: no card, highest sequence number"),
        ({"card": "present"}, "ask slot status", "slot: card present, not powered"),
        ({"card": "left"}, "ask slot status", "slot: card present, not powered"),
        ({"self_test": "failed"}, "ask slot status", "slot: hardware error"),
        ({}, "ask firmware", "firmware"),
    ],
)
@pytest.mark.parametrize("split", [False, True])
def test_golden_exchanges(bench: Bench, state, question, expected, split):
    bench.set(**state)
    assert answer(bench, GOLDEN[question], split=split) == GOLDEN[expected]
    assert bench.device.violations == {}


def test_a_powered_card_is_active_until_it_is_pulled(bench: Bench):
    bench.set(card="present")
    power_on = answer(bench, frame(0x62, number=1))
    assert power_on[2] == 0x80
    assert power_on[12] == 0x3B
    assert answer(bench, SLOT) == GOLDEN["slot: card present and powered"]
    assert bench.set(card="absent") == GOLDEN["card taken out"]
    assert answer(bench, SLOT) == GOLDEN["slot: no card"]


def test_powering_an_empty_slot_fails(bench: Bench):
    assert answer(bench, frame(0x62))[2:11].hex() == "800000000000004" + "2fe"


def test_slot_changes_come_at_once_or_between_echo_and_answer(bench: Bench):
    assert bench.set(card="present") == GOLDEN["card put in"]
    assert bench.set(card="left") == b""
    answer(bench, frame(0x6B, b"\x01\x01\x01"))
    assert bench.set(card="absent") == b""
    heard = bench.ask(SLOT)
    assert heard == SLOT + GOLDEN["card taken out"] + GOLDEN["slot: no card"]
    bench.device.power_on()
    assert bench.set(card="present") == GOLDEN["card put in"]


def test_a_wrong_lrc_is_echoed_and_refused(bench: Bench):
    broken = SLOT[:-1] + b"\x61"
    assert answer(bench, broken) == GOLDEN["reader did not understand"]
    assert answer(bench, SLOT) == GOLDEN["slot: no card"]
    assert bench.device.violations == {"bad_frame": 1}


def test_application_commands_are_refused_and_counted(bench: Bench):
    bench.set(card="present")
    bench.heard()
    assert answer(bench, frame(0x6F, b"\x00\xa4\x04\x00"))[12:14] == b"\x6d\x00"
    answer(bench, frame(0x42))
    assert bench.device.violations == {"card_command": 1, "unknown_command": 1}


def test_an_unknown_escape_fails(bench: Bench):
    assert answer(bench, frame(0x6B, b"\x6a"))[9] == 0x42


def test_keys_are_strict(bench: Bench):
    with pytest.raises(Illegal):
        bench.device.set("card", "jammed")
    with pytest.raises(Illegal):
        bench.device.set("shutter", "ok")


def test_anything_may_arrive(bench: Bench):
    rng = random.Random(3)
    for _ in range(500):
        bench.device.receive(rng.choice([b"", b"\x03\x06", SLOT[:-1], b"\x03\x15"]) + rng.randbytes(rng.randrange(20)))
    bench.clock += 5.0
    bench.device.tick()
    bench.heard()
    assert answer(bench, SLOT) == GOLDEN["slot: no card"]
