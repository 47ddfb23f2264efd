"""A GemPC Twin chip card reader: CCID messages on a serial line, with every host frame given back first.

Sources: libccid's ccid_serial.c and commands.c, USB CCID class specification 1.1. The card in it is a made-up one that
has an answer to reset and refuses every application command.
"""

from __future__ import annotations

from functools import reduce
from operator import xor
from typing import ClassVar, Final

from simulator.device import FramedDevice, Key
from simulator.devices.texts import READS, text_key

_SYNC, _GO, _NAK = 0x03, 0x06, 0x15
_NO_CARD, _OFF, _ON = 2, 1, 0
_LONGEST: Final = 271
_ATR: Final = bytes.fromhex("3b65000053494d3031")
_T0_PARAMETERS: Final = bytes.fromhex("1100000a00")
_REPLY: Final = {
    0x61: 0x82,
    0x62: 0x80,
    0x63: 0x81,
    0x65: 0x81,
    0x6B: 0x83,
    0x6C: 0x82,
    0x6D: 0x82,
    0x6E: 0x81,
    0x6F: 0x80,
    0x72: 0x81,
}
"""Message from the host -> message to the host; anything else is answered as a slot status."""


class GemPcTwin(FramedDevice):
    """`card` left looks like present: the reader cannot tell. `self_test` failed is CCID's hardware error."""

    family: ClassVar[str] = "gempc"
    unit: ClassVar[str] = "reader"
    baud: ClassVar[int] = 115200
    FRAME_GAP_S: ClassVar[float] = 0.5
    keys: ClassVar = {
        "card": Key("absent", ("absent", "present", "left")),
        "self_test": Key("ok", ("ok", "failed")),
        "reads": READS,
        "firmware": text_key("V1.02", 12),
    }

    def power_on(self) -> None:
        super().power_on()
        self._notices_wait = False
        self._notice = b""
        self._powered = False

    def changed(self, name: str, before: str) -> None:
        inside = self.state["card"] != "absent"
        if name != "card" or inside == (before != "absent"):
            return
        self._powered = False
        self._notice = b"\x50\x03" if inside else b"\x50\x02"
        if not self._notices_wait and not self._frame:
            self._flush_notice()

    def _flush_notice(self) -> None:
        if self._notice:
            self.send(self._notice)
            self._notice = b""

    def receive(self, data: bytes) -> None:
        self.tick()
        self._last_byte_at = self.now()
        answered = False
        for byte in data:
            if not self._frame and byte != _SYNC:
                self.violation("stray_byte")
                continue
            self._frame.append(byte)
            if self._finished():
                frame = bytes(self._frame)
                self._frame.clear()
                if answered:
                    self.violation("command_before_reply")
                answered = True
                self._framed(frame)

    def _finished(self) -> bool:
        size = len(self._frame)
        if size >= 2 and self._frame[1] == _NAK:
            return size == 3
        if size < 7:
            return False
        message = 10 + int.from_bytes(self._frame[3:7], "little")
        return message > _LONGEST or size == message + 3

    def _framed(self, frame: bytes) -> None:
        self.send(frame)
        self._flush_notice()
        if reduce(xor, frame) != 0 or frame[1] != _GO or len(frame) < 13:
            self.violation("bad_frame")
            self.send(bytes((_SYNC, _NAK, _SYNC ^ _NAK)))
            return
        kind, slot, number, data = frame[2], frame[7], frame[8], frame[12:-1]
        if slot != 0:
            self._reply(kind, number, failed=0x05)
        elif self.state["self_test"] == "failed" and kind != 0x6B:
            self._reply(kind, number, failed=0xFB)
        elif kind == 0x6B:
            self._escape(number, data)
        else:
            self._ccid(kind, number, data)

    def _slot(self) -> int:
        if self.state["card"] == "absent":
            return _NO_CARD
        return _ON if self._powered else _OFF

    def _ccid(self, kind: int, number: int, data: bytes) -> None:
        absent = self.state["card"] == "absent"
        if kind == 0x65:
            self._reply(kind, number)
        elif kind in (0x62, 0x6F) and absent:
            self._reply(kind, number, failed=0xFE)
        elif kind == 0x62:
            self._powered = True
            self._reply(kind, number, _ATR)
        elif kind in (0x63, 0x6E, 0x72):
            self._powered = self._powered and kind != 0x63
            self._reply(kind, number)
        elif kind in (0x61, 0x6C, 0x6D):
            self._reply(kind, number, _T0_PARAMETERS)
        elif kind == 0x6F:
            self.violation("card_command")
            self._reply(kind, number, b"\x6d\x00" if data else b"")
        else:
            self.violation("unknown_command")
            self._reply(kind, number, failed=0x00)

    def _escape(self, number: int, data: bytes) -> None:
        if data == b"\x02":
            self._reply(0x6B, number, b"GemTwRC2-SIM-" + self.state["firmware"].encode("ascii"))
        elif data[:2] == b"\x01\x01" and len(data) == 3:
            self._notices_wait = data[2] == 1
            self._reply(0x6B, number)
        else:
            self._reply(0x6B, number, failed=0x0A)

    def _reply(self, kind: int, number: int, data: bytes = b"", *, failed: int | None = None) -> None:
        slot = self._slot()
        status, error = (slot, 0) if failed is None else (0x40 | slot, failed)
        answer = _REPLY.get(kind, 0x81)
        # the last byte: clock stopped for a slot status, the protocol for parameters, 0 elsewhere
        last = (0 if slot == _ON else 1) if answer == 0x81 else 0
        message = bytes((answer,)) + len(data).to_bytes(4, "little") + bytes((0, number, status, error, last)) + data
        frame = bytes((_SYNC, _GO)) + message
        self.send(frame + bytes((reduce(xor, frame),)))
