"""The uplink against real brokers: the session, what comes down, what goes up, and how it ends."""

from __future__ import annotations

import socket
import time
from dataclasses import replace
from pathlib import Path

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from agent.uplink import Incoming
from agent.wire import DELIVERY, EventMessage, StateMessage, TelemetryMessage, decode, dumps
from tests.mqtt.agent import QUICK, TOPICS, Agent
from tests.mqtt.broker import Broker, Line, Observer, Rumqttd, Rumqttd311
from tests.wait import wait_until


def test_it_says_online_subscribes_and_counts(tmp_path: Path, broker: Broker, observer: Observer) -> None:
    with Agent(tmp_path, broker.port) as agent:
        state = wait_until(lambda: observer.of("state"))[0]
        message = decode(StateMessage, dumps(state))
        assert (message.status, message.conn) == ("online", 1)
        assert agent.uplink.connected
        status = agent.uplink.status()
        assert status["conn"] == status["connects"] == 1
        assert status["refused_filters"] == []
        assert status["bytes_sent"] > 200
        assert wait_until(lambda: agent.uplink.status()["bytes_received"]) > 10
    with Agent(tmp_path, broker.port):
        wait_until(lambda: [state["conn"] for state in observer.of("state") if state["status"] == "online"] == [1, 2])


def test_an_event_arrives_at_once_and_leaves_the_disk(tmp_path: Path, broker: Broker, observer: Observer) -> None:
    with Agent(tmp_path, broker.port) as agent:
        wait_until(lambda: observer.of("state"))
        agent.event(7)
        agent.uplink.publish_retained("fault/printer/paper_out", b'{"state":"raised"}', "fault")
        agent.outbox.put("result", {"id": "c1", "state": "accepted"}, suffix="result/c1")
        event = wait_until(lambda: observer.of("event"))[0]
        message = decode(EventMessage, dumps(event))
        assert (message.boot, message.seq, message.late, message.data["n"]) == (1, 1, False, 7)
        wait_until(lambda: observer.of("result/c1"))
        wait_until(lambda: observer.of("fault/printer/paper_out"))
        wait_until(lambda: agent.waiting() == 0)
        by_topic = {heard.topic: heard for heard in observer.heard}
        assert by_topic[TOPICS.of("event")].expiry_s == DELIVERY["event"].expiry_s
        assert by_topic[TOPICS.of("event")].content_type == "application/json"
        assert by_topic[TOPICS.fault("printer/paper_out")].expiry_s is None
    with Observer(broker.port) as later:
        wait_until(lambda: later.of("fault/printer/paper_out") and later.of("state"))
        assert {heard.topic for heard in later.heard if heard.retain} == {
            TOPICS.of("state"),
            TOPICS.fault("printer/paper_out"),
        }


def test_a_new_event_wakes_a_sleeping_uplink(tmp_path: Path, broker: Broker, observer: Observer) -> None:
    with Agent(tmp_path, broker.port, replace(QUICK, connect_s=60, ack_s=600)) as agent:
        wait_until(lambda: observer.of("state") and agent.uplink.status()["in_flight"] == 0)
        began = time.monotonic()
        for n in range(5):
            agent.event(n)
            wait_until(lambda n=n: len(observer.of("event")) == n + 1, every_s=0.002)
        assert time.monotonic() - began < 10, "without being woken each but the first waits for 5 s"
        sock = agent.uplink._traffic._socket
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY), "a second event waits for the first's TCP ACK"


def test_a_command_sent_during_a_short_outage_arrives(tmp_path: Path, broker: Broker, observer: Observer) -> None:
    with Line(broker.port) as line, Agent(tmp_path, line.port) as agent:
        wait_until(lambda: observer.of("state") and agent.uplink.status()["in_flight"] == 0)
        line.blocked = True
        line.cut()
        wait_until(lambda: not agent.uplink.connected)
        properties = Properties(PacketTypes.PUBLISH)
        properties.MessageExpiryInterval = 60
        observer.publish(TOPICS.of("command"), b"while away", properties)
        line.blocked = False
        wait_until(lambda: agent.incoming)
        assert agent.incoming[0].payload == b"while away"


