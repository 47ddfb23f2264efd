"""A UPS through the Network UPS Tools server: one `LIST VAR` a poll on a connection that is kept.

Readings: reply ok|none|bad · mains on|off · ups_status (tokens as they came) · ups_battery ok|low · ups_shutdown
yes|no · ups_replace yes|no · battery_percent · battery_voltage_mv · runtime_s · load_percent · temperature_c.
Source: the NUT network protocol and the ups.status tokens of its developer guide; unknown tokens are let pass.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Mapping

from agent.config import PowerConfig
from agent.hosts import in_ascii
from agent.probes.reach import endpoint
from drivers.reading import Cause, Reading, known, unknown

_LIMIT_S = 2.0
_MOST_BYTES = 64 * 1024  # the largest UPS of the NUT device dumps lists some 300 variables, 15 KiB
_MOST_LINE = 1024  # bounds what one line can cost to take apart
_PORT = 3493
_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|([^\s"]+)')
_ESCAPED = re.compile(r"\\(.)")
_NUMBER = re.compile(r"-?\d{1,7}(\.\d{1,6})?")
_NUMBERS = {  # variable: reading, factor
    "battery.charge": ("battery_percent", 1.0),
    "battery.voltage": ("battery_voltage_mv", 1000.0),
    "battery.runtime": ("runtime_s", 1.0),
    "ups.load": ("load_percent", 1.0),
    "ups.temperature": ("temperature_c", 1.0),
}
_STATUS = ("mains", "ups_status", "ups_battery", "ups_shutdown", "ups_replace")


class NutError(Exception):
    """The server gave no list. `cause` is a reading's word."""

    def __init__(self, cause: str, why: str) -> None:
        super().__init__(why)
        self.cause = cause


class NutProbe:
    """`config.nut` is ups@host[:port]."""

    name = "nut"

    def __init__(self, config: PowerConfig) -> None:
        self.interval_s = config.poll_s
        self._ups, _, server = config.nut.rpartition("@")
        self._server = endpoint(server, _PORT)
        self._socket: socket.socket | None = None

    def run(self) -> dict[str, Reading]:
        """All readings within 2 s, and 2 s more when a kept connection turns out to be dead."""
        kept = self._socket is not None
        try:
            try:
                variables = self._list()
            except OSError:
                self.close()
                if not kept:
                    raise
                variables = self._list()  # the server was restarted between two polls
        except NutError as error:
            if error.cause != Cause.STALE:
                self.close()
            answered = known("bad" if error.cause == Cause.BAD_REPLY else "ok")
            return {"reply": answered} | _nothing(error.cause)
        except OSError:
            self.close()
            return {"reply": known("none")} | _nothing(Cause.NO_REPLY)
        return {"reply": known("ok")} | readings_of(variables)

    def close(self) -> None:
        """Give the connection back; the next run makes a new one."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _list(self) -> dict[str, str]:
        deadline = time.monotonic() + _LIMIT_S
        if self._socket is None:
            self._socket = socket.create_connection((in_ascii(self._server[0]), self._server[1]), _LIMIT_S)
        self._socket.settimeout(max(0.01, deadline - time.monotonic()))
        self._socket.sendall(f"LIST VAR {self._ups}\n".encode())
        data = b""
        while (end := _end_of(data)) is None:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            if len(data) > _MOST_BYTES:
                raise NutError(Cause.BAD_REPLY, "the list does not end")
            self._socket.settimeout(left)
            more = self._socket.recv(4096)
            if not more:
                raise ConnectionError("closed by the server")
            data += more
        return parse_list(data[:end], self._ups)


def _end_of(data: bytes) -> int | None:
    """Where the reply ends: after an error line or after the END line. None for not yet."""
    if data.startswith(b"ERR"):
        return data.find(b"\n") + 1 or None
    at = data.find(b"\nEND LIST VAR ")
    if at < 0:
        return None
    return data.find(b"\n", at + 1) + 1 or None


def parse_list(data: bytes, ups: str) -> dict[str, str]:
    """The variables of one `LIST VAR` reply. Raises NutError for errors of the server and for anything else."""
    lines = data.decode("utf-8", "replace").split("\n")
    if lines[0].startswith("ERR"):
        code = lines[0][4:64].strip()
        # DATA-STALE and DRIVER-NOT-CONNECTED: the server is well and knows nothing of the UPS now.
        stale = code.startswith(("DATA-STALE", "DRIVER-NOT-CONNECTED"))
        raise NutError(Cause.STALE if stale else Cause.REFUSED, code)
    if split_line(lines[0]) != ["BEGIN", "LIST", "VAR", ups]:
        raise NutError(Cause.BAD_REPLY, "not a list of variables")
    found: dict[str, str] = {}
    for line in lines[1:]:
        words = split_line(line)
        if len(words) == 4 and words[:2] == ["VAR", ups]:
            found[words[2]] = words[3]
    return found


def split_line(line: str) -> list[str]:
    """Words of a line; a quoted one may hold spaces, and in it a backslash takes the next character as it is."""
    if len(line) > _MOST_LINE:
        return []
    return [bare or _ESCAPED.sub(r"\1", quoted) for quoted, bare in _WORD.findall(line)]


def readings_of(variables: Mapping[str, str]) -> dict[str, Reading]:
    """What the variables say. A variable that is absent is one that this UPS does not have."""
    readings = {name: unknown(Cause.UNSUPPORTED) for name, _ in _NUMBERS.values()}
    for variable, (name, factor) in _NUMBERS.items():
        if variable in variables:
            readings[name] = _number(variables[variable], factor)
    return readings | _status(variables.get("ups.status"))


def _number(text: str, factor: float) -> Reading:
    # A strict grammar: float() would also take "nan" and "infinity".
    return known(round(float(text) * factor, 1)) if _NUMBER.fullmatch(text) else unknown(Cause.BAD_REPLY)


def _status(text: str | None) -> dict[str, Reading]:
    if text is None:
        return {name: unknown(Cause.UNSUPPORTED) for name in _STATUS}
    tokens = set(text.split())
    if not tokens or "WAIT" in tokens:  # the driver has not heard from the UPS yet
        return {name: unknown(Cause.NOT_ASKED) for name in _STATUS}
    online, battery = "OL" in tokens, "OB" in tokens
    if online and battery:
        mains = unknown(Cause.INCONSISTENT)
    elif online or battery:
        mains = known("on" if online else "off")
    else:  # OFF or BYPASS alone say nothing about the wall socket
        mains = unknown(Cause.NOT_ASKED)
    # Low while on mains is a battery that charges again; low on battery, or a forced shutdown, is the end.
    low = "LB" in tokens
    return {
        "mains": mains,
        "ups_status": known(text[:64]),
        "ups_battery": known("low" if low else "ok"),
        "ups_shutdown": known("yes" if "FSD" in tokens or (battery and low and not online) else "no"),
        "ups_replace": known("yes" if "RB" in tokens else "no"),
    }


def _nothing(cause: str) -> dict[str, Reading]:
    return {name: unknown(cause) for name in (*_STATUS, *(name for name, _ in _NUMBERS.values()))}
