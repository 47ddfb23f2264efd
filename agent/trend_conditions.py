"""Which forecasts raise which warnings. When one acts is decided in the trends; nothing here has a threshold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from agent.condition import Condition, among
from agent.trends_estimate import SOURCE

_OF_UNIT: Final[Mapping[str, Mapping[str, str]]] = {
    "printer": {
        "paper_days_left": "printer/paper_near_end",  # only for printers without a near-end sensor
        "head_wear_percent": "printer/head_worn",
    },
    "reader": {"read_errors_percent": "reader/read_errors"},
    "modem": {"signal_shift_db": "modem/weak_signal"},
}
_OF_HOST: Final = (
    ("power", "battery_days_left", "power/battery_worn"),
    ("power", "cycles_wear_percent", "power/battery_worn"),
    ("system", "disk_days_left", "system/disk_full"),
)


def trend_conditions(units: Mapping[str, str]) -> Iterable[Condition]:
    """The warnings of all trends. `units` maps the name of each device to its fault unit."""
    rows = [
        *((name, reading, key) for name, unit in units.items() for reading, key in _OF_UNIT.get(unit, {}).items()),
        *_OF_HOST,
    ]
    for owner, reading, key in rows:
        yield Condition(
            fault=key,
            source=f"{SOURCE}{owner}",
            device=owner,
            reading=f"{reading}_outlook",
            raises=among("act"),
            clears=among("ok"),
            evidence=(reading, f"{reading}_low", f"{reading}_high", f"{reading}_why"),
            stale_s=0,  # told once an hour; what has become stale says so itself
            forecast=True,
        )
