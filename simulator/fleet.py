"""`posdiag sim fleet`: N terminals that publish, each with a connection, a will and sequence numbers of its own.

What they say is what agents say (`agent.wire`). The terminals behind it have no devices, only a state that wanders:
healthy most of the time, with the faults of a shop's day. One thread serves all.
"""

from __future__ import annotations

import heapq
import json
import random
import selectors
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from agent import wire
from agent.vocabulary import VOCABULARY, act_of

_HEARTBEAT_S: Final = 60.0
_MISC_S: Final = 5.0
_CONNECTS_PER_S: Final = 200  # a broker's backlog is a few hundred; a storm is asked for, not made by accident
# What a day in shops brings, and how often one is chosen among the others.
_FAULTS: Final = {
    "printer/paper_near_end": 8,
    "printer/paper_out": 6,
    "printer/cover_open": 4,
    "modem/weak_signal": 4,
    "network/slow": 3,
    "power/mains_lost": 2,
    "reader/card_left": 2,
    "printer/cutter_error": 1,
    "keypad/key_stuck": 1,
    "modem/sim_absent": 1,
}


@dataclass(slots=True)
class Member:
    """One terminal of the fleet."""

    topics: wire.Topics
    random: random.Random
    boot: int
    started: float
    client: paho.Client | None = None
    up: bool = False
    conn: int = 0
    seq: dict[str, int] = field(default_factory=lambda: {"event": 0, "telemetry": 0})
    raised: dict[str, dict[str, Any]] = field(default_factory=dict)


