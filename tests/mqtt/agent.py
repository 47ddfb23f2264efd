"""Store, outbox and uplink wired together as the daemon does, with times short enough for a test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from agent.clock import Clock
from agent.config import MqttConfig, StoreConfig
from agent.outbox import Outbox
from agent.session import TIMINGS, Timing
from agent.store import Store
from agent.uplink import Incoming, Uplink
from agent.wire import StateMessage, Topics, Verdict, encode, timestamp

TOPICS = Topics("demo", "till-1")
QUICK = replace(TIMINGS["wired"], floor_s=0.02, base_s=0.02, cap_s=0.2, will_delay_s=1, ack_s=1.5, connect_s=2)


class Agent:
    """The delivering half of an agent, as a context manager."""

    def __init__(self, directory: Path, port: int, timing: Timing = QUICK, scheme: str = "mqtt", **config: Any) -> None:
        self.clock = Clock()
        self.store = Store(directory / "state", 4 * 1024 * 1024, self.clock)
        self.boot = self.store.bump("boot")
        self.outbox = Outbox(self.store, self.clock, self.boot, StoreConfig())
        self.incoming: list[Incoming] = []
        self.on_message: Callable[[Incoming], None] = self.incoming.append
        self.uplink = Uplink(
            MqttConfig(url=f"{scheme}://{config.pop('host', '127.0.0.1')}:{port}", **config),
            TOPICS,
            store=self.store,
            outbox=self.outbox,
            clock=self.clock,
            on_message=self._handed_on,
            state_payload=self.state,
            timing=timing,
        )

    def _handed_on(self, message: Incoming) -> None:
        self.on_message(message)

    def state(self, conn: int, status: str, reason: str) -> bytes:
        now = timestamp(self.clock.wall())
        verdict = Verdict(can_sell="yes", cause=None, act="none", since=now)
        return encode(
            StateMessage(
                boot=self.boot,
                at=now,
                up_ms=self.clock.up_ms(),
                clock="synced",
                status=status,  # type: ignore[arg-type]
                conn=conn,
                reason=reason,
                verdict=verdict,
            )
        )

    def event(self, n: int) -> int:
        return self.outbox.put("event", {"event": "test", "data": {"n": n}})

    def waiting(self) -> int:
        return sum(self.outbox.depth()["rows"].values())

    def __enter__(self) -> Self:
        self.uplink.start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self.uplink.stop("test_over", 30)
        self.store.close()
