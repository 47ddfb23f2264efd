"""What the agent says of itself: memory, processor, store, bytes, probes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from agent import wire
from agent.probes.port import PortWorker
from agent.probes.runner import ProbeRunner

_LATE = 3  # a probe that has missed so many of its turns is failing


def pss_kib() -> int:
    """Proportional set size of this process in KiB, or -1 where the kernel does not tell."""
    try:
        for line in Path("/proc/self/smaps_rollup").read_text("ascii").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    except (OSError, ValueError):
        pass
    return -1


class Processor:
    """Share of one core that this process used since the last look."""

    def __init__(self) -> None:
        self._at = time.monotonic()
        self._used = time.process_time()

    def percent(self) -> float:
        at, used = time.monotonic(), time.process_time()
        share = 100 * (used - self._used) / max(at - self._at, 0.001)
        self._at, self._used = at, used
        return round(share, 3)


def probe_table(workers: Iterable[PortWorker], runners: Iterable[ProbeRunner], wall: float) -> list[wire.ProbeEntry]:
    """One row a device and a probe."""
    now = time.monotonic()
    devices = ((w.device.name, w.last_answer_at, w.took_ms, w.detail, w.device.poll_s) for w in workers)
    probes = (
        (e.probe.name, e.answered_at, e.took_ms, e.error, e.probe.interval_s)
        for runner in runners
        for e in runner.entries
    )
    return [_row(*row, now, wall) for row in (*devices, *probes)]


def _row(
    name: str, at: float | None, took_ms: float | None, error: str, every_s: float, now: float, wall: float
) -> wire.ProbeEntry:
    late = at is None or now - at > _LATE * every_s + 10
    state: Literal["failing", "starting", "ok"]
    state = "failing" if error or (late and at is not None) else "starting" if at is None else "ok"
    return wire.ProbeEntry(
        probe=name,
        state=state,
        last_at=None if at is None else wire.timestamp(wall - (now - at)),
        took_ms=None if took_ms is None else round(took_ms, 1),
        error=error[:128],
    )


def health_message(
    header: Mapping[str, Any],
    *,
    cpu_percent: float,
    depth: Mapping[str, Any],
    traffic: Mapping[str, int],
    refused: Mapping[str, int],
    probes: Iterable[wire.ProbeEntry],
    problems: Iterable[str],
    audit: Mapping[str, Any],
) -> bytes:
    """The message of topic `health`."""
    return wire.encode(
        wire.HealthMessage(
            **header,
            pss_kib=pss_kib(),
            cpu_percent=cpu_percent,
            threads=threading.active_count(),
            store_rows=depth["rows"],
            store_bytes=depth["bytes"],
            store_hours=depth["hours"],
            drops=depth["drops"],
            bytes_today=traffic,
            refused=dict(refused),
            probes=tuple(probes),
            problems=tuple(problems),
            audit=audit,
        )
    )
