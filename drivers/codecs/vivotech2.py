"""ID TECH NEO, protocol "ViVOtech2": a ten-byte tag, length, and a CRC whose byte order depends on the direction.

Source: ID TECH "NEO 2 Interface Developer's Guide" (2019). Commands that read a card, set a value or
touch a key are not here.
"""

from __future__ import annotations

from binascii import crc_hqx
from dataclasses import dataclass
from enum import Enum
from typing import Literal

from drivers.codecs.malformed import Malformed
from drivers.reading import Risk

OK = 0x00

_TAG = b"ViVOtech2\x00"
_BEFORE_DATA = len(_TAG) + 4
_MOST_DATA = 1024
_MOST_KEPT = 4096


class Request(Enum):
    """What may be asked: command, sub-command, and what asking may do."""

    PING = (0x18, 0x01, Risk.READ)
    FIRMWARE = (0x29, 0x00, Risk.READ)
    SERIAL = (0x12, 0x01, Risk.READ)
    MODULES = (0x09, 0x20, Risk.READ)
    CHIP_MODE = (0x83, 0x51, Risk.READ)

    @property
    def command(self) -> int:
        """The command byte, which the reply repeats."""
        return self.value[0]

    @property
    def risk(self) -> Risk:
        return self.value[2]


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to `command`; `status` 0 is OK."""

    command: int
    status: int
    data: bytes


def encode(request: Request) -> bytes:
    """The frame that asks; the host's CRC goes out low byte first."""
    command, sub_command, _risk = request.value
    frame = _TAG + bytes((command, sub_command, 0, 0))
    return frame + _crc(frame).to_bytes(2, "little")


class Decoder:
    """Bytes from a reader to replies. Keeps at most 4 KiB.

    `crc_order` "lsb" is for the few readers that send the CRC low byte first, like a host.
    """

    def __init__(self, crc_order: Literal["msb", "lsb"] = "msb") -> None:
        self._order: Literal["big", "little"] = "little" if crc_order == "lsb" else "big"
        self._kept = bytearray()

    def feed(self, data: bytes) -> None:
        """Take bytes in; of a flood only the newest are kept."""
        self._kept += data
        del self._kept[:-_MOST_KEPT]

    def next(self) -> Reply | None:
        """The next reply, or None for "need more". Raises Malformed."""
        kept = self._kept
        if not kept:
            return None
        noise = _before_tag(kept)
        if noise:
            del kept[:noise]
            raise Malformed(f"{noise} bytes outside a frame")
        if len(kept) < _BEFORE_DATA:
            return None
        size = int.from_bytes(kept[_BEFORE_DATA - 2 : _BEFORE_DATA], "big")
        if size > _MOST_DATA:
            del kept[0]
            raise Malformed(f"a frame of {size} bytes")
        end = _BEFORE_DATA + size
        if len(kept) < end + 2:
            return None
        frame = bytes(kept[:end])
        if int.from_bytes(kept[end : end + 2], self._order) != _crc(frame):
            del kept[0]
            raise Malformed("wrong CRC")
        del kept[: end + 2]
        return Reply(frame[len(_TAG)], frame[len(_TAG) + 1], frame[_BEFORE_DATA:])


def _crc(data: bytes) -> int:
    """CCITT, polynomial 1021, start FFFF, not reflected."""
    return crc_hqx(data, 0xFFFF)


def _before_tag(kept: bytearray) -> int:
    """How many bytes stand before the first tag, or before what may become one."""
    at = kept.find(_TAG)
    if at >= 0:
        return at
    for length in range(min(len(_TAG) - 1, len(kept)), 0, -1):
        if kept.endswith(_TAG[:length]):
            return len(kept) - length
    return len(kept)
