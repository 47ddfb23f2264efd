"""Help without a network: the slip from the real daemon, looked at on paper, and what stands in for it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import zxingcpp
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from PIL import Image

from tests.mqtt.broker import Observer, Rumqttd
from tests.system.stage import Agent, Sim, ask_socket, posdiag, raised
from tests.wait import wait_until

SUPPORT = "400-820-8820"


@dataclass
class Shop:
    """A terminal whose broker is not there."""

    sim: Sim
    config: Path

    def slip(self, *words: str) -> Any:
        return posdiag("slip", "--config", str(self.config), *words)

    def paper(self) -> bytes:
        self.sim.get("printer.output_bytes")
        path = Path(self.sim.get("printer.output"))
        return path.read_bytes() if path.exists() else b""

    def code_on_paper(self) -> str:
        """What a phone reads from the last slip."""
        picture = self.sim.folder / "slip.png"
        done = posdiag("sim", "slip", str(self.sim.folder), "--png", str(picture))
        assert done.returncode == 0, done.stderr
        with Image.open(picture) as image:
            [found] = zxingcpp.read_barcodes(image)
        return found.text


@pytest.fixture
def shop(folder: Path) -> Iterator[Shop]:
    with Sim(folder, 1, "--seed", "83") as sim:
        config = sim.write_config(
            add=f'[support]\nchannel = "{SUPPORT}"\n',
            change=lambda text: text.replace("[terminal]", '[terminal]\nlanguage = "zh"', 1),
        )
        yield Shop(sim, config)


@pytest.fixture
def agent(shop: Shop) -> Iterator[Agent]:
    with Agent(shop.config) as agent:
        agent.until(lambda status: status["verdict"]["can_sell"] in ("yes", "degraded"))
        yield agent


def scan(code: str, key: str) -> dict[str, Any]:
    done = posdiag("center", "scan", code, "--key", key, "--json")
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def test_a_slip_is_printed_and_its_code_tells_the_center_everything(shop: Shop, agent: Agent):
    shop.sim.set(reader_card="jammed")
    status = agent.until(lambda s: s["verdict"]["cause"] == "reader/card_jam" and s["help_code"], 30)
    number = status["case"]["local"]
    assert status["guidance"]["language"] == "zh"
    assert status["guidance"]["steps"]

    done = shop.slip()
    assert done.returncode == 0, done.stderr
    assert number in done.stdout
    text = posdiag("sim", "slip", str(shop.sim.folder)).stdout
    for part in (status["guidance"]["title"], number, SUPPORT):
        assert part in text

    key = (shop.sim.folder / "state" / "report.pub").read_text()
    report = scan(shop.code_on_paper(), key)
    assert report["signature"] == "verified"
    assert (report["terminal"], report["case"]) == ("demo/sim-83", number)
    assert report["verdict"]["cause"] == "reader/card_jam"
    assert scan(status["help_code"], key)["case"] == number

    secret = shop.sim.folder / "state" / "report.key"
    assert secret.stat().st_mode & 0o777 == 0o600
    everything = shop.paper().decode("gb18030", "replace") + json.dumps(agent.status()) + agent.said()
    assert secret.read_text() not in everything


def test_a_printer_that_is_the_fault_leaves_the_screen(shop: Shop, agent: Agent):
    shop.sim.set(printer_paper="out")
    status = agent.until(lambda s: s["verdict"]["cause"] == "printer/paper_out" and s["help_code"], 30)
    done = shop.slip()
    assert done.returncode == 1
    assert "offline" in done.stderr
    assert status["guidance"]["title"] in done.stdout
    assert status["case"]["local"] in done.stdout
    assert "█▀▀▀▀▀█" in done.stdout.replace("▄", "▀")
    assert shop.paper() == b""
    shown = posdiag("status", "--config", str(shop.config))
    assert status["guidance"]["steps"][0] in shown.stdout
    assert shown.stdout.count("█") > 200

    shop.sim.set(printer_paper="ok", reader_card="jammed")
    agent.until(lambda s: s["verdict"]["cause"] == "reader/card_jam" and "printer/paper_out" not in raised(s))
    assert posdiag("status", "--config", str(shop.config)).stdout.count("█") == 0


def test_nothing_is_printed_during_a_sale(shop: Shop, agent: Agent):
    shop.sim.set(system_sale="yes")
    done = shop.slip()
    assert done.returncode == 1
    assert "sale" in done.stderr
    assert shop.paper() == b""
    shop.sim.set(system_sale="no")
    wait_until(lambda: shop.slip().returncode == 0)


def test_text_png_and_json_print_nothing(shop: Shop, agent: Agent):
    shop.sim.set(reader_card="jammed")
    agent.until(lambda s: s["verdict"]["cause"] == "reader/card_jam")
    picture = shop.sim.folder / "code.png"
    assert SUPPORT in shop.slip("--text").stdout
    told = json.loads(shop.slip("--text", "--json").stdout)
    assert (told["printed"], told["why"]) == (False, "")
    assert shop.slip("--png", str(picture)).returncode == 0
    with Image.open(picture) as image:
        [found] = zxingcpp.read_barcodes(image)
    assert posdiag("center", "scan", found.text).returncode == 0
    assert shop.paper() == b""


def test_without_a_daemon_it_prints_all_the_same_under_the_same_number(shop: Shop):
    shop.sim.set(reader_card="jammed")
    done = shop.slip()
    assert done.returncode == 0, done.stderr
    number = done.stdout.split()[-1]
    report = scan(shop.code_on_paper(), (shop.sim.folder / "state" / "report.pub").read_text())
    assert (report["case"], report["verdict"]["cause"], report["boot"]) == (number, "reader/card_jam", None)
    with Agent(shop.config) as agent:
        status = agent.until(lambda s: s["verdict"]["cause"] == "reader/card_jam")
        assert status["case"]["local"] == number

    before = shop.paper()
    shop.sim.set(system_sale="yes")
    done = shop.slip()
    assert (done.returncode, "sale" in done.stderr) == (1, True)
    assert shop.paper() == before


def test_the_number_and_the_key_outlive_a_restart(shop: Shop):
    shop.sim.set(reader_card="jammed")
    seen = []
    for _ in range(2):
        (shop.sim.run_dir / "status.json").unlink(missing_ok=True)
        with Agent(shop.config) as agent:
            status = agent.until(lambda s: s["verdict"]["cause"] == "reader/card_jam" and s["help_code"], 30)
            key = (shop.sim.folder / "state" / "report.pub").read_text()
            seen.append((status["case"]["local"], key))
            scan(status["help_code"], key)
    assert seen[0] == seen[1]


def test_what_no_longer_stands_has_no_code(shop: Shop, agent: Agent):
    shop.sim.set(reader_card="jammed")
    status = agent.until(lambda s: s["verdict"]["cause"] == "reader/card_jam" and s["help_code"], 30)
    shop.sim.set(keypad_keys="missing")
    later = agent.until(lambda s: len(s["faults"]) > len(status["faults"]))
    assert later["help_code"] == ""
    agent.until(lambda s: s["help_code"] not in ("", status["help_code"]), 40)


def test_requests_over_the_control_socket(shop: Shop, agent: Agent):
    path = shop.config.parent / "run" / "control.sock"
    told = ask_socket(path, {"cmd": "help"})["ok"]
    assert told["code"].startswith("POSDIAG1-")
    assert "print_slip" in ask_socket(path, {"cmd": "nothing"})["error"]
    assert ask_socket(path, {"cmd": "print_slip"})["ok"]["device"] == "printer"


def test_a_command_prints_it_and_the_inventory_tells_the_key(folder: Path, broker: Rumqttd, observer: Observer):
    with Sim(folder, broker.port, "--seed", "84") as sim, Agent(sim.config) as agent:
        agent.until_healthy()
        wait_until((sim.folder / "state" / "report.pub").exists, 30)
        key = (sim.folder / "state" / "report.pub").read_text()
        wait_until(lambda: observer.of("inventory") and observer.of("inventory")[-1]["agent"]["report_key"] == key)
        assert "print_slip" in observer.of("inventory")[-1]["commands"]

        now = int(time.time())
        for tier, jti in ((0, "print-too-low"), (1, "print-allowed")):
            body = {"iss": "desk-1", "aud": "demo/sim-84", "jti": jti, "nbf": now - 5, "exp": now + 60}
            properties = Properties(PacketTypes.PUBLISH)
            properties.ResponseTopic = f"{agent.base}/result/{jti}"
            properties.CorrelationData = jti.encode()
            payload = json.dumps({**body, "cmd": "print_slip", "args": {}, "tier": tier}).encode()
            observer.publish(f"{agent.base}/command", payload, properties)
        last = wait_until(
            lambda: len(observer.of("result/print-allowed")) == 3 and observer.of("result/print-allowed"), 30
        )
        assert [step["state"] for step in last] == ["accepted", "running", "succeeded"]
        assert last[-1]["output"] == {"device": "printer", "case": ""}
        assert [step["state"] for step in observer.of("result/print-too-low")] == ["rejected"]
        assert "TERMINAL HELP SLIP" in posdiag("sim", "slip", str(sim.folder)).stdout
