"""How many commands are taken, over restarts and clocks that were set."""

from __future__ import annotations

import pytest

from agent.command_rate import Rate
from agent.config import CommandsConfig

FEW = CommandsConfig(per_minute=4, disruptive_per_hour=1)
START = 1_800_000_000.0


class Disk:
    """What a restart finds."""

    def __init__(self) -> None:
        self.kept: tuple[list[float], list[float]] = ([], [])

    def rate(self) -> tuple[list[float], list[float]]:
        return self.kept

    def keep_rate(self, every: list[float], disruptive: list[float]) -> None:
        self.kept = list(every), list(disruptive)


def begun(disk: Disk, wall: float) -> Rate:
    return Rate(disk, lambda: wall)


def full(disk: Disk) -> None:
    rate = begun(disk, START)
    assert rate.take(FEW, disruptive=True) == ""
    for _ in range(3):
        assert rate.take(FEW, disruptive=False) == ""
    assert rate.take(FEW, disruptive=False) == "more than 4 of these commands in 60 s"


@pytest.mark.parametrize(("later_s", "minute", "hour"), [(1, 0, 0), (58, 0, 0), (61, 4, 0), (3590, 4, 0), (3610, 4, 1)])
def test_a_restart_forgets_nothing_that_counts(later_s: float, minute: int, hour: int) -> None:
    disk = Disk()
    full(disk)
    assert (begun(disk, START + later_s).take(FEW, disruptive=False) == "") is (minute > 0)
    disk = Disk()
    full(disk)
    rate = begun(disk, START + later_s)
    assert (rate.take(FEW, disruptive=True) == "") is (hour > 0)
    assert [rate.take(FEW, disruptive=False) for _ in range(5)].count("") == minute - hour


@pytest.mark.parametrize("back_s", [1, 3600, START])
def test_a_clock_that_was_set_back_allows_no_more(back_s: float) -> None:
    disk = Disk()
    full(disk)
    rate = begun(disk, START - back_s)
    assert rate.take(FEW, disruptive=True)
    assert rate.take(FEW, disruptive=False)


def test_what_is_refused_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a flood would keep the door shut for good."""
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    disk = Disk()
    full(disk)
    rate = begun(disk, START)
    for _ in range(50):
        now += 1.0
        assert rate.take(FEW, disruptive=False)
    now += 11.0
    assert rate.take(FEW, disruptive=False) == ""
