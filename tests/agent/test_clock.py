from __future__ import annotations

import time
from pathlib import Path

import pytest

from agent.clock import Clock, ManualClock


def test_time_passing_is_not_a_step() -> None:
    clock = ManualClock()
    assert clock.step() is None
    clock.advance(86_400)
    assert clock.step() is None


@pytest.mark.parametrize(("jump", "told"), [(1.9, False), (-1.9, False), (2.5, True), (-3600.0, True)])
def test_a_jump_of_the_wall_is_told_once(jump: float, told: bool) -> None:
    clock = ManualClock(wall=1_800_000_000.0)
    clock.step()
    clock.advance(10)
    clock.wall_s += jump
    data = clock.step()
    assert (data is not None) is told
    assert clock.step() is None
    if data is not None:
        assert data["step_s"] == jump
        assert data["before"] == "2027-01-15T08:00:10.000Z"


def test_quality_from_best_to_worst() -> None:
    clock = ManualClock()
    assert clock.quality() == "synced"
    clock.is_synchronised = False
    assert clock.quality() == "rtc"
    clock.network_agreed(for_s=60)
    assert clock.quality() == "network"
    clock.advance(61)
    assert clock.quality() == "rtc"
    clock.is_synchronised = True
    clock.wall_s = 1_000_000.0
    assert clock.quality() == "unset", "a wall of 1970 is unset whatever the kernel believes"


def test_agreement_does_not_outlive_a_jump() -> None:
    clock = ManualClock()
    clock.is_synchronised = False
    clock.step()
    clock.network_agreed(for_s=600)
    clock.wall_s += 300
    clock.step()
    assert clock.quality() == "rtc"


def uptime_s() -> float:
    return float(Path("/proc/uptime").read_text("ascii").split()[0])


def test_the_machines_own_clock() -> None:
    clock = Clock()
    before, told, after = uptime_s(), clock.up_ms() / 1000, uptime_s()
    assert before - 0.1 < told < after + 0.1
    before, told, after = time.time(), clock.wall(), time.time()
    assert before - 1 < told < after + 1
    assert clock.quality() in {"synced", "rtc"}
