from __future__ import annotations

import random

import pytest

from drivers.codecs.ccid_serial import Request, encode
from drivers.errors import BadReply, DriverError, NoReply, Unsupported
from drivers.exchange import Channel
from drivers.gempc import FAMILY, GemPc
from drivers.reading import Cause, Level
from firmware_notes import load_golden
from tests.drivers.scripted import ScriptedLink

GOLDEN = {frame.name: frame for frame in load_golden("gempc")}
SLOTS = [
    each
    for each in GOLDEN.values()
    if each.name.startswith("slot") and "command" in each.means and each.means["seq"] == 0
]
PUT_IN, TAKEN_OUT = GOLDEN["card put in"].data, GOLDEN["card taken out"].data
NAK = GOLDEN["reader did not understand"].data
ABSENT, POWERED = GOLDEN["slot: no card"].data, GOLDEN["slot: card present and powered"].data


def numbered(reply, request):
    """A golden reply with the sequence number of the request."""
    frame = bytearray(reply)
    frame[-1] ^= frame[8] ^ request[8]
    frame[8] = request[8]
    return bytes(frame)


class Reader:
    """A reader that echoes each request and answers it; a list of answers is used up, its last entry stays."""

    def __init__(self, slot=ABSENT, firmware=GOLDEN["firmware"].data, *, echo=True):
        self.slot = list(slot) if isinstance(slot, list) else [slot]
        self.firmware, self.echo, self.before = firmware, echo, b""
        self.delay_s = 0.02
        self.link = ScriptedLink(self.respond)
        self.driver = GemPc(Channel(self.link, clock=self.link.clock))

    def respond(self, request):
        answers = self.slot if request[2] == 0x65 else [self.firmware]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        echo = [(0.001, request)] if self.echo else []
        return [*echo, (self.delay_s, self.before + numbered(answer, request))]


def card(reader):
    return reader.driver.check_health()["card"].value


@pytest.mark.parametrize("echo", [True, False])
def test_a_first_look_asks_twice_with_rising_numbers(echo):
    reader = Reader(echo=echo)
    readings = reader.driver.check_health()
    assert reader.link.written == [encode(Request.SLOT_STATUS, 1), encode(Request.SLOT_STATUS, 2)]
    assert {name: reading.value for name, reading in readings.items()} == {"card": "absent", "self_test": "ok"}
    reader.driver.check_health()
    assert len(reader.link.written) == 3


def test_the_sequence_number_wraps():
    reader = Reader()
    for _ in range(300):
        assert card(reader) == "absent"
    assert {frame[8] for frame in reader.link.written} == set(range(256))


@pytest.mark.parametrize("frame", SLOTS, ids=lambda frame: frame.name)
def test_each_golden_slot_status_reads_as_it_means(frame):
    reader = Reader(frame.data)
    means = frame.means
    if means.get("busy"):
        with pytest.raises(NoReply):
            reader.driver.check_health()
        return
    readings = reader.driver.check_health()
    assert set(readings) == set(GemPc.READINGS)
    for name, reading in readings.items():
        if name in means:
            assert reading.value == means[name]
            assert reading.value in GemPc.READINGS[name].values
        else:
            assert reading.unknown == (Cause.REFUSED if "error" in means else Cause.INCONSISTENT)
    assert reader.driver.specific()["icc"] == means["icc"]
    assert reader.driver.specific().get("error") == means.get("error")


def test_a_reader_that_asks_for_more_time_is_waited_for():
    busy = GOLDEN["slot: more time asked for"].data
    link = ScriptedLink(lambda request: [(0.1, numbered(busy, request)), (0.2, numbered(ABSENT, request))])
    assert GemPc(Channel(link, clock=link.clock)).check_health()["card"].value == "absent"


def test_a_changed_state_counts_only_when_said_twice():
    reader = Reader([ABSENT, ABSENT, POWERED, ABSENT, ABSENT, POWERED, POWERED])
    assert [card(reader) for _ in range(3)] == ["absent", "absent", "present"]


def test_answers_that_all_differ_are_inconsistent():
    names = [
        "slot: no card",
        "slot: no card",
        "slot: mute card",
        "slot: hardware error",
        "slot: card present, not powered",
    ]
    reader = Reader([GOLDEN[name].data for name in names])
    assert card(reader) == "absent"
    assert {reading.unknown for reading in reader.driver.check_health().values()} == {Cause.INCONSISTENT}


def test_a_slot_change_makes_it_want_a_check_and_is_no_reading_itself():
    reader = Reader([ABSENT, ABSENT, POWERED])
    reader.driver.check_health()
    reader.link.written.clear()
    assert reader.driver.wants_check is False
    assert reader.driver.receive(PUT_IN) == {}
    assert reader.link.written == []
    assert reader.driver.wants_check is True
    assert card(reader) == "present"
    assert reader.driver.wants_check is False


def test_a_slot_change_in_two_pieces_is_seen_and_other_bytes_are_not_one():
    reader = Reader(ABSENT)
    assert reader.driver.receive(b"\xff\x50\x09\x00" + NAK + PUT_IN[:1]) == {}
    assert reader.driver.wants_check is False
    reader.driver.receive(PUT_IN[1:])
    assert reader.driver.wants_check is True


