"""Which boot this is and why the last one ended, over chains of starts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.config import PathsConfig
from agent.probes.boots import BootsProbe
from drivers.reading import Reading, known, unknown


class Machine:
    """A terminal that boots, runs for a while and ends; what is remembered goes through JSON, as in the store."""

    def __init__(self, root: Path) -> None:
        self.root, self.store, self.now = root, "", 0.0
        self.probe: BootsProbe | None = None

    def boot(self, boot_id: str, panic: str = "") -> dict[str, object]:
        path = self.root / "proc/sys/kernel/random/boot_id"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{boot_id}\n")
        if panic:
            record = self.root / "sys/fs/pstore/dmesg-ramoops-0"
            record.parent.mkdir(parents=True, exist_ok=True)
            record.write_text(panic)
        return self.start()

    def start(self) -> dict[str, object]:
        paths = PathsConfig(sys=str(self.root / "sys"), proc=str(self.root / "proc"))
        self.probe = BootsProbe(paths, json.loads(self.store) if self.store else None, lambda: self.now)
        return self.look()

    def look(self) -> dict[str, object]:
        assert self.probe is not None
        found = self.probe.run()
        self.store = json.dumps(self.probe.remember())
        return {name: r.value if r.value is not None else f"?{r.unknown}" for name, r in found.items()}

    def run_for(self, seconds: float, **power: Reading) -> dict[str, object]:
        assert self.probe is not None
        if power:
            self.probe.sample_power(power["mains"], power["percent"], power.get("supply", unknown("unsupported")))
        self.now += seconds
        return self.look()

    def stop(self) -> None:
        assert self.probe is not None
        self.store = json.dumps(self.probe.remember(clean=True))


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def test_the_first_start_judges_nothing(machine):
    assert machine.boot("a") == {
        "boot": 1,
        "boot_reason": "?not_asked",
        "unclean_recently": "no",
        "unclean_boots": 0,
    }


def test_a_clean_stop(machine):
    machine.boot("a")
    machine.stop()
    found = machine.boot("b")
    assert (found["boot"], found["boot_reason"], found["unclean_recently"]) == (2, "clean", "no")


@pytest.mark.parametrize(
    ("power", "reason"),
    [
        ({"mains": known("off"), "percent": known(4.0)}, "power_loss"),
        ({"mains": known("off"), "percent": unknown("unsupported")}, "power_loss"),
        ({"mains": known("off"), "percent": known(80.0)}, "unknown"),
        ({"mains": known("on"), "percent": known(4.0)}, "unknown"),
        ({"mains": known("on"), "percent": known(80.0), "supply": known("low")}, "power_loss"),
        ({"mains": unknown("unsupported"), "percent": unknown("unsupported")}, "unknown"),
    ],
)
def test_an_end_without_a_word(machine, power, reason):
    machine.boot("a")
    machine.run_for(5000, **power)
    found = machine.boot("b")
    assert (found["boot_reason"], found["unclean_recently"]) == (reason, "yes")
    assert machine.probe.boot.new
    assert machine.run_for(3500)["unclean_recently"] == "yes"
    assert machine.run_for(200)["unclean_recently"] == "no"


def test_a_reading_that_is_unknown_now_is_not_the_one_before(machine):
    machine.boot("a")
    machine.run_for(100, mains=known("off"), percent=known(4.0))
    machine.run_for(100, mains=unknown("failed"), percent=unknown("failed"))
    assert machine.boot("b")["boot_reason"] == "unknown"


def test_a_new_panic_record_is_a_crash_and_an_old_one_is_not(machine):
    machine.boot("a")
    assert machine.boot("b", panic="Panic#1 Part1\n oops")["boot_reason"] == "crash"
    assert machine.boot("c")["boot_reason"] == "unknown"
    assert machine.boot("d", panic="Panic#1 Part1\n another oops")["boot_reason"] == "crash"


def test_a_restarted_agent_is_no_boot(machine):
    machine.boot("a")
    machine.run_for(100)
    found = machine.start()  # killed and started again
    assert (found["boot"], found["boot_reason"]) == (1, "?not_asked")
    assert not machine.probe.boot.new
    machine.stop()
    machine.start()
    assert machine.boot("b")["boot_reason"] == "unknown"  # the clean mark was of an agent that started again


def test_a_restarted_agent_still_says_what_the_boot_was(machine):
    machine.boot("a")
    machine.run_for(5000, mains=known("off"), percent=known(2.0))
    machine.boot("b")
    machine.run_for(3000)
    assert machine.start()["unclean_recently"] == "yes"
    assert machine.run_for(700)["unclean_recently"] == "no"  # the hour is the boot's, not the agent's


def test_three_unclean_ends_in_half_an_hour_are_a_loop(machine):
    machine.boot("a")
    counts = []
    for boot_id in "bcde":
        machine.run_for(400)
        counts.append(machine.boot(boot_id)["unclean_boots"])
    assert counts == [1, 2, 3, 4]
    assert machine.run_for(1700)["unclean_boots"] == 4
    assert machine.run_for(200)["unclean_boots"] == 0


def test_long_sessions_and_clean_stops_are_no_loop(machine):
    machine.boot("a")
    for boot_id in "bcd":
        machine.run_for(1700)
        assert machine.boot(boot_id)["unclean_boots"] == 1
    machine.stop()
    assert machine.boot("e")["unclean_boots"] == 0


def test_the_date_plays_no_part(machine):
    machine.boot("a")
    machine.stop()
    machine.now = -1e9
    assert machine.boot("b")["boot"] == 2


def test_a_kernel_without_boot_id_shows_no_further_boots(machine):
    machine.boot("")
    machine.run_for(10)
    assert machine.boot("")["boot"] == 1


def test_what_is_remembered_stays_small(machine):
    machine.boot("a")
    for number in range(40):
        machine.run_for(1)
        machine.boot(f"boot-{number}")
    assert machine.look()["boot"] == 41
    assert len(machine.store) < 1000
