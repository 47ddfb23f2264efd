"""Every family × every line fault in virtual time: what a check gives, how long it takes, and that nothing lies.

Thousands of polls cost a second here, so rare accidents of noise are met. `test_ports` does the same over real ports.
"""

from __future__ import annotations

import pytest

from drivers import catalog
from drivers.family import Family
from simulator.line import FAULTS
from tests.matrix.truth import UNKNOWN, lies, states, truth
from tests.matrix.wire import Seen, Watch

SERIAL = [family for family in catalog.families() if family.link == "serial"]
EACH = pytest.mark.parametrize("family", SERIAL, ids=lambda family: family.word)

HEALTHY, SILENT, BAD = "healthy", "no_reply", "bad_reply"
ANSWERS_ONE_BYTE = {"escpos"}  # so a gap between bytes only slows it down
OUTCOMES = {
    "clean": {HEALTHY},
    "noisy": {HEALTHY, SILENT, BAD},
    "slow": {SILENT, BAD},
    "garbled": {SILENT, BAD},
    "echo": {HEALTHY},
    "late": {SILENT},
    "mute": {SILENT},
}
EXCEPTIONS = {
    ("slow", "escpos"): {HEALTHY},
    # A printer's replies have no frame, so what the line gives back cannot be told from them.
    ("echo", "escpos"): {BAD},
}
CHECK_S = 2.1  # a check of a settled line; the slowest is a modem's first
SETTLE_S = 6.2  # three times the quiet that an unanswered question asks for, on a line that babbles
GRACE_S = 35.0  # a modem's card number and operator are asked for every 30 s
ONE_BIT = {"feed_button", "drawer"}  # told by a single bit, raise nothing; noise may turn them


EACH_STATE = pytest.mark.parametrize(
    ("family", "state"),
    [pytest.param(family, state, id=f"{family.word}-{state}") for family in SERIAL for state in states(family.word)],
)


def outcome(seen: Seen) -> str:
    return HEALTHY if seen.error is None else seen.error.cause


def lies_of(watch: Watch, seen: Seen) -> dict[str, object]:
    """What noise made up."""
    found = lies(watch.family, seen.readings, seen.states)
    return {name: value for name, value in found.items() if name not in ONE_BIT}


@pytest.mark.parametrize("fault", FAULTS)
@EACH
def test_a_fault_gives_its_cause_within_its_deadline(family: Family, fault: str):
    watch = Watch(family.word, seed=1)
    watch.wire.line.fault = fault
    checks = [seen for seen in watch.polls(12) if seen.took_s]
    assert {outcome(seen) for seen in checks} <= EXCEPTIONS.get((fault, family.word), OUTCOMES[fault])
    assert checks[0].took_s <= CHECK_S
    assert max(seen.took_s for seen in checks) <= CHECK_S + SETTLE_S
    assert [found for seen in checks if (found := lies_of(watch, seen))] == []

    watch.wire.line.fault = "clean"
    for seen in watch.polls(6):  # noise before must not outlive it
        assert lies_of(watch, seen) == {}
    assert outcome(watch.check()) == HEALTHY
    assert watch.wire.line.next_due() is None


@EACH_STATE
def test_a_clean_line_tells_the_state_and_its_end(family: Family, state: dict[str, str]):
    watch = Watch(family.word, seed=1)
    device = watch.wire.device
    defaults = dict(device.state)
    for wanted in (state, defaults):
        watch.check()  # what a reader tells of a change must be seen against what was before
        for name, value in wanted.items():
            device.set(name, value)
        seen = [seen for seen in watch.polls(int(GRACE_S)) if seen.took_s]
        readings = seen[-1].readings
        assert all(outcome(each) == HEALTHY for each in seen[1:])
        for name, value in truth(family.word, device.state).items():
            assert readings[name].value == value, name
            assert (readings[name].unknown is not None) == (value is UNKNOWN)
        assert set(readings) == set(family.driver.READINGS)


@pytest.mark.parametrize("flips", [0, 300, 3000, 20_000], ids="{}ppm".format)
@EACH_STATE
def test_noise_reads_as_no_state_that_is_not_so(family: Family, state: dict[str, str], flips: int):
    """Noise of the line itself (0 ppm beside it), and flipped bits alone, few enough to let long answers through."""
    read = 0
    for seed in range(4):
        watch = Watch(family.word, seed, flips)
        watch.wire.line.fault = "clean" if flips else "noisy"
        for wanted in ({}, state):
            for name, value in wanted.items():
                watch.wire.device.set(name, value)
            since = watch.wire.clock.now + (GRACE_S if wanted else 0.0)
            for seen in watch.polls(60):
                read += bool(seen.readings)
                if watch.wire.clock.now > since:
                    assert lies_of(watch, seen) == {}, f"seed {seed}"
    assert read or not flips or flips > 1000, "a little noise must not silence a device"


@EACH
def test_noise_gets_through_to_readings(family: Family):
    """The test above would also pass for a driver that never answers: at light noise most polls give readings."""
    watch = Watch(family.word, seed=1, flips=300)
    checks = [seen for seen in watch.polls(100) if seen.took_s]
    assert sum(outcome(seen) == HEALTHY for seen in checks) > 60


@EACH
def test_the_same_seed_gives_the_same_polls(family: Family):
    def run() -> list[str]:
        watch = Watch(family.word, seed=7)
        watch.wire.line.fault = "noisy"
        return [f"{outcome(seen)} {seen.took_s:.3f}" for seen in watch.polls(20)]

    assert run() == run()
