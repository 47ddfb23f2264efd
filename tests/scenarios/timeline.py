"""What a scenario makes of the simulated terminal from second to second, and the configuration of its agent."""

from __future__ import annotations

import tempfile
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from agent.config import Config
from agent.config_file import load_trusted
from simulator import configuration, scenario
from simulator.devices import DEVICES
from simulator.station import _PLACE_KEYS, checked
from simulator.world import KEYS, consequences
from tests.scenarios.ladder import World
from tests.scenarios.wires import Change

WALL_S = 1_795_000_000.0  # a day in November 2026


@lru_cache
def config_for(families: tuple[tuple[str, str], ...]) -> Config:
    """The configuration that the simulator writes for such a terminal."""

    class Described:
        terminal_id, mqtt = "sim-0", "mqtt://127.0.0.1:1883"

        def __init__(self) -> None:
            self.families = dict(families)
            self.config: Mapping[str, Mapping[str, str]] = {}

        def baud(self, unit: str) -> int:
            return DEVICES[self.families[unit]].baud

        def feed(self, unit: str) -> str:
            return "mains" if unit == "printer" else "battery"  # of a terminal that has one

        def describe(self) -> Mapping[str, str]:
            ports = {
                name: f"127.0.0.1:{n}"
                for n, name in enumerate(("gateway", "dns", "acquirer", "portal_check", "ntp"), 1)
            }
            places = {
                name: f"/nonexistent/{name}" for name in ("run", "state", "sys", "proc", "acquirer_ca", *self.families)
            }
            return {"estate": "demo", **ports, **places}

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "agent.toml"
        file.write_text(configuration.text(Described()))  # type: ignore[arg-type]
        return load_trusted(file)


class Timeline:
    """The world from step to step. `worlds` is [(second, every key)]; raises what an illegal key would."""

    def __init__(self, steps: Sequence[scenario.Step], families: Mapping[str, str]) -> None:
        self.kinds = {unit: DEVICES[family] for unit, family in families.items()}
        keys = dict(KEYS)
        for unit, kind in self.kinds.items():
            keys |= {f"{unit}.{name}": key for name, key in {**kind.keys, **_PLACE_KEYS}.items()}
        world = {name: key.default for name, key in keys.items()}
        self.worlds: list[tuple[float, World]] = [(-1.0, dict(world))]
        self.boots: list[float] = []
        self.agendas: dict[str, list[Change]] = {unit: [] for unit in families}
        for step in steps:
            values = {name: checked(keys, name, value) for name, value in step.set.items()}
            if not values:
                continue
            world |= values
            self.worlds.append((step.at_s, dict(world)))
            if "system.boot" in values:
                self.boots.append(step.at_s)
            powered = consequences(world, tuple(families)).powered
            for unit, agenda in self.agendas.items():
                mine = [
                    (name.partition(".")[2], value) for name, value in values.items() if name.startswith(f"{unit}.")
                ]
                agenda.append(Change(step.at_s, mine, unit in powered))
        self._since = [since for since, _world in self.worlds]
        self._sells = any(world["system.sale"] == "yes" for _since, world in self.worlds)

    def at(self, at_s: float) -> World:
        """The world at that second."""
        return self.worlds[bisect_right(self._since, at_s) - 1][1]

    def world_time(self, at_s: float) -> float:
        """What a clock outside the terminal shows."""
        return WALL_S + at_s - float(self.at(at_s)["system.clock_offset_s"])

    def sale(self, at_s: float) -> bool:
        """Whether the payment application holds its lock."""
        return self._sells and self.at(at_s)["system.sale"] == "yes"
