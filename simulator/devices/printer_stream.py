"""Cuts a printer's input into whole commands, so that data inside an image is never taken for a command.

Lengths from Epson's and Citizen's command references: ESC (1B), FS (1C) and GS (1D) commands carry a fixed number of
parameter bytes, a counted block, or text up to NUL. DLE (10) commands are real-time ones and are recognised anywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

MORE: Final = 0
UNKNOWN: Final = -1

_FIXED: Final[dict[bytes, int]] = {
    prefix + letter.encode("ascii"): count
    for prefix, letters in (
        (b"\x1b", {0: "@2LS<imv\x0c", 1: "! %-3=?EGJKMRTVadertu{ ", 2: "$\\c", 3: "p", 8: "W"}),
        (b"\x1c", {0: "&.", 1: "!-CW", 2: "S?p"}),
        (b"\x1d", {0: ":c", 1: "!/BHTIabfhrw", 2: "$LPW\\", 3: "^"}),
    )
    for count, names in letters.items()
    for letter in names
}


def _counted_block(head: bytes) -> int:
    return 5 + head[3] + 256 * head[4] if len(head) >= 5 else MORE


def _column_image(head: bytes) -> int:
    if len(head) < 5:
        return MORE
    return 5 + (head[3] + 256 * head[4]) * (3 if head[2] >= 32 else 1)


def _raster_image(head: bytes) -> int:
    if len(head) < 8:
        return MORE
    return 8 + (head[4] + 256 * head[5]) * (head[6] + 256 * head[7])


def _stored_image(head: bytes) -> int:
    return 4 + 8 * head[2] * head[3] if len(head) >= 4 else MORE


def _large_block(head: bytes) -> int:
    return 7 + int.from_bytes(head[3:7], "little") if len(head) >= 7 else MORE


def _tab_stops(head: bytes) -> int:
    return len(head) if len(head) > 2 and (head[-1] == 0 or len(head) == 35) else MORE


def _cut(head: bytes) -> int:
    if len(head) < 3:
        return MORE
    return 4 if head[2] in b"ABabgh" else 3


def _barcode(head: bytes) -> int:
    if len(head) < 4:
        return MORE
    if head[2] > 6:
        return 4 + head[3]
    return len(head) if head[-1] == 0 or len(head) > 260 else MORE


_BY_CONTENT: Final[dict[bytes, Callable[[bytes], int]]] = {
    b"\x1b(": _counted_block,
    b"\x1c(": _counted_block,
    b"\x1d(": _counted_block,
    b"\x1d8": _large_block,
    b"\x1b*": _column_image,
    b"\x1dv": _raster_image,
    b"\x1d*": _stored_image,
    b"\x1bD": _tab_stops,
    b"\x1dV": _cut,
    b"\x1dk": _barcode,
    b"\x1dg": lambda _head: 6,
}


def command_length(head: bytes) -> int:
    """Bytes in the command that starts with `head`; MORE if that cannot be told yet, UNKNOWN if there is none."""
    if head[0] not in b"\x1b\x1c\x1d":
        return 1
    if len(head) == 1:
        return MORE
    if head[:2] in _FIXED:
        return 2 + _FIXED[head[:2]]
    by_content = _BY_CONTENT.get(head[:2])
    return by_content(head) if by_content else UNKNOWN


_DLE_EOT_LONG: Final = b"\x07\x08\x12"
_DLE_DC4: Final[dict[int, int]] = {1: 5, 2: 5, 3: 8, 7: 4, 8: 10}


def realtime_length(head: bytes) -> int:
    """As command_length, for what starts with DLE (10)."""
    if len(head) == 1:
        return MORE
    if head[1] == 0x05:
        return 3
    if head[1] == 0x04:
        if len(head) == 2:
            return MORE
        return 4 if head[2] in _DLE_EOT_LONG else 3
    if head[1] == 0x14:
        return MORE if len(head) == 2 else _DLE_DC4.get(head[2], UNKNOWN)
    return UNKNOWN


class CommandCutter:
    """Feed it bytes one by one; it returns each command when its last byte has come."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._length = MORE

    def __len__(self) -> int:
        return len(self._head)

    @property
    def inside(self) -> bool:
        """Whether the next byte belongs to a command that has begun."""
        return bool(self._head)

    def feed(self, byte: int) -> tuple[bytes, bool] | None:
        """A whole command and whether it is known; an unknown one is its two first bytes."""
        self._head.append(byte)
        if self._length == MORE:
            self._length = command_length(bytes(self._head))
        if self._length == MORE or self._length > len(self._head):
            return None
        whole, known = bytes(self._head), self._length != UNKNOWN
        self.clear()
        return whole, known

    def clear(self) -> None:
        self._head.clear()
        self._length = MORE
