"""The last KiB that went over a line, for the diagnostics bundle. Card data is taken out before anything is kept.

Never put around a keypad's line, which carries the keys that are typed.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Literal

from drivers.deadline import Clock
from drivers.link import Link
from drivers.redact import Redactor

KEEP_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Entry:
    """What went one way, without card data. `at_s` is the clock's time."""

    at_s: float
    direction: Literal["to_device", "from_device"]
    data: bytes


class Recorder:
    """A `Link` around a `Link`. Reading `entries` is safe from another thread."""

    def __init__(self, link: Link, clock: Clock = time.monotonic) -> None:
        self.link = link
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: deque[Entry] = deque()
        self._bytes = 0
        self._to, self._from = Redactor(), Redactor()

    def write(self, data: bytes) -> None:
        self._keep("to_device", self._to, data)
        self.link.write(data)

    def read(self, timeout_s: float) -> bytes:
        data = self.link.read(timeout_s)
        self._keep("from_device", self._from, data)
        return data

    def drain(self) -> bytes:
        data = self.link.drain()
        self._keep("from_device", self._from, data)
        return data

    def wake(self) -> None:
        self.link.wake()

    def close(self) -> None:
        self.link.close()

    def entries(self) -> list[Entry]:
        """Oldest first. What may be the beginning of card data is only told by its length."""
        with self._lock:
            kept = list(self._entries)
            now = self._clock()
            if self._to.pending:
                kept.append(Entry(now, "to_device", self._to.pending))
            if self._from.pending:
                kept.append(Entry(now, "from_device", self._from.pending))
        return kept

    def _keep(self, direction: Literal["to_device", "from_device"], way: Redactor, data: bytes) -> None:
        if not data:
            return
        with self._lock:
            safe = way.feed(data)[-KEEP_BYTES:]
            if not safe:
                return
            self._entries.append(Entry(self._clock(), direction, safe))
            self._bytes += len(safe)
            while self._bytes > KEEP_BYTES:
                self._bytes -= len(self._entries.popleft().data)
