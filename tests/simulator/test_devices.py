"""What holds for every simulated device."""

from __future__ import annotations

import random

import pytest

from simulator.devices import DEVICES
from tests.simulator.bench import Bench

EACH = pytest.mark.parametrize("kind", DEVICES.values(), ids=DEVICES)


@EACH
def test_at_rest_nothing_is_said_and_nothing_is_planned(kind):
    bench = Bench(kind)
    assert bench.device.tick() is None
    bench.device.power_on()
    bench.wait(2.0)
    assert bench.device.tick() is None
    assert bench.wait(3600.0) == b""
    assert bench.device.violations == {}


@EACH
def test_every_listed_value_can_be_set_and_shows_or_is_silent(kind):
    bench = Bench(kind)
    for name, key in kind.keys.items():
        for value in key.values or (key.default,):
            bench.device.set(name, value)
            assert bench.device.state[name] == value
        bench.device.set(name, key.default)
    bench.wait(5.0)
    assert bench.device.state == {name: key.default for name, key in kind.keys.items()}


@EACH
def test_noise_never_raises_and_never_plans_the_past(kind):
    rng = random.Random(23)
    bench = Bench(kind)
    for _ in range(2000):
        bench.device.receive(rng.randbytes(rng.randrange(1, 30)))
        bench.clock += rng.choice((0.0, 0.001, 0.05, 1.0))
        if rng.random() < 0.05:
            name = rng.choice(list(kind.keys))
            bench.device.set(name, rng.choice(kind.keys[name].values or (kind.keys[name].default,)))
        pause = bench.device.tick()
        assert pause is None or pause >= 0
