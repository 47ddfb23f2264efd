"""What looks, on top of what tells: devices, probes, commands, and who hears of what from whom."""

from __future__ import annotations

import json
import logging
import os
import select
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from agent.cards import CleanPublisher, CleanReadings, clean, clean_identity, clean_json, clean_readings
from agent.commands import Commands
from agent.control import ControlServer
from agent.deeds import Deeds
from agent.delivery import Delivery
from agent.groundwork import json_object
from agent.health import Processor, health_message, probe_table
from agent.help_desk import HelpDesk
from agent.notify import Notifier
from agent.office import House, Office
from agent.own_state import OwnState
from agent.probes.firmware import FirmwareProbe
from agent.probes.network import NetworkProbe
from agent.probes.nut import NutProbe
from agent.probes.port import PortWorker
from agent.probes.power import PowerProbe
from agent.probes.reads import ReadCounters
from agent.probes.runner import Probe, ProbeRunner
from agent.probes.system import SystemProbe
from agent.report import ReportListener
from agent.sale import SaleLock
from agent.supervise import Supervisor, posts_of
from agent.trends import Trends
from agent.uplink import KEPT_CONTACT, Incoming
from agent.watchman import Watchman
from agent.wire import TIERS
from drivers.reading import Cause, Identity, Reading, Value, known, unknown
from drivers.redact import redact_text

log = logging.getLogger("posdiag")
T = TypeVar("T")

_HEALTH_FIRST_S: Final = 15.0  # by then every probe has had its first turn
_LOOK_S: Final = 10.0  # how often the agent looks after itself
_TRIAL_LOOK_S: Final = 1.0
_STOP_S: Final = 1.5  # the whole stop must end within 2 s
_AFTER_FAILURE_S: Final = 1.0


