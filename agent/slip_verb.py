"""`posdiag slip`: print the help slip, or show it on the screen where nothing can be printed.

The running daemon prints it, because it owns the port; without one the devices are checked here and then the port is
opened here. Nothing is touched during a sale.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent import config_file, slip, wire
from agent.actions.slip import make
from agent.cases import STORE_KEY, Cases
from agent.clock import Clock
from agent.config import Config
from agent.control import ControlError, ask
from agent.exits import EXIT_FAULTS, EXIT_OK, fail
from agent.opening import opened, sale_watch
from agent.printing import columns_of, print_parts, printer_of
from agent.status import is_running
from drivers import catalog
from drivers.errors import DriverError

_DAEMON_S = 45.0
_SALE = "a sale is going on"


@dataclass(slots=True)
class Outcome:
    """The status that the slip tells of, its code, and where it was printed: `device`, or "" and `why` not."""

    status: Mapping[str, Any]
    code: str
    device: str = ""
    why: str = ""


def run_slip(args: argparse.Namespace) -> int:
    """The verb. 0 printed or shown as asked, 1 it could not be printed and is shown instead, 2 it could not run."""
    try:
        config = config_file.check(args.config)
    except config_file.ConfigError as error:
        return fail(error)
    wants_paper = not (args.text or args.png)
    try:
        outcome = (_by_daemon if is_running(Path(config.paths.run_dir)) else _here)(config, wants_paper=wants_paper)
        if args.png:
            _save_png(outcome.code, args.png)
    except SaleError as error:
        print(f"posdiag: {error}", file=sys.stderr)
        return EXIT_FAULTS
    except (ControlError, OSError, ValueError) as error:
        return fail(error)
    if args.json:
        print(json.dumps(_as_json(outcome), ensure_ascii=False, indent=2))
    elif outcome.device:
        print(f"printed on {outcome.device}" + (f"; case {number}" if (number := _case(outcome)) else ""))
    elif not args.png:
        if outcome.why:
            print(f"posdiag: not printed: {outcome.why}", file=sys.stderr, flush=True)
        content = slip.blocks(outcome.status, outcome.code, printed=not wants_paper)
        print(slip.as_text(content, colour=sys.stdout.isatty()))
    return EXIT_FAULTS if outcome.why else EXIT_OK


class SaleError(Exception):
    """A sale is going on, and without a daemon nothing is known that could be told."""


def _by_daemon(config: Config, *, wants_paper: bool) -> Outcome:
    run_dir = Path(config.paths.run_dir)
    device, why = "", ""
    if wants_paper:
        try:
            device = ask(run_dir, {"cmd": "print_slip"}, _DAEMON_S)["device"]
        except ControlError as error:
            why = str(error)
    told = ask(run_dir, {"cmd": "help"}, _DAEMON_S)
    return Outcome(told["status"], told["code"], device, why)


def _here(config: Config, *, wants_paper: bool) -> Outcome:
    """Check every device now, then print."""
    sale = sale_watch(config)
    if sale():
        raise SaleError(_SALE)
    status = _checked(config)
    device = printer_of(config.device)
    columns = columns_of(device) if device is not None and wants_paper else 0
    _, code, parts = make(status, Path(config.paths.state_dir), columns)
    outcome = Outcome(status, code)
    if not wants_paper:
        return outcome
    if device is None:
        outcome.why = "this terminal has no receipt printer"
    elif device.share == "never":
        outcome.why = f"{device.port} belongs to the payment application, by configuration"
    else:
        try:
            with opened(device, sale) as driver:
                print_parts(driver, parts)
            outcome.device = device.name
        except DriverError as error:
            outcome.why = str(error)
    return outcome


def _checked(config: Config) -> dict[str, Any]:
    """What is so now, in the form of status.json."""
    from agent.check import check_here  # noqa: PLC0415 - opens ports and sockets; only without a daemon

    report = check_here(config, argparse.Namespace(level="internal", device=None))
    clock = Clock()
    boot, local = _case_here(config, [fault for fault in report["faults"] if fault["cause"] is None], report["verdict"])
    units = {device.name: catalog.family(device.family).unit for device in config.device}
    identities = {name: report["devices"][name]["identity"] for name in units if name in report["devices"]}
    return {
        "terminal": config.terminal.id,
        "estate": config.terminal.estate,
        "language": config.terminal.language,
        "boot": boot,
        "at": wire.timestamp(clock.wall()),
        "up_ms": clock.up_ms(),
        "clock": clock.quality(),
        "verdict": report["verdict"],
        "faults": report["faults"],
        "devices": {
            name: {
                "unit": units[name],
                "model": identity.get("ModelName", ""),
                "firmware": identity.get("FirmwareRevision", ""),
            }
            for name, identity in identities.items()
        },
        "case": {"local": local} if local else {},
        "support": config.support.channel,
    }


def _case_here(config: Config, roots: list[dict[str, Any]], verdict: Mapping[str, Any]) -> tuple[int | None, str]:
    """The boot's number, None if no daemon has counted it, and the case number, from the daemon's store."""
    from agent.store import Store, StoreBusy  # noqa: PLC0415 - loads sqlite3; only without a daemon

    try:
        store = Store(Path(config.paths.state_dir), config.store.max_bytes, Clock())
    except StoreBusy:
        return None, ""
    try:
        boot = int(store.get("boot")) if store.get("boot") else None
        terminal = f"{config.terminal.estate}/{config.terminal.id}"
        cases = Cases(terminal, boot or 0, store.get(STORE_KEY), lambda: store.bump("case"))
        changed = cases.update([fault["fault"] for fault in roots], time.time())
        if changed is not None:
            store.keep("kv", {STORE_KEY: changed})
        return boot, cases.number(verdict["cause"])
    finally:
        store.close()


def _save_png(code: str, path: str) -> None:
    import segno  # noqa: PLC0415 - only a picture needs it

    segno.make_qr(code, error="m", boost_error=False).save(path, kind="png", scale=6, border=4)


def _case(outcome: Outcome) -> str:
    return str(outcome.status["case"].get("local", ""))


def _as_json(outcome: Outcome) -> dict[str, Any]:
    told = slip.guide(outcome.status)
    content = [block for block in slip.blocks(outcome.status, outcome.code) if block.style != "code"]
    return {
        "printed": bool(outcome.device),
        "device": outcome.device,
        "why": outcome.why,
        "case": _case(outcome),
        "link": outcome.status["case"].get("link", ""),
        "verdict": outcome.status["verdict"],
        "title": told.title if told else "",
        "steps": [step.text for step in told.steps] if told else [],
        "support": outcome.status["support"],
        "help_code": outcome.code,
        "text": slip.as_text(content),
    }