def test_telemetry_is_deflated(tmp_path: Path, broker: Broker, observer: Observer) -> None:
    samples = [[n * 1000, {"modem.rsrp_dbm": -90 - n}] for n in range(12)]
    with Agent(tmp_path, broker.port) as agent:
        agent.outbox.put("telemetry", {"samples": samples})
        body = wait_until(lambda: observer.of("telemetry"))[0]
        assert decode(TelemetryMessage, dumps(body)).samples[11] == (11000, {"modem.rsrp_dbm": -101})
        kinds = {heard.topic: heard.content_type for heard in observer.heard}
        assert kinds[TOPICS.of("telemetry")] == "application/json+deflate"


def test_what_comes_down_is_handed_on_as_it_is(tmp_path: Path, broker: Broker, observer: Observer) -> None:
    with Agent(tmp_path, broker.port) as agent:
        wait_until(lambda: observer.of("state"))
        properties = Properties(PacketTypes.PUBLISH)
        properties.ResponseTopic = TOPICS.result("c1")
        properties.CorrelationData = b"c1"
        properties.MessageExpiryInterval = 60
        observer.publish(TOPICS.of("command"), b"\xff\xfe not utf-8", properties)
        observer.publish("pos/1/demo/all/command", b"to all")
        observer.publish("pos/1/demo/center/c1/state", b"{}")
        observer.publish("pos/1/demo/till-2/command", b"for somebody else")
        observer.publish(TOPICS.of("config"), b"version 3", retain=True)
        wait_until(lambda: len(agent.incoming) >= 4)
        came = {message.suffix: message for message in agent.incoming}
        first = came["command"]
        assert (first.payload, first.retain) == (b"\xff\xfe not utf-8", False)
        assert (first.response_topic, first.correlation) == (TOPICS.result("c1"), b"c1")
        assert first.expiry_s is not None
        assert first.expiry_s <= 60
        assert sorted(message.suffix for message in agent.incoming) == sorted(came)
        assert came.keys() == {"command", "all/command", "center/c1/state", "config"}


def test_a_mistake_in_the_handler_ends_nothing(tmp_path: Path, broker: Broker, observer: Observer) -> None:
    with Agent(tmp_path, broker.port) as agent:
        wait_until(lambda: observer.of("state"))
        seen: list[Incoming] = []

        def broken(message: Incoming) -> None:
            seen.append(message)
            raise KeyError("a mistake")

        agent.on_message = broken
        observer.publish(TOPICS.of("command"), b"one")
        observer.publish(TOPICS.of("command"), b"two")
        wait_until(lambda: len(seen) == 2)
        agent.event(1)
        wait_until(lambda: observer.of("event"))
        assert agent.uplink.status()["connects"] == 1


def test_a_mistake_in_the_thread_is_said_and_survived(tmp_path: Path, broker: Broker, observer: Observer) -> None:
    with Agent(tmp_path, broker.port) as agent:
        wait_until(lambda: observer.of("state"))
        whole = agent.state
        agent.uplink._state_payload = lambda conn, status, reason: b"" + None  # type: ignore[operator]
        agent.uplink.refresh_state()
        wait_until(lambda: "TypeError" in agent.uplink.last_error)
        assert agent.uplink.is_alive()
        agent.uplink._state_payload = whole
        wait_until(lambda: agent.uplink.connected)
        assert agent.uplink.last_error == ""


def test_a_graceful_stop_says_offline_and_takes_back_the_will(
    tmp_path: Path, broker: Broker, observer: Observer
) -> None:
    with Agent(tmp_path, broker.port) as agent:
        wait_until(lambda: observer.of("state"))
        agent.event(1)
    assert wait_until(lambda: observer.of("event"))
    wait_until(lambda: len(observer.of("state")) == 2)
    assert [(state["status"], state["reason"]) for state in observer.of("state")] == [
        ("online", ""),
        ("offline", "test_over"),
    ]
    silent_until = time.monotonic() + QUICK.will_delay_s + 0.7
    wait_until(lambda: time.monotonic() > silent_until)
    assert len(observer.of("state")) == 2


