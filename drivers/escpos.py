"""Receipt printers that speak ESC/POS on a serial line.

Replies have no checksum. So a state is reported when the status bytes agree with each other, and a changed one only
when a second round of questions says the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

from drivers.codecs import escpos, escpos_print
from drivers.codecs.escpos import Kind, Request
from drivers.codecs.escpos_profiles import PROFILES, profile_named
from drivers.codecs.escpos_status import (
    SPECS,
    decode_packet,
    decode_status,
    last_byte_is_legal,
    readings_from,
    readings_of,
)
from drivers.deadline import Deadline
from drivers.driver import Driver
from drivers.errors import BadReply, DriverError, NoReply, Refused, Unsupported
from drivers.escpos_line import REPLY_S, TEXT_S, PrinterLine
from drivers.exchange import Channel
from drivers.family import Family, OneOf, Whole, YesNo
from drivers.reading import Cause, Identity, Level, Reading, ReadingSpec, Risk, Value

ROUNDS_S: Final = 1.3  # with the deadlines of the last two questions a check stays below 2 s
RECOVERY_S: Final = 4.0  # a cutter goes home within about 2 s
MOST_ROUNDS: Final = 8  # a line on which so many rounds do not agree is not one to read states from
PUSH_TRIES: Final = 3  # a printer that ignores GS a three times does not know it

COUNTERS: Final[Mapping[str, int]] = {
    "ReceiptLineFeedCount": 148,
    "PaperCutCount": 178,
    "HoursPoweredCount": 198,
    "PrintHeadEnergizedCount": 149,
}
"""Cumulative counters by name; the last name is our own, UnifiedPOS has none for it."""

_MODEL: Final = 67
_TEXTS: Final = (_MODEL, 69, 66, 65, 68)
"""GS I texts in the order they are asked: the serial number last, since some makers have all but this one."""
_RECOVERABLE: Final = ("cutter", "mechanism")
_WITNESSED: Final = ("online", "cover", "paper", "cutter", "head", "mechanism", "condition", "voltage")
"""Readings that stand on more than one bit of a packet, so that a push alone may change them."""
_FAULTY: Final = ("open", "out", "error", "hot", "unrecoverable")
_ONE_BIT: Final = ("drawer", "feed_button")


class EscposDriver(Driver):
    """One receipt printer. Options: `profile` (maker), `asb` (let the printer report changes by itself).

    The option `columns`, characters on a line where the profile's do not fit the paper, is for whoever composes slips.
    """

    family: ClassVar[str] = "escpos"
    unit: ClassVar[str] = "printer"
    READINGS: ClassVar[Mapping[str, ReadingSpec]] = SPECS
    pushes: ClassVar[bool] = True

    def __init__(self, channel: Channel, options: Mapping[str, Value] | None = None) -> None:
        super().__init__(channel, options)
        self.profile = profile_named(str(self.options.get("profile", "epson")))
        self._line = PrinterLine(channel)
        self._line.on_packet = self._met
        self._last: dict[str, Reading] = {}
        self._status = b""
        self._push_tries = 0

    @property
    def wants_check(self) -> bool:
        """Something came that calls for a check now instead of at the next poll."""
        return self._line.news

    @wants_check.setter
    def wants_check(self, wanted: bool) -> None:
        self._line.news = wanted

    # Verbs

    def identify(self) -> Identity:
        """GS I texts and model number; all empty for printers without them.

        Nothing but `extra` not_asked while offline, when none are run, and when a change is told meanwhile: that is
        looked at first. Raises NoReply or BadReply when not even DLE EOT 1 is answered.
        """
        if self._is_offline():
            return Identity(extra={"not_asked": "offline"})
        before, texts, model_id = self._line.packet, dict[int, str](), ""
        try:
            for number in _TEXTS:
                text = self._text(number)
                if self._line.packet is not before and self._last and not self._packet_says(self._last):
                    return Identity(extra={"not_asked": "changed"})
                if number == _MODEL:
                    if text is None:  # each silence costs a quiet time; a printer without a model text has no others
                        return Identity()
                    model_id = self._model_id()
                texts[number] = text or ""
        except Refused:
            return Identity(extra={"not_asked": "changed"})
        extra = {"model_id": model_id, "font_language": texts[69]}
        return Identity(
            manufacturer=texts[66],
            model=texts[_MODEL],
            firmware=texts[65],
            serial=texts[68],
            extra={name: text for name, text in extra.items() if text},
        )

    def check_health(self, level: Level = Level.INTERNAL) -> dict[str, Reading]:
        """DLE EOT 1..4. EXTERNAL also prints one line when the printer can print. No interactive check exists."""
        if level is Level.INTERACTIVE:
            raise Unsupported("a printer has no interactive check")
        health = self._check()
        if level is Level.EXTERNAL and health["online"].value is True:
            self.print_slip(escpos_print.encode_text("posdiag test print", "cp437") + escpos_print.encode_feed(4))
            health = self._check()
        return health

    def print_slip(self, slip: bytes) -> None:
        """Print what `Slip` made. Raises Refused when the printer cannot print, NoReply when it went silent."""
        if self._is_offline():
            raise Refused("printing", "offline")
        if escpos_print.INITIALISE in slip:
            self._line.pushing, self._push_tries = False, 0
        # The status request behind the data leaves the port after it: at 9600 baud, 960 bytes each second.
        request = Request("printing", slip + escpos.encode_status_request(1).data, Kind.STATUS, Risk.CONSUME)
        self._line.ask(request, REPLY_S + len(slip) / 900)

    def statistics(self) -> dict[str, Value]:
        """Cumulative counters. Raises Unsupported when it has none, Refused while offline, when none are run."""
        if self._is_offline():
            raise Refused("counters", "offline")
        counts: dict[str, Value] = {}
        for name, number in COUNTERS.items():
            digits = self._optional(escpos.encode_counter_request(number))
            if digits is None:
                break
            if not digits.isdigit() or len(digits) > 10:
                raise BadReply(f"counter {number}", digits, "not a number")
            counts[name] = int(digits)
        if not counts:
            raise Unsupported("this printer answers no counter request")
        return counts

    def recover(self) -> dict[str, Reading]:
        """DLE ENQ 2 for a cutter or mechanism error, then its health. What the printer had buffered is lost.

        Raises Refused when there is no such error, and when the printer calls its error unrecoverable.
        """
        health = self._check()
        if health["condition"].value == "unrecoverable":
            raise Refused("recovery", "unrecoverable error")
        if not _needs_recovery(health):
            raise Refused("recovery", "no recoverable error")
        self._line.ask(escpos.encode_recovery())
        patience = Deadline(RECOVERY_S, self.channel.clock)
        while _needs_recovery(health) and not patience.expired:
            self._line.listen(0.25)
            health = self._check()
        return health

    def receive(self, data: bytes) -> dict[str, Reading]:
        """Readings changed by a packet that can be trusted alone, else {}. Sets `wants_check` where asking helps."""
        was_wary = self._line.wary
        packets = self._line.take(data)
        if not packets or not self._last:
            self._line.news |= self._line.wary and not was_wary  # a change may have been garbled
            return {}
        return self._told_by(packets[-1])

    def _met(self, packet: bytes) -> None:
        """A packet among answers: what it tells need not wait for the round to end."""
        changed = self._told_by(packet) if self._last else {}
        self._line.news = True  # the rounds end by comparing themselves with it
        if changed:
            self.tell(changed)

    def _told_by(self, packet: bytes) -> dict[str, Reading]:
        """The readings that a packet, trusted alone, changes. Sets `wants_check` for those it cannot vouch for."""
        now = readings_from(decode_packet(packet), self.profile, packet)
        told = {name: now[name] for name in (*_WITNESSED, *_ONE_BIT)}
        changed = {name: told[name] for name in _differing(told, self._last)}
        if not self._trusts(packet, now) or not _is_one_step(changed):
            return {}
        alone = {name: reading for name, reading in changed.items() if name in _WITNESSED}
        self._line.news = len(alone) < len(changed)
        self._last |= alone
        return alone

    def specific(self) -> dict[str, Value]:
        """Raw status bytes, and how the line fares."""
        return {
            "profile": self.profile.word,
            "status": self._status.hex(" "),
            "packet": self._line.packet.hex(" "),
            "pushes": self._line.pushing,
            "flow_stopped": self._line.flow_stopped,
            "malformed": self._line.malformed,
        }

    # Rounds of questions

    def _check(self) -> dict[str, Reading]:
        self._line.news = False
        self.channel.settle()  # the quiet time after an unanswered question is not the printer's
        try:
            now = self._agreed(Deadline(ROUNDS_S, self.channel.clock))
        except DriverError:
            self._push_tries = 0  # when it answers again it may have been without power
            raise
        self._last = now
        self._enable_pushes()
        if self._line.news and self._line.packet and self._packet_says(now):
            self._line.news = False
        return dict(now)

    def _agreed(self, deadline: Deadline) -> dict[str, Reading]:
        """A round that says what was last accepted, or enough rounds in a row that say the same new thing."""
        before: dict[str, Reading] = {}
        same = 0
        for _ in range(MOST_ROUNDS):
            now = self._round(deadline)
            if now is None:
                before, same = {}, 0
                continue
            if self._last and not _differing(now, self._last):
                return now
            same = 1 if not before or _differing(now, before) else same + 1
            if same >= (3 if self._line.wary else 2):
                self._found_by_asking(now)
                return now
            before = now
        raise BadReply("status", self._status, "no two rounds of answers agree")

    def _round(self, deadline: Deadline) -> dict[str, Reading] | None:
        """All status questions once; None when something came among the answers that does not belong there."""
        noise = self._line.noises
        raw = b""
        for number in (1, 2, 3, 4):
            if deadline.expired:
                raise BadReply("status", raw or self._status, "answers are too slow to be confirmed")
            raw += bytes((self._status_byte(number),))
        full = self._line.ask(escpos.encode_full_status_request()).data if self.profile.has_full_status else b""
        self._status = raw + full
        if self._line.noises != noise:
            return None
        return dict(readings_of(raw, full, self.profile))

    def _found_by_asking(self, now: Mapping[str, Reading]) -> None:
        """A change that no packet told: the printer has forgotten that it should tell."""
        told = self._line.packet and self._packet_says(now)
        if self._last and not told and any(name in _WITNESSED for name in _differing(now, self._last)):
            self._line.pushing, self._push_tries = False, 0

    def _enable_pushes(self) -> None:
        """Ask for unasked reports; only while online, because GS a waits in the buffer otherwise."""
        if self._line.pushing:
            self._push_tries = 0
        elif (
            self.options.get("asb", True) is True
            and self._push_tries < PUSH_TRIES
            and self._last["online"].value is True
        ):
            self._push_tries += 1
            self._line.ask(escpos.encode_push_setting(self.profile.push_bits), TEXT_S)

    # The line

    def _status_byte(self, number: int) -> int:
        byte = self._line.ask(escpos.encode_status_request(number)).data[0]
        if number == 1:
            self._line.offline = decode_status(1, byte)["offline"] is True
        return byte

    def _is_offline(self) -> bool:
        self._status_byte(1)
        return self._line.offline

    def _optional(self, request: Request) -> bytes | None:
        """The answer given twice alike, None for silence.

        Raises BadReply when no two answers agree, Refused when it goes offline.
        """
        before: bytes | None = None
        seen = b""
        for _ in range(4):
            noise = self._line.noises
            try:
                seen = self._line.ask_buffered(request).data
            except NoReply:
                return None
            clean = self._line.noises == noise
            if clean and seen == before:
                return seen
            before = seen if clean else None
        raise BadReply(request.name, seen, "no two answers agree")

    def _text(self, number: int) -> str | None:
        text = self._optional(escpos.encode_text_request(number))
        return None if text is None else text.decode("ascii").strip()

    def _model_id(self) -> str:
        try:
            return (self._optional(escpos.encode_model_id_request()) or b"").hex()
        except BadReply:  # a number shaped like a packet's first byte cannot be told from one; the texts say more
            return ""

    def _packet_says(self, now: Mapping[str, Reading]) -> bool:
        told = readings_from(decode_packet(self._line.packet), self.profile, self._line.packet)
        return not _differing({name: told[name] for name in _WITNESSED}, now)

    def _trusts(self, packet: bytes, readings: Mapping[str, Reading]) -> bool:
        return (
            not self.profile.has_full_status  # a packet says less than that
            and not self._line.wary
            and not self.channel.unsettled
            and last_byte_is_legal(packet, self.profile)
            and all(reading.unknown != Cause.INCONSISTENT for reading in readings.values())
        )


def _differs(one: Reading, other: Reading) -> bool:
    return (one.value, one.unknown) != (other.value, other.unknown)


def _differing(now: Mapping[str, Reading], before: Mapping[str, Reading]) -> list[str]:
    return [name for name, reading in now.items() if _differs(reading, before[name])]


def _is_one_step(changed: Mapping[str, Reading]) -> bool:
    """Whether more than one bit of a packet tells each part of this change.

    An error bit or the cover's is witnessed by the offline bit turning with it. When that does not turn, or turns with
    two of them, one flipped bit would do. Each paper sensor is a pair of bits and its own witness.
    """
    if "online" not in changed:
        return all(name in {"paper", *_ONE_BIT} for name in changed)
    return sum(reading.value in _FAULTY for reading in changed.values()) <= 1


def _needs_recovery(health: Mapping[str, Reading]) -> bool:
    return any(health[name].value == "error" for name in _RECOVERABLE)


FAMILY: Final = Family(
    word="escpos",
    driver=EscposDriver,
    baud=9600,
    other_bauds=(115200, 38400, 19200, 57600),
    options={"profile": OneOf(tuple(PROFILES)), "asb": YesNo(), "columns": Whole(24, 64)},
    probe_order=10,  # DLE EOT has no printable character
)