class Fleet:
    """N members on one selector. `sent` and `acknowledged` count PUBLISHes and their PUBACKs."""

    def __init__(
        self, url: str, count: int, *, estate: str, faults_per_hour: float, seed: int, clock: Callable[[], float]
    ) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "127.0.0.1", parts.port or 1883)
        self._clock = clock
        self._pause_s = 3600.0 / faults_per_hour if faults_per_hour > 0 else 0.0
        self._selector = selectors.DefaultSelector()
        self._due: list[tuple[float, int, str]] = []
        self.sent = 0
        self.acknowledged = 0
        self.members = [
            Member(
                wire.Topics(estate, f"fleet-{number:05d}"),
                random.Random(seed * 1_000_003 + number),
                boot=int(time.time()) - 1_767_225_600,
                started=clock(),
            )
            for number in range(count)
        ]
        for number, member in enumerate(self.members):
            self._plan(number / _CONNECTS_PER_S, number, "connect")
            self._plan(number / _CONNECTS_PER_S + member.random.uniform(5, _HEARTBEAT_S), number, "telemetry")
            if self._pause_s:
                self._plan(number / _CONNECTS_PER_S + member.random.expovariate(1 / self._pause_s), number, "fault")

    @property
    def connected(self) -> int:
        return sum(member.up for member in self.members)

    def run(self, seconds: float, stopping: Callable[[], bool], tell: Callable[[], None]) -> None:
        """Serve all until the time is up (0 for never) or `stopping`; `tell` is called each second."""
        end = self._clock() + seconds if seconds else float("inf")
        told = misc = self._clock()
        while self._clock() < end and not stopping():
            now = self._clock()
            while self._due and self._due[0][0] <= now:
                _, number, what = heapq.heappop(self._due)
                self._do(number, what)
            for key, events in self._selector.select(0.02):
                _serve(self.members[key.data], events)
            if now - misc > _MISC_S:
                misc = now
                for member in self.members:
                    if member.client is not None:
                        member.client.loop_misc()
            if now - told > 1:
                told = now
                tell()

    def close(self) -> None:
        """Every member says goodbye as a stopped agent does."""
        for member in self.members:
            if member.client is not None and member.up:
                self._publish(member, "state", self._state(member, "offline", "sigterm"), "state")
                member.client.disconnect()
                with suppress(OSError):
                    member.client.loop_write()
        self._selector.close()

    # --- what is due

    def _plan(self, in_s: float, number: int, what: str) -> None:
        heapq.heappush(self._due, (self._clock() + in_s, number, what))

    def _do(self, number: int, what: str) -> None:
        member = self.members[number]
        if what == "connect":
            self._connect(number, member)
        elif what == "telemetry":
            self._plan(_HEARTBEAT_S, number, "telemetry")
            if member.up:
                self._telemetry(member)
        elif what == "fault":
            self._plan(member.random.expovariate(1 / self._pause_s), number, "fault")
            if member.up:
                self._change(member)

    def _connect(self, number: int, member: Member) -> None:
        member.conn += 1
        client = paho.Client(CallbackAPIVersion.VERSION2, member.topics.terminal, protocol=paho.MQTTv5)
        will = Properties(PacketTypes.WILLMESSAGE)  # type: ignore[no-untyped-call]
        will.WillDelayInterval = 30
        client.will_set(member.topics.of("state"), self._state(member, "offline", "connection_lost"), 1, True, will)
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = 3600
        client.on_connect = lambda *_args: self._welcome(member)
        client.on_publish = lambda *_args: self._count()
        client.on_socket_open = lambda _c, _u, sock: self._watch(sock, number, selectors.EVENT_READ)
        client.on_socket_close = lambda _c, _u, sock: self._lost(sock, number)
        client.on_socket_register_write = lambda _c, _u, sock: self._modify(
            sock, number, selectors.EVENT_READ | selectors.EVENT_WRITE
        )
        client.on_socket_unregister_write = lambda _c, _u, sock: self._modify(sock, number, selectors.EVENT_READ)
        member.client = client
        try:
            client.connect(*self._address, keepalive=60, clean_start=False, properties=properties)
        except OSError:
            member.client = None
            self._plan(member.random.uniform(1, 30), number, "connect")

    def _watch(self, sock: Any, number: int, events: int) -> None:
        self._selector.register(sock, events, number)

    def _modify(self, sock: Any, number: int, events: int) -> None:
        with suppress(KeyError, ValueError):
            self._selector.modify(sock, events, number)

    def _lost(self, sock: Any, number: int) -> None:
        with suppress(KeyError, ValueError):
            self._selector.unregister(sock)
        member = self.members[number]
        if member.client is not None:
            member.client = None
            member.up = False
            self._plan(member.random.uniform(1, 30), number, "connect")

    def _count(self) -> None:
        self.acknowledged += 1

    # --- what is said

    def _welcome(self, member: Member) -> None:
        member.up = True
        self._publish(member, "inventory", self._inventory(member), "inventory")
        for key in member.raised:
            self._publish(member, f"fault/{key}", self._fault(member, key, "raised"), "fault")
        self._publish(member, "faults", self._digest(member), "faults")
        self._publish(member, "state", self._state(member, "online", "running"), "state")

    def _publish(self, member: Member, suffix: str, payload: bytes, kind: str) -> None:
        if member.client is None:
            return
        delivery = wire.DELIVERY[kind]
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.ContentType = wire.CONTENT_JSON
        if delivery.expiry_s is not None:
            properties.MessageExpiryInterval = delivery.expiry_s
        topic = member.topics.of(suffix)
        member.client.publish(topic, payload, delivery.qos, delivery.retain, properties)
        self.sent += 1

    def _header(self, member: Member) -> dict[str, Any]:
        up_ms = int((self._clock() - member.started) * 1000)
        return {"boot": member.boot, "at": wire.timestamp(time.time()), "up_ms": up_ms, "clock": "synced"}

    def _state(self, member: Member, status: str, reason: str) -> bytes:
        worst = next(iter(member.raised), None)
        verdict = wire.Verdict(
            can_sell="no" if worst == "modem/sim_absent" else "degraded" if worst else "yes",
            cause=worst,
            act=act_of(worst) if worst else "none",
            since=member.raised[worst]["first_at"] if worst else wire.timestamp(time.time()),
        )
        message = wire.StateMessage(
            **self._header(member),
            status=status,  # type: ignore[arg-type]
            conn=member.conn,
            reason=reason,
            verdict=verdict,
            poi={"GlobalStatus": "OK"},
        )
        return wire.encode(message)

    def _inventory(self, member: Member) -> bytes:
        device = wire.DeviceEntry(
            name="printer",
            unit="printer",
            family="escpos",
            manufacturer="POSDIAG-SIM",
            model="SIM-T88",
            firmware="2.04",
        )
        message = wire.InventoryMessage(
            **self._header(member),
            hash="0" * 16,
            agent={"version": "fleet"},
            devices=(device,),
            metrics={"modem.rsrp_dbm": "dbm", "power.voltage_mv": "mv"},
            commands=(),
        )
        return wire.encode(message)

    def _digest(self, member: Member) -> bytes:
        return wire.encode(wire.DigestMessage(**self._header(member), faults=tuple(sorted(member.raised))))

    def _telemetry(self, member: Member) -> None:
        member.seq["telemetry"] += 1
        values = {"modem.rsrp_dbm": member.random.randint(-110, -70), "power.voltage_mv": 7600}
        message = wire.TelemetryMessage(
            **self._header(member), seq=member.seq["telemetry"], samples=((0, dict(values)),)
        )
        self._publish(member, "telemetry", wire.encode(message), "telemetry")

    def _change(self, member: Member) -> None:
        """One fault comes, or one that stands goes."""
        if member.raised and member.random.random() < 0.6:
            key = member.random.choice(sorted(member.raised))
            state = "cleared"
        else:
            key = member.random.choices(list(_FAULTS), list(_FAULTS.values()))[0]
            if key in member.raised:
                return
            state = "raised"
            member.raised[key] = {"first_at": wire.timestamp(time.time())}
        body = self._body(member, key, state)
        member.seq["event"] += 1
        event = wire.EventMessage(
            **self._header(member),
            seq=member.seq["event"],
            event=f"fault.{state}",
            data=wire.to_json(wire.FaultBody(**body)),
        )
        self._publish(member, "event", wire.encode(event), "event")
        payload = self._fault(member, key, state)
        self._publish(member, f"fault/{key}", payload, "fault" if state == "raised" else "fault.cleared")
        if state == "cleared":
            del member.raised[key]
        self._publish(member, "faults", self._digest(member), "faults")
        self._publish(member, "state", self._state(member, "online", "running"), "state")

    def _fault(self, member: Member, key: str, state: str) -> bytes:
        return wire.encode(wire.FaultMessage(**self._header(member), **self._body(member, key, state)))

    def _body(self, member: Member, key: str, state: str) -> dict[str, Any]:
        unit = key.partition("/")[0]
        return {
            "fault": key,
            "state": state,
            "severity": VOCABULARY[key].severity,
            "cause": None,
            "symptoms": (),
            "first_at": member.raised[key]["first_at"],
            "last_at": wire.timestamp(time.time()),
            "count": 1,
            "device": unit,
            "evidence": {"simulated": True},
            "advice": key.replace("/", "."),
            "act": act_of(key),
            "basis": "measured",
        }


