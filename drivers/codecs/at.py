"""V.250 lines: requests out, information and final results in. Sources: firmware_notes/at/notes.md."""

from __future__ import annotations

import re
from dataclasses import dataclass

from drivers.codecs.malformed import Malformed
from drivers.reading import Risk

__all__ = ["CLOSE_MUX", "AtDecoder", "Final", "Line", "Request", "fields", "info", "number"]

CLOSE_MUX = bytes.fromhex("F903EF03C316F9")
"""The close-down frame of 27.010: frees a modem that a crashed program left multiplexing and therefore deaf to AT."""

_LONGEST_LINE = 1024
_MOST_BUFFERED = 4096
_NO_TEXT = re.compile(rb"[^\x20-\x7e\r\n]")
_LINE_END = re.compile(rb"[\r\n]")
_ERROR = re.compile(r"\+CM[ES] ERROR: ?(.{1,64})")
_NUMERIC_RESULTS = {"0": True, "4": False}  # ATV0; the other numbers belong to calls, which nobody here makes


@dataclass(frozen=True, slots=True)
class Request:
    """One command line without its CR, and what it may do to the modem."""

    text: str
    risk: Risk = Risk.READ

    @property
    def encoded(self) -> bytes:
        return self.text.encode("ascii") + b"\r"


@dataclass(frozen=True, slots=True)
class Line:
    """A line that is no final result: information, an unasked report, or an echo."""

    text: str
    echo: bool = False


@dataclass(frozen=True, slots=True)
class Final:
    """The end of a reply. `code` is "" for OK, the +CME ERROR number or text, or "ERROR" for an error without one."""

    ok: bool
    code: str = ""


class AtDecoder:
    """Bytes to lines. `sent` is the command whose echo is to be told apart; `bad` counts what was no text.

    Works with echo on and off, and with results in words (ATV1) and in digits (ATV0).
    """

    def __init__(self, sent: str = "") -> None:
        self.bad = 0
        self._sent = sent
        self._buffer = bytearray()
        self._skipping = False

    def feed(self, data: bytes) -> None:
        """Take bytes in. What exceeds the buffer is dropped from its old end, and the cut line with it."""
        self._buffer += data
        excess = len(self._buffer) - _MOST_BUFFERED
        if excess > 0:
            del self._buffer[:excess]
            self._skipping = True

    def next(self) -> Line | Final | None:
        """The next line or result; None for "need more". Raises Malformed for bytes that no text has, or no end."""
        while self._buffer:
            end = _LINE_END.search(self._buffer)
            if self._skipping:  # the rest of a line that was already found bad
                del self._buffer[: end.end() if end else len(self._buffer)]
                self._skipping = end is None
                continue
            upto = end.start() if end else len(self._buffer)
            noise = _NO_TEXT.search(self._buffer, 0, upto)
            if noise or upto > _LONGEST_LINE:
                self.bad += 1
                self._skipping = True
                del self._buffer[: noise.end() if noise else upto]
                raise Malformed("bytes that no AT reply has" if noise else "a line that does not end")
            if end is None:
                return None
            text = self._buffer[:upto].decode("ascii").strip()
            del self._buffer[: end.end()]
            if text:
                return self._classify(text)
        return None

    def _classify(self, text: str) -> Line | Final:
        if text == "OK":
            return Final(ok=True)
        if text == "ERROR":
            return Final(ok=False, code="ERROR")
        if text in _NUMERIC_RESULTS:
            ok = _NUMERIC_RESULTS[text]
            return Final(ok=ok, code="" if ok else "ERROR")
        if error := _ERROR.fullmatch(text):
            return Final(ok=False, code=error[1])
        return Line(text, echo=bool(self._sent) and text == self._sent)


def info(lines: list[str], prefix: str) -> list[str]:
    """What stands behind `prefix` and its colon, for each line that has it."""
    return [line[len(prefix) + 1 :].strip() for line in lines if line.startswith(f"{prefix}:")]


_FIELD = re.compile(r'\s*(?:"([^"]*)"|([^",]*))\s*(?:,|$)')


def fields(text: str) -> list[str]:
    """Comma-separated fields without their quotes. Raises ValueError for quotes that do not pair."""
    found = []
    at = 0
    while True:
        match = _FIELD.match(text, at)
        if match is None:
            raise ValueError("quotes that do not pair")
        found.append(match[1] if match[1] is not None else match[2].strip())
        if match.end() == len(text) and not match[0].endswith(","):
            return found
        at = match.end()


_NUMBER = re.compile(r"-?\d{1,10}")


def number(text: str, low: int, high: int) -> int:
    """A decimal within its limits. Raises ValueError otherwise."""
    if not _NUMBER.fullmatch(text):
        raise ValueError("not a number")
    value = int(text)
    if not low <= value <= high:
        raise ValueError(f"{value} is outside {low} to {high}")
    return value
