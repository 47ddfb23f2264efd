"""Brokers that are absent, refuse or die: nothing is lost, nothing comes twice, and what waited says that it is late."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from agent.wire import epoch
from tests.mqtt.broker import Line, Observer, Rumqttd
from tests.system.stage import Agent, Sim, posdiag, raised
from tests.wait import wait_until


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Rumqttd]:
    """A broker that the test starts and kills."""
    broker = Rumqttd(tmp_path)
    yield broker
    broker.kill()


def _numbers(observer: Observer, suffix: str) -> list[int]:
    return [body["seq"] for body in observer.of(suffix)]


def _has_no_gap(numbers: Iterable[int]) -> bool:
    return sorted(numbers) == list(range(1, len(list(numbers)) + 1))


def _raised_and_cleared(observer: Observer) -> list[tuple[str, str, bool]]:
    """Without the broker's own absence, which is a fault only where it lasts, as on a slow machine."""
    return [
        (body["event"], body["data"]["fault"], body.get("late", False))
        for body in sorted(observer.of("event"), key=lambda body: body["seq"])
        if body["event"] in {"fault.raised", "fault.cleared"}
        if body["data"]["fault"] != "network/broker_unreachable"
    ]


def test_a_broker_that_dies_during_faults_gets_everything_later(mortal: Rumqttd, folder: Path) -> None:
    mortal.start()
    with Line(mortal.port) as line, Sim(folder, line.port) as sim, Agent(sim.config) as agent:
        with Observer(mortal.port) as before:
            agent.until_healthy()
            sim.set(printer_cover="open")
            wait_until(lambda: _raised_and_cleared(before) == [("fault.raised", "printer/cover_open", False)])
        line.blocked = True
        mortal.kill()
        line.cut()
        for keys in (
            {"printer.cover": "closed"},
            {"printer.paper": "out", "reader.shutter": "error"},
            {"printer.paper": "ok"},
            {"printer.cutter": "error"},
            {"reader.shutter": "ok"},
            {"keypad.keys": "missing"},
        ):
            sim.apply(keys)
            wanted = _expected(sim)
            agent.until(lambda status, wanted=wanted: set(raised(status)) - {"network/broker_unreachable"} == wanted)
        agent.until(lambda status: not status["connected"])

        mortal.start()
        with Observer(mortal.port) as after:
            line.blocked = False
            agent.until(lambda status: status["connected"], 60)
            sim.set(keypad_keys="loaded")
            agent.until(lambda status: set(raised(status)) == {"printer/cutter_error"})
            last_raised = ("fault.cleared", "keypad/keys_missing", False)
            wait_until(lambda: last_raised in _raised_and_cleared(after))
            # What is new does not wait for what is late, and may overtake it.
            wait_until(lambda: _has_no_gap({*_numbers(before, "event"), *_numbers(after, "event")}))
            told = _raised_and_cleared(after)
            during = [row for row in told if row[2]]
            assert sorted(during) == sorted(
                [
                    ("fault.cleared", "printer/cover_open", True),
                    ("fault.raised", "printer/paper_out", True),
                    ("fault.raised", "reader/shutter_error", True),
                    ("fault.cleared", "printer/paper_out", True),
                    ("fault.raised", "printer/cutter_error", True),
                    ("fault.cleared", "reader/shutter_error", True),
                    ("fault.raised", "keypad/keys_missing", True),
                ]
            )
            assert told[-1] == last_raised
            # What was acknowledged to us but not to the agent may come again; then it has the same number.
            assert len(_numbers(after, "event")) == len(set(_numbers(after, "event")))

            # The present values are what is so now, whatever came late.
            def present() -> dict[str, str]:
                return {h.topic.split("/fault/")[1]: h.body["state"] for h in after.heard if "/fault/" in h.topic}

            wait_until(lambda: present().get("keypad/keys_missing") == "cleared")
            assert present()["printer/cutter_error"] == "raised"
            assert not any("late" in h.body for h in after.heard if "/fault/" in h.topic)
            states = after.of("state")
            assert [state["status"] for state in states] == ["online"] * len(states)
            assert states[-1]["conn"] > before.of("state")[-1]["conn"]


