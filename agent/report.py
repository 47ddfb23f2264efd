"""`{run_dir}/report.sock`: counters that the payment application chooses to tell. Never card data.

One datagram, one or more JSON lines: {"reader": {"good": 120, "failed": 3, "attempts": 2}}. Values are numbers that
count up since the application started, or short words; anything else is dropped and counted.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from agent.vocabulary import UNITS
from agent.wire import loads
from drivers.reading import Reading, known

_MAX_DATAGRAM = 8192
_MAX_WORD = 40  # the longest result name of UnifiedPOS has 37 letters
_MAX_VALUES = 32
_MAX_DIGITS = 8


def parse(line: bytes) -> dict[str, dict[str, Reading]]:
    """One line to readings by unit. Raises ValueError for what may not be told here; the text names no value."""
    told = loads(line)
    if not isinstance(told, dict) or not told:
        raise ValueError("not a JSON object")
    out: dict[str, dict[str, Reading]] = {}
    for unit, values in told.items():
        if unit not in UNITS or not isinstance(values, dict) or len(values) > _MAX_VALUES:
            raise ValueError("an unknown unit, or no table of values")
        out[unit] = {name: _value(name, value) for name, value in values.items()}
    return out


def _value(name: object, value: object) -> Reading:
    if not isinstance(name, str) or not name.isidentifier() or len(name) > _MAX_WORD or _digits(name) > _MAX_DIGITS:
        raise ValueError("a name that is no word")
    if isinstance(value, bool) or (isinstance(value, int | float) and abs(value) < 1e12):  # longer could be a card
        return known(value)
    if isinstance(value, str) and len(value) <= _MAX_WORD and value.replace("_", "a").replace("-", "a").isalnum():
        if _digits(value) > _MAX_DIGITS:
            raise ValueError("a word with too many digits")
        return known(value)
    raise ValueError("a value that is neither a number nor a short word")


def _digits(word: str) -> int:
    return sum(letter.isdigit() for letter in word)


class ReportListener(threading.Thread):
    """Hears report.sock and hands readings on as source `report.{unit}`."""

    def __init__(self, path: Path, observe: Callable[[str, Mapping[str, Reading]], None]) -> None:
        super().__init__(name="report", daemon=True)
        self._path = path
        self._observe = observe
        self.refused = 0
        self._closed = False
        path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        path.chmod(0o660)

    def run(self) -> None:
        while True:
            try:
                self._take(self._socket.recv(_MAX_DATAGRAM + 1))  # no name keeps what came while the next is awaited
            except OSError:
                return
            if self._closed:
                return

    def _take(self, datagram: bytes) -> None:
        if self._closed:
            return
        if len(datagram) > _MAX_DATAGRAM:
            self.refused += 1
            return
        for line in datagram.splitlines():
            self._hear(line)

    def _hear(self, line: bytes) -> None:
        try:
            told = parse(line)
        except ValueError:
            self.refused += 1
            return
        for unit, readings in told.items():
            self._observe(f"report.{unit}", readings)

    def close(self) -> None:
        """End the thread and remove the socket."""
        self._closed = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._path.unlink(missing_ok=True)
