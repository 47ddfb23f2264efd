"""`posdiag center watch`: an independent subscriber that shows the fault topics as a live table.

It knows the contract (`agent.wire`) and nothing else of the terminal's code, so that what it shows is what any
subscriber would get.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from agent import wire
from agent.packing import plain
from center.exits import unable, why
from center.settings import SettingsError, broker

_STYLE = {"critical": "bold red", "major": "red", "minor": "yellow", "warning": "cyan"}
_REFRESH_S = 0.5
_CLEARED_SHOWN_S = 20.0


@dataclass(slots=True)
class Fleet:
    """What the retained topics say, by terminal ("estate/terminal")."""

    states: dict[str, wire.StateMessage] = field(default_factory=dict)
    faults: dict[tuple[str, str], wire.FaultMessage] = field(default_factory=dict)
    cleared_at: dict[tuple[str, str], float] = field(default_factory=dict)
    refused: int = 0

    def take(self, topic: str, payload: bytes) -> tuple[str, wire.StateMessage | wire.FaultMessage] | None:
        """Take one message in; the terminal and the message, or None for what was refused or deleted."""
        try:
            parsed = wire.parse_topic(topic)
            payload = plain(payload)
            terminal = f"{parsed.estate}/{parsed.terminal}"
            if parsed.kind == "state" and payload:
                state = wire.decode(wire.StateMessage, payload)
                self.states[terminal] = state
                return terminal, state
            if parsed.kind == "fault" and len(parsed.rest) == 3 and payload:
                fault = wire.decode(wire.FaultMessage, payload)
                key = (terminal, "/".join(parsed.rest[1:]))
                self.faults[key] = fault
                if fault.state == "cleared":
                    self.cleared_at[key] = time.monotonic()
                return terminal, fault
        except wire.WireError:
            self.refused += 1
        return None

    def shown(self) -> list[tuple[str, wire.FaultMessage]]:
        """Raised faults, roots first, and those cleared a moment ago."""
        now = time.monotonic()
        rows = [
            (terminal, fault)
            for (terminal, key), fault in self.faults.items()
            if fault.state != "cleared" or now - self.cleared_at.get((terminal, key), 0.0) < _CLEARED_SHOWN_S
        ]
        rank = {"critical": 0, "major": 1, "minor": 2, "warning": 3}
        rows.sort(
            key=lambda row: (
                row[1].state == "cleared",
                row[1].cause is not None,
                rank[row[1].severity],
                row[1].first_at,
            )
        )
        return rows


def run_watch(args: argparse.Namespace) -> int:
    """Watch until Ctrl-C or `--seconds`. 0 done, 2 no broker."""
    try:
        host, port, tls = broker(args.mqtt)
    except SettingsError as error:
        return unable(error)
    if tls:
        return unable("watch takes mqtt:// only, without TLS")
    fleet = Fleet()
    changed = threading.Event()
    printer = None if not args.json and sys.stdout.isatty() else Lines(as_json=args.json)
    client = _client(args, fleet, changed, printer)
    try:
        client.connect(host, port, keepalive=60)
    except OSError as error:
        return unable(f"no broker at {args.mqtt}: {why(error)}")
    client.loop_start()
    ending = Ending(args.seconds)
    try:
        if printer is None:
            _show_live(args, fleet, changed, ending)
        else:
            while not ending and not printer.gone:
                changed.wait(_REFRESH_S)
                changed.clear()
    finally:
        ending.restore()
        client.disconnect()
        client.loop_stop()
    return 0


class Ending:
    """True once the time is up or a signal came. The handler only notes it: anything more could meet a held lock."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds if seconds else float("inf")
        self._signalled = False
        self._before = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}

    def _note(self, _number: int, _frame: object) -> None:
        self._signalled = True

    def __bool__(self) -> bool:
        return self._signalled or time.monotonic() >= self._end

    def restore(self) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)


