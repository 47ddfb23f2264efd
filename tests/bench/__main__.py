"""Figures beside their goals: `python -m tests.bench [PART …]`. Nothing is asserted; a miss is marked.

Each figure is printed as it comes and kept in bench.json; table and pictures are made from that, by `report` alone too.
"""

from __future__ import annotations

import argparse
import datetime as dt
import importlib
import os
import sys
import time
import traceback
from pathlib import Path

from tests.bench import report
from tests.bench.figure import Effort, Figure, Series
from tests.bench.kept import Kept, Part, machine

PARTS = (
    *("daemon", "peers", "outbox", "metered", "outage", "soak", "scenarios", "ingest", "incidents", "api", "fleet"),
    *("console_latency", "console_browser"),
)
_ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("part", nargs="*", help=f"{', '.join(PARTS)}, or report; all without one")
    parser.add_argument("--quick", action="store_true", help="a little of everything, into build/bench")
    parser.add_argument("--minutes", type=float, default=0.0, help="how long daemon, peers and soak last")
    parser.add_argument("--out", type=Path, help="where bench.json, bench.md and the pictures go; docs without --quick")
    args = parser.parse_args()
    unknown = set(args.part) - {*PARTS, "report"}
    if unknown:
        parser.error(f"no part is called {', '.join(sorted(unknown))}; there are {', '.join(PARTS)} and report")
    out = args.out or _ROOT / ("build/bench" if args.quick else "docs")
    out.mkdir(parents=True, exist_ok=True)
    kept = Kept.load(out / "bench.json")
    effort = Effort(quick=args.quick, minutes=args.minutes)
    if "report" not in args.part:
        print("; ".join(machine().values()), flush=True)
    failed = [name for name in args.part or PARTS if name != "report" and not _measure(name, effort, kept)]
    report.write(kept, out)
    if failed:
        print(f"could not be measured to the end: {', '.join(failed)}", file=sys.stderr)
    return int(bool(failed))


def _measure(name: str, effort: Effort, kept: Kept) -> bool:
    """Whether the part came to its end; what it had measured by then is kept."""
    began, load = time.monotonic(), os.getloadavg()[0]
    print(f"\n{name}\n{'-' * len(name)}", flush=True)
    part = Part(at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"), quick=effort.quick, load=round(load, 2))
    try:
        for told in importlib.import_module(f"tests.bench.{name}").run(effort):
            _note(told, part)
            part.took_s = round(time.monotonic() - began)
            kept.put(name, part)
    except Exception:  # noqa: BLE001 - an hour of other figures does not depend on this one
        traceback.print_exc()
        return False
    print(f"{part.took_s} s", flush=True)
    return True


def _note(told: Figure | Series, part: Part) -> None:
    if isinstance(told, Series):
        part.series[told.key] = told.data
        return
    part.figures.append(told)
    goal = f"goal {told.goal}{'  MISSED' if told.misses else ''}" if told.goal else ""
    print(f"{told.what:66} {told.shown:>16}  {goal or (told.how if told.value is None else '')}".rstrip(), flush=True)


if __name__ == "__main__":
    sys.exit(main())
