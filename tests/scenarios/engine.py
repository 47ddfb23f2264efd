"""Plays a scenario by the agent's own rules, causes and verdict on a clock moved by hand: minutes in milliseconds.

The scenario's steps make a world; each device is a simulated one behind its real driver (`tests.scenarios.wires`), each
probe the real one on the simulator's trees or a model (`tests.scenarios.ladder`). What they read, in time, goes to the
agent's `Core`, whose status is judged by the same code that judges a real agent's status.json.
"""

from __future__ import annotations

import heapq
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from agent.clock import ManualClock
from agent.conditions import conditions
from agent.config import TelemetryConfig
from agent.core import Core
from agent.faults import from_text
from agent.guard import Guard
from agent.inventory import DeviceInfo
from agent.probes.boots import BootsProbe
from agent.probes.firmware import FirmwareProbe
from agent.probes.power import PowerProbe
from agent.probes.reads import ReadCounters
from agent.probes.system import SystemProbe
from agent.rules import Rules
from agent.telemetry import Telemetry
from drivers import catalog
from drivers.reading import Identity, Reading, known, unknown
from simulator import scenario, sysfs
from simulator.terminal import DEFAULT_FAMILIES
from simulator.world import consequences
from tests.scenarios.ladder import Clocks, Ladder, walks
from tests.scenarios.timeline import WALL_S, Timeline, config_for
from tests.scenarios.wires import Place, Seen, Worker

_OF_SYSTEM = frozenset({"temperature_c", "payment_app", "screen"})  # the rest is of the machine that runs the test


@dataclass(slots=True)
class Record:
    """What the agent sent. `events` is (second, word, data)."""

    clock: ManualClock
    began: float
    events: list[tuple[float, str, Mapping[str, Any]]] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)

    def put_all(self, messages: Any, *, faults: Mapping[str, str | None] | None = None, wake: bool = True) -> list[int]:
        for name, body, _suffix in messages:
            if name == "event":
                self.events.append((self.clock.monotonic() - self.began, body["event"], body["data"]))
        for key, text in (faults or {}).items():
            if text is None:
                self.kept.pop(key, None)
            else:
                self.kept[key] = text
        return []

    def publish_retained(self, suffix: str, payload: bytes, kind: str) -> None:
        pass

    def refresh_state(self) -> None:
        pass

    def resend(self) -> None:
        pass


@dataclass(frozen=True, slots=True)
class Played:
    """What came of a scenario. `missed` is empty when everything held.

    `history` is [(second, every raised fault and its cause)], one row for each change.
    """

    missed: tuple[str, ...]
    history: Sequence[tuple[float, Mapping[str, str | None]]]
    events: Sequence[tuple[float, str, Mapping[str, Any]]]

    @property
    def raised(self) -> set[str]:
        """Every fault that was raised at some time."""
        return {key for _at_s, faults in self.history for key in faults}

    @property
    def rooted(self) -> set[str]:
        """Every fault that was a root at some time."""
        return {key for _at_s, faults in self.history for key, cause in faults.items() if cause is None}


class _Core(Core):
    """The agent's, without a file that would cost more than all the rest. `news`: faults or verdict may be others."""

    news = True

    def write_status(self) -> None:
        self._status_at = self._clock.monotonic()
        self.news = True


Row = tuple[float, int, str, Mapping[str, Reading], Identity | None]


