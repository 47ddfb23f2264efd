"""The last KiB that went over a line, for the diagnostics bundle. Card data is taken out before anything is kept.

Never put around a keypad's line, which carries the keys that are typed.
"""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Literal

from drivers.deadline import Clock
from drivers.link import Link

KEEP_BYTES = 1024
_PENDING_BYTES = 256  # a magnetic stripe's longest track has 107 characters

_RUN = re.compile(rb"\d(?:[ -]?\d){12,}")
_TRACK = re.compile(rb"%[A-Z][0-9 ]{8,19}\^[^?\r\n]{0,90}\??|;[0-9]{8,19}[=D][0-9=]{0,30}\??")
# What may still grow into one of them. It stays out of the record until it has ended.
_OPEN = re.compile(
    rb"(?:%(?:[A-Z](?:[0-9 ]{0,19}(?:\^[^?\r\n]{0,90})?)?)?|;[0-9]{0,19}(?:[=D][0-9=]{0,30})?|\d(?:[ -]?\d)*[ -]?)\Z"
)


@dataclass(frozen=True, slots=True)
class Entry:
    """What went one way, without card data. `at_s` is the clock's time."""

    at_s: float
    direction: Literal["to_device", "from_device"]
    data: bytes


def redact(data: bytes) -> bytes:
    """Replace what may be a card number or a track by what it was: `<pan:16>`, `<track:37>`, with its length.

    A card number is 13 to 19 digits, the first of them not 0, single spaces or dashes between them, whose check digit
    (Luhn) is right; in a longer run any such part counts. That also hits some serial numbers of modems and SIM cards,
    which is the safe side.
    """
    data = _TRACK.sub(lambda match: b"<track:%d>" % len(match[0]), data)
    return _RUN.sub(_redact_run, data)


def _redact_run(match: re.Match[bytes]) -> bytes:
    digits = re.sub(rb"\D", b"", match[0])
    for start in range(len(digits) - 12):
        if digits[start] == ord("0"):  # no issuer's number begins so, and rows of zeros are common
            continue
        for length in range(13, min(19, len(digits) - start) + 1):
            if _luhn(digits[start : start + length]):
                return b"<pan:%d>" % len(digits)
    return match[0]


def _luhn(digits: bytes) -> bool:
    total = 0
    for place, byte in enumerate(reversed(digits)):
        digit = byte - 0x30
        if place % 2:
            digit = digit * 2 - 9 if digit > 4 else digit * 2
        total += digit
    return total % 10 == 0


class _Direction:
    """One direction of the line: holds back what may be the beginning of card data."""

    def __init__(self) -> None:
        self._held = b""

    def pass_on(self, data: bytes) -> bytes:
        """The part of everything so far that is safe to keep."""
        data = self._held + data
        match = _OPEN.search(data)
        start = len(data) if match is None else match.start()
        if len(data) - start > _PENDING_BYTES:  # too long for anything of a card
            start = len(data)
        self._held = data[start:]
        return redact(data[:start])

    @property
    def held_bytes(self) -> int:
        return len(self._held)


class Recorder:
    """A `Link` around a `Link`. Reading `entries` is safe from another thread."""

    def __init__(self, link: Link, clock: Clock = time.monotonic) -> None:
        self.link = link
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: deque[Entry] = deque()
        self._bytes = 0
        self._to, self._from = _Direction(), _Direction()

    def write(self, data: bytes) -> None:
        self._keep("to_device", self._to, data)
        self.link.write(data)

    def read(self, timeout_s: float) -> bytes:
        data = self.link.read(timeout_s)
        self._keep("from_device", self._from, data)
        return data

    def drain(self) -> bytes:
        data = self.link.drain()
        self._keep("from_device", self._from, data)
        return data

    def wake(self) -> None:
        self.link.wake()

    def close(self) -> None:
        self.link.close()

    def entries(self) -> list[Entry]:
        """Oldest first. What may be the beginning of card data is only told by its length."""
        with self._lock:
            kept = list(self._entries)
            now = self._clock()
            if self._to.held_bytes:
                kept.append(Entry(now, "to_device", b"<held:%d>" % self._to.held_bytes))
            if self._from.held_bytes:
                kept.append(Entry(now, "from_device", b"<held:%d>" % self._from.held_bytes))
        return kept

    def _keep(self, direction: Literal["to_device", "from_device"], way: _Direction, data: bytes) -> None:
        if not data:
            return
        with self._lock:
            safe = way.pass_on(data)[-KEEP_BYTES:]
            if not safe:
                return
            self._entries.append(Entry(self._clock(), direction, safe))
            self._bytes += len(safe)
            while self._bytes > KEEP_BYTES:
                self._bytes -= len(self._entries.popleft().data)
