"""Each way to break the simulated terminal shows as its fault at a subscriber and in status.json, and clears again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from tests.mqtt.broker import Observer, Rumqttd
from tests.system.stage import Agent, Sim
from tests.wait import wait_until

ROOT = None


@dataclass
class Scene:
    """One terminal with its daemon, and who listens."""

    sim: Sim
    agent: Agent
    observer: Observer

    def raised(self) -> dict[str, str | None]:
        """Raised faults and their causes as status.json has them."""
        return {key: fault["cause"] for key, fault in self.agent.faults().items()}

    def published(self, key: str) -> dict[str, Any]:
        """The last retained message of one fault."""
        bodies = self.heard(f"fault/{key}")
        return bodies[-1] if bodies else {}

    def heard(self, suffix: str) -> list[Any]:
        return [heard.body for heard in list(self.observer.heard) if heard.topic == f"{self.agent.base}/{suffix}"]

    def transitions(self, key: str) -> list[str]:
        """The events of one fault in order, relabelling left out."""
        events = [event for event in self.heard("event") if event["data"].get("fault") == key]
        return [event["event"] for event in events if event["event"] != "fault.changed"]


def scenes(broker: Rumqttd, observer: Observer, make: Callable[[str], Any]) -> Iterator[Scene]:
    with ExitStack() as stack:
        sim = stack.enter_context(Sim(make("pos"), broker.port))
        agent = stack.enter_context(Agent(sim.config))
        agent.until_healthy()
        yield Scene(sim, agent, observer)
        agent.until(lambda status: not status["faults"], 30)


@pytest.fixture(scope="module")
def scene(broker: Rumqttd, observer: Observer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A terminal for all rows that do not touch the link."""
    yield from scenes(broker, observer, tmp_path_factory.mktemp)


