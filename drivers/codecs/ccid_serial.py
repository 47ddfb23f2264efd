"""GemPC Twin: CCID messages on a serial line, each between 03 06 and an XOR byte, each host frame echoed.

Sources: libccid `ccid_serial.c`; USB CCID class specification 1.1. Powering a card, transfers and
parameters are not here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import reduce
from operator import xor

from drivers.codecs.malformed import Malformed
from drivers.reading import Risk

_SYNC, _ACK, _NAK = 0x03, 0x06, 0x15
_NOTICE = 0x50
_NOTICE_STATES = (0x02, 0x03)
_HEADER = 10
_MOST_DATA = 261
_FROM_READER = (0x80, 0x81, 0x82, 0x83)
_MOST_KEPT = 2048


class Request(Enum):
    """What may be asked: message type, type of its answer, data, and what asking may do."""

    SLOT_STATUS = (0x65, 0x81, b"", Risk.READ)
    FIRMWARE = (0x6B, 0x83, b"\x02", Risk.READ)

    @property
    def answer(self) -> int:
        """The message type of the answer."""
        return self.value[1]

    @property
    def risk(self) -> Risk:
        return self.value[3]


@dataclass(frozen=True, slots=True)
class SlotChange:
    """A card was put in or taken out. Sent unasked and without a check byte."""

    present: bool


@dataclass(frozen=True, slots=True)
class Nak:
    """The reader did not understand the host's frame."""


@dataclass(frozen=True, slots=True)
class Echo:
    """The host's own frame, given back."""

    sequence: int


@dataclass(frozen=True, slots=True)
class Reply:
    """A message of the reader: `status` is bStatus, `error` is bError and holds only when bStatus says "failed"."""

    kind: int
    slot: int
    sequence: int
    status: int
    error: int
    data: bytes


Message = SlotChange | Nak | Echo | Reply


def encode(request: Request, sequence: int) -> bytes:
    """The frame that asks slot 0; the answer repeats `sequence` (0..255)."""
    kind, _answer, data, _risk = request.value
    message = bytes((kind, *len(data).to_bytes(4, "little"), 0, sequence, 0, 0, 0)) + data
    frame = bytes((_SYNC, _ACK)) + message
    return frame + bytes((reduce(xor, frame),))


class Decoder:
    """Bytes from a reader to messages. Keeps at most 2 KiB."""

    def __init__(self) -> None:
        self._kept = bytearray()

    def feed(self, data: bytes) -> None:
        """Take bytes in; of a flood only the newest are kept."""
        self._kept += data
        del self._kept[:-_MOST_KEPT]

    def next(self) -> Message | None:
        """The next message, or None for "need more". Raises Malformed."""
        kept = self._kept
        if not kept:
            return None
        if kept[0] == _NOTICE:
            return self._notice()
        if kept[0] != _SYNC:
            raise self._drop_noise()
        if len(kept) < 2:
            return None
        if kept[1] == _NAK:
            return self._nak()
        if self._cannot_start():
            del kept[0]
            raise Malformed("a start byte without a message behind it")
        if len(kept) < 7:
            return None
        size = 2 + _HEADER + int.from_bytes(kept[3:7], "little") + 1
        if len(kept) < size:
            return None
        frame = bytes(kept[:size])
        if reduce(xor, frame) != 0:
            del kept[0]
            raise Malformed("wrong check byte")
        del kept[:size]
        return _message(frame[2:-1])

    def _notice(self) -> SlotChange | None:
        if len(self._kept) < 2:
            return None
        state = self._kept[1]
        if state not in _NOTICE_STATES:
            del self._kept[0]
            raise Malformed("a slot change to an undocumented state")
        del self._kept[:2]
        return SlotChange(present=state == 0x03)

    def _nak(self) -> Nak | None:
        if len(self._kept) < 3:
            return None
        if self._kept[2] != _SYNC ^ _NAK:
            del self._kept[0]
            raise Malformed("wrong check byte in a NAK")
        del self._kept[:3]
        return Nak()

    def _drop_noise(self) -> Malformed:
        noise = 1
        while noise < len(self._kept) and self._kept[noise] not in (_SYNC, _NOTICE):
            noise += 1
        del self._kept[:noise]
        return Malformed(f"{noise} bytes outside a message")

    def _cannot_start(self) -> bool:
        kept = self._kept
        known = _FROM_READER + tuple(request.value[0] for request in Request)
        return (
            kept[1] != _ACK
            or (len(kept) > 2 and kept[2] not in known)
            or (len(kept) > 6 and int.from_bytes(kept[3:7], "little") > _MOST_DATA)
        )


def _message(message: bytes) -> Echo | Reply:
    kind, slot, sequence, status, error = message[0], *message[5:9]
    if kind not in _FROM_READER:
        return Echo(sequence)
    return Reply(kind, slot, sequence, status, error, message[_HEADER:])
