"""The simulated input device against the kernel's event layout and the golden events."""

from __future__ import annotations

import struct

import pytest

from simulator.device import Illegal
from simulator.devices.evdev import CODES, Evdev
from tests.simulator.bench import Bench, golden

GOLDEN = golden("evdev")
AT = 1_795_298_400.25
SYN = GOLDEN["report"]


@pytest.fixture
def bench() -> Bench:
    bench = Bench(Evdev)
    bench.device.world_time = lambda: AT
    return bench


def test_a_key_goes_down_repeats_and_goes_up(bench: Bench):
    assert bench.set(held="5") == GOLDEN["down, key code 6"] + SYN
    assert bench.wait(0.24) == b""
    again = GOLDEN["repeat"] + GOLDEN["report after a repeat"]
    assert bench.wait(0.02) == again
    heard = bench.wait(1.0)
    assert heard == again * (len(heard) // len(again))
    assert 28 <= len(heard) // len(again) <= 31
    assert bench.set(held="none") == GOLDEN["up"] + SYN
    assert bench.wait(1.0) == b""


@pytest.mark.parametrize("key", ["1", "9", "0", "enter", "cancel", "clear"])
def test_key_codes(bench: Bench, key):
    assert bench.set(held=key) == GOLDEN[f"down, key code {CODES[key]}"] + SYN


def test_sliding_to_another_key_releases_the_first(bench: Bench):
    bench.set(held="5")
    events = list(struct.iter_unpack("@llHHi", bench.set(held="6")))
    assert [event[2:] for event in events] == [(1, 6, 0), (0, 0, 0), (1, 7, 1), (0, 0, 0)]


def test_a_key_held_through_a_start_goes_down_again(bench: Bench):
    bench.set(held="5")
    bench.device.power_on()
    assert bench.heard() == GOLDEN["down, key code 6"] + SYN


def test_writing_to_it_is_counted(bench: Bench):
    assert bench.ask(b"\x00" * 24) == b""
    assert bench.device.violations == {"written_to": 1}


def test_keys_are_strict(bench: Bench):
    with pytest.raises(Illegal, match="enter"):
        bench.device.set("held", "A")
    with pytest.raises(Illegal, match="held"):
        bench.device.set("battery", "low")
