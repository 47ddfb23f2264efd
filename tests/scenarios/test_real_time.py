"""Some scenarios as a user plays them: `posdiag sim play` on a running terminal and daemon, heard by a subscriber."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from simulator.scenario import read
from tests.mqtt.broker import Observer, Rumqttd
from tests.system.stage import POSDIAG, Agent, Sim
from tests.wait import wait_until

FOLDER = Path(__file__).parent
TOGETHER = (
    ("no_data", "battery_empty", "acquirer_unreachable", "cutter_and_keys"),
    ("pin_pad_torn_off", "reader_cable_out", "key_stuck", "printer_line_mute"),
    ("roll_change", "mains_lost", "sim_swapped", "card_left"),
)
"""Each row is played at once, on a terminal each."""


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rumqttd]:
    process = Rumqttd(tmp_path_factory.mktemp("broker"))
    process.start()
    yield process
    process.kill()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("names", TOGETHER, ids="+".join)
def test_the_same_files_hold_in_real_time(names, broker, tmp_path_factory):
    with ExitStack() as stack:
        observer = stack.enter_context(Observer(broker.port))
        stage = {}
        for name in names:
            families = [f"{unit}={family}" for unit, family in read(file(name)).families.items()]
            words = [word for each in families for word in ("--family", each)]
            sim = stack.enter_context(Sim(tmp_path_factory.mktemp("pos"), broker.port, *words))
            stage[name] = sim, stack.enter_context(Agent(sim.config))
        for _sim, agent in stage.values():
            agent.until_healthy(90)
        plays = {name: stack.enter_context(_play(sim.folder, name)) for name, (sim, _agent) in stage.items()}
        for name, process in plays.items():
            out, errors = process.communicate(timeout=200)
            steps = [json.loads(line) for line in out.splitlines()]
            assert process.returncode == 0, (name, [step for step in steps if step.get("missed")], errors)
            assert steps[-1]["held"] == steps[-1]["expected"] > 0
        for name, (_sim, agent) in stage.items():
            scenario = read(file(name))
            roots = {key for step in scenario.steps for key in step.expect.get("roots", ())}
            wait_until(lambda agent=agent, roots=roots: _raised(observer, agent) >= roots)
            assert _raised(observer, agent) <= scenario.named, name


def file(name: str) -> Path:
    return FOLDER / f"{name}.toml"


def _play(folder: Path, name: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*POSDIAG, "sim", "play", str(folder), str(file(name)), "--json"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _raised(observer: Observer, agent: Agent) -> set[str]:
    """Every fault that the terminal told of since its start."""
    events = [heard.body for heard in list(observer.heard) if heard.topic == f"{agent.base}/event"]
    return {event["data"]["fault"] for event in events if "fault" in event["data"]}
