"""The verbs that people type: check, status, discover; their exit codes, their first lines, their time."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mqtt.broker import Rumqttd
from tests.system.stage import Agent, Sim, posdiag

CAN_SELL = "This terminal can take payments."
UNITS = {"printer", "reader", "modem", "keypad"}


@pytest.fixture
def sim(broker: Rumqttd, folder: Path) -> Iterator[Sim]:
    with Sim(folder, broker.port) as running:
        yield running


def test_check_without_a_daemon(sim: Sim) -> None:
    good = posdiag("check", "--config", str(sim.config))
    assert (good.returncode, good.stderr) == (0, "")
    assert good.stdout.splitlines()[0] == CAN_SELL
    assert "SIM-T88" in good.stdout

    sim.set(printer_paper="out", keypad_keys="missing")
    bad = posdiag("check", "--config", str(sim.config))
    assert bad.returncode == 1
    assert "security keys" in bad.stdout.splitlines()[0]
    for fault in ("keypad/keys_missing", "printer/paper_out"):
        assert fault in bad.stdout

    report = json.loads(posdiag("check", "--config", str(sim.config), "--json").stdout)
    assert {fault["fault"] for fault in report["faults"]} == {"printer/paper_out", "keypad/keys_missing"}
    assert report["verdict"]["can_sell"] == "no"
    finer = {fault["fault"]: fault["evidence"].get("specific", "") for fault in report["faults"]}
    assert "; status " in finer["printer/paper_out"]
    texts = {name: report["devices"][name]["text"] for name in ("printer", "keypad", "reader")}
    assert texts == {
        "printer": "Internal CheckHealth: paper_out",
        "keypad": "Internal CheckHealth: keys_missing",
        "reader": "Internal CheckHealth: OK",
    }

    one = posdiag("check", "--config", str(sim.config), "--device", "reader", "--json")
    assert one.returncode == 0
    assert set(json.loads(one.stdout)["devices"]) == {"reader"}

    none = posdiag("check", "--config", str(sim.config), "--device", "toaster")
    assert none.returncode == 2
    assert none.stdout == ""
    assert none.stderr.count("\n") == 1
    assert "printer" in none.stderr


def test_check_ends_in_time_however_dead_the_lines_are(sim: Sim) -> None:
    sim.apply({f"{unit}.line": "mute" for unit in UNITS} | {"network.gateway": "down"})
    for daemon in (False, True):
        agent = Agent(sim.config) if daemon else None
        try:
            if agent is not None:
                agent.until(lambda status: len(status["faults"]) >= 4, 30)
            before = time.monotonic()
            assert posdiag("--version").returncode == 0
            started = time.monotonic()
            done = posdiag("check", "--config", str(sim.config), "--json")
            start_s = started - before
            assert time.monotonic() - started < 8.5 + max(1.5, 3 * start_s), f"a process starts in {start_s:.1f} s"
            assert done.returncode == 1
            report = json.loads(done.stdout)
            silent = {f"{unit}/no_reply" for unit in UNITS}
            assert silent <= {fault["fault"] for fault in report["faults"]}
            readings = {unit: report["devices"][unit]["readings"] for unit in UNITS}
            assert readings["printer"]["paper"] == {"error": "no_reply"}
            assert readings["modem"]["sim"] == {"error": "no_reply"}
        finally:
            if agent is not None:
                agent.__exit__()


def test_check_and_status_with_a_daemon(sim: Sim) -> None:
    never = posdiag("status", "--config", str(sim.config))
    assert never.returncode == 2
    assert never.stderr.count("\n") == 1
    with Agent(sim.config) as agent:
        agent.until_healthy()
        assert posdiag("check", "--config", str(sim.config)).stdout.startswith(CAN_SELL)
        assert posdiag("check", "--config", str(sim.config)).returncode == 0
        healthy = posdiag("status", "--config", str(sim.config))
        assert healthy.returncode == 0
        assert healthy.stdout.splitlines()[0] == CAN_SELL
        assert "broker   connected" in healthy.stdout

        sim.set(printer_cover="open")
        agent.until(lambda status: status["faults"])
        for verb in ("check", "status"):
            done = posdiag(verb, "--config", str(sim.config))
            assert done.returncode == 1
            assert "cover is open" in done.stdout.splitlines()[0]
            assert "printer/cover_open" in done.stdout
        assert "\nverdict  can_sell degraded, cause printer/cover_open, act merchant, since " in done.stdout
        poi = "GlobalStatus OK, PrinterStatus OutOfOrder, CardReaderOKFlag true, PEDOKFlag true, SecurityOKFlag true"
        assert f"\npoi      {poi}, CommunicationOKFlag true\n" in done.stdout
        assert agent.status()["poi"]["PrinterStatus"] == "OutOfOrder"
        assert json.loads(posdiag("status", "--config", str(sim.config), "--json").stdout)["daemon"] == "running"
        assert sim.get("printer.violations") == 0
    stopped = posdiag("status", "--config", str(sim.config))
    assert stopped.returncode == 2
    assert "not running" in stopped.stderr
    assert "STALE" in stopped.stdout


def test_discover_finds_every_device_and_says_how_sure_it_is(sim: Sim) -> None:
    ports = [str(sim.folder / unit) for unit in sorted(UNITS)]
    done = posdiag("discover", *ports, "--json", timeout_s=55)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    rows = found["found"] if isinstance(found, dict) else found
    assert {row["unit"]: row["family"] for row in rows} == {
        "printer": "escpos",
        "reader": "crt571",
        "modem": "quectel",
        "keypad": "zt588",
    }
    assert all(row["confidence"] and row["reason"] for row in rows)
    assert sim.get("printer.output_bytes") == 0, "nothing may be printed"
    nowhere = posdiag("discover", str(sim.folder / "nowhere"))
    assert nowhere.returncode == 2
    assert nowhere.stdout + nowhere.stderr
