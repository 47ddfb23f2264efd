"""One thread that waits for everything: ports, sockets and times. Costs nothing while nothing happens."""

from __future__ import annotations

import heapq
import os
import select
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

T = TypeVar("T")


@dataclass(order=True, slots=True)
class Timer:
    """Something planned; `cancel` makes it not happen."""

    at: float
    number: int
    act: Callable[[], None] | None = field(compare=False)

    def cancel(self) -> None:
        self.act = None


class Loop:
    """Runs callbacks in its own thread. Other threads get in through `call` only."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, Callable[[int], None]] = {}
        self._timers: list[Timer] = []
        self._numbers = 0
        self._calls: deque[Callable[[], None]] = deque()
        self._waker = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._waker, select.EPOLLIN)
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="simulator", daemon=True)
        self.error: Exception | None = None
        """The first exception that a callback let out: a defect of the simulator, raised again by `close`."""

    def start(self) -> None:
        self._thread.start()

    def now(self) -> float:
        """Seconds, monotonic."""
        return time.monotonic()

    def watch(self, handle: int, handler: Callable[[int], None], events: int = select.EPOLLIN) -> None:
        """Call `handler(events)` whenever the file descriptor has any of `events`; a second call changes both."""
        if handle in self._handlers:
            self._epoll.modify(handle, events)
        else:
            self._epoll.register(handle, events)
        self._handlers[handle] = handler

    def forget(self, handle: int) -> None:
        """Stop watching; to be done before the descriptor is closed. Unknown ones are ignored."""
        if self._handlers.pop(handle, None) is not None:
            self._epoll.unregister(handle)

    def after(self, delay_s: float, act: Callable[[], None]) -> Timer:
        """Do something once, later."""
        self._numbers += 1
        timer = Timer(self.now() + delay_s, self._numbers, act)
        heapq.heappush(self._timers, timer)
        return timer

    def call(self, act: Callable[[], T]) -> T:
        """Run `act` in the loop's thread and return what it returned, or raise what it raised."""
        if threading.current_thread() is self._thread:
            return act()
        if not self._thread.is_alive():
            raise RuntimeError("the simulator does not run")
        done = threading.Event()
        results: list[T] = []
        errors: list[BaseException] = []

        def run() -> None:
            try:
                results.append(act())
            except BaseException as error:  # noqa: BLE001 - it is handed to the caller
                errors.append(error)
            done.set()

        self._calls.append(run)
        os.eventfd_write(self._waker, 1)
        done.wait()
        if errors:
            raise errors[0]
        return results[0]

    def close(self) -> None:
        """End the thread. Raises RuntimeError when a callback had let an exception out."""
        if self._thread.is_alive():
            self.call(self._end)
            self._thread.join()
        if self._waker >= 0:
            self._epoll.close()
            os.close(self._waker)
            self._waker = -1
        if self.error is not None:
            error, self.error = self.error, None
            raise RuntimeError("the simulator has a defect") from error

    def _end(self) -> None:
        self._ended = True

    def _run(self) -> None:
        while not self._ended:
            for handle, events in self._epoll.poll(self._patience()):
                if handle == self._waker:
                    os.eventfd_read(self._waker)
                    continue
                handler = self._handlers.get(handle)
                if handler is not None:
                    self._guarded(partial(handler, events))
            while self._calls:
                self._calls.popleft()()
            self._run_timers()

    def _patience(self) -> float | None:
        while self._timers and self._timers[0].act is None:
            heapq.heappop(self._timers)
        return max(0.0, self._timers[0].at - self.now()) if self._timers else None

    def _run_timers(self) -> None:
        now = self.now()
        while self._timers and self._timers[0].at <= now:
            act = heapq.heappop(self._timers).act
            if act is not None:
                self._guarded(act)

    def _guarded(self, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:  # noqa: BLE001 - one bad callback must not take the whole terminal down
            traceback.print_exc()
            self.error = self.error or error
