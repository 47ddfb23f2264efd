"""A disk that is full or read-only: the daemon lives on, says so, and gives the disk what waited once it takes data."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import pytest

from tests.mqtt.broker import Observer, Rumqttd
from tests.system.stage import Agent, Sim, raised
from tests.wait import wait_until


@pytest.fixture
def sim(broker: Rumqttd, folder: Path) -> Iterator[Sim]:
    with Sim(folder, broker.port) as running:
        yield running


class Disk:
    """A small file system of the agent's own as its state directory, in a mount namespace that ends with it."""

    def __init__(self, folder: Path, options: str) -> None:
        self.folder = folder
        self._user = ("--user", "--map-root-user") if os.geteuid() else ()
        script = f'mount -t tmpfs -o {options} tmpfs "$0" && exec "$@"'
        self.before = ("unshare", *self._user, "--mount", "sh", "-c", script, str(folder))

    def seen_by(self, agent: Agent) -> Path:
        return Path(f"/proc/{agent.pid}/root{self.folder}")

    def remount(self, agent: Agent, options: str) -> None:
        user = ("--user", "--preserve-credentials") if self._user else ()
        inside = ("nsenter", "--target", str(agent.pid), "--mount", *user)
        subprocess.run([*inside, "mount", "-o", f"remount,{options}", str(self.folder)], check=True)

    def fill(self, agent: Agent) -> Path:
        """Use up the last byte."""
        filler = self.seen_by(agent) / "filler"
        with filler.open("ab", buffering=0) as file:
            for size in (1 << 16, 4096, 512, 1):
                try:
                    while file.write(bytes(size)):
                        pass
                except OSError:
                    continue
        return filler


def _problem(status: dict, words: str) -> bool:
    return any(words in line for line in status["problems"])


def _numbers(observer: Observer, agent: Agent) -> list[int]:
    return [h.body["seq"] for h in list(observer.heard) if h.topic == f"{agent.base}/event"]


def _health(observer: Observer, agent: Agent) -> list[dict]:
    return [h.body for h in list(observer.heard) if h.topic == f"{agent.base}/health"]


def _config(sim: Sim) -> Path:
    """Looks at the disk often, and says often how it is."""
    return sim.write_config(
        add="[telemetry]\nhealth_s = 2\n", change=lambda text: text.replace("poll_s = 5", "poll_s = 1")
    )


def test_a_full_disk(sim: Sim, observer: Observer) -> None:
    disk = Disk(sim.folder / "state", "size=128m")
    with Agent(_config(sim), before=disk.before) as agent:
        agent.until_healthy()
        filler = disk.fill(agent)
        # Faults go on, from memory.
        for paper, wanted in (("out", {"printer/paper_out"}), ("ok", set()), ("near_end", {"printer/paper_near_end"})):
            sim.set(printer_paper=paper)
            agent.until(lambda status, wanted=wanted: set(raised(status)) - {"system/disk_full"} == wanted)
        agent.until(lambda status: _problem(status, "takes no data: the disk is full") and status["connected"])
        agent.until(lambda status: "system/disk_full" in raised(status))

        def told() -> list:
            disk.fill(agent)  # its log goes into the file when that is opened anew, and leaves a little room
            if not agent.status()["problems"]:
                sim.apply(next(changes))
            return [h for h in _health(observer, agent) if "the disk is full" in str(h.get("problems"))]

        # Of several devices: a fault that comes and goes too often would be flapping for two minutes.
        broken = {"printer.paper": "near_end", "reader.card": "jammed", "keypad.keys": "missing"}
        whole = {"printer.paper": "ok", "reader.card": "absent", "keypad.keys": "loaded"}
        changes = cycle({name: states[name]} for states in (whole, broken) for name in states)
        wait_until(told, 60, every_s=1)
        filler.unlink()
        sim.apply(whole)
        agent.until(lambda status: not status["faults"] and not status["problems"], 60)
        wait_until(
            lambda: (n := sorted(set(_numbers(observer, agent)))) and n == list(range(1, n[-1] + 1)) and len(n) >= 8
        )
    with Agent(_config(sim)) as again:  # on another, empty disk: nothing to go on from, and nothing to fall over
        again.until_healthy()


def test_a_read_only_disk(sim: Sim, observer: Observer) -> None:
    disk = Disk(sim.folder / "state", "size=128m,ro")
    with Agent(_config(sim), before=disk.before) as agent:
        status = agent.until(lambda status: _problem(status, "takes no data") and status["connected"])
        assert _problem(status, "read-only") or _problem(status, "Read-only")
        agent.until(lambda status: "system/disk_readonly" in raised(status))
        sim.set(printer_paper="out")
        agent.until(lambda status: "printer/paper_out" in raised(status))
        wait_until(lambda: {"agent.started", "fault.raised"} <= {b["event"] for b in observer.of("event")})
        disk.remount(agent, "rw")
        agent.until(lambda status: set(raised(status)) == {"printer/paper_out"} and not status["problems"], 30)
        agent.kill()
    assert "Traceback" not in agent.said()


def test_a_state_directory_that_cannot_be_made(sim: Sim) -> None:
    (sim.folder / "file").write_text("in the way")
    config = sim.write_config(change=lambda text: text.replace(f'"{sim.folder}/state"', f'"{sim.folder}/file/state"'))
    with Agent(config) as agent:
        agent.until(lambda status: status["connected"] and _problem(status, "takes no data"))
        sim.set(printer_paper="out")
        agent.until(lambda status: "printer/paper_out" in raised(status))
