"""Receipt printers that speak ESC/POS on a serial line.

Replies have no checksum. So a state is reported when the status bytes agree with each other, and a changed one only
when a second round of questions says the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

from drivers.codecs import escpos, escpos_print
from drivers.codecs.escpos import Kind, Message, Request
from drivers.codecs.escpos_profiles import profile_named
from drivers.codecs.escpos_status import (
    SPECS,
    decode_full_status,
    decode_packet,
    decode_status,
    last_byte_is_legal,
    readings_from,
)
from drivers.codecs.malformed import Malformed
from drivers.deadline import Deadline
from drivers.driver import Driver
from drivers.errors import BadReply, NoReply, Refused, Unsupported
from drivers.exchange import Channel
from drivers.family import Family
from drivers.reading import Cause, Identity, Level, Reading, ReadingSpec, Risk, Value

REPLY_S: Final = 0.3  # a status reply leaves at once; at 9600 baud the question and it take 4 ms
TEXT_S: Final = 0.5  # up to 80 characters at 9600 baud are 83 ms, behind whatever is in the buffer
ROUNDS_S: Final = 1.3  # with the deadlines of the last two questions a check stays below 2 s
WARY_S: Final = 5.0  # this long after a byte that was no message, pushes are checked and changes confirmed twice
HALF_READ_S: Final = 0.05  # the bytes of a packet follow each other; 4 of them take 4 ms at 9600 baud
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

_RECOVERABLE: Final = ("cutter", "mechanism")
_WITNESSED: Final = ("online", "cover", "paper", "cutter", "head", "mechanism", "condition", "voltage")
"""Readings that stand on more than one bit of a packet, so that a push alone may change them."""
_ONE_BIT: Final = ("drawer", "feed_button")


class EscposDriver(Driver):
    """One receipt printer. Options: `profile` (maker), `asb` (let the printer report changes by itself)."""

    family: ClassVar[str] = "escpos"
    unit: ClassVar[str] = "printer"
    READINGS: ClassVar[Mapping[str, ReadingSpec]] = SPECS
    pushes: ClassVar[bool] = True

    def __init__(self, channel: Channel, options: Mapping[str, Value] | None = None) -> None:
        """Raises ValueError for a profile that does not exist."""
        super().__init__(channel, options)
        self.profile = profile_named(str(self.options.get("profile", "epson")))
        self.wants_check = False
        """Something came that calls for a check now instead of at the next poll."""
        self._demux = escpos.Demux()
        self._last: dict[str, Reading] = {}
        self._status = b""
        self._packet = b""
        self._malformed_before = 0
        self._noise_at: float | None = None
        self._noises = 0
        self._push_live = False
        self._push_tries = 0
        self._stopped_flow = False
        channel.on_unasked = self._unasked

    # Verbs

    def identify(self) -> Identity:
        """GS I texts and model number; all empty for printers without them, and while offline, when none are run.

        Raises NoReply or BadReply when not even DLE EOT 1 is answered.
        """
        if decode_status(1, self._status_byte(1))["offline"]:
            return Identity(extra={"not_asked": "offline"})
        model = self._text(67)
        if model is None:  # each silence costs a quiet time; a printer without a model text has no others
            return Identity()
        model_id = self._optional(escpos.encode_model_id_request())
        extra = {"model_id": model_id.hex() if model_id else "", "font_language": self._text(69) or ""}
        return Identity(
            manufacturer=self._text(66) or "",
            model=model,
            firmware=self._text(65) or "",
            serial=self._text(68) or "",  # last, since some makers have all texts but this one
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
        if decode_status(1, self._status_byte(1))["offline"]:
            raise Refused("printing", "offline")
        if escpos_print.INITIALISE in slip:
            self._push_live, self._push_tries = False, 0
        # The status request behind the data leaves the port after it: at 9600 baud, 960 bytes each second.
        request = Request("printing", slip + escpos.encode_status_request(1).data, Kind.STATUS, Risk.CONSUME)
        self._ask(request, REPLY_S + len(slip) / 900)

    def statistics(self) -> dict[str, Value]:
        """Cumulative counters. Raises Unsupported when it has none, Refused while offline, when none are run."""
        if decode_status(1, self._status_byte(1))["offline"]:
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
        self._ask(escpos.encode_recovery())
        patience = Deadline(RECOVERY_S, self.channel.clock)
        while _needs_recovery(health) and not patience.expired:
            self._listen(0.25)
            health = self._check()
        return health

    def receive(self, data: bytes) -> dict[str, Reading]:
        """Readings changed by a packet that can be trusted alone, else {}. Sets `wants_check` where asking helps."""
        was_wary = self._wary
        packets = self._take_unasked(data)
        if not packets or not self._last:
            self.wants_check |= self._wary and not was_wary  # a change may have been garbled
            return {}
        packet = packets[-1]
        now = readings_from(decode_packet(packet), self.profile, packet)
        if not self._trusts(packet, now):
            return {}
        told = {name: now[name] for name in (*_WITNESSED, *_ONE_BIT)}
        changed = {name: told[name] for name in _differing(told, self._last)}
        alone = {name: reading for name, reading in changed.items() if name in _WITNESSED}
        self.wants_check = len(alone) < len(changed)
        self._last |= alone
        return alone

    def specific(self) -> dict[str, Value]:
        """Raw status bytes, and how the line fares."""
        return {
            "profile": self.profile.word,
            "status": self._status.hex(" "),
            "packet": self._packet.hex(" "),
            "pushes": self._push_live,
            "flow_stopped": self._stopped_flow,
            "malformed": self._demux.malformed,
        }

    # Rounds of questions

    def _check(self) -> dict[str, Reading]:
        self.wants_check = False
        now = self._agreed(Deadline(ROUNDS_S, self.channel.clock))
        self._last = now
        self._enable_pushes()
        if self.wants_check and self._packet and self._packet_says(now):
            self.wants_check = False
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
            if same >= (3 if self._wary else 2):
                self._found_by_asking(now)
                return now
            before = now
        raise BadReply("status", self._status, "no two rounds of answers agree")

    def _round(self, deadline: Deadline) -> dict[str, Reading] | None:
        """All status questions once; None when something came among the answers that does not belong there."""
        noise = self._noises
        facts: dict[str, bool | None] = {}
        raw = b""
        for number in (1, 2, 3, 4):
            if deadline.expired:
                raise BadReply("status", raw or self._status, "answers are too slow to be confirmed")
            byte = self._status_byte(number)
            facts |= decode_status(number, byte)
            raw += bytes((byte,))
        if self.profile.has_full_status:
            full = self._ask(escpos.encode_full_status_request()).data
            facts |= decode_full_status(full)
            raw += full
        self._status = raw
        if self._noises != noise:
            return None
        return readings_from(facts, self.profile, raw)

    def _found_by_asking(self, now: Mapping[str, Reading]) -> None:
        """A change that no packet told: the printer has forgotten that it should tell."""
        if self._last and any(name in _WITNESSED for name in _differing(now, self._last)):
            self._push_live, self._push_tries = False, 0

    def _enable_pushes(self) -> None:
        """Ask for unasked reports; only while online, because GS a waits in the buffer otherwise."""
        if self.options.get("asb", True) is not True or self._push_live or self._push_tries >= PUSH_TRIES:
            return
        if self._last["online"].value is True:
            self._push_tries += 1
            self._ask(escpos.encode_push_setting(self.profile.push_bits))

    # The line

    def _status_byte(self, number: int) -> int:
        return self._ask(escpos.encode_status_request(number)).data[0]

    def _optional(self, request: Request) -> bytes | None:
        """The answer given twice alike, None for silence. Raises BadReply when no two answers agree."""
        before: bytes | None = None
        seen = b""
        for _ in range(4):
            noise = self._noises
            try:
                seen = self._ask(request, TEXT_S).data
            except NoReply:
                return None
            clean = self._noises == noise
            if clean and seen == before:
                return seen
            before = seen if clean else None
        raise BadReply(request.name, seen, "no two answers agree")

    def _text(self, number: int) -> str | None:
        text = self._optional(escpos.encode_text_request(number))
        return None if text is None else text.decode("ascii").strip()

    def _ask(self, request: Request, deadline_s: float = REPLY_S) -> Message:
        if self._demux.half_read:
            self._listen(HALF_READ_S)
            self._demux.reset()
        self._demux.expect(request.reply)
        try:
            return self.channel.ask(request.name, request.data, self._demux, deadline_s, _is_answer, self._note)
        except (NoReply, BadReply) as error:
            cut_short = self._demux.half_read
            self._demux.reset()
            self._noise()
            self._push_live, self._push_tries = False, 0  # it may have been without power
            if isinstance(error, NoReply) and cut_short:
                raise BadReply(request.name, error.partial, "cut short") from error
            raise
        finally:
            self._demux.expect(None)
            self._pump()

    def _listen(self, seconds: float) -> None:
        """Take in what comes unasked within this time."""
        deadline = Deadline(seconds, self.channel.clock)
        while data := self.channel.wait(deadline):
            self._take_unasked(data)

    def _unasked(self, data: bytes) -> None:
        self._take_unasked(data)

    def _take_unasked(self, data: bytes) -> list[bytes]:
        """The packets in bytes that came while nothing, or not yet, was asked."""
        awaited = self._demux.awaited
        self._demux.expect(None)
        self._demux.feed(data)
        packets = self._pump()
        self._demux.expect(awaited)
        return packets

    def _pump(self) -> list[bytes]:
        packets = []
        while True:
            try:
                message = self._demux.next()
            except Malformed:
                continue
            if message is None:
                break
            self._note(message)
            if message.kind is Kind.PACKET:
                packets.append(message.data)
        if self._demux.malformed != self._malformed_before:
            self._noise()
        return packets

    def _note(self, message: Message) -> None:
        if message.kind is Kind.PACKET:
            self._push_live, self._push_tries, self._packet = True, 0, message.data
            self.wants_check = True
        elif message.kind is Kind.FLOW:
            self._stopped_flow = message.data[0] == escpos.XOFF
        elif message.kind is Kind.NOTICE:
            self.wants_check = True
        elif message.kind is Kind.STATUS:
            self._noise()  # a reply to no question: late, or made of noise

    def _noise(self) -> None:
        self._malformed_before = self._demux.malformed
        self._noise_at = self.channel.clock()
        self._noises += 1

    def _packet_says(self, now: Mapping[str, Reading]) -> bool:
        told = readings_from(decode_packet(self._packet), self.profile, self._packet)
        return not _differing({name: told[name] for name in _WITNESSED}, now)

    @property
    def _wary(self) -> bool:
        return self._noise_at is not None and self.channel.clock() - self._noise_at < WARY_S

    def _trusts(self, packet: bytes, readings: Mapping[str, Reading]) -> bool:
        return (
            not self.profile.has_full_status  # a packet says less than that
            and not self._wary
            and not self.channel.unsettled
            and last_byte_is_legal(packet, self.profile)
            and all(reading.unknown != Cause.INCONSISTENT for reading in readings.values())
        )


def _is_answer(message: Message) -> bool:
    return message.asked


def _differs(one: Reading, other: Reading) -> bool:
    return (one.value, one.unknown) != (other.value, other.unknown)


def _differing(now: Mapping[str, Reading], before: Mapping[str, Reading]) -> list[str]:
    return [name for name, reading in now.items() if _differs(reading, before[name])]


def _needs_recovery(health: Mapping[str, Reading]) -> bool:
    return any(health[name].value == "error" for name in _RECOVERABLE)


FAMILY: Final = Family(
    word="escpos",
    driver=EscposDriver,
    baud=9600,
    other_bauds=(115200, 38400, 19200, 57600),
    options=("profile", "asb"),
    probe_order=10,  # DLE EOT has no printable character
)
