"""`posdiag consent`, `posdiag audit` and `posdiag bundle`: what somebody at the terminal has to do with commands."""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

from agent.audit_log import files, verify
from agent.config_file import ConfigError, check
from agent.control import ControlError, NoDaemon, ask
from agent.exits import EXIT_FAULTS, EXIT_OK, fail

_DAEMON_S = 5.0
_TRACE_S = 15.0  # every device is asked at the same time, for 8 s at most


def run_consent(args: argparse.Namespace) -> int:
    """0 done, 1 the daemon refused, 2 no daemon, a bad configuration or no ID."""
    if (args.what == "list") is not (args.id is None):
        return fail("consent give and consent refuse need an ID; consent list takes none")
    try:
        run_dir = Path(check(args.config).paths.run_dir)
        answer = ask(run_dir, {"cmd": "consent", "args": {"what": args.what, "id": args.id}}, _DAEMON_S)
    except ConfigError as error:
        return fail(error)
    except ControlError as error:
        status = fail(error)
        return status if isinstance(error, NoDaemon) else EXIT_FAULTS
    if args.json:
        print(json.dumps(answer))
    elif args.what == "list":
        rows = [f"{each['id']}  {each['cmd']}  until {each['until']}" for each in answer["waiting"]]
        print("\n".join(rows) or "Nothing waits for consent.")
    else:
        print(f"{answer['cmd']} {answer['id']}: consent {answer['consent']}.")
    return EXIT_OK


def run_audit(args: argparse.Namespace) -> int:
    """0 the chain is whole, 1 it is not, 2 it cannot be read or there is none."""
    try:
        state_dir = args.state_dir or Path(check(args.config).paths.state_dir)
        if not files(state_dir):
            return fail(f"{state_dir}: no audit is there")
        found = verify(state_dir, args.head or "")
    except (ConfigError, OSError, ValueError) as error:
        return fail(error)
    if args.json:
        facts = {"first": found.first, "last": found.last, "head": found.head, "lines": found.lines}
        print(json.dumps({"ok": not found.problems, **facts, "problems": found.problems}))
    else:
        whole = "whole" if not found.problems else "NOT WHOLE"
        print(f"{found.lines} decisions, {found.first} to {found.last}, head {found.head}: {whole}")
        print("\n".join(found.problems), end="\n" if found.problems else "")
    return EXIT_FAULTS if found.problems else EXIT_OK


def run_bundle(args: argparse.Namespace) -> int:
    """0 written, 2 it could not be. Without a daemon it holds what lies on disk."""
    from agent.bundle import members, pack  # noqa: PLC0415 - takes as long as all else here

    try:
        config = check(args.config)
    except ConfigError as error:
        return fail(error)
    try:
        facts = ask(Path(config.paths.run_dir), {"cmd": "facts", "args": {"trace": True}}, _TRACE_S)
    except ControlError as error:
        facts = {"log": [f"no daemon: {error}"]}
    now = time.time()
    data = pack(members(Path(args.config), facts), now)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    out = args.out or Path(f"posdiag-{config.terminal.id}-{stamp}.tar.gz")
    try:
        with os.fdopen(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(data)
    except OSError as error:
        return fail(error)
    print(json.dumps({"file": str(out), "bytes": len(data)}) if args.json else f"{out}: {len(data)} bytes")
    return EXIT_OK
