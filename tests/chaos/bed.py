"""Broker, line, simulated terminal, auditor; and terminals on it whose agent can be hurt and must lose nothing."""

from __future__ import annotations

import json
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from center.audit import Auditor
from center.spans import unaccounted
from tests.mqtt.broker import Broker, Line, Rumqttd
from tests.system.stage import Sim
from tests.wait import wait_until

HERE = Path(__file__).parents[2]
RIGHT_S = 10.0  # what the issue gives the state after the reconnect, times the bed's patience
LEVERS = {
    "printer/paper_out": ("printer.paper", "out", "ok"),
    "reader/card_jam": ("reader.card", "jammed", "absent"),
    "printer/cutter_error": ("printer.cutter", "error", "ok"),
    "keypad/keys_missing": ("keypad.keys", "missing", "loaded"),
}
"""Faults that follow a key at the next poll: key, value that raises, value that clears."""


def pause(seconds: float) -> None:
    """Let time pass; the fault under way needs it."""
    end = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() >= end, seconds + 5, every_s=0.005)


class Bed:
    """What all terminals share. A context manager. `patience` is how often as slow as ours the machine may be."""

    def __init__(self, folder: Path, seed: int, kind: type[Broker] = Rumqttd, patience: float = 1.0) -> None:
        self.folder = folder
        self.right_s = RIGHT_S * patience
        self.chance = random.Random(seed)
        self.broker = kind(folder)
        self._open = ExitStack()
        self._ended = threading.Event()
        self._places = 0

    def __enter__(self) -> Self:
        self.broker.start()
        self._open.callback(self.broker.kill)
        self.line = self._open.enter_context(Line(self.broker.port))
        self.sim = self._open.enter_context(Sim(self.folder / "pos", self.line.port))
        self.auditor = Auditor(f"mqtt://127.0.0.1:{self.broker.port}", from_start=True)
        listener = threading.Thread(target=self.auditor.run, args=(self._ended.is_set,))
        listener.start()
        self._open.callback(listener.join)
        self._open.callback(self._ended.set)
        wait_until(lambda: self.auditor.subscribed)
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def place(self, name: str) -> Place:
        """A new terminal, with directories and numbers of its own."""
        self._places += 1
        return Place(self, f"{name}-{self._places}")

    def account(self, terminal: str) -> dict[str, Any]:
        report: dict[str, Any] = self.auditor.report()["terminals"].get(f"demo/{terminal}", {})
        return report

    def restart_broker(self) -> None:
        """Nothing of before is known; whoever listens is there before terminals are let in."""
        cuts = self.auditor.cuts
        self.broker.kill()
        wait_until(lambda: self.auditor.cuts > cuts)
        self.broker.start()
        wait_until(lambda: self.auditor.subscribed)


