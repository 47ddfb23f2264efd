"""ID TECH NEO payment reader: whether it answers, what its self-test and its tamper detection say.

See `firmware_notes/neo/notes.md`. It starts no transaction and asks for no card.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from drivers.codecs.text import model_and_firmware, printable
from drivers.codecs.vivotech2 import OK, Decoder, Reply, Request, encode
from drivers.confirm import Confirmed
from drivers.driver import Driver
from drivers.errors import Unsupported
from drivers.exchange import Channel
from drivers.family import Family, OneOf
from drivers.reading import Cause, Identity, Level, Reading, ReadingSpec, Value, known, unknown

_REPLY_S = 0.4
_CHIP_MODE_EVERY = 30  # polls; it is evidence, not a reading

_TAMPER = 0x1D
_SELF_TEST_FAILED = (0x0A, 0x10, 0x11, 0x12)
_NOT_THIS_MODEL = (0x02, 0x03, 0x06, 0x0B, 0x0C)
_CHIP_MODES = ("none", "restricted", "self_check", "customer", "system", "boot_loader")


class Neo(Driver):
    """One reader; option `crc_order` "lsb" for the few that send their CRC low byte first."""

    family: ClassVar[str] = "neo"
    unit: ClassVar[str] = "reader"
    READINGS: ClassVar[Mapping[str, ReadingSpec]] = {
        "self_test": ReadingSpec(("ok", "failed"), about="what the answer to a ping says"),
        "tamper": ReadingSpec(("no", "yes"), about="no: it answers and reports no tampering"),
    }

    def __init__(self, channel: Channel, options: Mapping[str, Value] | None = None) -> None:
        super().__init__(channel, options)
        self._low_byte_first = self.options.get("crc_order") == "lsb"
        self._status: Confirmed[int] = Confirmed()
        self._polls = 0
        self._has_chip_mode = True
        self._chip_mode = ""
        self._specific: dict[str, Value] = {}

    def identify(self) -> Identity:
        model, firmware = model_and_firmware(self._text(Request.FIRMWARE))
        return Identity(
            model=model,
            firmware=firmware,
            serial=self._text(Request.SERIAL),
            extra=_modules(self._ask(Request.MODULES)),
        )

    def check_health(self, level: Level = Level.INTERNAL) -> dict[str, Reading]:
        if level is Level.INTERACTIVE:
            raise Unsupported("an interactive test would start a transaction")
        status = self._status.of(lambda: self._ask(Request.PING).status)
        if status is None:
            self._specific = {}
            return dict.fromkeys(self.READINGS, unknown(Cause.INCONSISTENT))
        if level is Level.EXTERNAL or self._polls % _CHIP_MODE_EVERY == 0:
            self._ask_chip_mode()
        self._polls += 1
        self._specific = {"status": f"{status:02X}"}
        if self._chip_mode:
            self._specific["chip_mode"] = self._chip_mode
        return _from_status(status)

    def specific(self) -> dict[str, Value]:
        return dict(self._specific)

    def _ask(self, request: Request) -> Reply:
        def is_answer(reply: Reply) -> bool:
            return reply.command == request.command

        decoder = Decoder("lsb" if self._low_byte_first else "msb")
        return self.channel.ask(request.name.lower(), encode(request), decoder, _REPLY_S, is_answer)

    def _text(self, request: Request) -> str:
        reply = self._ask(request)
        return printable(reply.data) if reply.status == OK else ""

    def _ask_chip_mode(self) -> None:
        if not self._has_chip_mode:
            return
        reply = self._ask(Request.CHIP_MODE)
        self._has_chip_mode = reply.status not in _NOT_THIS_MODEL
        self._chip_mode = ""
        if reply.status == OK and len(reply.data) == 1:
            mode = reply.data[0]
            self._chip_mode = _CHIP_MODES[mode] if mode < len(_CHIP_MODES) else f"{mode:02X}"


def _from_status(status: int) -> dict[str, Reading]:
    raw = bytes((status,))
    if status == OK:
        return {"self_test": known("ok", raw), "tamper": known("no", raw)}
    if status == _TAMPER:
        return {"self_test": unknown(Cause.MASKED, raw), "tamper": known("yes", raw)}
    tamper = unknown(Cause.REFUSED, raw)
    if status in _SELF_TEST_FAILED:
        return {"self_test": known("failed", raw), "tamper": tamper}
    return {"self_test": unknown(Cause.REFUSED, raw), "tamper": tamper}


def _modules(reply: Reply) -> dict[str, str]:
    """Module lines "type,name[,version]" by type; the first of each type, sixteen at most."""
    modules: dict[str, str] = {}
    if reply.status == OK:
        for line in reply.data.split(b"\r\n"):
            kind, _, rest = printable(line).partition(",")
            if rest and len(modules) < 16:
                modules.setdefault(kind, rest.rstrip(","))
    return modules


FAMILY = Family(
    word="neo",
    driver=Neo,
    baud=115200,
    other_bauds=(57600, 38400, 19200, 9600),
    options={"crc_order": OneOf(("msb", "lsb"))},
    probe_order=80,
)
