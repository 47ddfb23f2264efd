"""`posdiag work-order`: announce a visit at this terminal, end it, or say that the terminal was inspected."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from agent import config_file
from agent.control import ControlError, NoDaemon, ask
from agent.exits import EXIT_FAULTS, EXIT_OK, fail

_DAEMON_S = 5.0


def run_visit(args: argparse.Namespace) -> int:
    """Ask the running daemon. 0 done, 1 it refused, 2 no daemon or a bad configuration."""
    try:
        config = config_file.check(args.config)
    except config_file.ConfigError as error:
        return fail(error)
    request: dict[str, Any] = {"cmd": "work_order", "args": {"hours": args.hours if args.what == "open" else 0}}
    if args.what == "inspected":
        request = {"cmd": "inspected"}
    try:
        answer = ask(Path(config.paths.run_dir), request, _DAEMON_S)
    except ControlError as error:
        status = fail(error)
        return status if isinstance(error, NoDaemon) else EXIT_FAULTS
    if args.json:
        print(json.dumps(answer, ensure_ascii=False))
    elif args.what == "inspected":
        parts = ", ".join(answer["parts"]) or "none"
        print(f"Inspected. Exchanged parts now accepted: {parts}. Case: {_case(opened=answer['case_opened'])}.")
    elif answer["open"]:
        print(f"A work order is open until {answer['until']}.")
    else:
        print("No work order is open.")
    return EXIT_OK


def _case(*, opened: bool) -> str:
    return "was opened, now accepted" if opened else "was not opened"
