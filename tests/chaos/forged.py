"""Commands that must never run, thrown at a daemon that is killed again and again: `python -m tests.chaos.forged`.

Good commands, each sent many times over, go between them, so that a daemon that takes nothing does not pass for a safe
one. What ran is told by the log's events on the wire, which name the command's own reason.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from agent.audit_log import verify
from agent.wire import MAX_PACKET_BYTES
from tests.mqtt.broker import Broker, Mosquitto, Observer, Rumqttd
from tests.system.desk import Desk, bare, make_key, part
from tests.system.stage import Agent
from tests.wait import wait_until

_BATCH = 6  # no more than wait in line


@dataclass
class Storm:
    """What was sent and what came of it."""

    desk: Desk
    chance: random.Random
    tells_retained: bool
    """Whether the broker passes the mark on to who is connected; else a retained command arrives as any other."""
    kinds: Counter[str] = field(default_factory=Counter)
    kills: int = 0
    good: list[tuple[dict[str, Any], bytes]] = field(default_factory=list)

    def body(self, reason: str, **more: Any) -> dict[str, Any]:
        """A command whose effect can be seen: maintenance with this reason."""
        until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 900))
        return self.desk.body("maintenance", args={"on": True, "until": until, "reason": reason}, tier=2, **more)

    def bad(self, number: int) -> tuple[str, dict[str, Any], bytes]:
        """Kind, claims and payload of one that must not run."""
        kind = self.chance.choice([kind for kind in KINDS if kind != "retained" or self.tells_retained])
        body, payload = KINDS[kind](self, f"bad-{number}-{kind}")
        self.kinds[kind] += 1
        return kind, body, payload

    def throw(self, payload: bytes) -> None:
        """More than the broker lets in; it ends the connection, so that one is made for this alone."""
        client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        client.connect("127.0.0.1", self.desk.observer.port)
        client.publish(f"{self.desk.agent.base}/command", payload, qos=1)
        while client.loop(0.2) == MQTTErrorCode.MQTT_ERR_SUCCESS and client.want_write():
            pass
        client.disconnect()

    def send(self, body: dict[str, Any], payload: bytes, *, retain: bool = False) -> None:
        properties = Properties(PacketTypes.PUBLISH)
        properties.ResponseTopic = f"{self.desk.agent.base}/result/{body['jti']}"
        properties.CorrelationData = str(body["jti"]).encode()
        self.desk.observer.publish(f"{self.desk.agent.base}/command", payload, properties, retain=retain)
        if retain:
            self.desk.observer.publish(f"{self.desk.agent.base}/command", b"", retain=True)

    def ran(self) -> Counter[str]:
        """Reason to how often the daemon's log says that it entered maintenance for it."""
        topic = f"{self.desk.agent.base}/event"
        events = [h.body for h in list(self.desk.observer.heard) if h.topic == topic]
        once = {(body["boot"], body["seq"]): body for body in events if body["event"] == "maintenance.entered"}
        return Counter(body["data"]["reason"] for body in once.values())

    def heard_out(self) -> bool:
        """Whether the daemon's last word has come, before which everything else was acknowledged."""
        topic = f"{self.desk.agent.base}/state"
        return any(h.body["reason"] == "sigterm" for h in list(self.desk.observer.heard) if h.topic == topic)

    def handled(self) -> int:
        """How many messages were refused by this run of the daemon, or taken by any: a replayed one may be the first."""
        prefix = f"{self.desk.agent.base}/result/"
        heard = [h.body for h in list(self.desk.observer.heard) if h.topic.startswith(prefix)]
        taken = {body["id"] for body in heard if body["state"] == "accepted"}
        return sum(self.desk.facts()["health"]["refused"].values()) + len(taken)

    def settle(self, sent: int, before: int) -> None:
        """Wait until so many more were done with."""
        try:
            wait_until(lambda: self.handled() >= before + sent, 60, every_s=0.1)
        except AssertionError as error:
            refused = self.desk.facts()["health"]["refused"]
            missed = f"{self.handled() - before} of {sent} were done with after {sum(self.kinds.values())} tries"
            raise AssertionError(f"{missed} and {self.kills} kills; refused in this run: {refused}") from error


