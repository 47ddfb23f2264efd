"""How often somebody may ask, and how often they may be wrong. In memory: each process counts for itself."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Final

_MOST_NAMES: Final = 20_000


class Rate:
    """A bucket for each name: `burst` at once, `per_s` in the long run. For any thread."""

    def __init__(self, per_s: float, burst: float) -> None:
        self._per_ms = per_s / 1000
        self._burst = burst
        self._left: OrderedDict[str, tuple[float, int]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, name: str, now_ms: int) -> float:
        """0 if one more is allowed, else the seconds after which it is."""
        with self._lock:
            left, at_ms = self._left.pop(name, (self._burst, now_ms))
            left = min(self._burst, left + max(0, now_ms - at_ms) * self._per_ms)
            wait_s = 0.0 if left >= 1 else (1 - left) / self._per_ms / 1000
            self._left[name] = (left if wait_s else left - 1, now_ms)
            if len(self._left) > _MOST_NAMES:
                self._left.popitem(last=False)
        return wait_s


class Lockout:
    """After `most` failures within `during_ms` a name is locked until the oldest of them is that old."""

    def __init__(self, most: int = 5, during_ms: int = 15 * 60 * 1000) -> None:
        self._most = most
        self._during_ms = during_ms
        self._failures: OrderedDict[str, list[int]] = OrderedDict()
        self._lock = threading.Lock()

    def wait_s(self, name: str, now_ms: int) -> float:
        """0 if the name may try, else for how long it may not."""
        with self._lock:
            recent = self._recent(name, now_ms)
            return (recent[-self._most] + self._during_ms - now_ms) / 1000 if len(recent) >= self._most else 0.0

    def failed(self, name: str, now_ms: int) -> None:
        with self._lock:
            self._failures[name] = [*self._recent(name, now_ms), now_ms]
            self._failures.move_to_end(name)
            if len(self._failures) > _MOST_NAMES:
                self._failures.popitem(last=False)

    def passed(self, name: str) -> None:
        with self._lock:
            self._failures.pop(name, None)

    def _recent(self, name: str, now_ms: int) -> list[int]:
        return [at for at in self._failures.get(name, []) if now_ms - at < self._during_ms]
