"""The SmartPIN driver over a scripted line: what it asks, what it makes of answers, and how it keeps the removal log."""

from __future__ import annotations

import pytest

from drivers.codecs import smartpin as codec
from drivers.codecs.smartpin import Question
from drivers.errors import BadReply, NoReply, Refused, Unsupported
from drivers.exchange import Channel
from drivers.reading import Cause, Level, known, unknown
from drivers.smartpin import SmartPin
from firmware_notes import load_golden
from tests.drivers.scripted import ScriptedLink

FRAMES = load_golden("smartpin")
GOLDEN = {frame.name: frame.data for frame in FRAMES}
EMPTY = GOLDEN["removals, none"]
TORN = GOLDEN["removals, torn off"]
FIXED = codec.encode(b"\x06\x0210-20261121-0900/20-20261121-0901/\x00")


class Pad:
    """A scripted pad; `answers` by question. The removal log is emptied by reading when `logs` is a list."""

    def __init__(self, **options: str) -> None:
        self.answers = {
            Question.FIRMWARE: GOLDEN["firmware"],
            Question.SERIAL: GOLDEN["serial"],
            Question.MODEL: GOLDEN["model"],
            Question.KEYS: GOLDEN["keys, DUKPT"],
        }
        self.logs: list[bytes] = []
        self.link = ScriptedLink(self.respond)
        self.driver = SmartPin(Channel(self.link, clock=self.link.clock), options)

    def respond(self, request: bytes) -> list[tuple[float, bytes]]:
        body = Question(request[3:-3])
        if body is Question.REMOVALS:
            return [(0.05, self.logs.pop(0) if self.logs else EMPTY)]
        return [(0.05, self.answers[body])]

    def asked(self) -> list[Question]:
        return [Question(request[3:-3]) for request in self.link.written]

    def tamper(self):
        return self.driver.check_health()["tamper"]


def test_identity():
    identity = Pad().driver.identify()
    assert identity.manufacturer == "ID TECH"
    assert identity.model == "IDPB-602400M"
    assert identity.serial == "123T456789"
    assert identity.firmware == "ID TECH SmartPIN L100 Firmware V1.00"


def test_a_pad_without_a_serial_number_or_a_model_has_the_rest():
    pad = Pad()
    pad.answers[Question.SERIAL] = GOLDEN["refusal, no serial number"]
    pad.answers[Question.MODEL] = GOLDEN["refusal, cancelled"]
    identity = pad.driver.identify()
    assert (identity.serial, identity.model) == ("", "")
    assert identity.firmware
    pad.answers[Question.SERIAL] = GOLDEN["refusal, cancelled"]
    with pytest.raises(Refused):
        pad.driver.identify()


def test_a_healthy_pad_and_all_its_readings():
    pad = Pad()
    assert pad.driver.check_health() == {"keys": known("loaded"), "tamper": known("no")}
    assert set(pad.driver.check_health()) == set(SmartPin.READINGS)


@pytest.mark.parametrize("frame", [each for each in FRAMES if each.means["kind"] == "keys"], ids=lambda each: each.name)
def test_keys_as_the_goldens_say(frame):
    pad = Pad()
    pad.answers[Question.KEYS] = frame.data
    assert pad.driver.check_health()["keys"] == known(frame.means["keys"])


@pytest.mark.parametrize(
    ("option", "answer", "expected"),
    [
        ("dukpt", "keys, DUKPT", "loaded"),
        ("dukpt", "keys, master and session", "missing"),
        ("session", "keys, master and session", "loaded"),
        ("session", "keys, DUKPT", "missing"),
    ],
)
def test_an_estate_says_which_keys_it_loads(option: str, answer: str, expected: str):
    pad = Pad(keys=option)
    pad.answers[Question.KEYS] = GOLDEN[answer]
    assert pad.driver.check_health()["keys"] == known(expected)


def test_an_unknown_key_status_is_no_nearest_state():
    pad = Pad()
    pad.answers[Question.KEYS] = codec.encode(b"\x06\x01\x00\x01\x00\x00\x02")
    assert pad.driver.check_health()["keys"] == unknown(Cause.INCONSISTENT)


def test_a_new_key_state_must_be_said_twice():
    pad = Pad()
    pad.driver.check_health()
    answers = [GOLDEN["keys, DUKPT stopped"], GOLDEN["keys, DUKPT"]]
    pad.link.respond = lambda request: [(0.05, answers.pop(0))] if request[3:-3] == Question.KEYS else [(0.05, EMPTY)]
    assert pad.driver.check_health()["keys"] == unknown(Cause.INCONSISTENT)


@pytest.mark.parametrize(
    "frame", [each for each in FRAMES if each.means["kind"] == "removals"], ids=lambda each: each.name
)
def test_tamper_as_the_goldens_say(frame):
    pad = Pad()
    pad.logs = [frame.data]
    assert pad.tamper() == known(frame.means["tamper"])
    assert pad.driver.specific()["illegal_removals"] == frame.means["illegal"]
    assert pad.driver.specific().get("last_illegal_removal") == frame.means.get("last_illegal")


def test_a_log_that_reading_emptied_ends_nothing():
    pad = Pad()
    pad.logs = [TORN]
    assert [pad.tamper().value for _ in range(5)] == ["yes"] * 5


def test_both_users_fixing_the_pad_again_ends_it():
    pad = Pad()
    pad.logs = [TORN]
    pad.tamper()
    pad.logs = [codec.encode(b"\x06\x0110-20261121-0900/\x00")]
    assert pad.tamper() == known("yes"), "one user alone"
    pad.logs = [codec.encode(b"\x06\x0120-20261121-0901/\x00")]
    assert pad.tamper() == known("no")
    pad.logs = [codec.encode(b"\x06\x00\x0102-20261121-1200/")]
    assert pad.tamper() == known("yes")
    assert pad.driver.specific()["illegal_removals"] == 2