Kind = Callable[[Storm, str], tuple[dict[str, Any], bytes]]


def _signed(**change: int) -> Kind:
    """Rightly signed, but not for now."""

    def make(storm: Storm, reason: str) -> tuple[dict[str, Any], bytes]:
        now = int(time.time())
        body = storm.body(reason, **{name: now + shift for name, shift in change.items()})
        return body, storm.desk.signed(body)

    return make


def _foreign(storm: Storm, reason: str) -> tuple[dict[str, Any], bytes]:
    body = storm.body(reason, aud=storm.chance.choice(["demo/another", "demo/all", "other/till", "", "demo/"]))
    return body, storm.desk.signed(body)


def _wrong_tier(storm: Storm, reason: str) -> tuple[dict[str, Any], bytes]:
    body = {**storm.body(reason), "tier": storm.chance.choice([0, 1, 3])}
    return body, storm.desk.signed(body)


def _stranger(storm: Storm, reason: str) -> tuple[dict[str, Any], bytes]:
    body = storm.body(reason)
    kid = storm.chance.choice([storm.desk.key["kid"], "another"])
    return body, jwt.encode(body, Ed25519PrivateKey.generate(), "EdDSA", {"kid": kid}).encode()


def _unsigned(storm: Storm, reason: str) -> tuple[dict[str, Any], bytes]:
    body, kid = storm.body(reason), storm.desk.key["kid"]
    alg = storm.chance.choice(["none", "None", "HS256", "ES256", ""])
    bare_form = json.dumps(body).encode()
    return body, storm.chance.choice([bare_form, f"{part({'alg': alg, 'kid': kid})}.{part(body)}.".encode()])


def _mixed(storm: Storm, reason: str) -> tuple[dict[str, Any], bytes]:
    """Another command's signature on these claims, or one changed bit."""
    body = storm.body(reason)
    head, _claims, signature = storm.desk.signed(storm.body("unsent")).split(b".")
    if storm.chance.random() < 0.5:
        return body, b".".join((head, part(body).encode(), signature))
    payload = bytearray(storm.desk.signed(body))
    payload[storm.chance.randrange(len(payload) - 1)] ^= 1 << storm.chance.randrange(6)
    return body, bytes(payload)


def _oversized(storm: Storm, reason: str) -> tuple[dict[str, Any], bytes]:
    body = storm.body(reason)
    body["args"]["padding"] = "x" * 12_300
    return body, storm.desk.signed(body)


def _replayed(storm: Storm, reason: str) -> tuple[dict[str, Any], bytes]:
    return storm.chance.choice(storm.good[-40:]) if storm.good else _stranger(storm, reason)


def _retained(storm: Storm, reason: str) -> tuple[dict[str, Any], bytes]:
    body = storm.body(reason)
    return body, storm.desk.signed(body)


KINDS: dict[str, Kind] = {
    "late": _signed(nbf=-400, exp=-100),
    "late by seconds": _signed(nbf=-200, exp=-2),
    "early": _signed(nbf=100, exp=300),
    "long-lived": _signed(nbf=-5, exp=4000),
    "foreign": _foreign,
    "wrong tier": _wrong_tier,
    "stranger's": _stranger,
    "unsigned": _unsigned,
    "mixed": _mixed,
    "oversized": _oversized,
    "replayed": _replayed,
    "retained": _retained,
}