def _client(args: argparse.Namespace, fleet: Fleet, changed: threading.Event, printer: Lines | None) -> paho.Client:
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    base = f"{wire.PREFIX}/{args.estate}/{args.terminal}"

    def on_connect(client: paho.Client, _data: object, _flags: object, _reason: object, _properties: object) -> None:
        client.subscribe([(f"{base}/fault/+/+", 1), (f"{base}/state", 1)])

    def on_message(_client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        taken = fleet.take(message.topic, bytes(message.payload))
        if taken is not None and printer is not None and not printer.gone:
            printer.show(*taken)
        changed.set()

    client.on_connect = on_connect
    client.on_message = on_message
    return client


class Lines:
    """One line a message, for pipes and programs."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self.gone = False
        """Whoever read the lines has left."""

    def show(self, terminal: str, message: wire.StateMessage | wire.FaultMessage) -> None:
        """Print it at once."""
        try:
            self._print(terminal, message)
        except BrokenPipeError:
            self.gone = True
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def _print(self, terminal: str, message: wire.StateMessage | wire.FaultMessage) -> None:
        if self._as_json:
            print(json.dumps({"terminal": terminal, **wire.to_json(message)}, ensure_ascii=False), flush=True)
        elif isinstance(message, wire.FaultMessage):
            because = f" because of {message.cause}" if message.cause else ""
            facts = _facts(message.evidence)
            line = f"{message.last_at} {terminal} {message.fault} {message.state}{because} {facts}"
            print(_clean(line).rstrip(), flush=True)
        else:
            print(_clean(f"{message.at} {terminal} {message.status}: {_verdict(message)}"), flush=True)


def _show_live(args: argparse.Namespace, fleet: Fleet, changed: threading.Event, ending: Ending) -> None:
    console = Console()
    with Live(_picture(args, fleet), console=console, auto_refresh=False, screen=False) as live:
        while not ending:
            changed.wait(_REFRESH_S)
            changed.clear()
            live.update(_picture(args, fleet), refresh=True)


def _picture(args: argparse.Namespace, fleet: Fleet) -> Group:
    states = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("terminal", "status", "verdict"):
        states.add_column(column)
    for terminal, state in sorted(fleet.states.items()):
        states.add_row(_text(terminal), _text(state.status), _text(_verdict(state)))
    faults = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("terminal", "fault", "severity", "state", "age", "because of", "who acts", "evidence"):
        faults.add_column(column)
    for terminal, fault in fleet.shown():
        style = "green" if fault.state == "cleared" else _STYLE[fault.severity]
        faults.add_row(
            _text(terminal),
            Text(fault.fault, style=style),
            _text(fault.severity),
            _text(fault.state),
            _text(_age(fault)),
            _text(fault.cause or "- (root)"),
            _text(fault.act),
            _text(_facts(fault.evidence)),
        )
    parts: list[Any] = [Text(f"watching {args.mqtt}  ·  Ctrl-C ends", style="dim"), states, Text()]
    parts.append(faults if faults.row_count else Text("no faults", style="green"))
    if fleet.refused:
        parts.append(Text(f"{fleet.refused} messages were not of the contract and were refused", style="yellow"))
    return Group(*parts)


def _verdict(state: wire.StateMessage) -> str:
    if state.status == "offline":
        return f"offline ({state.reason})"
    if state.verdict is None:
        return "-"
    cause = f" because of {state.verdict.cause}, {state.verdict.act} acts" if state.verdict.cause else ""
    return f"can sell: {state.verdict.can_sell}{cause}"


def _age(fault: wire.FaultMessage) -> str:
    seconds = max(0, round(time.time() - wire.epoch(fault.first_at)))
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min"


def _facts(evidence: Any) -> str:
    return " ".join(f"{name}={value}" for name, value in evidence.items())


def _text(text: str) -> Text:
    """Plain text: what a terminal says is never markup."""
    return Text(_clean(text))


def _clean(text: str) -> str:
    """Without control characters, which could write anywhere on the screen."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
