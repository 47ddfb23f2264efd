"""The table of conditions: complete, lawful, and each row turning the value it is about into its fault."""

from __future__ import annotations

import pytest

from agent.conditions import conditions
from agent.config import Config, DeviceConfig, MqttConfig, PowerConfig, TerminalConfig
from agent.rules import Rules
from agent.vocabulary import VOCABULARY
from drivers.reading import known, unknown

UNITS = {"printer": "printer", "reader": "reader", "keypad": "keypad", "modem": "modem"}
CONFIG = Config(
    terminal=TerminalConfig(id="t", estate="e"),
    mqtt=MqttConfig(url="mqtt://127.0.0.1:1883"),
    device=tuple(DeviceConfig(name=name, family="x", port="/dev/x") for name in UNITS),
    power=PowerConfig(min_voltage_mv=3300),
)
TABLE = tuple(c for c in conditions(CONFIG, UNITS) if not c.forecast)  # forecasts: tests/agent/test_trends.py

NOT_BY_POLLING = {
    "printer/head_worn": "a trend over counters",
}

ROWS = [  # source, reading, a value that raises, one that clears, fault
    ("printer", "port", "lost", "ok", "printer/port_lost"),
    ("printer", "port", "denied", "ok", "printer/port_lost"),
    ("reader", "port", "busy", "ok", "reader/port_busy"),
    ("keypad", "reply", "none", "ok", "keypad/no_reply"),
    ("modem", "reply", "bad", "ok", "modem/bad_reply"),
    ("printer", "cover", "open", "closed", "printer/cover_open"),
    ("printer", "paper", "near_end", "ok", "printer/paper_near_end"),
    ("printer", "paper", "out", "ok", "printer/paper_out"),
    ("printer", "paper", "out", "near_end", "printer/paper_out"),
    ("printer", "cutter", "error", "ok", "printer/cutter_error"),
    ("printer", "head", "hot", "ok", "printer/head_hot"),
    ("printer", "mechanism", "error", "ok", "printer/mechanical_error"),
    ("printer", "condition", "unrecoverable", "ok", "printer/unrecoverable"),
    ("printer", "voltage", "error", "ok", "power/undervoltage"),
    ("reader", "card", "gate", "absent", "reader/card_left"),
    ("reader", "card", "present", "absent", "reader/card_left"),
    ("reader", "card", "jammed", "absent", "reader/card_jam"),
    ("reader", "shutter", "error", "ok", "reader/shutter_error"),
    ("reader", "sensor", "error", "ok", "reader/sensor_error"),
    ("reader", "self_test", "failed", "ok", "reader/self_test_failed"),
    ("reader", "tamper", "yes", "no", "reader/tamper"),
    ("reader", "read_failure_percent", 40, 5, "reader/read_errors"),
    ("keypad", "held", "5", "none", "keypad/key_stuck"),
    ("keypad", "dead", "5, 8", "none", "keypad/key_dead"),
    ("keypad", "keys", "missing", "loaded", "keypad/keys_missing"),
    ("keypad", "battery", "low", "ok", "keypad/battery_low"),
    ("keypad", "tamper", "yes", "no", "keypad/tamper"),
    ("modem", "sim", "absent", "ready", "modem/sim_absent"),
    ("modem", "sim", "pin", "ready", "modem/sim_locked"),
    ("modem", "sim", "puk", "ready", "modem/sim_locked"),
    ("modem", "sim", "failure", "ready", "modem/sim_failure"),
    ("modem", "registration", "searching", "home", "modem/no_network"),
    ("modem", "registration", "none", "roaming", "modem/no_network"),
    ("modem", "registration", "denied", "home", "modem/registration_denied"),
    ("modem", "registration", "roaming", "home", "modem/roaming"),
    ("modem", "rsrp_dbm", -121, -95, "modem/weak_signal"),
    ("modem", "rssi_dbm", -109, -80, "modem/weak_signal"),
    ("modem", "data", "down", "up", "modem/no_data"),
    ("modem", "temperature_c", 85.0, 50, "modem/overheat"),
    ("firmware", "printer", "outdated", "ok", "firmware/outdated"),
    ("firmware", "modem", "known_bad", "ok", "firmware/known_bad"),
    ("firmware", "reader", "unknown_combination", "ok", "firmware/unknown_combination"),
    ("power", "mains", "off", "on", "power/mains_lost"),
    ("nut", "mains", "off", "on", "power/mains_lost"),
    ("power", "battery_percent", 15, 60, "power/battery_low"),
    ("power", "battery_percent", 3, 60, "power/battery_critical"),
    ("nut", "ups_battery", "low", "ok", "power/battery_low"),
    ("nut", "ups_shutdown", "yes", "no", "power/battery_critical"),
    ("nut", "ups_replace", "yes", "no", "power/battery_worn"),
    ("power", "battery_health_percent", 45, 90, "power/battery_worn"),
    ("power", "battery_health", "Dead", "Good", "power/battery_worn"),
    ("power", "battery_health", "Overheat", "Good", "power/overheat"),
    ("power", "battery_health", "Over voltage", "Good", "power/charger_fault"),
    ("power", "charger", "not_charging", "ok", "power/charger_fault"),
    ("power", "supply", "low", "ok", "power/undervoltage"),
    ("power", "voltage_mv", 3000, 4000, "power/undervoltage"),
    ("power", "temperature_c", 70.0, 30.0, "power/overheat"),
    ("boots", "unclean_recently", "yes", "no", "power/unclean_shutdown"),
    ("boots", "unclean_boots", 3, 0, "system/reboot_loop"),
    ("network", "link", "down", "up", "network/link_down"),
    ("network", "address", "none", "ok", "network/no_address"),
    ("network", "gateway", "failed", "ok", "network/gateway_unreachable"),
    ("network", "dns", "failed", "ok", "network/dns_failed"),
    ("network", "acquirer", "failed", "ok", "network/acquirer_unreachable"),
    ("network", "tls", "failed", "ok", "network/tls_failed"),
    ("network", "portal", "yes", "no", "network/captive_portal"),
    ("network", "broker", "failed", "ok", "network/broker_unreachable"),
    ("network", "latency_ms", 1700, 80, "network/slow"),
    ("network", "loss_percent", 40, 0, "network/lossy"),
    ("network", "changes", 8, 0, "network/flapping"),
    ("system", "disk_free_percent", 2, 50, "system/disk_full"),
    ("system", "disk_free_bytes", 1 << 20, 1 << 30, "system/disk_full"),
    ("system", "disk", "readonly", "ok", "system/disk_readonly"),
    ("system", "memory_available_percent", 3, 40, "system/memory_low"),
    ("system", "cpu_percent", 99, 10, "system/cpu_overload"),
    ("system", "temperature_c", 95, 50, "system/overheat"),
    ("system", "clock_offset_s", 900.0, 0.1, "system/clock_wrong"),
    ("system", "clock_offset_s", -900.0, -0.1, "system/clock_wrong"),
    ("system", "payment_app", "down", "up", "system/payment_app_down"),
    ("system", "screen", "off", "on", "system/screen_off"),
    ("security", "case", "open", "closed", "security/case_opened"),
    ("security", "case", "opened", "closed", "security/case_opened"),
    ("security", "printer.part", "other", "same", "security/device_swapped"),
    ("security", "reader.part", "other", "same", "security/device_swapped"),
    ("security", "keypad.part", "other", "same", "security/device_swapped"),
    ("security", "modem.part", "other", "same", "security/device_swapped"),
    ("security", "place", "elsewhere", "home", "security/relocated"),
    ("security", "password", "weak", "ok", "security/default_password"),
    ("security", "certificate", "expiring", "ok", "security/certificate_expiring"),
    ("network", "tls_certificate", "expiring", "ok", "security/certificate_expiring"),
    ("firmware", "update", "failed_dev_needs_firmware", "complete", "firmware/update_failed"),
    ("firmware", "update", "complete_dev_not_restored", "complete", "firmware/update_failed"),
    ("agent", "probes", "failing", "ok", "agent/probe_failed"),
    ("agent", "store_percent", 90, 10, "agent/store_nearly_full"),
    ("agent", "store", "reset", "ok", "agent/store_reset"),
    ("agent", "budget", "exceeded", "ok", "agent/budget_exceeded"),
    ("agent", "config", "rejected", "ok", "agent/config_rejected"),
]

