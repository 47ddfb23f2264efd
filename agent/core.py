"""Where readings become faults, events, retained state and status.json. One lock; called from any thread."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Literal

from agent import VERSION, faults, wire
from agent.causes import Answer, Topology, explain, verdict
from agent.clock import Clock
from agent.config import Config
from agent.interfaces import Publisher, Queue
from agent.inventory import DeviceInfo, Inventory
from agent.model import Fault, Transition
from agent.packing import DICTIONARY
from agent.poi import poi_status
from agent.rules import Rules
from agent.status_file import StatusFile
from agent.telemetry import Telemetry
from drivers.reading import Identity, Reading, Value

DIGEST_S = 60.0  # the contract: at connect and on change, at most one a minute
SETTLE_S = 2.0  # devices and metrics make themselves known one by one within the first second or two


class Core:
    """The agent's memory of what is so. Everything that it sends or shows is derived here."""

    version = VERSION

    def __init__(
        self,
        config: Config,
        clock: Clock,
        rules: Rules,
        telemetry: Telemetry,
        outbox: Queue,
        publisher: Publisher,
        *,
        boot: int,
        devices: Iterable[DeviceInfo],
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        """`wake` is called, from any thread, when `tick` has something to do before it said."""
        self._config = config
        self._clock = clock
        self._rules = rules
        self._telemetry = telemetry
        self._outbox = outbox
        self._publisher = publisher
        self._boot = boot
        self.devices = {device.name: device for device in devices}
        self._inventory = Inventory(self.devices, config.terminal.language, boot)
        if config.mqtt.link == "metered":
            self._inventory.dictionary = DICTIONARY.decode()
        self._wake = wake
        self._lock = threading.RLock()
        self._latest: dict[str, dict[str, Reading]] = {}
        self._explained: dict[str, Fault] = {}
        self._answer = verdict({}, blind=self._blind())
        self._answer_since = clock.wall()
        self._maintenance = ""
        self._conn = 0
        self._digest_due: float | None = None
        self._digest_at = float("-inf")
        self._inventory_due: float | None = None
        self._status = StatusFile(config)
        self._topology = Topology(
            powered_by={self.devices[d.name].unit: d.powered_by for d in config.device if d.name in self.devices},
            bearer=config.network.bearer,
        )

    # --- in

    def observe(self, source: str, readings: Mapping[str, Reading]) -> None:
        """Readings of a device or a probe; everything that follows from them is stored and on its way on return."""
        now = self._clock.monotonic()
        with self._lock:
            latest = self._latest.get(source)
            first = latest is None
            if latest is None:
                latest = self._latest[source] = {}
            if not latest.keys() >= readings.keys():
                self._learn(source, readings)
            if not self._status.stale and not latest.items() >= readings.items():
                self._status.stale = True
            latest.update(readings)
            idle = self._telemetry.due_at() is None
            self._telemetry.offer(source, readings, now)
            if idle and self._telemetry.due_at() is not None:
                self._wake()  # a batch has begun, and only now is it known when it leaves
            self._apply(self._rules.observe(source, readings, now, self._clock.wall()))
            if first or (self._answer.can_sell == "unknown" and not self._blind()):
                self._judge()

    def _learn(self, source: str, readings: Iterable[str]) -> None:
        """New metrics: their units go to the telemetry now and to the center with the next inventory."""
        self._telemetry.learn(self._inventory.learn(source, readings))
        self._want_inventory()

    def _want_inventory(self) -> None:
        if self._inventory_due is None:
            self._inventory_due = self._clock.monotonic() + SETTLE_S
            self._wake()

    def tick(self) -> float:
        """What is due by time alone. Returns the seconds until the next thing is."""
        now = self._clock.monotonic()
        with self._lock:
            self._apply(self._rules.tick(now, self._clock.wall()))
            if self._digest_due is not None and now >= self._digest_due:
                self._publish_digest(now)
            if self._inventory_due is not None and now >= self._inventory_due:
                self.publish_inventory()
            if now >= self._status.due():
                self.write_status()
            due = [self._status.due() - now]
            if self._inventory_due is not None:
                due.append(self._inventory_due - now)
            rules_due = self._rules.next_due()
            if rules_due is not None:
                due.append(rules_due - now)
            if self._digest_due is not None:
                due.append(self._digest_due - now)
        return max(0.02, min(due))

    def identified(self, device: str, identity: Identity) -> None:
        """A device said who it is."""
        with self._lock:
            self.devices[device].identity = identity
            self._want_inventory()

    def counted(self, device: str, statistics: Mapping[str, Value]) -> None:
        """A device's counters: telemetry under the device's name."""
        with self._lock:
            self._telemetry.offer(
                device,
                {name: Reading(value=value) for name, value in statistics.items()},
                self._clock.monotonic(),
            )

    def spare(self, *, batch: float, values: float) -> None:
        """Telemetry that many times more seldom than configured, see `Telemetry.spare`."""
        with self._lock:
            self._telemetry.spare(batch=batch, values=values)
        self._wake()

    def telemetry_due(self) -> float | None:
        """When the batch should leave, monotonic seconds."""
        with self._lock:
            return self._telemetry.due_at()

    def take_telemetry(self) -> dict[str, Any] | None:
        """The batch so far as a telemetry body, or None."""
        with self._lock:
            return self._telemetry.take(self._clock.monotonic(), self._clock.wall(), self._clock.up_ms())

    def event(self, event: str, data: Mapping[str, Any]) -> None:
        """One line of the log, durable on return."""
        self._outbox.put_all([("event", {"event": event, "data": dict(data)}, "")])

    def maintenance(self, reason: str) -> None:
        """Enter maintenance with a reason, or leave it with ""."""
        with self._lock:
            self._maintenance = reason
            self._publisher.refresh_state()

    def on_evidence(self, finer: Callable[[str], str]) -> None:
        """Whom to ask for a device's own finer words when a fault takes evidence."""
        self._rules.finer = finer

    def believe(self, key: str) -> None:
        """What a device says of this fault counts again, as it remembers what it said before the restart."""
        with self._lock:
            self._rules.release(key)

    def visit(self) -> None:
        """A visit is announced: another SIM card is meant, and a device that forgot its tampering is believed."""
        with self._lock:
            self._rules.adopt("modem/sim_swapped")
            for key in ("reader/tamper", "keypad/tamper"):
                self._rules.release(key)

    # --- faults

    def restore(self, faults: Mapping[str, Fault]) -> None:
        """Faults that were raised when the agent last stopped; their rules go on from there."""
        with self._lock:
            orphans = self._rules.restore(faults)
            gone = [Transition("fault.cleared", replace(fault, state="cleared")) for fault in orphans]
            self._explained = dict(faults)
            self._apply(gone, force=True)

    def _apply(self, transitions: list[Transition], *, force: bool = False) -> None:
        """Explain anew, store what changed in one transaction, then send it."""
        if not transitions and not force:
            return
        explained = explain(self._rules.raised().values(), self._topology)
        told = [explained.get(t.fault.key, t.fault) if t.fault.state != "cleared" else t.fault for t in transitions]
        keys = {fault.key for fault in told}
        relabelled = [
            fault
            for key, fault in explained.items()
            if key not in keys and (before := self._explained.get(key)) is not None and faults.relabelled(before, fault)
        ]
        messages: list[tuple[str, dict[str, Any]]] = [
            (t.event, faults.body(fault)) for t, fault in zip(transitions, told, strict=True)
        ]
        if relabelled:
            labels = [{"fault": f.key, "cause": f.cause, "symptoms": f.symptoms} for f in relabelled]
            messages.append(("fault.relabelled", {"faults": labels}))
        changed = {fault.key: fault for fault in (*told, *relabelled)}.values()
        kept: dict[str, str | None] = {key: None for key in self._explained if key not in explained}
        kept |= {fault.key: faults.to_text(fault) for fault in changed if fault.key in explained}
        rows: list[tuple[wire.QueuedClass, dict[str, Any], str]] = [
            ("event", {"event": event, "data": data}, "") for event, data in messages
        ]
        self._outbox.put_all(rows, faults=kept, wake=False)  # what follows wakes it, with everything at hand
        self._explained = explained
        for fault in explained.values() if force else changed:
            self._publish_fault(fault)
        self._want_digest()
        self._judge()

    def _publish_fault(self, fault: Fault) -> None:
        message = wire.FaultMessage(**self.header(), **faults.body_fields(fault))
        kind: Literal["fault", "fault.cleared"] = "fault.cleared" if fault.state == "cleared" else "fault"
        self._publisher.publish_retained(f"fault/{fault.key}", wire.encode(message), kind)

    def _want_digest(self) -> None:
        if self._digest_due is None:
            self._digest_due = max(self._clock.monotonic(), self._digest_at + DIGEST_S)
            self._wake()

    def _publish_digest(self, now: float) -> None:
        self._digest_due = None
        self._digest_at = now
        message = wire.DigestMessage(**self.header(), faults=tuple(sorted(self._explained)))
        self._publisher.publish_retained("faults", wire.encode(message), "faults")

    # --- verdict and state

    def _blind(self) -> list[str]:
        """Essential units of which nothing has been heard yet."""
        essential = [d.name for d in self.devices.values() if d.unit in {"reader", "keypad"}]
        if self._config.network.acquirer:
            essential.append("network")
        return [name for name in essential if not self._knows(name)]

    def _knows(self, source: str) -> bool:
        return any(
            reading.value is not None
            for name, reading in self._latest.get(source, {}).items()
            if name not in {"port", "reply"}
        )

    def _judge(self) -> None:
        answer = verdict(self._explained, blind=self._blind())
        if not _same_verdict(answer, self._answer):
            self._answer = answer
            self._answer_since = answer.since if answer.since is not None else self._clock.wall()
            self._publisher.refresh_state()
        self._status.hasten(self._clock.monotonic())
        self._wake()

    def wire_verdict(self) -> wire.Verdict:
        answer = self._answer
        return wire.Verdict(
            can_sell=answer.can_sell,
            cause=answer.cause,
            act=answer.act,
            since=wire.timestamp(self._answer_since),
        )

    def state_payload(self, conn: int, status: str, reason: str) -> bytes:
        """The state message of status online or offline; as the will it is asked for before its connection."""
        with self._lock:
            if status == "online" and conn != self._conn:
                self._conn = conn
                if self._digest_due is not None:  # what was raised while away must not wait for its minute
                    self._publish_digest(self._clock.monotonic())
            if status == "online" and self._maintenance:
                status, reason = "maintenance", self._maintenance
            message = wire.StateMessage(
                **self.header(),
                status=status,  # type: ignore[arg-type]  # one of three words
                conn=conn,
                reason=reason or "running",
                verdict=self.wire_verdict(),
                poi=self._poi(),
            )
            return wire.encode(message)

    def _poi(self) -> dict[str, str | bool]:
        units = {device.unit for device in self.devices.values() if self._knows(device.name)}
        service, sells = bool(self._maintenance), self._answer.can_sell != "no"
        network = self._knows("network")
        return poi_status(self._explained, units, network_known=network, maintenance=service, sells=sells)

    # --- inventory

    def publish_inventory(self, *, always: bool = False) -> None:
        """Send the inventory when its hash has changed, or when asked to."""
        with self._lock:
            self._inventory_due = None
            payload = self._inventory.message(self.header(), always=always)
            if payload is not None:
                self._publisher.publish_retained("inventory", payload, "inventory")

    def takes(self, commands: Iterable[str]) -> None:
        """Which commands are run here; the next inventory tells it."""
        with self._lock:
            self._inventory.commands = tuple(sorted(commands))
            self._want_inventory()

    def set_report_key(self, key: str) -> None:
        """The key was made or found; the next inventory tells it."""
        with self._lock:
            self._inventory.report_key = key
            self._want_inventory()

    def resync(self) -> None:
        """Publish everything that is retained again, and every reading with the next batch."""
        with self._lock:
            self.publish_inventory(always=True)
            self._publish_digest(self._clock.monotonic())
            self._telemetry.repeat_all()
            self._publisher.resend()

    def device_entries(self) -> dict[str, wire.DeviceEntry]:
        """The inventory's rows of devices that have said who they are."""
        with self._lock:
            return self._inventory.entries()

    def probe_readings(self) -> dict[str, dict[str, Reading]]:
        """The latest readings of everything that is no device."""
        with self._lock:
            return {source: dict(readings) for source, readings in self._latest.items() if source not in self.devices}

    # --- what the center says

    def case(self) -> dict[str, Any]:
        """What the center says of the merchant's case; {} for none."""
        return self._status.case

    def set_case(self, case: dict[str, Any]) -> None:
        with self._lock:
            self._status.case = case
            self.write_status()

    def set_center(self, center: str, status: str) -> None:
        with self._lock:
            self._status.centers[center] = status
            self.write_status()

    def report_config(self, rejected: Mapping[str, str]) -> None:
        """Topic config/reported: what is in force, and what was refused."""
        text = json.dumps(wire.to_json_whole(self._config), sort_keys=True)
        message = wire.ConfigReportedMessage(
            **self.header(), version="file", hash=hashlib.sha256(text.encode()).hexdigest()[:16], rejected=rejected
        )
        self._publisher.publish_retained("config/reported", wire.encode(message), "config/reported")

    # --- status.json and others

    def header(self) -> dict[str, Any]:
        """What every uplink message carries."""
        return {
            "boot": self._boot,
            "at": wire.timestamp(self._clock.wall()),
            "up_ms": self._clock.up_ms(),
            "clock": self._clock.quality(),
        }

    def on_status(self, extra: Callable[[], dict[str, Any]]) -> None:
        """Let the application add what only it knows (link, store, probes) to status.json."""
        self._status.extra = extra

    def faults(self) -> dict[str, Fault]:
        with self._lock:
            return dict(self._explained)

    def status(self) -> dict[str, Any]:
        """What the till's screen and `posdiag status` show."""
        with self._lock:
            judged = {"verdict": wire.to_json(self.wire_verdict()), "poi": self._poi()}
            return self._status.compose(self.header() | judged, self._explained, self.devices, self._latest)

    def write_status(self) -> None:
        """Replace status.json."""
        with self._lock:
            self._status.write(self.status(), self._clock.monotonic())


def _same_verdict(one: Answer, other: Answer) -> bool:
    return (one.can_sell, one.cause, one.act) == (other.can_sell, other.cause, other.act)