class Engine:
    """One terminal and its agent. `seed` chooses the noise and the phases of all polls; `late_s` delays sources."""

    def __init__(self, play: scenario.Scenario, seed: int = 0, late_s: Mapping[str, float] | None = None) -> None:
        self._steps = play.steps
        self._families = {**DEFAULT_FAMILIES, **play.families}
        self._config = config_for(tuple(sorted(self._families.items())))
        self._line = Timeline(play.steps, self._families)
        self._seed = seed
        self._late_s = late_s or {}
        self._end_s = max(step.at_s + (step.within_s if step.expect else 1.0) for step in play.steps) + 0.5
        self._clock = ManualClock(wall=WALL_S)
        self._began = self._clock.monotonic()
        self._record = Record(self._clock, self._began)
        self._baselines: dict[str, str] = {}
        self._counters = ReadCounters()
        self._guard = Guard("sim-0", "", lambda _event, _data: None, self._clock.wall)
        self._new_core()

    def play(self) -> Played:
        """Play it to its end."""
        history: list[tuple[float, Mapping[str, str | None]]] = []
        missed: list[str] = []
        watch = scenario.Agent(lambda: self.status, "the agent")
        steps = [step for step in self._steps if step.expect]
        for at_s in self._moments(steps):
            if self.core.news:
                watch.look()
                stand = {key: fault["cause"] for key, fault in watch.raised.items()}
                if not history or history[-1][1] != stand:
                    history.append((at_s, stand))
            while steps and steps[0].at_s <= at_s:
                step = steps[0]
                over = at_s >= step.at_s + step.within_s
                if not (self.core.news or over or at_s == step.at_s):
                    break
                wrong = tuple(watch.missed(step.expect))
                if wrong and not over:
                    break
                del steps[0]
                missed += [f"at {step.at_s:g} s: {each}" for each in wrong]
            self.core.news = False
        return Played(tuple(missed), history, self._record.events)

    def _moments(self, steps: Sequence[scenario.Step]) -> Iterator[float]:
        """Let everything happen in time; yields each second after which the status may be another."""
        rows = self._rows()
        looks = [at for step in steps for at in (step.at_s, step.at_s + step.within_s)]
        heapq.heapify(looks)
        reboots = list(self._line.boots)
        pending = next(rows, None)
        while True:
            coming = [self._end_s, self._tick_at, *reboots[:1], *looks[:1]]
            if pending is not None:
                coming.append(pending[0])
            at_s = min(coming)
            self._clock.advance(self._began + at_s - self._clock.monotonic())
            if reboots and reboots[0] == at_s:
                reboots.pop(0)
                self._new_core(2)  # down and up at once: a new agent over what the old one had kept
            if self._tick_at <= at_s:
                self._tick_at = at_s + self.core.tick()
            while looks and looks[0] <= at_s:
                heapq.heappop(looks)
            if pending is not None and pending[0] <= at_s:
                self._take(pending)
                pending = next(rows, None)
            yield at_s
            if at_s >= self._end_s:
                return

    # --- the agent

    @property
    def status(self) -> Mapping[str, Any]:
        """What status.json would say of faults and verdict."""
        faults = [
            {"fault": f.key, "state": f.state, "cause": f.cause, "basis": f.basis} for f in self.core.faults().values()
        ]
        answer = self.core.wire_verdict()
        return {"verdict": {"can_sell": answer.can_sell, "cause": answer.cause, "act": answer.act}, "faults": faults}

    def _new_core(self, boot: int = 1) -> None:
        units = {device.name: catalog.family(device.family).unit for device in self._config.device}
        rules = Rules(conditions(self._config, units), self._baselines)
        devices = [DeviceInfo(d.name, units[d.name], d.family, d.port, d.share, {}) for d in self._config.device]
        self.core = _Core(
            self._config,
            self._clock,
            rules,
            Telemetry(TelemetryConfig(batch_s=60, heartbeat_s=900, health_s=3600)),
            self._record,
            self._record,
            boot=boot,
            devices=devices,
        )
        self._firmware = FirmwareProbe(self.core.device_entries)
        self.core.restore({key: from_text(text) for key, text in self._record.kept.items()})
        self._tick_at = self._clock.monotonic() - self._began + self.core.tick()

    def _take(self, row: Row) -> None:
        _at_s, _order, source, readings, identity = row
        if identity is not None:
            self.core.identified(source, identity)
            self.core.observe("firmware", self._firmware.run())
            self._guard.identified(source, self._families[source], identity)
            self.core.observe("security", self._guard.parts(dict.fromkeys(self._families, "")))
        elif readings:
            self.core.observe(source, readings)

    # --- the readings

    def _rows(self) -> Iterator[Row]:
        """Everything that is read, in time. A source is delayed as a whole, so that its own order stays."""
        devices = {device.name: self._device(device) for device in self._config.device}
        told = [
            (seen.at_s, seen.at_s + WALL_S - _epoch(str(clock.value)))
            for seen in devices["modem"]
            if (clock := seen.readings.get("clock_utc")) is not None and clock.value is not None
        ]
        streams: dict[str, Iterator[tuple[float, Mapping[str, Reading], Identity | None]]] = {
            name: iter([(s.at_s, s.readings, s.identity) for s in seen]) for name, seen in devices.items()
        }
        streams["network"] = ((at_s, readings, None) for at_s, readings in self._network())
        with tempfile.TemporaryDirectory() as folder:
            streams |= {
                name: iter([(a, r, None) for a, r in rows]) for name, rows in self._host(Path(folder), told).items()
            }
        streams["reads"] = ((at_s, readings, None) for at_s, readings in self._reads())

        def timed(order: int, name: str) -> Iterator[Row]:
            late_s = self._late_s.get(name, 0.0)
            source = "reader" if name == "reads" else name
            for at_s, readings, identity in streams[name]:
                yield at_s + late_s, order, source, readings, identity

        return heapq.merge(*(timed(n, name) for n, name in enumerate(streams)), key=lambda row: row[:2])

    def _device(self, device: Any) -> list[Seen]:
        place = Place(device.family, self._seed, self._line.agendas[device.name], self._line.world_time)
        return list(Worker(device, place, self._seed, self._line.sale).run(self._end_s))

    def _network(self) -> Iterator[tuple[float, dict[str, Reading]]]:
        ladder = Ladder(tuple(self._families), self._config.network.poll_s, self._seed)
        yield 0.0, {"broker": known("ok")}
        yield from walks(ladder, self._line.worlds, self._end_s)

    def _host(
        self, folder: Path, told: Sequence[tuple[float, float]]
    ) -> dict[str, list[tuple[float, dict[str, Reading]]]]:
        """Power, system and boots: the real probes on the trees that the simulator writes for each world."""
        paths = self._config.paths.__class__(
            run_dir=str(folder), state_dir=str(folder), sys=f"{folder}/sys", proc=f"{folder}/proc"
        )
        pid = folder / "payment_app.pid"
        system_config = self._config.system.__class__(payment_app=f"pidfile:{pid}", poll_s=self._config.system.poll_s)
        power = PowerProbe(self._config.power, paths)
        system = SystemProbe(system_config, self._config.network.__class__(), paths)
        clocks = Clocks(told)
        out: dict[str, list[tuple[float, dict[str, Reading]]]] = {"power": [], "system": [], "boots": []}
        sys_tree: sysfs.Tree = {}
        proc_tree: sysfs.Tree = {}
        boots: BootsProbe | None = None
        boot, now = 0, [0.0]
        seen: list[str] = []
        for n, (since, world) in enumerate(self._line.worlds):
            until = self._line.worlds[n + 1][0] if n + 1 < len(self._line.worlds) else self._end_s
            so = consequences(world, tuple(self._families))
            rebooted = since in self._line.boots
            boot += rebooted
            mine = [value for name, value in world.items() if name.startswith(("power.", "network.", "system."))]
            if rebooted or mine != seen:
                seen = mine
                new_sys = sysfs.sys_tree(world, so, sys_tree)
                new_proc = sysfs.proc_tree(world, so, f"boot-{boot}")
                sysfs.write_tree(folder / "sys", new_sys, sys_tree)
                sysfs.write_tree(folder / "proc", new_proc, proc_tree)
                sys_tree, proc_tree = new_sys, new_proc
                if world["system.payment_app"] == "up":
                    pid.write_text(f"{os.getpid()}\n")
                else:
                    pid.unlink(missing_ok=True)
                power_now, system_now = power.run(), {name: r for name, r in system.run().items() if name in _OF_SYSTEM}
            if boots is None or rebooted:
                now[0] = since
                kept = boots.remember(clean=world["system.boot"] == "clean") if boots is not None else None
                boots = BootsProbe(paths, kept, clock=lambda: now[0])
            for at_s in _every(self._config.power.poll_s, since, until):
                out["power"].append((at_s, power_now))
            for at_s in _every(self._config.system.poll_s, since, until):
                out["system"].append((at_s, system_now | clocks.run(world, tuple(self._families), at_s)))
            for at_s in sorted({*_every(boots.interval_s, since, until), *([since + 0.2] if rebooted else [])}):
                now[0] = at_s
                out["boots"].append((at_s, boots.run()))
            now[0] = until
            boots.sample_power(
                power_now["mains"], power_now.get("battery_percent", unknown("not_asked")), power_now["supply"]
            )
        return out

    def _reads(self) -> Iterator[tuple[float, dict[str, Reading]]]:
        """What the payment application tells of reads, every 5 s once somebody set it."""
        matters = False
        for n, (since, world) in enumerate(self._line.worlds):
            reads = world.get("reader.reads", "0/0")
            matters = matters or reads != "0/0"
            if not matters or world["system.payment_app"] != "up":
                continue
            until = self._line.worlds[n + 1][0] if n + 1 < len(self._line.worlds) else self._end_s
            good, _, failed = reads.partition("/")
            at_s = since
            while at_s < until:
                yield at_s, self._counters.report(int(good), int(failed), int(good) + int(failed))
                at_s += 5.0


def _every(period_s: float, since: float, until: float) -> Iterator[float]:
    """The multiples of a period in [since, until)."""
    n = max(0, -int(-since // period_s))
    while n * period_s < until:
        if n * period_s >= since:
            yield n * period_s + 0.01
        n += 1


def _epoch(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
