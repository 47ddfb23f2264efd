"""The ZT588 driver over a scripted line: what it asks, what it makes of answers, and what noise must not become."""

from __future__ import annotations

import random

import pytest

from drivers import zt588
from drivers.codecs import szzt
from drivers.errors import BadReply, NoReply, Refused
from drivers.exchange import Channel
from drivers.reading import Cause, Level, known, unknown
from drivers.zt588 import Zt588
from firmware_notes import load_golden
from tests.drivers.scripted import ScriptedLink

GOLDEN = {frame.name: frame.data for frame in load_golden("zt588")}
QUESTION = GOLDEN["who are you"]
LOADED = GOLDEN["identity, keys loaded, input off, sound off"]
MISSING = GOLDEN["identity, no master key"]
LOW = GOLDEN["error E0, low battery"]


class Pad:
    """A scripted pad: `answer` may be changed while it runs; `late_s` delays it."""

    def __init__(self, answer: bytes = LOADED, late_s: float = 0.05) -> None:
        self.answer = answer
        self.late_s = late_s
        self.link = ScriptedLink(lambda _request: [(self.late_s, self.answer)])
        self.driver = Zt588(Channel(self.link, clock=self.link.clock))

    def hold(self, code: bytes, seconds: float, every_s: float = 0.1) -> None:
        """The key's byte again and again, read by a worker that listens."""
        for _ in range(round(seconds / every_s)):
            self.link.push(code, every_s)
            self.driver.receive(self.link.read(every_s))

    def held(self):
        return self.driver.check_health()["held"]


def test_it_asks_nothing_but_who_are_you():
    pad = Pad()
    pad.driver.identify()
    pad.driver.check_health()
    pad.driver.check_health(Level.EXTERNAL)
    assert set(pad.link.written) == {QUESTION}


def test_identity():
    identity = Pad().driver.identify()
    assert identity.manufacturer == "SZZT"
    assert (identity.model, identity.serial, identity.firmware) == ("ZT588", "0007", "2.1")
    assert identity.extra == {"hardware": "1.0", "made": "1246"}


def test_a_healthy_pad_and_all_its_readings():
    pad = Pad()
    assert pad.driver.check_health() == {
        "held": known("none"),
        "battery": known("ok"),
        "keys": known("loaded"),
        "dead": unknown(Cause.NOT_ASKED),
    }
    assert set(pad.driver.check_health()) == set(Zt588.READINGS)


@pytest.mark.parametrize(
    ("answer", "battery", "keys"),
    [
        (MISSING, known("ok"), known("missing")),
        (LOW, known("low", b"\xe0"), unknown(Cause.REFUSED, b"\xe0")),
        (GOLDEN["error E1, initial master key missing"], unknown(Cause.REFUSED, b"\xe1"), known("missing", b"\xe1")),
        (GOLDEN["error E2, terminal master key missing"], unknown(Cause.REFUSED, b"\xe2"), known("missing", b"\xe2")),
    ],
    ids=["no master key", "E0", "E1", "E2"],
)
def test_battery_and_keys(answer: bytes, battery, keys):
    readings = Pad(answer).driver.check_health()
    assert (readings["battery"], readings["keys"]) == (battery, keys)


@pytest.mark.parametrize("code", ["EB, parameter", "EF, general error", "EA, undocumented"])
def test_another_error_is_a_refusal_and_no_state(code: str):
    with pytest.raises(Refused):
        Pad(GOLDEN[f"error {code}"]).driver.check_health()


def test_a_new_state_is_asked_for_twice_and_a_known_one_once():
    pad = Pad()
    pad.driver.check_health()
    assert len(pad.link.written) == 2
    pad.driver.check_health()
    assert len(pad.link.written) == 3
    pad.answer = MISSING
    assert pad.driver.check_health()["keys"] == known("missing")
    assert len(pad.link.written) == 5


def test_a_state_that_is_not_said_twice_is_unknown():
    pad = Pad()
    pad.driver.check_health()
    answers = [MISSING, LOADED]
    pad.link.respond = lambda _request: [(0.05, answers.pop(0))]
    assert pad.driver.check_health()["keys"] == unknown(Cause.INCONSISTENT)


def test_a_dead_line_ends_after_one_question():
    pad = Pad(b"")
    start = pad.link.clock.now
    with pytest.raises(NoReply):
        pad.driver.check_health()
    assert pad.link.clock.now - start == pytest.approx(0.4, abs=0.05)
    assert len(pad.link.written) == 1


def test_a_late_answer_answers_nothing_else():
    pad = Pad(late_s=1.5)
    with pytest.raises(NoReply):
        pad.driver.check_health()
    pad.answer, pad.late_s = MISSING, 0.05
    assert pad.driver.check_health()["keys"] == known("missing")


