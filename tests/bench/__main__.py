"""Print figures beside their goals: `python -m tests.bench [PART …]`. Nothing is asserted; a miss is marked."""

from __future__ import annotations

import importlib
import os
import platform
import re
import sys
from pathlib import Path

_PARTS = ("daemon", "outbox", "metered", "scenarios")


def main(words: list[str]) -> int:
    """0 when all parts could be measured, 2 for a part that does not exist."""
    unknown = set(words) - set(_PARTS)
    if unknown:
        print(f"no part is called {', '.join(sorted(unknown))}; there are {', '.join(_PARTS)}", file=sys.stderr)
        return 2
    print(f"{_processor()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; {platform.platform()}; ", end="")
    print(f"Python {platform.python_version()}\n")
    for part in words or _PARTS:
        print(f"{part}\n{'-' * len(part)}", flush=True)
        for what, value, unit, goal in importlib.import_module(f"tests.bench.{part}").figures():
            verdict = f"goal {goal}{_missed(value, goal)}" if goal else ""
            print(f"{what:66} {value:12,.2f} {unit:12} {verdict}".rstrip(), flush=True)
        print()
    return 0


def _missed(value: float, goal: str) -> str:
    """Whether the first number of a goal such as "≤ 20" is missed."""
    found = re.match(r"([≤≥]) ?([\d.,]+)", goal)
    if found is None:
        return ""
    limit = float(found[2].replace(",", ""))
    return "  MISSED" if (value > limit if found[1] == "≤" else value < limit) else ""


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
