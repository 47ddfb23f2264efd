"""The SZZT ZT588 PIN pad: is it there, has it keys and battery, is a key stuck, and, with a person's help, dead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from drivers.codecs import szzt
from drivers.codecs.malformed import Malformed
from drivers.driver import Driver, overhear
from drivers.errors import BadReply, NoReply, Refused, Unsupported
from drivers.exchange import Channel
from drivers.family import Family
from drivers.held import HELD, held
from drivers.key_test import DEAD, NOT_TESTED, KeyTest
from drivers.reading import Cause, Identity, Level, Reading, Readings, ReadingSpec, Value, known, unknown

_REPLY_S = 0.4  # 154 bytes take 0.16 s at 9600; the public driver allows 0.25 s for the first of them
_FRAME_S = 1.5  # the longest frame takes 1.3 s at 1200 baud; what was begun before that is not one
_REPEAT_GAP_S = 1.5  # a held key repeats several times a second; more than this, and it was let go
_REPEATS = 4  # that many equal bytes in a row, nothing between them: not a number being typed, and not noise
_NOISE_S = 2.0  # what looks like keys this soon after noise may be noise too


class Zt588(Driver):
    """A pad that sends one bare byte for each press and repeats it while a key is held."""

    family = "zt588"
    unit = "keypad"
    READINGS: ClassVar[Mapping[str, ReadingSpec]] = {
        "held": HELD,
        "battery": ReadingSpec(("ok", "low"), about="low when the pad answers with its low-battery error"),
        "keys": ReadingSpec(("loaded", "missing"), about="whether the pad has the master key that it needs to work"),
        "dead": DEAD,
    }
    RECALLS = frozenset({"dead"})
    pushes = True

    def __init__(self, channel: Channel, options: Mapping[str, Value] | None = None) -> None:
        super().__init__(channel, options)
        channel.on_unasked = self._hear
        self._ears = _Ears(channel)
        self._identity: szzt.Identity | None = None
        self._last: tuple[Reading, Reading] | None = None
        self._dead = NOT_TESTED

    def identify(self) -> Identity:
        frame = self._ask()
        if frame.error is not None:
            raise Refused("identity", szzt.ERRORS.get(frame.error, f"{frame.error:02X}"))
        told = self._told(frame)
        return Identity(
            manufacturer="SZZT",
            model=told.model,
            serial=told.serial,
            firmware=told.software,
            extra={"hardware": told.hardware, "made": told.made},
        )

    def check_health(self, level: Level = Level.INTERNAL) -> dict[str, Reading]:
        """Who it is tells how it is. INTERACTIVE then hears each key pressed once, if the pad lets its keys through."""
        now = self._meaning(self._ask())
        if now != self._last and self._meaning(self._ask()) != now:
            # The frame's check is one XOR, which two flipped bits can pass: a new state must be said twice.
            now = (unknown(Cause.INCONSISTENT), unknown(Cause.INCONSISTENT))
        self._last = now
        if level == Level.INTERACTIVE:
            self._test_keys()
        battery, keys = now
        return {"held": self._ears.held(), "battery": battery, "keys": keys, "dead": self._dead}

    def recall(self, readings: Readings) -> None:
        self._dead = readings.get("dead", self._dead)

    def _test_keys(self) -> None:
        if self._identity is None or not self._identity.input_on:
            raise Unsupported("no key test: the payment application has not switched the pad's keys on")
        self._ears.test = KeyTest(self._ears.labels.values())
        try:
            self._dead = self._ears.test.run(self.channel, self._hear, self.progress)
        finally:
            self._ears.test = None

    def receive(self, data: bytes) -> dict[str, Reading]:
        before = self._ears.held()
        self._hear(data)
        after = self._ears.held()
        return {} if after == before else {"held": after}

    def specific(self) -> dict[str, Value]:
        told = self._identity
        return {} if told is None else {"input_on": told.input_on, "sound_on": told.sound_on}

    def _ask(self) -> szzt.Frame:
        self._ears.begin()
        try:
            return self.channel.ask("identity", szzt.encode_identity_question(), self._ears, _REPLY_S, _answers)
        except NoReply as error:
            raise NoReply(error.asked) from None  # what came instead may be keys that somebody typed
        except BadReply as error:
            raise BadReply(error.asked, b"", error.why) from None

    def _told(self, frame: szzt.Frame) -> szzt.Identity:
        try:
            told = szzt.decode_identity(frame.text)
        except Malformed as error:
            raise BadReply("identity", frame.text[:1], str(error)) from error
        self._identity = told
        self._ears.learn(told)
        return told

    def _meaning(self, frame: szzt.Frame) -> tuple[Reading, Reading]:
        """Battery and keys. An error byte answers any command, so it says nothing of the other fact."""
        error = frame.error
        if error is None:
            told = self._told(frame)
            return known("ok"), known("missing" if told.no_master_key else "loaded")
        raw = bytes((error,))
        if error == szzt.LOW_BATTERY:
            return known("low", raw), unknown(Cause.REFUSED, raw)
        if error in szzt.KEYS_MISSING:
            return unknown(Cause.REFUSED, raw), known("missing", raw)
        raise Refused("identity", szzt.ERRORS.get(error, f"{error:02X}"))

    def _hear(self, data: bytes) -> None:
        overhear(self._ears, data)


def _answers(frame: szzt.Frame) -> bool:
    """An identity or a refusal; our own question, echoed, is neither."""
    return len(frame.text) == szzt.IDENTITY_BYTES or (frame.error is not None and len(frame.text) == 1)


class _Ears:
    """Takes key bytes out of the stream and watches their rhythm; only frames are left for a question.

    A key counts as held when its byte comes again and again with nothing else between. Any other byte ends that, and
    bytes that no key sends make the whole reading unknown for a while: noise must never look like a key.
    """

    def __init__(self, channel: Channel) -> None:
        self._clock = channel.clock
        self._decoder = szzt.Decoder()
        self.test: KeyTest | None = None
        self.labels = dict(zip(szzt.USUAL_SCANCODES, szzt.LABELS, strict=True))
        self._code = -1
        self._count = 0
        self._first_at = self._last_at = self._noise_at = self._frame_at = float("-inf")

    def begin(self) -> None:
        """Before anything is read: a frame that was begun long ago is none, and must not swallow what follows."""
        if self._decoder.in_frame and self._clock() - self._frame_at > _FRAME_S:
            self._decoder.abandon()
            self._noise()

    def learn(self, told: szzt.Identity) -> None:
        """The pad's own table of what its keys send, and the byte that stands for any key while a PIN is typed."""
        codes = [code for code in told.scancodes if code not in _NO_KEY]
        if not codes or len(codes) != len(set(codes)):
            return
        self.labels = {
            code: label for code, label in zip(told.scancodes, szzt.LABELS, strict=True) if code not in _NO_KEY
        }
        mask = () if told.pin_mask in _NO_KEY else (told.pin_mask,)
        self._decoder.keys = bytes((*codes, *mask))

    def feed(self, data: bytes) -> None:
        self.begin()
        if not self._decoder.in_frame:
            self._frame_at = self._clock()
        self._decoder.feed(data)

    def next(self) -> szzt.Frame | None:
        try:
            while isinstance(message := self._decoder.next(), szzt.Presses):
                self._pressed(message.codes)
        except Malformed:
            self._noise()
            raise
        return message

    def held(self) -> Reading:
        now = self._clock()
        if now - self._noise_at < _NOISE_S:
            return unknown(Cause.INCONSISTENT)
        if self._count < _REPEATS or now - self._last_at > _REPEAT_GAP_S:
            return known("none")
        return held(self.labels.get(self._code, "some"), self._last_at - self._first_at, bytes((self._code,)))

    def _pressed(self, codes: bytes) -> None:
        """A run of equal bytes that came at once says only that the key is down now: when they came is not known."""
        if self.test is not None:
            for code in codes:
                if code in self.labels:
                    self.test.hear(self.labels[code])
                else:
                    self.test.spoil()  # the byte that stands for any key of a PIN
        now = self._clock()
        again = codes == codes[:1] * len(codes) and codes[0] == self._code and now - self._last_at <= _REPEAT_GAP_S
        if not again:
            self._code, self._count, self._first_at = codes[-1], 0, now
        self._count += 1
        self._last_at = now

    def _noise(self) -> None:
        self._noise_at = self._clock()
        self._count = 0


_NO_KEY = frozenset({0x00, szzt.STX, szzt.ETX})

FAMILY = Family(
    word="zt588",
    driver=Zt588,
    baud=9600,
    other_bauds=(115200, 57600, 38400, 19200, 4800, 2400, 1200),
    flow="rtscts",
    probe_order=40,
)
