"""A thread that runs probes by their intervals; one that fails is noticed and goes on being tried."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from drivers.reading import Reading

log = logging.getLogger("posdiag.probe")


class Probe(Protocol):
    """One subject. `run` ends in bounded time and says UNKNOWN with a cause instead of raising."""

    name: str
    interval_s: float

    def run(self) -> Mapping[str, Reading]:
        """What is so now."""


class Entry:
    """How one probe fares."""

    def __init__(self, probe: Probe) -> None:
        self.probe = probe
        self.due = 0.0
        self.answered_at: float | None = None
        self.took_ms: float | None = None
        self.error = ""


class ProbeRunner(threading.Thread):
    """Runs its probes one after the other; a slow subject has a runner of its own."""

    def __init__(
        self, name: str, probes: Sequence[Probe], observe: Callable[[str, Mapping[str, Reading]], None]
    ) -> None:
        super().__init__(name=f"probe-{name}", daemon=True)
        self.entries = [Entry(probe) for probe in probes]
        self.turned_at = time.monotonic()
        """When it last went on to another probe or to rest."""
        self._runner = name
        self._observe = observe
        self._stopping = threading.Event()
        self._again = threading.Event()

    def run(self) -> None:
        while not self._stopping.is_set():
            now = time.monotonic()
            for entry in self.entries:
                self.turned_at = time.monotonic()
                if now >= entry.due and not self._stopping.is_set():
                    self._run_one(entry)
            self.turned_at = time.monotonic()
            wait_s = min(entry.due for entry in self.entries) - time.monotonic()
            if wait_s > 0:
                self._again.wait(wait_s)
            self._again.clear()

    def _run_one(self, entry: Entry) -> None:
        started = time.monotonic()
        entry.due = started + entry.probe.interval_s  # before it runs: `again` may ask for another run meanwhile
        try:
            readings = entry.probe.run()
            self._observe(entry.probe.name, readings)
        except Exception as error:  # a mistake of ours must not end the other probes
            entry.error = f"{type(error).__name__}: {error}"
            log.exception("probe %s failed", entry.probe.name)
        else:
            entry.error = ""
            entry.answered_at = time.monotonic()
        entry.took_ms = (time.monotonic() - started) * 1000

    def again(self, name: str) -> None:
        """Run one probe now; one that is running, once more."""
        for entry in self.entries:
            if entry.probe.name == name:
                entry.due = 0.0
        self._again.set()

    @property
    def rest_s(self) -> float:
        """How long it rests at most between two probes."""
        return min(entry.probe.interval_s for entry in self.entries)

    def successor(self) -> ProbeRunner:
        """Another runner of the same probes, not started; this one, which ended or hangs, is heard no more."""
        self.stop()
        observe, self._observe = self._observe, _unheard
        return ProbeRunner(self._runner, [entry.probe for entry in self.entries], observe)

    def stop(self) -> None:
        """Ask the thread to end; a run in progress is finished."""
        self._stopping.set()
        self._again.set()


def _unheard(_source: str, _readings: Mapping[str, Reading]) -> None:
    """What a probe says that hung until another took its place."""
