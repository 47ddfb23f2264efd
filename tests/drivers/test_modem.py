"""Modem drivers against a scripted line: every golden reply, exact requests, deadlines, confirmation, noise."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from drivers.catalog import family
from drivers.codecs.at import CLOSE_MUX
from drivers.driver import Driver
from drivers.errors import BadReply, DriverError, NoReply, Refused
from drivers.exchange import Channel
from drivers.reading import Cause, Level
from firmware_notes import Frame, load_golden
from tests.drivers.scripted import ScriptedLink

Respond = Callable[[bytes], list[tuple[float, bytes]]]

STOCK = {
    "AT+CPIN?": "+CPIN: READY",
    "AT+CEREG?": '+CEREG: 2,1,"1A2B","0123ABCD",7',
    "AT+CGREG?": "+CGREG: 0,0",
    "AT+C5GREG?": None,
    "AT+CREG?": '+CREG: 2,1,"1A2B","0123ABCD",7',
    "AT+CESQ": "+CESQ: 99,99,255,255,20,48",
    "AT+CSQ": "+CSQ: 20,99",
    "AT+COPS?": '+COPS: 0,2,"46000",7',
    "AT+CGATT?": "+CGATT: 1",
    "AT+CGACT?": "+CGACT: 1,1",
    "AT+CGPADDR": '+CGPADDR: 1,"10.1.2.3"',
    "AT+CCLK?": '+CCLK: "26/11/21,12:00:00+32"',
    "AT+CCID": "+CCID: 89860000000000000001",
    "AT+QCCID": "+QCCID: 89860000000000000001",
    "AT+CICCID": "+ICCID: 89860000000000000001",
    'AT+QENG="servingcell"': '+QENG: "servingcell","NOCONN","LTE","FDD",460,01,5F1EA15,12,1650,3,5,5,DE10,-93,-10,-68,11,9',
    "AT+QTEMP": "+QTEMP: 30,28,27",
    "AT+QLTS=1": '+QLTS: "2026/11/21,04:00:00+32,0"',
    "AT+CPSI?": "+CPSI: LTE,Online,460-11,0x5A1E,187214780,257,EUTRAN-BAND3,1850,5,5,-94,-930,-545,15",
    "AT+CPMUTEMP": "+CPMUTEMP: 34",
    "AT+CGMI": "Quectel",
    "AT+CGMM": "EC25",
    "AT+CGMR": "EC25EFAR06A03M4G",
    "AT+CGSN": "490154203237518",
    **dict.fromkeys(("AT", "AT+CMEE=1", "AT+CEREG=2", "AT+CFUN=1,1"), ""),
}
OK = b"\r\nOK\r\n"


def framed(text: str | None) -> bytes:
    if text is None:
        return b"\r\nERROR\r\n"
    if text.startswith("+CME"):
        return f"\r\n{text}\r\n".encode()
    return (f"\r\n{text}\r\n" if text else "").encode() + OK


class Script:
    """A healthy modem whose answers a test replaces: `answers` text by command, `frames` whole bytes by command."""

    def __init__(self, delay_s: float = 0.01) -> None:
        self.answers: dict[str, str | None] = dict(STOCK)
        self.frames: dict[str, bytes] = {}
        self.delay_s = delay_s

    def __call__(self, request: bytes) -> list[tuple[float, bytes]]:
        text = request.removeprefix(CLOSE_MUX + b"\r").decode("ascii").removesuffix("\r")
        return [(self.delay_s, self.frames.get(text) or framed(self.answers.get(text)))]


def connect(word: str, respond: Respond, **options: int) -> tuple[Driver, ScriptedLink]:
    link = ScriptedLink(respond)
    return family(word).driver(Channel(link, clock=link.clock), options), link


def sent(link: ScriptedLink) -> list[str]:
    found = [request.decode("ascii").removesuffix("\r") for request in link.written]
    link.written.clear()
    return found


# --- goldens

GOLDEN = [
    (word, frame) for word in ("at", "quectel", "simcom") for frame in load_golden(word) if "answers" in frame.means
]
NOT_READINGS = {"answers", "error", "identity", "text", "malformed"}


def driver_for(word: str, frame: Frame) -> tuple[Driver, Script]:
    """The modem answers with this frame, and does not have the commands that would be asked first or told more."""
    script = Script()
    command = str(frame.means["answers"])
    script.frames[command] = frame.data
    if command in {"AT+CSQ", "AT+CGREG?", "AT+C5GREG?"}:
        script.answers |= {"AT+CESQ": None, "AT+CEREG?": "+CEREG: 2,0"}
    if command in {"AT+ICCID", "AT+CRSM=176,12258,0,0,10"}:
        script.answers["AT+CCID"] = None
    return connect(word, script)[0], script


@pytest.mark.parametrize(("word", "frame"), GOLDEN, ids=lambda each: getattr(each, "name", each))
def test_golden_replies_mean_what_they_say(word, frame):
    driver, _ = driver_for(word, frame)
    expected = {name: value for name, value in frame.means.items() if name not in NOT_READINGS}
    if frame.means.get("malformed"):
        assert_malformed(driver, str(frame.means["answers"]))
        return
    if "identity" in frame.means:
        assert getattr(driver.identify(), str(frame.means["identity"])) == frame.means["text"]
        return
    readings = driver.check_health()
    told = {name: readings[name].value if readings[name].value is not None else "unknown" for name in expected}
    if frame.name == "CEREG state 4":
        expected["registration"] = "unknown"
        assert readings["registration"].value == "unknown"
    assert told == expected


def assert_malformed(driver: Driver, command: str) -> None:
    if command in {"AT+CPIN?", "AT+CEREG?"}:
        with pytest.raises(BadReply):
            driver.check_health()
        return
    name = {
        "AT+CSQ": "rssi_dbm",
        "AT+CESQ": "rsrp_dbm",
        "AT+CCLK?": "clock_utc",
        "AT+CCID": "iccid",
        "AT+QTEMP": "temperature_c",
        "AT+CPMUTEMP": "temperature_c",
        "AT+CGACT?": "data",
        "AT+CGATT?": "data",
    }.get(command, "rsrp_dbm")
    assert driver.check_health()[name].unknown == Cause.BAD_REPLY


def test_every_legal_value_of_a_reading_is_in_some_golden():
    for name, spec in family("at").driver.READINGS.items():
        seen = {frame.means[name] for _, frame in GOLDEN if name in frame.means}
        seen = {"unknown" if value == "unknown stat" else value for value in seen}
        assert seen >= set(spec.values), name
        assert seen, name


# --- what is asked


@pytest.mark.parametrize(
    ("word", "signal"), [("at", "AT+CESQ"), ("quectel", 'AT+QENG="servingcell"'), ("simcom", "AT+CPSI?")]
)
def test_first_check_sets_up_and_asks_all_and_a_resting_one_asks_three(word, signal):
    driver, link = connect(word, Script())
    first = driver.check_health()
    assert set(first) == set(driver.READINGS)
    asked = sent(link)
    assert asked[:3] == ["AT", "AT+CMEE=1", "AT+CEREG=2"]
    assert asked[3:9] == ["AT+CPIN?", "AT+CPIN?", "AT+CEREG?", "AT+CEREG?", signal, signal]
    assert not [name for name, reading in first.items() if reading.unknown and (word, name) != ("quectel", "sinr_db")]
    assert driver.check_health() == first
    assert sent(link) == ["AT+CPIN?", "AT+CEREG?", signal]


def test_slow_questions_come_round():
    driver, link = connect("quectel", Script())
    driver.check_health()
    sent(link)
    asked: list[str] = []
    for _ in range(60):
        link.clock.now += 1
        driver.check_health()
        asked += sent(link)
    assert asked.count("AT+CPIN?") == 60
    assert 9 <= asked.count("AT+CGACT?") <= 12
    for slow in ("AT+QCCID", "AT+COPS?", "AT+QTEMP"):
        assert 1 <= asked.count(slow) <= 2, slow


def test_a_level_above_internal_asks_all_anew():
    driver, link = connect("simcom", Script())
    driver.check_health()
    sent(link)
    driver.check_health(Level.EXTERNAL)
    assert {"AT+COPS?", "AT+CPMUTEMP", "AT+CCLK?", "AT+CICCID"} <= set(sent(link))


def test_a_healthy_modem_reads_so():
    readings = connect("quectel", Script())[0].check_health()
    assert {name: reading.value for name, reading in readings.items()} == {
        "sim": "ready",
        "iccid": "89860000000000000001",
        "rssi_dbm": -68,
        "rsrp_dbm": -93,
        "rsrq_db": -10,
        "registration": "home",
        "cell": "0123ABCD",
        "tac": "1A2B",
        "operator": "46000",
        "access": "LTE",
        "data": "up",
        "clock_utc": "2026-11-21T04:00:00Z",
        "temperature_c": 30,
        "sinr_db": None,
    }


def test_identify_asks_twice_and_falls_back_to_the_older_names():
    script = Script()
    script.answers |= {"AT+CGMM": None, "AT+GMM": "EC25"}
    driver, link = connect("quectel", script)
    identity = driver.identify()
    assert (identity.manufacturer, identity.model, identity.firmware) == ("Quectel", "EC25", "EC25EFAR06A03M4G")
    assert identity.serial == "490154203237518"
    assert sent(link)[3:] == [
        *["AT+CGMI"] * 2,
        *["AT+CGMM", "AT+GMM", "AT+GMM"],
        *["AT+CGMR"] * 2,
        *["AT+CGSN"] * 2,
    ]


def test_identify_does_not_know_what_the_modem_does_not_say():
    script = Script()
    script.answers |= {"AT+CGMR": None, "AT+CGSN": "+CME ERROR: 10"}
    identity = connect("at", script)[0].identify()
    assert (identity.firmware, identity.serial) == ("", "")


def test_specific_tells_the_finer_facts_and_no_address_or_subscriber():
    script = Script()
    driver, _ = connect("quectel", script)
    driver.check_health()
    assert driver.specific() == {
        "serving_state": "NOCONN",
        "sinr_raw": 11,
        "registration_stat": 1,
        "data_because": "active context with an address",
    }
    script.answers["AT+CPIN?"] = "+CME ERROR: 10"
    driver.check_health()
    assert driver.specific()["sim_error"] == "10"


def test_no_statistics():
    with pytest.raises(DriverError):
        connect("at", Script())[0].statistics()


# --- states


@pytest.mark.parametrize("sim", ["+CME ERROR: 10", "+CPIN: SIM PIN"])
def test_signal_and_registration_are_read_without_a_usable_card(sim):
    script = Script()
    script.answers |= {"AT+CPIN?": sim, "AT+CEREG?": "+CEREG: 2,2", "AT+CGATT?": "+CGATT: 0", "AT+COPS?": "+COPS: 0"}
    readings = connect("quectel", script)[0].check_health()
    assert readings["rsrp_dbm"].value == -93
    assert readings["registration"].value == "searching"
    assert readings["data"].value == "down"
    assert readings["operator"].unknown == Cause.MASKED
    assert readings["iccid"].unknown == (Cause.MASKED if "10" in sim else None)


def test_another_card_is_seen_in_the_check_that_sees_the_sim_back():
    script = Script()
    driver, _ = connect("quectel", script)
    driver.check_health()
    script.answers["AT+CPIN?"] = "+CME ERROR: 10"
    assert driver.check_health()["iccid"].unknown == Cause.MASKED
    script.answers |= {"AT+CPIN?": "+CPIN: READY", "AT+QCCID": "+QCCID: 89860000000000000019"}
    assert driver.check_health()["iccid"].value == "89860000000000000019"


@pytest.mark.parametrize(
    ("eps", "packet", "nr", "expected"),
    [
        ("+CEREG: 2,0", '+CGREG: 2,5,"00C3","1327",3', None, "roaming"),
        ("+CEREG: 2,2", "+CGREG: 2,3", None, "denied"),
        ("+CEREG: 2,0", "+CGREG: 2,2", None, "searching"),
        ("+CEREG: 2,0", None, '+C5GREG: 2,1,"690E0F","19013B004",11', "home"),
        (None, None, None, "home"),
    ],
)
def test_registration_is_that_of_any_generation(eps, packet, nr, expected):
    script = Script()
    script.answers |= {"AT+CEREG?": eps, "AT+CGREG?": packet, "AT+C5GREG?": nr}
    assert connect("at", script)[0].check_health()["registration"].value == expected


def test_a_context_that_carries_something_else_does_not_count():
    script = Script()
    script.answers["AT+CGACT?"] = "+CGACT: 1,0\r\n+CGACT: 2,1"
    script.answers["AT+CGPADDR"] = '+CGPADDR: 2,"10.1.2.3"'
    assert connect("at", script)[0].check_health()["data"].value == "up"
    assert connect("at", script, cid=1)[0].check_health()["data"].value == "down"


def test_a_command_that_the_firmware_lacks_is_not_asked_at_each_poll():
    script = Script()
    script.answers |= {"AT+CESQ": None, "AT+CCLK?": None}
    driver, link = connect("at", script)
    readings = driver.check_health()
    assert readings["rsrp_dbm"].unknown == Cause.UNSUPPORTED
    assert readings["clock_utc"].unknown == Cause.UNSUPPORTED
    assert readings["rssi_dbm"].value == -73
    sent(link)
    for _ in range(40):
        link.clock.now += 1
        driver.check_health()
    asked = sent(link)
    assert "AT+CESQ" not in asked
    assert "AT+CCLK?" not in asked


def test_a_refusal_for_now_is_asked_again():
    script = Script()
    script.answers["AT+COPS?"] = "+CME ERROR: 3"
    driver, link = connect("at", script)
    assert driver.check_health()["operator"].unknown == Cause.REFUSED
    script.answers["AT+COPS?"] = STOCK["AT+COPS?"]
    link.clock.now += 31
    assert driver.check_health()["operator"].value == "46000"


def test_settings_that_a_restart_lost_are_made_again():
    script = Script()
    driver, link = connect("at", script)
    driver.check_health()
    sent(link)
    script.answers["AT+CPIN?"] = None
    assert driver.check_health()["sim"].unknown == Cause.UNSUPPORTED
    sent(link)
    script.answers["AT+CPIN?"] = "+CME ERROR: 10"
    assert driver.check_health()["sim"].value == "absent"
    assert sent(link)[0] == "AT"


# --- one answer is not enough for a change


def alternating(command: str, *answers: str) -> tuple[Driver, ScriptedLink, list[str]]:
    """The modem gives the prepared answers to one command, then its usual one."""
    script, queue = Script(), []

    def respond(request: bytes) -> list[tuple[float, bytes]]:
        if request.decode("latin-1").startswith(command) and queue:
            return [(0.01, framed(queue.pop(0)))]
        return script(request)

    driver, link = connect("quectel", respond)
    driver.check_health()
    queue += answers
    return driver, link, queue


@pytest.mark.parametrize(
    ("command", "answer", "name"),
    [
        ("AT+CPIN?", "+CME ERROR: 10", "sim"),
        ("AT+CPIN?", "+CPIN: SIM PIN", "sim"),
        ("AT+CEREG?", "+CEREG: 2,3", "registration"),
        ("AT+CEREG?", '+CEREG: 2,5,"1A2B","0123ABCD",7', "registration"),
        ('AT+QENG="servingcell"', STOCK['AT+QENG="servingcell"'].replace("-93", "-133"), "rsrp_dbm"),
    ],
)
def test_a_change_told_once_is_inconsistent_and_told_twice_counts(command, answer, name):
    driver, _, queue = alternating(command, answer)
    assert driver.check_health()[name].unknown == Cause.INCONSISTENT
    assert driver.check_health()[name].value is not None
    queue += [answer, answer]
    changed = driver.check_health()[name].value
    assert changed is not None
    assert changed != driver.check_health()[name].value


def test_a_card_number_without_check_digit_is_asked_for_more_often():
    driver, link, queue = alternating("AT+QCCID", *["+QCCID: 8986000000000000003"] * 3, STOCK["AT+QCCID"])
    link.clock.now += 31
    assert driver.check_health()["iccid"].unknown == Cause.INCONSISTENT
    assert not queue


def test_a_card_busy_is_no_state():
    driver, _, _ = alternating("AT+CPIN?", "+CME ERROR: 14", "+CME ERROR: 14")
    assert driver.check_health()["sim"].unknown == Cause.FAILED


# --- deadlines, lateness, noise


def test_a_dead_line_ends_soon_and_at_the_second_silence_multiplexing_is_closed_once():
    driver, link = connect("at", lambda _: [])
    for expected in (b"AT\r", CLOSE_MUX + b"\rAT\r", b"AT\r", b"AT\r"):
        link.clock.now += 10
        before = link.clock.now
        with pytest.raises(NoReply):
            driver.check_health()
        assert link.clock.now - before < 2
        assert link.written[-1] == expected


def test_a_modem_that_was_left_multiplexing_comes_back():
    script, deaf = Script(), [True]

    def respond(request: bytes) -> list[tuple[float, bytes]]:
        if request.startswith(CLOSE_MUX):
            deaf[0] = False
            return script(request.removeprefix(CLOSE_MUX + b"\r"))
        return [] if deaf[0] else script(request)

    driver, link = connect("at", respond)
    with pytest.raises(NoReply):
        driver.check_health()
    link.clock.now += 3
    assert driver.check_health()["sim"].value == "ready"


def test_the_first_unanswered_question_ends_a_check_and_the_next_contact_sets_up_again():
    script = Script()
    driver, link = connect("at", script)
    driver.check_health()
    sent(link)
    script.delay_s = 1.5
    before = link.clock.now
    with pytest.raises(NoReply):
        driver.check_health()
    assert link.clock.now - before < 0.6
    assert sent(link) == ["AT+CPIN?"]
    script.delay_s = 0.01
    assert driver.check_health()["sim"].value == "ready"
    assert sent(link)[0] == "AT"


def test_late_answers_are_never_taken_for_others():
    script = Script(delay_s=1.5)
    script.answers["AT+CPIN?"] = "+CME ERROR: 10"
    driver, link = connect("at", script)
    driver.channel.on_unasked = driver.receive
    for _ in range(10):
        with pytest.raises((NoReply, BadReply)):
            driver.check_health()
        link.clock.now += 1


def test_an_answer_in_pieces_is_one_answer_and_a_cut_one_is_none():
    script = Script()
    reply = framed(STOCK["AT+CPIN?"])

    def pieces(request: bytes, until: int = len(reply)) -> list[tuple[float, bytes]]:
        if request == b"AT+CPIN?\r":
            return [(0.01 * at, reply[at : at + 1]) for at in range(until)]
        return script(request)

    assert connect("at", pieces)[0].check_health()["sim"].value == "ready"
    with pytest.raises(NoReply):
        connect("at", lambda request: pieces(request, len(reply) - 5))[0].check_health()


def test_a_slow_modem_still_ends_in_time_and_fills_in_the_rest_later():
    driver, link = connect("quectel", Script(delay_s=0.15))
    before = link.clock.now
    readings = driver.check_health()
    assert readings["sim"].value == "ready"
    assert Cause.NOT_ASKED in {reading.unknown for reading in readings.values()}
    assert link.clock.now - before < 3
    for _ in range(6):
        before = link.clock.now
        readings = driver.check_health()
        assert link.clock.now - before < 2
    assert Cause.NOT_ASKED not in {reading.unknown for reading in readings.values()}


def test_an_echo_of_our_own_bytes_changes_nothing():
    script = Script()
    driver, _ = connect("quectel", lambda request: [(0.0, request), *script(request)])
    plain = connect("quectel", script)[0].check_health()
    assert driver.check_health() == plain


def test_an_echo_alone_is_no_modem():
    with pytest.raises(DriverError):
        connect("at", lambda request: [(0.0, request)])[0].check_health()


def test_a_wrong_speed_is_a_bad_reply():
    with pytest.raises(BadReply):
        connect("at", lambda _: [(0.01, b"\xf8\x00\x86\xe0\xff\x80")])[0].check_health()


def test_lines_of_another_device_are_a_bad_reply():
    with pytest.raises(BadReply):
        connect("at", lambda _: [(0.01, b"hello\r\nwho are you\r\n")])[0].check_health()


@pytest.mark.parametrize("word", ["at", "quectel", "simcom"])
@pytest.mark.parametrize("seed", range(8))
def test_flipped_bits_and_lost_bytes_never_make_a_card_or_registration_state(word, seed):
    rng, script = random.Random(seed), Script()

    def noisy(request: bytes) -> list[tuple[float, bytes]]:
        (delay, reply), *_ = script(request)
        data = bytearray(reply)
        for at in range(len(data)):
            if rng.random() < 0.01:
                data[at] ^= 1 << rng.randrange(8)
        return [(delay, bytes(byte for byte in data if rng.random() > 0.002))]

    driver, link = connect(word, noisy)
    answered = failed = 0
    for _ in range(150):
        link.clock.now += 1
        try:
            readings = driver.check_health()
        except DriverError:
            failed += 1
            continue
        answered += 1
        assert readings["sim"].value in {"ready", None}
        assert readings["registration"].value in {"home", None}
        assert readings["iccid"].value in {"89860000000000000001", None}
        assert readings["data"].value in {"up", None}
    assert answered
    assert failed


# --- pushes


def pushed(text: str, word: str = "at") -> dict[str, object]:
    driver, _ = connect(word, Script())
    driver.check_health()
    return {name: reading.value for name, reading in driver.receive(f"\r\n{text}\r\n".encode()).items()}


def test_a_lost_registration_is_pushed_with_its_place_gone():
    assert pushed("+CEREG: 2") == {"registration": "searching", "tac": None, "cell": None, "access": None}
    assert pushed("+CEREG: 0")["registration"] == "none"


def test_a_push_may_come_byte_by_byte():
    driver, _ = connect("at", Script())
    driver.check_health()
    facts = [driver.receive(bytes([byte])) for byte in b"\r\n+CEREG: 2\r\n"]
    assert [fact["registration"].value for fact in facts if fact] == ["searching"]


@pytest.mark.parametrize(
    "text",
    [
        '+CEREG: 1,"1A2B","0123ABCD",7',  # nothing new
        "+CEREG: 3",
        '+CEREG: 5,"1A2B","0123ABCD",7',
        '+CEREG: 2,"1A2B","0123ABCD",7',  # searching, and yet in a cell
        "+CEREG: 1",
        '+CEREG: 2,2,"1A2B"',  # an answer that comes late
        "+CEREG: 2,0",
        "+CEREG: 12",
        "+CREG: 2",
        "+CPIN: NOT READY",
        "RING",
        '+CLIP: "+8613800000000",145',
        "\xff\xfe",
    ],
)
def test_other_lines_change_no_reading(text):
    assert pushed(text) == {}


def test_receive_survives_anything():
    driver, _ = connect("quectel", Script())
    rng = random.Random(5)
    for _ in range(500):
        driver.receive(rng.randbytes(200))
        driver.receive(bytes(rng.choices(b'\r\n+CEREG: 0123,"AB', k=200)))


def test_a_restart_that_the_modem_announces_makes_a_new_contact():
    driver, link = connect("quectel", Script())
    driver.check_health()
    sent(link)
    assert driver.receive(b"\r\nRDY\r\n") == {}
    driver.check_health()
    assert sent(link)[0] == "AT"


# --- recovery


def test_recover_restarts_waits_and_tells_how_it_is():
    script, link_of = Script(), []
    restarted = [0.0]

    def respond(request: bytes) -> list[tuple[float, bytes]]:
        clock = link_of[0].clock
        if request == b"AT+CFUN=1,1\r":
            restarted[0] = clock.now
            return [(0.01, OK), (9.0, b"\r\nRDY\r\n")]
        if restarted[0] and 0.02 < clock.now - restarted[0] < 9:
            return []
        return script(request)

    driver, link = connect("quectel", respond)
    link_of.append(link)
    readings = driver.recover()
    assert readings["sim"].value == "ready"
    assert link.clock.now - restarted[0] >= 9
    assert link.written.count(b"AT+CFUN=1,1\r") == 1
    assert not [request for request in link.written if request.startswith(CLOSE_MUX)]


def test_recover_gives_up_on_a_modem_that_stays_away():
    script, gone = Script(), []

    def respond(request: bytes) -> list[tuple[float, bytes]]:
        if gone:
            return []
        if request == b"AT+CFUN=1,1\r":
            gone.append(True)
        return script(request)

    driver, link = connect("quectel", respond)
    before = link.clock.now
    with pytest.raises(NoReply):
        driver.recover()
    assert 20 <= link.clock.now - before < 30


def test_recover_says_so_when_the_modem_refuses():
    script = Script()
    script.answers["AT+CFUN=1,1"] = "+CME ERROR: 3"
    with pytest.raises(Refused):
        connect("quectel", script)[0].recover()
