"""Every family × every fault over real pseudo terminals, judged by what the agent's port worker reports.

All families run at once, so a fault costs the seconds of its slowest family.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from drivers import catalog
from drivers.errors import PortBusy
from simulator.devices import DEVICES
from tests.matrix.fleet import Fleet, Place, word_of, workers_alive
from tests.matrix.truth import is_told, states
from tests.wait import wait_until

pytestmark = pytest.mark.timeout(300)
SLOW_MACHINE = 3
ONE_BYTE_ANSWERS = {"escpos"}
OK = frozenset({"ok"})
UNREADABLE = frozenset({"none", "bad"})


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with Fleet(tmp_path_factory.mktemp("fleet")) as made:
        wait_until(lambda: made.all_said(lambda _place: OK) == {}, 60)
        yield made
    assert workers_alive() == 0


def slow(place: Place) -> frozenset[str]:
    return OK if place.family in ONE_BYTE_ANSWERS else UNREADABLE


def echo(place: Place) -> frozenset[str]:
    return frozenset({"bad"}) if place.family == "escpos" else OK


# What is expected, and within how many seconds each way, `SLOW_MACHINE` times as much here; `test_wire` counts them.
# A question that goes unanswered costs up to 0.6 s and then two seconds of quiet; a port is looked for once a second.
# What a slow line still holds when it gets well, up to 154 bytes, comes at its old pace.
FAULTS = {
    "slow": ({"line": "slow"}, slow, 10, 25),
    "garbled": ({"line": "garbled"}, lambda _place: UNREADABLE, 5, 10),
    "echo": ({"line": "echo"}, echo, 5, 10),
    "late": ({"line": "late"}, lambda _place: frozenset({"none"}), 8, 10),
    "mute": ({"line": "mute"}, lambda _place: frozenset({"none"}), 5, 8),
    "cable": ({"cable": "out"}, lambda _place: frozenset({"lost"}), 3, 5),
    "power": ({"power": "off"}, lambda _place: frozenset({"none"}), 5, 8),
}
BACK = {"line": "clean", "cable": "in", "power": "on"}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_family_says_what_is_wrong_and_recovers(fleet: Fleet, fault: str):
    broken, expected, within_s, back_within_s = FAULTS[fault]

    def wanted(place: Place) -> frozenset[str]:
        # The kernel answers for an input device, whatever happens to the events; only its node can vanish.
        return expected(place) if place.is_serial or fault == "cable" else OK

    fleet.set(**broken)
    try:
        wait_until(lambda: not fleet.all_said(wanted), SLOW_MACHINE * within_s)
    except AssertionError:
        pytest.fail(f"after {SLOW_MACHINE * within_s} s of {fault}: {fleet.all_said(wanted)}")
    for place in fleet.places:
        said = place.said[-1]
        if word_of(said) != "ok":
            readings = {name: reading for name, reading in said.items() if name not in {"port", "reply"}}
            assert readings.keys() == catalog.family(place.family).driver.READINGS.keys()
            assert all(reading.value is None for reading in readings.values()), "unknown, and never a default value"

    fleet.set(**{name: BACK[name] for name in broken})
    try:
        wait_until(lambda: not fleet.all_said(lambda _place: OK), SLOW_MACHINE * back_within_s)
    except AssertionError:
        pytest.fail(f"{SLOW_MACHINE * back_within_s} s after {fault}: {fleet.all_said(lambda _place: OK)}")
    assert {p.family: p.lies for p in fleet.places if p.lies} == {}


ROUNDS = max(len(list(states(family.word))) for family in catalog.families())


@pytest.mark.parametrize("number", range(ROUNDS))
def test_each_state_is_told_and_its_end(fleet: Fleet, number: int):
    """The number-th state of every family at once."""
    changed = []
    for place in fleet.places:
        others = list(states(place.family))
        if number < len(others):
            changed.append((place, others[number]))
    for place, state in changed:
        place.judged = False  # a modem's data session is asked for every 5 s, so the old word stands a while
        place.set(**state)
    _wait_until_told(fleet)
    for place, state in changed:
        place.set(**{name: DEVICES[place.family].keys[name].default for name in state})
    _wait_until_told(fleet)
    for place, _ in changed:
        place.judged = True
    wait_until(lambda: not fleet.all_said(lambda _place: OK), 15)


def _wait_until_told(fleet: Fleet) -> None:
    def mistaken() -> dict[str, object]:
        return {
            place.family: place.said[-1]
            for place in fleet.places
            if not is_told(place.family, place.known(), place.state())
        }

    try:
        wait_until(lambda: not mistaken(), 45)
    except AssertionError:
        pytest.fail(f"not told after 45 s: {mistaken()}")


def test_a_noisy_line_tells_no_state_that_is_not_so(fleet: Fleet):
    """Healthy, then with the last of its states. Few polls, since workers let a bad line rest; `test_wire` has many."""
    try:
        for state in ({}, None):
            fleet.stop()
            for place in fleet.places:
                place.set(**(_last_state(place) if state is None else state))
            fleet.set(line="noisy")
            fleet.start()
            wait_until(lambda: all(len(place.said) >= 3 for place in fleet.places if place.is_serial), 75)
            assert {p.family: p.lies for p in fleet.places if p.lies} == {}
    finally:
        fleet.stop()
        for place in fleet.places:
            place.set(**{name: DEVICES[place.family].keys[name].default for name in _last_state(place)})
        fleet.set(line="clean")
        fleet.start()
    wait_until(lambda: not fleet.all_said(lambda _place: OK), 30)


def _last_state(place: Place) -> dict[str, str]:
    """Not the tampering of a PIN pad: what noise eats of its log is told by nobody (`test_wire` has that)."""
    return [state for state in states(place.family) if "tamper" not in state or place.family != "smartpin"][-1]


def test_a_port_that_the_payment_application_holds_is_busy_and_is_ours_afterwards(fleet: Fleet):
    fleet.stop()
    fleet.set(owner="payment_app")
    try:
        for place in fleet.places:
            if place.is_serial:
                with pytest.raises(PortBusy, match="payment_app"):
                    catalog.open_driver(place.family, str(place.terminal.path(place.unit)))
        fleet.start()

        def busy(place: Place) -> frozenset[str]:
            # An input device is shared: the kernel gives every reader its own copy of each event.
            return frozenset({"busy"}) if place.is_serial else OK

        wait_until(lambda: not fleet.all_said(busy))
        for place in fleet.places:
            if place.is_serial:
                assert place.worker is not None
                assert "payment_app" in place.worker.detail
    finally:
        fleet.set(owner="none")
    wait_until(lambda: not fleet.all_said(lambda _place: OK))
