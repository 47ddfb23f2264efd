"""Processes watched over a stretch of time: memory by samples, processor time and writes by their growth."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.bench.figure import rest
from tests.bench.process import Memory, cpu_s, descriptors, family, memory, pss_kib, threads, written_bytes

_SAMPLES = 60


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one process and its children. `after_s` is how long it had run when its memory was taken."""

    memory: Memory
    after_s: float
    took_s: float
    cpu_percent: float
    written_day_mib: float


@dataclass(slots=True)
class Sample:
    """One look at one process: seconds since the watch began, KiB, numbers."""

    at_s: float
    pss: int
    descriptors: int
    threads: int


@dataclass
class Watch:
    """Watches pids by name. What is spent in the first `warm_s` seconds belongs to the start and is not counted."""

    pids: Mapping[str, int]
    warm_s: float
    took_s: float = 0.0
    samples: dict[str, list[Sample]] = field(default_factory=dict)

    def through(self, lasts_s: float, between: Callable[[float], None] = lambda _: None) -> None:
        """Watch for so long. `between` is called with the seconds gone after each sample."""
        self._began = time.monotonic()
        rest(self.warm_s)
        self._since = time.monotonic()
        self._before = {name: (cpu_s(pid), written_bytes(pid)) for name, pid in self.pids.items()}
        step = (lasts_s - self.warm_s) / _SAMPLES
        for number in range(1, _SAMPLES + 1):
            rest(max(0.0, self._since + number * step - time.monotonic()))
            for name, pid in self.pids.items():
                self.samples.setdefault(name, []).append(self._look(pid))
            between(self._gone())
        self.took_s = time.monotonic() - self._since
        self._after = {name: (cpu_s(pid), written_bytes(pid)) for name, pid in self.pids.items()}
        self._memory = {name: memory(pid) for name, pid in self.pids.items()}

    def _gone(self) -> float:
        return time.monotonic() - self._began

    def _look(self, pid: int) -> Sample:
        pss = sum(pss_kib(one) for one in family(pid))
        return Sample(round(self._gone(), 1), pss, descriptors(pid), threads(pid))

    def cost(self, name: str) -> Cost:
        (cpu, written), (cpu_before, written_before) = self._after[name], self._before[name]
        return Cost(
            self._memory[name],
            self.took_s + self.warm_s,
            self.took_s,
            100 * (cpu - cpu_before) / self.took_s,
            (written - written_before) / self.took_s * 86_400 / 2**20,
        )

    def series(self) -> dict[str, Any]:
        """By name: seconds, and PSS in KiB."""
        return {
            name: {"s": [sample.at_s for sample in found], "pss_kib": [sample.pss for sample in found]}
            for name, found in self.samples.items()
        }