def test_a_notice_is_looked_into_once_even_when_nobody_answers():
    link = ScriptedLink(lambda _request: [])
    driver = GemPc(Channel(link, clock=link.clock))
    driver.receive(TAKEN_OUT)
    with pytest.raises(NoReply):
        driver.check_health()
    assert driver.wants_check is False


def test_notices_between_echo_and_answer_and_before_a_question_do_not_disturb():
    reader = Reader(ABSENT)
    reader.before = PUT_IN + TAKEN_OUT
    assert card(reader) == "absent"
    reader.link.push(PUT_IN)
    assert card(reader) == "absent"
    assert len(reader.link.written) == 3


def test_a_question_that_the_reader_did_not_get_is_repeated_twice():
    link = ScriptedLink(lambda _request: [(0.01, NAK)])
    with pytest.raises(NoReply):
        GemPc(Channel(link, clock=link.clock)).check_health()
    assert link.written == [encode(Request.SLOT_STATUS, 1)] * 3


def test_a_dead_line_and_an_echo_without_a_reader_are_given_up_at_once():
    for respond in (lambda _request: [], lambda request: [(0.001, request)]):
        link = ScriptedLink(respond)
        start = link.clock.now
        with pytest.raises(NoReply):
            GemPc(Channel(link, clock=link.clock)).check_health()
        assert link.clock.now - start < 0.5


def test_a_late_answer_does_not_answer_the_next_question():
    reader = Reader([POWERED, ABSENT])
    reader.delay_s = 1.5
    with pytest.raises(NoReply):
        reader.driver.check_health()
    reader.delay_s = 0.02
    assert card(reader) == "absent"


def test_an_answer_with_another_number_or_slot_is_no_answer():
    earlier = ScriptedLink(lambda request: [(0.01, numbered(POWERED, encode(Request.SLOT_STATUS, request[8] - 1)))])
    with pytest.raises(NoReply):
        GemPc(Channel(earlier, clock=earlier.clock)).check_health()

    def second_slot(request):
        frame = bytearray(numbered(POWERED, request))
        frame[7] ^= 1
        frame[-1] ^= 1
        return [(0.01, bytes(frame))]

    other = ScriptedLink(second_slot)
    with pytest.raises(NoReply):
        GemPc(Channel(other, clock=other.clock)).check_health()


def test_half_a_message_left_on_the_line_does_not_hide_later_notices():
    reader = Reader(ABSENT)
    assert reader.driver.receive(POWERED[:9]) == {}
    reader.driver.check_health()
    reader.driver.receive(PUT_IN)
    assert reader.driver.wants_check is True


def test_a_damaged_answer_is_bad_and_half_an_answer_is_none():
    damaged = Reader(GOLDEN["wrong LRC"].data)
    with pytest.raises(BadReply):
        damaged.driver.check_health()
    half = ScriptedLink(lambda request: [(0.01, numbered(ABSENT, request)[:9])])
    with pytest.raises(NoReply) as caught:
        GemPc(Channel(half, clock=half.clock)).check_health()
    assert len(caught.value.partial) == 9
    slow = ScriptedLink(
        lambda request: [(0.02 * at, bytes((byte,))) for at, byte in enumerate(numbered(ABSENT, request))]
    )
    assert GemPc(Channel(slow, clock=slow.clock)).check_health()["card"].value == "absent"


def test_noise_never_reads_as_a_card_or_a_failure():
    chance = random.Random(5)

    def damaged(request):
        reply = bytearray(numbered(ABSENT, request))
        for _ in range(chance.randint(0, 3)):
            reply[chance.randrange(len(reply))] ^= 1 << chance.randrange(8)
        if chance.random() < 0.05:  # what an XOR check lets through: the same bit of two bytes
            bit = 1 << chance.choice((0, 1, 6, 7))
            reply[9] ^= bit
            reply[-1] ^= bit
        return [(0.001, request), (0.01, bytes(reply))]

    link = ScriptedLink(damaged)
    driver = GemPc(Channel(link, clock=link.clock, quiet_s=0.1))
    read = 0
    for _ in range(2000):
        try:
            readings = driver.check_health()
        except DriverError:
            continue
        read += 1
        assert readings["card"].value in {"absent", None}
        assert readings["self_test"].value in {"ok", None}
    assert read > 300


def test_identity_is_the_firmware_text():
    reader = Reader()
    identity = reader.driver.identify()
    assert (identity.model, identity.firmware, identity.serial) == ("GemTwRC2-SIM", "V1.02", "")
    assert reader.link.written == [GOLDEN["ask firmware"].data]
    refused = Reader(firmware=GOLDEN["firmware refused"].data).driver.identify()
    assert (refused.model, refused.firmware) == ("", "")


def test_it_has_no_interactive_test_recovery_or_counters():
    reader = Reader()
    with pytest.raises(Unsupported):
        reader.driver.check_health(Level.INTERACTIVE)
    for verb in (reader.driver.recover, reader.driver.statistics):
        with pytest.raises(Unsupported):
            verb()
    assert reader.link.written == []


def test_the_catalog_entry_says_that_it_pushes():
    assert (FAMILY.word, FAMILY.unit, FAMILY.baud, FAMILY.driver.pushes) == ("gempc", "reader", 115200, True)
