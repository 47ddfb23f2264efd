"""The simulated modems: V.250 framing, 27.007 answers, two makers' own commands."""

from __future__ import annotations

import random

import pytest

from simulator.device import Illegal
from simulator.devices import modem_radio
from simulator.devices.modem import Modem
from simulator.devices.modem_makers import Quectel, SimCom
from tests.simulator.bench import Bench, golden


def quiet(kind: type[Modem]) -> Bench:
    """A modem that no longer echoes."""
    bench = Bench(kind)
    bench.ask(b"ATE0\r")
    bench.wait(0.1)
    return bench


@pytest.fixture
def bench() -> Bench:
    return quiet(Quectel)


def at(bench: Bench, command: str) -> list[str]:
    """The lines that came back, the result last."""
    bench.ask(b"AT" + command.encode() + b"\r")
    text = bench.wait(0.1).decode()
    assert text.startswith("\r\n")
    assert text.endswith("\r\n")
    return [line for line in text.split("\r\n") if line]


def test_echo_words_and_numbers():
    bench = Bench(Modem)
    assert bench.ask(b"at\r", split=True) == b"at\r"
    assert bench.wait(0.1) == b"\r\nOK\r\n"
    bench.ask(b"ATE0V0\r")
    assert bench.wait(0.1) == b"0\r"
    bench.ask(b"AT+CIMI\r")
    assert bench.wait(0.1) == b"001010123456789\r\n0\r"
    bench.ask(b"AT+NOSUCH\r")
    assert bench.wait(0.1) == b"4\r"
    bench.ask(b"ATQ1\r")
    assert bench.wait(0.1) == b""
    bench.ask(b"AT&F\r")
    bench.wait(0.1)
    bench.ask(b"ATE1\r")
    assert bench.wait(0.1) == b"\r\nOK\r\n"


def test_backspace_junk_before_at_and_repeat(bench: Bench):
    assert at(bench, "+CSX\x08Q") == ["+CSQ: 27,99", "OK"]
    bench.ask(b"A/")
    assert bench.wait(0.1) == b"\r\n+CSQ: 27,99\r\n\r\nOK\r\n"
    bench.ask(bytes.fromhex("f903ef03c316f9") + b"\x1b\r")
    assert bench.wait(0.1) == b""
    bench.ask(b"\x1bzzAT\r\n")
    assert bench.wait(0.1) == b"\r\nOK\r\n"


def test_several_commands_share_a_line_and_an_error_ends_it(bench: Bench):
    assert at(bench, "+CGMM;+CSQ;+CREG?") == ["EC25", "+CSQ: 27,99", "+CREG: 0,1", "OK"]
    assert at(bench, "+CGMM;+NOSUCH;+CSQ") == ["EC25", "ERROR"]
    assert at(bench, "E0V1+CSQ") == ["+CSQ: 27,99", "OK"]
    assert at(bench, "+CSQ)") == ["ERROR"]


@pytest.mark.parametrize(
    ("sim", "numeric", "verbose"),
    [
        ("ready", "+CPIN: READY", "+CPIN: READY"),
        ("pin", "+CPIN: SIM PIN", "+CPIN: SIM PIN"),
        ("puk", "+CPIN: SIM PUK", "+CPIN: SIM PUK"),
        ("absent", "+CME ERROR: 10", "+CME ERROR: SIM not inserted"),
        ("failure", "+CME ERROR: 13", "+CME ERROR: SIM failure"),
    ],
)
def test_the_sim(bench: Bench, sim, numeric, verbose):
    bench.set(sim=sim)
    usable = sim in ("ready", "pin", "puk")
    assert at(bench, "+CPIN?")[0] == (numeric if usable else "ERROR")
    at(bench, "+CMEE=1")
    assert at(bench, "+CPIN?")[0] == numeric
    at(bench, "+CMEE=2")
    assert at(bench, "+CPIN?")[0] == verbose
    assert (at(bench, "+QCCID")[-1] == "OK") is usable
    assert at(bench, "+CEREG?")[0] == ("+CEREG: 0,1" if sim == "ready" else "+CEREG: 0,0")
    assert at(bench, "+CGACT?")[0] == ("+CGACT: 1,1" if sim == "ready" else "+CGACT: 1,0")


