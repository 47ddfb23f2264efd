"""Rows a second through the store and on to a broker, each row on disk before it leaves."""

from __future__ import annotations

import time

from tests.bench.figure import Effort, Figure, Told
from tests.bench.ground import scratch
from tests.mqtt.agent import Agent
from tests.mqtt.broker import Rumqttd
from tests.wait import wait_until

_ROWS = 3000
_GROUP = 50


def run(effort: Effort) -> Told:
    """All figures; a few seconds."""
    rows = int(effort.of(_ROWS, _ROWS / 3))
    with scratch() as folder:
        broker = Rumqttd(folder)
        broker.start()
        try:
            with Agent(folder, broker.port) as agent:
                wait_until(lambda: agent.uplink.connected)
                yield from _each(agent, rows)
                yield from _grouped(agent, rows)
        finally:
            broker.kill()


def _each(agent: Agent, rows: int) -> Told:
    began = time.monotonic()
    for number in range(rows):
        agent.event(number)
    put = time.monotonic() - began
    how = (
        f"{rows} events put one by one, each synced (FULL) before put returns, sent with QoS 1 to a broker on loopback"
    )
    yield Figure("outbox.put", "events put, each synced to disk", rows / put, "rows/s", "", how)
    rate = rows / _until_gone(agent, began)
    yield Figure(
        "outbox.each", "durable publish, FULL each, until all are acknowledged", rate, "rows/s", "≥ 2,000", how
    )


def _grouped(agent: Agent, rows: int) -> Told:
    body = {"event": "test", "data": {"n": 0}}
    began = time.monotonic()
    for _ in range(rows // _GROUP):
        agent.outbox.put_all([("event", body, "")] * _GROUP)
    how = f"as before, {_GROUP} events to a transaction"
    rate = rows / _until_gone(agent, began)
    yield Figure("outbox.grouped", "durable publish, grouped", rate, "rows/s", "≥ 5,000", how)


def _until_gone(agent: Agent, began: float) -> float:
    wait_until(lambda: agent.waiting() == 0, 60, every_s=0.005)
    return time.monotonic() - began
