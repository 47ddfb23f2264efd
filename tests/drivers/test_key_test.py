"""The key test of both keypads that let their keys be heard: what is called dead, and what must never be told."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from drivers.codecs import szzt
from drivers.codecs.evdev import BITMAP_BYTES, DOWN, EV_KEY, UP, Event, Question, encode_answer, encode_event
from drivers.driver import Driver
from drivers.errors import Unsupported, Yielded
from drivers.evdev import Evdev
from drivers.exchange import Channel
from drivers.key_test import LIMIT_S
from drivers.reading import Level, known, unknown
from drivers.zt588 import Zt588
from firmware_notes import load_golden
from tests.drivers.scripted import ScriptedLink

IDENTITY = {frame.name: frame.data for frame in load_golden("zt588")}["identity, keys loaded, input off, sound off"]
INPUT_ON = szzt.encode(IDENTITY[4:-3].replace(b"00001EFF", b"02001EFF"))
NAMES = {"evdev": [*"1234567890", "enter", "backspace"], "zt588": list(szzt.LABELS)}
CODES = {str(digit): digit + 1 for digit in range(1, 10)} | {"0": 11, "enter": 28, "backspace": 14}
MASK = b"\xff"


class Keypad:
    """A scripted keypad of either family. `press` has keys pressed, one each half second from the next question on."""

    def __init__(self, family: str, *, sale: Callable[[], bool] = lambda: False, input_on: bool = True) -> None:
        identity = INPUT_ON if input_on else IDENTITY
        answer = encode_answer(Question.HELD, bytes(BITMAP_BYTES)) if family == "evdev" else identity
        self.family = family
        self.link = ScriptedLink(lambda _request: [(0.01, answer)])
        channel = Channel(self.link, clock=self.link.clock, yield_now=sale)
        self.driver: Driver = (
            Evdev(channel, {"keys": ", ".join(NAMES["evdev"])}) if family == "evdev" else Zt588(channel)
        )
        self.told: list[tuple[int, int, float]] = []
        self.driver.progress = lambda *said: self.told.append(said)

    def press(self, *names: str, from_s: float = 1.0) -> None:
        for number, name in enumerate(names):
            self.link.push(self.bytes_of(name), from_s + number / 2)

    def bytes_of(self, name: str) -> bytes:
        if self.family == "zt588":
            return bytes([dict(zip(szzt.LABELS, szzt.USUAL_SCANCODES, strict=True))[name]])
        return b"".join(encode_event(Event(1.0, EV_KEY, CODES[name], value)) for value in (DOWN, UP))

    def test(self) -> dict[str, object]:
        return dict(self.driver.check_health(Level.INTERACTIVE))


@pytest.fixture(params=["zt588", "evdev"])
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_all_keys_heard(family: str) -> None:
    pad = Keypad(family)
    assert pad.driver.check_health()["dead"] == unknown("not_asked")
    names = NAMES[family]
    began = pad.link.clock.now
    pad.press(*names[1:], names[0])
    assert pad.test()["dead"] == known("none")
    assert pad.link.clock.now - began < 1.5 + len(names) / 2, "it ends with the last key"
    heard = [said[0] for said in pad.told]
    assert heard == sorted(heard)
    assert pad.told[0] == (0, len(names), pytest.approx(LIMIT_S, abs=0.1))
    assert {said[1] for said in pad.told} == {len(names)}


def test_keys_that_were_never_heard_are_named_and_remembered(family: str) -> None:
    pad = Keypad(family)
    names = [name for name in NAMES[family] if name not in {"5", "enter"}]
    pad.press(*names, *names[:3])
    assert pad.test()["dead"] == known("5, enter")
    assert pad.driver.check_health()["dead"] == known("5, enter")
    other = Keypad(family)
    other.driver.recall({"dead": known("5, enter")})
    assert other.driver.check_health()["dead"] == known("5, enter")


def test_a_number_that_is_typed_tells_nothing(family: str) -> None:
    pad = Keypad(family)
    pad.driver.recall({"dead": known("7")})
    pad.press("1", "2", "3", "4", "enter")
    began = pad.link.clock.now
    with pytest.raises(Unsupported, match="too many keys were never pressed"):
        pad.test()
    assert 10 < pad.link.clock.now - began < 15
    assert pad.driver.check_health()["dead"] == known("7"), "the last test that told something stands"


def test_it_ends_in_time_even_if_somebody_goes_on_pressing(family: str) -> None:
    pad = Keypad(family)
    for number, name in enumerate(NAMES[family][:-1]):
        pad.link.push(pad.bytes_of(name), 8.0 * (number + 1))
    began = pad.link.clock.now
    with pytest.raises(Unsupported):
        pad.test()
    assert LIMIT_S <= pad.link.clock.now - began <= LIMIT_S + 0.2


def test_a_sale_ends_it_at_once_and_nothing_of_it_is_kept(family: str) -> None:
    sale = []
    pad = Keypad(family, sale=lambda: bool(sale))
    pad.press(*NAMES[family])
    pad.driver.progress = lambda heard, _of, _left_s: sale.append(1) if heard > 3 else None
    with pytest.raises(Yielded):
        pad.test()
    sale.clear()
    assert pad.driver.check_health()["dead"] == unknown("not_asked")


def test_a_pin_that_is_typed_ends_it() -> None:
    pad = Keypad("zt588")
    pad.press(*NAMES["zt588"][:-1])
    pad.link.push(MASK, 3.0)
    with pytest.raises(Yielded, match="a PIN is being typed"):
        pad.test()
    assert pad.driver.check_health()["dead"] == unknown("not_asked")


def test_keys_that_are_switched_off_are_not_called_dead() -> None:
    with pytest.raises(Unsupported, match="has not switched the pad's keys on"):
        Keypad("zt588", input_on=False).test()


def test_an_input_device_must_be_told_which_keys_it_has() -> None:
    pad = Keypad("evdev")
    pad.driver.options = {}
    with pytest.raises(Unsupported, match="`keys`"):
        pad.test()
