"""An ID TECH NEO payment reader ("ViVOtech2" frames): ping, identity, module versions.

Source: ID TECH NEO 2 Interface Developer's Guide p. 28 (status codes), 42 (frame, ping), 131-133, 143, 471. The host's
CRC travels low byte first, the reader's high byte first. A tampered reader answers everything with status 1D.
"""

from __future__ import annotations

from typing import ClassVar, Final

from simulator.device import FramedDevice, Key
from simulator.devices.texts import READS, text_key

_TAG: Final = b"ViVOtech2\x00"
_LONGEST: Final = 2048
_GROUPS: Final = {0x18: b"\x01", 0x29: b"\x00\x04", 0x12: b"\x01", 0x09: b"\x20", 0x83: b"\x51"}
"""Command -> the sub-commands that this reader knows."""
_TRANSACTIONS: Final = b"\x02\x05\x2c\x2d\x60\x61\x62\x63\x40"
_MODULES: Final = b"FW,VP3300-SIM,%s\r\nCL AppSel,PPSE Module,v1.00\r\n"


def _table() -> tuple[int, ...]:
    """CRC-CCITT by table, polynomial 1021, one entry per high byte."""
    entries = []
    for high in range(256):
        register = high << 8
        for _ in range(8):
            register = (register << 1) ^ (0x1021 if register & 0x8000 else 0)
        entries.append(register & 0xFFFF)
    return tuple(entries)


_CRC: Final = _table()


def checksum(data: bytes) -> int:
    """CRC-CCITT from FFFF over all of `data`."""
    register = 0xFFFF
    for byte in data:
        register = ((register << 8) & 0xFF00) ^ _CRC[(register >> 8) ^ byte]
    return register


class Neo(FramedDevice):
    """`self_test` failed: the ping reports status 0A. There is no card presence without a transaction."""

    family: ClassVar[str] = "neo"
    unit: ClassVar[str] = "reader"
    baud: ClassVar[int] = 115200
    FRAME_GAP_S: ClassVar[float] = 0.5
    keys: ClassVar = {
        "self_test": Key("ok", ("ok", "failed")),
        "tamper": Key("no", ("no", "yes")),
        "reads": READS,
        "firmware": text_key("V1.02", 12),
        "serial": text_key("630Z000001", 14),
    }

    def receive(self, data: bytes) -> None:
        self.tick()
        self._last_byte_at = self.now()
        answered = False
        for byte in data:
            self._frame.append(byte)
            at = len(self._frame)
            if at <= len(_TAG):
                if byte != _TAG[at - 1]:
                    self.violation("stray_byte")
                    self._frame = bytearray(b"V" if byte == _TAG[0] else b"")
                continue
            if at < 14:
                continue
            length = int.from_bytes(self._frame[12:14], "big")
            if length > _LONGEST:
                self._frame.clear()
                self.violation("bad_length")
            elif at == 16 + length:
                frame = bytes(self._frame)
                self._frame.clear()
                if answered:
                    self.violation("command_before_reply")
                self._framed(frame)
                answered = True

    def _framed(self, frame: bytes) -> None:
        command, sub = frame[10], frame[11]
        if checksum(frame[:-2]) != int.from_bytes(frame[-2:], "little"):
            self.violation("bad_crc")
            self._reply(command, 0x04)
            return
        if command in _TRANSACTIONS:
            self.violation("card_command")
        if self.state["tamper"] == "yes":
            self._reply(command, 0x1D)
        elif command in _TRANSACTIONS:
            self._reply(command, 0x0B)
        elif command not in _GROUPS:
            self.violation("unknown_command")
            self._reply(command, 0x02)
        elif sub not in _GROUPS[command]:
            self.violation("unknown_command")
            self._reply(command, 0x03)
        else:
            self._known(command, sub)

    def _known(self, command: int, sub: int) -> None:
        version = self.state["firmware"].encode("ascii")
        if command == 0x18:
            self._reply(command, 0x0A if self.state["self_test"] == "failed" else 0x00)
        elif command == 0x29:
            self._reply(command, 0x00, b"VP3300-SIM " + version if sub == 0 else b"VP3300-SIM BL V1.00")
        elif command == 0x12:
            self._reply(command, 0x00, self.state["serial"].encode("ascii").ljust(15, b"\x00"))
        elif command == 0x09:
            self._reply(command, 0x00, _MODULES % version)
        else:
            self._reply(command, 0x03)  # this model has no second processor

    def _reply(self, command: int, status: int, data: bytes = b"") -> None:
        frame = _TAG + bytes((command, status)) + len(data).to_bytes(2, "big") + data
        self.send(frame + checksum(frame).to_bytes(2, "big"))
