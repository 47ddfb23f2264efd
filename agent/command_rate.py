"""How many commands a terminal takes, and how many that disrupt."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from agent.config import CommandsConfig

_MINUTE_S: Final = 60.0
_HOUR_S: Final = 3600.0


class RateMemory(Protocol):
    """What is known on disk of when commands were accepted, by the wall clock."""

    def rate(self) -> tuple[list[float], list[float]]:
        """All of the last minute, disruptive ones of the last hour."""

    def keep_rate(self, every: list[float], disruptive: list[float]) -> None:
        """Remember that; goes to disk with the decision that is written next, before anything is done."""


class Rate:
    """When commands were accepted. Ages are monotonic while this runs; over a restart the wall clock tells them."""

    def __init__(self, memory: RateMemory, wall: Callable[[], float]) -> None:
        self._memory = memory
        self._wall = wall
        since, now = wall(), time.monotonic()
        # A clock that went back makes them young again, so that a restart never helps to more.
        self._every, self._disruptive = (
            deque(sorted(now - max(0.0, since - at) for at in times)) for times in memory.rate()
        )

    def take(self, config: CommandsConfig, *, disruptive: bool) -> str:
        """Count one more; "" if that may be, else why not."""
        now = time.monotonic()
        limits = [(self._every, _MINUTE_S, config.per_minute)]
        if disruptive:
            limits.append((self._disruptive, _HOUR_S, config.disruptive_per_hour))
        for times, span_s, most in limits:
            while times and now - times[0] > span_s:
                times.popleft()
            if len(times) >= most:
                return f"more than {most} of these commands in {span_s:.0f} s"
        for times, _, _ in limits:
            times.append(now)
        since = self._wall() - now
        self._memory.keep_rate([since + at for at in self._every], [since + at for at in self._disruptive])
        return ""
