"""A keypad that is a Linux input device: which key is held, and never which keys are typed."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from typing import ClassVar

from drivers.codecs.evdev import (
    DOWN,
    EV_KEY,
    EV_SYN,
    KEY_CODES,
    SYN_DROPPED,
    SYN_REPORT,
    UP,
    Answer,
    Decoder,
    Event,
    Question,
    decode_held,
    decode_ids,
    decode_name,
    encode_question,
    key_name,
)
from drivers.codecs.malformed import Malformed
from drivers.driver import Driver, overhear
from drivers.errors import BadReply, NoReply, Unsupported
from drivers.exchange import Channel
from drivers.family import Family, nearest
from drivers.held import HELD, held
from drivers.key_test import DEAD, NOT_TESTED, KeyTest
from drivers.reading import Cause, Identity, Level, Reading, Readings, ReadingSpec, Value, known, unknown

_REPLY_S = 0.2  # the answer comes from the kernel
_NOT_POSSIBLE = {errno.ENOTTY, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}


class Evdev(Driver):
    """Which keys are down comes from the kernel at each poll, so what happened before opening is known too.

    Where the kernel's question is not possible (the port only plays an input device), the state follows the events
    since opening: until the first of them nothing is known of it.
    """

    family = "evdev"
    unit = "keypad"
    READINGS: ClassVar[Mapping[str, ReadingSpec]] = {"held": HELD, "dead": DEAD}
    RECALLS = frozenset({"dead"})
    pushes = True

    def __init__(self, channel: Channel, options: Mapping[str, Value] | None = None) -> None:
        super().__init__(channel, options)
        channel.on_unasked = self._hear
        self._ears = _Ears(self)
        self._down: dict[int, float] = {}
        """Key codes that are down, and since when they have been seen so."""
        self._doubt: str | None = Cause.NOT_ASKED
        """Why it is not known which keys are down, or None."""
        self._dropping = False
        self._dead = NOT_TESTED
        self._test: KeyTest | None = None

    def identify(self) -> Identity:
        """Name and numbers from the kernel; empty for what is no input device."""
        name = self._ask(Question.NAME)
        if name.error:
            return Identity()
        ids = self._ask(Question.IDENTITY)
        extra = {}
        if not ids.error:
            try:
                numbers = decode_ids(ids.data)
            except Malformed as error:
                raise BadReply("identity", ids.data, str(error)) from error
            extra = {
                "bus": f"{numbers.bus:04x}",
                "vendor": f"{numbers.vendor:04x}",
                "product": f"{numbers.product:04x}",
                "version": f"{numbers.version:04x}",
            }
        return Identity(model=decode_name(name.data), extra=extra)

    def check_health(self, level: Level = Level.INTERNAL) -> dict[str, Reading]:
        """Which keys are down. INTERACTIVE then hears each key of the option `keys` pressed once."""
        answer = self._ask(Question.HELD)
        if answer.error:
            if answer.error not in _NOT_POSSIBLE:
                raise BadReply("held keys", b"", f"error {errno.errorcode.get(answer.error, answer.error)}")
        else:
            now = self.channel.clock()
            self._down = {code: self._down.get(code, now) for code in decode_held(answer.data)}
            self._doubt = None
            self._dropping = False
        if level == Level.INTERACTIVE:
            self._test_keys()
        return {"held": self._held(), "dead": self._dead}

    def recall(self, readings: Readings) -> None:
        self._dead = readings.get("dead", self._dead)

    def _test_keys(self) -> None:
        names = _listed(str(self.options.get("keys", "")))
        if not names:  # the kernel cannot tell: most keypads claim all the keys of a keyboard
            raise Unsupported('no key test: the option `keys` does not name the keys, such as "1, 2, enter"')
        self._test = KeyTest(names)
        try:
            self._dead = self._test.run(self.channel, self._hear, self.progress)
        finally:
            self._test = None

    def receive(self, data: bytes) -> dict[str, Reading]:
        before = self._held()
        self._hear(data)
        after = self._held()
        return {} if after == before else {"held": after}

    def happened(self, event: Event) -> None:
        """One event: which keys are down after it."""
        if event.kind == EV_SYN and event.code == SYN_DROPPED:
            # The kernel's queue overflowed: everything up to the next report is to be thrown away.
            self.doubt()
            self._dropping = True
        elif self._dropping:
            self._dropping = not (event.kind == EV_SYN and event.code == SYN_REPORT)
        elif event.kind == EV_KEY:
            if self._test is not None and event.value == DOWN:
                self._test.hear(key_name(event.code))
            if self._doubt is None and (event.code in self._down) == (event.value == DOWN):
                self.doubt()  # pressed while down, or released or repeated while up: something was lost
                return
            self._doubt = None
            if event.value == UP:
                self._down.pop(event.code, None)
            else:
                self._down.setdefault(event.code, self.channel.clock())

    def doubt(self) -> None:
        """Something was lost: which keys are down is not known any more."""
        self._down.clear()
        self._doubt = Cause.INCONSISTENT

    def _hear(self, data: bytes) -> None:
        overhear(self._ears, data)

    def _ask(self, question: Question) -> Answer:
        request = encode_question(question)
        try:
            return self.channel.ask(
                question.name.lower(), request, self._ears, _REPLY_S, lambda answer: answer.question is question
            )
        except NoReply as error:
            raise NoReply(error.asked) from None  # what came instead may be keys that somebody typed
        except BadReply as error:
            raise BadReply(error.asked, b"", error.why) from None

    def _held(self) -> Reading:
        if self._doubt is not None:
            return unknown(self._doubt)
        if not self._down:
            return known("none")
        code, since = min(self._down.items(), key=lambda item: item[1])
        return held(key_name(code), self.channel.clock() - since)


class _Ears:
    """Takes the events out of the stream, so that only answers are left for a question to wait for."""

    def __init__(self, driver: Evdev) -> None:
        self._driver = driver
        self._decoder = Decoder()

    def feed(self, data: bytes) -> None:
        self._decoder.feed(data)

    def next(self) -> Answer | None:
        try:
            while isinstance(message := self._decoder.next(), Event):
                self._driver.happened(message)
        except Malformed:
            self._driver.doubt()
            raise
        return message


def _listed(names: str) -> list[str]:
    return [name.strip() for name in names.split(",") if name.strip()]


class _Keys:
    """Names of keys, with commas between."""

    def wrong(self, value: object) -> str:
        if not isinstance(value, str) or not _listed(value):
            return 'is no list of keys such as "1, 2, enter"'
        legal = {key_name(code) for code in range(KEY_CODES)}
        name = next((name for name in _listed(value) if name not in legal), None)
        near = nearest(name, legal) if name else []
        return (
            ""
            if name is None
            else f'is a list with "{name}", which is no key' + (f'; perhaps "{near[0]}"' if near else "")
        )


FAMILY = Family(word="evdev", driver=Evdev, baud=0, link="input", options={"keys": _Keys()}, probe_order=90)
