"""The bytes of a day on a line that is paid for: counted by channel, and spent ever more sparingly towards the limit.

A channel counts whole MQTT packets. What else crossed the line on the broker's connection (TLS, handshakes, CONNECT,
acknowledgements, pings) is `overhead`: TCP's bytes as the kernel counted them, less the channels. `headers` are those
of TCP and IP: segments counted by the kernel, times the size of a header on this connection. `probes` is what the
network's probe says that it spent.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal

from agent.clock import PLAUSIBLE_SINCE

Step = Literal["normal", "batch", "thin", "faults", "critical"]
STEPS: Final[tuple[Step, ...]] = ("normal", "batch", "thin", "faults", "critical")
"""Batch more; thin telemetry; send only faults; send only critical faults. What is held back stays in the outbox."""
RESERVE_BYTES: Final = 64 * 1024  # of the day's bytes, for faults alone
SPARING: Final[dict[Step, tuple[float, float]]] = {
    "normal": (1, 1),
    "batch": (4, 1),
    "thin": (4, 4),
    "faults": (4, 4),
    "critical": (4, 4),
}
"""How many times more seldom batches leave, and values are told."""
_BATCH_AT, _THIN_AT = 0.5, 0.75  # of what is not reserved
_CRITICAL_AT: Final = 0.75  # of the reserve
_PAST_FAULTS: Final = frozenset({"telemetry", "health", "inventory", "config", "live"})
_CHANNEL: Final = {"faults": "fault", "config": "inventory"}  # by the first word of a topic, where it differs


class Budget:
    """One UTC day's bytes, kept over restarts, and the step that they have led to. Thread-safe.

    `kept` is an earlier `state()`. With `daily_bytes` 0 bytes are counted and nothing is held back. `eased` grows
    whenever something that was held back may go.
    """

    def __init__(self, daily_bytes: int, kept: str, wall: Callable[[], float]) -> None:
        self.daily_bytes = daily_bytes
        self.step: Step = "normal"
        self.eased = 0
        self._reserve = min(RESERVE_BYTES, daily_bytes // 2)
        self._wall = wall
        self._lock = threading.Lock()
        self._day = ""
        self._bytes: dict[str, int] = {}
        self._metered: dict[str, int] = {}
        self._recall(kept)
        self.look()

    def _recall(self, kept: str) -> None:
        try:
            day, counted = json.loads(kept or '["", {}]')
            self._day, self._bytes = str(day), {str(name): int(number) for name, number in counted.items()}
        except (ValueError, TypeError, AttributeError):  # of another version: the day is counted from now
            self._day, self._bytes = "", {}

    # --- counting

    def paid(self, suffix: str, size: int) -> None:
        """A PUBLISH of so many bytes left on a topic with this ending."""
        kind = suffix.partition("/")[0]
        self._add(_CHANNEL.get(kind, kind), size)

    def received(self, size: int) -> None:
        """A PUBLISH of so many bytes came."""
        self._add("down", size)

    def _add(self, name: str, size: int) -> None:
        with self._lock:
            self._bytes[name] = self._bytes.get(name, 0) + size

    def meter(self, **sums: int) -> None:
        """Sums since the process began: `sent` and `received` on TCP, `headers`, `probes`."""
        with self._lock:
            for name, total in sums.items():
                self._bytes[name] = self._bytes.get(name, 0) + total - self._metered.get(name, 0)
                self._metered[name] = total

    def today(self) -> dict[str, int]:
        """Bytes of this UTC day: by channel, `overhead`, `headers`, `probes`, and the `total`. Zeros are left out."""
        with self._lock:
            counted = dict(self._bytes)
        tcp = counted.pop("sent", 0) + counted.pop("received", 0)
        channels = sum(number for name, number in counted.items() if name not in {"headers", "probes"})
        counted["overhead"] = max(0, tcp - channels)
        counted["total"] = self._total(tcp, counted)
        return {name: number for name, number in counted.items() if number}

    @staticmethod
    def _total(tcp: int, counted: Mapping[str, int]) -> int:
        return tcp + counted.get("headers", 0) + counted.get("probes", 0)

    def used(self) -> int:
        """All bytes of this UTC day."""
        with self._lock:
            return self._total(self._bytes.get("sent", 0) + self._bytes.get("received", 0), self._bytes)

    def state(self) -> str:
        """What a later process needs to go on with this day."""
        with self._lock:
            return json.dumps([self._day, self._bytes])

    # --- the ladder

    def look(self) -> tuple[Step, Step] | None:
        """Begin a new day when it is one, and see how far the bytes have gone: (step before, step now) of a change."""
        wall = self._wall()
        today = datetime.fromtimestamp(wall, UTC).date().isoformat()
        # Before the clock was set nobody knows which day it is: the count goes on.
        if today != self._day and (wall >= PLAUSIBLE_SINCE or not self._day):
            with self._lock:
                self._day, self._bytes = today, {}
        before, self.step = self.step, self._step(self.used())
        if self.step == before:
            return None
        if STEPS.index(self.step) < STEPS.index(before):
            self.eased += 1
        return before, self.step

    @property
    def exceeded(self) -> bool:
        """Whether all is used up but what is kept for faults."""
        return self.step in {"faults", "critical"}

    def _step(self, used: int) -> Step:
        if not self.daily_bytes:
            return "normal"
        free = self.daily_bytes - self._reserve
        bounds = (free * _BATCH_AT, free * _THIN_AT, free, free + self._reserve * _CRITICAL_AT)
        return STEPS[sum(used >= bound for bound in bounds)]

    def allows(self, suffix: str, payload: bytes) -> bool:
        """Whether a message on a topic with this ending may leave now. State always may."""
        kind = suffix.partition("/")[0]
        if self.step == "critical":
            return kind == "state" or b'"severity":"critical"' in payload or b'"event":"budget.step"' in payload
        return self.step != "faults" or kind not in _PAST_FAULTS

    def describe(self) -> dict[str, Any]:
        """Data of the event that tells of a step."""
        return {"step": self.step, "used": self.used(), "daily": self.daily_bytes}
