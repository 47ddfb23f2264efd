"""Creator CRT-571/591: F2 frames with address, length and XOR check, each command acknowledged by one byte.

Source: Creator "CRT-591-M communication protocol" 1.0 (2013). Commands that move, capture or read a card are not here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import reduce
from operator import xor

from drivers.codecs.malformed import Malformed
from drivers.reading import Risk

ACK = b"\x06"
NAK = b"\x15"

_STX, _ETX = 0xF2, 0x03
_HEAD_DONE = 0x50
_HEADS_REFUSED = (0x4E, 0x45)  # the manual prints both
_LAST_ADDRESS = 0x0F
_MOST_TEXT = 128  # the longest reply asked for here is 25 bytes; a false start must not swallow the reply behind it
_MOST_KEPT = 1024


class BadCheck(Malformed):
    """A whole frame whose check byte is wrong; the host may ask for it again with NAK."""


class Request(Enum):
    """What may be asked: command, parameter, and what asking may do."""

    INITIALISE_KEEP = (0x30, 0x33, Risk.DISRUPT)
    """Clears the error code; a card inside is left where it is. Card entry at the gate is off afterwards."""
    STATUS = (0x31, 0x30, Risk.READ)
    SENSORS = (0x31, 0x31, Risk.READ)
    SERIAL = (0xA2, 0x30, Risk.READ)
    CONFIGURATION = (0xA3, 0x30, Risk.READ)
    VERSION = (0xA4, 0x30, Risk.READ)
    BIN_COUNTER = (0xA5, 0x30, Risk.READ)

    @property
    def command(self) -> tuple[int, int]:
        """The bytes cm and pm, which the reply repeats."""
        return self.value[0], self.value[1]

    @property
    def risk(self) -> Risk:
        return self.value[2]


@dataclass(frozen=True, slots=True)
class Ack:
    """The unit took the command."""


@dataclass(frozen=True, slots=True)
class Nak:
    """The unit saw a broken command; it may be sent again."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer of the unit at `address` to `command` (cm, pm).

    Done: `status` is the three bytes st0 st1 st2 and `error` is empty. Refused: `error` is the code's two bytes as text
    (as hex when they are no ASCII) and `status` is empty.
    """

    address: int
    command: tuple[int, int]
    status: bytes
    error: str
    data: bytes


Message = Ack | Nak | Reply


def encode(request: Request, address: int = 0) -> bytes:
    """The frame that asks the unit at `address` (0..15)."""
    if not 0 <= address <= _LAST_ADDRESS:
        raise ValueError("a unit's address is 0 to 15")
    frame = bytes((_STX, address, 0, 3, ord("C"), *request.command, _ETX))
    return frame + bytes((reduce(xor, frame),))


class Decoder:
    """Bytes from a unit to messages. Keeps at most 1 KiB."""

    def __init__(self) -> None:
        self._kept = bytearray()

    def feed(self, data: bytes) -> None:
        """Take bytes in; of a flood only the newest are kept."""
        self._kept += data
        del self._kept[:-_MOST_KEPT]

    def next(self) -> Message | None:
        """The next message, or None for "need more". Raises Malformed; BadCheck when only the check byte is wrong."""
        kept = self._kept
        if not kept:
            return None
        if kept[0] != _STX:
            return self._outside_frame()
        if self._cannot_start():
            del kept[0]
            raise Malformed("a start byte without a frame behind it")
        if len(kept) < 4 or len(kept) < 6 + kept[3]:
            return None
        size = 6 + kept[3]
        frame = bytes(kept[:size])
        if frame[-2] != _ETX:
            del kept[0]
            raise Malformed("no end byte where the length says")
        if reduce(xor, frame) != 0:
            del kept[0]
            raise BadCheck("wrong check byte")
        del kept[:size]
        return _reply(frame)

    def _outside_frame(self) -> Message:
        first = self._kept[0]
        if first in ACK + NAK:
            del self._kept[0]
            return Ack() if first in ACK else Nak()
        noise = 1
        while noise < len(self._kept) and self._kept[noise] not in (_STX, *ACK, *NAK):
            noise += 1
        del self._kept[:noise]
        raise Malformed(f"{noise} bytes outside a frame")

    def _cannot_start(self) -> bool:
        kept = self._kept
        return (
            (len(kept) > 1 and kept[1] > _LAST_ADDRESS)
            or (len(kept) > 2 and kept[2] != 0)
            or (len(kept) > 3 and not 5 <= kept[3] <= _MOST_TEXT)
            or (len(kept) > 4 and kept[4] not in (_HEAD_DONE, *_HEADS_REFUSED))
            or (len(kept) > 4 and kept[4] == _HEAD_DONE and kept[3] < 6)
        )


def _reply(frame: bytes) -> Reply:
    command = (frame[5], frame[6])
    if frame[4] == _HEAD_DONE:
        return Reply(frame[1], command, frame[7:10], "", frame[10:-2])
    code = frame[7:9]
    error = code.decode("ascii") if code.isalnum() else code.hex()
    return Reply(frame[1], command, b"", error, frame[9:-2])
