"""A day of a terminal on a metered SIM: the bytes on the line to its broker, TLS and TCP/IP headers included.

The day is a whole one on a clock that is moved by hand; core, rules, telemetry, outbox, uplink, paho, TLS and broker are
the real ones, and every byte crosses a proxy that counts it. After each exchange there is a pause in real time, so
that acknowledgements go by themselves as they do on a line where minutes lie between two messages.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from paho.mqtt import client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from agent import wire
from agent.budget import SPARING, Budget
from agent.check import build_report
from agent.clock import ManualClock
from agent.conditions import conditions
from agent.config import Config
from agent.config_file import load_trusted
from agent.core import Core
from agent.inventory import DeviceInfo
from agent.outbox import Outbox
from agent.packing import NAME
from agent.probes.network import _CONNECT_BYTES, _HANDSHAKE_BYTES, _QUESTION_BYTES
from agent.rules import Rules
from agent.session import TIMINGS
from agent.store import Store
from agent.telemetry import Telemetry
from agent.uplink import Incoming, Uplink
from drivers import catalog
from drivers.reading import Identity, Reading, known, unknown
from tests.mqtt.broker import Observer
from tests.mqtt.meter import Meter, tls_broker
from tests.mqtt.test_tls import Authority
from tests.wait import wait_until

Figure = tuple[str, float, str, str]
"""What, how much, its unit, and the goal in words ("" for none)."""

DAY_S = 86_400
WARM_S = 600
STEP_S = 10
QUIET_S = 0.06  # TCP delays an acknowledgement by 40 ms in the hope of company
_CONFIG = """
[terminal]
id = "till-0042"
estate = "north"
[mqtt]
url = "mqtts://127.0.0.1:{port}"
link = "metered"
ca_file = "{ca}"
cert_file = "{cert}"
key_file = "{key}"
commands = true
[[device]]
name = "printer"
family = "escpos"
port = "/dev/ttyS1"
powered_by = "mains"
[[device]]
name = "reader"
family = "crt571"
port = "/dev/ttyS2"
[[device]]
name = "keypad"
family = "zt588"
port = "/dev/ttyS3"
[[device]]
name = "modem"
family = "quectel"
port = "/dev/ttyUSB2"
[network]
bearer = "modem"
acquirer = "pay.example.net:443"
[paths]
run_dir = "{folder}/run"
state_dir = "{folder}/state"
"""
_IDENTITIES = {
    "printer": Identity(manufacturer="EPSON", model="TM-T88V", firmware="2.04", serial="X2ZB041733"),
    "reader": Identity(manufacturer="CREATOR", model="CRT-571", firmware="V1.02", serial="5710034412"),
    "keypad": Identity(manufacturer="SZZT", model="ZT588S", firmware="2.1", serial="58800120"),
    "modem": Identity(manufacturer="Quectel", model="EC25", firmware="EC25EFAR06A08M4G", serial="861107030041234"),
}
_OK = {"port": known("ok"), "reply": known("ok")}
_STILL: dict[str, dict[str, Reading]] = {
    "agent": {name: known("ok") for name in ("probes", "store", "budget", "config")} | {"store_percent": known(0.1)},
    "power": {
        "mains": known("on"),
        "supply": known("ok"),
        "battery": known("present"),
        "battery_percent": known(100.0),
        "battery_status": known("Full"),
        "battery_health": known("Good"),
        "battery_health_percent": known(96.0),
        "cycle_count": known(212),
        "charger": known("ok"),
    },
    "network": {
        "link": known("up"),
        "address": known("ok"),
        "interface": known("wwan0"),
        "gateway": unknown("unsupported"),
        "dns": known("ok"),
        "acquirer": known("ok"),
        "tls": known("ok"),
        "portal": known("no"),
        "broker": known("ok"),
        "changes": known(0),
        "loss_percent": known(0),
        **{f"{rung}_why": unknown("not_asked") for rung in ("gateway", "dns", "acquirer", "tls", "broker")},
    },
    "system": {
        "disk": known("ok"),
        "clock": known("ok"),
        "clock_source": known("modem"),
        "payment_app": known("up"),
        "screen": known("on"),
    },
    "printer": {
        **_OK,
        "online": known(True),
        "cover": known("closed"),
        "paper": known("ok"),
        "feed_button": known(False),
        "drawer": known("low"),
        "cutter": known("ok"),
        "head": known("ok"),
        "mechanism": known("ok"),
        "condition": known("ok"),
        "presenter": unknown("unsupported"),
        "voltage": unknown("unsupported"),
    },
    "reader": {
        **_OK,
        **{name: known("ok") for name in ("shutter", "sensor", "self_test", "stacker", "bin")},
        "card": known("absent"),
    },
    "keypad": {**_OK, "held": known("none"), "battery": known("ok"), "keys": known("loaded")},
    "modem": {
        **_OK,
        "sim": known("ready"),
        "iccid": known("89860000000000012340"),
        "registration": known("home"),
        "tac": known("1A2D"),
        "operator": known("Example Mobile"),
        "access": known("LTE"),
        "data": known("up"),
    },
    "boots": {"boot": known(12), "boot_reason": known("clean"), "unclean_recently": known("no")},
    "firmware": {name: known("ok") for name in _IDENTITIES},
    "security": {f"{name}.part": known("same") for name in _IDENTITIES} | {"place": known("home")},
}

_EVENTS: tuple[tuple[str, dict[str, Reading], int], ...] = (  # what goes wrong, and for how many minutes
    ("printer", {"paper": known("near_end")}, 40),
    ("printer", {"paper": known("out")}, 4),
    ("printer", {"cover": known("open")}, 2),
    ("power", {"mains": known("off"), "battery_status": known("Discharging")}, 12),
    ("modem", {"rsrp_dbm": known(-121), "rssi_dbm": known(-93)}, 15),
    ("reader", {"card": known("jammed")}, 6),
    ("printer", {"paper": known("near_end")}, 35),
    ("network", {"acquirer": known("failed"), "acquirer_why": known("timeout")}, 5),
    ("keypad", {"held": known("5")}, 3),
    ("printer", {"cover": known("open")}, 2),
    ("system", {"cpu_percent": known(97.0)}, 8),
    ("modem", {"registration": known("searching")}, 4),
    ("printer", {"cutter": known("error")}, 7),
    ("printer", {"reply": known("none")}, 3),
    ("reader", {"shutter": known("error")}, 5),
    ("printer", {"paper": known("near_end")}, 30),
    ("printer", {"paper": known("out")}, 5),
    ("system", {"payment_app": known("down")}, 2),
    ("network", {"latency_ms": known(2300.0)}, 10),
    ("keypad", {"battery": known("low")}, 60),
)


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

    @property
    def whole(self) -> int:
        """Everything that the agent and the wire's own count must agree on."""
        return self.tcp + self.headers

    @property
    def day(self) -> int:
        """What the day costs whoever pays for the SIM."""
        return self.whole - self.start + self.probes


