"""SZZT ZT588 and relatives: checked frames, and bare bytes for keys pressed between them.

Frame: 02, three decimal digits (length of the text), text, 03, two hex digits (XOR of length..03). The only question
here is "3", who are you; the pad's commands for keys, resets and PIN entry do not exist in this module.
Source: public open-source driver for the ZT588, smartkiosk/smartware (zt588.rb, szzt_connection.rb).
"""

from __future__ import annotations

import string
from dataclasses import dataclass
from functools import lru_cache, reduce
from operator import xor

from drivers.codecs.malformed import Malformed
from drivers.reading import Risk

STX, ETX = 0x02, 0x03
MAX_TEXT = 512
"""No answer that we ask for is longer; the three digits could say 999."""

_HEADER = 4  # STX and the length
_TRAILER = 3  # ETX and the check
_BUFFER_BYTES = 2048
_HEX = frozenset(string.hexdigits.encode())
_PRINTABLE = range(0x20, 0x7F)

IDENTITY_QUESTION = b"3"
RISK = {IDENTITY_QUESTION: Risk.READ}

_FIELDS = (
    ("status", 1),
    ("user", 50),
    ("scancodes", 48),
    ("settings", 20),
    ("function", 8),
    ("model", 6),
    ("hardware", 3),
    ("software", 3),
    ("made", 4),
    ("serial", 4),
)
IDENTITY_BYTES = sum(width for _, width in _FIELDS)

ERRORS = {
    0xE0: "low battery",
    0xE1: "initial master key missing",
    0xE2: "terminal master key missing",
    0xE3: "key size",
    0xE4: "key not found",
    0xE5: "key not found or not compatible",
    0xE6: "key parity",
    0xE7: "key not valid",
    0xE8: "command length",
    0xE9: "data",
    0xEB: "parameter",
    0xEC: "authorisation required",
    0xED: "authorisation locked for a time",
    0xEE: "input timed out",
    0xEF: "general error",
}
LOW_BATTERY = 0xE0
KEYS_MISSING = frozenset({0xE1, 0xE2})

# What is printed on the keys, by their place in the matrix of six rows of four.
LABELS = (
    *("1", "2", "3", "cancel"),
    *("4", "5", "6", "clear"),
    *("7", "8", "9", "blank"),
    *("point", "0", "00", "enter"),
    *("A", "C", "E", "G"),
    *("B", "D", "F", "H"),
)
USUAL_SCANCODES = b"123\x1b456\b789\a.0#\rACEGBDFH"
"""What the keys send when the pad was set up as its public driver does."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One whole frame's text."""

    text: bytes

    @property
    def error(self) -> int | None:
        """The error byte, when this is a refusal."""
        return self.text[0] if self.text and 0xE0 <= self.text[0] <= 0xEF else None


@dataclass(frozen=True, slots=True)
class Presses:
    """Bytes between frames, each of which a key may send."""

    codes: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The answer to "3".

    `scancodes` are the 24 bytes that the keys send, by place; 00 for none. `pin_mask` is what any key sends instead
    while a PIN is typed.
    """

    model: str
    hardware: str
    software: str
    made: str
    serial: str
    scancodes: bytes
    pin_mask: int
    no_master_key: bool
    input_on: bool
    sound_on: bool


def encode(text: bytes) -> bytes:
    """The frame around a text."""
    body = b"%03d" % len(text) + text + bytes((ETX,))
    return bytes((STX,)) + body + b"%02X" % reduce(xor, body)


def encode_identity_question() -> bytes:
    """Ask who it is. Risk.READ."""
    return encode(IDENTITY_QUESTION)


@lru_cache(1)  # the pad says it each second
def decode_identity(text: bytes) -> Identity:
    """The fields of the answer to "3". Raises Malformed for any other text, or a field that it cannot hold."""
    if len(text) != IDENTITY_BYTES:
        raise Malformed(f"an identity has {IDENTITY_BYTES} characters, not {len(text)}")
    fields: dict[str, bytes] = {}
    at = 0
    for name, width in _FIELDS:
        fields[name] = text[at : at + width]
        at += width
    for name in ("scancodes", "settings"):
        if not _HEX.issuperset(fields[name]):
            raise Malformed(f"the {name} are not hexadecimal")
    for name in ("function", "model", "hardware", "software", "made", "serial"):
        if any(byte not in _PRINTABLE for byte in fields[name]):
            raise Malformed(f"the field {name} is not printable")
    settings = bytes.fromhex(fields["settings"].decode("ascii"))
    words = {name: value.decode("ascii").strip() for name, value in fields.items() if name in _WORDS}
    return Identity(
        scancodes=bytes.fromhex(fields["scancodes"].decode("ascii")),
        pin_mask=settings[3],
        no_master_key=bool(settings[0] & 0x01),
        input_on=bool(settings[0] & 0x02),
        sound_on=bool(settings[0] & 0x04),
        **words,
    )


_WORDS = ("model", "hardware", "software", "made", "serial")


class Decoder:
    """Bytes to frames and presses. A byte that is neither is Malformed.

    `keys` are the bytes that keys send; it may be changed at any time. A frame that was begun and never ends holds
    everything behind it back, so whoever knows the time calls `abandon`.
    """

    def __init__(self, keys: bytes = USUAL_SCANCODES) -> None:
        self.keys = keys
        self._buffer = bytearray()

    @property
    def in_frame(self) -> bool:
        """Whether a frame has begun and not ended."""
        return self._buffer[:1] == bytes((STX,))

    def abandon(self) -> bytes:
        """Give up what has not become a message, and return it."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        return rest

    def feed(self, data: bytes) -> None:
        self._buffer += data
        del self._buffer[:-_BUFFER_BYTES]

    def next(self) -> Frame | Presses | None:
        if not self._buffer:
            return None
        if self._buffer[0] != STX:
            return self._between()
        digits = self._buffer[1:_HEADER]
        if not (digits or b"0").isdigit():
            raise self._bad("the length is not three digits", 1)
        if len(digits) < _HEADER - 1:
            return None
        length = int(digits)
        if not 1 <= length <= MAX_TEXT:
            raise self._bad(f"a text of {length} characters", 1)
        end = _HEADER + length + _TRAILER
        if len(self._buffer) < end:
            return None
        body = bytes(self._buffer[1 : end - 2])
        check = bytes(self._buffer[end - 2 : end])
        # A frame that fails may have swallowed a good one, so only its first byte goes.
        if body[-1] != ETX:
            raise self._bad("no end where the length says", 1)
        if not _HEX.issuperset(check) or int(check, 16) != reduce(xor, body):
            raise self._bad("wrong check", 1)
        del self._buffer[:end]
        return Frame(body[3:-1])

    def _between(self) -> Presses:
        """What stands before the next frame: presses when every byte is one that a key sends."""
        start = self._buffer.find(STX)
        rest = bytes(self._buffer if start < 0 else self._buffer[:start])
        if any(byte not in self.keys for byte in rest):
            raise self._bad("bytes that are neither a frame nor a key", len(rest))
        del self._buffer[: len(rest)]
        return Presses(rest)

    def _bad(self, why: str, count: int) -> Malformed:
        del self._buffer[:count]
        return Malformed(why)
