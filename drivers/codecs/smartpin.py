"""ID TECH SmartPIN K100/L100: doubly checked frames, and the few questions that a diagnosis may ask.

Frame: 02, length low, length high, body, LRC (XOR of the body), SUM (sum of the body), 03. A good answer's body starts
with 06, a refusal's with 15 and two bytes of code; neither names the question. The pad's commands for PIN entry, keys,
boot loader, reset and stop mode do not exist in this module.
Source: ID TECH SmartPIN L100 User Manual 80141505-001 rev. H, pages 31 to 39; SmartPIN K100 3.X Technical Reference
Manual 80114510-001 rev. D, pages 12 to 17.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from functools import reduce
from operator import xor

from drivers.codecs.malformed import Malformed
from drivers.reading import Risk

STX, ETX, ACK, NAK = 0x02, 0x03, 0x06, 0x15
MAX_BODY = 2048
"""The longest answer that we ask for, a removal log with 40 records of each kind, has 1363 bytes."""

_HEADER, _TRAILER = 3, 3
_LONGEST_TEXT = 64  # the longest seen, a firmware text, has 36 characters; a removal log could pass for a text too
_BUFFER_BYTES = 4096
_RECORD = re.compile(rb"([012])([012])-(\d{4})(\d{2})(\d{2})-(\d{2})(\d{2})/")
_RECORD_BYTES = 17
_MAX_RECORDS = 40


class Question(bytes, Enum):
    """The body of a question."""

    FIRMWARE = bytes.fromhex("784601")
    SERIAL = bytes.fromhex("784602")
    MODEL = bytes.fromhex("784620")
    KEYS = bytes.fromhex("784625")
    REMOVALS = bytes.fromhex("78520151")


RISK = {
    Question.FIRMWARE: Risk.READ,
    Question.SERIAL: Risk.READ,
    Question.MODEL: Risk.READ,
    Question.KEYS: Risk.READ,
    # L100 manual, page 39: the pad deletes the records that it has told. Whoever asks must keep them.
    Question.REMOVALS: Risk.CONSUME,
}

NO_SERIAL = bytes.fromhex("6200")
"""The refusal of a pad whose serial number was never set."""


class Key(int, Enum):
    """The keys of the status blocks, by their index."""

    HOST_MASTER = 0x00
    PIN_DUKPT = 0x01
    PIN_PAIRING = 0x03
    DATA_PAIRING = 0x04
    READER_MASTER = 0x06
    READER_MAC = 0x07
    PIN_MASTER = 0x08
    MSR_PAIRING = 0x0D
    KEY_LOADING = 0x14
    PIN_SESSION = 0x28


ABSENT, PRESENT, STOPPED = 0x00, 0x01, 0xFF


@dataclass(frozen=True, slots=True)
class Answer:
    """What the pad said; `data` is what follows the 06 of a good answer, or the two bytes of why it refused."""

    good: bool
    data: bytes


@dataclass(frozen=True, slots=True)
class KeyStatus:
    """One block: which key, in which slot, and 0 absent, 1 present, FF stopped. Unknown numbers stay as they are."""

    index: int
    slot: int
    status: int


@dataclass(frozen=True, slots=True)
class Removal:
    """One record: 0 (nobody), 1 or 2 (that user) fixed (0) or removed (1) the pad, or it was torn off (2)."""

    user: int
    state: int
    at: str

    @property
    def illegal(self) -> bool:
        """Whether nobody with a password had announced it."""
        return self.state == 2


@dataclass(frozen=True, slots=True)
class RemovalLog:
    """Everything that the pad remembers since it was last asked."""

    announced: tuple[Removal, ...]
    illegal: tuple[Removal, ...]


def encode(body: bytes) -> bytes:
    """The frame around a body."""
    length = len(body).to_bytes(2, "little")
    return bytes((STX,)) + length + body + bytes((reduce(xor, body), sum(body) & 0xFF, ETX))


def decode_text(data: bytes) -> str:
    """A text answer. Raises Malformed when it is empty, longer than any text asked for, or not printable ASCII."""
    if not 0 < len(data) <= _LONGEST_TEXT or any(not 0x20 <= byte < 0x7F for byte in data.rstrip(b"\0\r\n")):
        raise Malformed("not a printable text")
    return data.rstrip(b"\0\r\n").decode("ascii").strip()


def decode_keys(data: bytes) -> tuple[KeyStatus, ...]:
    """The key status blocks: their number, low byte first, then four bytes each. Raises Malformed."""
    count = int.from_bytes(data[:2], "little")
    if len(data) < 2 or len(data) != 2 + 4 * count:
        raise Malformed(f"{len(data)} bytes are not {count} key status blocks")
    blocks = (data[at : at + 4] for at in range(2, len(data), 4))
    return tuple(KeyStatus(block[0], int.from_bytes(block[1:3], "big"), block[3]) for block in blocks)


def decode_removals(data: bytes) -> RemovalLog:
    """The log of fixings and removals. Raises Malformed."""
    announced, rest = _records(data)
    illegal, rest = _records(rest)
    if rest:
        raise Malformed("bytes behind the removal log")
    if any(record.illegal for record in announced) or not all(record.illegal for record in illegal):
        raise Malformed("a removal record stands in the wrong list")
    return RemovalLog(announced, illegal)


def _records(data: bytes) -> tuple[tuple[Removal, ...], bytes]:
    if not data or data[0] > _MAX_RECORDS:
        raise Malformed("not a number of removal records")
    end = 1 + data[0] * _RECORD_BYTES
    found = []
    for at in range(1, end, _RECORD_BYTES):
        match = _RECORD.fullmatch(data[at : at + _RECORD_BYTES])
        if match is None:
            raise Malformed("not a removal record")
        user, state, year, month, day, hour, minute = (part.decode("ascii") for part in match.groups())
        found.append(Removal(int(user), int(state), f"{year}-{month}-{day}T{hour}:{minute}"))
    return tuple(found), data[end:]


class Decoder:
    """Bytes to answers. Frames that are no answer, such as our own question echoed, are passed over as Malformed."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        self._buffer += data
        del self._buffer[:-_BUFFER_BYTES]

    def next(self) -> Answer | None:
        if not self._buffer:
            return None
        if self._buffer[0] != STX:
            start = self._buffer.find(STX)
            raise self._bad("bytes before a frame", len(self._buffer) if start < 0 else start)
        if len(self._buffer) < _HEADER:
            return None
        length = int.from_bytes(self._buffer[1:_HEADER], "little")
        if not 1 <= length <= MAX_BODY:
            raise self._bad(f"a body of {length} bytes", 1)
        end = _HEADER + length + _TRAILER
        if len(self._buffer) < end:
            return None
        body = bytes(self._buffer[_HEADER : _HEADER + length])
        lrc, total, etx = self._buffer[_HEADER + length : end]
        # A frame that fails may have swallowed a good one, so only its first byte goes.
        if (lrc, total, etx) != (reduce(xor, body), sum(body) & 0xFF, ETX):
            raise self._bad("wrong check", 1)
        if body[0] == ACK or (body[0] == NAK and length in {1, 3}):
            del self._buffer[:end]
            return Answer(body[0] == ACK, body[1:])
        raise self._bad("a frame that is no answer", end)

    def _bad(self, why: str, count: int) -> Malformed:
        del self._buffer[:count]
        return Malformed(why)
