"""V.250 on the wire: characters in, one command line at a time, results framed as the host chose.

Source: ITU-T V.250 chapters 5 and 6 (command line syntax, S3/S4/S5, E, V, Q), 3GPP 27.007 9.2 (+CME ERROR).
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from typing import Final

NUMERIC: Final = {"OK": 0, "CONNECT": 1, "NO CARRIER": 3, "ERROR": 4}
COMMAND_TIME_S: Final = 0.02
_LONGEST_LINE: Final = 512
_EXTENDED: Final = re.compile(r'[+^%$#*][A-Z0-9_]+(?:=\?|\?|=(?:"[^"]*"|[^";])*)?', re.IGNORECASE)
_REGISTER: Final = re.compile(r"S\d+(?:\?|=\d*)", re.IGNORECASE)
_BASIC: Final = re.compile(r"&?[A-Z]\d*", re.IGNORECASE)


def split_commands(body: str) -> list[str] | None:
    """The commands of one line, upper case outside quotes; None when the line is malformed."""
    found: list[str] = []
    at = 0
    while at < len(body):
        if body[at] in " ;":
            at += 1
            continue
        if body[at] in "Dd":
            found.append("D" + body[at + 1 :])
            break
        match = _EXTENDED.match(body, at) or _REGISTER.match(body, at) or _BASIC.match(body, at)
        if match is None:
            return None
        text = match.group()
        if text[0] in "+^%$#*" and match.end() < len(body) and body[match.end()] not in "; ":
            return None
        name, equals, value = text.partition("=")
        found.append(name.upper() + equals + value)
        at = match.end()
    return found


class CommandLine:
    """Collects a line, echoes, and frames replies. `run` gets the line's commands when it is their time."""

    def __init__(
        self,
        send: Callable[[bytes], None],
        now: Callable[[], float],
        run: Callable[[list[str] | None], None],
        violation: Callable[[str], None],
    ) -> None:
        self._send = send
        self._now = now
        self._run = run
        self._violation = violation
        self._last_body = ""
        self.reset()

    def reset(self) -> None:
        """Power-on values: echo on, words as results, CR and LF."""
        self.echo = True
        self.words = True
        self.quiet = False
        self.registers = {0: 0, 3: 13, 4: 10, 5: 8, 7: 60}
        self._typed = bytearray()
        self._waiting: deque[int] = deque()
        self._due: float | None = None
        self._body = ""

    @property
    def idle(self) -> bool:
        return self._due is None

    # Towards the host

    def say(self, text: str) -> None:
        """One information line or an unsolicited one."""
        end = bytes((self.registers[3], self.registers[4]))
        self._send((end if self.words else b"") + text.encode("ascii") + end)

    def result(self, word: str) -> None:
        """The final result of a line."""
        if self.quiet:
            return
        if self.words or word not in NUMERIC:
            self.say(word)
        else:
            self._send(b"%d" % NUMERIC[word] + bytes((self.registers[3],)))

    # From the host

    def take(self, data: bytes) -> None:
        for byte in data:
            if self._due is not None:
                if not self._waiting and byte not in b"\r\n\x1b\x1a":
                    self._violation("command_while_pending")
                self._waiting.append(byte)
            else:
                self._character(byte)

    def _character(self, byte: int) -> None:
        if byte in (0x0A, 0x1B, 0x1A) or byte >= 0x80:
            return
        if self.echo:
            self._send(bytes((byte,)))
        if byte == self.registers[5]:
            del self._typed[-1:]
            return
        if byte != self.registers[3]:
            self._typed.append(byte)
            if self._typed[-2:].upper() == b"A/":
                self._typed.clear()
                self._schedule(self._last_body)
            elif len(self._typed) > _LONGEST_LINE:
                self._violation("line_too_long")
                self._typed.clear()
            return
        line = self._typed.decode("ascii", "replace")
        self._typed.clear()
        start = line.upper().find("AT")
        if start >= 0:
            self._last_body = line[start + 2 :]
            self._schedule(self._last_body)

    def _schedule(self, body: str) -> None:
        self._body = body
        self._due = self._now() + COMMAND_TIME_S

    def tick(self) -> float | None:
        """Run the pending line when its time has come; seconds until it has."""
        while self._due is not None:
            left = self._due - self._now()
            if left > 0:
                return left
            self._due = None
            self._run(split_commands(self._body))
            while self._waiting and self._due is None:
                self._character(self._waiting.popleft())
        return None
