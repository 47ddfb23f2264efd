"""The long form: every fault many times, one row of a table each. Exit status 1 when one of them lost something."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests.chaos.bed import Bed
from tests.chaos.scenarios import LONG, Scenario, play
from tests.mqtt.broker import Mosquitto, Rumqttd

ROW = "{:24} {:>6} {:>7} {:>9} {:>6} {:>7} {:>6} {:>7}  {}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="one fault; may be repeated")
    parser.add_argument("--share", type=float, default=1.0, help="of the usual number of times")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--broker", choices=("rumqttd", "mosquitto"), default="rumqttd")
    args = parser.parse_args()
    print(ROW.format("fault", "times", "deaths", "messages", "again", "late", "right", "took", "verdict"), flush=True)
    failed = False
    for scenario, times in LONG.items():
        if not args.only or scenario.__name__ in args.only:
            failed |= not _row(scenario, max(1, round(times * args.share)), args)
    return int(failed)


def _row(scenario: Scenario, times: int, args: argparse.Namespace) -> bool:
    began = time.monotonic()
    kind = Mosquitto if args.broker == "mosquitto" else Rumqttd
    with tempfile.TemporaryDirectory(prefix="posdiag-chaos-") as folder, Bed(Path(folder), args.seed, kind) as bed:
        place = bed.place(scenario.__name__.replace("_", "-"))
        verdict = "complete"
        try:
            play(place, scenario, times)
        except AssertionError as error:
            verdict = f"FAILED: {error}"
        except (OSError, subprocess.SubprocessError) as error:
            verdict = f"FAILED: {error!r}"
        except pytest.skip.Exception as reason:
            verdict = f"not done: {reason}"
        told = bed.account(place.terminal)
        late = f"{told.get('late_share', 0):.0%}"
        counts = (told.get("messages", 0), told.get("duplicates", 0), late, f"{place.slowest_s:.1f} s")
        took = f"{time.monotonic() - began:.0f} s"
        print(ROW.format(scenario.__name__, times, place.deaths, *counts, took, verdict), flush=True)
    return not verdict.startswith("FAILED")


if __name__ == "__main__":
    sys.exit(main())