class Terminal:
    """The agent's half from readings to the line, in virtual time."""

    def __init__(self, folder: Path, config: Config, clock: ManualClock, daily_bytes: int = 0) -> None:
        self.config = config
        self.clock = clock
        self.store = Store(folder / "state", 4 << 20, clock)
        boot = self.store.bump("boot")
        self.outbox = Outbox(self.store, clock, boot, config.store)
        self.budget = Budget(daily_bytes, self.store.get("budget"), clock.wall)
        self.events: dict[str, int] = {}
        # Where a second lasts less than a millisecond, a shorter wait gathers as much.
        timing = replace(TIMINGS[config.mqtt.link], gather_s=0.02)
        self.uplink = Uplink(
            config.mqtt,
            wire.Topics(config.terminal.estate, config.terminal.id),
            store=self.store,
            outbox=self.outbox,
            clock=clock,
            on_message=self._incoming,
            state_payload=self._state,
            timing=timing,
            budget=self.budget,
        )
        families = {device.name: catalog.family(device.family) for device in config.device}
        devices = [
            DeviceInfo(
                device.name,
                families[device.name].unit,
                device.family,
                device.port,
                device.share,
                {name: spec.unit for name, spec in families[device.name].driver.READINGS.items()},
            )
            for device in config.device
        ]
        units = {device.name: device.unit for device in devices}
        Path(config.paths.run_dir).mkdir(parents=True, exist_ok=True)
        self.core = Core(
            self.config,
            clock,
            Rules(conditions(config, units), {}),
            Telemetry(self.config.telemetry),
            self.outbox,
            self.uplink,
            boot=boot,
            devices=devices,
            commands=("check", "identify", "print_slip", "resync", "statistics"),
        )
        self.core.write_status = lambda: None  # type: ignore[method-assign]  # no file of 8,640 versions

    def _incoming(self, message: Incoming) -> None:
        if message.suffix.startswith("center/"):
            self.uplink.pack(wanted=NAME in message.payload.decode())

    def _state(self, conn: int, status: str, reason: str) -> bytes:
        return self.core.state_payload(conn, status, reason)

    def start(self) -> None:
        self.core.event("agent.started", {"config": self.config.terminal.id, "version": self.core.version})
        self.core.report_config({})
        for device, identity in _IDENTITIES.items():
            self.core.identified(device, identity)

    def close(self) -> None:
        self.uplink.stop("test_over", 10)
        self.store.close()


