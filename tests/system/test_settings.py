"""Desired settings over MQTT: taken when signed and legal, kept when the broker is reached with them, else rolled back."""

from __future__ import annotations

import contextlib
import json
import math
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.mqtt.broker import Observer, Rumqttd
from tests.system.desk import Desk, bare, events, make_key
from tests.system.stage import Agent, raised
from tests.wait import wait_until


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_key(tmp_path_factory.mktemp("pki"))


class Center(Desk):
    """A desk that wishes settings."""

    def wish(self, version: int, settings: object, **more: Any) -> bytes:
        _pos, _version, estate, terminal = self.agent.base.split("/")
        body = {"iss": "desk-1", "aud": f"{estate}/{terminal}", "nbf": int(time.time()) - 5, "version": version}
        payload = self.signed({**body, "settings": settings, **more})
        self.publish(payload)
        return payload

    def publish(self, payload: bytes) -> None:
        self.observer.publish(f"{self.agent.base}/config", payload, retain=True)

    def reported(self) -> dict[str, Any]:
        topic = f"{self.agent.base}/config/reported"
        found = [heard.body for heard in list(self.observer.heard) if heard.topic == topic and heard.body]
        return found[-1] if found else {}

    def events(self, name: str) -> list[dict[str, Any]]:
        return [body["data"] for body in events(self.observer, self.agent) if body["event"] == name]

    def until_reported(self, version: str, limit_s: float = 30) -> dict[str, Any]:
        return wait_until(lambda: (r := self.reported()).get("version") == version and r, limit_s)


@pytest.fixture
def center(folder: Path, broker: Rumqttd, observer: Observer, key: Path) -> Iterator[Center]:
    config = bare(
        folder, broker.port, key.parent / "keys.json", id=f"till-{folder.name}", add="trial_s = 12\n[budget]\n"
    )
    with Agent(config) as agent:
        agent.until(lambda status: status["connected"])
        center = Center(agent, observer, key)
        yield center
        center.publish(b"")


def test_settings_are_applied_kept_and_told(center: Center) -> None:
    before = center.until_reported("file")
    pid = center.agent.pid
    center.wish(3, {"support": {"channel": "400 800 1234"}, "telemetry": {"heartbeat_s": 77}})
    told = center.until_reported("3")
    assert told.get("rejected", {}) == {}
    assert told["hash"] != before["hash"]
    status = center.agent.until(
        lambda status: status["support"] == "400 800 1234" and not status["settings"]["trial"], 30
    )
    assert status["settings"] == {"version": 3, "trial": False}
    assert center.agent.pid == pid
    assert center.agent.alive()
    applied = wait_until(lambda: center.events("config.applied"), 20)  # queued, so it comes after the status
    assert [(each["version"], each["hash"]) for each in applied] == [("3", told["hash"])]
    center.agent.kill()
    with Agent(center.agent.config) as center.agent:  # it is kept over a power cut
        assert center.agent.until(lambda status: status["connected"])["support"] == "400 800 1234"
        center.wish(2, {"support": {"channel": "older"}})
        wait_until(lambda: center.refused().get("replayed") == 1)
        assert center.agent.status()["support"] == "400 800 1234"
        assert len(center.events("config.applied")) == 1


REFUSED: list[tuple[dict[str, Any], set[str]]] = [
    ({"device": {"port": "/dev/ttyS9"}}, {"device.port"}),
    ({"commands": {"keys_file": ""}, "paths": {"run_dir": "/run"}}, {"commands.keys_file", "paths.run_dir"}),
    ({"mqtt": {"commands": True}}, {"mqtt.commands"}),
    ({"terminal": {"id": "till-2"}, "support": {"channel": "x"}}, {"terminal.id"}),
    ({"power": {"low_percent": 400}}, {"power.low_percent"}),
    ({"power": {"low_percent": 5, "critical_percent": 9}}, {"power.critical_percent"}),
    ({"mqtt": {"url": "http://x"}}, {"mqtt.url"}),
    (
        {"store": {"telemetry_hours": math.inf}, "network": {"poll_s": "30"}},
        {"store.telemetry_hours", "network.poll_s"},
    ),
]


