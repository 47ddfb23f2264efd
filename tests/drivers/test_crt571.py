from __future__ import annotations

import random

import pytest

from drivers.crt571 import FAMILY, Crt571
from drivers.errors import BadReply, DriverError, NoReply, Refused, Unsupported, Yielded
from drivers.exchange import Channel
from drivers.reading import Cause, Level
from firmware_notes import load_golden
from tests.drivers.scripted import ScriptedLink

GOLDEN = {frame.name: frame for frame in load_golden("crt571")}
ASK = {frame.means["command"]: frame.data for frame in GOLDEN.values() if frame.name.startswith(("ask", "init"))}
ASK["status"] = GOLDEN["ask status"].data
ACK, NAK = b"\x06", b"\x15"
NO_CARD, GATE = GOLDEN["status: no card"].data, GOLDEN["status: card in the gate"].data
STATES = [each for each in GOLDEN.values() if each.name.startswith("status") and "address" not in each.means]
NOT_UNDERSTOOD = ("00", "01", "02", "03", "04")


class Unit:
    """A unit that acknowledges and answers what `says` holds for a request; a list is used up, its last entry stays."""

    def __init__(self, says, delay_s=0.02):
        self.says = {ASK[name]: list(answer) if isinstance(answer, list) else [answer] for name, answer in says.items()}
        self.delay_s = delay_s
        self.link = ScriptedLink(self.respond)
        self.channel = Channel(self.link, clock=self.link.clock)
        self.driver = Crt571(self.channel)

    def respond(self, request):
        if request not in self.says:
            return []
        answers = self.says[request]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        return [(0.005, ACK), (self.delay_s, answer)]


def values(readings):
    return {
        name: reading.value if reading.unknown is None else f"unknown {reading.unknown}"
        for name, reading in readings.items()
    }


def test_a_first_look_asks_twice_and_acknowledges_each_reply():
    unit = Unit({"status": NO_CARD})
    readings = unit.driver.check_health()
    assert unit.link.written == [ASK["status"], ACK, ASK["status"], ACK]
    assert values(readings) == {
        "card": "absent",
        "stacker": "ok",
        "bin": "ok",
        "shutter": "ok",
        "sensor": "ok",
        "self_test": "ok",
    }
    assert readings["card"].raw == "303230"


def test_an_unchanged_state_costs_one_question():
    unit = Unit({"status": NO_CARD})
    unit.driver.check_health()
    unit.link.written.clear()
    unit.driver.check_health()
    assert unit.link.written == [ASK["status"], ACK]


@pytest.mark.parametrize("frame", STATES, ids=lambda frame: frame.name)
def test_each_golden_status_reads_as_it_means(frame):
    unit = Unit({"status": frame.data})
    code = frame.means.get("error", "")
    if code in NOT_UNDERSTOOD:
        with pytest.raises(Refused) as caught:
            unit.driver.check_health()
        assert caught.value.code == code
        return
    readings = unit.driver.check_health()
    assert set(readings) == set(Crt571.READINGS)
    said = {name: value for name, value in frame.means.items() if name in Crt571.READINGS}
    for name, reading in readings.items():
        if name in said:
            assert reading.value == said[name]
            assert reading.value in Crt571.READINGS[name].values
        elif code:
            assert reading.unknown == (Cause.MASKED if said else Cause.REFUSED)
        else:
            assert reading.unknown == Cause.INCONSISTENT if name == "card" else reading.value == "ok"
    assert unit.driver.specific().get("error", "") == code


def test_a_changed_state_counts_only_when_said_twice():
    unit = Unit({"status": [NO_CARD, NO_CARD, GATE, NO_CARD, NO_CARD, GATE, GATE]})
    seen = [values(unit.driver.check_health())["card"] for _ in range(3)]
    assert seen == ["absent", "absent", "gate"]


def test_answers_that_all_differ_are_inconsistent():
    jam, inside = GOLDEN["status refused: card jam"].data, GOLDEN["status: card at the IC/RF position"].data
    unit = Unit({"status": [NO_CARD, NO_CARD, GATE, jam, inside]})
    unit.driver.check_health()
    assert set(values(unit.driver.check_health()).values()) == {"unknown inconsistent"}


