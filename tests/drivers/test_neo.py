from __future__ import annotations

import random

import pytest

from drivers.driver import Driver
from drivers.errors import BadReply, DriverError, NoReply, Unsupported
from drivers.exchange import Channel
from drivers.neo import FAMILY, Neo
from drivers.reading import Cause, Level
from firmware_notes import load_golden
from tests.drivers.scripted import ScriptedLink

GOLDEN = {frame.name: frame for frame in load_golden("neo")}
ASK = {frame.means["command"]: frame.data for frame in GOLDEN.values() if frame.direction == "to_device"}
PINGS = [each for each in GOLDEN.values() if each.means.get("command") == "ping" and each.direction == "from_device"]
OK = GOLDEN["ping: ok"].data
CUSTOMER, OTHER_MODEL = GOLDEN["external chip mode: customer"].data, GOLDEN["external chip mode: not this model"].data


def reader(says, options=None):
    """A link and its driver; `says` holds the answer to a request, or a list of which the last entry stays."""
    left = {ASK[name]: list(answer) if isinstance(answer, list) else [answer] for name, answer in says.items()}

    def respond(request):
        answers = left.get(request, [])
        return [(0.02, answers.pop(0) if len(answers) > 1 else answers[0])] if answers else []

    link = ScriptedLink(respond)
    return link, Neo(Channel(link, clock=link.clock), options)


def test_a_first_look_pings_twice_and_asks_for_the_chip_mode():
    link, driver = reader({"ping": OK, "chip_mode": CUSTOMER})
    readings = driver.check_health()
    assert link.written == [ASK["ping"], ASK["ping"], ASK["chip_mode"]]
    assert {name: reading.value for name, reading in readings.items()} == {"self_test": "ok", "tamper": "no"}
    assert driver.specific() == {"status": "00", "chip_mode": "customer"}


def test_a_poll_is_one_ping_and_the_chip_mode_comes_round_slowly():
    link, driver = reader({"ping": OK, "chip_mode": CUSTOMER})
    driver.check_health()
    link.written.clear()
    for _ in range(29):
        driver.check_health()
    assert link.written == [ASK["ping"]] * 29
    driver.check_health()
    assert link.written[-1] == ASK["chip_mode"]


def test_a_model_without_a_second_chip_is_not_asked_again():
    link, driver = reader({"ping": OK, "chip_mode": OTHER_MODEL})
    for _ in range(40):
        driver.check_health(Level.EXTERNAL)
    assert link.written.count(ASK["chip_mode"]) == 1
    assert driver.specific() == {"status": "00"}


@pytest.mark.parametrize("frame", PINGS, ids=lambda frame: frame.name)
def test_each_golden_status_reads_as_it_means(frame):
    _link, driver = reader({"ping": frame.data, "chip_mode": OTHER_MODEL})
    readings = driver.check_health()
    assert set(readings) == set(Neo.READINGS)
    for name, reading in readings.items():
        if name in frame.means:
            assert reading.value == frame.means[name]
            assert reading.value in Neo.READINGS[name].values
        else:
            assert reading.unknown == (Cause.MASKED if frame.means.get("tamper") == "yes" else Cause.REFUSED)
        assert reading.raw == frame.means["status"].lower()


def test_a_changed_status_counts_only_when_said_twice():
    tampered = GOLDEN["ping: tamper occurred"].data
    _link, driver = reader({"ping": [OK, OK, tampered, OK, OK, tampered, tampered], "chip_mode": OTHER_MODEL})
    assert [driver.check_health()["tamper"].value for _ in range(3)] == ["no", "no", "yes"]


def test_answers_that_all_differ_are_inconsistent():
    names = ["ping: ok", "ping: ok", "ping: failed", "ping: tamper occurred", "ping: timeout"]
    _link, driver = reader({"ping": [GOLDEN[name].data for name in names], "chip_mode": OTHER_MODEL})
    driver.check_health()
    assert {reading.unknown for reading in driver.check_health().values()} == {Cause.INCONSISTENT}


def test_a_dead_line_is_given_up_at_once():
    link, driver = reader({})
    start = link.clock.now
    with pytest.raises(NoReply):
        driver.check_health()
    assert link.clock.now - start < 0.5
    assert link.written == [ASK["ping"]]


