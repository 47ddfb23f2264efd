"""A readiness score: roots cost, symptoms do not, and what nobody could check is never ready for free."""

from __future__ import annotations

import pytest

from agent.readiness import readiness, render


def report(*faults, can_sell="yes", devices=None):
    return {
        "verdict": {"can_sell": can_sell},
        "faults": [
            {
                "fault": key,
                "severity": severity,
                "cause": cause,
                "symptoms": [],
                "act": "merchant",
                "device": key.partition("/")[0],
            }
            for key, severity, cause in faults
        ],
        "devices": devices or {"printer": {"readings": {"paper": "ok"}}},
    }


def test_a_healthy_terminal_has_nothing_to_do():
    result = readiness(report(), "en")
    assert (result["score"], result["ready"], result["todo"], result["unchecked"]) == (100, True, [], [])


def test_symptoms_cost_nothing_beside_their_root():
    one = readiness(report(("power/mains_lost", "major", None)), "en")
    both = readiness(
        report(("power/mains_lost", "major", None), ("printer/no_reply", "major", "power/mains_lost")), "en"
    )
    assert one["score"] == both["score"] == 70
    assert not one["ready"]
    assert [item["fault"] for item in both["todo"]] == ["power/mains_lost"]


def test_what_could_not_be_checked_costs_and_is_named():
    devices = {"reader": {"readings": {"card": {"error": "no_reply"}, "port": "ok"}}}
    result = readiness(report(devices=devices), "en")
    assert result["unchecked"] == ["reader"]
    assert result["score"] == 90


@pytest.mark.parametrize("can_sell", ["no", "unknown"])
def test_a_terminal_that_cannot_sell_is_never_ready(can_sell):
    assert not readiness(report(can_sell=can_sell), "en")["ready"]


def test_the_worst_comes_first_with_its_steps_in_the_language():
    result = readiness(report(("printer/paper_near_end", "warning", None), ("printer/paper_out", "major", None)), "zh")
    assert [item["fault"] for item in result["todo"]] == ["printer/paper_out", "printer/paper_near_end"]
    text = render(result, "zh")
    assert result["todo"][0]["steps"][0] in text
    assert "尚未准备好: 65/100" in text


def test_forecasts_are_shown_and_unknown_ones_kept_apart():
    devices = {
        "printer": {"readings": {"paper_days_left": 3.5, "head_wear_percent": {"error": "not_asked"}, "paper": "ok"}}
    }
    result = readiness(report(devices=devices), "en")
    assert result["forecast"] == {"printer.paper_days_left": 3.5, "printer.head_wear_percent": {"error": "not_asked"}}
    assert "head_wear" not in render(result, "en")
