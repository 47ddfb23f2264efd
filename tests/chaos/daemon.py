"""The real daemon with a short temper and one way to die or to err built in. Run by `tests.chaos.bed`.

Everything runs as `posdiag run` runs it; only the reconnect times are short, and on request the process is killed
inside its store or lives in another time.
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from agent import serve, session
from agent.clock import Clock
from agent.store import Store

QUICK = replace(
    session.TIMINGS["wired"], floor_s=0.05, base_s=0.05, cap_s=0.5, will_delay_s=1, ack_s=1.5, connect_s=1.5
)


def die_at(point: int) -> None:
    """SIGKILL at the n-th of these points: before a transaction, before its COMMIT, after it before anybody knows."""
    passed = 0
    transact: Any = Store._transact

    def step() -> None:
        nonlocal passed
        passed += 1
        if passed == point:
            os.kill(os.getpid(), signal.SIGKILL)

    def _transact(self: Store, db: Any, work: Callable[[Any], Any], *, durable: bool) -> Any:
        def work_and_step(db: Any) -> Any:
            result = work(db)
            step()
            return result

        step()
        result = transact(self, db, work_and_step, durable=durable)
        step()
        return result

    Store._transact = _transact  # type: ignore[method-assign]  # that is the fault being injected


def die_writing(size: int) -> None:
    """Die inside the write that would make any file longer than `size` bytes; its first part is on disk then."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)


def live_in(file: Path) -> None:
    """The wall is off by the seconds that the file says, or is at the Unix time it says after "at"."""
    started = time.monotonic()

    def wall(_self: Clock) -> float:
        words = file.read_text().split()
        if words[0] == "at":
            return float(words[1]) + time.monotonic() - started
        return time.time() + float(words[0])

    Clock.wall = wall  # type: ignore[method-assign]  # as above
    Clock.synchronised = lambda _self: file.read_text().strip() == "0"  # type: ignore[method-assign]  # as above


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", required=True)
    parser.add_argument("--die-at", type=int)
    parser.add_argument("--die-writing", type=int)
    parser.add_argument("--live-in", type=Path)
    args = parser.parse_args()
    session.TIMINGS["wired"] = QUICK
    if args.die_at:
        die_at(args.die_at)
    if args.die_writing:
        die_writing(args.die_writing)
    if args.live_in:
        live_in(args.live_in)
    return serve.serve(args.config, "info")


if __name__ == "__main__":
    sys.exit(main())
