"""A bundle holds no card data and no secrets, whatever went into the terminal; the test finds both where the filter is off."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path

from agent.bundle import members, without_secrets
from tests.mqtt.broker import Observer, Rumqttd
from tests.system.stage import Agent, Sim, posdiag
from tests.system.test_canary import CANARIES, WITHOUT_FILTER, in_bytes, pour, stage  # noqa: F401 - stage is a fixture

VERB_WITHOUT_FILTER = """
import sys, agent.cards as cards, drivers.redact
cards.clean = drivers.redact.redact_text = lambda value, *_: value
from agent.cli import main
sys.exit(main(["bundle", "--config", sys.argv[1], "--out", sys.argv[2]]))
"""


def content(path: Path) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(path.read_bytes()), mode="r:gz") as tar:
        return {entry.name.removeprefix("posdiag/"): tar.extractfile(entry).read() for entry in tar}  # type: ignore[union-attr]


def leaks(path: Path) -> dict[str, set[str]]:
    found = {name: in_bytes(data) for name, data in content(path).items()}
    return {name: names for name, names in found.items() if names}


def test_no_canary_is_in_a_bundle(
    stage: tuple[Sim, Path],  # noqa: F811
    broker: Rumqttd,
    tmp_path: Path,
) -> None:
    _sim, config = stage
    out = tmp_path / "bundle.tar.gz"
    with Observer(broker.port) as observer, Agent(config) as agent:
        pour(_sim, agent, observer)
        made = posdiag("bundle", "--config", str(config), "--out", str(out))
        assert made.returncode == 0, made.stderr
        assert leaks(out) == {}
        lines = json.loads(content(out)["lines.json"])
        assert lines.keys() == {"printer", "reader", "modem"}  # a keypad's line carries what is typed
        assert any(way == "to_device" for _ms, way, _data in lines["printer"])
        assert b"OK" in content(out)["lines.json"]


def test_without_the_filter_they_are_found(
    stage: tuple[Sim, Path],  # noqa: F811
    broker: Rumqttd,
    tmp_path: Path,
) -> None:
    sim, config = stage
    out = tmp_path / "bundle.tar.gz"
    before = (sys.executable, "-P", "-c", WITHOUT_FILTER)
    with Observer(broker.port) as observer, Agent(config, before=before) as agent:
        agent.until(lambda status: status["connected"])
        pour(sim, agent, observer)
        verb = [sys.executable, "-P", "-c", VERB_WITHOUT_FILTER, str(config), str(out)]
        assert subprocess.run(verb, check=False).returncode == 0
        found = leaks(out)
    assert {"printer's text", "modem's text", "case", "configured channel"} <= found["status.json"]
    assert {"configured channel", "configured port's name"} <= found["config.json"]


def test_what_is_secret_is_hidden() -> None:
    values = {
        "username": "till",
        "password_file": "/etc/p",
        "options": {"sim_pin": "1234", "api_key": "k", "pins": 3, "puk": 12345678, "token": ""},
        "url": "mqtts://user:word@broker.test:8883",
        "list": [{"secret": "s"}, "http://a@b/c"],
        "keyboard": True,
    }
    assert without_secrets(values) == {
        "username": "<hidden>",
        "password_file": "/etc/p",
        "options": {"sim_pin": "<hidden>", "api_key": "<hidden>", "pins": 3, "puk": "<hidden>", "token": ""},
        "url": "mqtts://<hidden>@broker.test:8883",
        "list": [{"secret": "<hidden>"}, "http://<hidden>@b/c"],
        "keyboard": True,
    }


def test_a_configuration_that_cannot_be_read_is_told_without_its_values(tmp_path: Path) -> None:
    bad = tmp_path / "agent.toml"
    bad.write_text(f"[terminal]\nid = {CANARIES['case']}x\n")
    assert in_bytes(members(bad, {})["config.txt"]) == set()
    assert b"not TOML" in members(bad, {})["config.txt"]


def test_the_merchants_page_stays_with_the_merchant(tmp_path: Path) -> None:
    case = {"case": "C-1042", "link": "https://pos.example.org/m/3q2pXv0Zb8aQf1Yk6hT9sL"}
    told = json.loads(members(tmp_path / "none.toml", {"status": {"case": case}})["status.json"])
    assert told["case"] == {"case": "C-1042", "link": "https://pos.example.org/m/<hidden>"}
