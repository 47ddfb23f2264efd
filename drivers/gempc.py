"""GemPC Twin chip card reader: whether a card is in the slot, and slot changes as they happen.

See `firmware_notes/gempc/notes.md`. It never powers or talks to a card.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, cast

from drivers.codecs.ccid_serial import Decoder, Message, Nak, Reply, Request, SlotChange, encode
from drivers.codecs.malformed import Malformed
from drivers.codecs.text import model_and_firmware, printable
from drivers.confirm import Confirmed
from drivers.driver import Driver
from drivers.errors import Unsupported
from drivers.exchange import Channel
from drivers.exchange import Decoder as Decodes
from drivers.family import Family
from drivers.reading import Cause, Identity, Level, Reading, ReadingSpec, Value, known, unknown

_REPLY_S = 0.4
_REPEATS = 2

_CARD = ("present", "present", "absent")
_ICC = ("active", "inactive", "absent", "reserved")
_FAILED, _MORE_TIME, _RESERVED = 1, 2, 3
_UNUSED_BITS = 0x3C
_HARDWARE_ERROR = 0xFB

_Slot = tuple[int, int]
"""bStatus, and bError where bStatus says "failed" (0 otherwise)."""


class GemPc(Driver):
    """One reader with one slot."""

    family: ClassVar[str] = "gempc"
    unit: ClassVar[str] = "reader"
    READINGS: ClassVar[Mapping[str, ReadingSpec]] = {
        "card": ReadingSpec(("absent", "present")),
        "self_test": ReadingSpec(("ok", "failed"), about="failed: the reader reports a hardware error"),
    }
    pushes: ClassVar[bool] = True

    def __init__(self, channel: Channel, options: Mapping[str, Value] | None = None) -> None:
        super().__init__(channel, options)
        self._sequence = 0
        self.wants_check = False
        """A slot change was reported: asking now would tell more than waiting for the next poll."""
        self._slot: Confirmed[_Slot] = Confirmed()
        self._notices = Decoder()
        self._specific: dict[str, Value] = {}

    def identify(self) -> Identity:
        reply = self._ask(Request.FIRMWARE)
        text = "" if reply.status >> 6 else printable(reply.data)
        model, firmware = model_and_firmware(text)
        return Identity(model=model, firmware=firmware)

    def check_health(self, level: Level = Level.INTERNAL) -> dict[str, Reading]:
        if level is Level.INTERACTIVE:
            raise Unsupported("an interactive test would need a cardholder's card")
        self._notices = Decoder()
        self.wants_check = False
        self._specific = {}
        slot = self._slot.of(self._slot_status)
        if slot is None:
            return dict.fromkeys(self.READINGS, unknown(Cause.INCONSISTENT))
        self._specific = _evidence(slot)
        return _from_slot(slot)

    def receive(self, data: bytes) -> dict[str, Reading]:
        """Always {}: a slot change has no check byte, so it is never a reading; it sets `wants_check`."""
        self._notices.feed(data)
        while True:
            try:
                message = self._notices.next()
            except Malformed:
                continue
            if message is None:
                return {}
            self.wants_check |= isinstance(message, SlotChange)

    def specific(self) -> dict[str, Value]:
        return dict(self._specific)

    def _ask(self, request: Request) -> Reply:
        self._sequence = (self._sequence + 1) % 256
        sequence = self._sequence
        frame = encode(request, sequence)
        repeats = 0

        def repeat_question(message: Message) -> None:
            nonlocal repeats
            if isinstance(message, Nak) and repeats < _REPEATS:
                repeats += 1
                self.channel.link.write(frame)

        def is_answer(message: Message) -> bool:
            return (
                isinstance(message, Reply)
                and (message.kind, message.slot, message.sequence) == (request.answer, 0, sequence)
                and message.status >> 6 != _MORE_TIME
            )

        name = request.name.lower()
        decoder: Decodes[Message] = Decoder()
        return cast("Reply", self.channel.ask(name, frame, decoder, _REPLY_S, is_answer, repeat_question))

    def _slot_status(self) -> _Slot:
        reply = self._ask(Request.SLOT_STATUS)
        return reply.status, reply.error if reply.status >> 6 == _FAILED else 0


def _from_slot(slot: _Slot) -> dict[str, Reading]:
    status, error = slot
    raw = bytes(slot)
    icc, command = status & 3, status >> 6
    if status & _UNUSED_BITS or command == _RESERVED or icc >= len(_CARD):
        return dict.fromkeys(GemPc.READINGS, unknown(Cause.INCONSISTENT, raw))
    if command != _FAILED:
        self_test = known("ok", raw)
    elif error == _HARDWARE_ERROR:
        self_test = known("failed", raw)
    else:
        self_test = unknown(Cause.REFUSED, raw)
    return {"card": known(_CARD[icc], raw), "self_test": self_test}


def _evidence(slot: _Slot) -> dict[str, Value]:
    status, error = slot
    evidence: dict[str, Value] = {"icc": _ICC[status & 3]}
    if status >> 6 == _FAILED:
        evidence["error"] = f"{error:02X}"
    return evidence


FAMILY = Family(
    word="gempc",
    driver=GemPc,
    baud=115200,
    other_bauds=(9600, 38400),
    probe_order=60,
)
