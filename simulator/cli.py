"""The verbs of `posdiag sim`: run, set, get, play, slip, fleet.

Exit 0 done, 1 an expectation failed, 2 it could not run.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib import import_module
from pathlib import Path


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `sim` and its verbs; each parser's default `run` is a function from its arguments to the exit code."""
    sim = subparsers.add_parser("sim", help="a terminal that is not there")
    verbs = sim.add_subparsers(metavar="VERB", required=True)

    run = verbs.add_parser("run", help="make a terminal and keep it until stopped")
    run.add_argument("--dir", type=Path, required=True, help="where its ports, trees and configuration lie")
    run.add_argument("--mqtt", metavar="URL", help="the broker named in the agent's configuration")
    run.add_argument("--family", metavar="DEVICE=FAMILY", action="append", default=[], help="such as reader=gempc")
    run.add_argument("--seed", type=int, help="makes noise and loss repeatable, and names the terminal sim-N")
    run.add_argument("--scenario", type=Path, help="a time line to play once the terminal is there")
    run.add_argument("--no-pace", dest="pace", action="store_false", help="bytes arrive at once, not at line speed")
    run.add_argument("--json", action="store_true", help="print one line of JSON when ready")
    run.set_defaults(run=_later("simulator.verbs", "run_terminal"))

    change = verbs.add_parser(
        "set", help="change keys of a running terminal", usage="%(prog)s [-h] [--dir] DIR key=value …"
    )
    _add_place(change)
    change.add_argument("words", metavar="key=value", nargs="+")
    change.set_defaults(run=_later("simulator.verbs", "run_set"))

    read = verbs.add_parser(
        "get", help="read keys of a running terminal", usage="%(prog)s [-h] [--json] [--dir] DIR [key]"
    )
    _add_place(read)
    read.add_argument("words", metavar="key", nargs="*", help="one key; every one without it")
    read.add_argument("--json", action="store_true", help="one flat object")
    read.set_defaults(run=_later("simulator.verbs", "run_get"))

    play = verbs.add_parser("play", help="play a scenario against a running terminal")
    play.add_argument("dir", type=Path)
    play.add_argument("scenario", type=Path)
    play.add_argument("--json", action="store_true", help="one line of JSON for each step, then the sum")
    play.set_defaults(run=_later("simulator.verbs", "run_play"))

    slip = verbs.add_parser("slip", help="look at the last slip that a running terminal's printer printed")
    slip.add_argument("dir", type=Path)
    slip.add_argument("--png", type=Path, metavar="FILE", help="as a picture; without it as text")
    slip.add_argument("--columns", type=int, default=48, help="how many characters fit a line of its paper")
    slip.set_defaults(run=_later("simulator.verbs", "run_slip"))

    fleet = verbs.add_parser("fleet", help="publish as many terminals, each with a connection of its own")
    _fleet_options(fleet)
    fleet.set_defaults(run=_later("simulator.verbs", "run_fleet"))


def _add_place(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--dir", type=Path, metavar="DIR", help="where the terminal runs, if not the first word")


def _fleet_options(fleet: argparse.ArgumentParser) -> None:
    fleet.add_argument("--mqtt", metavar="URL", default="mqtt://127.0.0.1:1883")
    fleet.add_argument("--terminals", type=int, default=100, metavar="N")
    fleet.add_argument("--estate", default="demo")
    fleet.add_argument("--seed", type=int, default=1, help="the same places, parts and noise again")
    fleet.add_argument("--sites", type=int, default=0, metavar="N", help="without it as many as shops of usual sizes")
    fleet.add_argument("--operators", default="mobile,telecom,unicom", metavar="A,B", help="whose SIM cards there are")
    fleet.add_argument("--rate", type=float, default=1.0, metavar="X", help="a day in the shops takes 24 h / X")
    fleet.add_argument("--faults-per-hour", type=float, default=0.2, metavar="F", help="of each terminal, in their day")
    fleet.add_argument("--connects-per-s", type=float, default=200.0, metavar="C", help="how fast they are switched on")
    fleet.add_argument("--fail-share", type=float, default=0.05, metavar="S", help="how many of 1 command fail")
    fleet.add_argument("--seconds", type=float, default=0, metavar="S", help="end after so long; 0 for never")
    fleet.add_argument("--dir", type=Path, help="for sim set, get and play, such as sim set DIR operator.mobile=down")
    fleet.add_argument("--scenario", type=Path, help="a time line of outages to play")
    fleet.add_argument("--places", type=Path, metavar="CSV", help="write where each terminal stands, for the center")
    fleet.add_argument("--json", action="store_true", help="figures each second as lines of JSON")


def _later(module: str, name: str) -> Callable[[argparse.Namespace], int]:
    """The function of that name, whose module is loaded when it is run: `posdiag center` need not wait for it."""
    return lambda args: int(getattr(import_module(module), name)(args))
