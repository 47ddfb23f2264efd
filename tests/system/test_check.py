"""`posdiag check`, beside a daemon and without one: what hangs, rests, is lent, or is too much for one message."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from agent.cli import main
from tests.agent.test_nut import Server, listing
from tests.mqtt.broker import Observer, Rumqttd
from tests.system.desk import GOOD, Desk, states
from tests.system.stage import Agent, Process, Sim, ask_socket, posdiag, raised
from tests.system.test_ports import Tap
from tests.wait import wait_until

UNITS = {"printer", "reader", "modem", "keypad"}
TEN = {
    "printer.cutter": "error",
    "printer.head": "hot",
    "reader.card": "jammed",
    "reader.sensor": "error",
    "keypad.battery": "low",
    "modem.registration": "denied",
    "modem.temperature_c": 95,
    "modem.signal_dbm": -122,
    "system.payment_app": "down",
    "power.battery_health": 20,
    "power.temperature_c": 80,
    "network.portal": "yes",
}


@pytest.fixture(scope="module")
def sim(broker: Rumqttd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sim]:
    with Sim(tmp_path_factory.mktemp("pos"), broker.port) as running:
        yield running


@contextmanager
def set_to(sim: Sim, values: Mapping[str, object]) -> Iterator[None]:
    """The terminal is so for a while."""
    before = {key: sim.get(key) for key in values}
    sim.apply(values)
    try:
        yield
    finally:
        sim.apply(before)


def check(config: Path, *words: str) -> dict[str, Any]:
    """The report as JSON."""
    done = posdiag("check", "--config", str(config), "--json", *words)
    assert done.returncode in {0, 1}, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def test_a_port_that_hangs_is_unknown_and_the_others_answer(sim: Sim, observer: Observer) -> None:
    """The modem was restarted and does not come back: for half a minute its worker does nothing but wait for it."""
    path = sim.folder / "tap-modem"
    with Tap(sim.folder / "modem", path) as tap:
        config = sim.write_config("hung.toml", change=lambda text: text.replace(str(sim.folder / "modem"), str(path)))
        with Agent(config) as agent:
            agent.until_healthy()
            desk = Desk(agent, observer)
            desk.send(desk.body("recover", args={"device": "modem"}, tier=2))
            wait_until(lambda: any(b"CFUN=1,1" in data for data in tap.since(0)))
            wait_until(lambda: time.monotonic() > tap.written[-1][0] + 1.5)  # it has said OK, and is let start in peace
            asks = [partial(check, config)] * 2
            for cmd in ("identify", "statistics"):
                asks.append(partial(ask_socket, agent.run_dir / "control.sock", {"cmd": cmd}))
            with set_to(sim, {"modem.line": "mute"}), ThreadPoolExecutor() as pool:
                began = time.monotonic()
                report, again, identified, counted = pool.map(lambda ask: ask(), asks)
                assert time.monotonic() - began < 25, "one after the other it would be 28 s"
    assert report["took_ms"] < 13_000, "one check after the other it would be 14 s"
    modem = report["devices"]["modem"]
    busy = "modem was busy for more than 7 s"
    assert modem["text"] == again["devices"]["modem"]["text"] == busy
    assert identified["ok"]["modem"] == counted["ok"]["modem"] == {"error": "no_reply", "text": busy}
    assert identified["ok"]["printer"].items() <= counted["ok"]["printer"].items()
    assert counted["ok"]["keypad"] == {"error": "unsupported", "text": "zt588 keeps no statistics"}
    assert {str(value) for value in modem["readings"].values()} == {"{'error': 'no_reply'}"}
    assert report["devices"]["printer"]["readings"]["paper"] == "ok"
    assert report["verdict"]["can_sell"] == "yes"
    assert report["faults"] == []


def test_a_check_that_the_end_of_the_daemon_cut_short_is_interrupted(sim: Sim, observer: Observer) -> None:
    """Every line is mute, so that each device is being waited for when the end comes; each gives way, as for a sale."""
    seldom = sim.write_config(
        "seldom.toml", change=lambda text: text.replace("[[device]]", "[[device]]\npoll_s = 600.0")
    )
    with Agent(seldom) as agent:
        agent.until_healthy()
        desk = Desk(agent, observer)
        with set_to(sim, {f"{unit}.line": "mute" for unit in UNITS}):
            command_id = desk.send(desk.body("check"))
            wait_until(lambda: "running" in states(desk.results(command_id)))
            with ThreadPoolExecutor() as pool:
                asked = pool.submit(ask_socket, agent.run_dir / "control.sock", {"cmd": "check"})
                moment = time.monotonic() + 0.3
                wait_until(lambda: time.monotonic() > moment)
                status, took_s = agent.terminate()
                assert (status, took_s < 2, asked.exception(20) is None and "ok" in asked.result()) == (0, True, False)
    with Agent(seldom):
        assert states(desk.life(command_id)) == ["accepted", "running", "interrupted"]


def test_ports_that_are_lent_are_asked_at_once_and_those_that_are_not_ours_never(sim: Sim) -> None:
    def lend(text: str) -> str:
        head, *devices = text.split("[[device]]\n")
        for number, device in enumerate(devices):
            share = "never" if 'name = "printer"' in device else "idle"
            devices[number] = f'poll_s = 600.0\nshare = "{share}"\n{device}'
        return "[[device]]\n".join([head, *devices])

    config = sim.write_config("lent.toml", change=lend)
    for daemon in (True, False):
        agent = Agent(config) if daemon else None
        try:
            if agent is not None:
                agent.until(lambda status: all(status["readings"].get(unit) for unit in UNITS))
            report = check(config)
            assert report["took_ms"] < 30_000, "the next poll is ten minutes away"
            assert report["faults"] == []
            assert report["verdict"]["can_sell"] == "yes"
            for unit in UNITS - {"printer"}:
                assert report["devices"][unit]["text"] == "Internal CheckHealth: OK"
            printer = report["devices"]["printer"]
            assert printer["readings"]["port"] == "ok"
            assert printer["readings"]["paper"] == {"error": "not_asked"}
            assert "by configuration" in printer["text"]
        finally:
            if agent is not None:
                agent.__exit__()


def test_a_level_that_a_device_has_not_falls_back_to_the_next(sim: Sim, observer: Observer) -> None:
    alone = check(sim.config, "--level", "interactive", "--device", "reader")
    with Agent(sim.config) as agent:
        agent.until_healthy()
        beside = check(sim.config, "--level", "interactive", "--device", "reader")
        desk = Desk(agent, observer)
        life = desk.life(desk.send(desk.body("check", args={"level": "interactive", "device": "reader"})))
        assert states(life) == GOOD
        everything = desk.life(desk.send(desk.body("check", args={"level": "interactive"})))[-1]
    for report in (alone, beside, life[-1]["output"], everything["output"]):
        assert report["verdict"]["can_sell"] == "yes"
        assert report["devices"]["reader"]["readings"]["card"] == "absent"
    assert everything["ms"] < 25_000, "nobody may have keys listened to from afar, which takes 45 s"
    assert everything["output"]["devices"]["keypad"]["text"] == "Internal CheckHealth: OK"


def test_a_dead_key_is_found_with_a_persons_help(sim: Sim) -> None:
    words = ("check", "--config", str(sim.config), "--device", "keypad", "--level", "interactive", "--json")

    def tested(agent: Agent | None) -> dict[str, Any]:
        with Process(sim.folder / "check.log", *words) as running:
            if agent is not None:
                status = agent.until(lambda status: status.get("key_test"))
                assert status["key_test"]["device"] == "keypad"
                assert status["key_test"]["of"] == 24
                assert "Press each key of keypad once" in posdiag("status", "--config", str(sim.config)).stdout
            wait_until(lambda: "0 of 24 heard" in running.said())
            sim.set(keypad_typed="all")
            assert running.wait(40) in {0, 1}
            said = running.said()
        (sim.folder / "check.log").unlink()
        report: dict[str, Any] = json.loads(said[said.index("{") :])
        return report

    assert tested(None)["devices"]["keypad"]["readings"]["dead"] == "none"
    with Agent(sim.config) as agent:
        agent.until_healthy()
        with set_to(sim, {"keypad.dead": "5"}):
            report = tested(agent)
        assert "a key on the keypad does not work" in report["sentence"]
        fault = raised(agent.until(lambda status: "keypad/key_dead" in raised(status)))["keypad/key_dead"]
        assert (fault["basis"], fault["severity"], fault["evidence"]["dead"]) == ("inferred", "major", "5")
        assert [each["fault"] for each in report["faults"]] == ["keypad/key_dead"]
    with Agent(sim.config) as agent:  # which begins with what it knew
        agent.until(lambda status: "keypad/key_dead" in raised(status))
        assert tested(agent)["devices"]["keypad"]["readings"]["dead"] == "none"
        status = agent.until(lambda status: not status["faults"])
        assert "key_test" not in status


def test_an_input_device_is_asked_for_the_keys_that_the_settings_name(broker: Rumqttd, folder: Path) -> None:
    with Sim(folder, broker.port, "--family", "keypad=evdev") as sim:
        words = ("check", "--config", str(sim.config), "--device", "keypad", "--level", "interactive", "--json")
        with Process(folder / "check.log", *words) as running:
            wait_until(lambda: "0 of 17 heard" in running.said())
            sim.set(keypad_typed="all")
            assert running.wait(40) == 0
            assert '"dead": "none"' in running.said()


def test_no_key_is_listened_to_while_a_pin_is_typed_or_a_sale_goes_on(sim: Sim) -> None:
    words = ("check", "--config", str(sim.config), "--device", "keypad", "--level", "interactive", "--json")
    with Agent(sim.config) as agent:
        agent.until_healthy()
        for keys, why in (({"keypad.typed": "pin"}, "a PIN is being typed"), ({"system.sale": "yes"}, "a sale began")):
            with Process(sim.folder / "check.log", *words) as running:
                agent.until(lambda status: status.get("key_test"))
                sim.apply(keys)
                assert running.wait(30) == 2, "a test that goes on takes 45 s"
                assert why in running.said()
            (sim.folder / "check.log").unlink()
        assert "dead" not in str(agent.status()["readings"]["keypad"]["dead"])
        sim.set(system_sale="no")


def test_a_check_by_command_tells_ten_faults(sim: Sim, observer: Observer) -> None:
    with Agent(sim.config) as agent:
        agent.until_healthy()
        with set_to(sim, TEN):
            stopped = agent.until(lambda status: status["verdict"]["can_sell"] == "no")
            assert stopped["poi"]["GlobalStatus"] == "Maintenance"
            desk = Desk(agent, observer)

            def told() -> dict[str, Any] | None:
                life = desk.life(desk.send(desk.body("check", args={"report": True})))
                assert states(life) == GOOD
                output: dict[str, Any] = life[-1]["output"]
                return output if len(output["faults"]) >= 10 else None

            output = wait_until(told, 45)
    assert output["left_out"][0] == "steps"
    assert output["readiness"]["ready"] is False
    roots = {fault["fault"] for fault in output["faults"] if fault["cause"] is None}
    assert {item["fault"] for item in output["readiness"]["todo"]} == roots


def test_faults_have_the_form_that_the_status_has(sim: Sim) -> None:
    with Agent(sim.config) as agent:
        agent.until_healthy()
        with set_to(sim, {"printer.cover": "open"}):
            agent.until(lambda status: status["faults"])
            report = check(sim.config)
            told, known = report["faults"][0], agent.status()["faults"][0]
    assert told.keys() == known.keys()
    same = ("fault", "state", "severity", "cause", "symptoms", "device", "advice", "act", "basis")
    assert {name: told[name] for name in same} == {name: known[name] for name in same}
    assert all("; status " in fault["evidence"]["specific"] for fault in (told, known))


def test_without_a_daemon_the_ups_and_the_firmware_are_looked_at(sim: Sim, capsys: pytest.CaptureFixture[str]) -> None:
    def roots_and_symptoms(config: Path) -> dict[str, str | None]:
        assert main(["check", "--config", str(config), "--json"]) == 1
        return {fault["fault"]: fault["cause"] for fault in json.loads(capsys.readouterr().out)["faults"]}

    with Server(lambda _: listing(ups__status="OB DISCHRG")) as server:
        config = sim.write_config(
            "ups.toml", change=lambda text: text.replace("[power]", f'[power]\nnut = "till@127.0.0.1:{server.port}"')
        )
        with set_to(sim, {"printer.firmware": "1.07"}):
            assert roots_and_symptoms(config) == {"power/mains_lost": None, "firmware/known_bad": None}
        with set_to(sim, {"printer.power": "off"}):
            assert roots_and_symptoms(config) == {"power/mains_lost": None, "printer/no_reply": "power/mains_lost"}


def test_a_name_is_asked_for_only_while_there_is_time(
    sim: Sim, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def names() -> dict[str, str | None]:
        assert main(["check", "--config", str(sim.config), "--json"]) == 0
        devices = json.loads(capsys.readouterr().out)["devices"]
        assert devices["printer"]["readings"]["paper"] == "ok"
        return {unit: devices[unit]["identity"].get("ModelName") for unit in UNITS}

    monkeypatch.setattr("agent.check.ALL_S", 40.0)
    assert None not in names().values()
    monkeypatch.setattr("agent.check._IDENTIFY_S", 40.0)
    assert set(names().values()) == {None}
