"""A day of a terminal on a metered SIM: the bytes on the line to its broker, TLS and TCP/IP headers included.

The day is a whole one on a clock that is moved by hand; core, rules, telemetry, outbox, uplink, paho, TLS and broker are
the real ones, and every byte crosses a proxy that counts it. After each exchange there is a pause in real time, so
that acknowledgements go by themselves as they do on a line where minutes lie between two messages.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from agent import wire
from agent.asking import Answer
from agent.budget import SPARING
from agent.check import build_report
from agent.clock import ManualClock
from agent.probes.boots import BootsProbe
from agent.probes.network import _CONNECT_BYTES, _HANDSHAKE_BYTES, _QUESTION_BYTES
from drivers.reading import Reading
from tests.bench.figure import Effort, Figure, Series, Told
from tests.bench.ground import scratch
from tests.bench.process import written_bytes
from tests.bench.still import EVENTS, IDENTITIES, STEP_S, STILL, Still
from tests.bench.virtual import Terminal, line, virtual_time
from tests.mqtt.meter import Meter
from tests.wait import wait_until

WARM_S = 600
FINER = {
    "printer": "profile epson; status 16 12 12 12; pushes yes; malformed 0",
    "reader": "status 00; chip_mode customer",
    "modem": "registration_stat 1; serving_state NOCONN; sinr_raw 128",
}
"""What devices say more exactly in the evidence of their faults."""
QUIET_S = 0.06  # TCP delays an acknowledgement by 40 ms in the hope of company


@dataclass
class Plan:
    """What happens on a day beside what always does. `packing` is whether the center knows the dictionary."""

    faults: int = 0
    reconnects: int = 0
    commands: int = 0
    hours: float = 24.0
    packing: bool = True


QUIET = Plan()
TYPICAL = Plan(faults=20, reconnects=8, commands=4)


@dataclass
class Outcome:
    """What crossed the line: TCP's bytes and the headers; the agent's `own` sum; what it `counted` since midnight.

    `start` is both until everything had been said once: the full handshake, inventory, dictionary. It is no part of a
    day, since an agent starts once in months. `probes` is what the network's probe puts on the line, by estimate.
    `channels` is the agent's count by what it was for, after the start and up to midnight. `written` is what the disk
    got after the start.
    """

    tcp: int
    headers: int
    start: int
    probes: int
    own: int
    counted: Mapping[str, int]
    batches: int
    connects: int
    steps: list[str]
    channels: Mapping[str, int] = field(default_factory=dict)
    written: int = 0

    @property
    def whole(self) -> int:
        """Everything that the agent and the wire's own count must agree on."""
        return self.tcp + self.headers

    @property
    def day(self) -> int:
        """What the day costs whoever pays for the SIM."""
        return self.whole - self.start + self.probes