def test_a_reply_in_pieces_is_one_reply_and_half_of_one_is_none():
    link = ScriptedLink(
        lambda request: (
            [(0.01 * at, bytes((byte,))) for at, byte in enumerate(OK)]
            if request == ASK["ping"]
            else [(0.01, OTHER_MODEL)]
        )
    )
    assert Neo(Channel(link, clock=link.clock)).check_health()["self_test"].value == "ok"
    half = ScriptedLink(lambda _request: [(0.01, OK[:15])])
    with pytest.raises(NoReply) as caught:
        Neo(Channel(half, clock=half.clock)).check_health()
    assert caught.value.partial == OK[:15]


def test_a_late_reply_does_not_answer_the_next_question():
    replies = iter([(1.5, GOLDEN["ping: failed"].data), (0.02, OK), (0.02, OK), (0.02, OTHER_MODEL)])
    link = ScriptedLink(lambda _request: [next(replies)])
    driver = Neo(Channel(link, clock=link.clock))
    with pytest.raises(NoReply):
        driver.check_health()
    assert driver.check_health()["self_test"].value == "ok"


@pytest.mark.parametrize("options", [{}, {"crc_order": "lsb"}])
def test_our_own_bytes_never_read_as_health(options):
    link = ScriptedLink(lambda request: [(0.001, request), (0.02, b"\xff" * 4)])
    driver = Neo(Channel(link, clock=link.clock), options)
    try:
        readings = driver.check_health()
    except BadReply:
        return
    assert all(reading.value is None for reading in readings.values())


def test_the_answer_to_another_question_is_no_answer():
    link = ScriptedLink(lambda _request: [(0.01, GOLDEN["firmware"].data)])
    with pytest.raises(NoReply):
        Neo(Channel(link, clock=link.clock)).check_health()


def test_noise_never_reads_as_a_failure_or_a_tamper():
    chance = random.Random(3)

    def damaged(_request):
        reply = bytearray(OK)
        for _ in range(chance.randint(0, 3)):
            reply[chance.randrange(len(reply))] ^= 1 << chance.randrange(8)
        return [(0.01, bytes(reply))]

    link = ScriptedLink(damaged)
    driver = Neo(Channel(link, clock=link.clock, quiet_s=0.1))
    driver._has_chip_mode = False
    read = 0
    for _ in range(1000):
        try:
            readings = driver.check_health()
        except DriverError:
            continue
        read += 1
        assert (readings["self_test"].value, readings["tamper"].value) == ("ok", "no")
    assert read > 150


def test_a_reader_with_the_other_crc_order_is_understood_by_option():
    swapped = GOLDEN["ping with the CRC in the other byte order"].data
    with pytest.raises(NoReply):
        reader({"ping": b""})[1].check_health()
    with pytest.raises(BadReply):
        reader({"ping": swapped})[1].check_health()
    lsb_other_model = OTHER_MODEL[:-2] + OTHER_MODEL[:-3:-1]
    _link, driver = reader({"ping": swapped, "chip_mode": lsb_other_model}, {"crc_order": "lsb"})
    assert driver.check_health()["self_test"].value == "ok"


def test_identity_is_what_the_reader_says():
    link, driver = reader(
        {
            name: GOLDEN[frame].data
            for name, frame in [("firmware", "firmware"), ("serial", "serial number"), ("modules", "module versions")]
        }
    )
    identity = driver.identify()
    assert (identity.model, identity.firmware, identity.serial) == ("VP3300-SIM", "V1.02", "630Z000001")
    assert identity.extra == {"FW": "Vendi V1.00", "CL AppSel": "PPSE Module, v1.00", "CL L1": "EMV 4.3 L1, v1.00"}
    assert link.written == [ASK["firmware"], ASK["serial"], ASK["modules"]]


def test_a_serial_number_that_was_never_set_stays_empty():
    _link, driver = reader(
        {
            "firmware": GOLDEN["firmware as a manual prints it"].data,
            "serial": GOLDEN["serial number never set"].data,
            "modules": GOLDEN["longest frame that is accepted"].data,
        }
    )
    identity = driver.identify()
    assert (identity.model, identity.firmware, identity.serial, dict(identity.extra)) == ("VP5300", "v1.00.S", "", {})


def test_it_has_no_interactive_test_recovery_or_counters():
    link, driver = reader({"ping": OK})
    with pytest.raises(Unsupported):
        driver.check_health(Level.INTERACTIVE)
    for verb in (driver.recover, driver.statistics):
        with pytest.raises(Unsupported):
            verb()
    assert link.written == []
    assert Neo.recover is Driver.recover


def test_the_catalog_entry_starts_at_the_makers_speed():
    assert (FAMILY.word, FAMILY.unit, FAMILY.baud, FAMILY.flow) == ("neo", "reader", 115200, "none")
