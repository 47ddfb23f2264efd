"""Whole drivers on a line that answers with damaged golden frames: readings, or one of the documented errors."""

from __future__ import annotations

import random

import pytest

from drivers import catalog
from drivers.codecs import evdev
from drivers.driver import Driver
from drivers.errors import DriverError
from drivers.exchange import Channel
from drivers.family import Family
from drivers.reading import Identity, Level, Reading
from firmware_notes import load_golden
from tests.drivers.scripted import ManualClock, ScriptedLink
from tests.fuzz.mutator import Mutator

pytestmark = pytest.mark.timeout(300)
FAMILIES = catalog.families()
ROUNDS = 200
VERBS = {
    "identify": lambda driver: driver.identify(),
    "check": lambda driver: driver.check_health(),
    "check again": lambda driver: driver.check_health(),
    "check externally": lambda driver: driver.check_health(Level.EXTERNAL),
    "statistics": lambda driver: driver.statistics(),
    "recover": lambda driver: driver.recover(),
}


KERNEL_ANSWERS = [
    evdev.encode_answer(evdev.Question.HELD, bytes(evdev.BITMAP_BYTES)),
    evdev.encode_answer(evdev.Question.HELD, b"\x40" + bytes(evdev.BITMAP_BYTES - 1)),
    evdev.encode_answer(evdev.Question.HELD, error=25),
    evdev.encode_answer(evdev.Question.NAME, b"Pad \xff\n\x00"),
    evdev.encode_answer(evdev.Question.IDENTITY, bytes(8)),
    evdev.encode_answer(evdev.Question.IDENTITY, bytes(7)),
]


_ANSWERED_BY = {"quectel": ("at", "quectel"), "simcom": ("at", "simcom")}


class Babbler:
    """Answers with what is nearly a golden frame of the family, late, early, in pieces, or not at all."""

    def __init__(self, family: str, seed: int) -> None:
        self.clock = ManualClock()
        self.link = ScriptedLink(self._respond, self.clock)
        self._random = random.Random(seed)
        self._damage = self._random.choice((0.01, 0.1, 0.3))
        frames = [frame for word in _ANSWERED_BY.get(family, (family,)) for frame in load_golden(word)]
        frames = [frame for frame in frames if frame.direction == "from_device"]
        self._whole = [frame.data for frame in frames] + (KERNEL_ANSWERS if family == "evdev" else [])
        self._mutator = Mutator(self._whole, seed)
        self._to: dict[bytes, list[bytes]] = {}
        for frame in frames:
            request = str(frame.means.get("answers", "")).encode() + b"\r"
            self._to.setdefault(request, []).append(frame.data)

    def piece(self, request: bytes = b"") -> bytes:
        if self._random.random() < self._damage:
            return self._mutator.piece()
        return self._random.choice(self._to.get(request, self._whole))

    def _respond(self, request: bytes) -> list[tuple[float, bytes]]:
        chance = self._random.random()
        if chance < self._damage / 4:
            return []
        answer = request if chance < self._damage / 2 else self.piece(request)
        delay = self._random.choice((0.1, 0.4, 1.5)) if self._random.random() < self._damage else 0.01
        cut = self._random.randint(0, len(answer))
        return [(delay, answer[:cut]), (delay + self._random.choice((0.0, 0.05)), answer[cut:])]


def judge(driver: Driver, answer: object) -> None:
    """Whatever a verb gives is whole and legal."""
    if isinstance(answer, Identity):
        for text in (answer.manufacturer, answer.model, answer.serial, answer.firmware, *answer.extra.values()):
            assert text.isprintable()
            assert len(text) <= 128
        return
    assert isinstance(answer, dict)
    for name, reading in answer.items():
        if not isinstance(reading, Reading):
            assert name.endswith("Count")
            assert isinstance(reading, int)
            continue
        legal = driver.READINGS[name].values
        assert reading.value is None or not legal or reading.value in legal, (name, reading)
        assert len(reading.raw) <= 128


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.word)
def test_a_driver_says_what_is_legal_or_why_not(family: Family):
    answered = 0
    for seed in range(ROUNDS):
        babbler = Babbler(family.word, seed)
        driver = family.driver(Channel(babbler.link, clock=babbler.clock))
        for verb in VERBS.values():
            began = babbler.clock.now
            try:
                answer = verb(driver)
            except DriverError as error:
                said = str(error)
            else:
                said = "good"
                judge(driver, answer)
                answered += 1
            assert said
            assert "\n" not in said
            assert babbler.clock.now - began < 60
            judge(driver, driver.receive(babbler.piece()))
            assert all(isinstance(value, str | int | float | bool) for value in driver.specific().values())
    assert answered > 10, "hardly anything that is right was in it"
