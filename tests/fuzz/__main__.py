"""The long form: `python -m tests.fuzz --minutes 30`. A row for each reader; exit status 1 for a defect.

Processor time for readers by themselves, wall time for those behind a socket. `grew` is what the peak of this process's
memory rose by.
"""

from __future__ import annotations

import argparse
import logging
import resource
import signal
import sys
import tempfile
import time
from itertools import chain
from pathlib import Path

from tests.fuzz.live import live_targets
from tests.fuzz.mutator import FLOODS, Mutator
from tests.fuzz.targets import Outcome, Target, feed, targets

ROW = "{:28} {:>10} {:>13} {:>10} {:>8} {:>11} {:>9} {:>8}"
_HANGS_S = 30
_MOST_GROWTH_KIB = 64 * 1024
_ENDLESS = 1 << 60


def _hangs(_number: int, _frame: object) -> None:
    raise TimeoutError(f"no answer within {_HANGS_S} s")


def _peak_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def run(target: Target, seconds: float, seed: int, *, live: bool) -> Outcome:
    """Feed one target for so long."""
    outcome = Outcome()
    for piece in target.corpus:  # what is loaded at the first use is no growth
        feed(target, piece, outcome)
    before, end = _peak_kib(), time.monotonic() + seconds
    clock = time.monotonic if live else time.thread_time
    for piece in chain(FLOODS, Mutator(target.corpus, seed).pieces(_ENDLESS)):
        signal.setitimer(signal.ITIMER_REAL, _HANGS_S)
        feed(target, piece, outcome, clock)
        if time.monotonic() > end:
            break
    signal.setitimer(signal.ITIMER_REAL, 0)
    outcome.grew_kib = _peak_kib() - before
    return outcome


def _row(target: Target, outcome: Outcome, *, live: bool) -> bool:
    defects = [outcome.first] if outcome.first else []
    if not live and outcome.slowest_s > target.limit_s:
        defects.append(f"{outcome.slowest_s:.1f} s for {outcome.slowest[:80]!r}")
    if outcome.grew_kib > _MOST_GROWTH_KIB:
        defects.append("memory grows")
    if not outcome.good:
        defects.append("nothing that is right was in it")
    numbers = (f"{outcome.inputs:,}", f"{outcome.fed:,}", f"{outcome.good:,}", f"{outcome.seconds:.1f}")
    slowest, grew = f"{1000 * outcome.slowest_s:.1f} ms", f"{outcome.grew_kib / 1024:.1f} MiB"
    print(ROW.format(target.name, *numbers, slowest, grew, outcome.crashes), flush=True)
    for defect in defects:
        print(f"    {defect}", flush=True)
    return not defects


def main() -> int:
    """0 when every reader kept to what it promises."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="for all of them together")
    parser.add_argument("--only", action="append", default=[], metavar="WORD", help="readers whose name holds it")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    args = parser.parse_args()
    logging.basicConfig(level=logging.CRITICAL)
    signal.signal(signal.SIGALRM, _hangs)
    print(f"seed {args.seed}")
    good = True
    with tempfile.TemporaryDirectory(prefix="posdiag-fuzz-") as folder, live_targets(Path(folder)) as live:
        every = [(target, False) for target in targets()] + [(target, True) for target in live]
        chosen = [each for each in every if not args.only or any(word in each[0].name for word in args.only)]
        print(ROW.format("reader", "inputs", "bytes", "good", "seconds", "slowest", "grew", "crashes"), flush=True)
        for target, lives in chosen:
            outcome = run(target, 60 * args.minutes / len(chosen), args.seed, live=lives)
            good &= _row(target, outcome, live=lives)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
