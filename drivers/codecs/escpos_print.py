"""Composing a slip for an ESC/POS printer: text, alignment, size, QR code, feed, cut. Encoding only.

Nothing that a caller passes can become a command: control characters are dropped before encoding, and no byte that
begins a command occurs in the encodings used.
"""

from __future__ import annotations

import unicodedata
from typing import Final, Self

INITIALISE: Final = b"\x1b\x40"
"""ESC @: back to power-on settings. It also ends the printer's unasked status reports."""

CODE_PAGES: Final[dict[str, int]] = {
    "cp437": 0,
    "cp850": 2,
    "cp860": 3,
    "cp863": 4,
    "cp865": 5,
    "cp1252": 16,
    "cp866": 17,
    "cp852": 18,
    "cp858": 19,
}
"""ESC t numbers of the code pages that the makers share, by Python's name."""

_CHINESE_ON: Final = b"\x1c\x26"
_CHINESE_OFF: Final = b"\x1c\x2e"
_LONGEST_QR: Final = 700  # more needs a version too dense for a 58 mm roll
_QR_LEVELS: Final = {"L": 0x30, "M": 0x31, "Q": 0x32, "H": 0x33}


def encode_feed(lines: int) -> bytes:
    """ESC d: print what is buffered and feed `lines` lines, 0..255."""
    return b"\x1b\x64" + bytes((lines,))


def encode_cut(*, full: bool = False, feed: int = 0) -> bytes:
    """GS V 65/66: feed to the cutter plus `feed` motion units, then cut, partially unless `full`."""
    return b"\x1d\x56" + bytes((0x41 if full else 0x42, feed))


def encode_qr(data: str, *, module_dots: int = 6, level: str = "M") -> bytes:
    """GS ( k: a QR code, model 2, of UTF-8 text. Raises ValueError for control characters, too much or nothing."""
    if any(unicodedata.category(char) == "Cc" for char in data):
        raise ValueError("a QR code here holds no control characters")
    payload = data.encode("utf-8")
    if not 0 < len(payload) <= _LONGEST_QR:
        raise ValueError(f"a QR code here holds 1..{_LONGEST_QR} bytes, not {len(payload)}")
    if not 1 <= module_dots <= 16:
        raise ValueError(f"QR modules are 1..16 dots wide, not {module_dots}")
    return b"".join(
        (
            _qr_function(0x41, b"\x32\x00"),
            _qr_function(0x43, bytes((module_dots,))),
            _qr_function(0x45, bytes((_QR_LEVELS[level],))),
            _qr_function(0x50, b"\x30" + payload),
            _qr_function(0x51, b"\x30"),
        )
    )


def _qr_function(function: int, parameters: bytes) -> bytes:
    body = bytes((0x31, function)) + parameters
    return b"\x1d\x28\x6b" + len(body).to_bytes(2, "little") + body


class Slip:
    """Builds one slip. `columns` is the paper's width in half-width characters; a Chinese character takes two.

    `encoding` is gb18030 or a word of `CODE_PAGES`; what it cannot say is printed as "?". Four-byte GB18030 codes are
    among that, because the GB2312 fonts of many printers lack them.
    """

    def __init__(self, columns: int = 48, encoding: str = "gb18030") -> None:
        if encoding != "gb18030" and encoding not in CODE_PAGES:
            raise ValueError(f"encoding {encoding!r} is none of gb18030, {', '.join(CODE_PAGES)}")
        self.columns = columns
        self.encoding = encoding
        self._parts = [INITIALISE]
        if encoding == "gb18030":
            self._parts.append(_CHINESE_ON)
        else:
            self._parts += [_CHINESE_OFF, b"\x1b\x74", bytes((CODE_PAGES[encoding],))]

    def text(self, line: str, *, bold: bool = False, big: bool = False, centre: bool = False) -> Self:
        """One paragraph, wrapped at the width; `big` is twice as wide and high."""
        before, after = b"", b""
        for wanted, on, off in (
            (centre, b"\x1b\x61\x01", b"\x1b\x61\x00"),
            (bold, b"\x1b\x45\x01", b"\x1b\x45\x00"),
            (big, b"\x1d\x21\x11", b"\x1d\x21\x00"),
        ):
            if wanted:
                before, after = before + on, after + off
        lines = wrap(line, self.columns // 2 if big else self.columns, self.encoding)
        self._parts.append(before + b"".join(encode_text(each, self.encoding) + b"\n" for each in lines) + after)
        return self

    def qr(self, data: str, *, module_dots: int = 6) -> Self:
        """A centred QR code of `data`. Raises ValueError for control characters, too much or nothing."""
        self._parts.append(b"\x1b\x61\x01" + encode_qr(data, module_dots=module_dots) + b"\x1b\x61\x00")
        return self

    def feed(self, lines: int = 1) -> Self:
        """Blank lines."""
        self._parts.append(encode_feed(lines))
        return self

    def cut(self) -> bytes:
        """The whole slip, fed to the cutter and partially cut."""
        return bytes(self) + encode_cut()

    def __bytes__(self) -> bytes:
        """The whole slip, not cut."""
        return b"".join(self._parts)


def encode_text(line: str, encoding: str) -> bytes:
    """The line's bytes without control characters, "?" for what the encoding or the usual fonts lack."""
    return b"".join(_encode_character(char, encoding) for char in line if unicodedata.category(char)[0] != "C")


def width(line: str, encoding: str) -> int:
    """Columns that the line takes: one for each byte, since double-byte characters are printed double width."""
    return len(encode_text(line, encoding))


def wrap(line: str, columns: int, encoding: str) -> list[str]:
    """The line broken at spaces or Chinese characters, within words only when one is too long; [""] for nothing."""
    lines, current = [], ""
    for piece in _pieces(line, encoding):
        if width(current + piece.rstrip(" "), encoding) > columns and current:
            lines.append(current.rstrip(" "))
            current = ""
        rest = piece.lstrip(" ") if lines and not current else piece
        while width(rest.rstrip(" "), encoding) > columns:
            head = _longest_head(rest, columns, encoding)
            lines.append(head)
            rest = rest[len(head) :]
        current += rest
    return [*lines, current.rstrip(" ")]


def _pieces(line: str, encoding: str) -> list[str]:
    pieces: list[str] = []
    open_word = False
    for char in line:
        wide = width(char, encoding) > 1
        if wide or not open_word:
            pieces.append(char)
        else:
            pieces[-1] += char
        open_word = not wide and char != " "
    return pieces


def _longest_head(text: str, columns: int, encoding: str) -> str:
    end = 1
    while end < len(text) and width(text[: end + 1], encoding) <= columns:
        end += 1
    return text[:end]


def _encode_character(char: str, encoding: str) -> bytes:
    code = char.encode(encoding, errors="replace")
    return code if len(code) <= 2 else b"?"