_CENTER = wire.encode(wire.CenterStateMessage(status="online", inflates=NAME))


class Day:
    """Plays a plan. Real time passes only while bytes do."""

    def __init__(self, terminal: Terminal, meter: Meter, command: Callable[[str], None], plan: Plan, seed: int) -> None:
        self._terminal = terminal
        self._meter = meter
        self._command = command
        self._plan = plan
        self._rng = random.Random(seed)
        self._clock = terminal.clock
        self._now = 0
        self._health_at = 20
        self._rsrp, self._load = -92.0, 18.0
        self._bytes = (0, 0)
        self._active_at = 0
        self._batches = 0
        self._steps: list[str] = []

    def play(self) -> Outcome:
        terminal, plan = self._terminal, self._plan
        length = int(plan.hours * 3600)
        cuts = {WARM_S + _spread(n, plan.reconnects, length, 0.55) for n in range(plan.reconnects)}
        commands = {WARM_S + _spread(n, plan.commands, length, 0.3) for n in range(plan.commands)}
        terminal.start()
        terminal.uplink.start()
        self._settle()
        start = 0
        while self._now < length + WARM_S:
            self._advance()
            for source, readings in self._readings(length):
                terminal.core.observe(source, readings)
            terminal.core.tick()
            self._housekeep()
            if self._now in cuts:
                self._reconnect()
            if self._now in commands:
                self._order()
            self._settle()
            if self._now == WARM_S:
                start = sum(self._meter.count())
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
        )

    def _probes(self, length: int) -> int:
        """A walk each `ladder_s`, four for each fault of the ladder (seen, confirmed, over), one handshake a day."""
        ladder = sum(self._wrong_at(n) == "network" for n in range(self._plan.faults))
        walks = length / self._terminal.config.ladder_s + 4 * ladder
        return round(walks * (_QUESTION_BYTES + _CONNECT_BYTES) + _HANDSHAKE_BYTES)

    @staticmethod
    def _wrong_at(n: int) -> str:
        return _EVENTS[n % len(_EVENTS)][0]

    def _advance(self) -> None:
        self._now += STEP_S
        self._clock.advance(STEP_S)

    def _housekeep(self) -> None:
        core = self._terminal.core
        if self._now >= self._health_at:
            self._health_at += int(self._terminal.config.telemetry.health_s)
            self._terminal.uplink.publish_retained("health", self._health(), "health")
        self._terminal.budget.meter(**self._terminal.uplink.traffic())
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
        readings = {source: dict(values) for source, values in _STILL.items() if source in _IDENTITIES}
        report = build_report(self._terminal.config, readings, {}, {}, 412)
        for device in report["devices"].values():
            del device["identity"]
        for state, more in (("accepted", {}), ("running", {}), ("succeeded", {"output": report})):
            body = {"id": number, "state": state, "ms": 0 if not more else 431, **more}
            self._terminal.outbox.put("result", body, suffix=f"result/{number}")
            self._settle()

    # --- what a still terminal reads: values wander as they do on hardware

    def _readings(self, length: int) -> Iterator[tuple[str, dict[str, Reading]]]:
        rng = self._rng
        self._rsrp = min(-80.0, max(-104.0, self._rsrp + rng.gauss(0, 0.8)))
        self._load = min(60.0, max(3.0, self._load + rng.gauss(0, 2)))
        noon = abs((self._clock.wall() % DAY_S) / DAY_S - 0.6)
        moving: dict[str, dict[str, Reading]] = {
            "power": {
                "voltage_mv": known(7600 + round(rng.gauss(0, 12))),
                "temperature_c": known(round(34 - 8 * noon + rng.gauss(0, 0.2), 1)),
            },
            "modem": {
                "rsrp_dbm": known(round(self._rsrp)),
                "rssi_dbm": known(round(self._rsrp + 28 + rng.gauss(0, 1))),
                "rsrq_db": known(round(-10 + rng.gauss(0, 0.8))),
                "sinr_db": known(round(12 + rng.gauss(0, 1.5))),
                "temperature_c": known(round(40 - 6 * noon + rng.gauss(0, 0.4))),
                "cell": known("0075A30B" if self._now % 14_400 < 13_800 else "0075A30C"),
                "clock_utc": known(wire.timestamp(self._clock.wall())),
            },
            "system": {
                "cpu_percent": known(round(self._load, 1)),
                "temperature_c": known(round(46 - 5 * noon + self._load / 10, 1)),
                "uptime_s": known(self._now),
                "memory_available_bytes": known(412_000_000 + round(rng.gauss(0, 2e6))),
                "memory_available_percent": known(round(40 + rng.gauss(0, 0.2), 1)),
                "disk_free_bytes": known(3_100_000_000 - 400 * self._now),
                "disk_free_percent": known(41.3),
                "clock_offset_s": known(round(rng.gauss(0, 0.02), 2)),
            },
        }
        if self._now % int(self._terminal.config.ladder_s) == STEP_S:
            moving["network"] = {
                "dns_ms": known(round(abs(rng.gauss(62, 12)), 1)),
                "acquirer_ms": known(round(abs(rng.gauss(85, 15)), 1)),
                "latency_ms": known(round(abs(rng.gauss(62, 6)), 1)),
            }
        wrong = self._wrong(length)
        for source, still in _STILL.items():
            yield source, {**still, **moving.get(source, {}), **wrong.get(source, {})}

    def _wrong(self, length: int) -> dict[str, dict[str, Reading]]:
        for n in range(self._plan.faults):
            source, bad, minutes = _EVENTS[n % len(_EVENTS)]
            began = WARM_S + _spread(n, self._plan.faults, length, 0.1)
            if began <= self._now < began + 60 * minutes:
                return {source: bad}
        return {}


