"""Creator CRT-571/591 motor card reader: where the card is, and which error it keeps until it is initialised.

See `firmware_notes/crt571/notes.md`. It never moves, captures or reads a card.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import ClassVar, cast

from drivers.codecs.creator import ACK, NAK, BadCheck, Decoder, Message, Nak, Reply, Request, encode
from drivers.codecs.text import model_and_firmware, printable
from drivers.confirm import Confirmed
from drivers.driver import Driver
from drivers.errors import Refused, Unsupported
from drivers.exchange import Channel
from drivers.exchange import Decoder as Decodes
from drivers.family import Family, Whole
from drivers.link import Link
from drivers.reading import Cause, Identity, Level, Reading, ReadingSpec, Value, known, unknown

_REPLY_S = 0.4
_INITIALISE_S = 10.0  # the motor may turn
_REPEATS = 2

_CARD = {0x30: "absent", 0x31: "gate", 0x32: "present"}
_STACKER = {0x30: "empty", 0x31: "few", 0x32: "ok"}
_BIN = {0x30: "ok", 0x31: "full"}
_NOT_UNDERSTOOD = ("00", "01", "02", "03", "04")

# What a kept error code says: reading and value. 11, 15 and 17 are of the kin protocol.
_ERRORS: dict[str, tuple[str, str]] = {
    "10": ("card", "jammed"),
    "11": ("shutter", "error"),
    "12": ("sensor", "error"),
    "15": ("self_test", "failed"),
    "17": ("card", "jammed"),
    "41": ("self_test", "failed"),
    "51": ("self_test", "failed"),
    "A0": ("stacker", "empty"),
    "A1": ("bin", "full"),
}
_ERROR_TEXTS = {
    "05": "IC contacts not released",
    "10": "card jam",
    "11": "shutter failure",
    "12": "sensor error",
    "13": "card too long",
    "14": "card too short",
    "15": "firmware memory error",
    "16": "card moved by hand",
    "17": "jam while retrieving",
    "40": "card moved while capturing",
    "41": "IC contact magnet error",
    "43": "IC position not reached",
    "45": "card moved by hand",
    "50": "captured card counter overflow",
    "51": "motor error",
    "A0": "stacker empty",
    "A1": "error card bin full",
    "B0": "not initialised since power on",
}


class Crt571(Driver):
    """One unit at the address in option `address` (0 unless given)."""

    family: ClassVar[str] = "crt571"
    unit: ClassVar[str] = "reader"
    READINGS: ClassVar[Mapping[str, ReadingSpec]] = {
        "card": ReadingSpec(("absent", "gate", "present", "jammed"), about="gate: ejected and not taken, or going in"),
        "shutter": ReadingSpec(("ok", "error")),
        "sensor": ReadingSpec(("ok", "error")),
        "self_test": ReadingSpec(("ok", "failed"), about="failed: motor, IC contact magnet or memory error"),
        "bin": ReadingSpec(("ok", "full"), about="the bin for captured cards"),
        "stacker": ReadingSpec(("ok", "few", "empty"), about="cards to issue"),
    }

    def __init__(self, channel: Channel, options: Mapping[str, Value] | None = None) -> None:
        super().__init__(channel, options)
        self._address = int(self.options.get("address", 0))
        self._status: Confirmed[Reply] = Confirmed()
        self._specific: dict[str, Value] = {}

    def identify(self) -> Identity:
        model, firmware = model_and_firmware(self._text(Request.VERSION))
        return Identity(model=model, firmware=firmware, serial=self._serial())

    def check_health(self, level: Level = Level.INTERNAL) -> dict[str, Reading]:
        if level is Level.INTERACTIVE:
            raise Unsupported("an interactive test would need a cardholder's card")
        self._specific = {}
        reply = self._status.of(lambda: self._ask(Request.STATUS))
        if reply is None:
            return self._all(unknown(Cause.INCONSISTENT))
        if reply.error:
            return self._refused(reply.error)
        readings = dict(_from_status(reply.status))
        if level is Level.EXTERNAL:
            readings |= self._cross_check(readings["card"])
        return readings

    def statistics(self) -> dict[str, Value]:
        """CapturedCardCount: cards captured since its counter was set; UnifiedPOS has no name for it."""
        reply = self._ask(Request.BIN_COUNTER)
        count = printable(reply.data)
        if reply.error or not count.isdecimal():
            raise Refused("the bin counter", reply.error or "no number")
        return {"CapturedCardCount": int(count)}

    def recover(self) -> dict[str, Reading]:
        """Initialise without moving a card. The payment application must allow card entry again afterwards."""
        reply = self._ask(Request.INITIALISE_KEEP, _INITIALISE_S)
        if reply.error in _NOT_UNDERSTOOD:
            raise Refused("initialise", reply.error)
        return self.check_health()

    def specific(self) -> dict[str, Value]:
        return dict(self._specific)

    def _ask(self, request: Request, deadline_s: float = _REPLY_S) -> Reply:
        frame = encode(request, self._address)
        link = self.channel.link
        repeats = 0

        def repeat_command(message: Message) -> None:
            nonlocal repeats
            if isinstance(message, Nak) and repeats < _REPEATS:
                repeats += 1
                link.write(frame)

        def is_answer(message: Message) -> bool:
            return (
                isinstance(message, Reply) and message.address == self._address and message.command == request.command
            )

        name = request.name.lower()
        decoder: Decodes[Message] = _AskingAgain(link)
        reply = self.channel.ask(name, frame, decoder, deadline_s, is_answer, repeat_command)
        link.write(ACK)
        return cast("Reply", reply)

    def _refused(self, code: str) -> dict[str, Reading]:
        if code in _NOT_UNDERSTOOD:
            raise Refused("status", code)
        self._specific = {"error": code, "error_text": _ERROR_TEXTS.get(code, "undocumented")}
        raw = code.encode()
        if code not in _ERRORS:
            return self._all(unknown(Cause.REFUSED, raw))
        name, value = _ERRORS[code]
        return self._all(unknown(Cause.MASKED, raw)) | {name: known(value, raw)}

    def _cross_check(self, card: Reading) -> dict[str, Reading]:
        """Whether the sensors agree about the card; only a contradiction changes the reading."""
        reply = self._ask(Request.SENSORS)
        sensors = printable(reply.data[:7])
        if reply.error or len(sensors) != 7 or not set(sensors) <= {"0", "1"}:
            return {}
        self._specific["sensors"] = sensors
        if card.value is None or ("1" in sensors) == (card.value != "absent"):
            return {}
        return {"card": unknown(Cause.INCONSISTENT, reply.status + reply.data[:7])}

    def _serial(self) -> str:
        data = self._ask(Request.SERIAL).data
        return printable(data[1 : 1 + data[0]]) if data else ""

    def _text(self, request: Request) -> str:
        return printable(self._ask(request).data)

    def _all(self, reading: Reading) -> dict[str, Reading]:
        return dict.fromkeys(self.READINGS, reading)


class _AskingAgain:
    """The decoder, which also has a reply with a wrong check byte sent again, twice at most."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._decoder = Decoder()
        self._asked = 0

    def feed(self, data: bytes) -> None:
        self._decoder.feed(data)

    def next(self) -> Message | None:
        try:
            return self._decoder.next()
        except BadCheck:
            if self._asked < _REPEATS:
                self._asked += 1
                self._link.write(NAK)
            raise


@lru_cache(8)
def _from_status(status: bytes) -> dict[str, Reading]:
    """st0 st1 st2 of a unit without a pending error."""
    readings = {name: known("ok", status) for name in ("shutter", "sensor", "self_test")}
    for name, table, byte in zip(("card", "stacker", "bin"), (_CARD, _STACKER, _BIN), status, strict=True):
        value = table.get(byte)
        readings[name] = unknown(Cause.INCONSISTENT, status) if value is None else known(value, status)
    return readings


FAMILY = Family(
    word="crt571",
    driver=Crt571,
    baud=9600,
    other_bauds=(38400, 19200, 57600, 115200),
    options={"address": Whole(0, 15)},
    probe_order=70,
)
