"""Everything around the devices: power, network, the terminal's own computer; and what follows from what. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from simulator.device import Key, integer

BATTERY_WORDS: Final = {
    "good": ("Good", 96),
    "worn": ("Good", 45),
    "dead": ("Dead", 12),
    "overheat": ("Overheat", 96),
    "cold": ("Cold", 96),
    "over_voltage": ("Over voltage", 96),
    "unspecified_failure": ("Unspecified failure", 96),
}
"""A word for `power.battery_health`: what the kernel calls it, and the capacity left in percent of the designed one."""

UNDERVOLTAGE_MV: Final = 6800  # two lithium cells at 3.4 V each, where such terminals switch off


def _number(low: float, high: float) -> Callable[[str], str]:
    def check(text: str) -> str:
        number = float(text)
        if not low <= number <= high:  # also refuses NaN
            raise ValueError(text)
        return str(int(number)) if number.is_integer() else str(number)

    return check


def _health(text: str) -> str:
    return text if text in BATTERY_WORDS else integer(1, 100)(text)


def _whole(default: int, low: int, high: int) -> Key:
    return Key(str(default), check=integer(low, high), legal=f"a whole number from {low} to {high}")


def _either(default: str, other: str) -> Key:
    return Key(default, values=(default, other))


KEYS: Final[Mapping[str, Key]] = {
    "power.mains": _either("on", "off"),
    "power.battery": _either("present", "absent"),
    "power.battery_percent": _whole(100, 0, 100),
    "power.battery_health": Key(
        "good", check=_health, legal=f"a percentage of the designed capacity or one of {', '.join(BATTERY_WORDS)}"
    ),
    "power.voltage_mv": _whole(7600, 0, 60_000),
    "power.temperature_c": Key("31", check=_number(-60, 150), legal="a number from -60 to 150"),
    "power.charger": _either("ok", "fault"),
    "network.bearer": _either("modem", "ethernet"),
    "network.link": _either("up", "down"),
    "network.address": _either("up", "down"),
    "network.gateway": _either("up", "down"),
    "network.dns": _either("up", "down"),
    "network.acquirer": _either("up", "down"),
    "network.tls": Key("ok", values=("ok", "expired", "wrong_host")),
    "network.portal": _either("no", "yes"),
    "network.latency_ms": _whole(30, 0, 60_000),
    "network.loss_percent": Key("0", check=_number(0, 100), legal="a number from 0 to 100"),
    "system.payment_app": _either("up", "down"),
    "system.clock_offset_s": Key("0", check=_number(-3e9, 3e9), legal="a number of seconds"),
    "system.temperature_c": Key("45", check=_number(-60, 150), legal="a number from -60 to 150"),
    "system.screen": _either("on", "off"),
    "system.sale": _either("no", "yes"),
    "system.boot": Key("clean", values=("clean", "power_loss", "crash")),
}
"""The keys that belong to no device. Setting `system.boot`, even to the value it has, is a reboot."""

NUMBERS: Final = ("_dbm", "_percent", "_mv", "_c", "_ms", "_s")


def as_json(key: str, value: str) -> str | int | float:
    """A value as `get --json` shows it: a number where the key's name ends in a unit."""
    if not key.endswith(NUMBERS):
        return value
    number = float(value)
    return int(number) if number.is_integer() else number


# Signal of the serving cell (RSRP, dBm) against what it costs: more milliseconds, lost packets in percent.
# Shaped after the usual reading: above -105 good, below -115 poor, below -124 barely a link. The wait stays below two
# seconds: beyond, most programs give up, and a slow network would look like none.
_SIGNAL_COST: Final = (
    (-105, 0.0, 0.0),
    (-112, 300.0, 2.0),
    (-118, 1600.0, 15.0),
    (-124, 1800.0, 30.0),
    (-140, 1900.0, 80.0),
)


def signal_cost(rsrp_dbm: float) -> tuple[float, float]:
    """Extra latency in ms and loss in percent at a signal, between the table's rows in proportion."""
    if rsrp_dbm >= _SIGNAL_COST[0][0]:
        return 0.0, 0.0
    for (high, ms_high, loss_high), (low, ms_low, loss_low) in itertools.pairwise(_SIGNAL_COST):
        if rsrp_dbm >= low:
            share = (high - rsrp_dbm) / (high - low)
            return ms_high + share * (ms_low - ms_high), loss_high + share * (loss_low - loss_high)
    return _SIGNAL_COST[-1][1:]


@dataclass(frozen=True, slots=True, kw_only=True)
class Consequences:
    """What follows from the keys. `powered` names the devices that have power; the rest is what works right now."""

    powered: frozenset[str]
    link: bool
    address: bool
    gateway: bool
    dns: bool
    acquirer: bool
    internet: bool
    """Whether what lies beyond the gateway is reachable: time servers and the portal check."""
    portal: bool
    tls: str
    latency_ms: float
    loss_percent: float


def consequences(values: Mapping[str, str], devices: tuple[str, ...]) -> Consequences:
    """The one place where one thing leads to another. `values` is every key of the terminal."""
    charged = values["power.battery"] == "present" and int(values["power.battery_percent"]) > 0
    fed = values["power.mains"] == "on" or charged
    powered = frozenset(
        name
        for name in devices
        if values[f"{name}.power"] == "on" and (values["power.mains"] == "on" if name == "printer" else fed)
    )
    cellular = values["network.bearer"] == "modem" and "modem" in devices
    link = values["network.link"] == "up" and (not cellular or _modem_carries(values, powered))
    address = link and values["network.address"] == "up"
    gateway = address and values["network.gateway"] == "up"
    extra_ms, extra_loss = signal_cost(float(values["modem.signal_dbm"])) if cellular else (0.0, 0.0)
    return Consequences(
        powered=powered,
        link=link,
        address=address,
        gateway=gateway,
        dns=gateway and values["network.dns"] == "up",
        acquirer=gateway and values["network.acquirer"] == "up",
        internet=gateway,
        portal=values["network.portal"] == "yes",
        tls=values["network.tls"],
        latency_ms=float(values["network.latency_ms"]) + extra_ms,
        loss_percent=max(float(values["network.loss_percent"]), extra_loss),
    )


def _modem_carries(values: Mapping[str, str], powered: frozenset[str]) -> bool:
    return (
        "modem" in powered
        and values["modem.cable"] == "in"
        and values["modem.sim"] == "ready"
        and values["modem.registration"] in {"home", "roaming"}
        and values["modem.data"] == "up"
    )
