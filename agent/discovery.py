"""`posdiag discover`: which devices on which ports, at which speed, and how sure; with progress for people who wait."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from agent.exits import EXIT_CANNOT, EXIT_OK, fail
from agent.show import table
from drivers.discover import Found, Nothing, Skipped, Trying, discover

_ASKED_BUSY = "stop the program that holds it, or look at its port in `posdiag status`"


def run_discover(args: argparse.Namespace) -> int:
    """The verb. 0 something found, 2 nothing to talk to."""
    found: list[Found] = []
    others: list[Skipped | Nothing] = []
    for step in discover(args.ports):
        if isinstance(step, Trying):
            _progress(f"{step.port}: {step.family} at {step.baud}" if step.baud else f"{step.port}: listening")
        elif isinstance(step, Found):
            found.append(step)
        else:
            others.append(step)
    _progress("")
    if args.json:
        print(json.dumps({"found": [_row(f) for f in found], "others": [_other(o) for o in others]}, indent=2))
    else:
        _print(found, others)
    if found:
        return EXIT_OK
    if not others:
        return fail("there is no port to look at; name one, such as /dev/ttyS0")
    return EXIT_CANNOT


def _print(found: list[Found], others: list[Skipped | Nothing]) -> None:
    rows = [
        (f.port, f.unit, f.family, f.baud or "-", f"{f.identity.manufacturer} {f.identity.model}".strip() or "-",
         f.confidence, f.reason)
        for f in found
    ]  # fmt: skip
    if rows:
        print(table(("port", "unit", "family", "speed", "who it says it is", "how sure", "why"), rows))
    if rows and others:
        print()
    for other in others:
        if isinstance(other, Skipped):
            held = f" by {other.owner}; {_ASKED_BUSY}" if other.owner else ""
            print(f"{other.port}: {other.why.removeprefix(other.port).strip()}{held}")
        else:
            print(f"{other.port}: nothing that we know answered")


def _row(found: Found) -> dict[str, Any]:
    return {
        "port": found.port,
        "unit": found.unit,
        "family": found.family,
        "baud": found.baud,
        "identity": found.identity.as_statistics(),
        "confidence": found.confidence,
        "reason": found.reason,
    }


def _other(other: Skipped | Nothing) -> dict[str, str]:
    if isinstance(other, Skipped):
        return {"port": other.port, "why": other.why, "owner": other.owner}
    return {"port": other.port, "why": "nothing answered", "owner": ""}


def _progress(text: str) -> None:
    """One line that is written over, and only where somebody looks."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