def test_an_answer_in_pieces_is_one_answer():
    pad = Pad()
    pad.link.respond = lambda _request: [(0.001 * place, LOADED[place : place + 1]) for place in range(len(LOADED))]
    assert pad.driver.check_health()["keys"] == known("loaded")


def test_our_own_echo_is_no_answer():
    pad = Pad()
    pad.link.respond = lambda request: [(0.01, request)]
    with pytest.raises(NoReply):
        pad.driver.check_health()
    pad.link.respond = lambda request: [(0.01, request), (0.1, LOADED)]
    assert pad.driver.check_health()["keys"] == known("loaded")


def test_wrong_speed_is_a_bad_reply_and_keeps_no_bytes_that_may_be_keys():
    pad = Pad(b"\x80\xf8\x00\x9c" * 8 + b"5")
    with pytest.raises(BadReply) as failure:
        pad.driver.check_health()
    assert failure.value.raw == b""


def test_a_held_key_is_some_and_then_has_its_name():
    pad = Pad()
    pad.hold(b"5", 0.5)
    assert pad.held() == known("none")
    pad.hold(b"5", 1.0)
    assert pad.held() == known("some")
    pad.hold(b"5", 2.0)
    assert pad.held() == known("some")
    pad.hold(b"5", 2.5)
    assert pad.held() == known("5", b"5")
    pad.hold(b"5", 60)
    assert pad.held() == known("5", b"5")


def test_a_released_key_is_none_again():
    pad = Pad()
    pad.hold(b"\r", 7)
    assert pad.held() == known("enter", b"\r")
    pad.link.read(2.0)
    assert pad.held() == known("none")


def test_a_change_is_told_when_it_comes():
    pad = Pad()
    told = []
    for _ in range(20):
        pad.link.push(b"5", 0.1)
        told.append(pad.driver.receive(pad.link.read(0.1)))
    assert [each for each in told if each] == [{"held": known("some")}]


def test_keys_that_repeat_while_a_question_is_open_count_too():
    pad = Pad()
    for place in range(80):
        pad.link.push(b"8", 0.1 * place)
    reading = known("none")
    while pad.link.clock.now < 1007.0:
        reading = pad.driver.check_health()["held"]
    assert reading == known("8", b"8")


def test_typing_is_never_told():
    pad = Pad()
    chance = random.Random(4)
    seen = set()
    for _ in range(400):
        pad.hold(bytes((chance.choice(b"0123456789"),)), 0.3, every_s=0.3)
        seen.add(pad.driver._ears.held().value)
    assert seen <= {"none", "some"}


def test_a_held_key_during_pin_entry_has_no_name():
    pad = Pad()
    pad.driver.check_health()
    pad.hold(b"\xff", 8)  # the mask byte of the golden identity
    assert pad.held() == known("some", b"\xff")


def test_the_pads_own_table_names_the_keys():
    table = bytes(range(0x41, 0x59))
    text = LOADED[4:-3]
    own = szzt.encode(text[:51] + table.hex().upper().encode() + text[99:])
    pad = Pad(own)
    pad.driver.check_health()
    pad.hold(table[5:6], 7)
    assert pad.held() == known("5", table[5:6])


def test_random_noise_never_looks_like_a_key():
    chance = random.Random(12)
    pad = Pad()
    for _ in range(3000):
        pad.link.push(chance.randbytes(chance.randrange(1, 6)), 0.05)
        pad.driver.receive(pad.link.read(0.05))
        reading = pad.driver._ears.held()
        assert reading in {known("none"), unknown(Cause.INCONSISTENT)}


def test_a_broken_identity_full_of_zeros_is_no_held_zero():
    pad = Pad()
    zeros = szzt.encode(b"0" + b"0" * 50 + LOADED[4 + 51 : -3])
    for _ in range(20):
        pad.hold(zeros[1:], 0.5, every_s=0.5)  # its first byte was lost
        assert pad.driver._ears.held() in {known("none"), unknown(Cause.INCONSISTENT)}


def test_noise_during_a_held_key_makes_it_unknown_for_a_while():
    pad = Pad()
    pad.hold(b"5", 7)
    pad.hold(b"\xb5", 0.1)
    assert pad.held() == unknown(Cause.INCONSISTENT)
    pad.hold(b"5", 8)
    assert pad.held() == known("5", b"5")


def test_a_frame_that_never_ends_does_not_swallow_the_keys():
    pad = Pad()
    pad.hold(b"\x02", 0.1)
    pad.hold(b"1", 12)
    assert pad.driver._ears.held() == known("1", b"1")


def test_nothing_in_the_module_can_wipe_or_restart():
    encoders = [name for name in dir(szzt) if name.startswith("encode")]
    assert encoders == ["encode", "encode_identity_question"]
    assert set(szzt.RISK) == {b"3"}
    assert zt588.FAMILY.unit == "keypad"
