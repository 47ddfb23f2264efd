"""A time-boxed look over the terminal's shoulder: readings on topic `live`, once a second, for who asked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from agent import wire
from agent.cards import clean_json
from agent.commands import Job
from agent.status_file import plain
from drivers.reading import Reading

LONGEST_S: Final = 300
_EACH_S: Final = 1.0


class Live:
    """One session at a time. `heard` may be called from any thread and costs nothing while there is none.

    `sources` names the devices and probes there are.
    """

    def __init__(
        self,
        header: Callable[[], dict[str, Any]],
        publish: Callable[[bytes], bool],
        sources: Callable[[], Collection[str]],
    ) -> None:
        self._header = header
        self._publish = publish
        self._sources = sources
        self._lock = threading.Lock()
        self._values: dict[str, Any] | None = None
        self._device = ""

    def heard(self, source: str, readings: Mapping[str, Reading]) -> None:
        """Readings of a device or a probe."""
        if self._values is None or (self._device and source != self._device):
            return
        with self._lock:
            if self._values is not None:
                self._values |= {f"{source}.{name}": plain(reading) for name, reading in readings.items()}

    def run(self, args: Mapping[str, Any], job: Job) -> dict[str, int]:
        """args: `seconds` 1..300, and `device` for one alone. Raises ValueError."""
        seconds, device = args.get("seconds", 60), args.get("device", "")
        if isinstance(seconds, bool) or not isinstance(seconds, int) or not 1 <= seconds <= LONGEST_S:
            raise ValueError(f"seconds is a whole number from 1 to {LONGEST_S}")
        if device != "" and device not in (sources := sorted(self._sources())):
            raise ValueError(f"no such device; there are {', '.join(sources)}")
        with self._lock:
            if self._values is not None:
                raise ValueError("a live session is going on")
            self._values, self._device = {}, device
        try:
            return self._session(seconds, job)
        finally:
            with self._lock:
                self._values = None

    def _session(self, seconds: int, job: Job) -> dict[str, int]:
        sent = unsent = 0
        for left_s in range(seconds - 1, -1, -1):
            if job.stopping.wait(_EACH_S):
                raise InterruptedError("the agent stopped")
            with self._lock:
                values, self._values = self._values or {}, {}
            message = wire.LiveMessage(**self._header(), id=job.id, left_s=left_s, values=values)
            if self._publish(clean_json(wire.encode(message))):
                sent += 1
            else:
                unsent += 1
        return {"samples": sent, "unsent": unsent}