def play(folder: Path, broker: Broker, observer: Observer, tries: int, kills: int, seed: int) -> Storm:
    """Raises AssertionError when one ran that must not, or when a good one ran twice or none did."""
    key = make_key(folder / "pki")
    config = bare(folder, broker.port, key.parent / "keys.json", id=f"till-{seed}", per_minute=600, per_hour=60)
    desk = Desk(Agent.__new__(Agent), observer, key)
    storm = Storm(desk, random.Random(seed), tells_retained=isinstance(broker, Mosquitto))
    killed_at = {round((each + 0.5) * tries / kills) // _BATCH * _BATCH for each in range(kills)} if kills else set()
    agent = storm.desk.agent = Agent(config)
    try:
        agent.until(lambda status: status["connected"], 30)
        for first in range(0, tries, _BATCH):
            count = min(_BATCH, tries - first)
            _batch(storm, first, count, kill=first in killed_at)
            if first in killed_at:
                _an_hour_passes(folder / "state")
                agent = storm.desk.agent = Agent(config)
                agent.until(lambda status: status["connected"], 30)
        wait_until(lambda: storm.ran()[f"good-{len(storm.good) - 1}"] or storm.kills, 10)
        assert agent.terminate()[0] == 0
        wait_until(storm.heard_out)
    finally:
        if agent.alive():
            agent.kill()
    _judge(storm, folder / "state")
    return storm


def _an_hour_passes(state_dir: Path) -> None:
    """Else the limit on disruptive commands, which outlives a kill, would refuse the good ones."""
    with contextlib.closing(sqlite3.connect(state_dir / "posdiag.db")) as store, store:
        store.execute("DELETE FROM kept WHERE key = 'command_rate'")


def _batch(storm: Storm, first: int, count: int, *, kill: bool) -> None:
    if kill or not storm.good or storm.chance.random() < 0.02:
        body = storm.body(f"good-{len(storm.good)}")
        payload = storm.desk.signed(body)
        storm.good.append((body, payload))
        storm.send(body, payload)
        if not kill:
            storm.desk.life(body["jti"])
    before, arrive = storm.handled(), 0
    for number in range(first, first + count):
        kind, body, payload = storm.bad(number)
        if kind == "oversized" and storm.tells_retained:  # only mosquitto minds its limit
            storm.throw(payload)
            continue
        storm.send(body, payload, retain=kind == "retained")
        arrive += 2 if kind == "retained" else 1  # what ends a retained message arrives as one, too
    if not kill:
        storm.settle(arrive, before)
        return
    end = time.monotonic() + storm.chance.uniform(0.0, 1.5)
    wait_until(lambda: time.monotonic() >= end, 5)
    storm.desk.agent.kill()
    storm.kills += 1


def _judge(storm: Storm, state_dir: Path) -> None:
    ran = storm.ran()
    assert not [reason for reason in ran if not reason.startswith("good-")], ran
    assert all(times == 1 for times in ran.values()), ran
    assert ran, "not one good command ran"
    good = {body["jti"] for body, _ in storm.good}
    results = [h for h in list(storm.desk.observer.heard) if h.topic.startswith(f"{storm.desk.agent.base}/result/")]
    taken = {h.body["id"] for h in results if h.body["state"] in {"accepted", "running", "succeeded"}}
    assert taken <= good
    ends: Counter[str] = Counter()
    for command_id in taken:
        ends.update(
            {r["state"]: 1 for r in storm.desk.results(command_id) if r["state"] not in {"accepted", "running"}}
        )
    assert sum(ends.values()) == len(taken), f"{len(taken)} were taken, and ended so: {dict(ends)}"
    found = verify(state_dir)
    assert not found.problems, found.problems


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.forged", description=__doc__)
    parser.add_argument("--tries", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pd-") as name:
        broker = Mosquitto(Path(name)) if Mosquitto.installed() else Rumqttd(Path(name))
        if isinstance(broker, Mosquitto):
            broker.more = f"max_packet_size {MAX_PACKET_BYTES}\n"  # as deploy/ has it, and why
        broker.start()
        try:
            with Observer(broker.port) as observer:
                began = time.monotonic()
                storm = play(Path(name), broker, observer, args.tries, args.kills, args.seed)
                print(f"{sum(storm.kinds.values())} tries, {storm.kills} kills, {time.monotonic() - began:.0f} s")
                print(f"ran: {sum(storm.ran().values())} of {len(storm.good)} good ones, 0 of the others")
                print(", ".join(f"{kind} {times}" for kind, times in sorted(storm.kinds.items())))
        finally:
            broker.kill()
    return 0


if __name__ == "__main__":
    sys.exit(main())
