"""`posdiag center audit`: a subscriber that proves that every message of a terminal arrived or has a receipt.

It drives its connection itself: a message is acknowledged to the broker only once the account that holds it is on disk,
so that an audit with `--store` can be killed and go on, and what the broker kept for it meanwhile is not lost.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from rich.console import Console
from rich.table import Table
from rich.text import Text

from agent import wire
from center.exits import DONE, FAILED, unable
from center.ledger import Ledger
from center.watch import Ending

SESSION_S: Final = 7 * 86_400  # as long as an event lives at the broker
RETRY_S: Final = 0.5
STEP_S: Final = 0.2
DRAIN_S: Final = 2.0
GROUP: Final = 10  # messages saved at once; a broker hands out no more than 20 before the first is acknowledged
SHOWN: Final = 10  # holes in a table's cell


class Unable(Exception):
    """Why the audit cannot run, in one line."""


class Auditor:
    """One subscriber and its ledger. `run` belongs to one thread; everything else is for any thread."""

    def __init__(
        self, url: str, *, estate: str = "+", terminal: str = "+", store: Path | None = None, from_start: bool = False
    ) -> None:
        """Raises Unable for an address or a file that cannot be used."""
        self.cuts = 0
        """How often the connection was lost."""
        self.unheard = 0
        """How often the broker did not keep for us what was sent meanwhile."""
        self.subscribed = False
        self.ready: Callable[[], None] = lambda: None
        """Called once, at the first subscription."""
        self._host, self._port = _address(url)
        base = f"{wire.PREFIX}/{estate}/{terminal}"
        self._filters = [
            (f"{base}/{rest}", 1) for rest in ("event", "telemetry", "result/+", "state", "faults", "fault/+/+")
        ]
        self._lock = threading.Lock()
        self._ledger = Ledger(from_start=from_start)
        self._store = store
        self._client_id = f"audit-{uuid.uuid4().hex[:16]}"
        self._went_on = store is not None and self._load(store)
        self._to_acknowledge: list[tuple[int, int]] = []
        self._answered = self._refused = ""
        self._client = self._make_client()

    def _make_client(self) -> paho.Client:
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._client_id,
            protocol=paho.MQTTv5,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        return client

    # --- the thread --------------------------------------------------------------------------------------------------

    def run(self, until: Callable[[], bool]) -> None:
        """Listen until told. Raises Unable when the first connection does not come about."""
        if self._store is not None:
            self._save(self._store)  # before the broker keeps anything under our name
        try:
            self._connect()
        except OSError as error:
            raise Unable(f"no broker at {self._host}:{self._port}: {error.strerror or error}") from error
        while not until():
            waiting = len(self._to_acknowledge)
            if self._client.loop(0 if waiting else STEP_S) != paho.MQTT_ERR_SUCCESS:
                self._lost(until)
            if self._refused:
                raise Unable(f"{self._host}:{self._port} refuses us: {self._refused}")
            if waiting == len(self._to_acknowledge) or waiting >= GROUP:
                self._settle()
        end = time.monotonic() + DRAIN_S
        while self._client.is_connected() and time.monotonic() < end:  # what is on its way still counts
            waiting = len(self._to_acknowledge)
            self._client.loop(STEP_S)
            if waiting == len(self._to_acknowledge):
                break
        self._settle()
        self._client.disconnect()

    def _connect(self) -> None:
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho leaves it unannotated
        if self._store is not None:
            properties.SessionExpiryInterval = SESSION_S
        self._client.connect(
            self._host, self._port, keepalive=30, clean_start=self._store is None, properties=properties
        )

    def _lost(self, until: Callable[[], bool]) -> None:
        self.subscribed = False
        self.cuts += 1
        self._to_acknowledge.clear()  # packet ids belong to the connection; the broker sends those again
        self._client = self._make_client()
        while not until():
            try:
                self._connect()
            except OSError:
                time.sleep(RETRY_S)
            else:
                return

    def _settle(self) -> None:
        """Save first, then acknowledge."""
        if not self._to_acknowledge:
            return
        if self._store is not None:
            self._save(self._store)
        for mid, qos in self._to_acknowledge:
            self._client.ack(mid, qos)
        self._to_acknowledge.clear()

    def _on_connect(self, client: paho.Client, _data: object, flags: Any, reason: Any, _properties: object) -> None:
        if reason.is_failure:
            self._refused = str(reason).lower()
            return
        if (self._went_on or self.cuts) and not flags.session_present:
            self.unheard += 1
        self._went_on = True
        client.subscribe(self._filters)

    def _on_subscribe(
        self, _client: paho.Client, _data: object, _mid: int, reasons: list[Any], _properties: object
    ) -> None:
        if any(reason.is_failure for reason in reasons):
            self._refused = str(next(reason for reason in reasons if reason.is_failure)).lower()
        self.subscribed = not self._refused
        if self.subscribed:
            self.ready()
            self.ready = lambda: None

    def _on_message(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = ""
        with self._lock:
            self._ledger.take(topic, bytes(message.payload), time.monotonic())
        self._to_acknowledge.append((message.mid, message.qos))

    # --- the account -------------------------------------------------------------------------------------------------

    def report(self) -> dict[str, Any]:
        """`Ledger.report` and what happened to the subscription: `cuts`, and `unheard` times without a session."""
        with self._lock:
            return {**self._ledger.report(time.monotonic()), "cuts": self.cuts, "unheard": self.unheard}

    def _load(self, path: Path) -> bool:
        """Go on with an earlier account; whether there was one."""
        try:
            saved = json.loads(path.read_text("utf-8"))
            self._ledger.load(saved["accounts"])
            self._client_id = str(saved["session"])
        except FileNotFoundError:
            return False
        except OSError as error:
            raise Unable(f"{path}: {error.strerror}") from error
        except (ValueError, TypeError, KeyError) as error:
            raise Unable(f"{path} is not an account of an audit") from error
        return True

    def _save(self, path: Path) -> None:
        part = path.with_name(path.name + ".part")
        try:
            with part.open("w", encoding="utf-8") as out:
                json.dump({"session": self._client_id, "accounts": self._ledger.dump()}, out)
                out.flush()
                os.fsync(out.fileno())
            part.replace(path)
        except OSError as error:
            raise Unable(f"{path}: {error.strerror}") from error


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    try:
        port = parts.port or 1883
    except ValueError:
        port = 0
    if parts.scheme != "mqtt" or not parts.hostname or not port:
        raise Unable(f"{url!r} is not mqtt://host:port")
    return parts.hostname, port


def run_audit(args: argparse.Namespace) -> int:
    """Listen until Ctrl-C or `--seconds`, then tell. 0 complete, 1 something is missing or violated, 2 unable."""
    try:
        auditor = Auditor(
            args.mqtt,
            estate=args.estate,
            terminal=args.terminal,
            store=Path(args.store) if args.store else None,
            from_start=args.from_start,
        )
        auditor.ready = lambda: print(f"listening to {args.mqtt}", file=sys.stderr, flush=True)
        ending = Ending(args.seconds)
        try:
            auditor.run(lambda: bool(ending))
        finally:
            ending.restore()
    except Unable as error:
        return unable(error)
    report = auditor.report()
    if args.json:
        print(json.dumps(report, ensure_ascii=False))
    else:
        _print(report)
    if not any(told["messages"] for told in report["terminals"].values()):
        return unable("nothing was heard, so nothing is proven")
    return DONE if report["complete"] else FAILED


def _print(report: dict[str, Any]) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("terminal", "boot", "class", "arrived", "first", "last", "late", "with a receipt", "missing"):
        table.add_column(column)
    for name, told in report["terminals"].items():
        for stream in told["streams"]:
            holes = [f"{first}-{last}" if last > first else f"{first}" for first, last in stream["missing"]]
            more = f" and {len(holes) - SHOWN} more" if len(holes) > SHOWN else ""
            table.add_row(
                _text(name),
                *(str(stream[key]) for key in ("boot", "class", "arrived", "first", "last", "late")),
                _text(", ".join(f"{n} {why}" for why, n in stream["receipts"].items()) or "-"),
                Text(", ".join(holes[:SHOWN]) + more, style="red") if holes else Text("-"),
            )
    console = Console()
    console.print(table)
    for name, told in report["terminals"].items():
        late = f"{told['late_share']:.1%}"
        console.print(
            _text(f"{name}: {'complete' if told['complete'] else 'NOT COMPLETE'}; {told['messages']} messages,"),
            _text(f"{told['duplicates']} duplicates, {late} late; {told['status']}, {len(told['faults'])} faults"),
        )
        for finding in told["findings"]:
            console.print(_text(f"  {finding}"), style="red")
    if report["unheard"]:
        console.print(f"{report['unheard']} times the broker had kept nothing for us: what is missing may be its loss")
    if report["refused"]:
        console.print(f"{report['refused']} messages were on no topic of a terminal")


def _text(text: str) -> Text:
    """Plain text without control characters: what a terminal says is never markup."""
    return Text("".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text))
