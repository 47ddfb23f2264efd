"""Every scenario by the rule engine: the right roots, symptoms and verdict in time, and no fault that it does not name."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from agent.clock import ManualClock
from agent.conditions import conditions
from agent.rules import Rules
from agent.vocabulary import VOCABULARY
from drivers.reading import known
from simulator.scenario import Scenario, Step, read
from tests.scenarios.engine import Engine
from tests.scenarios.timeline import config_for

FILES = {file.stem: file for file in sorted(Path(__file__).parent.glob("*.toml"))}
KINDS = {"single", "compound", "cascading", "transient", "adversarial", "flapping", "restart"}


@pytest.mark.parametrize("name", FILES)
def test_the_right_roots_and_nothing_else(name):
    scenario = read(FILES[name])
    played = Engine(scenario).play()
    assert played.missed == ()
    assert played.raised <= scenario.named


@pytest.mark.parametrize("name", [name for name, file in FILES.items() if read(file).kind in {"cascading", "compound"}])
def test_the_order_in_which_cause_and_symptoms_are_seen_is_nothing(name):
    scenario = read(FILES[name])
    seed = sum(name.encode())
    late = random.Random(seed)
    sources = ("printer", "reader", "keypad", "modem", "power", "network", "system")
    slack_s = 8.0
    steps = tuple(
        replace(step, at_s=step.at_s + n * slack_s, within_s=step.within_s + slack_s)
        for n, step in enumerate(scenario.steps)
    )
    played = Engine(
        replace(scenario, steps=steps), seed, {source: late.uniform(0, slack_s - 1) for source in sources}
    ).play()
    assert played.missed == ()
    assert played.raised <= scenario.named


def test_there_are_enough_of_each_kind_and_each_says_what_happens():
    scenarios = [read(file) for file in FILES.values()]
    kinds = Counter(scenario.kind for scenario in scenarios)
    assert len(scenarios) >= 120
    assert kinds.keys() == KINDS
    assert min(kinds.values()) >= 5
    assert len({scenario.title for scenario in scenarios}) == len(scenarios)


@pytest.mark.parametrize("name", FILES)
def test_each_step_ends_before_the_next_so_that_both_players_see_the_same(name):
    steps = read(FILES[name]).steps
    assert any(step.expect for step in steps)
    for step, after in itertools.pairwise(steps):
        if step.expect:
            assert step.at_s + step.within_s <= after.at_s
        assert step.at_s < after.at_s


def flips(key: str, one: str, other: str, hertz: float, seconds: float) -> list[Step]:
    return [Step(5 + n / hertz, {key: one if n % 2 == 0 else other}) for n in range(int(hertz * seconds))]


@pytest.mark.parametrize(
    ("key", "one", "other", "fault"),
    [
        ("printer.cover", "open", "closed", "printer/cover_open"),
        ("printer.paper", "out", "ok", "printer/paper_out"),
    ],
)
def test_a_sensor_at_ten_hertz_is_one_flapping_fault_with_one_message_in_a_hold_off(key, one, other, fault):
    steps = flips(key, one, other, 10, 340)
    end = Step(345.5, {key: other}, {"faults": [fault]}, 1)
    played = Engine(Scenario((*steps, end))).play()
    assert played.missed == ()
    assert played.raised == {fault}
    told = [(at_s, event) for at_s, event, data in played.events if data.get("fault") == fault]
    began = next(at_s for at_s, event in told if event == "fault.flapping")
    assert began < 30
    after = [at_s for at_s, _event in told if at_s >= began]
    assert len(after) <= 2
    assert all(later - earlier >= 300 for earlier, later in itertools.pairwise(after))
    assert len(told) - len(after) <= 6


def test_a_fault_that_stands_over_a_reboot_is_told_once():
    played = Engine(read(FILES["reboot_with_a_standing_fault"])).play()
    told = [event for _at_s, event, data in played.events if data.get("fault") == "printer/paper_out"]
    assert told == ["fault.raised", "fault.cleared"]


# --- every kind of the vocabulary -------------------------------------------------------------------------------------

TOLD = {
    "agent/budget_exceeded": ("agent", "budget", "exceeded"),
    "agent/config_rejected": ("agent", "config", "rejected"),
    "agent/probe_failed": ("agent", "probes", "failing"),
    "agent/store_nearly_full": ("agent", "store_percent", 90.0),
    "agent/store_reset": ("agent", "store", "reset"),
    "firmware/update_failed": ("firmware", "update", "failed_dev_needs_firmware"),
    "firmware/unknown_combination": ("firmware", "printer", "unknown_combination"),
    "security/case_opened": ("security", "case", "open"),
    "security/certificate_expiring": ("security", "certificate", "expiring"),
    "security/default_password": ("security", "password", "weak"),
    "security/relocated": ("security", "place", "elsewhere"),
    "printer/head_worn": ("trend.printer", "head_wear_percent_outlook", "act"),
    "network/broker_unreachable": ("network", "broker", "failed"),
    "system/cpu_overload": ("system", "cpu_percent", 99.0),
    "system/disk_full": ("system", "disk_free_percent", 2.0),
    "system/disk_readonly": ("system", "disk", "readonly"),
    "system/memory_low": ("system", "memory_available_percent", 4.0),
}
"""What no key of the simulated terminal can bring about, because it is the agent's own state, that of the machine that
runs it, or months of wear: the reading that tells it, as its probe would."""


@pytest.mark.parametrize("fault", TOLD)
def test_what_only_the_machine_itself_can_bring_about_is_raised_from_its_reading(fault):
    source, reading, value = TOLD[fault]
    config = config_for((("printer", "escpos"),))
    rules, clock = Rules(conditions(config, {"printer": "printer"})), ManualClock()
    for _ in range(40):
        rules.observe(source, {reading: known(value)}, clock.monotonic(), clock.wall())
        rules.tick(clock.monotonic(), clock.wall())
        clock.advance(5)
    assert set(rules.raised()) == {fault}


def test_every_kind_is_raised_by_a_scenario_or_told_by_the_machine_itself():
    scenarios = [read(file) for file in FILES.values()]
    raised = {key for scenario in scenarios for key in scenario.named - set(scenario.may)}
    assert raised | TOLD.keys() == VOCABULARY.keys()
    assert not TOLD.keys() & raised
