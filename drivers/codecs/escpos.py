"""ESC/POS status traffic: the questions, and telling apart everything that a printer sends back.

Source: Epson TM-T88III specification, App. G (identification of transmitted data); the Citizen CBM1000 manual prints
the same table. Byte meanings are in `escpos_status`, printing in `escpos_print`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from drivers.codecs.malformed import Malformed
from drivers.reading import Risk

XON: Final = 0x11
XOFF: Final = 0x13
TEXT_HEAD: Final = 0x5F
NOTICE_HEAD: Final = 0x37

_FULL_STATUS_HEAD: Final = b"\x10\x0f"
_PACKET_BYTES: Final = 4
_FULL_STATUS_BYTES: Final = 6
_MOST_BUFFERED: Final = 4096
_LONGEST_BLOCK: Final = 80  # the longest documented text is a few dozen characters


class Kind(Enum):
    """What a message from the printer is."""

    STATUS = "status"  # one byte, the reply to DLE EOT
    PACKET = "packet"  # four bytes of automatic status, mostly unasked
    BYTE = "byte"  # one byte, the reply to GS I 1..3
    BLOCK = "block"  # text between 5F and 00, the reply to GS I 65..69 and GS g 2
    FULL_STATUS = "full_status"  # Custom's four status bytes behind 10 0F
    NOTICE = "notice"  # what stands between 37 and 00: an offline notice or an acknowledgement
    FLOW = "flow"  # XON or XOFF


@dataclass(frozen=True, slots=True)
class Message:
    """One message. `data` is without head and end; `asked` says that it answers the question outstanding."""

    kind: Kind
    data: bytes
    asked: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """One command. `reply` is the kind of its answer, None when it has none; `name` is for people."""

    name: str
    data: bytes
    reply: Kind | None
    risk: Risk


def encode_status_request(number: int) -> Request:
    """DLE EOT 1 printer, 2 offline cause, 3 error cause, 4 roll sensors. Answered at once, even offline."""
    if number not in {1, 2, 3, 4}:
        raise ValueError(f"DLE EOT {number} has no meaning that all makers share")
    return Request(f"status {number}", bytes((0x10, 0x04, number)), Kind.STATUS, Risk.READ)


def encode_full_status_request() -> Request:
    """DLE EOT 20 of Custom printers."""
    return Request("full status", b"\x10\x04\x14", Kind.FULL_STATUS, Risk.READ)


def encode_push_setting(what: int) -> Request:
    """GS a: which changes the printer reports unasked. Bits: 0 drawer, 1 online, 2 error, 3 roll; 0 for none.

    The DLE EOT 1 behind it is what is waited for, because a printer without GS a stays silent. The first packet comes
    before or after that reply. Lost by ESC @ and by a power cycle.
    """
    if not 0 <= what <= 0xFF:
        raise ValueError(f"GS a takes one byte, not {what}")
    return Request("pushes", bytes((0x1D, 0x61, what)) + b"\x10\x04\x01", Kind.STATUS, Risk.READ)


def encode_model_id_request() -> Request:
    """GS I 1: one byte. Makers share numbers, so it names no model alone."""
    return Request("model id", b"\x1d\x49\x01", Kind.BYTE, Risk.READ)


def encode_text_request(number: int) -> Request:
    """GS I 65 firmware, 66 maker, 67 model, 68 serial number, 69 font language. Not run while offline."""
    if number not in range(65, 70):
        raise ValueError(f"GS I {number} is not a text")
    return Request(f"identity {number}", bytes((0x1D, 0x49, number)), Kind.BLOCK, Risk.READ)


def encode_counter_request(number: int) -> Request:
    """GS g 2: a maintenance counter, 128 and above for the cumulative ones. Not run while offline."""
    if not 0 <= number <= 0xFFFF:
        raise ValueError(f"no counter {number}")
    data = b"\x1d\x67\x32\x00" + number.to_bytes(2, "little")
    return Request(f"counter {number}", data, Kind.BLOCK, Risk.READ)


def encode_recovery() -> Request:
    """DLE ENQ 2: recover from a cleared cutter or mechanism error; what is in the printer's buffers is thrown away.

    It has no reply; the DLE EOT 1 behind it shows that the printer took it.
    """
    return Request("recovery", b"\x10\x05\x02\x10\x04\x01", Kind.STATUS, Risk.DISRUPT)


class Demux:
    """Sorts one printer's bytes into messages; lives as long as the line, because packets and replies interleave.

    Tell it by `expect` which reply is outstanding: some shapes mean something only then.
    """

    def __init__(self) -> None:
        self.awaited: Kind | None = None
        self.malformed = 0
        """How many times bytes were no message, since the beginning."""
        self._waiting = bytearray()
        self._packet = bytearray()
        self._block: bytearray | None = None

    @property
    def half_read(self) -> bool:
        """Whether a packet or a block has begun and not ended; nothing may be asked then."""
        return bool(self._packet) or self._block is not None

    def expect(self, reply: Kind | None) -> None:
        """Say which reply is outstanding; None for none."""
        self.awaited = reply

    def feed(self, data: bytes) -> None:
        self._waiting += data
        if len(self._waiting) > _MOST_BUFFERED:
            del self._waiting[:-_MOST_BUFFERED]
            self.reset()

    def reset(self) -> None:
        """Give up what has begun and not ended: the line was quiet for longer than its bytes can be apart."""
        if self.half_read:
            self.malformed += 1
        self._packet.clear()
        self._block = None

    def next(self) -> Message | None:
        """The next message, None for "need more". Raises Malformed when bytes are no message."""
        while self._waiting:
            byte = self._waiting.pop(0)
            message = self._take(byte)
            if message is not None:
                return message
        return None

    def _take(self, byte: int) -> Message | None:
        if byte in {XON, XOFF}:  # no other message contains these values, so they may stand inside any of them
            return Message(Kind.FLOW, bytes((byte,)))
        if self._block is not None:
            return self._in_block(self._block, byte)
        if self._packet:
            return self._in_packet(byte)
        if byte in {TEXT_HEAD, NOTICE_HEAD}:
            self._block = bytearray((byte,))
            return None
        if byte & 0x93 == 0x10:
            self._packet.append(byte)
            return None
        if self.awaited is Kind.BYTE:  # model numbers in use do not keep to the table's 0xx0xxxx
            return self._answer(Kind.BYTE, bytes((byte,)))
        if byte & 0x93 == 0x12:
            return self._answer(Kind.STATUS, bytes((byte,)))
        raise self._bad(f"stray byte {byte:02x}")

    def _in_block(self, block: bytearray, byte: int) -> Message | None:
        if byte == 0:
            self._block = None
            if block[0] == TEXT_HEAD:
                return self._answer(Kind.BLOCK, bytes(block[1:]))
            return Message(Kind.NOTICE, bytes(block[1:]))
        if not 0x20 <= byte <= 0x7F or len(block) > _LONGEST_BLOCK:
            self._block = None
            raise self._cut("text", byte)
        block.append(byte)
        return None

    def _in_packet(self, byte: int) -> Message | None:
        is_full_status = self.awaited is Kind.FULL_STATUS and bytes((*self._packet, byte))[:2] == _FULL_STATUS_HEAD
        # Some Custom models use bit 7 in their full status (KPM150H, command reference of DLE EOT 20).
        if byte & (0x10 if is_full_status else 0x90):
            self._packet.clear()
            raise self._cut("packet", byte)
        self._packet.append(byte)
        if len(self._packet) < (_FULL_STATUS_BYTES if is_full_status else _PACKET_BYTES):
            return None
        packet = bytes(self._packet)
        self._packet.clear()
        if is_full_status:
            return self._answer(Kind.FULL_STATUS, packet[2:])
        return Message(Kind.PACKET, packet)

    def _answer(self, kind: Kind, data: bytes) -> Message:
        asked = self.awaited is kind
        if asked:
            self.awaited = None
        return Message(kind, data, asked)

    def _cut(self, what: str, byte: int) -> Malformed:
        self._waiting.insert(0, byte)  # it may begin the next message
        return self._bad(f"{what} cut short by {byte:02x}")

    def _bad(self, why: str) -> Malformed:
        self.malformed += 1
        return Malformed(why)
