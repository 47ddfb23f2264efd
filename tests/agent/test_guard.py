"""The guard and its probe: what is remembered over restarts, who may clear it, and what the terminal's files say."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.certificate import from_pem
from agent.config import Config, DeviceConfig, MqttConfig, NetworkConfig, PathsConfig, SecurityConfig, TerminalConfig
from agent.guard import Guard
from agent.probes.security import SecurityProbe
from drivers.reading import Cause, Identity, known, unknown
from tests.agent.test_certificate import make

PAD = Identity(model="L100", serial="4711", firmware="V1.02")
OTHER = replace(PAD, serial="9999")


class Terminal:
    """A guard and its probe over a folder of files; `restart` keeps what the store would keep."""

    def __init__(self, root: Path, **network: object) -> None:
        self.root = root
        self.now, self.wall = 1000.0, 1_800_000_000.0
        self.events: list[tuple[str, dict]] = []
        self.text = ""
        (root / "class/gpio").mkdir(parents=True)
        self.switch = root / "class/gpio/value"
        self.switch.write_text("0\n")
        self.config_file = root / "agent.toml"
        self.config_file.write_text("")
        self.config = Config(
            terminal=TerminalConfig(id="till-1", estate="north"),
            mqtt=MqttConfig(url="mqtts://b:8883"),
            device=(DeviceConfig(name="keypad", family="smartpin", port="/dev/x"),),
            network=NetworkConfig(**network),
            security=SecurityConfig(case_switch=str(self.switch)),
            paths=PathsConfig(sys=str(root), proc=str(root / "proc")),
        )
        self.localtime = root / "localtime"
        self.localtime.symlink_to("/usr/share/zoneinfo/Asia/Shanghai")
        self.restart()

    def restart(self) -> None:
        if hasattr(self, "guard"):
            self.text = self.guard.state()
        self.guard = Guard("till-1", self.text, lambda name, data: self.events.append((name, data)), lambda: self.wall)
        self.probe = SecurityProbe(
            self.config,
            self.guard,
            {"keypad": "smartpin"},
            config_file=self.config_file,
            clock=lambda: self.now,
            wall=lambda: self.wall,
            localtime=str(self.localtime),
        )

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.wall += seconds

    def look(self) -> dict[str, object]:
        found = self.probe.run()
        return {name: r.value if r.value is not None else f"?{r.unknown}" for name, r in found.items()}

    def files(self) -> dict[str, object]:
        self.pass_time(3600)
        return self.look()

    def identify(self, identity: Identity) -> object:
        while self.guard.identified("keypad", "smartpin", identity):
            pass
        return self.look()["keypad.part"]

    def names(self) -> list[str]:
        return [name for name, _ in self.events]


@pytest.fixture
def till(tmp_path):
    return Terminal(tmp_path)


# --- parts and visits


def test_an_exchanged_part_stands_until_somebody_inspected_it_on_an_announced_visit(till):
    assert till.look()["keypad.part"] == "?not_asked"
    assert till.identify(PAD) == "same"
    assert till.identify(OTHER) == "other"
    assert till.look()["keypad.changed"] == "serial"
    till.guard.open_work_order(till.wall + 3600, "center")
    assert till.identify(OTHER) == "other", "a visit announced from afar clears nothing"
    till.restart()
    assert till.look()["keypad.part"] == "?not_asked"
    assert till.identify(OTHER) == "other"
    assert till.guard.inspected() == {"parts": ["keypad"], "case_opened": False}
    assert till.look()["keypad.part"] == "same"
    assert till.names() == ["device.swapped", "work_order.opened", "inspection"]
    assert till.events[0][1]["announced"] is False


def test_a_part_exchanged_on_a_visit_is_the_right_one_and_stands_in_the_log(till):
    till.identify(PAD)
    till.guard.open_work_order(till.wall + 3600, "terminal")
    assert till.identify(OTHER) == "same"
    assert till.events[-1] == (
        "device.swapped",
        {"device": "keypad", "changed": till.events[-1][1]["changed"], "announced": True},
    )
    till.pass_time(3601)
    assert not till.guard.expecting
    assert till.identify(PAD) == "other"


def test_nobody_inspects_without_a_work_order(till):
    till.switch.write_text("1\n")
    assert till.look()["case"] == "open"
    with pytest.raises(ValueError, match="no work order"):
        till.guard.inspected()
    assert till.look()["case"] == "open"


def test_the_center_ends_only_its_own_work_order_and_a_repeated_message_is_no_news(till):
    till.guard.open_work_order(till.wall + 3600, "terminal")
    till.guard.close_work_order("center")
    assert till.guard.expecting
    till.guard.close_work_order("terminal")
    until = till.wall + 3600
    for _ in range(3):
        till.guard.open_work_order(until, "center")
    till.restart()
    assert till.guard.expecting
    till.guard.close_work_order("center")
    till.guard.close_work_order("center")
    assert not till.guard.expecting
    assert till.names() == ["work_order.opened", "work_order.closed"] * 2


def test_firmware_that_an_updater_told_of_is_no_exchange(till):
    till.identify(PAD)
    told = till.guard.update({"update": known("SUE_UF_COMPLETE"), "device": known("keypad")})
    assert told == {"update": known("complete"), "update_device": known("keypad")}
    assert till.identify(replace(PAD, firmware="V1.03")) == "same"
    till.pass_time(86_401)
    assert till.identify(replace(PAD, firmware="V1.04")) == "other"
    assert ("firmware.update", {"outcome": "complete", "device": "keypad"}) in till.events


def test_what_is_no_outcome_opens_nothing(till):
    till.identify(PAD)
    assert till.guard.update({"update": known("hello")}) == {}
    assert till.guard.update({"other": known("complete")}) == {}
    assert till.identify(replace(PAD, firmware="V1.03")) == "other"


@pytest.mark.parametrize(
    "text", ["", "nonsense", "[]", '{"parts": 5, "place": [], "order": {"until": "x"}, "case_opened": "yes"}']
)
def test_damaged_memory_counts_as_none(text):
    guard = Guard("t", text, lambda _name, _data: None, lambda: 0.0)
    assert not guard.expecting
    assert guard.case(known("closed")) == {"case": known("closed")}


# --- the case


def test_an_opened_case_stays_opened_over_closing_and_restarts_until_it_was_inspected(till):
    assert till.look()["case"] == "closed"
    till.switch.write_text("1\n")
    assert till.look()["case"] == "open"
    assert till.look()["case"] == "open"
    till.switch.write_text("0\n")
    assert till.look()["case"] == "opened"
    till.restart()
    assert till.look()["case"] == "opened"
    till.guard.open_work_order(till.wall + 60, "center")
    assert till.look()["case"] == "opened"
    assert till.guard.inspected()["case_opened"] is True
    assert till.look()["case"] == "closed"
    assert till.names() == ["case.opened", "work_order.opened", "inspection"]


def test_a_case_that_is_open_at_its_inspection_is_open_after_it(till):
    till.switch.write_text("1\n")
    till.look()
    till.guard.open_work_order(till.wall + 60, "terminal")
    till.guard.inspected()
    assert till.look()["case"] == "open"
    till.switch.write_text("0\n")
    assert till.look()["case"] == "opened"


def test_a_switch_that_cannot_be_read_is_unknown_and_closes_nothing(till):
    till.switch.write_text("1\n")
    till.look()
    till.switch.unlink()
    assert till.look()["case"] == f"?{Cause.FAILED}"
    till.switch.write_text("x\n")
    assert till.look()["case"] == f"?{Cause.BAD_REPLY}"
    till.switch.write_text("0\n")
    assert till.look()["case"] == "opened"


def test_a_switch_may_be_wired_the_other_way_round_or_not_at_all(till):
    till.config = replace(till.config, security=replace(till.config.security, case_open_value="0"))
    till.restart()
    assert till.look()["case"] == "open"
    till.config = replace(till.config, security=SecurityConfig())
    till.restart()
    assert "case" not in till.look()


# --- passwords and certificates


def test_the_password_and_who_may_read_it(till, tmp_path):
    assert (till.look()["password"], till.files()["password_why"]) == ("ok", "none")
    password, key = tmp_path / "password", tmp_path / "key.pem"
    password.write_text("Till-1\n")
    key.write_text("")
    password.chmod(0o600)
    key.chmod(0o600)
    till.config = replace(till.config, mqtt=replace(till.config.mqtt, password_file=str(password), key_file=str(key)))
    till.restart()
    assert (till.look()["password"], till.files()["password_why"]) == ("weak", "name")
    password.write_text("a long enough secret")
    assert till.files()["password"] == "ok"
    password.chmod(0o644)
    assert till.files()["password_why"] == "password_file_open"
    password.chmod(0o640)
    key.chmod(0o604)
    assert till.files()["password_why"] == "key_file_open"
    key.chmod(0o600)
    till.config_file.chmod(0o646)
    assert till.files()["password_why"] == "config_writable"
    till.config_file.chmod(0o644)
    assert (till.files()["password"], till.files()["password_why"]) == ("ok", "none")


def test_files_are_read_hourly_and_the_secret_leaves_in_no_reading(till, tmp_path):
    password = tmp_path / "password"
    password.write_text("changeme")
    password.chmod(0o600)
    till.config = replace(till.config, mqtt=replace(till.config.mqtt, password_file=str(password)))
    till.restart()
    assert "changeme" not in str(till.look())
    till.pass_time(60)
    assert "password" not in till.look()


def utc(seconds: float):
    return datetime.fromtimestamp(seconds, UTC)


def test_the_certificate_that_ends_first_is_told_and_a_bundle_is_as_good_as_its_best(till, tmp_path):
    day = 86_400
    assert till.look()["certificate"] == "?unsupported"
    own, bundle = tmp_path / "own.pem", tmp_path / "ca.pem"
    own.write_bytes(make(utc(till.wall - 300 * day), utc(till.wall + 30 * day)))
    bundle.write_bytes(
        make(utc(till.wall - 900 * day), utc(till.wall - day)) + make(utc(till.wall - day), utc(till.wall + 900 * day))
    )
    assert len(from_pem(bundle.read_bytes())) == 2
    till.config = replace(till.config, mqtt=replace(till.config.mqtt, cert_file=str(own), ca_file=str(bundle)))
    till.restart()
    found = till.look()
    assert (found["certificate"], found["certificate_days"], found["certificate_of"]) == ("ok", 30.0, "mqtt.cert_file")
    till.pass_time(17 * day)
    found = till.files()
    assert (found["certificate"], found["certificate_of"]) == ("expiring", "mqtt.cert_file")
    own.write_bytes(b"nonsense")
    assert till.files()["certificate_of"] == "mqtt.ca_file"
    bundle.unlink()
    assert till.files()["certificate"] == f"?{Cause.FAILED}"


# --- the place

ARP = """IP address       HW type     Flags       HW address            Mask     Device
192.168.7.1      0x1         0x2         02:00:5e:10:00:99     *        eth0
"""
ROUTES = """Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT
eth0\t00000000\t0107A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0
eth0\t0007A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0
"""


def wire_up(till: Terminal, arp: str = ARP) -> None:
    (till.root / "proc/net").mkdir(parents=True, exist_ok=True)
    (till.root / "proc/net/route").write_text(ROUTES)
    (till.root / "proc/net/arp").write_text(arp)


MODEM = {"registration": known("home"), "cell": known("0A1B2C3D"), "tac": known("1F2E"), "operator": known("46000")}


def live(till: Terminal, hours: float, modem=MODEM) -> dict[str, object]:
    """Let it run with a poll of the modem each five minutes; returns the last readings of the place."""
    found: dict[str, object] = {}
    for _ in range(round(hours * 12)):
        till.guard.modem(modem)
        till.pass_time(300)
        found = {**found, **till.look()}
    return found


def test_the_place_is_learned_from_cable_and_modem_and_a_move_is_told_with_its_parts(till):
    wire_up(till)
    assert live(till, 10)["place"] == f"?{Cause.LEARNING}"
    assert live(till, 65)["place"] == "home"
    till.restart()
    assert live(till, 1)["place_parts"] == "none"
    wire_up(till, ARP.replace("02:00:5e:10:00:99", "02:00:5e:10:00:01"))
    moved = {**MODEM, "cell": known("0FFFFFFF"), "tac": known("FFFF")}
    found = live(till, 3, moved)
    assert (found["place"], found["place_score"]) == ("elsewhere", 90)
    assert found["place_parts"] == "cell 35, area 30, gateway 25"
    till.restart()
    assert live(till, 0.2, moved)["place"] == "elsewhere"
    till.guard.open_work_order(till.wall + 3600, "center")
    assert live(till, 0.2, moved)["place"] == f"?{Cause.LEARNING}", "the new place is meant"
    assert till.names()[-1] == "place.learning"


def test_a_modem_without_a_network_says_nothing_of_the_place(till):
    wire_up(till)
    live(till, 75)
    lost = {"registration": known("searching"), "cell": known("0FFFFFFF"), "tac": known("FFFF")}
    wire_up(till, ARP.replace("02:00:5e:10:00:99", "02:00:5e:10:00:01"))
    assert live(till, 5, lost)["place_score"] == 25
    assert live(till, 5, {"registration": unknown("no_reply"), **MODEM})["place_score"] == 0, "the cell vouches for it"


def test_behind_its_own_modem_the_gateway_and_the_network_say_nothing(tmp_path):
    till = Terminal(tmp_path, bearer="modem")
    wire_up(till)
    live(till, 75)
    wire_up(till, ARP.replace("02:00:5e:10:00:99", "02:00:5e:10:00:01"))
    assert live(till, 5)["place_parts"] == "none"


def test_a_time_zone_alone_tells_no_places_apart(tmp_path):
    till = Terminal(tmp_path, bearer="modem")
    assert live(till, 80, {"registration": known("none")})["place"] == f"?{Cause.UNSUPPORTED}"


def test_a_mobile_terminal_has_no_place():
    guard = Guard("t", "", lambda _name, _data: None, lambda: 0.0, mobile=True)
    assert guard.place({"zone": "x"}, 0.1)["place"] == unknown(Cause.UNSUPPORTED)
