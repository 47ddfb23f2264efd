"""One terminal of a fleet: what it knows, and the messages that follow from it. Knows no MQTT.

It says what an agent says, in an agent's order: present values of what changed, then the rows of the log.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from agent import wire
from agent.vocabulary import VOCABULARY, act_of
from simulator.fleet_estate import Place
from simulator.fleet_faults import SIGNS, Label, Outcome, Sign, Standing, labels, outcome, poi
from simulator.fleet_outbox import Outbox
from simulator.fleet_parts import PROBES, Parts
from simulator.fleet_settings import REJECTED, Settings

DIGEST_S: Final = 60.0
RETOLD_S: Final = 900.0
_GENESIS: Final = "0" * 64


@dataclass(frozen=True, slots=True)
class Clocks:
    """Monotonic seconds, and epoch seconds that run with them."""

    now: Callable[[], float]
    wall: Callable[[], float]


class Member:
    """One terminal. `wake` is called when there is something new to send; `rate` is how fast its shop's time runs."""

    def __init__(
        self, place: Place, parts: Parts, clocks: Clocks, dice: random.Random, *, boot: int, rate: float = 1.0
    ) -> None:
        self.place = place
        self.parts = parts
        self.topics = wire.Topics(place.estate, place.terminal)
        self.dice = dice
        self.wake: Callable[[], None] = lambda: None
        self.boot = boot
        self.conn = 0
        self.on = False
        self.known = False
        self.outbox = Outbox(clocks.now, self.header)
        self.settings = Settings()
        self._clocks = clocks
        self._rate = rate
        self._booted_at = clocks.now()
        self._clock: wire.ClockQuality = "rtc"
        self._raised: dict[str, Standing] = {}
        self._counts: dict[str, int] = {}
        self._labels: dict[str, Label] = {}
        self._outcome = Outcome("unknown")
        self._state_due = False
        self._since = clocks.wall()
        self._digest_due: float | None = None
        self._digest_at = float("-inf")
        self._told: dict[str, Any] = {}
        self._samples: list[tuple[float, dict[str, Any]]] = []
        self._retold_at = float("-inf")
        self._unseen: list[Callable[[], None]] = []

    # --- from start to stop

    def start(self) -> None:
        """Power on and boot: what was raised before is raised still."""
        self.on, self.known, self._clock = True, False, "rtc"
        self._booted_at = self._clocks.now() - self.dice.uniform(8, 30)
        self.outbox.new_boot()
        self._counts = {key: standing.count for key, standing in self._raised.items()}
        self._told.clear()
        self._samples.clear()
        self._retold_at = self._digest_at = float("-inf")
        self._explain()
        for key in self._raised:
            self._tell_fault(key)
        self._digest_due = self._clocks.now()
        self._judge()

    def awake(self, reason: str) -> None:
        """The first rows of a boot; `reason` is how the one before ended."""
        self.outbox.row("event", {"event": "boot", "data": {"reason": reason, "boot": self.boot}})
        started = {"config": self.place.terminal, "version": self.parts.version}
        self.outbox.row("event", {"event": "agent.started", "data": started})
        self.wake()

    def warm(self) -> None:
        """Every device has answered, and the network has told the time."""
        self.known, self._clock = True, "network"
        own = {**self.parts.own, "boots.boot": self.boot, **self._network_time()}
        for values in self.parts.healthy:
            self._sample({name: own.get(name, value) for name, value in values.items()})
        self._retold_at = self._clocks.now()
        for key in self._raised:
            self._sample(self._sign(key).readings(raised=True))
        self._judge()
        unseen, self._unseen = self._unseen, []
        for happened in unseen:
            happened()
        self.wake()

    def die(self) -> None:
        """The power is gone, without a word. What waits is on disk, but for the batch that had begun."""
        self.on = False

    def stop(self) -> wire.StateMessage:
        """A stop that was meant: the last rows, and the state to leave behind."""
        self.outbox.row("event", {"event": "agent.stopped", "data": {"reason": "sigterm"}})
        self.tell_telemetry()
        self.on = False
        return self._state("offline", "sigterm")

    # --- the connection

    def will(self) -> bytes:
        """The will of the connection that is about to be made; it counts the connection."""
        self.conn += 1
        return wire.encode(self._state("offline", "connection_lost"))

    def online(self) -> None:
        """The broker has taken us: everything present again, the state last."""
        self.outbox.connected()
        if self._digest_due is not None:
            self._tell_digest()
        self._state_due = True

    def refresh(self) -> None:
        """The state as it is now, if it is another than was said; called while there is a connection."""
        if self._state_due:
            self._state_due = False
            self.outbox.value("state", wire.encode(self._state("online", "running")), "state")

    def tick(self) -> None:
        """What is due by time alone."""
        if self._digest_due is not None and self._clocks.now() >= self._digest_due:
            self._tell_digest()
            self.wake()

    # --- faults

    @property
    def raised(self) -> Mapping[str, Standing]:
        """The faults that stand."""
        return self._raised

    def hold(self, key: str, holder: str) -> None:
        """Raise a fault, or note one more reason for it. What happens to one that is off is seen after its start."""
        if not (self.on and self.known):
            self._unseen.append(lambda: self.hold(key, holder))
            return
        standing = self._raised.get(key)
        if standing is None:
            wall = self._clocks.wall()
            count = self._counts[key] = self._counts.get(key, 0) + 1
            standing = self._raised[key] = Standing(wall, wall, count)
            self._sample(self._sign(key).readings(raised=True))
            self._changed(key, "fault.raised", standing)
        standing.holders.add(holder)

    def release(self, key: str, holder: str) -> None:
        """One reason less; without any the fault is cleared."""
        if not (self.on and self.known):
            self._unseen.append(lambda: self.release(key, holder))
            return
        standing = self._raised.get(key)
        if standing is None:
            return
        standing.holders.discard(holder)
        if standing.holders:
            return
        del self._raised[key]
        standing.last_at = self._clocks.wall()
        self._sample(self._sign(key).readings(raised=False))
        self._changed(key, "fault.cleared", standing)

    def _changed(self, key: str, event: str, standing: Standing) -> None:
        """Tell the change, and whatever it explains or leaves without explanation."""
        before = self._labels
        self._explain()
        cleared = event == "fault.cleared"
        body = self._body(key, standing, cleared=cleared)
        relabelled = [
            other
            for other, label in self._labels.items()
            if other != key
            and (old := before.get(other)) is not None
            and (old.cause, old.symptoms) != (label.cause, label.symptoms)
        ]
        self.outbox.row("event", {"event": event, "data": wire.to_json(wire.FaultBody(**body))})
        if relabelled:
            told = [
                {"fault": other, "cause": self._labels[other].cause, "symptoms": list(self._labels[other].symptoms)}
                for other in relabelled
            ]
            self.outbox.row("event", {"event": "fault.relabelled", "data": {"faults": told}})
        kind = "fault.cleared" if cleared else "fault"
        self.outbox.value(f"fault/{key}", wire.encode(wire.FaultMessage(**self.header(), **body)), kind)
        for other in relabelled:
            self._tell_fault(other)
        if self._digest_due is None:
            self._digest_due = max(self._clocks.now(), self._digest_at + DIGEST_S)
        self._judge()
        self.wake()

    def _sign(self, key: str) -> Sign:
        return self.settings.sign() if key == REJECTED else SIGNS[key]

    def _explain(self) -> None:
        found = labels(self._raised, self.place.bearer)
        self._labels = {key: found[key] for key in self._raised}

    def _tell_fault(self, key: str) -> None:
        body = self._body(key, self._raised[key], cleared=False)
        self.outbox.value(f"fault/{key}", wire.encode(wire.FaultMessage(**self.header(), **body)), "fault")

    def _body(self, key: str, standing: Standing, *, cleared: bool) -> dict[str, Any]:
        label = Label() if cleared else self._labels[key]
        return {
            "fault": key,
            "state": "cleared" if cleared else "raised",
            "severity": VOCABULARY[key].severity,
            "cause": label.cause,
            "symptoms": label.symptoms,
            "first_at": wire.timestamp(standing.first_at),
            "last_at": wire.timestamp(standing.last_at),
            "count": standing.count,
            "device": self._sign(key).source,
            "evidence": self._sign(key).evidence(raised=not cleared),
            "advice": key.replace("/", "."),
            "act": act_of(key),
            "basis": "measured" if label.measured else "inferred",
        }

    def _tell_digest(self) -> None:
        self._digest_due, self._digest_at = None, self._clocks.now()
        message = wire.DigestMessage(**self.header(), faults=tuple(sorted(self._raised)))
        self.outbox.value("faults", wire.encode(message), "faults")

    # --- verdict and state

    def _judge(self) -> None:
        first = {key: standing.first_at for key, standing in self._raised.items()}
        found = outcome(first, self._labels, blind=not self.known)
        if found != self._outcome:
            self._outcome = found
            self._since = first[found.cause] if found.cause else self._clocks.wall()
            self._state_due = True

    def verdict(self) -> wire.Verdict:
        """The one answer."""
        told = self._outcome
        return wire.Verdict(can_sell=told.can_sell, cause=told.cause, act=told.act, since=wire.timestamp(self._since))

    def _state(self, status: str, reason: str) -> wire.StateMessage:
        return wire.StateMessage(
            **self.header(),
            status=status,  # type: ignore[arg-type]  # one of three words
            conn=self.conn,
            reason=reason,
            verdict=self.verdict(),
            poi=poi(
                self._raised,
                known=self.known,
                sells=self._outcome.can_sell != "no",
                printing=not self._is_silent("printer"),
            ),
        )

    # --- inventory, health, settings

    def tell_inventory(self) -> None:
        """What it is made of."""
        parts = self.parts
        key = hashlib.sha256(f"report-{self.place.terminal}".encode()).hexdigest()
        agent = {"version": parts.version, "boot": str(self.boot), "report_key": key}
        known = wire.dumps([[wire.to_json(device) for device in parts.devices], parts.metrics, parts.version])
        message = wire.InventoryMessage(
            **self.header(),
            hash=hashlib.sha256(known).hexdigest()[:16],
            agent=agent,
            devices=parts.devices,
            metrics=parts.metrics,
            commands=tuple(sorted(wire.TIERS)),
        )
        self.outbox.value("inventory", wire.encode(message), "inventory")
        self.wake()

    def tell_health(self, counted: Mapping[str, int]) -> None:
        """The agent itself; `counted` are the bytes of today by kind."""
        names = (*(device.name for device in self.parts.devices), *PROBES)
        at = wire.timestamp(self._clocks.wall())
        rows = self.outbox.depth()
        waiting = sum(rows.values())
        message = wire.HealthMessage(
            **self.header(),
            pss_kib=self.dice.randint(19_800, 22_400),
            cpu_percent=round(self.dice.uniform(0.2, 1.9), 3),
            threads=12,
            store_rows=rows,
            store_bytes=500 * waiting,
            store_hours=round(waiting / 60, 2),
            drops={"full": self.outbox.given_up} if self.outbox.given_up else {},
            bytes_today=counted,
            refused={"report": 0},
            probes=tuple(self._probe(name, at) for name in names),
            problems=("printer: the device does not answer",) if self._is_silent("printer") else (),
            audit={"n": 0, "head": _GENESIS},
        )
        self.outbox.value("health", wire.encode(message), "health")
        self.wake()

    def _probe(self, name: str, at: str) -> wire.ProbeEntry:
        took_ms = round(self.dice.uniform(0.1, 90), 1)
        if self._is_silent(name):
            return wire.ProbeEntry(probe=name, state="failing", last_at=at, took_ms=took_ms, error="no reply")
        return wire.ProbeEntry(probe=name, state="ok", last_at=at, took_ms=took_ms)

    def _is_silent(self, device: str) -> bool:
        return f"{device}/no_reply" in self._raised

    def report_settings(self) -> None:
        """Which settings are in force, and the fault for what was refused."""
        message = self.settings.message(self.place.terminal, self.header())
        self.outbox.value("config/reported", wire.encode(message), "config/reported")
        if self.settings.why:
            self.hold(REJECTED, "settings")
        else:
            self.release(REJECTED, "settings")
        self.wake()

    # --- telemetry

    def _sample(self, values: Mapping[str, Any]) -> None:
        """Note those of these metrics that are not as they were told."""
        changed = {name: value for name, value in values.items() if self._told.get(name, self) != value}
        if changed and self.known:
            self._told |= changed
            self._samples.append((self._clocks.now(), changed))

    def wander(self, load: float) -> None:
        """What moves by itself, at a load of 0 to 1: told where it left its dead band."""
        moves: dict[str, Any] = {}
        for name, middle, swing, band in self._wandering(load):
            told = self._told.get(name)
            value = round(self.dice.gauss(middle, swing), 1)
            if isinstance(told, int | float) and abs(value - told) >= band:
                moves[name] = int(value) if isinstance(told, int) else value
        self._sample(moves)
        if self._clocks.now() - self._retold_at >= RETOLD_S / self._rate:
            self._retold_at = self._clocks.now()
            again, self._told = self._told, {}
            uptime_s = round(self._clocks.now() - self._booted_at)
            self._sample({**again, "system.uptime_s": uptime_s, **self._network_time()})

    def _network_time(self) -> dict[str, str]:
        told = wire.timestamp(self._clocks.wall())
        return {"modem.clock_utc": f"{told[:19]}Z"} if self.place.bearer == "modem" else {}

    def _wandering(self, load: float) -> tuple[tuple[str, float, float, float], ...]:
        """Metric, its middle, its swing, and the move that is worth telling."""
        return (
            ("modem.rsrp_dbm", -88, 2.5 if "modem/weak_signal" not in self._raised else 0, 3),
            ("network.latency_ms", 35 + 30 * load, 8 + 12 * load, 20),
            ("system.cpu_percent", 8 + 25 * load, 4, 1),
            ("system.temperature_c", 42 + 5 * load, 1, 1),
        )

    def tell_telemetry(self) -> None:
        """The batch so far, if anything is in it."""
        if not self._samples:
            return
        began = self._samples[0][0]
        ago = self._clocks.now() - began
        samples = [[round((at - began) * 1000), values] for at, values in self._samples]
        self._samples.clear()
        at = wire.timestamp(self._clocks.wall() - ago)
        up_ms = max(0, self._up_ms() - round(ago * 1000))
        self.outbox.row("telemetry", {"at": at, "up_ms": up_ms, "samples": samples})
        self.wake()

    # --- all of them

    def header(self) -> dict[str, Any]:
        """What every message carries."""
        return {
            "boot": self.boot,
            "at": wire.timestamp(self._clocks.wall()),
            "up_ms": self._up_ms(),
            "clock": self._clock,
        }

    def _up_ms(self) -> int:
        return round((self._clocks.now() - self._booted_at) * 1000)
