"""The payment application beside the agent: processes of its own that hold a port or are simply there."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_START_S: Final = 10.0

# Both end when their standard input does, so they cannot outlive the simulator, however it ends.
_ALIVE: Final = """
import sys
open("/proc/self/comm", "w").write("payment_app")
print("ready", flush=True)
sys.stdin.read()
"""
_HOLDER: Final = """
import fcntl, os, select, sys
open("/proc/self/comm", "w").write("payment_app")
port = os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
print("ready", flush=True)
locked = False
while True:
    if not locked:
        try:
            fcntl.flock(port, fcntl.LOCK_EX | fcntl.LOCK_NB)
            locked = True
        except OSError:
            pass
    if select.select([0], [], [], None if locked else 0.2)[0]:
        break
"""


class Child:
    """A process of the payment application. Raises RuntimeError when it does not come up."""

    def __init__(self, source: str, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", source, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the simulator, which then ends it
        )
        assert self._process.stdout is not None  # noqa: S101 - asked for above
        if self._process.stdout.readline() != b"ready\n":
            self.end()
            raise RuntimeError("the payment application's process did not start")

    @property
    def pid(self) -> int:
        return self._process.pid

    def end(self) -> None:
        """End it and wait until it is gone."""
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.wait(_START_S)


def hold(port: Path) -> Child:
    """A process that has `port` open and locks it as soon as nobody else does."""
    return Child(_HOLDER, os.fspath(port))


class PaymentApp:
    """The till's payment application as the agent sees it: a pid file, a lock during a sale, counters it tells."""

    def __init__(self, run_dir: Path) -> None:
        self.pid_file = run_dir / "payment_app.pid"
        self._lock_file = run_dir / "busy.lock"
        self._run_dir = run_dir
        self._child: Child | None = None
        self._sale = -1

    def set_up(self, up: bool) -> None:
        """Start or end its process."""
        if up and self._child is None:
            self._child = Child(_ALIVE)
            self.pid_file.write_text(f"{self._child.pid}\n", encoding="ascii")
        elif not up and self._child is not None:
            self._child.end()
            self._child = None
            self.pid_file.unlink(missing_ok=True)

    def set_sale(self, sale: bool) -> None:
        """Begin or end a sale."""
        if sale and self._sale < 0:
            self._sale = os.open(self._lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._sale, fcntl.LOCK_EX)
        elif not sale and self._sale >= 0:
            os.close(self._sale)
            self._sale = -1

    def report_reads(self, text: str) -> None:
        """Tell the agent the reader's counters so far, `text` being "good/failed". Nobody has to listen."""
        good, _, failed = text.partition("/")
        counts = {"good": int(good), "failed": int(failed), "attempts": int(good) + int(failed)}
        line = json.dumps({"reader": counts}).encode() + b"\n"
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            with short_path(self._run_dir / "report.sock") as address:
                sender.sendto(line, address)

    def close(self) -> None:
        self.set_up(False)
        self.set_sale(False)


@contextlib.contextmanager
def short_path(path: Path) -> Iterator[str]:
    """A name for `path` that fits a unix socket's address (107 bytes) however deep the directory lies."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
