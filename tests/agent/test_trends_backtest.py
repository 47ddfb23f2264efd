"""Months of shops in seconds: warnings come days before the thing itself, and healthy months have none."""

from __future__ import annotations

import pytest

from tests.agent.backtest import KINDS, Shop, leads, play

LEAST_DAYS = {"head": 25, "dirt": 20, "signal": 14, "disk": 10, "flood": 1, "battery": 20}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_healthy_half_year_has_no_warning(seed):
    result = play(Shop(seed), 180, restart_every=5)
    assert result.raised == []
    assert result.state_bytes < 8000


@pytest.mark.parametrize("what", KINDS)
def test_a_warning_comes_days_before_the_thing_itself(what):
    found = leads(what, range(200, 202), 200)
    assert None not in found
    assert min(found) >= LEAST_DAYS[what], found


def test_days_of_paper_lie_within_their_bounds_and_the_bounds_are_worth_having():
    said = [each for seed in (11, 12, 13) for each in play(Shop(seed), 150).paper]
    assert len(said) > 100
    assert sum(low <= came <= high for _, low, high, came in said) / len(said) > 0.85
    errors = sorted(abs(value - came) for value, _, _, came in said)
    assert errors[len(errors) // 2] < 0.5
    assert sum(high - low for _, low, high, _ in said) / len(said) < 2.5


def test_a_printer_without_a_near_end_sensor_is_warned_of_by_its_counter():
    result = play(Shop(4, near_end_sensor=False), 120)
    assert {key for _, key in result.raised} == {"printer/paper_near_end"}
    assert len(result.paper_left) > 0.6 * result.rolls
    assert all(left < 0.35 for left in result.paper_left)