@pytest.mark.parametrize(
    ("rsrp", "csq", "cesq", "cpsi"),
    [
        (-44, 31, "34", None),
        (-85, 27, "99,99,255,255,20,56", "-100,-850,-580,12"),
        (-120, 10, "99,99,255,255,10,21", "-150,-1200,-930,0"),
        (-140, 0, "99,99,255,255,2,1", "-190,-1400,-1130,-10"),
    ],
)
def test_the_signal_on_each_scale(rsrp, csq, cesq, cpsi):
    quectel, simcom = quiet(Quectel), quiet(SimCom)
    for one in (quectel, simcom):
        one.set(signal_dbm=str(rsrp))
    assert at(quectel, "+CSQ")[0] == f"+CSQ: {csq},99"
    if cpsi is not None:
        assert at(quectel, "+CESQ")[0] == f"+CESQ: {cesq}"
        assert at(simcom, "+CPSI?")[0].endswith(",5,5," + cpsi)
    assert at(quectel, '+QENG="servingcell"')[0].split(",")[13] == str(rsrp)


def test_scales_at_their_ends():
    assert [modem_radio.rsrp_index(level) for level in (-150, -141, -140, -139, -45, -44, 0)] == [
        0,
        0,
        1,
        2,
        96,
        97,
        97,
    ]
    assert [modem_radio.csq_index(level) for level in (-120, -113, -111, -53, -51, -40)] == [0, 0, 1, 30, 31, 31]
    assert [modem_radio.rsrq_index(level) for level in (-25, -20, -19, -3, 0)] == [0, 0, 2, 34, 34]


@pytest.mark.parametrize(
    ("registration", "code", "quectel", "simcom"),
    [
        ("home", 1, '"CONNECT"', "LTE,Online"),
        ("roaming", 5, '"CONNECT"', "LTE,Online"),
        ("searching", 2, '"SEARCH"', "NO SERVICE,Online"),
        ("denied", 3, '"LIMSRV"', "NO SERVICE,Online"),
    ],
)
def test_registration(bench: Bench, registration, code, quectel, simcom):
    other = quiet(SimCom)
    for one in (bench, other):
        one.set(registration=registration, cell="1a2b3c")
    registered = code in (1, 5)
    at(bench, "+CEREG=2")
    place = f'+CEREG: 2,{code},"1A2D","001A2B3C",7' if registered else f"+CEREG: 2,{code}"
    assert at(bench, "+CEREG?")[0] == place
    assert at(bench, '+QENG="servingcell"')[0].split(",")[1] == quectel
    assert simcom in at(other, "+CPSI?")[0]
    at(bench, "+COPS=3,2")
    assert at(bench, "+COPS?")[0] == ('+COPS: 0,2,"00101",7' if registered else "+COPS: 0")
    assert at(bench, "+CGPADDR=1")[0] == f'+CGPADDR: 1,"{"10.64.12.7" if registered else "0.0.0.0"}"'


def test_data_down_leaves_the_registration(bench: Bench):
    bench.set(data="down")
    assert at(bench, "+CGATT?") == ["+CGATT: 1", "OK"]
    assert at(bench, "+CGACT?") == ["+CGACT: 1,0", "OK"]
    assert at(bench, '+QENG="servingcell"')[0].split(",")[1] == '"NOCONN"'


def test_reports_come_only_when_asked_for_and_may_fall_into_an_answer(bench: Bench):
    assert bench.set(registration="searching") == b""
    at(bench, "+CEREG=2")
    assert bench.set(registration="home") == b'\r\n+CEREG: 1,"1A2D","0075A30B",7\r\n'
    bench.device.receive(b"AT+CSQ\r")
    bench.device.set("registration", "denied")
    assert bench.wait(0.1) == b"\r\n+CEREG: 3\r\n\r\n+CSQ: 27,99\r\n\r\nOK\r\n"
    assert bench.set(sim="absent") == b"\r\n+CPIN: NOT READY\r\n\r\n+CEREG: 0\r\n\r\n+QUSIM: 0\r\n"


def test_identity_has_the_makers_shapes():
    quectel, simcom = quiet(Quectel), quiet(SimCom)
    assert at(quectel, "I") == ["Quectel", "EC25", "Revision: EC25EFAR06SIM01", "OK"]
    assert at(simcom, "I")[:2] == ["Manufacturer: SIMCOM INCORPORATED", "Model: SIMCOM_SIM7600E-H"]
    assert at(simcom, "+CGMR")[0] == "+CGMR: LE20B03SIM7600"
    assert at(quectel, "+GMM") == at(quectel, "+CGMM") == ["EC25", "OK"]
    for one in (quectel, simcom, quiet(Modem)):
        digits = [int(digit) for digit in at(one, "+CGSN")[0]]
        assert len(digits) == 15
        doubled = [2 * digit - 9 * (digit > 4) for digit in digits[1::2]]
        assert (sum(digits[0::2]) + sum(doubled)) % 10 == 0


