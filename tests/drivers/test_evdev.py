"""The input-device driver: the kernel's answer where there is one, the events alone where there is none."""

from __future__ import annotations

import errno
import os
import struct
from pathlib import Path

import pytest

from drivers import catalog
from drivers.codecs.evdev import (
    BITMAP_BYTES,
    DOWN,
    EV_KEY,
    EV_SYN,
    REPEAT,
    SYN_DROPPED,
    SYN_REPORT,
    UP,
    Event,
    Question,
    encode_answer,
    encode_event,
)
from drivers.errors import BadReply, LinkLost, NoReply, PortDenied
from drivers.evdev import Evdev
from drivers.evdev_link import EvdevLink
from drivers.exchange import Channel
from drivers.reading import Cause, Identity, known, unknown
from tests.drivers.scripted import ScriptedLink

FIVE, ENTER = 6, 28


def key(code: int, value: int) -> bytes:
    return encode_event(Event(1795298400.5, EV_KEY, code, value)) + report()


def report() -> bytes:
    return encode_event(Event(1795298400.5, EV_SYN, SYN_REPORT, 0))


DROPPED = encode_event(Event(1795298400.5, EV_SYN, SYN_DROPPED, 0))


def bitmap(*codes: int) -> bytes:
    bits = bytearray(BITMAP_BYTES)
    for code in codes:
        bits[code // 8] |= 1 << code % 8
    return bytes(bits)


class Keypad:
    """A scripted input device; without ioctls when `asks` is False."""

    def __init__(self, *, asks: bool = True) -> None:
        self.down: tuple[int, ...] = ()
        self.asks = asks
        self.link = ScriptedLink(self.respond)
        self.driver = Evdev(Channel(self.link, clock=self.link.clock))

    def respond(self, request: bytes) -> list[tuple[float, bytes]]:
        question = Question(request)
        if not self.asks:
            return [(0, encode_answer(question, error=errno.ENOTTY))]
        data = {
            Question.HELD: bitmap(*self.down),
            Question.NAME: b"USB Keypad\0",
            Question.IDENTITY: struct.pack("@4H", 3, 0x04D9, 0x1702, 0x0110),
        }[question]
        return [(0, encode_answer(question, data))]

    def held(self):
        return self.driver.check_health()["held"]


def test_identity_comes_from_the_kernel():
    identity = Keypad().driver.identify()
    assert identity.model == "USB Keypad"
    assert identity.extra == {"bus": "0003", "vendor": "04d9", "product": "1702", "version": "0110"}
    assert Keypad(asks=False).driver.identify() == Identity()


def test_a_key_held_since_before_opening_is_seen():
    keypad = Keypad()
    assert keypad.driver.check_health()["held"] == known("none")
    keypad.down = (FIVE,)
    seen = []
    for _ in range(8):
        seen.append(keypad.held().value)
        keypad.link.read(1.0)
    assert seen == ["none", "some", "some", "some", "some", "5", "5", "5"]
    keypad.down = ()
    assert keypad.held() == known("none")


def test_of_two_held_keys_the_one_that_is_held_longer_counts():
    keypad = Keypad()
    keypad.down = (ENTER,)
    keypad.held()
    keypad.link.read(6.0)
    keypad.down = (FIVE, ENTER)
    assert keypad.held() == known("enter")


def test_a_key_pressed_again_between_polls_is_not_held():
    keypad = Keypad()
    keypad.down = (FIVE,)
    keypad.held()
    for _ in range(8):
        keypad.link.read(1.0)
        keypad.driver.receive(key(FIVE, UP) + key(FIVE, DOWN))
        assert keypad.held() == known("none")


def test_an_event_during_the_question_is_not_lost():
    keypad = Keypad()
    keypad.asks = False
    keypad.link.respond = lambda request: [(0, key(FIVE, DOWN) + encode_answer(Question(request), error=errno.ENOTTY))]
    keypad.held()
    keypad.link.respond = keypad.respond
    keypad.link.read(6.0)
    assert keypad.held() == known("5")


def test_events_alone_are_unknown_until_the_first():
    keypad = Keypad(asks=False)
    assert keypad.held() == unknown(Cause.NOT_ASKED)
    keypad.driver.receive(key(FIVE, DOWN))
    assert keypad.held() == known("none")
    keypad.link.read(2.0)
    assert keypad.driver.receive(key(FIVE, REPEAT)) == {}
    assert keypad.held() == known("some")
    keypad.link.read(4.0)
    assert keypad.held() == known("5")
    assert keypad.driver.receive(key(FIVE, UP)) == {"held": known("none")}


def test_a_key_that_repeats_when_we_come_is_held():
    keypad = Keypad(asks=False)
    keypad.driver.receive(key(FIVE, REPEAT))
    keypad.link.read(5.5)
    assert keypad.held() == known("5")


@pytest.mark.parametrize(
    "events", [key(FIVE, UP), key(ENTER, REPEAT), key(FIVE, DOWN) + key(FIVE, DOWN)], ids=["up", "repeat", "down twice"]
)
def test_a_contradiction_is_unknown_and_not_the_nearest_state(events: bytes):
    keypad = Keypad(asks=False)
    keypad.driver.receive(key(3, DOWN) + key(3, UP))
    keypad.driver.receive(events)
    assert keypad.held() == unknown(Cause.INCONSISTENT)


def test_lost_events_are_unknown_until_the_kernel_is_asked():
    keypad = Keypad(asks=False)
    keypad.driver.receive(key(FIVE, DOWN) + DROPPED + key(ENTER, DOWN))
    assert keypad.held() == unknown(Cause.INCONSISTENT)
    keypad.driver.receive(key(3, DOWN))
    assert keypad.held() == known("none")
    keypad.driver.receive(DROPPED)
    keypad.asks, keypad.down = True, (FIVE,)
    assert keypad.held() == known("none")
    keypad.link.read(5.0)
    assert keypad.held() == known("5")


def test_garbage_is_unknown():
    keypad = Keypad(asks=False)
    keypad.driver.receive(key(FIVE, DOWN))
    keypad.driver.receive(b"\xff" * 48)
    assert keypad.held() == unknown(Cause.INCONSISTENT)


def test_another_error_of_the_kernel_is_a_bad_reply():
    keypad = Keypad()
    keypad.link.respond = lambda request: [(0, encode_answer(Question(request), error=errno.EIO))]
    with pytest.raises(BadReply):
        keypad.driver.check_health()


def test_no_answer_tells_no_events():
    keypad = Keypad()
    keypad.link.respond = lambda _request: [(0.01, key(FIVE, DOWN))]
    with pytest.raises(NoReply) as failure:
        keypad.driver.check_health()
    assert failure.value.partial == b""


# The link, over real files


@pytest.fixture
def fifo(tmp_path: Path):
    path = tmp_path / "keypad"
    os.mkfifo(path)
    writer = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    yield str(path), writer
    os.close(writer)


def test_a_fifo_delivers_events_and_refuses_questions(fifo):
    path, writer = fifo
    driver = catalog.open_driver("evdev", path)
    assert isinstance(driver, Evdev)
    assert driver.identify() == Identity()
    assert driver.check_health()["held"] == unknown(Cause.NOT_ASKED)
    os.write(writer, key(FIVE, DOWN) + key(FIVE, UP))
    assert driver.check_health()["held"] == known("none")
    driver.channel.link.close()
    driver.channel.link.close()
    with pytest.raises(LinkLost):
        driver.check_health()


def test_an_answer_never_falls_into_the_middle_of_an_event(fifo):
    path, writer = fifo
    link = EvdevLink(path)
    event = key(FIVE, DOWN)
    os.write(writer, event[:30])
    link.write(Question.HELD)
    assert link.read(0.2) == event[:24] + encode_answer(Question.HELD, error=errno.ENOTTY)
    os.write(writer, event[30:])
    assert link.drain() == event[24:]
    link.close()


def test_wake_ends_a_blocked_read(fifo):
    path, _writer = fifo
    link = EvdevLink(path)
    link.wake()
    assert link.read(30) == b""
    link.close()


def test_a_writer_that_leaves_is_a_lost_link(tmp_path: Path):
    path = tmp_path / "keypad"
    os.mkfifo(path)
    reader = EvdevLink(str(path))
    writer = os.open(path, os.O_WRONLY)
    os.write(writer, key(FIVE, DOWN))
    assert reader.read(1) == key(FIVE, DOWN)
    os.close(writer)
    with pytest.raises(LinkLost):
        reader.read(1)
    reader.close()


def test_a_terminal_that_plays_a_keypad_does_not_rewrite_events():
    controller, terminal = os.openpty()
    link = EvdevLink(os.ttyname(terminal))
    event = key(ENTER, DOWN) + key(13, DOWN)  # code 13 would be CR
    os.write(controller, event)
    seen = b""
    while len(seen) < len(event):
        seen += link.read(1) or pytest.fail("the events did not come")
    assert seen == event
    link.write(Question.NAME)
    [answer] = [link.read(1)]
    assert answer[:2] == bytes(2)
    link.close()
    os.close(controller)
    os.close(terminal)


def test_an_absent_port_is_lost_and_a_forbidden_one_denied(tmp_path: Path):
    with pytest.raises(LinkLost):
        EvdevLink(str(tmp_path / "none"))
    if os.geteuid() != 0:
        closed = tmp_path / "closed"
        os.mkfifo(closed, 0)
        with pytest.raises(PortDenied):
            EvdevLink(str(closed))
