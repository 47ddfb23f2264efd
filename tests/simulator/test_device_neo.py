"""The simulated payment reader against the maker's vectors and the golden frames."""

from __future__ import annotations

import random

import pytest

from simulator.device import Illegal
from simulator.devices.neo import Neo, checksum
from tests.simulator.bench import Bench, golden

GOLDEN = golden("neo")
PING = GOLDEN["ping"]


@pytest.fixture
def bench() -> Bench:
    return Bench(Neo)


def command(kind: int, sub: int) -> bytes:
    frame = b"ViVOtech2\x00" + bytes((kind, sub, 0, 0))
    return frame + checksum(frame).to_bytes(2, "little")


@pytest.mark.parametrize(
    ("state", "question", "answer"),
    [
        ({}, "ping", "ping: ok"),
        ({"self_test": "failed"}, "ping", "ping: failed"),
        ({"tamper": "yes"}, "ping", "ping: tamper occurred"),
        ({}, "ask firmware", "firmware"),
        ({}, "ask serial number", "serial number"),
        ({}, "ask external chip mode", "external chip mode: not this model"),
    ],
)
@pytest.mark.parametrize("split", [False, True])
def test_golden_exchanges(bench: Bench, state, question, answer, split):
    bench.set(**state)
    assert bench.ask(GOLDEN[question], split=split) == GOLDEN[answer]
    assert bench.device.violations == {}


def test_module_versions_are_lines(bench: Bench):
    bench.set(firmware="V1.00")
    reply = bench.ask(GOLDEN["ask module versions"])
    assert reply[14:-2].split(b"\r\n")[0] == b"FW,VP3300-SIM,V1.00"


def test_a_tampered_reader_answers_nothing_else(bench: Bench):
    bench.set(tamper="yes")
    for question in ("ask firmware", "ask serial number", "ask module versions"):
        assert bench.ask(GOLDEN[question])[11:14] == b"\x1d\x00\x00"


def test_a_wrong_crc_is_told_and_counted(bench: Bench):
    swapped = PING[:-2] + PING[:-3:-1]
    assert bench.ask(swapped)[10:12] == b"\x18\x04"
    assert bench.device.violations == {"bad_crc": 1}


def test_transactions_and_unknown_commands_are_counted(bench: Bench):
    assert bench.ask(command(0x02, 0x01))[11] == 0x0B
    assert bench.ask(command(0xEE, 0x01))[11] == 0x02
    assert bench.ask(command(0x18, 0x09))[11] == 0x03
    bench.ask(PING + PING)
    assert bench.device.violations == {"card_command": 1, "unknown_command": 2, "command_before_reply": 1}


def test_a_cut_frame_is_forgotten(bench: Bench):
    bench.ask(PING[:12])
    bench.wait(1.0)
    assert bench.ask(PING) == GOLDEN["ping: ok"]
    assert bench.device.violations == {"frame_cut": 1}


def test_a_key_it_cannot_have_is_refused(bench: Bench):
    with pytest.raises(Illegal, match="self_test"):
        bench.device.set("card", "present")


def test_anything_may_arrive(bench: Bench):
    rng = random.Random(5)
    for _ in range(500):
        bench.device.receive(rng.choice([b"", b"ViVOtech2\x00\x18", PING[:-1]]) + rng.randbytes(rng.randrange(20)))
    bench.clock += 5.0
    bench.device.tick()
    bench.heard()
    assert bench.ask(PING) == GOLDEN["ping: ok"]