DEFINITE = {  # a push of these goes out without waiting
    "printer/cover_open", "printer/paper_out", "printer/paper_near_end", "printer/cutter_error",
    "printer/mechanical_error", "printer/unrecoverable", "reader/card_jam", "reader/shutter_error",
    "reader/sensor_error", "reader/tamper", "keypad/tamper", "keypad/keys_missing", "keypad/battery_low",
    "modem/sim_absent", "modem/sim_locked", "modem/sim_failure", "power/mains_lost",
}  # fmt: skip


def test_every_fault_has_a_condition_or_a_reason_for_having_none():
    covered = {condition.fault for condition in TABLE} | {"modem/sim_swapped"}
    assert covered | set(NOT_BY_POLLING) == set(VOCABULARY)
    assert not covered & set(NOT_BY_POLLING)


def test_every_condition_but_the_remembering_stands_in_the_rows():
    rows = {(source, reading, fault) for source, reading, _, _, fault in ROWS}
    generic = ("port", "reply")  # the same four for each unit
    probes = ("power", "nut")  # and the shared ones of both power sources
    missing = [
        (c.source, c.reading, c.fault)
        for c in TABLE
        if (c.source, c.reading, c.fault) not in rows
        and not c.remembers
        and c.reading not in generic
        and c.source not in (*probes, "firmware")
    ]
    assert missing == []


