"""Processes of a demo: started as a user would start them, watched, and ended together."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from simulator import broker

POSDIAG: Final = (sys.executable, "-P", "-m", "agent.launch")
ENDINGS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What ends a demo: Ctrl-C, a polite kill, and the window that closes."""
_READY_S: Final = 30.0
_LEAVE_S: Final = 3.5


class DemoError(Exception):
    """Something did not start or ended by itself; the text is for people."""


@dataclass(frozen=True, slots=True)
class Part:
    """One process; what it says goes into `log`."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def wait(self, ready: Callable[[], bool]) -> None:
        """Until it is ready. Raises DemoError when it ends, or takes too long."""
        end = time.monotonic() + _READY_S
        while not ready():
            self.check()
            if time.monotonic() > end:
                raise DemoError(f"{self.name} was not ready after {_READY_S:g} s: {self._last_line()}")
            time.sleep(0.02)

    def check(self) -> None:
        """Raises DemoError when it has ended."""
        if self.process.poll() is not None:
            raise DemoError(f"{self.name} ended by itself: {self._last_line()}")

    def said(self) -> str:
        """All of its output."""
        with contextlib.suppress(OSError):
            return self.log.read_text("utf-8", errors="replace")
        return ""

    def _last_line(self) -> str:
        lines = self.said().strip().splitlines()
        return lines[-1] if lines else "it said nothing"


class Parts:
    """What a demo runs. At the end of the `with` all end at once, but the broker last, so that goodbyes arrive."""

    def __init__(self, folder: Path, language: str) -> None:
        self._language = language
        self._logs = folder / "logs"
        self._logs.mkdir(exist_ok=True)
        self._started = time.monotonic()
        self._window = _in_window()
        self._broker: subprocess.Popen[bytes] | None = None
        self.all: list[Part] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with _undisturbed():
            _end(part.process for part in self.all)
            if self._broker is not None:
                _end([self._broker])

    def say(self, *, en: str, zh: str) -> None:
        """One line of progress in the demo's language, with the seconds since the start."""
        seconds = f"{time.monotonic() - self._started:5.1f}"
        line = f"{seconds} 秒  {zh}" if self._language == "zh" else f"{seconds} s  {en}"
        print(line, file=sys.stderr, flush=True)

    def broker_at(self, url: str | None, folder: Path) -> str:
        """The URL of the broker to use: one that is there, or the embedded one. Raises DemoError."""
        if url:
            try:
                broker.reach(url)
            except (OSError, ValueError) as error:
                raise DemoError(str(error)) from error
            self.say(en=f"broker at {url}", zh=f"消息服务器 {url}")
            return url
        return self._start_broker(folder)

    def _start_broker(self, folder: Path) -> str:
        try:
            import iotcore  # noqa: F401, PLC0415 - only to say clearly what is missing
        except ImportError as error:
            raise DemoError(
                "the embedded broker needs: pip install 'posdiag[simulator]'; or give --broker URL"
            ) from error
        port = broker.free_port(1883)
        log = self._logs / "broker.log"
        self._broker = broker.start(folder, port, log)
        Part("the broker", self._broker, log).wait(lambda: broker.listens(port))
        url = f"mqtt://{broker.HOST}:{port}"
        self.say(en=f"broker at {url}", zh=f"消息服务器 {url}")
        return url

    def start(self, name: str, *words: str, env: Mapping[str, str] | None = None) -> Part:
        """One verb of posdiag, such as `start("agent", "run", …)`. The caller waits until it is ready."""
        path = self._logs / f"{name.replace(' ', '-')}.log"
        with path.open("wb") as log:
            process = subprocess.Popen(
                [*POSDIAG, *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the demo, which ends all in order
                env={**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})},
            )
        part = Part(f"the {name}", process, path)
        self.all.append(part)
        return part

    @staticmethod
    def run(*words: str, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        """One verb of posdiag to its end."""
        return subprocess.run(
            [*POSDIAG, *words], capture_output=True, text=True, env={**os.environ, **env}, check=False
        )

    def stay(self, seconds: float, watcher: subprocess.Popen[bytes] | None = None) -> None:
        """Until the time is up (0 for never) or `watcher` ends.

        Raises DemoError when a part ends, KeyboardInterrupt when the window closes.
        """
        end = time.monotonic() + seconds if seconds else float("inf")
        while time.monotonic() < end and (watcher is None or watcher.poll() is None):
            for part in self.all:
                part.check()
            if self._window and not _in_window():  # a shell passes the signal on; make and ssh, run without one, do not
                raise KeyboardInterrupt
            time.sleep(0.2)


def _in_window() -> bool:
    """Whether there is a terminal that Ctrl-C comes from."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK))
    except OSError:
        return False
    return True


@contextlib.contextmanager
def watching(url: str, *, as_json: bool, seconds: float) -> Iterator[subprocess.Popen[bytes]]:
    """`posdiag center watch` on our own output. Raises DemoError when it cannot run."""
    words = [*POSDIAG, "center", "watch", "--mqtt", url]
    words += ["--json"] if as_json else []
    words += ["--seconds", str(seconds)] if seconds else []
    watcher = subprocess.Popen(words)
    try:
        yield watcher
    finally:
        _end([watcher])
    if watcher.returncode == 2:
        raise DemoError(f"the watcher could not run against {url}")


def _end(processes: Iterable[subprocess.Popen[bytes]]) -> None:
    """Ask all to stop, and insist after a while."""
    left = list(processes)
    for process in left:
        if process.poll() is None:
            process.terminate()
    end = time.monotonic() + _LEAVE_S
    for process in left:
        try:
            process.wait(max(0.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """A second Ctrl-C waits until all have ended, which takes seconds."""
    before = [signal.signal(number, signal.SIG_IGN) for number in ENDINGS]
    try:
        yield
    finally:
        for number, handler in zip(ENDINGS, before, strict=True):
            signal.signal(number, handler)