class Day:
    """Plays a plan. Real time passes only while bytes do."""

    def __init__(
        self,
        terminal: Terminal,
        meter: Meter,
        command: Callable[[str], None],
        plan: Plan,
        seed: int,
        each_hour: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._terminal = terminal
        self._meter = meter
        self._command = command
        self._plan = plan
        self._rng = random.Random(seed)
        self._clock = terminal.clock
        self._now = 0
        self._health_at = 20
        self._still = Still(self._rng, terminal.config.ladder_s)
        self._each_hour = each_hour
        self._told: dict[str, int] = {}
        self._told_at_start: dict[str, int] = {}
        self._bytes = (0, 0)
        self._active_at = 0
        self._batches = 0
        self._steps: list[str] = []
        self._boots = BootsProbe(terminal.config.paths, None, self._clock.monotonic)
        self._keep_at = 0.0

    def play(self) -> Outcome:
        terminal, plan = self._terminal, self._plan
        length = int(plan.hours * 3600)
        cuts = {WARM_S + _spread(n, plan.reconnects, length, 0.55) for n in range(plan.reconnects)}
        commands = {WARM_S + _spread(n, plan.commands, length, 0.3) for n in range(plan.commands)}
        terminal.core.on_evidence(lambda source: FINER.get(source, ""))
        terminal.start()
        terminal.uplink.start()
        self._settle()
        start = written = 0
        while self._now < length + WARM_S:
            self._advance()
            for source, readings in self._still.readings(self._now, self._clock.wall(), self._wrong(length)):
                terminal.core.observe(source, readings)
            terminal.core.tick()
            self._housekeep()
            if self._now in cuts:
                self._reconnect()
            if self._now in commands:
                self._order()
            self._settle()
            if self._now == WARM_S:
                start, written = sum(self._meter.count()), written_bytes(os.getpid())
                self._told_at_start = terminal.budget.today()
            if (self._now - WARM_S) % 3600 == 0:
                self._each_hour((self._now - WARM_S) / 3600)
        tcp, headers = self._meter.count()
        terminal.budget.meter(**terminal.uplink.traffic())
        status = terminal.uplink.status()
        return Outcome(
            tcp,
            headers,
            start,
            self._probes(length),
            sum(terminal.uplink.traffic().values()),
            terminal.budget.today(),
            self._batches,
            status["connects"],
            self._steps,
            {name: size - self._told_at_start.get(name, 0) for name, size in self._told.items()},
            written_bytes(os.getpid()) - written,
        )

    def _probes(self, length: int) -> int:
        """A walk each `ladder_s`, four for each fault of the ladder (seen, confirmed, over), one handshake a day."""
        ladder = sum(self._wrong_at(n) == "network" for n in range(self._plan.faults))
        walks = length / self._terminal.config.ladder_s + 4 * ladder
        return round(walks * (_QUESTION_BYTES + _CONNECT_BYTES) + _HANDSHAKE_BYTES)

    @staticmethod
    def _wrong_at(n: int) -> str:
        return EVENTS[n % len(EVENTS)][0]

    def _advance(self) -> None:
        self._now += STEP_S
        self._clock.advance(STEP_S)

    def _housekeep(self) -> None:
        core = self._terminal.core
        if self._now >= self._health_at:
            self._health_at += int(self._terminal.config.telemetry.health_s)
            self._terminal.uplink.publish_retained("health", self._health(), "health")
        if self._now >= self._keep_at:
            self._keep_at = self._now + self._boots.keep_every_s
            kept = {"boots": json.dumps(self._boots.remember()), "budget": self._terminal.budget.state()}
            self._terminal.store.keep("kv", kept)
        self._terminal.budget.meter(**self._terminal.uplink.traffic())
        told = self._terminal.budget.today()
        if told.get("total", 0) > self._told.get("total", 0):  # at midnight all begin at 0 again
            self._told = told
        change = self._terminal.budget.look()
        if change is not None:
            self._steps.append(change[1])
            batch, values = SPARING[change[1]]
            core.spare(batch=batch, values=values)
            core.event("budget.step", {"before": change[0], **self._terminal.budget.describe()})
        due = core.telemetry_due()
        if due is not None and self._clock.monotonic() >= due:
            batch = core.take_telemetry()
            assert batch is not None
            self._terminal.outbox.put("telemetry", batch)
            self._batches += 1

    def _health(self) -> bytes:
        terminal = self._terminal
        wall = wire.timestamp(self._clock.wall())
        probes = ("printer", "reader", "keypad", "modem", "power", "system", "boots", "firmware", "security", "network")
        return wire.encode(
            wire.HealthMessage(
                **terminal.core.header(),
                pss_kib=19_412,
                cpu_percent=0.131,
                threads=11,
                store_rows={"event": 1},
                store_bytes=1200,
                store_hours=0.0,
                drops={},
                bytes_today=terminal.budget.today(),
                probes=tuple(wire.ProbeEntry(probe=name, state="ok", last_at=wall, took_ms=12.4) for name in probes),
            )
        )

    def _settle(self) -> None:
        """Let everything that is to cross the line do so. The thread is woken when it may have a ping to send."""
        uplink = self._terminal.uplink
        idle = self._now - self._active_at
        rows = self._terminal.outbox.depth()["rows"]
        if not self._terminal.budget.allows("telemetry", b""):
            rows.pop("telemetry", None)
        waiting = uplink.status()["in_flight"] or any(rows.values())
        if idle >= 290 and self._now % 60 == 0:
            uplink.kick()
            waiting = True
        if not waiting and self._meter.count() == self._bytes:
            return
        wait_until(lambda: uplink.connected and uplink.turned_at >= self._clock.monotonic(), 20, 0.002)
        still_since, before = time.monotonic(), self._meter.count()
        while time.monotonic() - still_since < QUIET_S:
            time.sleep(0.005)
            now = self._meter.count()
            if now != before:
                still_since, before, self._active_at = time.monotonic(), now, self._now
        self._bytes = before
        self._terminal.flush()

    def _wrong(self, length: int) -> dict[str, dict[str, Reading]]:
        for n in range(self._plan.faults):
            source, bad, minutes = EVENTS[n % len(EVENTS)]
            began = WARM_S + _spread(n, self._plan.faults, length, 0.1)
            if began <= self._now < began + 60 * minutes:
                return {source: bad}
        return {}

    def _reconnect(self) -> None:
        """The line is lost; a minute later there is one again."""
        uplink = self._terminal.uplink
        before = uplink.status()["connects"]
        self._meter.cut()
        wait_until(lambda: not uplink.connected)
        self._clock.advance(60)
        uplink.hurry()
        wait_until(lambda: uplink.status()["connects"] > before)

    def _order(self) -> None:
        """A signed command, and its results with a whole report."""
        number = f"{self._rng.getrandbits(64):016x}"
        self._command(number)
        self._settle()
        answers = {source: Answer(dict(values)) for source, values in STILL.items() if source in IDENTITIES}
        report = build_report(self._terminal.config, answers, {}, 412)
        for device in report["devices"].values():
            del device["identity"]
        for state, more in (("accepted", {}), ("running", {}), ("succeeded", {"output": report})):
            body = wire.result_body(number, state, ms=0 if not more else 431, **more)
            rows = [("result", body, f"result/{number}")]
            if more:
                rows.append(("event", wire.done_body(number, "check", state), ""))
            self._terminal.outbox.put_all(rows)
            self._settle()


def _spread(n: int, of: int, length: int, phase: float) -> int:
    return round((n + phase) * length / of / STEP_S) * STEP_S


def play(
    plan: Plan, *, seed: int = 1, daily_bytes: int = 0, each_hour: Callable[[float], None] = lambda _: None
) -> Outcome:
    """One day, or so many hours of it."""
    clock = ManualClock(wall=1_795_046_400.0)  # midnight in UTC
    with (
        scratch() as folder,
        virtual_time(clock),
        line(folder, packing=plan.packing) as (meter, config, command),
    ):
        terminal = Terminal(folder, config, clock, daily_bytes)
        try:
            return Day(terminal, meter, command, plan, seed, each_hour).play()
        finally:
            terminal.close()


def run(effort: Effort) -> Told:
    """Quiet and typical day, the latter also without the dictionary."""
    share = effort.of(1, 1 / 24)
    quiet, typical = (play(share_of(plan, share)) for plan in (QUIET, TYPICAL))
    how = (
        "bytes between daemon and broker as the proxy's kernel counted them, TLS, TCP/IP headers, pings and reconnects "
        "in, network probes by estimate; the day's clock is moved by hand, all else is real"
    )
    quiet_goal, typical_goal, disk_goal = ("≤ 60", "≤ 140", "≤ 20") if share == 1 else ("", "", "")
    if share < 1:
        how = f"{24 * share:g} hour instead of a day, hence no goal; {how}"
    yield Figure("metered.quiet", "metered SIM, quiet day", _kib(quiet.day), "KiB", quiet_goal, how)
    typical_how = f"{TYPICAL.reconnects} reconnects, {TYPICAL.faults} faults, {TYPICAL.commands} commands; {how}"
    yield Figure("metered.typical", "metered SIM, typical day", _kib(typical.day), "KiB", typical_goal, typical_how)
    disk = (
        "write_bytes of the process over the typical metered day, files synced after each exchange, as minutes between "
        "two of them would have them written; the file system's own journal is not in it"
    )
    yield Figure("metered.disk", "disk written, typical day", typical.written / 2**20, "MiB", disk_goal, disk)
    yield Figure(
        "metered.start", "metered SIM, a start: full handshake, inventory, dictionary", _kib(quiet.start), "KiB"
    )
    agreement = 100 * (typical.own / typical.whole - 1)
    yield Figure("metered.agreement", "the agent's own count against the wire's", agreement, "%", "", "within 3 in CI")
    yield Series("metered", {"quiet": _by_what(quiet), "typical": _by_what(typical)})
    plain = play(replace(share_of(TYPICAL, share), packing=False))
    yield Figure(
        "metered.plain", "metered SIM, typical day, with a center that knows no dictionary", _kib(plain.day), "KiB"
    )


def share_of(plan: Plan, share: float) -> Plan:
    """So much of a day."""
    few = {
        name: max(1, round(n * share)) for name in ("faults", "reconnects", "commands") if (n := getattr(plan, name))
    }
    return replace(plan, hours=plan.hours * share, **few)


def _by_what(outcome: Outcome) -> dict[str, int]:
    """Bytes of the day by what they were for."""
    counted = {name: size for name, size in outcome.channels.items() if name not in {"total", "probes"} and size > 0}
    return counted | {"probes": outcome.probes}


def _kib(size: int) -> float:
    return size / 1024
