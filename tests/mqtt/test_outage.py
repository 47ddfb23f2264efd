"""What happens to messages when the broker, the line or the credentials fail. Loss is a defect, a duplicate is not."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from agent.session import parse_url
from tests.mqtt.agent import QUICK, TOPICS, Agent
from tests.mqtt.broker import Broker, Line, Mosquitto, Observer, Rumqttd, free_port
from tests.wait import wait_until

pytestmark = pytest.mark.timeout(180)  # some seconds here, with some processes each; many more on a busy machine


def test_a_killed_broker_comes_back_without_memory(tmp_path: Path, broker: Broker) -> None:
    with Agent(tmp_path, broker.port) as agent:
        wait_until(lambda: agent.uplink.connected)
        agent.uplink.publish_retained("fault/printer/paper_out", b'{"state":"raised"}', "fault")
        broker.kill()
        wait_until(lambda: not agent.uplink.connected)
        for n in range(10):
            agent.event(n)
        agent.outbox.put("telemetry", {"samples": []})
        wait_until(lambda: "refuses connections" in agent.uplink.last_error)
        assert agent.waiting() == 11
        broker.start()
        with Observer(broker.port) as observer:
            wait_until(lambda: set(observer.seqs("event")) == set(range(1, 11)) or agent.waiting() == 0)
            wait_until(lambda: agent.waiting() == 0)
            wait_until(lambda: observer.of("fault/printer/paper_out"))
            wait_until(lambda: observer.of("state"))
            agent.event(99)
            late = {body["seq"]: body.get("late", False) for body in wait_until(lambda: observer.of("event"))}
            wait_until(lambda: 11 in observer.seqs("event"))
            assert all(late[seq] for seq in late if seq <= 10)
            assert observer.of("event")[-1].get("late", False) is False
        assert agent.uplink.status()["conn"] == agent.uplink.status()["connects"] == 2


def test_the_drain_keeps_its_order_and_its_rate_and_new_events_pass(
    tmp_path: Path, broker: Broker, observer: Observer
) -> None:
    agent = Agent(tmp_path, broker.port, replace(QUICK, drain_per_s=10))
    for n in range(10):
        agent.outbox.put("telemetry", {"samples": []})
        agent.outbox.put("result", {"id": "c1"}, suffix="result/c1")
        agent.event(n)
    began = time.monotonic()
    with agent:
        wait_until(lambda: observer.of("event"))
        agent.event(99)
        wait_until(lambda: len(observer.of("telemetry")) == 10)
        took_s = time.monotonic() - began
        assert 2.2 < took_s < 15, f"30 messages at 10 a second took {took_s:.1f} s"
        order = [(heard.topic.split("/")[4], (heard.body or {}).get("seq")) for heard in observer.heard]
        last = max(place for place, (kind, _) in enumerate(order) if kind == "telemetry")
        assert order.index(("event", 11)) < last, "a new event does not queue behind old ones"
        old = [heard.topic.split("/")[4] for heard in observer.heard if (heard.body or {}).get("late")]
        assert old == ["event"] * 10 + ["result"] * 10 + ["telemetry"] * 10
        assert [seq for seq in observer.seqs("event") if seq != 11] == list(range(1, 11))
        assert observer.seqs("telemetry") == list(range(10, 0, -1))
        wait_until(lambda: not agent.uplink.status()["draining"])


def test_a_line_that_is_cut_again_and_again_loses_nothing(tmp_path: Path, broker: Broker, observer: Observer) -> None:
    chance = random.Random(7)
    with Line(broker.port) as line, Agent(tmp_path, line.port) as agent:
        for n in range(150):
            if n % 15 == 5:
                line.cut_after_bytes = chance.randint(1, 600)
            agent.event(n)
            if n % 3 == 0:
                agent.outbox.put("telemetry", {"samples": [[0, {"n": n}]]})
            if n % 15 == 14:
                wait_until(lambda: line.cut_after_bytes is None)
        wait_until(lambda: agent.waiting() == 0, limit_s=60)
        wait_until(lambda: set(observer.seqs("event")) == set(range(1, 151)))
        wait_until(lambda: set(observer.seqs("telemetry")) == set(range(1, 51)))
        assert line.accepted > 10, "each of the ten cuts costs a connection"
        by_key: dict[int, set[int]] = {}
        for body in observer.of("event"):
            by_key.setdefault(body["seq"], set()).add(body["data"]["n"])
        assert all(len(contents) == 1 for contents in by_key.values()), "one key, two contents"


def test_a_half_open_line_is_noticed_by_the_missing_acknowledgement(
    tmp_path: Path, broker: Broker, observer: Observer
) -> None:
    with Line(broker.port) as line, Agent(tmp_path, line.port) as agent:
        wait_until(lambda: observer.of("state"))
        line.stalled = True
        agent.event(1)
        wait_until(lambda: "has acknowledged nothing" in agent.uplink.last_error)
        wait_until(lambda: not agent.uplink.connected)
        wait_until(lambda: "does not answer as a broker" in agent.uplink.last_error)
        assert agent.waiting() == 1
        line.stalled = False
        wait_until(lambda: observer.seqs("event"))
        wait_until(lambda: agent.waiting() == 0)


def test_a_slow_line_is_not_a_dead_one(tmp_path: Path, broker: Broker, observer: Observer) -> None:
    with Line(broker.port) as line, Agent(tmp_path, line.port) as agent:
        wait_until(lambda: observer.of("state"))
        line.slow = True
        for n in range(60):
            agent.event(n)
        assert agent.uplink.status()["in_flight"] <= 20
        wait_until(lambda: agent.waiting() == 0, limit_s=60)
        wait_until(lambda: observer.seqs("event") == list(range(1, 61)))
        assert agent.uplink.status()["connects"] == 1


def test_an_idle_half_open_line_is_noticed_by_the_keep_alive(tmp_path: Path, broker: Broker) -> None:
    with Line(broker.port) as line, Agent(tmp_path, line.port, replace(QUICK, keep_alive_s=1, ack_s=60)) as agent:
        wait_until(lambda: agent.uplink.connected)
        wait_until(lambda: agent.uplink.status()["in_flight"] == 0)
        line.stalled = True
        wait_until(lambda: not agent.uplink.connected)


@pytest.mark.parametrize("kind", [Rumqttd, *([Mosquitto] if Mosquitto.installed() else [])])
def test_refused_credentials_wait_for_the_cap_and_are_said(tmp_path: Path, kind: type[Broker]) -> None:
    broker = kind(tmp_path, users={"till-1": "right", "observer": "right"})
    broker.start()
    secret = tmp_path / "password"
    secret.write_text("wrong\n")
    with ExitStack() as stack:
        stack.callback(broker.kill)
        timing = replace(QUICK, cap_s=30)
        agent = stack.enter_context(Agent(tmp_path, broker.port, timing, password_file=str(secret)))
        wait_until(lambda: agent.uplink.last_error)
        assert not agent.uplink.connected
        if kind is Mosquitto:
            assert "refuses us: not authorized" in agent.uplink.last_error
            wait_until(lambda: (agent.uplink.status()["retry_in_s"] or 0) > 20)
        else:  # this broker closes without an answer, so that nothing can be said of its reason
            assert "closed the connection before answering" in agent.uplink.last_error
        secret.write_text("right\n")
        agent.uplink.hurry()
        wait_until(lambda: agent.uplink.connected)
        observer = stack.enter_context(Observer(broker.port, username="observer", password="right"))
        agent.event(1)
        wait_until(lambda: observer.seqs("event"))


@pytest.mark.skipif(
    not Mosquitto.installed(), reason="only mosquitto refuses a single PUBLISH; tests/peers runs it always"
)
def test_a_refused_message_stays_and_is_offered_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused_message_stays(tmp_path, monkeypatch)


def refused_message_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.sender.RETRY_S", 0.3)
    broker = Mosquitto(tmp_path)
    broker.acl = "topic read #\ntopic readwrite pos/1/demo/till-1/state\n"
    broker.start()
    with ExitStack() as stack:
        stack.callback(broker.kill)
        agent = stack.enter_context(Agent(tmp_path, broker.port))
        observer = stack.enter_context(Observer(broker.port))
        wait_until(lambda: observer.of("state"))
        agent.event(1)
        wait_until(lambda: agent.uplink.status()["refused"] >= 2)
        assert agent.waiting() == 1
        assert agent.uplink.connected
        broker.acl = "topic readwrite #\n"
        broker.reload()
        wait_until(lambda: observer.seqs("event") == [1])
        wait_until(lambda: agent.waiting() == 0)


@pytest.mark.parametrize(
    ("address", "said"),
    [("127.0.0.1", "refuses connections"), ("no-such-host.invalid", "cannot be resolved")],
)
def test_each_failure_is_one_clear_line(tmp_path: Path, address: str, said: str) -> None:
    with Agent(tmp_path, free_port(), host=address) as agent:
        wait_until(lambda: said in agent.uplink.last_error)
        assert address in agent.uplink.last_error


@pytest.mark.parametrize("url", ["http://x:1", "mqtt://", "mqtt://host:0", "mqtt://host:port", "host:1883"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"mqtt\.url"):
        parse_url(url)


def test_addresses() -> None:
    assert parse_url("mqtt://broker:1884") == ("broker", 1884, False)
    assert parse_url("mqtts://broker") == ("broker", 8883, True)
    assert parse_url("mqtt://[::1]:1883") == ("::1", 1883, False)


def test_a_terminal_that_dies_and_returns_doubles_at_most(tmp_path: Path, broker: Broker, observer: Observer) -> None:
    """The whole chain under SIGKILL: what the process was promised is heard, and each key has one content."""
    chance = random.Random(3)
    promised: Counter[tuple[int, int]] = Counter()
    for _ in range(8):
        command = [sys.executable, "-m", "tests.mqtt.sender_process", str(tmp_path), str(broker.port)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        with process.stdout:
            lines = iter(process.stdout)
            wanted = chance.randint(5, 60)
            for count, line in enumerate(lines):
                boot, seq = line.split()
                promised[int(boot), int(seq)] += 1
                if count == wanted:
                    process.send_signal(signal.SIGKILL)
        process.wait()
    with Agent(tmp_path, broker.port) as agent:
        wait_until(lambda: agent.uplink.connected)
        wait_until(lambda: agent.waiting() == 0)
        heard: dict[tuple[int, int], set[int]] = {}

        def all_there() -> bool:
            for body in observer.of("event"):
                heard.setdefault((body["boot"], body["seq"]), set()).add(body["data"]["n"])
            return set(promised) <= set(heard)

        wait_until(all_there)
    assert len(promised) > 40
    assert all(len(contents) == 1 for contents in heard.values())
    assert TOPICS.terminal in observer.heard[0].topic