def _serve(member: Member, events: int) -> None:
    """Let paho read and write; either may end the connection."""
    if member.client is not None and events & selectors.EVENT_READ:
        member.client.loop_read()
    if member.client is not None and events & selectors.EVENT_WRITE:
        member.client.loop_write()


def run_fleet(
    url: str, count: int, *, estate: str, faults_per_hour: float, seconds: float, seed: int, as_json: bool,
    stopping: Callable[[], bool],
) -> int:  # fmt: skip
    """Publish until the time is up or a signal came. 0 done, 2 no broker."""
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname or "127.0.0.1", parts.port or 1883), 3).close()
    except (OSError, ValueError) as error:
        sys.stderr.write(f"posdiag sim: no broker at {url}: {error}\n")
        return 2
    fleet = Fleet(url, count, estate=estate, faults_per_hour=faults_per_hour, seed=seed, clock=time.monotonic)

    def tell() -> None:
        if as_json:
            print(json.dumps(_figures(fleet)), flush=True)
        elif sys.stderr.isatty():
            sys.stderr.write(f"\r{fleet.connected} of {count} connected, {fleet.sent} sent")
            sys.stderr.flush()

    try:
        fleet.run(seconds, stopping, tell)
    finally:
        fleet.close()
    print(json.dumps(_figures(fleet)) if as_json else f"{count} terminals, {fleet.sent} messages sent")
    return 0


def _figures(fleet: Fleet) -> dict[str, int]:
    return {
        "terminals": len(fleet.members),
        "connected": fleet.connected,
        "sent": fleet.sent,
        "acknowledged": fleet.acknowledged,
    }