def test_a_reply_with_a_wrong_check_byte_is_asked_for_again():
    unit = Unit({"status": GOLDEN["wrong BCC"].data})
    unit.says[NAK] = [NO_CARD]
    assert values(unit.driver.check_health())["card"] == "absent"
    assert unit.link.written == [ASK["status"], NAK, ACK] * 2


def test_a_reply_is_not_asked_for_again_for_ever():
    unit = Unit({"status": GOLDEN["wrong BCC"].data})
    unit.says[NAK] = [GOLDEN["wrong BCC"].data]
    with pytest.raises(BadReply):
        unit.driver.check_health()
    assert unit.link.written == [ASK["status"], NAK, NAK]


def test_a_command_that_the_unit_did_not_get_is_repeated_twice():
    link = ScriptedLink(lambda request: [(0.01, NAK)] if request == ASK["status"] else [])
    with pytest.raises(NoReply):
        Crt571(Channel(link, clock=link.clock)).check_health()
    assert link.written == [ASK["status"]] * 3


def test_a_command_repeated_after_nak_gets_its_answer():
    tries = iter([NAK, ACK + NO_CARD, ACK + NO_CARD])
    link = ScriptedLink(lambda request: [(0.01, next(tries))] if request == ASK["status"] else [])
    assert values(Crt571(Channel(link, clock=link.clock)).check_health())["card"] == "absent"


@pytest.mark.parametrize("level", [Level.INTERNAL, Level.EXTERNAL])
def test_a_dead_line_is_given_up_within_two_seconds(level):
    link = ScriptedLink(lambda _request: [])
    start = link.clock.now
    with pytest.raises(NoReply):
        Crt571(Channel(link, clock=link.clock)).check_health(level)
    assert link.clock.now - start < 0.5
    assert link.written == [ASK["status"]]


def test_a_reply_in_pieces_is_one_reply_and_half_of_one_is_none():
    slow = ScriptedLink(
        lambda request: (
            [(0.01 * at, bytes((byte,))) for at, byte in enumerate(ACK + NO_CARD)] if request == ASK["status"] else []
        )
    )
    assert values(Crt571(Channel(slow, clock=slow.clock)).check_health())["card"] == "absent"
    half = ScriptedLink(lambda _request: [(0.01, ACK + NO_CARD[:7])])
    with pytest.raises(NoReply) as caught:
        Crt571(Channel(half, clock=half.clock)).check_health()
    assert caught.value.partial == ACK + NO_CARD[:7]


def test_a_late_reply_does_not_answer_the_next_question():
    unit = Unit({"status": [GATE, NO_CARD]}, delay_s=1.5)
    with pytest.raises(NoReply):
        unit.driver.check_health()
    unit.delay_s = 0.02
    assert values(unit.driver.check_health())["card"] == "absent"


def test_our_own_bytes_are_no_answer_and_hide_none():
    echo = ScriptedLink(lambda request: [(0.001, request)])
    with pytest.raises(BadReply):
        Crt571(Channel(echo, clock=echo.clock)).check_health()
    both = ScriptedLink(lambda request: [(0.001, request)] + ([(0.02, ACK + GATE)] if request == ASK["status"] else []))
    assert values(Crt571(Channel(both, clock=both.clock)).check_health())["card"] == "gate"


def test_another_units_reply_is_no_answer():
    other = GOLDEN["status of unit 15"].data
    with pytest.raises(NoReply):
        Unit({"status": other}).driver.check_health()
    link = ScriptedLink(
        lambda request: [(0.01, ACK + other)] if request == GOLDEN["ask status of unit 15"].data else []
    )
    driver = Crt571(Channel(link, clock=link.clock), {"address": 15})
    assert values(driver.check_health())["card"] == "absent"


def test_the_reply_to_another_command_is_no_answer():
    with pytest.raises(NoReply):
        Unit({"status": GOLDEN["version"].data}).driver.check_health()


