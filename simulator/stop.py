"""The end of a verb that runs until somebody stops it."""

from __future__ import annotations

import queue
import signal


class Stop:
    """SIGTERM or Ctrl-C, noted from its making on. Made and waited for in the main thread.

    A `threading.Event` would not do: its `set` takes a lock, which the `wait` that the signal interrupts may hold.
    """

    def __init__(self) -> None:
        self._told: queue.SimpleQueue[None] = queue.SimpleQueue()  # its `put` may interrupt its own `get`
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._told.put(None))

    def wait(self, seconds: float | None = None) -> bool:
        """Wait so long, without a limit for None; whether it is time to stop."""
        try:
            self._told.get(timeout=seconds)
        except queue.Empty:
            return False
        self._told.put(None)  # it stays so
        return True
