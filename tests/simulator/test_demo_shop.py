"""The demo's shop, terminal by terminal, without the rest of the demo."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agent.causes import Topology, explain
from agent.config_file import check
from agent.model import Fault
from agent.vocabulary import VOCABULARY
from simulator.control import running_in
from simulator.demo import LANGUAGES
from simulator.demo_shop import TILLS, Till, of_agent
from simulator.demo_whole import TOUR
from simulator.terminal import Terminal
from simulator.world import consequences


def fault(key: str) -> Fault:
    return Fault(key=key, state="raised", severity=VOCABULARY[key].severity, device="", first_at=0.0, last_at=0.0)


@pytest.mark.parametrize("till", TILLS, ids=lambda till: till.name)
def test_a_power_cut_is_the_one_root_of_what_it_silences(tmp_path: Path, till: Till) -> None:
    with till.terminal(
        tmp_path, mqtt="mqtt://127.0.0.1:1883", config=of_agent("en", str(tmp_path / "keys.json"))
    ) as terminal:
        config = check(tmp_path / "agent.toml")
        terminal.set({"power.mains": "off"})
        values = {name: str(value) for name, value in terminal.get().items()}
        assert values["printer.serial"] == f"SIMP0000{till.number:02}"
        now = consequences(values, tuple(terminal.families))
    silent = sorted(terminal.families.keys() - now.powered)
    assert silent == (["printer"] if till.number == 4 else sorted(terminal.families))
    faults = [
        "power/mains_lost",
        *(f"{unit}/no_reply" for unit in silent),
        *([] if now.link else ["network/link_down"]),
    ]
    powered_by = {device.name: device.powered_by for device in config.device}
    explained = explain(map(fault, faults), Topology(powered_by=powered_by, bearer=config.network.bearer))
    assert [key for key, each in explained.items() if each.cause is None] == ["power/mains_lost"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_first_terminal_takes_what_the_tour_names_to_break(tmp_path: Path, language: str) -> None:
    named = re.findall(r"\w+\.\w+=\w+", TOUR[language])
    assert {"modem.sim=absent", "reader.card=jammed", "power.mains=off"} < set(named)
    with TILLS[0].terminal(tmp_path, mqtt="mqtt://127.0.0.1:1883", config={}) as terminal:
        terminal.set(dict(pair.split("=") for pair in named))


def test_a_folder_where_a_simulator_runs_is_found(tmp_path: Path) -> None:
    assert running_in(tmp_path) == []
    with Terminal(tmp_path / "terminal-1"):
        assert running_in(tmp_path) == running_in(tmp_path / "terminal-1") == [tmp_path / "terminal-1"]
        with Terminal(tmp_path):
            assert running_in(tmp_path) == [tmp_path, tmp_path / "terminal-1"]
    assert running_in(tmp_path) == []
