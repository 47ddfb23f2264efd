"""The fault vocabulary, spelled a second time from the contract, and that everything in it can be measured."""

from __future__ import annotations

import ast
from pathlib import Path

import agent
from agent.conditions import conditions
from agent.config import Config, DeviceConfig, MqttConfig, PowerConfig, TerminalConfig
from agent.vocabulary import UNITS, VOCABULARY
from drivers import catalog

PORT = "port_lost major, port_busy warning, no_reply major < port_lost power/*, bad_reply minor"
CONTRACT = {
    "power": "mains_lost major, battery_low minor < mains_lost, battery_critical critical < mains_lost, "
    "battery_worn warning, undervoltage major, overheat major, charger_fault minor, unclean_shutdown warning",
    "printer": f"{PORT}, cover_open major, paper_near_end warning, paper_out major, cutter_error major, head_hot minor, "
    "mechanical_error major, unrecoverable critical, head_worn warning",
    "reader": f"{PORT}, card_left minor, card_jam major, shutter_error major, sensor_error major, read_errors minor, "
    "self_test_failed major, tamper critical",
    "keypad": f"{PORT}, key_stuck major, key_dead major, keys_missing critical, battery_low major, tamper critical",
    "modem": f"{PORT}, sim_absent major, sim_locked major, sim_failure major, sim_swapped minor, "
    "no_network major < sim_absent sim_locked sim_failure weak_signal, registration_denied major, weak_signal minor, "
    "roaming warning, no_data major < no_network registration_denied, overheat minor",
    "network": "link_down major < modem/no_data modem/no_network modem/port_lost, no_address major < link_down, "
    "gateway_unreachable major < no_address link_down, dns_failed major < gateway_unreachable, "
    "acquirer_unreachable critical < dns_failed gateway_unreachable, tls_failed critical < system/clock_wrong, "
    "captive_portal major, broker_unreachable minor < dns_failed gateway_unreachable no_address link_down, "
    "slow warning < modem/weak_signal, lossy minor < modem/weak_signal, flapping minor",
    "system": "disk_full major, disk_readonly critical, memory_low minor, cpu_overload minor, overheat major, "
    "clock_wrong major, payment_app_down critical, screen_off major, reboot_loop critical",
    "firmware": "outdated warning, known_bad minor, update_failed major, unknown_combination warning",
    "security": "case_opened critical, relocated minor, device_swapped major, default_password warning, "
    "certificate_expiring warning",
    "agent": "probe_failed warning, store_nearly_full minor, store_reset minor, budget_exceeded warning, "
    "config_rejected warning",
}
TOLD_BY_NOBODY_YET = {("agent", "budget"), ("agent", "config")}

DEVICES = {"printer": "printer", "reader": "reader", "keypad": "keypad", "modem": "modem"}
TABLE = conditions(
    Config(
        terminal=TerminalConfig(id="t", estate="e"),
        mqtt=MqttConfig(url="mqtt://127.0.0.1:1883"),
        device=tuple(DeviceConfig(name=name, family="x", port="/dev/x") for name in DEVICES),
        power=PowerConfig(min_voltage_mv=3300),
    ),
    DEVICES,
)


def _contract() -> dict[str, tuple[str, set[str]]]:
    """Fault key to severity and the causes that the contract names."""
    found = {}
    for unit, kinds in CONTRACT.items():
        for row in kinds.split(", "):
            head, _, causes = row.partition(" < ")
            kind, severity = head.split()
            named = {cause if "/" in cause else f"{unit}/{cause}" for cause in causes.split()}
            found[f"{unit}/{kind}"] = (severity, named)
    return found


def test_every_fault_of_the_contract_is_there_with_its_severity_and_causes():
    spelled = _contract()
    assert set(UNITS) == set(CONTRACT)
    assert spelled.keys() <= VOCABULARY.keys()
    for key, (severity, causes) in spelled.items():
        assert VOCABULARY[key].severity == severity, key
        assert causes <= set(VOCABULARY[key].explained_by), key


def test_keys_and_causes_are_of_the_vocabulary():
    for key, kind in VOCABULARY.items():
        assert key == f"{kind.unit}/{kind.kind}"
        for cause in kind.explained_by:
            assert cause != key
            assert cause in VOCABULARY or (cause.endswith("/*") and cause[:-2] in UNITS), (key, cause)


def test_conditions_raise_only_what_the_vocabulary_has():
    assert {condition.fault for condition in TABLE} <= VOCABULARY.keys()


def test_everything_that_can_be_measured_has_a_condition():
    assert VOCABULARY.keys() == {condition.fault for condition in TABLE}


# --- readings ---------------------------------------------------------------------------------------------------------


def _words_of_the_agent() -> set[str]:
    """Every text in the agent's sources but the tables of conditions, pieces of composed texts included."""
    found: set[str] = set()
    for path in Path(agent.__path__[0]).rglob("*.py"):
        if not path.name.endswith(("condition.py", "conditions.py", "vocabulary.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.add(node.value)
    return found


WORDS = _words_of_the_agent()


def _is_told(source: str, reading: str) -> bool:
    if source in DEVICES:
        own = {name for family in catalog.families() if family.unit == source for name in family.driver.READINGS}
        return reading in own or reading in WORDS
    if reading in DEVICES:  # a verdict on the device of that name
        return True
    name = reading.rpartition(".")[2].removesuffix("_outlook")
    endings = (word for word in WORDS if len(word) > 4 and word[0] in "._")
    return name in WORDS or any(f".{name}".endswith(ending) for ending in endings)


def test_conditions_ask_for_readings_that_somebody_tells():
    asked = {(c.source, name) for c in TABLE for name in (c.reading, c.unless) if name}
    silent = {(source, name) for source, name in asked if not _is_told(source, name)}
    assert silent <= TOLD_BY_NOBODY_YET


def test_evidence_is_told_by_the_drivers_and_probes():
    ours = [c for c in TABLE if not c.source.startswith(("trend.", "agent"))]
    assert {(c.source, name) for c in ours for name in c.evidence if not _is_told(c.source, name)} == set()


def test_the_values_that_device_conditions_look_for_are_ones_that_a_driver_can_say():
    """A condition on a word that no family says would never raise."""
    own = {"port": ("ok", "lost", "busy", "denied"), "reply": ("ok", "none", "bad")}
    for condition in TABLE:
        if condition.source not in DEVICES or condition.remembers or condition.reading == "held":
            continue
        specs = [
            spec
            for family in catalog.families()
            if family.unit == condition.source
            for name, spec in family.driver.READINGS.items()
            if name == condition.reading and spec.values
        ]
        values = {value for spec in specs for value in spec.values} | set(own.get(condition.reading, ()))
        if values:
            assert any(condition.raises(value) for value in values), condition.fault
            clears = condition.clears or (lambda value, c=condition: not c.raises(value))
            assert any(clears(value) for value in values), condition.fault
