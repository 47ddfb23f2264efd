"""Power from a sysfs tree in a folder: what is absent is unsupported, never zero."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.config import PathsConfig, PowerConfig
from agent.probes.power import PowerProbe
from drivers.reading import Reading


def supply(root: Path, name: str, **attributes: object) -> None:
    folder = root / "class/power_supply" / name
    folder.mkdir(parents=True, exist_ok=True)
    for attribute, value in attributes.items():
        (folder / attribute).write_text(f"{value}\n")


def look(root: Path) -> dict[str, Reading]:
    return PowerProbe(PowerConfig(), PathsConfig(sys=str(root))).run()


BATTERY = {
    "type": "Battery", "present": 1, "status": "Discharging", "health": "Good", "capacity": 41,
    "voltage_now": 7_412_000, "temp": 314, "cycle_count": 212, "charge_full": 1_950_000, "charge_full_design": 2_600_000,
}  # fmt: skip


def test_a_whole_battery(tmp_path):
    supply(tmp_path, "AC", type="Mains", online=0)
    supply(tmp_path, "BAT0", **BATTERY)
    readings = look(tmp_path)
    assert {name: reading.value for name, reading in readings.items() if reading.value is not None} == {
        "mains": "off",
        "battery": "present",
        "battery_percent": 41.0,
        "battery_status": "Discharging",
        "battery_health": "Good",
        "battery_health_percent": 75.0,
        "voltage_mv": 7412,
        "temperature_c": 31.4,
        "cycle_count": 212,
    }
    assert readings["charger"].unknown == "not_asked"
    assert readings["supply"].unknown == "unsupported"


def test_an_empty_tree_knows_nothing_and_claims_nothing(tmp_path):
    readings = look(tmp_path / "absent")
    assert {reading.unknown for reading in readings.values()} == {"unsupported"}
    assert {"mains", "battery_percent", "voltage_mv", "supply", "charger"} <= set(readings)


@pytest.mark.parametrize("name", [each for each in BATTERY if each not in {"type", "present"}])
def test_each_absent_attribute_is_unsupported(tmp_path, name):
    whole = set(look_values(tmp_path / "whole", BATTERY))
    less = set(look_values(tmp_path / "less", {key: value for key, value in BATTERY.items() if key != name}))
    assert whole - less == {
        "capacity": {"battery_percent"}, "status": {"battery_status"}, "health": {"battery_health"},
        "voltage_now": {"voltage_mv"}, "temp": {"temperature_c"}, "cycle_count": {"cycle_count"},
        "charge_full": {"battery_health_percent"}, "charge_full_design": {"battery_health_percent"},
    }[name]  # fmt: skip


def look_values(root: Path, attributes: dict[str, object]) -> dict[str, object]:
    supply(root, "BAT0", **attributes)
    return {name: reading.value for name, reading in look(root).items() if reading.value is not None}


@pytest.mark.parametrize(
    ("lines", "mains"),
    [
        ([("Mains", 1)], "on"),
        ([("Mains", 0)], "off"),
        ([("USB", 2)], "on"),  # programmable supply
        ([("Mains", 0), ("USB", 1)], "on"),
        ([("Mains", 0), ("USB", 0)], "off"),
        ([("Mains", "nonsense")], None),
        ([("Mains", 0), ("USB", "nonsense")], None),
    ],
)
def test_mains_are_off_only_when_every_input_says_so(tmp_path, lines, mains):
    for number, (kind, online) in enumerate(lines):
        supply(tmp_path, f"in{number}", type=kind, online=online)
    assert look(tmp_path)["mains"].value == mains


def test_a_battery_that_was_taken_out_has_no_level(tmp_path):
    supply(tmp_path, "BAT0", **(BATTERY | {"present": 0, "capacity": 0}))
    readings = look(tmp_path)
    assert readings["battery"].value == "absent"
    assert readings["battery_percent"].value is None


def test_the_battery_of_a_mouse_is_none_of_ours(tmp_path):
    supply(tmp_path, "hid", type="Battery", scope="Device", capacity=3, status="Discharging")
    assert look(tmp_path)["battery_percent"].unknown == "unsupported"


def test_the_emptiest_battery_speaks(tmp_path):
    supply(tmp_path, "BAT0", **(BATTERY | {"capacity": 90}))
    supply(tmp_path, "BAT1", **(BATTERY | {"capacity": 12, "voltage_now": 6_900_000}))
    readings = look(tmp_path)
    assert (readings["battery_percent"].value, readings["voltage_mv"].value) == (12.0, 6900)


def test_a_gauge_without_capacity_is_worked_out(tmp_path):
    supply(tmp_path, "BAT0", type="Battery", energy_now=10_000_000, energy_full=40_000_000)
    assert look(tmp_path)["battery_percent"].value == 25.0


@pytest.mark.parametrize("capacity", [-1, 101, 255])
def test_an_impossible_capacity_is_unknown(tmp_path, capacity):
    supply(tmp_path, "BAT0", type="Battery", capacity=capacity)
    assert look(tmp_path)["battery_percent"].value is None


@pytest.mark.parametrize(
    ("status", "percent", "charger"),
    [
        ("Charging", 40, "ok"),
        ("Full", 100, "ok"),
        ("Discharging", 40, "not_charging"),
        ("Not charging", 20, "not_charging"),
        ("Not charging", 80, "ok"),  # a charge limit
        ("Unknown", 40, None),
    ],
)
def test_a_battery_that_does_not_charge_on_mains(tmp_path, status, percent, charger):
    supply(tmp_path, "AC", type="Mains", online=1)
    supply(tmp_path, "BAT0", **(BATTERY | {"status": status, "capacity": percent}))
    assert look(tmp_path)["charger"].value == charger


@pytest.mark.parametrize(("alarms", "supply_is"), [([0], "ok"), ([1], "low"), ([0, 1], "low")])
def test_the_undervoltage_alarm(tmp_path, alarms, supply_is):
    for number, alarm in enumerate(alarms):
        folder = tmp_path / f"class/hwmon/hwmon{number}"
        folder.mkdir(parents=True)
        (folder / "in0_lcrit_alarm").write_text(f"{alarm}\n")
        (folder / "in0_crit_alarm").write_text("1\n")  # the upper limit is another matter
    assert look(tmp_path)["supply"].value == supply_is