class App:
    """Everything of one running daemon."""

    def __init__(self, delivery: Delivery, config_file: Path | None = None) -> None:
        self.delivery = delivery
        self.config = config = delivery.config
        self.clock, self.run_dir, self.store = delivery.clock, delivery.run_dir, delivery.store
        self.outbox, self.uplink, self.core = delivery.outbox, delivery.uplink, delivery.core
        self._clean = CleanReadings()
        self.budget, self.topics, self._boots = delivery.budget, delivery.topics, delivery.boots
        self._stopping = self.restarting = False
        self.sale = SaleLock(self.run_dir / "busy.lock")
        self.workers = [PortWorker(device, self, self.sale.held) for device in config.device]
        self._baselines_kept = dict(delivery.baselines)
        if config.mqtt.commands or config.commands.keys_file:
            self.core.takes(TIERS)
        self.help = HelpDesk(config, self.core, self.store, self.clock, self._boots.boot.number)
        self.core.on_status(self._more_status)
        self.deeds = Deeds(self.core, self.workers, self.config, self.help)
        self.core.on_evidence(self.deeds.specific)
        self.watchman = Watchman(
            config,
            self.core,
            self.store,
            self.clock,
            self.workers,
            self.observe,
            lambda: self.runners[0].again("security"),
            config_file=config_file,
        )
        self._network = NetworkProbe(
            config.network,
            config.paths,
            certificate_days=config.security.certificate_days,
            wall=self.clock.wall,
            metered_s=config.ladder_s if config.mqtt.link == "metered" else 0.0,
        )
        self._system = SystemProbe(config.system, config.network, config.paths)
        self._reads = ReadCounters()
        self.trends = Trends(config, delivery.units)
        self.trends.restore(json_object(self.store.get("trends")) or {})
        host: list[Probe] = [PowerProbe(config.power, config.paths), self._system, self._boots]
        host += [FirmwareProbe(self.core.device_entries), self.watchman.probe]
        if config.power.nut:
            host.append(NutProbe(config.power))
        self.runners = [ProbeRunner("host", host, self.observe), ProbeRunner("network", [self._network], self.observe)]
        self.office = Office(config, config_file or Path(), self._house())
        self.commands = Commands(self.office.desk())
        self.report = ReportListener(self.run_dir / "report.sock", self._told)
        self.control = ControlServer(self.run_dir / "control.sock", self._asked)
        self.supervisor = Supervisor(self.sale.held)
        self.notifier = Notifier()
        self._look_s = min(_LOOK_S, self.notifier.watchdog_s or _LOOK_S)
        self._processor = Processor()
        self._health_due = self.clock.monotonic() + _HEALTH_FIRST_S
        self._look_due = self._keep_due = 0.0
        self._kept_for: tuple[object, ...] = ()
        self._own = OwnState(delivery, self._network, self.observe)
        self._link: Reading = unknown(Cause.NOT_ASKED)

    def _house(self) -> House:
        return House(
            topics=self.topics,
            core=self.core,
            store=self.store,
            outbox=self.outbox,
            clock=self.clock,
            boot=self._boots.boot.number,
            deeds=self.deeds,
            sale=self.sale.held,
            publish_live=self.uplink.publish_live,
            publish_retained=CleanPublisher(self.uplink).publish_retained,
            restart=self.ask_to_restart,
            facts=self._facts,
            trace=self.deeds.trace,
        )

    def _facts(self) -> dict[str, Any]:
        return {"status": self.core.status(), "health": json.loads(self._health()), "boots": self.store.get("boots")}

    # --- start and stop

    def start(self) -> None:
        """Let readings come; what was raised before has gone on with the delivery's own start."""
        self.watchman.restored(self.delivery.restored)
        self._tell_boot()
        self.office.start()  # before any command comes: what it finds begun is an earlier run's
        self.delivery.hand_to(self._incoming)
        self.report.start()
        self.control.start()
        for thread in (*self.workers, *self.runners, self.commands):
            thread.start()
        self.core.write_status()
        self.supervisor.posts += posts_of(self)
        self.notifier.ready()
        log.info(
            "watching %d devices as %s; %s hours of telemetry fit the store",
            len(self.workers),
            self.topics.base,
            f"{self.config.store.telemetry_hours:g}",
        )

    def _tell_boot(self) -> None:
        boot = self._boots.boot
        if boot.new:
            self.core.event("boot", {"reason": boot.reason, "boot": boot.number})
        self.core.event("agent.started", {"config": self.config.terminal.id, "version": self.core.version})
        self._own.tell_store()
        self._remember()  # else a power loss in the first minute would be judged by the boot before

    def run(self) -> None:
        """Look after everything until `stop` is called."""
        while not self._stopping:
            idle_s = min(self._tried("rules", self.core.tick, _AFTER_FAILURE_S), self._housekeeping())
            if select.select([self.delivery.waker], [], [], idle_s)[0]:
                os.eventfd_read(self.delivery.waker)

    def ask_to_stop(self) -> None:
        """End `run`. From a signal handler too: it takes no lock, which the interrupted code might hold."""
        self._stopping = True
        self.delivery.wake()

    def ask_to_restart(self) -> None:
        """End `run`, and have the process begin anew."""
        self.restarting = True
        self.ask_to_stop()

    def stop(self, reason: str) -> None:
        """Stop in the opposite order; offline with its reason goes out last. Ends in under two seconds."""
        if not self.restarting:  # whoever supervises would wait for the end of a process that goes on
            self.notifier.stopping()
        self.core.event("agent.stopped", {"reason": reason})
        self.deeds.stop()
        self.commands.stop()
        for worker in self.workers:
            worker.stop()
        for runner in self.runners:
            runner.stop()
        self.control.close()
        self.report.close()
        self.core.write_status()
        self._flush_telemetry()
        self.uplink.stop(reason, _STOP_S)
        self.outbox.close()
        self._remember(clean=True)
        self.store.close()

    # --- what must be done now and then

    def _housekeeping(self) -> float:
        now = self.clock.monotonic()
        if now >= self._look_due:
            self._look()
            hurry = self.office.on_trial or self.store.problems() or self._own.sweeping
            self._look_due = now + (_TRIAL_LOOK_S if hurry else self._look_s)
        if now >= self._health_due:
            self._health_due = now + self.config.telemetry.health_s
            self._tried("health", self._publish_health, None)
        if now >= self._keep_due or self._boots.decisive != self._kept_for:
            self._tried("memory", self._remember, None)
        telemetry_due: float | None = self.core.telemetry_due()
        if telemetry_due is not None and now >= telemetry_due:
            self._tried("telemetry", self._flush_telemetry, None)
            telemetry_due = None
        due = min(self._look_due, self._health_due, self._keep_due)
        return max(0.0, (due if telemetry_due is None else min(due, telemetry_due)) - now)

    def _tried(self, name: str, work: Callable[[], T], otherwise: T) -> T:
        return self.supervisor.tried(name, work, self.clock.monotonic(), otherwise)

    def _look(self) -> None:
        """The agent's own state: store, broker, dead threads, clock steps. What fails is told, and ends no other."""
        now = self.clock.monotonic()
        self.supervisor.overran("commands", self.commands.refused.get("overran", 0), now)
        self.supervisor.overran("help", self.help.overran, now)
        self._tried("threads", lambda: self.supervisor.look(now), None)
        if self.supervisor.answers(now):
            self.notifier.alive()
        connected = self.uplink.connected
        for name, work in (
            ("outbox", self.outbox.tick),
            ("clock", self._tell_step),
            ("own state", self._own.look),
            ("store", self._own.tell_store),
            ("watchman", lambda: self.watchman.look(connected=connected)),
            ("office", lambda: self.office.look(connected=connected)),
            ("status", self._tell_self),
        ):
            self._tried(name, work, None)

    def _tell_step(self) -> None:
        step = self.clock.step()
        if step is not None:
            self.core.event("clock.step", step)

    def _tell_self(self) -> None:
        link = "connected" if self.uplink.connected else "no broker"
        self.notifier.status(f"can sell: {self.core.wire_verdict().can_sell}, {len(self.core.faults())} faults, {link}")
        self._own.tell_work(self._failing())

    def _failing(self) -> list[str]:
        failing = self.supervisor.failing(self.clock.monotonic())
        return failing + [f"{e.probe.name}: {e.error}" for runner in self.runners for e in runner.entries if e.error]

    def _publish_health(self) -> None:
        self.uplink.publish_retained("health", clean_json(self._health()), "health")

    def _health(self) -> bytes:
        self.budget.meter(**self.uplink.traffic(), probes=self._network.spent)
        return health_message(
            self.core.header(),
            cpu_percent=self._processor.percent(),
            depth=self.outbox.depth(),
            traffic=self.budget.today(),
            refused={**self.commands.refused, "report": self.report.refused},
            probes=probe_table(self.workers, self.runners, self.clock.wall()),
            problems=self._problems(),
            audit=self.office.audit_log.head,
        )

    def _flush_telemetry(self) -> None:
        batch = self.core.take_telemetry()
        if batch is not None:
            self.outbox.put("telemetry", batch)

    def _remember(self, *, clean: bool = False) -> None:
        """What the next start needs goes to disk; seldom, since each time wears the flash."""
        self._keep_due = self.clock.monotonic() + self._boots.keep_every_s
        self._kept_for = self._boots.decisive
        kept = {"boots": json.dumps(self._boots.remember(clean=clean)), "budget": self.budget.state()}
        if clean:
            kept["trends"] = json.dumps(self.trends.state())
            self.watchman.keep(now=False)
        if self.delivery.baselines != self._baselines_kept:
            self._baselines_kept = dict(self.delivery.baselines)
            kept["baselines"] = json.dumps(self._baselines_kept)
        self.store.keep("kv", kept | {KEPT_CONTACT: f"{self.uplink.contact_at:.0f}"})

    # --- from the devices and probes; any thread

    def observe(self, source: str, readings: Mapping[str, Reading]) -> None:
        """Hand readings on, and give other probes what they need of them."""
        readings = self._clean.of(source, readings)
        self.core.observe(source, readings)
        self.trends.observe(source, readings, self.clock.wall())
        self.watchman.heard(source, readings)
        self.office.live.heard(source, readings)
        if source == "power":
            self._boots.sample_power(readings["mains"], readings.get("battery_percent", _NONE), readings["supply"])
            if self._boots.decisive != self._kept_for:
                self.delivery.wake()
        elif "clock_utc" in readings and readings["clock_utc"].value is not None:
            self._system.told_by_modem(str(readings["clock_utc"].value))
        elif source == "network" and "link" in readings:
            self._link_is(readings["link"])
        elif source == "system" and readings.get("clock", _NONE).value == "ok":
            self.clock.network_agreed(3 * self.config.system.poll_s + 60)

    def _link_is(self, link: Reading) -> None:
        if link.value == "up" and self._link.value == "down":
            self.uplink.hurry()  # the wait between two attempts was for a network that was not there
        self._link = link

    def identified(self, device: str, identity: Identity) -> None:
        """A device said who it is: into the inventory, and judged against the firmware notes."""
        identity = clean_identity(identity)
        self.core.identified(device, identity)
        self.runners[0].again("firmware")
        self.watchman.identified(device, identity)

    def counted(self, device: str, statistics: Mapping[str, Value]) -> None:
        """A device's counters."""
        statistics = clean(statistics)
        self.core.counted(device, statistics)
        counters = {name: known(value) for name, value in statistics.items()}
        self.trends.observe(device, counters, self.clock.wall())

    def _told(self, source: str, readings: Mapping[str, Reading]) -> None:
        """What the payment application tells over report.sock."""
        readings = clean_readings(readings)
        self.trends.observe(source, readings, self.clock.wall())
        unit = source.partition(".")[2]
        if unit == "reader" and {"good", "failed"} <= readings.keys():
            device = next((w.device.name for w in self.workers if w.unit == "reader"), None)
            counts = [_count(readings.get(name)) for name in ("good", "failed", "attempts")]
            if device is not None and counts[0] is not None and counts[1] is not None:
                self.observe(device, self._reads.report(counts[0], counts[1], counts[2]))
                return
        if unit == "firmware":
            self.watchman.told(readings)
        self.observe(source, readings)

    def _asked(self, request: dict[str, Any]) -> Any:
        """A request over the control socket."""
        try:
            answer = self.watchman.control(request) or self.office.control(request)
            return clean(self.deeds.control(request) if answer is None else answer)
        except Exception as error:  # noqa: BLE001 - whoever asked is told, without card data
            raise ValueError(redact_text(str(error) or type(error).__name__)) from None

    # --- to and from the broker; the uplink's thread

    def _incoming(self, message: Incoming) -> None:
        if message.suffix in {"command", "all/command", "config"}:
            if self.office.open:
                self.commands.incoming(message)
            elif message.payload:
                self.commands.count("off")
        elif message.suffix == "case":
            payload = clean_json(message.payload)
            self.deeds.take_case(payload)
            self.watchman.take_case(payload)
        elif message.suffix.startswith("center/"):
            self.deeds.take_center(message.suffix.split("/")[1], message.payload)
            self.uplink.pack(wanted=self.deeds.packing)

    # --- status.json

    def _problems(self) -> list[str]:
        link = self.uplink.status()
        lines = [*self.outbox.problems(), *self.office.problems()]
        if not link["connected"] and link["last_error"]:
            lines.append(f"broker: {link['last_error']}")
        lines += [f"{worker.device.name}: {worker.detail}" for worker in self.workers if worker.detail]
        return lines

    def _more_status(self) -> dict[str, Any]:
        link = self.uplink.status()
        more = {
            "connected": link["connected"],
            "last_contact": link["last_contact"],
            "link": {"url": self.config.mqtt.url, "error": link["last_error"], "since": link["since"]},
            "store": self.outbox.depth(),
            "problems": self._problems(),
            **self.deeds.extra(),
            **self.office.extra(),
        }
        safe: dict[str, Any] = clean(more)
        return safe


_NONE = unknown(Cause.NOT_ASKED)


def _count(reading: Reading | None) -> int | None:
    if reading is None or isinstance(reading.value, str | None):
        return None
    return int(reading.value)
