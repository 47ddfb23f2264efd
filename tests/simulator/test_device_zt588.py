"""The simulated ZT588 PIN pad against the golden frames."""

from __future__ import annotations

import random
from functools import reduce
from operator import xor

import pytest

from simulator.device import Illegal
from simulator.devices.zt588 import MATRIX, Zt588
from tests.simulator.bench import Bench, golden

GOLDEN = golden("zt588")
WHO = GOLDEN["who are you"]
MAPS = slice(4 + 1 + 50, 4 + 1 + 50 + 48 + 20)
"""Scan codes and settings in an identity frame; the texts around them are the pad's own."""


@pytest.fixture
def bench() -> Bench:
    return Bench(Zt588)


def frame(text: bytes) -> bytes:
    covered = b"%03d" % len(text) + text + b"\x03"
    return b"\x02" + covered + b"%02X" % reduce(xor, covered)


@pytest.mark.parametrize(
    ("controls", "keys", "name"),
    [
        ([], "loaded", "identity, input on"),
        ([b"5032"], "loaded", "identity, keys loaded, input off, sound off"),
        ([b"5032"], "missing", "identity, no master key"),
        ([b"502", b"505"], "loaded", "identity, sound on"),
        ([b"5035"], "missing", "identity, all three settings"),
    ],
)
@pytest.mark.parametrize("split", [False, True])
def test_the_identity_shows_the_switches(bench: Bench, controls, keys, name, split):
    bench.set(keys=keys)
    for control in controls:
        assert bench.ask(frame(control)) == frame(b"0")
    reply = bench.ask(WHO, split=split)
    assert len(reply) == len(GOLDEN[name])
    assert reply[:4] == GOLDEN[name][:4]
    assert reply[MAPS] == GOLDEN[name][MAPS]
    assert reply == frame(reply[4:-3])
    assert reply[-3 - 20 : -3] == b"ZT588S1.02.126460007"
    assert bench.device.violations == {}


def test_low_battery_is_the_answer_to_everything(bench: Bench):
    bench.set(battery="low")
    assert bench.ask(WHO) == GOLDEN["error E0, low battery"]


@pytest.mark.parametrize("key", sorted(MATRIX))
def test_each_key_sends_its_byte(bench: Bench, key):
    assert bench.set(held=key) == GOLDEN[f"key {key}"]


def test_a_held_key_repeats_until_it_is_released(bench: Bench):
    assert bench.set(held="5") == b"5"
    assert bench.wait(0.4) == b""
    pressed = bench.wait(2.0)
    assert set(pressed) == {0x35}
    assert 15 <= len(pressed) <= 20
    bench.set(held="none")
    assert bench.wait(5.0) == b""


def test_with_input_off_no_key_is_heard(bench: Bench):
    bench.ask(frame(b"5032"))
    assert bench.set(held="7") == b""
    assert bench.wait(2.0) == b""
    bench.device.power_on()
    assert bench.wait(1.0).startswith(b"77")


def test_wiping_and_restarting_are_done_and_counted(bench: Bench):
    bench.ask(frame(b"5030"))
    bench.ask(frame(b"5031"))
    assert bench.device.state["keys"] == "missing"
    bench.set(keys="loaded")
    bench.ask(frame(b"501"))
    assert bench.device.state["keys"] == "missing"
    assert bench.device.violations == {"restarted": 1, "keys_wiped": 2}


def test_keys_pins_and_settings_are_refused_and_counted(bench: Bench):
    assert bench.ask(frame(b"1000")) == frame(b"\xec")
    assert bench.ask(frame(b"640@004")) == frame(b"\xec")
    bench.set(keys="missing")
    assert bench.ask(frame(b"640@004")) == GOLDEN["error E1, initial master key missing"]
    assert bench.ask(frame(b"3TEXT")) == frame(b"\xec")
    assert bench.ask(frame(b"9")) == GOLDEN["error EF, general error"]
    assert bench.device.violations == {
        "key_loading": 1,
        "pin_command": 2,
        "stored_setting_changed": 1,
        "unknown_command": 1,
    }


def test_broken_frames_get_no_answer(bench: Bench):
    for name in ("wrong check", "no end", "length is no number"):
        assert bench.ask(GOLDEN[name]) == b""
        bench.wait(1.0)
    assert bench.ask(WHO) != b""
    assert bench.device.violations["bad_frame"] >= 2


def test_a_key_it_cannot_have_is_refused(bench: Bench):
    with pytest.raises(Illegal, match="enter"):
        bench.device.set("held", "space")
    with pytest.raises(Illegal, match="battery"):
        bench.device.set("tamper", "yes")


def test_anything_may_arrive(bench: Bench):
    rng = random.Random(13)
    for _ in range(800):
        bench.device.receive(
            rng.choice([b"", b"\x02", b"\x02001", WHO[:-1], b"\x0200"]) + rng.randbytes(rng.randrange(9))
        )
        bench.clock += rng.random() / 5
    bench.device.power_on()
    bench.set(held="none", keys="loaded", battery="ok")
    bench.wait(2.0)
    assert len(bench.ask(WHO)) == 154
