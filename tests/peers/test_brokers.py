"""The real daemon on two brokers that others wrote, as mosquitto_sub sees it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from simulator.terminal import Terminal
from tests.mqtt.broker import Broker, Mosquitto, Rumqttd, Rumqttd311
from tests.peers.daemon import Daemon, Message, Subscriber, configuration
from tests.wait import wait_until

pytestmark = [pytest.mark.peers, pytest.mark.timeout(240)]

DAY_S = 86_400
JSON = "application/json"
WILL_DELAY_S = 30


@pytest.fixture(params=[Mosquitto, Rumqttd], ids=["mosquitto", "iotcore"])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    broker = request.param(tmp_path)
    broker.start()
    yield broker
    broker.kill()


@pytest.fixture(params=[Mosquitto, Rumqttd311], ids=["mosquitto", "iotcore"])
def old_broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    """One that is spoken to in MQTT 3.1.1; the second speaks nothing else."""
    broker = request.param(tmp_path)
    broker.start()
    yield broker
    broker.kill()


def settings(terminal: Terminal, broker: Broker, **mqtt: str) -> dict[str, Any]:
    url = f"mqtt://127.0.0.1:{broker.port}"
    return configuration(terminal, mqtt={"url": url, **mqtt}, telemetry={"batch_s": 1.0})


def within(message: Message, limit_s: int) -> bool:
    """Whether its life is what was meant, less the seconds that it may have lain at the broker."""
    return message.expiry_s is not None and limit_s - 60 <= message.expiry_s <= limit_s


def identified(subscriber: Subscriber, device: str) -> bool:
    """Whether it has said who it is; a printer that goes offline while it is asked would answer in the middle of things."""
    entries = [entry for message in subscriber.heard("inventory") for entry in message.body["devices"]]
    return any(entry["name"] == device and entry.get("model") for entry in entries)


def test_a_fault_reaches_a_subscriber_and_goes(pos_terminal: Terminal, broker: Broker, tmp_path: Path) -> None:
    with Subscriber(tmp_path, broker.port) as early, Daemon(tmp_path, settings(pos_terminal, broker)) as daemon:
        online = early.wait_for("state", status="online")
        assert online.topic == f"pos/1/demo/{pos_terminal.terminal_id}/state"
        assert (online.qos, online.content_type) == (1, JSON)
        assert within(online, 30 * DAY_S)
        assert within(early.wait_for("faults", faults=[]), 30 * DAY_S)
        wait_until(lambda: identified(early, "printer"))

        pos_terminal.set({"printer.paper": "out"})
        raised = early.wait_for("fault/printer/paper_out")
        assert (raised.qos, raised.content_type, raised.expiry_s) == (1, JSON, None)
        told = {name: raised.body[name] for name in ("fault", "state", "severity", "device", "basis", "count")}
        assert told == {
            "fault": "printer/paper_out",
            "state": "raised",
            "severity": "major",
            "device": "printer",
            "basis": "measured",
            "count": 1,
        }
        event = early.wait_for("event", event="fault.raised")
        assert (event.retain, event.qos, event.content_type) == (False, 1, JSON)
        assert within(event, 7 * DAY_S)
        assert event.body["data"]["fault"] == "printer/paper_out"
        wait_until(lambda: early.heard("state")[-1].body["verdict"]["cause"] == "printer/paper_out")

        batch = wait_until(lambda: [m for m in early.heard("telemetry") if m.content_type == JSON + "+deflate"])[0]
        assert (batch.retain, batch.qos) == (False, 1)
        assert within(batch, DAY_S)
        assert batch.body["samples"]

        with Subscriber(tmp_path, broker.port) as late:  # what is retained is there for whoever comes later
            kept = late.wait_for("fault/printer/paper_out")
            assert (kept.retain, kept.body) == (True, raised.body)
            state = late.wait_for("state")
            assert (state.retain, state.body["status"]) == (True, "online")
            assert late.wait_for("inventory").retain
            assert [m for m in late.heard("event") + late.heard("telemetry") if m.retain] == []

        pos_terminal.set({"printer.paper": "ok"})
        cleared = early.wait_for("fault/printer/paper_out", state="cleared")
        assert within(cleared, DAY_S)
        daemon.stop()
        farewell = early.wait_for("state", status="offline")
        assert (farewell.body["reason"], farewell.body["conn"]) == ("sigterm", online.body["conn"])
        with Subscriber(tmp_path, broker.port) as late:
            assert late.wait_for("state").body == farewell.body
            assert late.wait_for("fault/printer/paper_out").body == cleared.body
    assert pos_terminal.violations() == {}


def test_a_killed_daemon_is_offline_after_the_will_delay(pos_terminal_factory, tmp_path: Path) -> None:
    with ExitStack() as stack:
        runs = []
        for kind in (Mosquitto, Rumqttd):  # both at once: each waits for half a minute
            folder = tmp_path / kind.__name__
            folder.mkdir()
            broker = kind(folder)
            broker.start()
            stack.callback(broker.kill)
            subscriber = stack.enter_context(Subscriber(folder, broker.port))
            daemon = stack.enter_context(Daemon(folder, settings(pos_terminal_factory(), broker)))
            runs.append((folder, broker, subscriber, daemon, subscriber.wait_for("state", status="online")))
        killed_at = time.monotonic()
        for _, _, _, daemon, _ in runs:
            daemon.kill()
        told_after_s: dict[Path, float] = {}

        def all_told() -> bool:
            for folder, _, subscriber, _, _ in runs:
                if subscriber.heard("state")[-1].body["status"] == "offline":
                    told_after_s.setdefault(folder, time.monotonic() - killed_at)
            return len(told_after_s) == len(runs)

        wait_until(all_told, WILL_DELAY_S + 30)
        # a will that came at once would tell of every short outage
        assert min(told_after_s.values()) > WILL_DELAY_S - 5
        for folder, broker, subscriber, _, online in runs:
            will = subscriber.wait_for("state", status="offline")
            assert will.body["reason"] == "connection_lost"
            assert will.body["conn"] == online.body["conn"]
            assert (will.qos, will.content_type) == (1, JSON)
            assert within(will, 30 * DAY_S)
            with Subscriber(folder, broker.port) as late:
                kept = late.wait_for("state")
                assert (kept.retain, kept.body) == (True, will.body)


def test_mqtt_311_costs_savings_but_no_meaning(pos_terminal: Terminal, old_broker: Broker, tmp_path: Path) -> None:
    config = settings(pos_terminal, old_broker, protocol="3.1.1")
    with Subscriber(tmp_path, old_broker.port, "mqttv311") as early, Daemon(tmp_path, config) as daemon:
        online = early.wait_for("state", status="online")
        wait_until(lambda: identified(early, "printer"))
        pos_terminal.set({"printer.cover": "open"})
        raised = early.wait_for("fault/printer/cover_open", state="raised")
        assert raised.qos == 1
        early.wait_for("event", event="fault.raised")
        wait_until(lambda: early.heard("telemetry"))
        assert early.heard("telemetry")[0].body["samples"]  # not deflated, for nothing could say so
        with Subscriber(tmp_path, old_broker.port, "mqttv311") as late:
            kept = late.wait_for("fault/printer/cover_open")
            assert (kept.retain, kept.body) == (True, raised.body)
        daemon.kill()
        will = early.wait_for("state", WILL_DELAY_S / 2, status="offline")  # 3.1.1 knows no will delay
        assert (will.body["reason"], will.body["conn"]) == ("connection_lost", online.body["conn"])
    assert pos_terminal.violations() == {}


def test_a_daemon_that_comes_back_counts_its_connections(
    pos_terminal: Terminal, broker: Broker, tmp_path: Path
) -> None:
    with Subscriber(tmp_path, broker.port) as subscriber:

        def events(name: str) -> list[dict[str, Any]]:
            return [event.body for event in subscriber.heard("event") if event.body["event"] == name]

        with Daemon(tmp_path, settings(pos_terminal, broker)):
            first = subscriber.wait_for("state", status="online")
            subscriber.wait_for("event", event="agent.started")
        with Daemon(tmp_path, settings(pos_terminal, broker)) as daemon:
            second = subscriber.wait_for("state", status="online", conn=first.body["conn"] + 1)
            assert second.body["boot"] == first.body["boot"]
            wait_until(lambda: len({body["seq"] for body in events("agent.started")}) == 2)
            daemon.stop()
        subscriber.wait_for("event", event="agent.stopped")
        # what was on the way when the daemon was killed may come twice; nothing is missing
        keys = {(event.body["boot"], event.body["seq"]) for event in subscriber.heard("event")}
        assert keys == {(first.body["boot"], number) for number in range(1, len(keys) + 1)}
