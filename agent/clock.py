"""Time as the agent needs it: the wall, what passed since boot, how good the wall is, and when it jumped."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from functools import cache
from typing import Final

from agent.wire import ClockQuality, JsonValue, timestamp

STEP_S: Final = 2.0  # slewing and a late call stay well below this; somebody setting the clock does not
PLAUSIBLE_SINCE: Final = 1_767_225_600.0  # 2026-01-01; a wall before this software existed was never set
_TIME_ERROR: Final = 5  # adjtimex(2): the kernel's clock is not synchronised


@cache
def _adjtimex() -> Callable[[], int]:
    libc = ctypes.CDLL(None)
    record = ctypes.create_string_buffer(512)  # struct timex is 208 bytes or less; modes 0 only reads
    return lambda: int(libc.adjtimex(record))


def kernel_synchronised() -> bool:
    """Whether the kernel's clock is disciplined by NTP or PTP, whichever daemon does it. False where it cannot tell."""
    try:
        return 0 <= _adjtimex()() < _TIME_ERROR
    except (OSError, AttributeError):
        return False


class Clock:
    """The machine's clocks. Thread-safe, except `step`, which one thread calls."""

    def __init__(self) -> None:
        self._network_until = 0.0
        self._offset: float | None = None

    def wall(self) -> float:
        """Seconds since the epoch; may jump."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds that never jump; for delays and deadlines. Stands still while the machine sleeps."""
        return time.monotonic()

    def up_s(self) -> float:
        """Seconds since boot, sleep included."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def up_ms(self) -> int:
        """Whole milliseconds since boot, sleep included."""
        return int(self.up_s() * 1000)

    def synchronised(self) -> bool:
        """Whether the operating system keeps the clock synchronised."""
        return kernel_synchronised()

    def network_agreed(self, for_s: float) -> None:
        """A network time source (the modem, an NTP answer) agreed with the wall just now; trusted for `for_s`."""
        self._network_until = self.up_s() + for_s

    def quality(self) -> ClockQuality:
        """How far the wall can be trusted: synced, network, rtc (plausible, unconfirmed) or unset."""
        if self.wall() < PLAUSIBLE_SINCE:
            return "unset"
        if self.synchronised():
            return "synced"
        return "network" if self.up_s() < self._network_until else "rtc"

    def step(self) -> dict[str, JsonValue] | None:
        """Data of a `clock.step` event when the wall jumped by more than 2 s since the last call, else None."""
        wall = self.wall()
        offset = wall - self.up_s()
        last, self._offset = self._offset, offset
        if last is None or abs(offset - last) <= STEP_S:
            return None
        self._network_until = 0.0  # what agreed before the jump says nothing about the wall after it
        jump = offset - last
        return {"step_s": round(jump, 3), "before": timestamp(wall - jump), "after": timestamp(wall)}


class ManualClock(Clock):
    """A clock that tests move by hand."""

    def __init__(self, wall: float = 1_800_000_000.0, up_s: float = 100.0) -> None:
        super().__init__()
        self.wall_s = wall
        self.since_boot_s = up_s
        self.is_synchronised = True

    def wall(self) -> float:
        return self.wall_s

    def monotonic(self) -> float:
        return self.since_boot_s

    def up_s(self) -> float:
        return self.since_boot_s

    def synchronised(self) -> bool:
        return self.is_synchronised

    def advance(self, seconds: float) -> None:
        """Let time pass on all clocks."""
        self.wall_s += seconds
        self.since_boot_s += seconds