def run(source, reading, value, polls, step_s, rules, start):
    out = []
    for n in range(polls):
        now = start + n * step_s
        out += rules.observe(source, {reading: known(value)}, now, 1e9 + now)
    return [f"{t.event} {t.fault.key}" for t in out], start + polls * step_s


@pytest.mark.parametrize(("source", "reading", "bad", "good", "fault"), ROWS)
def test_each_row_raises_and_clears(source, reading, bad, good, fault):
    rules = Rules(TABLE)
    rules.observe(source, {reading: known(good)}, 0, 1e9)
    said, now = run(source, reading, bad, 800, 1.0, rules, 1)
    assert f"fault.raised {fault}" in said
    assert rules.raised()[fault].evidence[reading] == bad
    said, _ = run(source, reading, good, 100, 1.0, rules, now)
    assert f"fault.cleared {fault}" in said
    assert fault not in rules.raised()


@pytest.mark.parametrize(("source", "reading", "bad", "good", "fault"), ROWS)
def test_unknown_raises_nothing_and_clears_nothing(source, reading, bad, good, fault):
    rules = Rules(TABLE)
    for now in range(100):
        assert rules.observe(source, {reading: unknown("no_reply")}, now, 1e9 + now) == []
    run(source, reading, bad, 800, 1.0, rules, 100)
    for now in range(1000, 1100):
        assert rules.observe(source, {reading: unknown("inconsistent")}, now, 1e9 + now) == []
    assert fault in rules.raised()


@pytest.mark.parametrize("row", [row for row in ROWS if row[4] in DEFINITE], ids=lambda row: f"{row[4]}-{row[2]}")
def test_a_definite_state_raises_by_its_first_reading(row):
    source, reading, bad, _, fault = row
    said, _ = run(source, reading, bad, 1, 1.0, Rules(TABLE), 0)
    assert said == [f"fault.raised {fault}"]


@pytest.mark.parametrize(
    ("source", "reading", "value", "seconds"),
    [
        ("reader", "card", "gate", 10),  # a person takes it
        ("reader", "card", "present", 300),  # a long sale
        ("keypad", "held", "some", 1000),  # somebody types
        ("keypad", "held", "Enter", 8),
        ("modem", "registration", "searching", 15),
        ("modem", "rsrp_dbm", -114, 1000),
        ("modem", "rsrp_dbm", -130, 25),
        ("system", "cpu_percent", 100, 50),
        ("power", "charger", "not_charging", 250),
        ("power", "battery_percent", 21, 100),
        ("network", "broker", "failed", 25),
        ("system", "screen", "off", 200),
    ],
)
def test_what_is_normal_for_a_while_raises_nothing(source, reading, value, seconds):
    said, _ = run(source, reading, value, seconds, 1.0, Rules(TABLE), 0)
    assert said == []


