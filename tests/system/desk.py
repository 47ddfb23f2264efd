"""Somebody who signs and sends commands, as a support center does."""

from __future__ import annotations

import base64
import itertools
import json
import time
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.mqtt.broker import Observer
from tests.system.stage import Agent, Sim, ask_socket, posdiag
from tests.wait import wait_until

_count = itertools.count(1)
SETTINGS = """
[telemetry]
health_s = 1
[commands]
keys_file = "{keys}"
per_minute = {per_minute}
disruptive_per_hour = {per_hour}
consent_s = {consent_s}
reboot = ["{reboot}", "now"]
"""


def make_key(folder: Path) -> Path:
    """A new command key beside those that are there; its private file."""
    made = posdiag("pki", "command-key", str(folder), "--json")
    assert made.returncode == 0, made.stderr
    return Path(json.loads(made.stdout)["files"][0])


def settings(sim: Sim, keys: Path, **more: Any) -> Path:
    """A configuration that takes signed commands alone."""
    values = {"per_minute": 600, "per_hour": 60, "consent_s": 120, "reboot": "/bin/true", **more}
    return sim.write_config(
        add=SETTINGS.format(keys=keys, **values),
        change=lambda text: text.replace("commands = true", "commands = false"),
    )


def bare(folder: Path, mqtt_port: int, keys: Path, *, id: str = "till-1", add: str = "", **commands: Any) -> Path:  # noqa: A002
    """A configuration of a terminal without devices, which takes signed commands."""
    values = {"per_minute": 600, "per_hour": 60, "consent_s": 120, "reboot": "/bin/true", **commands}
    path = folder / "agent.toml"
    path.write_text(
        f"""[terminal]
id = "{id}"
estate = "demo"
[mqtt]
url = "mqtt://127.0.0.1:{mqtt_port}"
[paths]
run_dir = "{folder}/run"
state_dir = "{folder}/state"
{SETTINGS.format(keys=keys, **values)}{add}"""
    )
    return path


def part(value: object) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Desk:
    """Somebody who sends commands, knowing the contract alone."""

    def __init__(self, agent: Agent, observer: Observer, key_file: Path | None = None) -> None:
        self.agent = agent
        self.observer = observer
        self.key = json.loads(key_file.read_bytes()) if key_file else {}

    def body(self, cmd: str, **more: Any) -> dict[str, Any]:
        now = int(time.time())
        _pos, _version, estate, terminal = self.agent.base.split("/")
        return {
            "iss": "desk-1",
            "aud": f"{estate}/{terminal}",
            "jti": f"command-{next(_count):06d}",
            "nbf": now - 5,
            "exp": now + 60,
            "cmd": cmd,
            "args": {},
            "tier": 0,
            **more,
        }

    def signed(self, body: dict[str, Any]) -> bytes:
        if not self.key:
            return json.dumps(body).encode()
        secret = self.key["d"]
        private = Ed25519PrivateKey.from_private_bytes(base64.urlsafe_b64decode(secret + "=" * (-len(secret) % 4)))
        return jwt.encode(body, private, "EdDSA", {"kid": self.key["kid"]}).encode()

    def send(
        self,
        body: dict[str, Any],
        *,
        answer_to: str | None = None,
        tag: bytes | None = None,
        payload: bytes | None = None,
    ) -> str:
        properties = Properties(PacketTypes.PUBLISH)
        properties.ResponseTopic = answer_to or f"{self.agent.base}/result/{body['jti']}"
        properties.CorrelationData = tag if tag is not None else body["jti"].encode()
        properties.MessageExpiryInterval = 60
        payload = self.signed(body) if payload is None else payload
        self.observer.publish(f"{self.agent.base}/command", payload, properties)
        return str(body["jti"])

    def results(self, command_id: str) -> list[dict[str, Any]]:
        """What was told of it; what came twice, as it may with QoS 1 after a cut, is taken once."""
        topic = f"{self.agent.base}/result/{command_id}"
        heard = [heard.body for heard in list(self.observer.heard) if heard.topic == topic]
        return once(heard)

    def life(self, command_id: str) -> list[dict[str, Any]]:
        """Its results once the last has come."""
        final = {"succeeded", "failed", "rejected", "expired", "interrupted"}
        life = wait_until(lambda: (r := self.results(command_id)) and r[-1]["state"] in final and r, 40)
        assert all(each.keys() >= {"id", "state", "code", "output", "error", "ms"} for each in life), life
        return life

    def done(self, command_id: str) -> list[dict[str, Any]]:
        """What the log says of its end, once it says so."""
        return wait_until(
            lambda: [
                body["data"]
                for body in events(self.observer, self.agent)
                if body["event"] == "command.done" and body["data"]["id"] == command_id
            ]
        )

    def refused(self) -> dict[str, int]:
        """Counts by reason, as `health` tells them."""
        return self.facts()["health"].get("refused", {})

    def facts(self) -> dict[str, Any]:
        return ask_socket(self.agent.run_dir / "control.sock", {"cmd": "facts"})["ok"]


def once(bodies: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without what came twice, told by the contract's key."""
    return list({(body["boot"], body["seq"]): body for body in bodies}.values())


def events(observer: Observer, agent: Agent) -> list[dict[str, Any]]:
    """The terminal's log as heard so far. What a kill kept from being noted as sent comes again, and counts once."""
    return once([heard.body for heard in list(observer.heard) if heard.topic == f"{agent.base}/event"])


def states(life: list[dict[str, Any]]) -> list[str]:
    return [result["state"] for result in life]


GOOD = ["accepted", "running", "succeeded"]
