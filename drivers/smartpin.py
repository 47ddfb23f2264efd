"""ID TECH SmartPIN K100 and L100 PIN pads: identity, keys, and whether somebody tore the pad off."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, TypeVar

from drivers.codecs import smartpin
from drivers.codecs.malformed import Malformed
from drivers.codecs.smartpin import Key, Question
from drivers.driver import Driver
from drivers.errors import BadReply, DriverError, LinkLost, NoReply, Refused, Unsupported, Yielded
from drivers.exchange import Channel
from drivers.family import Family, OneOf
from drivers.reading import Cause, Identity, Level, Reading, Readings, ReadingSpec, Value, known, unknown

T = TypeVar("T")

_REPLY_S = 0.5  # 105 bytes of key status take 0.11 s at 9600
_LOG_REPLY_S = 0.9  # what comes late is lost, so it is given more; a log of 50 records takes that long at 9600

_CLEAN_POLLS = 3  # at one a second, a fault of the line that comes and goes has shown itself again
_KEEPS_AFTER = 2  # the same log told three times; twice could be two removals within one minute

# A PIN can be enciphered with either of these sets of keys.
_SETS = {"dukpt": (Key.PIN_DUKPT,), "session": (Key.PIN_MASTER, Key.PIN_SESSION)}


class SmartPin(Driver):
    """A pad that enciphers what is typed: which key is pressed cannot be known, and is none of our business.

    Options: `keys` = any (default), dukpt or session: the keys that this estate loads. `removal_log` = collect
    (default) or leave.

    Reading the removal log empties it. `collect` reads it in each check and keeps what it told; `leave` does not ask,
    and `tamper` is then unknown.
    """

    family = "smartpin"
    unit = "keypad"
    READINGS: ClassVar[Mapping[str, ReadingSpec]] = {
        "keys": ReadingSpec(("loaded", "missing"), about="whether the pad has keys to encipher a PIN with"),
        "tamper": ReadingSpec(("no", "yes"), about="torn off without both users' passwords, and not fixed again since"),
    }

    RECALLS: ClassVar[frozenset[str]] = frozenset({"tamper"})

    def __init__(self, channel: Channel, options: Mapping[str, Value] | None = None) -> None:
        super().__init__(channel, options)
        wanted = str(self.options.get("keys", "any"))
        self._sets = tuple(_SETS.values()) if wanted == "any" else (_SETS[wanted],)
        self._collect = self.options.get("removal_log", "collect") == "collect"
        self._last_keys: Reading | None = None
        self._wary = 0
        """Good polls still to come before the log is asked for: an answer that a bad line garbles is lost."""
        self._watch = _Watch()

    def identify(self) -> Identity:
        firmware = self._ask("firmware", Question.FIRMWARE, smartpin.decode_text)
        try:
            serial = self._ask("serial number", Question.SERIAL, smartpin.decode_text)
        except Refused as error:
            if error.code != smartpin.NO_SERIAL.hex():
                raise
            serial = ""
        try:
            model = self._ask("model", Question.MODEL, smartpin.decode_text)
        except Refused:
            model = ""  # the K100 tells its model in the firmware text only
        return Identity(manufacturer="ID TECH", model=model, serial=serial, firmware=firmware)

    def check_health(self, level: Level = Level.INTERNAL) -> dict[str, Reading]:
        if level == Level.INTERACTIVE:
            raise Unsupported("a key test needs a person at the keypad and is not part of this driver")
        try:
            keys = self._keys()
            if keys != self._last_keys and self._keys() != keys:
                keys = unknown(Cause.INCONSISTENT)
        except (NoReply, BadReply):
            self._wary = _CLEAN_POLLS
            raise
        self._last_keys = keys
        return {"keys": keys, "tamper": self._tamper()}

    def recall(self, readings: Readings) -> None:
        """A pad that was or may have been torn off stays so until both users fix it, though its log is empty by now."""
        tamper = readings.get("tamper")
        self._watch.torn = tamper is not None and tamper.value == "yes"
        self._watch.doubtful = tamper is not None and tamper.unknown == Cause.LOST

    def specific(self) -> dict[str, Value]:
        return self._watch.told()

    def _keys(self) -> Reading:
        blocks = self._ask("key status", Question.KEYS, smartpin.decode_keys)
        present = {block.index for block in blocks if block.status == smartpin.PRESENT}
        legal = {smartpin.ABSENT, smartpin.PRESENT, smartpin.STOPPED}
        if any(block.status not in legal for block in blocks):
            return unknown(Cause.INCONSISTENT)
        return known("loaded" if any(present.issuperset(each) for each in self._sets) else "missing")

    def _tamper(self) -> Reading:
        if not self._collect:
            return unknown(Cause.NOT_ASKED)
        if self._wary:
            self._wary -= 1
            return unknown(Cause.LOST if self._watch.doubtful else Cause.NOT_ASKED)
        try:
            log = self._ask("removal log", Question.REMOVALS, smartpin.decode_removals, _LOG_REPLY_S)
        except (LinkLost, Yielded):
            self._watch.lose()
            raise
        except Refused:
            return unknown(Cause.REFUSED)
        except DriverError as error:
            self._watch.lose()
            self._wary = _CLEAN_POLLS
            return unknown(Cause.LOST if self._watch.doubtful else error.cause)
        if self._watch.look(log):
            return known("yes")
        return unknown(Cause.LOST) if self._watch.doubtful else known("no")

    def _ask(self, asked: str, question: Question, decode: Callable[[bytes], T], deadline_s: float = _REPLY_S) -> T:
        """The decoded answer. Raises Refused, and BadReply when it is not an answer to this question."""
        request = smartpin.encode(question.value)
        answer = self.channel.ask(asked, request, smartpin.Decoder(), deadline_s)
        if not answer.good:
            raise Refused(asked, answer.data.hex())
        try:
            return decode(answer.data)
        except Malformed as error:
            raise BadReply(asked, answer.data, str(error)) from error


class _Watch:
    """What the removal logs said, one after the other."""

    def __init__(self) -> None:
        self.lost = 0
        """Answers that never came whole: what they held is gone from the pad."""
        self.doubtful = False
        """Whether one of them may have told of a removal. Only both users' fixing of the pad ends that."""
        self.torn = False
        """Whether the pad counts as torn off; what was known before may be put here."""
        self._keeps = False
        self._repeats = 0
        self._count = 0
        self._last = ""
        self._fixed: set[int] = set()
        self._before = smartpin.RemovalLog((), ())

    def lose(self) -> None:
        """An answer never came whole. A pad that keeps its log tells it again."""
        self.lost += 1
        self.doubtful = not self._keeps
        self._fixed = set()

    def look(self, log: smartpin.RemovalLog) -> bool:
        """Whether the pad counts as torn off after this log.

        The L100 empties its log by telling it, so an empty one ends nothing: only both users fixing the pad again
        does. A pad that tells the same records again and again keeps them: then an empty log means that they were
        cleared.
        """
        before, self._before = self._before, log
        fixings = {record for record in log.announced if record.state == 0}.difference(before.announced)
        torn_again = bool(log.illegal) and log.illegal != before.illegal
        self._repeats = self._repeats + 1 if log.illegal and not torn_again else 0
        self._keeps = self._keeps or self._repeats >= _KEEPS_AFTER
        self.doubtful = self.doubtful and not self._keeps
        if torn_again:
            self.torn = True
            self._count += len(set(log.illegal).difference(before.illegal))
            self._last = max(record.at for record in log.illegal)
            # Records tell minutes: in one log, a fixing of the same minute may have come before.
            self._fixed = {record.user for record in fixings if record.at > self._last}
        else:
            self._fixed |= {record.user for record in fixings if record.at >= self._last}
        if self._keeps and not log.illegal:
            self.torn = False
        if self._fixed >= {1, 2}:
            self.torn = self.doubtful = False
        return self.torn

    def told(self) -> dict[str, Value]:
        """The facts behind `tamper`."""
        facts: dict[str, Value] = {"illegal_removals": self._count, "removal_logs_lost": self.lost}
        if self._last:
            facts["last_illegal_removal"] = self._last
        return facts


FAMILY = Family(
    word="smartpin",
    driver=SmartPin,
    baud=9600,
    other_bauds=(38400, 115200, 19200, 57600),
    options={"keys": OneOf(("any", *_SETS)), "removal_log": OneOf(("collect", "leave"))},
    probe_order=35,
)
