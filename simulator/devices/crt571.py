"""A Creator CRT-571 motor card reader: ACK at once, then the reply, which the host acknowledges.

Source: the CRT-591-M communication protocol 1.0 (frames 1.3, exchange 1.4, status 2.1.2, error codes 2.2, commands 3.1
and 3.6). A unit with a pending error refuses the status request with that error's code until the cause is gone.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from operator import xor
from typing import ClassVar, Final

from simulator.device import FramedDevice, Key
from simulator.devices.texts import READS, text_key

_START, _END, _ACK, _NAK, _EOT = 0xF2, 0x03, 0x06, 0x15, 0x04
ANSWER_WAIT_S: Final = 1.0
_CARD_COMMANDS: Final = b"\x50\x51\x52\x53\x54\x60"
_PLACES: Final = {"absent": ("0", "0000000"), "present": ("2", "0011100"), "left": ("1", "1000000")}
"""Card -> st0 and the sensors S1 to S7 that it covers."""


def _check(data: bytes) -> int:
    return reduce(xor, data, 0)


class Crt571(FramedDevice):
    """Unit address 0. `card` left is a card at the gate that nobody took; jammed is error 10."""

    family: ClassVar[str] = "crt571"
    unit: ClassVar[str] = "reader"
    baud: ClassVar[int] = 9600
    FRAME_GAP_S: ClassVar[float] = 0.3
    keys: ClassVar = {
        "card": Key("absent", ("absent", "present", "left", "jammed")),
        "shutter": Key("ok", ("ok", "error")),
        "sensor": Key("ok", ("ok", "error")),
        "self_test": Key("ok", ("ok", "failed")),
        "reads": READS,
        "firmware": text_key("V1.02", 12),
        "serial": text_key("SIM00571", 16),
    }

    def __init__(self, send: Callable[[bytes], None], now: Callable[[], float]) -> None:
        super().__init__(send, now)
        self._captured = 42

    def power_on(self) -> None:
        super().power_on()
        self._reply = b""
        self._unanswered_since: float | None = None
        self._repeats = 0

    def tick(self) -> float | None:
        """Give up on a cut frame, and on a host that does not acknowledge."""
        due = [super().tick()]
        if self._unanswered_since is not None:
            left = self._unanswered_since + ANSWER_WAIT_S - self.now()
            if left <= 0:
                self.violation("reply_not_acknowledged")
                self._unanswered_since = None
            else:
                due.append(left)
        return min((each for each in due if each is not None), default=None)

    def receive(self, data: bytes) -> None:
        self.tick()
        self._last_byte_at = self.now()
        for byte in data:
            if self._frame:
                self._collect(byte)
            elif byte == _START:
                self._frame.append(byte)
            else:
                self._control(byte)

    def _control(self, byte: int) -> None:
        if byte == _ACK and self._unanswered_since is not None:
            self._unanswered_since = None
        elif byte == _NAK and self._reply and self._repeats < 3:
            self._repeats += 1
            self._unanswered_since = self.now()
            self.send(self._reply)
        elif byte == _EOT:
            self._unanswered_since = None
        else:
            self.violation("stray_byte")

    def _collect(self, byte: int) -> None:
        self._frame.append(byte)
        if len(self._frame) < 4:
            return
        length = int.from_bytes(self._frame[2:4], "big")
        if not 3 <= length <= 1024:
            self.violation("bad_length")
            self._frame.clear()
            return
        if len(self._frame) < length + 6:
            return
        frame = bytes(self._frame)
        self._frame.clear()
        self._framed(frame)

    def _framed(self, frame: bytes) -> None:
        if self._unanswered_since is not None:
            self.violation("reply_not_acknowledged")
            self._unanswered_since = None
        if _check(frame) != 0 or frame[-2] != _END or frame[4:5] != b"C":
            self.violation("bad_frame")
            self.send(bytes((_NAK,)))
            return
        if frame[1] != 0:
            return
        self.send(bytes((_ACK,)))
        self._answer(frame[5], frame[6], frame[7:-2])

    def _answer(self, command: int, parameter: int, data: bytes) -> None:
        error = self._refusal(command, parameter, data)
        if error:
            content = b"N" + bytes((command, parameter)) + error.encode("ascii")
        else:
            extra = self._perform(command, parameter)
            place = _PLACES.get(self.state["card"], _PLACES["present"])[0]
            content = b"P" + bytes((command, parameter)) + place.encode("ascii") + b"20" + extra
        frame = bytes((_START, 0)) + len(content).to_bytes(2, "big") + content + bytes((_END,))
        self._reply = frame + bytes((_check(frame),))
        self._repeats = 0
        self._unanswered_since = self.now()
        self.send(self._reply)

    def _refusal(self, command: int, parameter: int, data: bytes) -> str:
        """The error code, or nothing when the command is carried out."""
        if command in _CARD_COMMANDS:
            self.violation("card_command")
            return "03"
        known = {0x30: b"013457", 0x31: b"01", 0x32: b"01239", 0x33: b"01"}
        known |= dict.fromkeys((0xA2, 0xA3, 0xA4), b"0") | {0xA5: b"01"}
        if command not in known:
            self.violation("unknown_command")
            return "00"
        if parameter not in known[command] or data:
            self.violation("bad_parameter")
            return "01"
        if command in (0x30, 0x31, 0x32, 0x33):
            return self._pending_error()
        return ""

    def _pending_error(self) -> str:
        state = self.state
        for holds, code in (
            (state["card"] == "jammed", "10"),
            (state["sensor"] == "error", "12"),
            (state["shutter"] == "error", "11"),
            (state["self_test"] == "failed", "51"),
        ):
            if holds:
                return code
        return ""

    def _perform(self, command: int, parameter: int) -> bytes:
        version = b"CRT-571-SIM " + self.state["firmware"].encode("ascii")
        if command == 0x30:
            self._move({0x30: "left", 0x31: "bin", 0x34: "left", 0x35: "bin"}.get(parameter, "stay"))
            return version
        if command == 0x32:
            self._move({0x33: "bin", 0x39: "left", 0x31: "present", 0x32: "present"}.get(parameter, "left"))
        if command == 0x31 and parameter == 0x31:
            return _PLACES.get(self.state["card"], _PLACES["present"])[1].encode("ascii") + b"0"
        if command == 0xA2:
            serial = self.state["serial"].encode("ascii")
            return bytes((len(serial),)) + serial
        if command == 0xA3:
            return b"00000000"
        if command == 0xA4:
            return version
        if command == 0xA5:
            if parameter == 0x31:
                self._captured = 0
            return b"%03d" % (self._captured % 1000)
        return b""

    def _move(self, where: str) -> None:
        """Moving a card that somebody may still want is what a diagnosis must never do, so it is counted."""
        if where == "stay" or self.state["card"] == "absent":
            return
        self.violation("card_moved")
        if where == "bin":
            self._captured += 1
            self.state["card"] = "absent"
        else:
            self.state["card"] = where
