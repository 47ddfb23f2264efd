"""Waking those who wait for news in this process, threads and loops alike, so that none of them has to look often."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


class Nudge:
    """Calls everybody who asked for it. For any thread."""

    def __init__(self) -> None:
        self._wakers: tuple[Callable[[], None], ...] = ()
        self._lock = threading.Lock()

    def tell(self) -> None:
        """Wake all. Never waits for them."""
        for waker in self._wakers:
            waker()

    @contextmanager
    def waking(self, waker: Callable[[], None]) -> Iterator[None]:
        """Call this inside of the block, from whichever thread tells; it returns at once and raises nothing."""
        with self._lock:
            self._wakers = (*self._wakers, waker)
        try:
            yield
        finally:
            with self._lock:
                self._wakers = tuple(each for each in self._wakers if each is not waker)

    @contextmanager
    def event(self) -> Iterator[asyncio.Event]:
        """An event of the running loop, set each time that somebody tells."""
        loop, woken = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            with suppress(RuntimeError):  # the loop has been closed
                loop.call_soon_threadsafe(woken.set)

        with self.waking(wake):
            yield woken
