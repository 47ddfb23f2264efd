"""The simulated motor reader against the maker's protocol and the golden frames."""

from __future__ import annotations

import random

import pytest

from simulator.device import Illegal
from simulator.devices.crt571 import Crt571
from tests.simulator.bench import Bench, golden

GOLDEN = golden("crt571")
ACK, NAK = b"\x06", b"\x15"
STATUS = GOLDEN["ask status"]


@pytest.fixture
def bench() -> Bench:
    return Bench(Crt571)


def exchange(bench: Bench, frame: bytes, *, split: bool = False) -> bytes:
    """One command as a proper host does it; the reply frame."""
    heard = bench.ask(frame, split=split)
    assert heard[:1] == ACK
    assert bench.ask(ACK) == b""
    return heard[1:]


@pytest.mark.parametrize(
    ("state", "question", "answer"),
    [
        ({}, "ask status", "status: no card"),
        ({"card": "left"}, "ask status", "status: card in the gate"),
        ({"card": "present"}, "ask status", "status: card at the IC/RF position"),
        ({"card": "jammed"}, "ask status", "status refused: card jam"),
        ({"shutter": "error"}, "ask status", "status refused: shutter"),
        ({"sensor": "error"}, "ask status", "status refused: sensor error"),
        ({"self_test": "failed"}, "ask status", "status refused: motor error"),
        ({}, "ask sensors", "sensors: no card"),
        ({"card": "left"}, "ask sensors", "sensors: card in the gate"),
        ({}, "ask serial number", "serial number"),
        ({}, "ask version", "version"),
        ({}, "ask bin counter", "bin counter"),
    ],
)
@pytest.mark.parametrize("split", [False, True])
def test_golden_exchanges(bench: Bench, state, question, answer, split):
    bench.set(**state)
    assert exchange(bench, GOLDEN[question], split=split) == GOLDEN[answer]
    assert bench.device.violations == {}


def test_with_several_errors_the_jam_comes_first(bench: Bench):
    bench.set(self_test="failed", shutter="error", sensor="error", card="jammed")
    assert exchange(bench, STATUS) == GOLDEN["status refused: card jam"]
    bench.set(card="absent")
    assert exchange(bench, STATUS) == GOLDEN["status refused: sensor error"]
    bench.set(sensor="ok")
    assert exchange(bench, STATUS) == GOLDEN["status refused: shutter"]


def test_initialising_without_moving_keeps_the_card(bench: Bench):
    bench.set(card="present")
    reply = exchange(bench, GOLDEN["initialise, keep the card"])
    assert reply[4:10] == b"P03220"
    assert bench.device.state["card"] == "present"
    assert bench.device.violations == {}


def test_capturing_a_card_is_done_and_counted(bench: Bench):
    bench.set(card="present")
    exchange(bench, bytes.fromhex("f2000003433031" + "03b0"))
    assert bench.device.state["card"] == "absent"
    assert bench.device.violations == {"card_moved": 1}
    assert exchange(bench, GOLDEN["ask bin counter"])[-5:-2] == b"043"


def test_another_unit_s_command_is_not_ours(bench: Bench):
    assert bench.ask(GOLDEN["ask status of unit 15"]) == b""


def test_a_broken_command_is_refused_and_the_next_one_works(bench: Bench):
    assert bench.ask(STATUS[:-1] + b"\x00") == NAK
    assert exchange(bench, STATUS) == GOLDEN["status: no card"]
    assert bench.device.violations == {"bad_frame": 1}


def test_the_reply_is_repeated_on_nak_three_times(bench: Bench):
    bench.ask(STATUS)
    for _ in range(3):
        assert bench.ask(NAK) == GOLDEN["status: no card"]
    assert bench.ask(NAK) == b""


def test_a_reply_wants_an_acknowledgement(bench: Bench):
    bench.ask(STATUS)
    bench.ask(STATUS)
    assert bench.device.violations == {"reply_not_acknowledged": 1}
    bench.wait(2.0)
    assert bench.device.violations == {"reply_not_acknowledged": 2}


def test_a_cut_frame_is_forgotten(bench: Bench):
    bench.ask(STATUS[:5])
    bench.wait(0.5)
    assert exchange(bench, STATUS) == GOLDEN["status: no card"]
    assert bench.device.violations == {"frame_cut": 1}


def test_card_commands_are_refused_and_counted(bench: Bench):
    frame = bytes.fromhex("f200000343513003")
    reply = exchange(bench, frame + bytes((0xF2 ^ 3 ^ 0x43 ^ 0x51 ^ 0x30 ^ 3,)))
    assert reply[4:9] == b"NQ003"
    assert bench.device.violations == {"card_command": 1}


def test_keys_are_strict(bench: Bench):
    with pytest.raises(Illegal, match="jammed"):
        bench.device.set("card", "eaten")
    with pytest.raises(Illegal):
        bench.device.set("reads", "many")
    bench.device.set("reads", "07/1")
    assert bench.device.state["reads"] == "7/1"


def test_anything_may_arrive(bench: Bench):
    rng = random.Random(11)
    for _ in range(500):
        bench.device.receive(rng.choice([b"", b"\xf2\x00\x00", STATUS[:-1]]) + rng.randbytes(rng.randrange(20)))
        bench.clock += rng.random()
    bench.wait(5.0)
    assert exchange(bench, STATUS) == GOLDEN["status: no card"]