def test_temperature_and_clock_by_family(bench: Bench):
    bench.set(temperature_c="71")
    assert at(bench, "+QTEMP")[0] == "+QTEMP: 71,69,70"
    simcom = quiet(SimCom)
    simcom.set(temperature_c="71")
    assert at(simcom, "+CPMUTEMP")[0] == "+CPMUTEMP: 71"
    bench.device.world_time = lambda: 1_795_000_000.0
    assert at(bench, "+CCLK?")[0] == '+CCLK: "26/11/18,19:06:40+32"'
    with pytest.raises(Illegal, match="signal_dbm"):
        quiet(Modem).device.set("temperature_c", "30")


@pytest.mark.parametrize("kind", [Modem, Quectel, SimCom])
def test_every_golden_question_has_an_answer_and_breaks_nothing(kind):
    questions = {name: frame for family in ("at", kind.family) for name, frame in golden(family).items()}
    asked = 0
    for frame in questions.values():
        if not frame.startswith(b"AT") or not frame.endswith(b"\r") or frame.count(b"\r") > 1 or b"CFUN" in frame:
            continue
        bench = quiet(kind)
        bench.ask(frame)
        answer = bench.wait(0.1)
        assert answer.endswith((b"\r\nOK\r\n", b"\r\nERROR\r\n")), frame
        assert bench.device.violations == {}
        asked += 1
    assert asked > 20


def test_the_network_time_and_the_card_file(bench: Bench):
    bench.device.world_time = lambda: 1_795_000_000.0
    assert at(bench, "+QLTS=1")[0] == '+QLTS: "2026/11/18,11:06:40+32,0"'
    assert at(bench, "+QLTS=2")[0] == '+QLTS: "2026/11/18,19:06:40+32,0"'
    bench.set(iccid="8986021234567890123")
    assert at(bench, "+CRSM=176,12258,0,0,10")[0] == '+CRSM: 144,0,"986820214365870921F3"'
    assert at(bench, "+CRSM=176,28423,0,0,9") == ["ERROR"]
    assert bench.device.violations == {"sim_file": 1}


def test_iccid_by_family():
    for kind, command, label in (
        (Quectel, "+QCCID", "+QCCID: "),
        (SimCom, "+CICCID", "+ICCID: "),
        (Modem, "+CCID", "+CCID: "),
    ):
        one = quiet(kind)
        one.set(iccid="8986021234567890123")
        assert at(one, command)[0] == label + "8986021234567890123"


def test_a_restart_answers_ok_then_is_silent_then_ready(bench: Bench):
    at(bench, "+CEREG=2")
    assert at(bench, "+CFUN=1,1") == ["OK"]
    bench.ask(b"AT\r")
    assert bench.wait(0.2) == b""
    assert bench.wait(1.0) == b"\r\nRDY\r\n"
    assert bench.ask(b"AT\r") == b"AT\r"
    assert bench.wait(0.1) == b"\r\nOK\r\n"
    assert bench.set(registration="denied") == b""


def test_typing_into_a_pending_command_is_counted_and_still_answered(bench: Bench):
    bench.device.receive(b"AT+CSQ\rAT+CGMM\r")
    assert bench.wait(0.2).decode().split() == ["+CSQ:", "27,99", "OK", "EC25", "OK"]
    assert bench.device.violations == {"command_while_pending": 1}


def test_what_disturbs_is_counted(bench: Bench):
    assert at(bench, "D123;") == ["NO CARRIER"]
    assert at(bench, '+CPIN="1234"') == ["ERROR"]
    assert at(bench, "+CGACT=0,1") == ["ERROR"]
    assert at(bench, "+COPS=?") == ["ERROR"]
    assert bench.device.violations == {"dialled": 1, "pin_entered": 1, "cgact_set": 1, "operator_search": 1}


def test_keys_are_strict(bench: Bench):
    for name, value in (("signal_dbm", "-141"), ("iccid", "12"), ("cell", "xyz"), ("sim", "lost"), ("operator", 'a"b')):
        with pytest.raises(Illegal):
            bench.device.set(name, value)


def test_anything_may_arrive(bench: Bench):
    rng = random.Random(9)
    pieces = [
        b"AT",
        b"+C",
        b"=",
        b"?",
        b";",
        b'"',
        b"\r",
        b"S3",
        b"ATS99999=1\r",
        b"+CFUN",
        b"D",
        b"AT&\r",
        b"AT+\r",
        b"ATS\r",
    ]
    for _ in range(1500):
        bench.device.receive(rng.choice(pieces) + rng.randbytes(rng.randrange(3)))
        bench.clock += rng.random() / 10
        bench.device.tick()
    bench.device.power_on()
    bench.wait(2.0)
    bench.ask(b"ATE0\r")
    bench.wait(0.1)
    assert at(bench, "+CGMM") == ["EC25", "OK"]
