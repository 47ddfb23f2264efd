"""Rows a second through the store and on to a broker, each row on disk before it leaves."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from tests.mqtt.agent import Agent
from tests.mqtt.broker import Rumqttd
from tests.wait import wait_until

Figure = tuple[str, float, str, str]
"""What, how much, its unit, and the goal in words ("" for none)."""

_ROWS = 3000
_GROUP = 50


def figures() -> list[Figure]:
    """All figures; a few seconds."""
    with tempfile.TemporaryDirectory(prefix="posdiag-bench-") as folder:
        broker = Rumqttd(Path(folder))
        broker.start()
        try:
            with Agent(Path(folder), broker.port) as agent:
                wait_until(lambda: agent.uplink.connected)
                return [*_each(agent), *_grouped(agent)]
        finally:
            broker.kill()


def _each(agent: Agent) -> list[Figure]:
    began = time.monotonic()
    for number in range(_ROWS):
        agent.event(number)
    put = time.monotonic() - began
    return [
        (f"events put, each synced to disk, {_ROWS} rows", _ROWS / put, "rows/s", ""),
        ("the same, until the broker has acknowledged all", _ROWS / _until_gone(agent, began), "rows/s", "≥ 2000"),
    ]


def _grouped(agent: Agent) -> list[Figure]:
    body = {"event": "test", "data": {"n": 0}}
    began = time.monotonic()
    for _ in range(_ROWS // _GROUP):
        agent.outbox.put_all([("event", body, "")] * _GROUP)
    what = f"events put {_GROUP} to a transaction, until acknowledged"
    return [(what, _ROWS / _until_gone(agent, began), "rows/s", "≥ 5000")]


def _until_gone(agent: Agent, began: float) -> float:
    wait_until(lambda: agent.waiting() == 0, 60, every_s=0.005)
    return time.monotonic() - began
