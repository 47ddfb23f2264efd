"""The simulated SmartPIN against the maker's vectors and the golden frames."""

from __future__ import annotations

import random

import pytest

from simulator.device import Illegal
from simulator.devices.smartpin import SmartPin, framed
from tests.simulator.bench import Bench, golden

GOLDEN = golden("smartpin")
NIGHT, MORNING = 1_795_147_920.0, 1_795_251_660.0
"""2026-11-20 04:12 and 2026-11-21 09:01, UTC."""


@pytest.fixture
def bench() -> Bench:
    return Bench(SmartPin)


@pytest.mark.parametrize(
    ("state", "question", "answer"),
    [
        ({"firmware": "V1.00"}, "ask firmware", "firmware"),
        ({}, "ask keys", "keys, DUKPT"),
        ({}, "ask removals", "removals, none"),
    ],
)
@pytest.mark.parametrize("split", [False, True])
def test_golden_exchanges(bench: Bench, state, question, answer, split):
    bench.set(**state)
    assert bench.ask(GOLDEN[question], split=split) == GOLDEN[answer]
    assert bench.device.violations == {}


def test_identity_texts(bench: Bench):
    assert bench.ask(GOLDEN["ask serial"]) == framed(b"\x06SIMT000001")
    assert bench.ask(GOLDEN["ask model"]) == framed(b"\x06L100 posdiag-sim")


def test_without_its_key_only_the_loader_is_present(bench: Bench):
    bench.set(keys="missing")
    reply = bench.ask(GOLDEN["ask keys"])
    assert reply == framed(b"\x06" + bytes.fromhex("0400 01000000 08000000 14000001 28000000"))


def test_a_removal_is_told_once_and_a_fixing_later(bench: Bench):
    bench.device.world_time = lambda: NIGHT
    bench.set(tamper="yes")
    assert bench.ask(GOLDEN["ask removals"]) == GOLDEN["removals, torn off"]
    assert bench.ask(GOLDEN["ask removals"]) == GOLDEN["removals, none"]
    bench.device.world_time = lambda: MORNING
    bench.set(tamper="no")
    records = b"10-20261121-0901/20-20261121-0901/"
    assert bench.ask(GOLDEN["ask removals"]) == framed(b"\x06\x02" + records + b"\x00")


def test_the_log_holds_forty_records_of_each_kind(bench: Bench):
    for _ in range(50):
        bench.set(tamper="yes")
        bench.set(tamper="no")
    body = bench.ask(GOLDEN["ask removals"])[3:-3]
    assert body[1] == 40
    assert body[2 + 40 * 17] == 40


def test_the_clock_is_bcd(bench: Bench):
    bench.device.world_time = lambda: NIGHT
    assert bench.ask(framed(b"\x78\x52\x01\x50")) == framed(bytes.fromhex("0678015006261120041200"))


def test_what_a_diagnosis_must_not_send_is_counted(bench: Bench):
    for body in ("754607", "784649", "78467a49524657", "784672", "78530101020060", "990011"):
        bench.ask(framed(bytes.fromhex(body)))
    assert bench.device.violations == {
        "pin_command": 1,
        "restarted": 1,
        "boot_loader": 1,
        "stopped": 1,
        "stored_setting_changed": 1,
        "unknown_command": 1,
    }


@pytest.mark.parametrize("at", [-3, -2, -1])
def test_a_wrong_check_gets_no_answer(bench: Bench, at):
    broken = bytearray(GOLDEN["ask firmware"])
    broken[at] ^= 0x10
    assert bench.ask(bytes(broken)) == b""
    assert bench.device.violations == {"bad_frame": 1}
    assert bench.ask(GOLDEN["ask firmware"]) != b""


def test_a_key_it_cannot_have_is_refused(bench: Bench):
    with pytest.raises(Illegal, match="tamper"):
        bench.device.set("held", "5")


def test_anything_may_arrive(bench: Bench):
    rng = random.Random(17)
    starts = [b"", b"\x02\x03\x00", b"\x02", GOLDEN["ask keys"][:-1]]
    for _ in range(800):
        bench.device.receive(rng.choice(starts) + rng.randbytes(rng.randrange(9)))
        bench.clock += rng.random() / 5
    bench.wait(2.0)
    assert bench.ask(GOLDEN["ask keys"]) == GOLDEN["keys, DUKPT"]
