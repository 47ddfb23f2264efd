"""A metered line: what the agent counts is what crossed it, and what it saves does not cost a message."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from agent.packing import NAME
from agent.session import TIMINGS
from agent.wire import CenterStateMessage, encode
from tests.bench.metered import TYPICAL, play
from tests.mqtt.agent import Agent
from tests.mqtt.broker import Broker, Line, Observer
from tests.wait import wait_until

QUICK = replace(
    TIMINGS["metered"], floor_s=0.02, base_s=0.02, cap_s=0.2, will_delay_s=1, ack_s=1.5, connect_s=2, gather_s=0.05
)
CENTER = "pos/1/demo/center/one/state"


@pytest.fixture
def line(broker: Broker) -> Iterator[Line]:
    with Line(broker.port) as between:
        yield between


@pytest.mark.timeout(400)
def test_the_agents_own_count_is_the_wires() -> None:
    """Two hours with two reconnects, two faults and a command over TLS: counted at the far end by the kernel."""
    outcome = play(replace(TYPICAL, hours=2, reconnects=2, faults=2, commands=1))
    assert outcome.connects == 3
    assert outcome.counted["total"] == pytest.approx(outcome.whole, rel=0.03)
    for channel in ("state", "inventory", "telemetry", "health", "fault", "event", "result", "down", "headers"):
        assert outcome.counted[channel] > 0, channel
    channels = sum(size for name, size in outcome.counted.items() if name not in {"total", "headers", "probes"})
    assert channels == pytest.approx(outcome.tcp, rel=0.03)


def test_a_broker_that_remembers_is_not_told_twice(
    tmp_path: Path, broker: Broker, line: Line, observer: Observer
) -> None:
    with Agent(tmp_path, line.port, QUICK, link="metered") as agent:
        agent.uplink.publish_retained("inventory", b'{"n":1}', "inventory")
        agent.uplink.publish_retained("fault/printer/paper_out", b'{"n":2}', "fault")
        agent.uplink.publish_retained("faults", b'{"n":3}', "faults")
        wait_until(lambda: observer.of("faults"))
        wait_until(lambda: agent.uplink.status()["in_flight"] == 0)
        line.cut()
        wait_until(lambda: [state["conn"] for state in observer.of("state") if state["status"] == "online"][-1:] == [2])
        wait_until(lambda: len(observer.of("faults")) == 2)
        agent.event(1)
        wait_until(lambda: observer.of("event"))
        assert len(observer.of("inventory")) == len(observer.of("fault/printer/paper_out")) == 1
        broker.kill()
        wait_until(lambda: not agent.uplink.connected)
        broker.start()
        with Observer(broker.port) as later:
            wait_until(lambda: later.of("inventory"))
            wait_until(lambda: later.of("fault/printer/paper_out"))


def test_packed_only_while_every_center_can_read_it(tmp_path: Path, broker: Broker, observer: Observer) -> None:
    with Agent(tmp_path, broker.port, QUICK, link="metered") as agent:
        agent.on_message = lambda message: agent.uplink.pack(wanted=NAME in message.payload.decode())
        agent.uplink.publish_retained("fault/printer/paper_out", PAPER_OUT, "fault")
        wait_until(lambda: observer.of("fault/printer/paper_out"))
        observer.publish(CENTER, encode(CenterStateMessage(status="online", inflates=NAME)), retain=True)
        wait_until(lambda: agent.uplink._dictionary)
        agent.uplink.publish_retained("fault/reader/card_jam", PAPER_OUT, "fault")
        agent.uplink.publish_retained("inventory", PAPER_OUT, "inventory")
        wait_until(lambda: observer.of("inventory"))
        wait_until(lambda: observer.of("fault/reader/card_jam"))
        observer.publish(CENTER, encode(CenterStateMessage(status="online")), retain=True)
        wait_until(lambda: len(observer.of("fault/reader/card_jam")) == 2)
    kinds = [
        (heard.topic.rpartition("/")[2], heard.content_type.rpartition("+")[2])
        for heard in observer.heard
        if heard.body
    ]
    plain = "application/json"
    assert ("inventory", "deflate") not in kinds
    assert [kind for name, kind in kinds if name == "card_jam"][:2] == ["deflate", plain]
    assert {kind for name, kind in kinds if name == "paper_out"} == {plain}
    bodies = observer.of("fault/reader/card_jam")
    assert bodies[0] == bodies[1]


PAPER_OUT = (
    b'{"boot":1,"at":"2026-11-19T00:09:00.000Z","up_ms":640000,"clock":"synced","v":1,"fault":"printer/paper_out",'
    b'"state":"raised","severity":"major","cause":null,"symptoms":[],"count":1,"device":"printer"}'
)


def test_what_comes_together_leaves_in_one_segment(tmp_path: Path, broker: Broker) -> None:
    """Segments with data, as the kernel counts them: tcpi_data_segs_out."""
    with Agent(tmp_path, broker.port, replace(QUICK, gather_s=2, ack_s=60), link="metered") as agent:
        wait_until(lambda: agent.uplink.connected and agent.uplink.status()["in_flight"] == 0)

        def segments() -> int:
            return struct.unpack_from("I", agent.uplink._traffic._info(), 156)[0]

        before = segments()
        for n in range(8):
            agent.event(n)
        wait_until(lambda: agent.waiting() == 0)
        assert segments() - before <= 2


def test_a_silent_loss_shortens_the_keep_alive_for_good(tmp_path: Path, broker: Broker, line: Line) -> None:
    with Agent(tmp_path, line.port, QUICK, link="metered") as agent:
        wait_until(lambda: agent.uplink.connected)
        before = agent.uplink._keep_alive.now_s
        line.stalled = True
        agent.event(1)
        wait_until(lambda: not agent.uplink.connected)
        line.stalled = False
        line.cut()
        wait_until(lambda: agent.uplink.status()["connects"] >= 2)
        assert agent.uplink._keep_alive.now_s == 0.75 * before
    with Agent(tmp_path, line.port, QUICK, link="metered") as agent:
        assert agent.uplink._keep_alive.now_s == 0.75 * before


@pytest.mark.timeout(400)
def test_a_day_that_costs_too_much_ends_with_faults_alone() -> None:
    """The same hours with a budget that they exceed: telemetry stops, faults arrive."""
    daily = 44 * 1024  # half of it is kept for faults, and a start takes 16 KiB
    free = play(replace(TYPICAL, hours=4, reconnects=0, faults=3, commands=0))
    held = play(replace(TYPICAL, hours=4, reconnects=0, faults=3, commands=0), daily_bytes=daily)
    assert held.steps[:3] == ["batch", "thin", "faults"]
    assert held.counted["telemetry"] < free.counted["telemetry"]
    assert held.counted["fault"] == pytest.approx(free.counted["fault"], rel=0.05)
