from __future__ import annotations

from collections.abc import Mapping

from agent.probes.runner import ProbeRunner
from drivers.reading import Reading, known
from tests.wait import wait_until


class Asked:
    """A probe that is asked to run again while it runs for the first time."""

    name, interval_s = "firmware", 600.0

    def __init__(self) -> None:
        self.runs = 0
        self.runner: ProbeRunner

    def run(self) -> Mapping[str, Reading]:
        self.runs += 1
        if self.runs == 1:
            self.runner.again(self.name)
        return {"runs": known(self.runs)}


def test_what_comes_while_a_probe_runs_is_looked_at_by_another_run() -> None:
    probe = Asked()
    probe.runner = ProbeRunner("host", [probe], lambda _name, _readings: None)
    probe.runner.start()
    try:
        wait_until(lambda: probe.runs == 2)
    finally:
        probe.runner.stop()
        probe.runner.join(20)
    assert probe.runs == 2, "and then it rests"
