"""A fleet publishes what agents publish: heard by a subscriber that knows the contract alone."""

from __future__ import annotations

import json
import subprocess
import sys

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from agent import wire
from tests.mqtt.broker import Rumqttd

KINDS = {
    "state": wire.StateMessage,
    "inventory": wire.InventoryMessage,
    "faults": wire.DigestMessage,
    "fault": wire.FaultMessage,
    "event": wire.EventMessage,
    "telemetry": wire.TelemetryMessage,
}


def test_every_message_of_a_fleet_is_of_the_contract_and_none_is_counted_twice(tmp_path):
    broker = Rumqttd(tmp_path)
    broker.start()
    heard = []
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    client.on_message = lambda _c, _u, message: heard.append((message.topic, bytes(message.payload)))
    try:
        client.connect("127.0.0.1", broker.port)
        client.subscribe("pos/1/#", 1)
        client.loop_start()
        words = ["sim", "fleet", "--mqtt", f"mqtt://127.0.0.1:{broker.port}", "--terminals", "20", "--seconds", "8"]
        words += ["--faults-per-hour", "1800", "--json"]
        done = subprocess.run([sys.executable, "-m", "agent.cli", *words], capture_output=True, text=True, check=True)
    finally:
        client.disconnect()
        client.loop_stop()
        broker.kill()
    assert json.loads(done.stdout.splitlines()[-2])["connected"] == 20
    keys = set()
    kinds = set()
    for topic, payload in heard:
        parsed = wire.parse_topic(topic)
        message = wire.decode(KINDS[parsed.kind], payload)
        kinds.add(parsed.kind)
        if parsed.kind in {"event", "telemetry"}:
            key = (parsed.terminal, message.boot, parsed.kind, message.seq)
            assert key not in keys
            keys.add(key)
    assert kinds >= {"state", "inventory", "faults", "fault", "event"}
    assert len({wire.parse_topic(topic).terminal for topic, _ in heard}) == 20


def test_no_broker_and_a_wrong_number_are_said_on_one_line():
    for words in (["--mqtt", "mqtt://127.0.0.1:1", "--seconds", "1"], ["--terminals", "0"]):
        done = subprocess.run(
            [sys.executable, "-m", "agent.cli", "sim", "fleet", *words], capture_output=True, text=True, check=False
        )
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
