"""How each component of a terminal is, by its faults, its readings and how long ago anybody heard of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

UNITS: Final = (
    *("printer", "reader", "keypad", "modem", "network", "power", "system", "firmware", "security", "agent"),
)
DEVICES: Final = frozenset({"printer", "reader", "keypad", "modem"})
SEVERITIES: Final = ("critical", "major", "minor", "warning")
DULL: Final = frozenset({"unsupported", "not_asked", "learning"})
"""Causes that say nothing about the state of a part."""
STALE: Final = frozenset({"offline", "unknown"})
"""Freshness with which the last that was said is no news of the present."""
_ALSO: Final = {"boots": "system", "report": "system"}
_OF_ANOTHER: Final = frozenset({"trend", "report"})

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Component:
    """`state` is a word of `parts.LIGHTS`, `said` the phrase that tells why, `last` what it was when it went stale."""

    unit: str
    state: str
    said: str
    devices: tuple[Row, ...] = ()
    faults: tuple[Row, ...] = ()
    readings: tuple[Row, ...] = ()
    last: str = ""
    unknown: tuple[Row, ...] = ()
    """Readings that failed."""


def components(detail: Row, readings: Sequence[Row], freshness: str) -> list[Component]:
    """All units in their order. `detail` is a terminal with inventory and faults, as the API has them."""
    inventory = detail["inventory"]
    devices = [each for each in (inventory or {}).get("devices") or () if isinstance(each, Mapping)]
    units = {str(each.get("name")): str(each.get("unit")) for each in devices}
    by_unit: dict[str, list[Row]] = {}
    for reading in readings:
        by_unit.setdefault(unit_of(reading["metric"], units), []).append(reading)
    return [
        _component(
            unit,
            tuple(each for each in devices if each.get("unit") == unit),
            tuple(each for each in detail["faults"] if each["fault"].startswith(f"{unit}/")),
            tuple(by_unit.get(unit, ())),
            freshness,
            told=inventory is not None,
        )
        for unit in UNITS
    ]


def unit_of(metric: str, devices: Mapping[str, str]) -> str:
    """The component that a metric belongs to; `devices` are units by the names of devices."""
    first, _, rest = metric.partition(".")
    if first in _OF_ANOTHER and (rest.partition(".")[0] in devices or rest.partition(".")[0] in UNITS):
        first = rest.partition(".")[0]
    return devices.get(first) or (first if first in UNITS else _ALSO.get(first, "system"))


def worst(faults: Sequence[Row]) -> str:
    """The gravest severity, "" for none; a severity that nobody knows counts as a warning."""
    found = {each["severity"] for each in faults}
    return next((each for each in SEVERITIES if each in found), "warning" if found else "")


def _component(
    unit: str,
    devices: tuple[Row, ...],
    faults: tuple[Row, ...],
    readings: tuple[Row, ...],
    freshness: str,
    *,
    told: bool,
) -> Component:
    unknown = tuple(each for each in readings if each["error"] not in {None, *DULL})
    state, said = _state(unit, devices, faults, readings, unknown, told=told)
    if freshness in STALE and state not in {"unsupported", "unknown"}:
        return Component(unit, "stale", "stale", devices, faults, readings, state, unknown)
    return Component(unit, state, said, devices, faults, readings, unknown=unknown)


def _state(
    unit: str,
    devices: tuple[Row, ...],
    faults: tuple[Row, ...],
    readings: tuple[Row, ...],
    unknown: tuple[Row, ...],
    *,
    told: bool,
) -> tuple[str, str]:
    if faults:
        return worst(faults), "fault"
    if not told and not readings:
        return "unknown", "never"
    if unit in DEVICES and not devices:
        return "unsupported", "absent"
    known = [each for each in readings if each["error"] is None]
    if not known:
        all_unsupported = bool(readings) and all(each["error"] == "unsupported" for each in readings)
        return ("unsupported", "unsupported") if all_unsupported else ("unknown", "silent")
    return ("unknown", "partly") if unknown else ("ok", "ok")