def test_noise_never_reads_as_a_card_or_an_error():
    chance = random.Random(7)

    def damaged(request):
        if request != ASK["status"]:
            return []
        reply = bytearray(ACK + NO_CARD)
        for _ in range(chance.randint(0, 3)):
            reply[chance.randrange(len(reply))] ^= 1 << chance.randrange(8)
        if chance.random() < 0.05:  # what an XOR check lets through: the same bit of two bytes
            bit = 1 << chance.randrange(2)
            reply[chance.choice((8, 9, 10))] ^= bit
            reply[-1] ^= bit
        return [(0.01, bytes(reply))]

    link = ScriptedLink(damaged)
    driver = Crt571(Channel(link, clock=link.clock, quiet_s=0.1))
    healthy = {"card": "absent", **dict.fromkeys(("stacker", "bin", "shutter", "sensor", "self_test"), "ok")}
    read = 0
    for _ in range(2000):
        try:
            readings = driver.check_health()
        except DriverError:
            continue
        read += 1
        assert all(reading.value in {healthy[name], None} for name, reading in readings.items())
    assert read > 300


def test_the_external_check_notices_sensors_that_contradict():
    agree = Unit({"status": NO_CARD, "sensors": GOLDEN["sensors: no card"].data})
    assert values(agree.driver.check_health(Level.EXTERNAL))["card"] == "absent"
    assert agree.driver.specific() == {"sensors": "0000000"}
    contradict = Unit({"status": NO_CARD, "sensors": GOLDEN["sensors: card in the gate"].data})
    assert values(contradict.driver.check_health(Level.EXTERNAL))["card"] == "unknown inconsistent"
    ten = Unit(
        {"status": GOLDEN["status: card at the IC/RF position"].data, "sensors": GOLDEN["sensors: ten bytes"].data}
    )
    assert values(ten.driver.check_health(Level.EXTERNAL))["card"] == "present"


def test_identity_is_what_the_unit_says():
    unit = Unit({"version": GOLDEN["version"].data, "serial": GOLDEN["serial number"].data})
    identity = unit.driver.identify()
    assert (identity.model, identity.firmware, identity.serial) == ("CRT-571-SIM", "V1.02", "SIM00571")
    assert unit.link.written == [ASK["version"], ACK, ASK["serial"], ACK]


def test_an_identity_that_was_refused_stays_empty():
    refused = GOLDEN["status refused: hardware does not support it"].data
    body = bytearray(refused)
    body[5], body[6] = 0xA2, 0x30
    body[-1] ^= refused[5] ^ 0xA2 ^ refused[6] ^ 0x30
    unit = Unit({"version": GOLDEN["version"].data, "serial": bytes(body)})
    assert unit.driver.identify().serial == ""


def test_captured_cards_are_counted():
    assert Unit({"bin_counter": GOLDEN["bin counter"].data}).driver.statistics() == {"CapturedCardCount": 42}


def test_recovery_initialises_without_moving_a_card_and_looks_again():
    done = GOLDEN["version as the manual prints it"].data
    unit = Unit({"initialise_keep": done, "status": NO_CARD}, delay_s=0.3)
    assert values(unit.driver.recover())["card"] == "absent"
    assert unit.link.written[:2] == [GOLDEN["initialise, keep the card"].data, ACK]


def test_a_jam_that_stays_is_reported_after_recovery():
    jam = GOLDEN["status refused: card jam"].data
    refused = bytearray(jam)
    refused[5], refused[6] = 0x30, 0x33
    refused[-1] ^= 0x31 ^ 0x30 ^ 0x30 ^ 0x33
    unit = Unit({"initialise_keep": bytes(refused), "status": jam})
    assert values(unit.driver.recover())["card"] == "jammed"


def test_an_interactive_test_is_not_offered():
    unit = Unit({"status": NO_CARD})
    with pytest.raises(Unsupported):
        unit.driver.check_health(Level.INTERACTIVE)
    assert unit.link.written == []


def test_nothing_is_sent_once_a_sale_has_begun():
    link = ScriptedLink(lambda _request: [(0.01, ACK + NO_CARD)])
    driver = Crt571(Channel(link, clock=link.clock, yield_now=lambda: True))
    with pytest.raises(Yielded):
        driver.check_health()
    assert link.written == []


def test_the_catalog_entry_starts_at_the_makers_speed():
    assert (FAMILY.word, FAMILY.unit, FAMILY.baud, FAMILY.flow, FAMILY.driver.pushes) == (
        "crt571",
        "reader",
        9600,
        "none",
        False,
    )
