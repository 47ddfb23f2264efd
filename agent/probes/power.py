"""Mains, battery and supply voltage from the kernel's trees.

Readings: mains on|off · battery present|absent · battery_percent · battery_status and battery_health (the kernel's
words) · battery_health_percent (full charge now against the design's) · voltage_mv · temperature_c · cycle_count ·
charger ok|not_charging · supply ok|low. Source: the kernel's sysfs-class-power ABI and its hwmon interface.
"""

from __future__ import annotations

from agent.config import PathsConfig, PowerConfig
from agent.probes.tree import entries, measured, number, text
from drivers.reading import Cause, Reading, known, unknown

_LINE = ("Mains", "USB", "Wireless")
_BATTERY = ("battery_percent", "battery_status", "battery_health", "battery_health_percent", "voltage_mv",
            "temperature_c", "cycle_count", "charger")  # fmt: skip


class PowerProbe:
    """Looks at every supply of the terminal itself; the emptiest battery speaks for all."""

    name = "power"

    def __init__(self, config: PowerConfig, paths: PathsConfig) -> None:
        self.interval_s = config.poll_s
        self._sys = paths.sys

    def run(self) -> dict[str, Reading]:
        """All readings, within milliseconds."""
        root = f"{self._sys}/class/power_supply"
        lines: list[int | None] = []
        batteries: list[str] = []
        absent = False
        for name in entries(root):
            folder = f"{root}/{name}"
            if text(f"{folder}/scope") == "Device":
                continue  # the battery of a mouse or a pen
            kind = text(f"{folder}/type")
            if kind in _LINE:
                lines.append(number(f"{folder}/online"))
            elif kind == "Battery" and number(f"{folder}/present") == 0:
                absent = True
            elif kind == "Battery":
                batteries.append(folder)
        readings = {"mains": _mains(lines), "supply": self._supply()}
        if not batteries:
            readings["battery"] = known("absent") if absent else unknown(Cause.UNSUPPORTED)
            return readings | {name: unknown(Cause.UNSUPPORTED) for name in _BATTERY}
        readings["battery"] = known("present")
        percents = {folder: _percent(folder) for folder in batteries}
        weakest = min(batteries, key=lambda folder: 101.0 if (p := percents[folder]) is None else p)
        return readings | _battery(weakest, percents[weakest], readings["mains"])

    def _supply(self) -> Reading:
        alarms: list[int] = []
        root = f"{self._sys}/class/hwmon"
        for chip in entries(root):
            for name in entries(f"{root}/{chip}"):
                if name.startswith("in") and name.endswith("_lcrit_alarm"):
                    alarm = number(f"{root}/{chip}/{name}")
                    alarms += [] if alarm is None else [alarm]
        if not alarms:
            return unknown(Cause.UNSUPPORTED)
        return known("low" if any(alarms) else "ok")


def _mains(lines: list[int | None]) -> Reading:
    """Off only when every line input says so; one that cannot be read leaves it open."""
    if not lines:
        return unknown(Cause.UNSUPPORTED)
    if any(lines):
        return known("on")
    return unknown(Cause.FAILED) if None in lines else known("off")


def _percent(folder: str) -> float | None:
    """The gauge's own capacity, else worked out of charge or energy; None when the battery has no gauge."""
    found = number(f"{folder}/capacity")
    if found is not None:
        return float(found) if 0 <= found <= 100 else None
    for kind in ("charge", "energy"):
        now, full = number(f"{folder}/{kind}_now"), number(f"{folder}/{kind}_full")
        if now is not None and full:
            return min(100.0, round(100 * now / full, 1))
    return None


def _wear(folder: str) -> float | None:
    for kind in ("charge", "energy"):
        full, design = number(f"{folder}/{kind}_full"), number(f"{folder}/{kind}_full_design")
        if full is not None and design:
            return round(100 * full / design, 1)
    return None


def _word(folder: str, name: str) -> Reading:
    found = text(f"{folder}/{name}")
    if not found:
        return unknown(Cause.UNSUPPORTED)
    return unknown(Cause.FAILED) if found == "Unknown" else known(found)


def _battery(folder: str, percent: float | None, mains: Reading) -> dict[str, Reading]:
    voltage, tenths = number(f"{folder}/voltage_now"), number(f"{folder}/temp")
    status = _word(folder, "status")
    if mains.value == "on" and status.value is not None:
        # Many terminals stop charging at 60 to 80 % to spare the battery; below half nobody means that.
        refuses = status.value == "Not charging" and percent is not None and percent < 50
        charger = known("not_charging" if refuses or status.value == "Discharging" else "ok")
    else:
        charger = unknown(Cause.NOT_ASKED)
    return {
        "battery_percent": measured(percent),
        "battery_status": status,
        "battery_health": _word(folder, "health"),
        "battery_health_percent": measured(_wear(folder)),
        "voltage_mv": measured(None if voltage is None else round(voltage / 1000)),  # microvolts
        "temperature_c": measured(None if tenths is None else tenths / 10),
        "cycle_count": measured(number(f"{folder}/cycle_count")),
        "charger": charger,
    }
