"""The proofs of guidance steps: each names a reading that some source delivers, and agrees with the rules."""

from __future__ import annotations

import re

import pytest

from agent.conditions import agent as agent_conditions
from agent.conditions import conditions
from agent.config import Config, DeviceConfig, MqttConfig, NetworkConfig, PathsConfig, PowerConfig, TerminalConfig
from agent.guidance import Proof, guidance
from agent.probes import boots, network, port, power, reads, system
from agent.vocabulary import VOCABULARY
from drivers import catalog, held
from drivers.errors import BadReply, LinkLost, NoReply, PortBusy, PortDenied
from drivers.reading import Cause, known, unknown

DEVICE_UNITS = ("printer", "reader", "keypad", "modem")
CONFIG = Config(
    terminal=TerminalConfig(id="t", estate="e"),
    mqtt=MqttConfig(url="mqtt://127.0.0.1:1883"),
    device=tuple(DeviceConfig(name=unit, family="x", port="/dev/x") for unit in DEVICE_UNITS),
    power=PowerConfig(min_voltage_mv=3300),
)
CONDITIONS = conditions(CONFIG, {unit: unit for unit in DEVICE_UNITS})
PROOFS = [(key, step.proof) for key in VOCABULARY for step in guidance(key, "en").steps if step.proof]


def port_words() -> dict[str, set[object]]:
    """What the port worker says of any device."""
    errors = (LinkLost("x"), PortBusy("x", ""), PortDenied("x"), NoReply("x"), BadReply("x", b"", "y"))
    said = [(known("ok"), known("ok")), *map(port.meaning, errors)]
    return {
        "port": {reading.value for reading, _ in said if reading.value is not None},
        "reply": {reading.value for _, reading in said if reading.value is not None},
    }


@pytest.fixture(scope="module")
def delivered(tmp_path_factory) -> dict[str, set[object]]:
    """Every reading that some source really delivers, as source.name, with its words as far as it has a list of them."""
    found: dict[str, set[object]] = {}
    for family in catalog.families():
        for name, spec in family.driver.READINGS.items():
            found.setdefault(f"{family.unit}.{name}", set()).update(spec.values)
    found["keypad.held"] |= {held.held("x", seconds).value for seconds in (0, 2)}
    for unit in DEVICE_UNITS:
        found |= {f"{unit}.{name}": words for name, words in port_words().items()}
    found |= {f"reader.{name}": set() for name in reads.ReadCounters().report(0, 0)}
    empty = str(tmp_path_factory.mktemp("tree"))
    paths = PathsConfig(run_dir=empty, state_dir=empty, sys=empty, proc=empty)
    for module, probe in (
        (power, power.PowerProbe(CONFIG.power, paths)),
        (system, system.SystemProbe(CONFIG.system, NetworkConfig(), paths)),
        (network, network.NetworkProbe(NetworkConfig(), paths)),
        (boots, boots.BootsProbe(paths, None)),
    ):
        for name in probe.run():
            found[f"{probe.name}.{name}"] = documented(module.__doc__, name)
    found |= {f"network.{name}": set() for name in network.NetworkProbe(NetworkConfig(), paths)._quality()}
    found["network.broker"] = {"ok", "failed"}  # the daemon tells it under this source; it knows the uplink
    return found | {f"agent.{condition.reading}": set() for condition in agent_conditions()}


def documented(doc: str, name: str) -> set[object]:
    """The words that a probe's docstring lists after a reading's name: `mains on|off`, `gateway, dns, tls ok|failed`."""
    text = " ".join(doc.split())
    match = re.search(rf"\b{name}\b(?:, \w+)* (\w+(?:\|\w+)+)", text)
    return set(match[1].split("|")) if match else set()


@pytest.mark.parametrize(("key", "proof"), PROOFS)
def test_a_proof_names_a_reading_that_exists_and_a_value_that_it_can_have(key, proof, delivered):
    assert proof.reading in delivered
    if proof.value is not None:
        assert proof.value in delivered[proof.reading]


@pytest.mark.parametrize(("key", "proof"), PROOFS)
def test_a_proof_agrees_with_the_rule_that_clears_the_fault(key, proof):
    source, _, name = proof.reading.partition(".")
    rules = [c for c in CONDITIONS if (c.fault, c.source, c.reading) == (key, source, name)]
    if proof.value is None:
        assert rules, "a reading without a value proves a step only where it raises this fault"
    for rule in rules:
        if proof.value is not None:
            assert not rule.raises(proof.value)
            assert rule.clears is None or rule.clears(proof.value)


def test_every_fault_a_merchant_can_clear_is_proven_by_the_reading_that_raised_it():
    open_ended = {
        "power/unclean_shutdown",  # passes by itself after an hour
        "power/battery_critical",
        "power/battery_low",
    }
    for key in VOCABULARY:
        told = guidance(key, "en")
        own = {f"{c.source}.{c.reading}" for c in CONDITIONS if c.fault == key}
        if told.act == "merchant" and key not in open_ended:
            assert any(step.proof and step.proof.reading in own for step in told.steps), key


@pytest.mark.parametrize(
    ("proof", "reading", "raised", "expected"),
    [
        (Proof("printer.paper", "ok"), known("ok"), True, True),
        (Proof("printer.paper", "ok"), known("out"), False, False),
        (Proof("printer.paper", "ok"), unknown(Cause.MASKED), False, None),
        (Proof("power.battery_percent"), known(40), False, True),
        (Proof("power.battery_percent"), known(10), True, False),
        (Proof("power.battery_percent"), unknown(Cause.FAILED), False, None),
    ],
)
def test_unknown_proves_nothing(proof, reading, raised, expected):
    assert proof.holds(reading, raised=raised) is expected