def _spread(n: int, of: int, length: int, phase: float) -> int:
    return round((n + phase) * length / of / STEP_S) * STEP_S


@contextmanager
def line(folder: Path, *, packing: bool) -> Iterator[tuple[Meter, Config, Callable[[str], None]]]:
    """Broker with TLS, counting line, a terminal's configuration for it, and who sends it commands."""
    authority = Authority(folder)
    broker = tls_broker(folder, authority)
    broker.start()
    with ExitStack() as stack:
        stack.callback(broker.kill)
        meter = stack.enter_context(Meter(broker.tls_port))  # type: ignore[attr-defined]
        cert, key = authority.issue("till-0042")
        file = folder / "agent.toml"
        file.write_text(_CONFIG.format(port=meter.port, ca=authority.file, cert=cert, key=key, folder=folder))
        center = stack.enter_context(Observer(broker.port))

        def command(number: str) -> None:
            properties = Properties(PacketTypes.PUBLISH)
            properties.ResponseTopic = f"pos/1/north/till-0042/result/{number}"
            properties.CorrelationData = number.encode()
            properties.MessageExpiryInterval = 300
            # A JWS of a command with an Ed25519 signature is so long.
            center.publish("pos/1/north/till-0042/command", b"e" * 420, properties)

        if packing:
            properties = Properties(PacketTypes.PUBLISH)
            center.publish("pos/1/north/center/one/state", _CENTER, properties, retain=True)
        yield meter, load_trusted(str(file)), command


@contextmanager
def virtual_time(clock: ManualClock) -> Iterator[None]:
    """Paho counts its keep-alive on this clock."""
    before = paho.time_func
    paho.time_func = clock.monotonic
    try:
        yield
    finally:
        paho.time_func = before


def play(plan: Plan, *, seed: int = 1, daily_bytes: int = 0) -> Outcome:
    """One day, or so many hours of it."""
    clock = ManualClock(wall=1_795_046_400.0)  # midnight in UTC
    with (
        tempfile.TemporaryDirectory() as name,
        virtual_time(clock),
        line(Path(name), packing=plan.packing) as (meter, config, command),
    ):
        terminal = Terminal(Path(name), config, clock, daily_bytes)
        try:
            return Day(terminal, meter, command, plan, seed).play()
        finally:
            terminal.close()


def figures() -> list[Figure]:
    """Quiet and typical day, the latter also without the dictionary; four minutes."""
    quiet, typical, plain = play(QUIET), play(TYPICAL), play(replace(TYPICAL, packing=False))
    start = "metered SIM, a start: full handshake, inventory, dictionary"
    return [
        ("metered SIM, quiet day, TLS, TCP/IP and network probes included", _kib(quiet.day), "KiB", "≤ 60"),
        ("metered SIM, typical day, the same", _kib(typical.day), "KiB", "≤ 140"),
        ("metered SIM, typical day, with a center that knows no dictionary", _kib(plain.day), "KiB", ""),
        (start, _kib(quiet.start), "KiB", ""),
        ("metered SIM, the agent's own count against the wire's", _agreement(typical), "%", "within 3"),
    ]


def _kib(size: int) -> float:
    return round(size / 1024, 1)


def _agreement(outcome: Outcome) -> float:
    return round(100 * (outcome.own / outcome.whole - 1), 2)


if __name__ == "__main__":
    import sys

    hours = float(sys.argv[2]) if len(sys.argv) > 2 else 24.0
    chosen = replace({"quiet": QUIET, "typical": TYPICAL}[sys.argv[1]], hours=hours, packing=len(sys.argv) < 4)
    began = time.monotonic()
    told = play(chosen)
    print(told, round(told.day / 1024, 1), "KiB", f"{time.monotonic() - began:.0f} s")