def test_a_pad_opened_anew_is_torn_off_until_both_users_have_fixed_it():
    pad = Pad()
    pad.driver.recall({"tamper": known("yes"), "keys": known("loaded")})
    assert [pad.tamper().value for _ in range(3)] == ["yes"] * 3
    pad.logs = [FIXED]
    assert pad.tamper() == known("no")
    for told in ({}, {"tamper": known("no")}, {"tamper": unknown(Cause.NOT_ASKED)}):
        other = Pad()
        other.driver.recall(told)
        assert other.tamper() == known("no")


def test_a_fixing_before_the_removal_ends_nothing():
    pad = Pad()
    pad.logs = [FIXED]
    assert pad.tamper() == known("no")
    pad.logs = [codec.encode(b"\x06\x00\x0102-20261121-1200/")]
    assert pad.tamper() == known("yes")
    assert pad.tamper() == known("yes")


def test_a_pad_that_keeps_its_log_ends_it_by_clearing():
    pad = Pad()
    pad.logs = [TORN] * 4
    assert [pad.tamper().value for _ in range(4)] == ["yes"] * 4
    assert pad.tamper() == known("no")
    assert pad.driver.specific()["illegal_removals"] == 1


def test_the_log_is_asked_after_a_good_answer():
    pad = Pad()
    pad.tamper()
    assert pad.asked() == [Question.KEYS, Question.KEYS, Question.REMOVALS]


@pytest.mark.parametrize("answer", [b"", TORN[:-2] + b"\0\3"])
def test_a_lost_log_is_unknown_and_counted(answer: bytes):
    pad = Pad()
    pad.logs = [answer]
    readings = pad.driver.check_health()
    assert readings == {"keys": known("loaded"), "tamper": unknown(Cause.LOST)}
    assert pad.driver.specific()["removal_logs_lost"] == 1
    assert [pad.tamper() for _ in range(5)] == [unknown(Cause.LOST)] * 5
    assert pad.asked().count(Question.REMOVALS) == 3, "left alone for three polls"


def lose_a_log(pad: Pad) -> None:
    pad.logs = [TORN[:-2] + b"\0\3", *[EMPTY] * 3]
    assert [pad.tamper().unknown for _ in range(5)][-1] == Cause.LOST


def test_what_a_lost_log_may_have_told_ends_when_both_users_fix_the_pad():
    pad = Pad()
    pad.logs = [codec.encode(b"\x06\x0110-20261121-0900/\x00")]
    assert pad.tamper() == known("no")
    lose_a_log(pad)
    pad.logs = [codec.encode(b"\x06\x0120-20261121-0901/\x00")]
    assert pad.tamper() == unknown(Cause.LOST), "the other had fixed it before"
    pad.logs = [FIXED]
    assert [pad.tamper() for _ in range(2)] == [known("no")] * 2


def test_a_removal_told_after_a_lost_log_is_one():
    pad = Pad()
    lose_a_log(pad)
    pad.logs = [TORN]
    assert [pad.tamper() for _ in range(2)] == [known("yes")] * 2


def test_a_pad_that_keeps_its_log_loses_nothing():
    pad = Pad()
    pad.logs = [*[TORN] * 3, TORN[:-2] + b"\0\3", *[EMPTY] * 9]
    assert [pad.tamper().value for _ in range(8)] == [*["yes"] * 3, *[None] * 4, "no"]


def test_a_pad_opened_anew_keeps_the_doubt():
    pad = Pad()
    pad.driver.recall({"tamper": unknown(Cause.LOST)})
    assert pad.tamper() == unknown(Cause.LOST)
    pad.logs = [FIXED]
    assert pad.tamper() == known("no")


def test_the_log_is_left_alone_until_a_bad_line_has_been_good_for_a_while():
    pad = Pad()
    pad.logs = [TORN]
    good = pad.answers[Question.KEYS]
    pad.answers[Question.KEYS] = b"\x55\xaa"
    with pytest.raises(BadReply):
        pad.driver.check_health()
    pad.answers[Question.KEYS] = good
    assert [pad.tamper() for _ in range(4)] == [unknown(Cause.NOT_ASKED)] * 3 + [known("yes")]


def test_a_refused_log_is_unknown():
    pad = Pad()
    pad.logs = [GOLDEN["refusal, cancelled"]]
    assert pad.tamper() == unknown(Cause.REFUSED)


def test_a_log_that_others_collect_is_left_alone():
    pad = Pad(removal_log="leave")
    assert pad.tamper() == unknown(Cause.NOT_ASKED)
    assert Question.REMOVALS not in pad.asked()


def test_a_dead_line_ends_after_one_question():
    pad = Pad()
    pad.link.respond = lambda _request: []
    start = pad.link.clock.now
    with pytest.raises(NoReply):
        pad.driver.check_health()
    assert pad.link.clock.now - start < 0.7
    assert len(pad.link.written) == 1


def test_an_echo_is_no_answer():
    pad = Pad()
    pad.link.respond = lambda request: [(0.01, request)]
    with pytest.raises(BadReply):
        pad.driver.check_health()


def test_a_late_answer_answers_nothing_else():
    pad = Pad()
    pad.link.respond = lambda _request: [(1.5, GOLDEN["keys, none told"])]
    with pytest.raises(NoReply):
        pad.driver.check_health()
    pad.link.respond = pad.respond
    assert pad.driver.check_health()["keys"] == known("loaded")


def test_a_key_test_needs_a_person():
    with pytest.raises(Unsupported):
        Pad().driver.check_health(Level.INTERACTIVE)
