"""What the verbs of `posdiag sim` do; `simulator.cli` has their words.

Exit 0 done, 1 an expectation failed, 2 it could not run.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import sys
from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from simulator.control import NotRunning, Refused, ask
from simulator.near import unknown_key
from simulator.scenario import BadScenario, Outcome, Running, load, play
from simulator.stop import Stop

DONE: Final = 0
FAILED: Final = 1
UNABLE: Final = 2
_MOST_COLUMNS: Final = 255
_PRINTED: Final = "printer.output_bytes"


def _place(args: argparse.Namespace, *, least: int, most: int | None) -> tuple[Path, list[str]]:
    """Where the terminal runs, and the other words, so many. Raises ValueError."""
    folder, words = (args.dir, args.words) if args.dir else (None, args.words[1:])
    if folder is None:
        if not args.words or "=" in args.words[0]:
            raise ValueError("say where the terminal runs: DIR before the rest, or --dir DIR")
        folder = Path(args.words[0])
    if len(words) < least:
        raise ValueError("say what to change: key=value")
    if most is not None and len(words) > most:
        raise ValueError(f"{words[most]!r} is one word too many")
    return folder, words


def _unable(text: object) -> int:
    if isinstance(text, OSError) and text.filename:
        text = f"{text.filename}: {(text.strerror or str(text)).lower()}"
    sys.stderr.write(f"posdiag sim: {text}\n")
    return UNABLE


def _pairs(texts: list[str], what: str) -> dict[str, str]:
    """Split name=value. Raises ValueError."""
    pairs = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise ValueError(f"{text!r} is not {what}")
        pairs[name] = value
    return pairs


def _broker(url: str) -> str:
    """The URL as it was given. Raises ValueError for what is no broker's address."""
    parts = urlsplit(url)
    if parts.scheme not in {"mqtt", "mqtts"} or not parts.hostname or parts.port == 0 or set(url) & set(" @?#"):
        raise ValueError(f"--mqtt is mqtt://HOST:PORT or mqtts://HOST:PORT, not {url}")
    return url


def run_terminal(args: argparse.Namespace) -> int:
    from simulator import terminal as terminals  # noqa: PLC0415 - the other verbs need not load every device

    stop = Stop()
    try:
        steps = load(args.scenario) if args.scenario else ()
        terminal = terminals.Terminal(
            args.dir,
            families=_pairs(args.family, "DEVICE=FAMILY"),
            seed=args.seed,
            mqtt=_broker(args.mqtt or terminals.DEFAULT_MQTT),
            pace=args.pace,
        )
        terminal.start()
    except (ValueError, OSError) as error:
        return _unable(error)
    try:
        _show(terminal.describe(), as_json=args.json)
        return _play_inside(terminal, steps, stop, as_json=args.json)
    finally:
        terminal.close()


def _play_inside(terminal: Any, steps: Any, stop: Stop, *, as_json: bool) -> int:
    """Play the scenario, if there is one, and wait for the end. An early end is not a failed expectation."""
    held = True
    try:
        for outcome in play(steps, terminal, terminal.folder / "run" / "status.json", wait=_Wait(stop)):
            held &= outcome.held
            _tell(outcome, as_json=as_json)
    except _Stopped:
        return DONE
    except ValueError as error:
        return _unable(str(error))
    stop.wait()
    return DONE if held else FAILED


class _Stopped(Exception):
    """The user ended the terminal while a scenario was playing."""