def test_settings_that_may_not_be_are_refused_whole(center: Center) -> None:
    for version, (settings, rejected) in enumerate(REFUSED, 4):
        center.wish(version, settings)
        told = wait_until(lambda number=version: (r := center.reported()).get("refused") == str(number) and r, 20)
        assert (told["version"], set(told["rejected"])) == ("file", rejected)
    center.agent.until(lambda status: "agent/config_rejected" in raised(status))
    assert center.agent.status()["support"] == ""
    assert center.agent.status()["settings"] == {"version": 0, "trial": False}
    before = center.refused().get("replayed", 0)
    center.wish(4, {"support": {"channel": "x"}})  # signed, but older than one that was refused since
    wait_until(lambda: center.refused().get("replayed", 0) == before + 1, 20)
    assert center.agent.status()["support"] == ""


def test_settings_of_others_are_ignored(center: Center) -> None:
    good = center.wish(5, {"support": {"channel": "x"}}, aud="demo/another")
    center.publish(good[:-6] + b"AAAAAA")
    center.publish(json.dumps({"version": 5, "settings": {"support": {"channel": "x"}}}).encode())
    command = center.body("identify")
    center.publish(center.signed(command))  # what is signed as a command is none here
    wait_until(lambda: sum(center.refused().values()) == 4, 20)
    assert center.refused() == {"audience": 1, "signature": 1, "unsigned": 1, "malformed": 1, "report": 0}
    assert center.agent.status()["support"] == ""


@pytest.fixture
def nowhere() -> Iterator[int]:
    """A port that is taken, so that nobody else gets it, and on which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.mark.parametrize("killed", [False, True])
def test_settings_with_which_the_broker_is_not_reached_are_rolled_back(
    center: Center, nowhere: int, *, killed: bool
) -> None:
    center.wish(7, {"mqtt": {"url": f"mqtt://127.0.0.1:{nowhere}"}, "support": {"channel": "nowhere"}})
    center.agent.until(lambda status: status["support"] == "nowhere", 20)
    for _ in range(4 if killed else 0):
        center.agent.kill()
        center.agent = Agent(center.agent.config)
        center.agent.until(lambda status: status)
    try:
        center.agent.until(lambda status: status["support"] == "" and status["connected"], 60)
        told = wait_until(lambda: (r := center.reported()).get("rejected") and r, 20)
        assert told["version"] == "file"
        why = "the agent did not run with it" if killed else "the broker was not reached with it"
        assert told["rejected"] == {"*": why}
        center.agent.until(lambda status: "agent/config_rejected" in raised(status))
        center.wish(8, {"support": {"channel": "better"}})  # the next version is taken, and the fault ends
        center.until_reported("8")
        center.agent.until(
            lambda status: status["support"] == "better" and "agent/config_rejected" not in raised(status)
        )
    finally:
        if killed:
            assert center.agent.terminate()[0] == 0


def test_systemd_hears_of_no_end_while_the_daemon_begins_anew(
    folder: Path, broker: Rumqttd, observer: Observer, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[bytes] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(folder / "n"))
        manager.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(folder / "n"))

        def said(word: bytes) -> int:
            with contextlib.suppress(BlockingIOError):
                while True:
                    heard.append(manager.recv(4096))
            return sum(word in each for each in heard)

        config = bare(folder, broker.port, key.parent / "keys.json", id=f"till-{folder.name}")
        with Agent(config) as agent:
            center = Center(agent, observer, key)
            wait_until(lambda: said(b"READY=1") == 1, 20)
            agent.until(lambda status: status["connected"])
            center.wish(1, {"support": {"channel": "new"}})
            wait_until(lambda: said(b"READY=1") == 2, 20)
            agent.until(lambda status: status["support"] == "new")
            assert said(b"STOPPING=1") == 0
            center.publish(b"")
            assert agent.terminate()[0] == 0
            assert said(b"STOPPING=1") == 1
