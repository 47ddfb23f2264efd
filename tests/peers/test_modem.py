"""gammu, gnokii and python-gsmmodem-new against the simulated modem: identity, SIM, signal, registration.

Each looks at a modem in its own way; what it asked and was answered is seen at the line, what it concluded in its output.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from simulator.terminal import Terminal
from tests.peers.peer import Client, run
from tests.peers.tap import Tap
from tests.wait import wait_until

pytestmark = pytest.mark.peers

IMEI = "001010010025011"
IMSI = "001010123456789"
PLACE = '"1A2D","0075A30B",7'
# -85 dBm RSRP is -58 dBm over the band, (-58 + 113) / 2 = 27; -125 is -98, hence 7
GOOD, WEAK = 27, 7


@pytest.fixture
def tap(pos_terminal: Terminal) -> Iterator[Tap]:
    with Tap(pos_terminal.path("modem")) as tap:
        yield tap
    assert pos_terminal.violations() == {}


def change(terminal: Terminal, tap: Tap, keys: dict[str, object]) -> None:
    """Set keys. A SIM that changes is told unasked, which whoever asks something meanwhile takes for the answer."""
    tap.take()
    terminal.set(keys)
    if "modem.sim" in keys:
        wait_until(lambda: re.search(rb"\+CPIN: [^\r]+\r\n", tap.answered))


def answer_to(tap: Tap, command: str) -> str:
    """The last answer to one command, without the line feeds around its lines."""
    assert f"AT{command}\r".encode() in tap.asked, command
    answers = re.findall(
        rf"AT{re.escape(command)}\r\r\n(.*?(?:OK|ERROR|ERROR: \d+))\r\n", tap.answered.decode(), re.DOTALL
    )
    return re.sub(r"\r\n(\r\n)?", "|", answers[-1])


@pytest.fixture
def gammu(tap: Tap, tmp_path: Path) -> Callable[[str], tuple[int, dict[str, str]]]:
    settings = tmp_path / "gammurc"
    settings.write_text(f"[gammu]\ndevice = {tap.path}\nconnection = at115200\n")

    def ask(verb: str) -> tuple[int, dict[str, str]]:
        tap.take()
        done = run("gammu", "-c", settings, verb)
        lines = (line.partition(":") for line in done.stdout.splitlines())
        return done.returncode, {name.strip(): text.strip().strip('"') for name, _, text in lines}

    return ask


def test_gammu_identifies_the_modem_with_and_without_a_sim(pos_terminal: Terminal, tap: Tap, gammu) -> None:
    code, told = gammu("--identify")
    assert code == 0
    assert told["Manufacturer"] == "Quectel"
    assert told["Model"] == "unknown (EC25)"
    assert told["Firmware"] == "EC25EFAR06SIM01"
    assert told["IMEI"] == IMEI
    assert told["SIM IMSI"] == IMSI
    assert answer_to(tap, "+CGMI") == "Quectel|OK"
    assert answer_to(tap, "+CIMI") == f"{IMSI}|OK"

    change(pos_terminal, tap, {"modem.sim": "absent"})
    code, told = gammu("--identify")
    assert code != 0
    assert told["IMEI"] == IMEI
    assert "Can not access SIM card." in told
    assert "SIM IMSI" not in told
    assert answer_to(tap, "+CIMI") == "+CME ERROR: 10"


@pytest.mark.parametrize(
    ("keys", "stat", "state", "gprs"),
    [
        ({}, f"1,{PLACE}", "home network", "attached"),
        ({"modem.registration": "roaming"}, f"5,{PLACE}", "roaming network", "attached"),
        ({"modem.registration": "searching"}, "2", "requesting network", "detached"),
        ({"modem.registration": "denied"}, "3", "registration to network denied", "detached"),
        ({"modem.sim": "absent"}, "0", "not logged into network", "detached"),
    ],
    ids=["home", "roaming", "searching", "denied", "no_sim"],
)
def test_gammu_tells_the_registration(pos_terminal: Terminal, tap: Tap, gammu, keys, stat, state, gprs) -> None:
    change(pos_terminal, tap, keys)
    code, told = gammu("--networkinfo")
    assert code == 0
    assert told["Network state"] == told["Packet network state"] == state
    assert told["GPRS"] == gprs
    assert answer_to(tap, "+CREG?") == f"+CREG: 2,{stat}|OK"
    assert answer_to(tap, "+CGREG?") == f"+CGREG: 2,{stat}|OK"
    if gprs == "attached":
        assert told["Network"] == "001 01 (TEST, unknown), LAC 1A2D, CID 0075A30B"
        assert told["Name in phone"] == "Posdiag Test"
        assert answer_to(tap, "+COPS?") == '+COPS: 0,0,"Posdiag Test",7|OK'
    else:
        assert "Network" not in told


@pytest.fixture
def gnokii(tap: Tap, tmp_path: Path) -> Callable[..., dict[str, str]]:
    settings = tmp_path / "gnokiirc"
    settings.write_text(
        f"[global]\nport = {tap.path}\nmodel = AT\nconnection = serial\nserial_baudrate = 115200\nuse_locking = no\n"
    )

    def ask(*words: str) -> dict[str, str]:
        tap.take()
        done = run("gnokii", "--config", settings, *words, env={"HOME": str(tmp_path)})
        lines = (line.partition(":") for line in done.stdout.splitlines())
        return {name.strip(): text.strip() for name, _, text in lines}

    return ask


def test_gnokii_identifies_the_modem(tap: Tap, gnokii) -> None:
    told = gnokii("--identify")
    assert told["IMEI"] == IMEI
    assert told["Manufacturer"] == "Quectel"
    assert told["Model"] == "EC25"
    assert told["Revision"] == "EC25EFAR06SIM01"
    assert answer_to(tap, "+CGSN") == f"{IMEI}|OK"


@pytest.mark.parametrize(
    ("keys", "stat", "network", "place", "signal"),
    [
        ({}, f"1,{PLACE}", "001 01", "1a2d (6701), CellID: 0075a30b (7709451)", GOOD),
        ({"modem.registration": "roaming"}, f"5,{PLACE}", "001 01", "1a2d (6701), CellID: 0075a30b (7709451)", GOOD),
        ({"modem.signal_dbm": -125}, f"1,{PLACE}", "001 01", "1a2d (6701), CellID: 0075a30b (7709451)", WEAK),
        ({"modem.registration": "searching"}, "2", "", "0000 (0), CellID: 00000000 (0)", GOOD),
        ({"modem.registration": "denied"}, "3", "", "0000 (0), CellID: 00000000 (0)", GOOD),
        ({"modem.sim": "absent"}, "0", "", "0000 (0), CellID: 00000000 (0)", GOOD),
    ],
    ids=["home", "roaming", "weak", "searching", "denied", "no_sim"],
)
def test_gnokii_monitors_place_and_signal(
    pos_terminal: Terminal, tap: Tap, gnokii, keys, stat, network, place, signal
) -> None:
    change(pos_terminal, tap, keys)
    told = gnokii("--monitor", "once")
    assert told["Network"] == f"unknown, unknown ({network})"
    assert told["LAC"] == place
    assert told["RFLevel"] == str(signal)
    assert answer_to(tap, "+CREG?") == f"+CREG: 2,{stat}|OK"
    assert answer_to(tap, "+CSQ") == f"+CSQ: {signal},99|OK"


def test_gsmmodem_follows_what_changes_while_it_is_connected(pos_terminal: Terminal, tap: Tap) -> None:
    with Client("gsmmodem_client.py", tap.path) as client:
        client.ask("connect")
        assert b"AT+CPIN?\r" in tap.asked
        assert b"+CPIN: READY" in tap.answered
        assert client.ask("manufacturer") == "Quectel"
        assert client.ask("model") == "EC25"
        assert client.ask("revision") == "EC25EFAR06SIM01"
        assert client.ask("imei") == IMEI
        assert client.ask("imsi") == IMSI
        assert client.ask("networkName") == "Posdiag Test"
        assert client.ask("signalStrength") == GOOD

        # it switched echo off, so an answer stands without its question
        steps = [
            ({"modem.signal_dbm": -125}, "signalStrength", WEAK, "+CSQ", f"+CSQ: {WEAK},99"),
            ({"modem.registration": "searching"}, "networkName", None, "+COPS?", "+COPS: 0\r"),
            ({"modem.registration": "denied"}, "networkName", None, "+COPS?", "+COPS: 0\r"),
            (
                {"modem.registration": "roaming", "modem.operator": "Elsewhere"},
                "networkName",
                "Elsewhere",
                "+COPS?",
                '+COPS: 0,0,"Elsewhere",7',
            ),
        ]
        for keys, name, told, question, answer in steps:
            pos_terminal.set(keys)
            tap.take()
            assert client.ask(name) == told, keys
            asked, answered = tap.take()
            assert asked == f"AT{question}\r".encode()
            assert answer.encode() in answered
        client.ask("close")


@pytest.mark.parametrize(
    ("sim", "refusal", "why"),
    [
        ("absent", b"+CME ERROR: 10", "CmeError"),
        ("failure", b"+CME ERROR: 13", "CmeError"),
        ("pin", b"+CPIN: SIM PIN", "PinRequiredError"),
        ("puk", b"+CPIN: SIM PUK", "PinRequiredError"),
    ],
)
def test_gsmmodem_refuses_a_modem_without_a_usable_sim(
    pos_terminal: Terminal, tap: Tap, sim: str, refusal: bytes, why: str
) -> None:
    change(pos_terminal, tap, {"modem.sim": sim})
    with Client("gsmmodem_client.py", tap.path) as client, pytest.raises(AssertionError, match=why):
        client.ask("connect")
    assert b"AT+CPIN?\r" in tap.asked
    assert refusal in tap.answered
