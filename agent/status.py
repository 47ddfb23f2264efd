"""`posdiag status`: what the running daemon knows, from the file that it keeps for the till's screen."""

from __future__ import annotations

import json
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent import config_file, wire
from agent.exits import EXIT_FAULTS, EXIT_OK, fail
from agent.guidance import Language, verdict_sentence
from agent.key_prompt import prompt
from agent.show import age, table
from agent.status_file import STATUS_S
from agent.wire import WireError, epoch

if TYPE_CHECKING:
    import argparse

_STALE_S = 3 * STATUS_S
_CONTACT: dict[Language, tuple[str, str]] = {
    "en": ("last contact {} ago", "no contact yet"),
    "zh": ("最近一次联系：{}前", "尚未联系过"),
}


def run_status(args: argparse.Namespace) -> int:
    """Print it. 0 healthy, 1 faults, 2 no daemon to be heard."""
    try:
        config = config_file.check(args.config)
    except config_file.ConfigError as error:
        return fail(error)
    run_dir = Path(config.paths.run_dir)
    path = run_dir / "status.json"
    alive = is_running(run_dir)
    try:
        status = wire.loads(path.read_bytes())
        written = epoch(status["at"])
        status["daemon"] = "running" if alive else "not running"
        whole = render(status, time.time() - written, alive=alive)
    except FileNotFoundError:
        return fail(f"no daemon has run with this configuration: {path} does not exist")
    except OSError as error:
        return fail(error)
    except (ValueError, LookupError, TypeError, AttributeError, WireError):
        return fail(f"{path} is no status that this version writes; the daemon's restart makes a new one")
    print(json.dumps(status, ensure_ascii=False, indent=2) if args.json else whole)
    if not alive:
        return fail(f"the daemon is not running; this was written {age(time.time() - written)} ago")
    return EXIT_FAULTS if status["faults"] else EXIT_OK


def is_running(run_dir: Path) -> bool:
    """Whether a daemon answers on this run directory's control socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(run_dir / "control.sock"))
        except OSError:
            return False
    return True


def sentence(verdict: dict[str, Any], language: Language) -> str:
    """The verdict as one sentence to be read aloud."""
    return verdict_sentence(wire.Verdict(**verdict), language)


def render(status: dict[str, Any], old_s: float, *, alive: bool) -> str:
    """The status as text for people."""
    lines = [sentence(status["verdict"], status["language"])]
    if old_s > _STALE_S or not alive:
        lines.append(f"STALE: written {age(old_s)} ago.")
    if status.get("key_test"):
        lines.append(prompt(status["language"], status["key_test"]))
    lines += _help(status)
    if status["faults"]:
        lines += ["", fault_table(status["faults"], time.time())]
    devices = []
    for name, device in status["devices"].items():
        readings = status["readings"].get(name, {})
        facts = facts_line({key: value for key, value in readings.items() if key not in {"port", "reply"}})
        devices.append((name, device["family"], device["model"] or "-", shown(readings.get("port", "-")), facts or "-"))
    lines += ["", table(("device", "family", "model", "port", "readings"), devices)]
    link = status.get("link", {})
    broker = "connected" if status["connected"] else f"not connected: {link.get('error') or 'connecting'}"
    lines += ["", f"broker   {broker}; {_contact(status)}"]
    for key in ("verdict", "poi", "case", "center"):
        if told := status.get(key):
            lines.append(f"{key:8} " + ", ".join(f"{name} {_word(v)}" for name, v in told.items() if v is not None))
    if status["support"]:
        lines.append(f"support  {status['support']}")
    lines += [
        f"consent  {q['cmd']} until {q['until']}: posdiag consent give {q['id']}" for q in status.get("consent", ())
    ]
    if status.get("maintenance"):
        lines.append(f"service  under maintenance until {status['maintenance']['until']}")
    lines += [f"problem  {problem}" for problem in status.get("problems", ())]
    return "\n".join(lines)


def _contact(status: dict[str, Any]) -> str:
    """When the broker last confirmed that it has something from here."""
    at = status.get("last_contact")
    some, none = _CONTACT[status["language"]]
    return some.format(age(time.time() - epoch(at))) if at else none


def _help(status: dict[str, Any]) -> list[str]:
    """What to do now, in the terminal's language; with the QR code where no slip can be printed."""
    told = status.get("guidance")
    if not told:
        return []
    lines = [f"  {number}. {step}" for number, step in enumerate(told["steps"], 1)]
    lines += [f"  - {line}" for line in (told["stop_using"], *told["never"], told["sell_on"]) if line]
    if status.get("help_code") and not _prints(status):
        from agent.slip import drawn  # noqa: PLC0415 - few looks need it

        lines += ["", *drawn(status["help_code"], colour=sys.stdout.isatty())]
    return lines


def _prints(status: dict[str, Any]) -> bool:
    """Whether a slip could come out: there is a printer, and what is wrong with it is a warning at most."""
    there = any(device["unit"] == "printer" for device in status["devices"].values())
    broken = any(f["fault"].startswith("printer/") and f["severity"] != "warning" for f in status["faults"])
    return there and not broken


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def shown(value: object) -> str:
    """A reading for people: its value, or that it is unknown and why."""
    return f"unknown ({value['error']})" if isinstance(value, dict) else str(value)


def facts_line(readings: dict[str, Any]) -> str:
    """Readings worth a look: without what this family cannot know and what nobody asked."""
    boring = ("unsupported", "not_asked")
    return ", ".join(
        f"{name} {shown(value)}"
        for name, value in readings.items()
        if not (isinstance(value, dict) and value["error"] in boring)
    )


def fault_table(faults: list[dict[str, Any]], now: float) -> str:
    """Roots first, each with what it explains behind it."""
    rows = []
    for fault in sorted(faults, key=lambda f: (f["cause"] is not None, f["fault"])):
        evidence = " ".join(f"{key}={value}" for key, value in fault["evidence"].items())
        explained = f"because of {fault['cause']}" if fault["cause"] else "root"
        rows.append(
            (fault["fault"], fault["severity"], age(now - epoch(fault["first_at"])), explained, fault["act"], evidence)
        )
    return table(("fault", "severity", "age", "explained", "who acts", "evidence"), rows)