@dataclass
class Place:
    """One terminal. `promised` is the last number on disk of each (boot, class), looked up whenever the agent died."""

    bed: Bed
    terminal: str
    promised: dict[tuple[int, str], int] = field(default_factory=dict)
    waiting: set[tuple[int, str, int]] = field(default_factory=set)
    slowest_s: float = 0.0
    deaths: int = 0
    _process: subprocess.Popen[bytes] | None = None
    _broken: dict[str, bool] = field(default_factory=dict)
    _since_lever: int = 0

    def __post_init__(self) -> None:
        self.run_dir = self.bed.folder / f"run-{self.terminal}"
        self.state_dir = self.bed.folder / f"state-{self.terminal}"
        self.log = self.bed.folder / f"{self.terminal}.log"
        self.config = self.bed.sim.write_config(
            f"{self.terminal}.toml", add="[telemetry]\nbatch_s = 0.5\n", change=self._mine
        )

    def _mine(self, text: str) -> str:
        mine = {"id": self.terminal, "estate": "demo", "run_dir": str(self.run_dir), "state_dir": str(self.state_dir)}
        lines = []
        for line in text.splitlines():
            name = line.partition(" = ")[0]
            lines.append(f"{name} = {json.dumps(mine[name])}" if name in mine else line)
        return "\n".join(lines)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        for key in LEVERS:
            self.pull(key, broken=False)

    # --- the agent ---------------------------------------------------------------------------------------------------

    def start(self, *options: str, config: Path | None = None, log: Path | None = None) -> subprocess.Popen[bytes]:
        with (log or self.log).open("ab") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.daemon", "--config", str(config or self.config), *options],
                cwd=HERE,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
        return self._process

    def kill(self) -> int:
        """SIGKILL if it still lives, and look at what is promised. How it ended, as `Popen.returncode`."""
        if self._process is None:
            return 0
        self._process.kill()
        return self.dead()

    def ends(self, within_s: float) -> bool:
        """Whether it does by then."""
        assert self._process is not None
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(within_s)
        return self._process.poll() is not None

    def dead(self, limit_s: float = 60.0) -> int:
        """Wait for its end, and look at what is promised. The exit status."""
        assert self._process is not None
        status = self._process.wait(limit_s)
        self._process = None
        self.deaths += 1
        self._look()
        return status

    def stop(self) -> None:
        """SIGTERM; it must end well."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        assert self.dead() == 0, self.tail()

    def _alive(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.tail()
        return True

    def tail(self) -> str:
        return self.log.read_text("utf-8", errors="replace")[-3000:]

    def _look(self) -> None:
        """Read a copy of the store: the file itself belongs to the agent."""
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "posdiag.db"
            for suffix in ("", "-wal"):
                with suppress(FileNotFoundError):
                    shutil.copy(self.state_dir / f"posdiag.db{suffix}", f"{copy}{suffix}")
            with suppress(sqlite3.DatabaseError), closing(sqlite3.connect(copy)) as db:
                for cls, text in db.execute("SELECT key, value FROM kept WHERE space = 'seq'").fetchall():
                    boot, seq = (int(part) for part in text.split(":"))
                    self.promised[boot, cls] = max(seq, self.promised.get((boot, cls), 0))
                self.waiting = {(b, c, s) for b, c, s in db.execute("SELECT boot, class, seq FROM outbox").fetchall()}

    # --- the world ---------------------------------------------------------------------------------------------------

    def pull(self, key: str, *, broken: bool) -> None:
        if self._broken.get(key, False) is not broken:
            name, bad, good = LEVERS[key]
            self.bed.sim.apply({name: bad if broken else good})
            self._broken[key] = broken

    def chat(self) -> None:
        """Something for the telemetry."""
        self.bed.sim.set(modem_signal_dbm=self.bed.chance.randrange(-90, -60, 4))

    def disturb(self) -> None:
        """Break or mend the next thing in turn: something to tell."""
        self.chat()
        keys = list(LEVERS)
        key = keys[self._since_lever % len(keys)]
        self._since_lever += 1
        self.pull(key, broken=not self._broken.get(key, False))

    # --- what must hold ----------------------------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        try:
            status: dict[str, Any] = json.loads((self.run_dir / "status.json").read_bytes())
        except FileNotFoundError:
            return {}
        return status

    def wrong(self) -> str:
        """What of the state at the center is not as the terminal is; "" when all is right.

        The digest may lag by a minute; the audit holds it against the topics.
        """
        self._alive()
        account = self.bed.account(self.terminal)
        if not account or account["status"] != "online":
            return f"it is {account.get('status', 'unheard')}"
        faults = {fault["fault"]: fault["state"] for fault in self.status().get("faults", ())}
        for key in LEVERS:
            if faults.get(key) != "flapping" and (key in faults) is not self._broken.get(key, False):
                return f"{key} is {faults.get(key)} in the agent"
        if set(account["faults"]) != set(faults):
            return f"the center has {account['faults']}, the agent {sorted(faults)}"
        return ""

    def conn(self) -> int:
        return int(self.bed.account(self.terminal).get("conn", 0))

    def right(self, since_conn: int) -> float:
        """Wait for a connection newer than that, and for the right state then. How long the state took, in seconds."""
        wait_until(lambda: self._alive() and self.conn() > since_conn, 60)
        began = time.monotonic()
        try:
            wait_until(lambda: not self.wrong(), self.bed.right_s)
        except AssertionError as error:
            raise AssertionError(
                f"{self.terminal}: {self.bed.right_s:g} s after the reconnect {self.wrong()}"
            ) from error
        took = time.monotonic() - began
        self.slowest_s = max(self.slowest_s, took)
        return took

    def missing(self) -> list[str]:
        """What was promised, is neither heard nor receipted nor waiting on disk; and what the audit itself finds."""
        account = self.bed.account(self.terminal)
        found = list(account["findings"])
        with self.bed.auditor._lock:
            streams = self.bed.auditor._ledger.accounts[f"demo/{self.terminal}"].streams
            for (boot, cls), promised in self.promised.items():
                stream = streams.get((boot, cls))
                holes: Sequence[tuple[int, int]] = [(1, promised)]
                if stream is not None:
                    holes, _ = unaccounted(stream.heard.holes(1, promised), stream.receipts)
                gone = [n for first, last in holes for n in range(first, last + 1)]
                gone = [n for n in gone if (boot, cls, n) not in self.waiting]
                found += [f"boot {boot} {cls} {n} was on disk and never came" for n in gone[:5]]
        found += [
            f"boot {stream['boot']} {stream['class']} {stream['missing']} missing"
            for stream in account["streams"]
            if any((stream["boot"], stream["class"], n) not in self.waiting for n in _numbers(stream["missing"]))
        ]
        return found

    def prove(self, limit_s: float = 90.0) -> dict[str, Any]:
        """Let everything arrive, stop the agent, and hold the audit against the disk. The terminal's account."""
        wait_until(lambda: all(not s["missing"] for s in self.bed.account(self.terminal)["streams"]), limit_s)
        pause(0.3)
        self.stop()
        wait_until(lambda: self.bed.account(self.terminal)["status"] == "offline")
        try:
            wait_until(lambda: not self.missing())
        except AssertionError as error:
            raise AssertionError(f"{self.terminal}: {self.missing()[:10]}") from error
        assert "Traceback" not in self.log.read_text("utf-8", errors="replace"), self.tail()
        account = self.bed.account(self.terminal)
        assert account["findings"] == []
        return account


def _numbers(spans: Sequence[Sequence[int]]) -> list[int]:
    return [n for first, last in spans for n in range(first, last + 1)]
