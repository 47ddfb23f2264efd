"""Every field that the contract shows is in the bytes, also where it stands at its default."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent import wire
from tests.contract.test_wire import FIELDS, HEAD
from tests.mqtt.broker import Observer, Rumqttd
from tests.system.desk import Desk, bare, make_key
from tests.system.stage import Agent
from tests.wait import wait_until

KINDS = {
    "state": wire.StateMessage,
    "inventory": wire.InventoryMessage,
    "telemetry": wire.TelemetryMessage,
    "health": wire.HealthMessage,
    "fault": wire.FaultMessage,
    "faults": wire.DigestMessage,
    "event": wire.EventMessage,
    "result": wire.ResultMessage,
    "config": wire.ConfigReportedMessage,
}
SAID = {"name", "unit", "family", "model", "serial", "firmware"}
"""Of a device in the inventory."""


@pytest.fixture
def desk(folder: Path, broker: Rumqttd, observer: Observer) -> Desk:
    """Somebody who sends to a terminal that has one device, which is not there, and has nothing to tell of it."""
    key = make_key(folder / "pki")
    device = f'[[device]]\nname = "printer"\nfamily = "escpos"\nport = "{folder}/none"\n'
    config = bare(folder, broker.port, key.parent / "keys.json", add=device)
    config.write_text(config.read_text().replace("[telemetry]\n", "[telemetry]\nbatch_s = 1\n"))
    return Desk(Agent(config), observer, key)


def test_what_the_contract_shows_is_in_the_bytes(desk: Desk) -> None:
    with desk.agent as agent:
        agent.until(lambda status: status["connected"] and status["faults"])
        for cmd, tier in (("identify", 0), ("resync", 0), ("identify", 1)):
            desk.life(desk.send(desk.body(cmd, tier=tier)))
        heard: dict[str, list[dict]] = {}

        def collect() -> bool:
            heard.clear()
            for each in list(desk.observer.heard):
                kind = each.topic.removeprefix(f"{agent.base}/").partition("/")[0]
                if each.topic.startswith(f"{agent.base}/") and isinstance(each.body, dict) and kind != "command":
                    heard.setdefault(kind, []).append(each.body)
            return heard.keys() >= KINDS.keys()

        wait_until(collect, 45)  # the first health comes a quarter of a minute after the start
    assert heard.keys() == KINDS.keys()
    for kind, bodies in heard.items():
        for body in bodies:
            assert body.keys() >= HEAD | FIELDS[KINDS[kind]], (kind, body)
    assert all(device.keys() >= SAID for body in heard["inventory"] for device in body["devices"])
    assert any(body["devices"] for body in heard["inventory"])
    verdicts = [body["verdict"] for body in heard["state"]]
    assert all(verdict.keys() == FIELDS[wire.Verdict] for verdict in verdicts)