class _Wait:
    def __init__(self, stop: Stop) -> None:
        self._stop = stop

    def __call__(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise _Stopped


def run_set(args: argparse.Namespace) -> int:

    try:
        folder, words = _place(args, least=1, most=None)
        bare = next((word for word in words if word and "=" not in word), None)
        if bare is not None:
            ask(folder, {"do": "set", "values": {bare: None}})  # refused, with what is legal
        ask(folder, {"do": "set", "values": _pairs(words, "key=value")})
    except (NotRunning, Refused, ValueError) as error:
        return _unable(str(error))
    return DONE


def run_get(args: argparse.Namespace) -> int:

    try:
        folder, words = _place(args, least=0, most=1)
        values = ask(folder, {"do": "get"})["values"]
    except (NotRunning, ValueError) as error:
        return _unable(str(error))
    if not words:
        _show(values, as_json=args.json)
        return DONE
    key = words[0]
    if key not in values:
        return _unable(unknown_key(key, values))
    if args.json:
        _show({key: values[key]}, as_json=True)
    else:
        print(values[key])
    return DONE


def run_play(args: argparse.Namespace) -> int:
    outcomes = []
    try:
        for outcome in play(load(args.scenario), Running(args.dir), args.dir / "run" / "status.json"):
            outcomes.append(outcome)
            _tell(outcome, as_json=args.json)
    except (NotRunning, Refused, BadScenario) as error:
        return _unable(str(error))
    expected = [outcome for outcome in outcomes if outcome.expect]
    held = sum(outcome.held for outcome in expected)
    if args.json:
        print(json.dumps({"steps": len(outcomes), "expected": len(expected), "held": held}))
    else:
        print(f"{held} of {len(expected)} expectations held")
    return DONE if held == len(expected) else FAILED


def run_slip(args: argparse.Namespace) -> int:
    from simulator.render import Cut, as_text, read_slip  # noqa: PLC0415 - as in `run_terminal`

    if not 1 <= args.columns <= _MOST_COLUMNS:
        return _unable(f"--columns is a number from 1 to {_MOST_COLUMNS}, not {args.columns}")
    try:
        values = ask(args.dir, {"do": "get"})["values"]
        if "printer.output" not in values:
            return _unable("a fleet prints nothing; a terminal of sim run does")
        items = read_slip(Path(values["printer.output"]).read_bytes(), args.columns) if values[_PRINTED] else []
        cuts = [number for number, item in enumerate(items, 1) if isinstance(item, Cut)]
        start = max((cut for cut in cuts if cut < len(items)), default=0)
        if not items:
            config = shlex.quote(str(args.dir / "agent.toml"))
            return _unable(f"nothing has been printed yet; this prints: posdiag slip --config {config}")
        if args.png is None:
            print(as_text(items[start:], args.columns))
            return DONE
        from simulator.paper import as_png  # noqa: PLC0415 - needs Pillow

        as_png(items[start:], args.png, args.columns)
    except ImportError as error:
        return _unable(f"{error.name} is missing; pictures need it: pip install 'posdiag[simulator]'")
    except (NotRunning, OSError, ValueError) as error:
        return _unable(error)
    return DONE


def _tell(outcome: Outcome, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(outcome.as_json(), ensure_ascii=False), flush=True)
        return
    wanted = " ".join(f"{name}={value}" for name, value in outcome.set.items()) or "nothing set"
    verdict = "" if not outcome.expect else f"  held after {outcome.took_s:.1f} s" if outcome.held else "  FAILED"
    print(f"{outcome.at_s:7.1f} s  {wanted}{verdict}", flush=True)
    for missed in outcome.missed:
        print(f"           {missed}", flush=True)


def _show(values: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(values, ensure_ascii=False), flush=True)
        return
    width = max(map(len, values))
    for name, value in values.items():
        text = " ".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else value
        print(f"{name:{width}}  {text}", flush=True)


def run_fleet(args: argparse.Namespace) -> int:
    try:
        from simulator.fleet import MOST, Options, run_fleet  # noqa: PLC0415 - the other verbs do without MQTT
    except ImportError as error:
        return _unable(f"{error.name} is missing; a fleet needs it: pip install 'posdiag[simulator]'")

    if not 1 <= args.terminals <= MOST:
        return _unable(f"--terminals is a number from 1 to {MOST}")
    if not all(map(isfinite, (args.rate, args.connects_per_s, args.faults_per_hour, args.seconds))):
        return _unable("--rate, --connects-per-s, --faults-per-hour and --seconds are numbers that end")
    if min(args.rate, args.connects_per_s) <= 0 or min(args.faults_per_hour, args.seconds, args.sites) < 0:
        return _unable("--rate and --connects-per-s are above 0, --faults-per-hour, --seconds and --sites not below")
    if not 0 <= args.fail_share <= 1:
        return _unable("--fail-share is a number from 0 to 1")
    operators = tuple(args.operators.split(","))
    if not all(re.fullmatch("[a-z0-9_-]{1,64}", name) for name in (*operators, args.estate)):
        return _unable("--estate and the names of --operators are of a-z, 0-9, _ and -")
    stop = Stop()
    options = Options(
        url=args.mqtt,
        terminals=args.terminals,
        estate=args.estate,
        seed=args.seed,
        sites=args.sites,
        operators=operators,
        rate=args.rate,
        faults_per_hour=args.faults_per_hour,
        connects_per_s=args.connects_per_s,
        fail_share=args.fail_share,
        seconds=args.seconds,
        folder=args.dir,
        scenario=args.scenario,
        places=args.places,
    )
    return run_fleet(options, as_json=args.json, stop=stop)