def _expected(sim: Sim) -> set[str]:
    """The faults that the terminal's keys mean."""
    words = {
        "printer/cover_open": ("printer.cover", "open"),
        "printer/paper_out": ("printer.paper", "out"),
        "printer/cutter_error": ("printer.cutter", "error"),
        "reader/shutter_error": ("reader.shutter", "error"),
        "keypad/keys_missing": ("keypad.keys", "missing"),
    }
    return {fault for fault, (key, value) in words.items() if sim.get(key) == value}


def test_a_broker_that_comes_later(mortal: Rumqttd, folder: Path) -> None:
    with Sim(folder, mortal.port) as sim, Agent(sim.config) as agent:
        sim.set(printer_paper="out")
        status = agent.until(lambda status: "printer/paper_out" in raised(status))
        assert not status["connected"]
        status = agent.until(lambda status: "network/broker_unreachable" in raised(status), 60)
        assert "refuses connections: no broker listens there" in status["link"]["error"]
        assert f"broker: {status['link']['error']}" in status["problems"]
        assert status["verdict"]["can_sell"] == "degraded"  # payments need no broker
        mortal.start()
        with Observer(mortal.port) as observer:
            # The link's return ends the wait between two attempts.
            sim.set(network_link="down")
            agent.until(lambda status: "network/link_down" in raised(status))
            sim.set(network_link="up")
            agent.until(lambda status: status["connected"] and set(raised(status)) == {"printer/paper_out"})
            wait_until(
                lambda: ("fault.cleared", "network/link_down") in [row[:2] for row in _raised_and_cleared(observer)]
            )
            wait_until(lambda: _has_no_gap(_numbers(observer, "event")))  # it may have overtaken what waited
            started = next(body for body in observer.of("event") if body["event"] == "agent.started")
            assert started["late"] is True


def test_the_last_contact_is_told_while_the_broker_is_away_and_after_a_restart(mortal: Rumqttd, folder: Path) -> None:
    config = folder / "agent.toml"

    def says() -> str:
        return posdiag("status", "--config", str(config)).stdout.partition("\nbroker")[2].partition("\n")[0]

    def written(language: str) -> Path:
        config.write_text(f"""
[terminal]
id = "till-1"
estate = "demo"
language = "{language}"
[mqtt]
url = "mqtt://127.0.0.1:{mortal.port}"
[paths]
run_dir = "{folder}/run"
state_dir = "{folder}/state"
""")
        return config

    mortal.start()
    began = int(time.time())
    with Agent(written("en")) as agent:
        agent.until(lambda status: status["connected"] and status["last_contact"], 40)
        assert "connected; last contact" in says()
        mortal.kill()
        killed = time.time()
        status = agent.until(lambda status: not status["connected"])
        contact = epoch(status["last_contact"])
        assert began <= contact <= killed + 1  # what came before the kill may be read after it
        assert status["link"]["since"] is None
    with Agent(written("zh")) as agent:
        status = agent.until(lambda status: status["link"]["error"], 40)
        assert epoch(status["last_contact"]) == pytest.approx(contact, abs=1)
        assert "最近一次联系：" in says()


def test_a_broker_that_refuses_us(tmp_path: Path, folder: Path) -> None:
    broker = Rumqttd(tmp_path, users={"somebody": "else"})
    broker.start()
    try:
        with Sim(folder, broker.port) as sim, Agent(sim.config) as agent:
            status = agent.until(lambda status: status["link"]["error"] and status["readings"].get("printer"))
            assert not status["connected"]
            assert str(broker.port) in status["link"]["error"]
            agent.until(lambda status: status["verdict"]["can_sell"] == "yes")
            assert agent.said().count("not connected") == 1
    finally:
        broker.kill()