@pytest.fixture
def fresh(broker: Rumqttd, observer: Observer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A terminal for one row: a link that goes up and down in row after row would rightly be called flapping."""
    yield from scenes(broker, observer, tmp_path_factory.mktemp)


Row = tuple[dict[str, Any], dict[str, str | None], str, str]
"""Keys to set; the faults with their causes; can_sell; the verdict's cause."""

DEVICES: list[Row] = [
    ({"printer.paper": "near_end"}, {"printer/paper_near_end": ROOT}, "yes", "printer/paper_near_end"),
    ({"printer.paper": "out"}, {"printer/paper_out": ROOT}, "degraded", "printer/paper_out"),
    ({"printer.cover": "open"}, {"printer/cover_open": ROOT}, "degraded", "printer/cover_open"),
    ({"printer.cutter": "error"}, {"printer/cutter_error": ROOT}, "degraded", "printer/cutter_error"),
    ({"printer.head": "hot"}, {"printer/head_hot": ROOT}, "degraded", "printer/head_hot"),
    ({"printer.mechanism": "error"}, {"printer/mechanical_error": ROOT}, "degraded", "printer/mechanical_error"),
    ({"printer.mechanism": "dead"}, {"printer/unrecoverable": ROOT}, "degraded", "printer/unrecoverable"),
    ({"reader.card": "jammed"}, {"reader/card_jam": ROOT}, "no", "reader/card_jam"),
    ({"reader.shutter": "error"}, {"reader/shutter_error": ROOT}, "no", "reader/shutter_error"),
    ({"reader.sensor": "error"}, {"reader/sensor_error": ROOT}, "degraded", "reader/sensor_error"),
    ({"reader.self_test": "failed"}, {"reader/self_test_failed": ROOT}, "no", "reader/self_test_failed"),
    ({"reader.reads": "20/20"}, {"reader/read_errors": ROOT}, "degraded", "reader/read_errors"),
    ({"keypad.battery": "low"}, {"keypad/battery_low": ROOT}, "degraded", "keypad/battery_low"),
    ({"keypad.keys": "missing"}, {"keypad/keys_missing": ROOT}, "no", "keypad/keys_missing"),
    # What needs its time, all at once.
    (
        {"keypad.held": "5", "reader.card": "left", "modem.temperature_c": 90},
        {"keypad/key_stuck": ROOT, "reader/card_left": ROOT, "modem/overheat": ROOT},
        "no",
        "keypad/key_stuck",
    ),
    ({"modem.registration": "roaming"}, {"modem/roaming": ROOT}, "yes", "modem/roaming"),
    (
        {"modem.iccid": "89860000000000099999"},
        {"modem/sim_swapped": ROOT},
        "degraded",
        "modem/sim_swapped",
    ),
    ({"power.battery_percent": 15}, {"power/battery_low": ROOT}, "degraded", "power/battery_low"),
    ({"power.battery_health": "worn"}, {"power/battery_worn": ROOT}, "yes", "power/battery_worn"),
    ({"power.voltage_mv": 6000}, {"power/undervoltage": ROOT}, "degraded", "power/undervoltage"),
    ({"power.temperature_c": 80}, {"power/overheat": ROOT}, "degraded", "power/overheat"),
    (
        {"power.mains": "off", "power.battery_percent": 3},
        {
            "power/mains_lost": ROOT,
            "power/battery_low": "power/mains_lost",
            "power/battery_critical": "power/mains_lost",
            "printer/no_reply": "power/mains_lost",
        },
        "no",
        "power/mains_lost",
    ),
    ({"system.payment_app": "down"}, {"system/payment_app_down": ROOT}, "no", "system/payment_app_down"),
    ({"printer.power": "off"}, {"printer/no_reply": ROOT}, "degraded", "printer/no_reply"),
    ({"printer.cable": "out"}, {"printer/port_lost": ROOT}, "degraded", "printer/port_lost"),
    ({"reader.cable": "out"}, {"reader/port_lost": ROOT}, "no", "reader/port_lost"),
    ({"keypad.line": "mute"}, {"keypad/no_reply": ROOT}, "no", "keypad/no_reply"),
    ({"printer.owner": "payment_app"}, {"printer/port_busy": ROOT}, "yes", "printer/port_busy"),
]

NETWORK: list[Row] = [
    (
        {"modem.sim": "absent"},
        {
            "modem/sim_absent": ROOT,
            "modem/no_data": "modem/sim_absent",
            "network/link_down": "modem/no_data",
        },
        "no",
        "modem/sim_absent",
    ),
    (
        {"modem.sim": "pin"},
        {"modem/sim_locked": ROOT, "network/link_down": "modem/sim_locked"},
        "no",
        "modem/sim_locked",
    ),
    (
        {"modem.sim": "puk"},
        {"modem/sim_locked": ROOT, "network/link_down": "modem/sim_locked"},
        "no",
        "modem/sim_locked",
    ),
    (
        {"modem.sim": "failure"},
        {"modem/sim_failure": ROOT, "network/link_down": "modem/sim_failure"},
        "no",
        "modem/sim_failure",
    ),
    (
        {"modem.registration": "searching"},
        {"modem/no_network": ROOT, "modem/no_data": "modem/no_network", "network/link_down": "modem/no_data"},
        "no",
        "modem/no_network",
    ),
    (
        {"modem.registration": "denied"},
        {
            "modem/registration_denied": ROOT,
            "modem/no_data": "modem/registration_denied",
            "network/link_down": "modem/no_data",
        },
        "no",
        "modem/registration_denied",
    ),
    ({"modem.data": "down"}, {"modem/no_data": ROOT, "network/link_down": "modem/no_data"}, "no", "modem/no_data"),
    (
        {"modem.cable": "out"},
        {"modem/port_lost": ROOT, "network/link_down": "modem/port_lost"},
        "no",
        "modem/port_lost",
    ),
    ({"modem.signal_dbm": -117}, {"modem/weak_signal": ROOT}, "degraded", "modem/weak_signal"),
    ({"network.link": "down"}, {"network/link_down": ROOT}, "no", "network/link_down"),
    ({"network.address": "down"}, {"network/no_address": ROOT}, "no", "network/no_address"),
    ({"network.gateway": "down"}, {"network/gateway_unreachable": ROOT}, "no", "network/gateway_unreachable"),
    ({"network.dns": "down"}, {"network/dns_failed": ROOT}, "no", "network/dns_failed"),
    ({"network.acquirer": "down"}, {"network/acquirer_unreachable": ROOT}, "no", "network/acquirer_unreachable"),
    ({"network.tls": "expired"}, {"network/tls_failed": ROOT}, "no", "network/tls_failed"),
    ({"network.tls": "wrong_host"}, {"network/tls_failed": ROOT}, "no", "network/tls_failed"),
    (
        {"network.portal": "yes"},
        {"network/captive_portal": ROOT, "network/tls_failed": "network/captive_portal"},
        "no",
        "network/captive_portal",
    ),
    ({"network.latency_ms": 1800}, {"network/slow": ROOT}, "yes", "network/slow"),
    ({"network.loss_percent": 60}, {"network/lossy": ROOT}, "degraded", "network/lossy"),
    (
        {"system.clock_offset_s": 864_000},
        {"system/clock_wrong": ROOT, "network/tls_failed": "system/clock_wrong"},
        "no",
        "system/clock_wrong",
    ),
]


FINER = {
    "reader/card_jam": "error 10; error_text card jam",
    "reader/shutter_error": "error 11; error_text shutter failure",
    "reader/sensor_error": "error 12; error_text sensor error",
    "modem/sim_failure": "sim_error ",
    "modem/registration_denied": "registration_stat ",
    "printer/paper_out": "status ",
}
"""What the family's own words in the evidence begin with, or hold."""
MUTE = {"printer/no_reply", "printer/port_lost", "reader/port_lost", "keypad/no_reply", "printer/port_busy"}
"""Faults of the line, of which what the device said last is no evidence."""


def _name(row: Row) -> str:
    return " ".join(f"{key}={value}" for key, value in row[0].items())


@pytest.mark.parametrize("row", DEVICES, ids=_name)
def test_device_and_power(scene: Scene, row: Row) -> None:
    _breaks_and_heals(scene, row)


@pytest.mark.parametrize("row", NETWORK, ids=_name)
def test_modem_and_network(fresh: Scene, row: Row) -> None:
    _breaks_and_heals(fresh, row)


def _breaks_and_heals(scene: Scene, row: Row) -> None:
    keys, faults, can_sell, cause = row
    before = {key: scene.sim.get(key) for key in keys} | {"reader.reads": "400/20"}
    already = {key: len(scene.transitions(key)) for key in faults}
    scene.sim.apply(keys)
    scene.agent.until(lambda _: scene.raised().items() >= faults.items() and _verdict(scene) == (can_sell, cause), 50)
    for key, why in faults.items():
        body = wait_until(lambda key=key, why=why: _is(scene.published(key), "raised", why))
        finer = body["evidence"].get("specific", "")
        assert FINER.get(key, "") in finer
        assert len(finer) <= (0 if key in MUTE else 160)
        assert body["count"] >= 1
        assert body["first_at"] <= body["last_at"] <= body["at"], body
    wait_until(lambda: scene.heard("state")[-1]["verdict"] == scene.agent.status()["verdict"])
    assert scene.agent.status()["verdict"]["act"] == scene.published(cause)["act"]
    # Nothing without a cause stands beside what was broken, once every probe has had its turn.
    roots = {key for key, why in faults.items() if why is None}
    wait_until(lambda: {key for key, why in scene.raised().items() if why is None} == roots)

    scene.sim.apply({key: before[key] for key in keys})
    scene.agent.until(lambda status: not status["faults"] and status["verdict"]["can_sell"] == "yes", 40)
    for key in faults:
        wait_until(lambda key=key: _is(scene.published(key), "cleared", None))
        wait_until(lambda key=key: scene.transitions(key)[already[key] :] == ["fault.raised", "fault.cleared"])
    wait_until(lambda: scene.heard("state")[-1]["verdict"]["can_sell"] == "yes")


def test_finer_words_are_evidence_alone(scene: Scene) -> None:
    """They cost neither a metric nor a sample."""
    scene.sim.apply({"reader.card": "jammed"})
    wait_until(lambda: "specific" in scene.published("reader/card_jam").get("evidence", {}))
    scene.sim.apply({"reader.card": "absent"})
    scene.agent.until(lambda status: not status["faults"], 30)
    cleared = wait_until(lambda: _is(scene.published("reader/card_jam"), "cleared", None))
    assert "specific" not in cleared["evidence"]
    assert "specific" not in str(scene.heard("telemetry") + scene.heard("inventory"))


def _verdict(scene: Scene) -> tuple[str, str]:
    verdict = scene.agent.status()["verdict"]
    return verdict["can_sell"], verdict["cause"]


def _is(body: dict[str, Any], state: str, cause: str | None) -> dict[str, Any] | None:
    return body if body and body["state"] == state and (state == "cleared" or body["cause"] == cause) else None


def test_firmware_known_to_be_bad_is_found_at_the_next_contact(scene: Scene) -> None:
    good = scene.sim.get("printer.firmware")
    scene.sim.apply({"printer.firmware": "1.07", "printer.cable": "out"})
    scene.agent.until(lambda _: "printer/port_lost" in scene.raised())
    scene.sim.apply({"printer.cable": "in"})
    scene.agent.until(lambda _: "firmware/known_bad" in scene.raised())
    assert scene.agent.faults()["firmware/known_bad"]["device"] == "printer"
    scene.sim.apply({"printer.firmware": good, "printer.cable": "out"})
    scene.agent.until(lambda _: "printer/port_lost" in scene.raised())
    scene.sim.apply({"printer.cable": "in"})
    scene.agent.until(lambda status: not status["faults"], 30)


@pytest.fixture(scope="module")
def armed(broker: Rumqttd, observer: Observer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A terminal whose keypad and reader know when they are opened."""
    family = ("--family", "keypad=smartpin", "--family", "reader=neo")
    with ExitStack() as stack:
        sim = stack.enter_context(Sim(tmp_path_factory.mktemp("armed"), broker.port, *family))
        agent = stack.enter_context(Agent(sim.config))
        agent.until_healthy()
        yield Scene(sim, agent, observer)


@pytest.mark.parametrize("unit", ["keypad", "reader"])
def test_tamper(armed: Scene, unit: str) -> None:
    armed.sim.apply({f"{unit}.tamper": "yes"})
    armed.agent.until(lambda _: f"{unit}/tamper" in armed.raised())
    wait_until(lambda: _is(armed.published(f"{unit}/tamper"), "raised", None))
    assert armed.published(f"{unit}/tamper")["severity"] == "critical"
    armed.sim.apply({f"{unit}.tamper": "no"})
    armed.agent.until(lambda _: f"{unit}/tamper" not in armed.raised(), 40)