def test_a_running_update_neither_raises_nor_clears_a_failed_one():
    rules = Rules(TABLE)
    assert run("firmware", "update", "progress", 9, 1.0, rules, 0)[0] == []
    run("firmware", "update", "failed_dev_ok", 1, 1.0, rules, 9)
    run("firmware", "update", "progress", 9, 1.0, rules, 10)
    assert rules.raised()["firmware/update_failed"].evidence["update"] == "failed_dev_ok"


@pytest.mark.parametrize("unit", ["reader", "keypad"])
def test_tampering_outlives_a_restart_after_which_the_device_has_forgotten(unit):
    key = f"{unit}/tamper"
    before = Rules(TABLE)
    run(unit, "tamper", "yes", 1, 1.0, before, 0)
    kept = before.raised()

    def restarted():
        rules = Rules(TABLE)
        assert rules.restore(kept) == []
        return rules

    rules = restarted()
    assert run(unit, "tamper", "no", 50, 1.0, rules, 10)[0] == []
    assert key in rules.raised()
    assert run(unit, "tamper", "yes", 2, 1.0, rules, 100)[0] == []
    assert run(unit, "tamper", "no", 1, 1.0, rules, 110)[0] == [f"fault.cleared {key}"], (
        "the device itself took it back"
    )

    rules = restarted()
    run(unit, "tamper", "no", 5, 1.0, rules, 10)
    rules.release(key)
    assert key in rules.raised(), "a release is no reading"
    assert run(unit, "tamper", "no", 1, 1.0, rules, 20)[0] == [f"fault.cleared {key}"]


def test_a_release_does_not_clear_what_the_device_still_says():
    before = Rules(TABLE)
    run("keypad", "tamper", "yes", 1, 1.0, before, 0)
    rules = Rules(TABLE)
    rules.restore(before.raised())
    rules.release("keypad/tamper")
    assert run("keypad", "tamper", "yes", 5, 1.0, rules, 10)[0] == []
    assert "keypad/tamper" in rules.raised()


def test_an_empty_roll_does_not_take_back_its_warning():
    rules = Rules(TABLE)
    rules.observe("printer", {"paper": known("near_end")}, 0, 1e9)
    rules.observe("printer", {"paper": known("out")}, 1, 1e9)
    assert set(rules.raised()) == {"printer/paper_near_end", "printer/paper_out"}


def test_a_port_that_is_borrowed_may_be_held_for_long():
    def said(share):
        device = DeviceConfig(name="printer", family="x", port="/dev/x", share=share)
        config = Config(terminal=CONFIG.terminal, mqtt=CONFIG.mqtt, device=(device,))
        return run("printer", "port", "busy", 60, 1.0, Rules(conditions(config, UNITS)), 0)[0]

    assert said("own") == ["fault.raised printer/port_busy"]
    assert said("idle") == []
    assert said("never") == []


def test_thresholds_come_from_the_configuration():
    power = PowerConfig(low_percent=50)
    config = Config(terminal=CONFIG.terminal, mqtt=CONFIG.mqtt, power=power)
    rules = Rules(conditions(config, {}))
    assert run("power", "battery_percent", 45, 3, 2.0, rules, 0)[0] == ["fault.raised power/battery_low"]


def test_the_voltage_has_no_limit_unless_one_is_configured():
    config = Config(terminal=CONFIG.terminal, mqtt=CONFIG.mqtt)
    assert run("power", "voltage_mv", 10, 9, 2.0, Rules(conditions(config, {})), 0)[0] == []


def test_hysteresis_levels_do_not_overlap():
    for condition in TABLE:
        if condition.clears is not None:
            for number in range(-150, 150):
                assert not (condition.raises(number) and condition.clears(number)), condition


def test_a_slow_poll_is_not_stale_by_itself():
    device = DeviceConfig(name="printer", family="x", port="/dev/x", poll_s=600)
    config = Config(terminal=CONFIG.terminal, mqtt=CONFIG.mqtt, device=(device,))
    rules = Rules(conditions(config, UNITS))
    rules.observe("printer", {"paper": known("out")}, 0, 1e9)
    assert rules.tick(1700, 1e9 + 1700) == []
    assert [t.event for t in rules.tick(1801, 1e9 + 1801)] == ["fault.changed"]
