"""A line whose far end follows a script, on a clock that only the test moves."""

from __future__ import annotations

from collections.abc import Callable

from drivers.errors import LinkLost


class ManualClock:
    """Monotonic seconds that pass only when somebody waits."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class ScriptedLink:
    """Answers each write by `respond(request) -> [(delay_s, bytes), …]`; `push` makes bytes arrive unasked.

    `written` keeps every request, so that a test can demand exact bytes.
    """

    def __init__(self, respond: Callable[[bytes], list[tuple[float, bytes]]], clock: ManualClock | None = None) -> None:
        self.clock = clock or ManualClock()
        self.respond = respond
        self.written: list[bytes] = []
        self.lost = False
        self._due: list[tuple[float, bytes]] = []

    def push(self, data: bytes, after_s: float = 0.0) -> None:
        self._due.append((self.clock.now + after_s, data))
        self._due.sort(key=lambda item: item[0])

    def write(self, data: bytes) -> None:
        self._alive()
        self.written.append(data)
        for delay, reply in self.respond(data):
            self.push(reply, delay)

    def read(self, timeout_s: float) -> bytes:
        self._alive()
        if not self._due or self._due[0][0] > self.clock.now + timeout_s:
            self.clock.now += timeout_s
            return b""
        self.clock.now = max(self.clock.now, self._due[0][0])
        return self.drain()

    def drain(self) -> bytes:
        self._alive()
        data = b"".join(chunk for at, chunk in self._due if at <= self.clock.now)
        self._due = [item for item in self._due if item[0] > self.clock.now]
        return data

    def wake(self) -> None:
        pass

    def close(self) -> None:
        self.lost = True

    def _alive(self) -> None:
        if self.lost:
            raise LinkLost("the scripted line is gone")