def test_a_lost_connection_leaves_the_will_with_its_number(tmp_path: Path, broker: Broker, observer: Observer) -> None:
    with Line(broker.port) as line, Agent(tmp_path, line.port) as agent:
        wait_until(lambda: observer.of("state"))
        line.blocked = True
        line.cut()
        will = wait_until(lambda: [state for state in observer.of("state") if state["status"] == "offline"])[0]
        assert (will["conn"], will["reason"]) == (1, "connection_lost")
        assert will["verdict"]["can_sell"] == "yes"
        wait_until(lambda: not agent.uplink.connected)
        line.blocked = False
        wait_until(lambda: observer.of("state")[-1]["status"] == "online")
        assert observer.of("state")[-1]["conn"] == agent.uplink.status()["conn"] > 1


def test_a_blip_is_no_outage(tmp_path: Path, broker: Broker, observer: Observer) -> None:
    patient = replace(QUICK, will_delay_s=3)  # coming back takes 0.2 s, or more on a busy machine
    with Line(broker.port) as line, Agent(tmp_path, line.port, patient) as agent:
        wait_until(lambda: observer.of("state"))
        line.cut()
        wait_until(lambda: agent.uplink.status()["connects"] == 2)
        quiet_until = time.monotonic() + patient.will_delay_s + 0.5
        wait_until(lambda: time.monotonic() > quiet_until)
        assert {state["status"] for state in observer.of("state")} == {"online"}, "the will waits for its delay"


@pytest.mark.parametrize("kind", [Rumqttd311])
def test_a_3_1_1_broker_costs_savings_never_meaning(tmp_path: Path, kind: type[Rumqttd]) -> None:
    broker = kind(tmp_path)
    broker.start()
    try:
        with Observer(broker.port, v5=False) as observer, Agent(tmp_path, broker.port, protocol="3.1.1") as agent:
            wait_until(lambda: observer.of("state"))
            agent.event(1)
            agent.outbox.put("telemetry", {"samples": [[0, {"a": "x" * 500}]]})
            agent.uplink.publish_retained("health", b"{}", "health")
            wait_until(lambda: observer.of("event"))
            wait_until(lambda: observer.of("health"))
            telemetry = wait_until(lambda: observer.of("telemetry"))[0]
            assert telemetry["samples"][0][1]["a"] == "x" * 500
            observer.publish(TOPICS.of("command"), b"plain")
            wait_until(lambda: agent.incoming)
            assert agent.incoming[0].response_topic == ""
            wait_until(lambda: agent.waiting() == 0)
    finally:
        broker.kill()


def test_only_the_latest_value_is_sent_and_a_cleared_one_is_forgotten(
    tmp_path: Path, broker: Broker, observer: Observer
) -> None:
    with Agent(tmp_path, broker.port) as agent:
        wait_until(lambda: observer.of("state"))
        agent.uplink.publish_retained("health", b'{"n":1}', "health")
        wait_until(lambda: observer.of("health"))
        agent.uplink.clear_retained("health", "health")
        wait_until(lambda: observer.of("health") == [{"n": 1}, None])
        with pytest.raises(ValueError, match="not retained"):
            agent.uplink.publish_retained("event", b"{}", "event")


def test_live_samples_need_a_connection(tmp_path: Path, broker: Broker, observer: Observer) -> None:
    agent = Agent(tmp_path, broker.port)
    assert agent.uplink.publish_live(b"{}") is False
    with agent:
        wait_until(lambda: observer.of("state"))
        assert agent.uplink.publish_live(b'{"n":1}') is True
        wait_until(lambda: observer.of("live") == [{"n": 1}])
