"""Linux input events, and the answers that `EvdevLink` threads between them.

An event is the kernel's `struct input_event`: seconds, microseconds (native longs), type, code (16 bit), value (32
bit). An answer starts with a record of that same size whose type, FFFF, the kernel never uses; its code is the
question and its value the number of bytes that follow, padded to whole records, or the negative error number.
Source: include/uapi/linux/input.h and Documentation/input/event-codes.rst of the kernel.
"""

from __future__ import annotations

import struct
from array import array
from dataclasses import dataclass
from enum import Enum

from drivers.codecs.malformed import Malformed
from drivers.reading import Risk

_EVENT = struct.Struct("@llHHi")
EVENT_BYTES = _EVENT.size
KEY_CODES = 0x300
BITMAP_BYTES = KEY_CODES // 8
"""One bit for each key code up to KEY_MAX, 2FF."""

EV_SYN, EV_KEY = 0x00, 0x01
SYN_REPORT, SYN_DROPPED = 0, 3
UP, DOWN, REPEAT = 0, 1, 2

_ANSWER = 0xFFFF
_EV_MAX = 0x1F
_KEY_MAX = 0x2FF
_SYN_MAX = 0x0F
_LATEST_S = 1 << 40
_BUFFER_BYTES = 4096

_DIGITS = "1234567890"
_KEYPAD = {71: "7", 72: "8", 73: "9", 75: "4", 76: "5", 77: "6", 79: "1", 80: "2", 81: "3", 82: "0"}
_OTHERS = {
    1: "esc",
    14: "backspace",
    15: "tab",
    28: "enter",
    57: "space",
    83: "keypad point",
    96: "keypad enter",
    111: "delete",
    223: "cancel",
    355: "clear",
}


class Question(bytes, Enum):
    """What can be asked of an input device; none changes anything."""

    HELD = b"K"
    IDENTITY = b"I"
    NAME = b"N"


RISK = dict.fromkeys(Question, Risk.READ)


@dataclass(frozen=True, slots=True)
class Event:
    """One event; `at_s` is the kernel's time of it."""

    at_s: float
    kind: int
    code: int
    value: int


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a question: its data, or the error number."""

    question: Question
    data: bytes = b""
    error: int = 0


@dataclass(frozen=True, slots=True)
class Ids:
    """EVIOCGID: where it is connected and what it is, as plain numbers."""

    bus: int
    vendor: int
    product: int
    version: int


def encode_question(question: Question) -> bytes:
    """What `EvdevLink.write` takes."""
    return question.value


def encode_answer(question: Question, data: bytes = b"", error: int = 0) -> bytes:
    """The answer as the link puts it into the stream."""
    header = _EVENT.pack(0, 0, _ANSWER, question.value[0], -error if error else len(data))
    return header + data + bytes(-len(data) % EVENT_BYTES)


def encode_event(event: Event) -> bytes:
    """An event as the kernel would write it."""
    seconds = int(event.at_s)
    micros = round((event.at_s - seconds) * 1e6) % 1_000_000
    return _EVENT.pack(seconds, micros, event.kind, event.code, event.value)


class Decoder:
    """Bytes to events and answers, in the order in which they came."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        self._buffer += data
        del self._buffer[:-_BUFFER_BYTES]

    def next(self) -> Event | Answer | None:
        if len(self._buffer) < EVENT_BYTES:
            return None
        seconds, micros, kind, code, value = _EVENT.unpack_from(self._buffer)
        if kind == _ANSWER:
            return self._answer(code, value)
        if not (0 <= seconds < _LATEST_S and 0 <= micros < 1_000_000 and _legal(kind, code, value)):
            del self._buffer[0]
            raise Malformed("no input event begins here")
        del self._buffer[:EVENT_BYTES]
        return Event(seconds + micros / 1e6, kind, code, value)

    def _answer(self, code: int, value: int) -> Answer | None:
        try:
            question = Question(bytes((code & 0xFF,)))
        except ValueError:
            question = None
        if question is None or code > 0xFF or value > _BUFFER_BYTES - 2 * EVENT_BYTES:
            del self._buffer[0]
            raise Malformed("no answer begins here")
        length = max(0, value)
        end = EVENT_BYTES + length + -length % EVENT_BYTES
        if len(self._buffer) < end:
            return None
        data = bytes(self._buffer[EVENT_BYTES : EVENT_BYTES + length])
        del self._buffer[:end]
        return Answer(question, data, max(0, -value))


def _legal(kind: int, code: int, value: int) -> bool:
    if kind == EV_KEY:
        return code <= _KEY_MAX and value in {UP, DOWN, REPEAT}
    if kind == EV_SYN:
        return code <= _SYN_MAX and value in {0, 1}
    return kind <= _EV_MAX


def decode_held(bitmap: bytes) -> frozenset[int]:
    """The key codes that are down, from the bitmap of EVIOCGKEY (an array of native longs)."""
    words = array("L", bitmap[: len(bitmap) - len(bitmap) % array("L").itemsize])
    bits = words.itemsize * 8
    return frozenset(
        place * bits + bit for place, word in enumerate(words) if word for bit in range(bits) if word >> bit & 1
    )


def decode_keys_line(words: str) -> frozenset[int]:
    """The key codes of a "B: KEY=" line of /proc/bus/input/devices: native longs in hex, the highest first."""
    bits = array("L").itemsize * 8
    found: set[int] = set()
    for place, word in enumerate(reversed(words.split())):
        number = int(word, 16)
        found.update(place * bits + bit for bit in range(bits) if number >> bit & 1)
    return frozenset(found)


def decode_ids(data: bytes) -> Ids:
    """The four numbers of EVIOCGID. Raises Malformed."""
    if len(data) != 8:
        raise Malformed(f"an input identity has 8 bytes, not {len(data)}")
    return Ids(*struct.unpack("@4H", data))


def decode_name(data: bytes) -> str:
    """The device's name, for people: printable characters only."""
    text = data.split(b"\0", 1)[0].decode("utf-8", "replace")
    return "".join(letter for letter in text if letter.isprintable()).strip()


def key_name(code: int) -> str:
    """What people call a key. Codes without a name of ours keep their number."""
    if 2 <= code <= 11:
        return _DIGITS[code - 2]
    return _KEYPAD.get(code) or _OTHERS.get(code) or f"key {code}"
