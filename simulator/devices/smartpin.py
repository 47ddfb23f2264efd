"""An ID TECH SmartPIN L100 PIN pad: identity, which keys it holds, and its log of fixings and removals.

Source: SmartPIN L100 User Manual 80141505-001 rev. H, pages 31 to 39, and K100 manual 80114510-001 rev. D. Reading the
log deletes it. `tamper` yes writes an illegal removal into the log; back to no, both users' fixing of the pad.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import reduce
from operator import xor
from typing import ClassVar, Final

from simulator.device import FramedDevice, Key
from simulator.devices.texts import text_key

_STX, _ETX, _GOOD, _REFUSED = 0x02, 0x03, b"\x06", b"\x15"
_LOG_LIMIT: Final = 40
_PIN_KEY, _MASTER, _LOADER, _SESSION = 0x01, 0x08, 0x14, 0x28
_UNKNOWN: Final = _REFUSED + b"\x04\x00"
_NOT_NOW: Final = _REFUSED + b"\x18\x00"
_PREFIXES: Final = {
    b"\x75\x46": "pin_command",
    b"\x78\x46\x49": "restarted",
    b"\x78\x46\x7a": "boot_loader",
    b"\x78\x46\x72": "stopped",
    b"\x78\x53": "stored_setting_changed",
}
"""Commands that a diagnosis must not send -> what they are counted as."""


def framed(body: bytes) -> bytes:
    """STX, length low byte first, body, XOR of the body, sum of the body, ETX."""
    checks = bytes((reduce(xor, body), sum(body) & 0xFF, _ETX))
    return bytes((_STX,)) + len(body).to_bytes(2, "little") + body + checks


class SmartPin(FramedDevice):
    """Which keys are pressed is enciphered and has no answer here, so there is no `held`."""

    family: ClassVar[str] = "smartpin"
    unit: ClassVar[str] = "keypad"
    baud: ClassVar[int] = 9600
    FRAME_GAP_S: ClassVar[float] = 0.3
    keys: ClassVar = {
        "tamper": Key("no", ("no", "yes")),
        "keys": Key("loaded", ("loaded", "missing")),
        "firmware": text_key("V1.02", 12),
        "serial": text_key("SIMT000001", 16),
    }

    def __init__(self, send: Callable[[bytes], None], now: Callable[[], float]) -> None:
        super().__init__(send, now)
        self.world_time: Callable[[], float] = time.time
        self._announced: list[bytes] = []
        self._illegal: list[bytes] = []

    def changed(self, name: str, before: str) -> None:
        del before
        if name != "tamper":
            return
        if self.state["tamper"] == "yes":
            self._illegal.append(self._record(b"02"))
        else:
            self._announced += [self._record(b"10"), self._record(b"20")]
        del self._announced[:-_LOG_LIMIT], self._illegal[:-_LOG_LIMIT]

    def _record(self, user_and_state: bytes) -> bytes:
        stamp = time.strftime("-%Y%m%d-%H%M/", time.gmtime(self.world_time()))
        return user_and_state + stamp.encode("ascii")

    def receive(self, data: bytes) -> None:
        self.tick()
        self._last_byte_at = self.now()
        answered = False
        for byte in data:
            if not self._frame and byte != _STX:
                self.violation("stray_byte")
                continue
            self._frame.append(byte)
            if len(self._frame) < 3:
                continue
            length = int.from_bytes(self._frame[1:3], "little")
            if not 1 <= length <= 512:
                self.violation("bad_frame")
                self._frame.clear()
            elif len(self._frame) == length + 6:
                frame = bytes(self._frame)
                self._frame.clear()
                if answered:
                    self.violation("command_before_reply")
                answered = self._take(frame)

    def _take(self, frame: bytes) -> bool:
        body = frame[3:-3]
        if framed(body) != frame:
            self.violation("bad_frame")
            return False
        self.send(framed(self._answer(body)))
        return True

    def _answer(self, body: bytes) -> bytes:
        for start, count_as in _PREFIXES.items():
            if body.startswith(start):
                self.violation(count_as)
                return _GOOD if count_as == "restarted" else _NOT_NOW
        texts = {
            b"\x78\x46\x01": "ID TECH SmartPIN L100 Firmware " + self.state["firmware"],
            b"\x78\x46\x02": self.state["serial"],
            b"\x78\x46\x20": "L100 posdiag-sim",
        }
        if body in texts:
            return _GOOD + texts[body].encode("ascii")
        if body == b"\x78\x46\x25":
            return _GOOD + self._key_blocks()
        if body == b"\x78\x52\x01\x50":
            digits = time.strftime("%y%m%d%H%M%S", time.gmtime(self.world_time()))
            return _GOOD + b"\x78\x01\x50\x06" + bytes.fromhex(digits)
        if body == b"\x78\x52\x01\x51":
            return _GOOD + self._hand_over_log()
        self.violation("unknown_command")
        return _UNKNOWN

    def _key_blocks(self) -> bytes:
        """Key index, slot, 1 for present: the loading key always, the PIN key when the keys are loaded."""
        present = {_LOADER} | ({_PIN_KEY} if self.state["keys"] == "loaded" else set())
        slots = [(_PIN_KEY, 0), (_MASTER, 0), (_LOADER, 0), (_SESSION, 0)]
        blocks = [bytes((index, slot >> 8, slot & 0xFF, index in present)) for index, slot in slots]
        return len(blocks).to_bytes(2, "little") + b"".join(blocks)

    def _hand_over_log(self) -> bytes:
        told = b"".join(bytes((len(part),)) + b"".join(part) for part in (self._announced, self._illegal))
        self._announced.clear()
        self._illegal.clear()
        return told
