"""What a fleet's terminals are made of: devices, makers, firmware, and the metrics that they tell.

Names, units and values are those that an agent with these families publishes.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from agent import VERSION, wire
from simulator.fleet_estate import Place

Values = Mapping[str, Any]

_OK: Final = {"port": "ok", "reply": "ok"}
_NOT_ASKED: Final = {"error": "not_asked"}
_UNSUPPORTED: Final = {"error": "unsupported"}
OLDER_VERSION: Final = "0.0.9"
"""Some terminals of every estate have not been updated."""


@dataclass(frozen=True, slots=True)
class Family:
    """One device family: makers' models with their firmware (the newest first), units and healthy values by reading."""

    word: str
    models: Mapping[tuple[str, str], tuple[str, ...]]
    readings: Mapping[str, str]
    healthy: Values
    counters: Mapping[str, int] = field(default_factory=dict)


_PRINTER: Final = Family(
    "escpos",
    {
        ("EPSON", "TM-T88V"): ("30.21", "30.14"),
        ("POSDIAG-SIM", "SIM-T88"): ("2.04", "2.03", "1.99"),
        ("CUSTOM", "VKP80"): ("1.11",),
    },
    dict.fromkeys(
        (
            *("online", "cover", "paper", "cutter", "head", "mechanism", "condition", "voltage", "presenter"),
            *("feed_button", "drawer"),
        ),
        "",
    ),
    {
        "online": True,
        "cover": "closed",
        "paper": "ok",
        "feed_button": False,
        "drawer": "low",
        "presenter": _UNSUPPORTED,
        "cutter": "ok",
        "head": "ok",
        "mechanism": "ok",
        "condition": "ok",
        "voltage": _UNSUPPORTED,
        **_OK,
    },
    {"ReceiptLineFeedCount": 120_000, "PaperCutCount": 4310, "HoursPoweredCount": 2164},
)
_MOTOR_READER: Final = Family(
    "crt571",
    {("", "CRT-571-SIM"): ("V1.02", "V1.00")},
    dict.fromkeys(("card", "shutter", "sensor", "self_test", "bin", "stacker"), ""),
    {
        "shutter": "ok",
        "sensor": "ok",
        "self_test": "ok",
        "card": "absent",
        "stacker": "ok",
        "bin": "ok",
        **_OK,
    },
    {"CapturedCardCount": 42},
)
_SMALL_READER: Final = Family(
    "gempc",
    {("Gemplus", "GemPC Twin"): ("1.30", "1.21")},
    dict.fromkeys(("card", "self_test"), ""),
    {"card": "absent", "self_test": "ok", **_OK},
)
_KEYPAD: Final = Family(
    "zt588",
    {("SZZT", "ZT588S"): ("2.1", "2.0")},
    dict.fromkeys(("held", "battery", "keys", "dead"), ""),
    {"held": "none", "battery": "ok", "keys": "loaded", "dead": {"error": "not_asked"}, **_OK},
)
_MODEM: Final = Family(
    "quectel",
    {("Quectel", "EC25"): ("EC25EFAR06SIM01", "EC25EFAR02SIM01"), ("Quectel", "EC21"): ("EC21EFAR06SIM02",)},
    {
        "sim": "",
        "iccid": "",
        "rssi_dbm": "dBm",
        "rsrp_dbm": "dBm",
        "rsrq_db": "dB",
        "registration": "",
        "cell": "",
        "tac": "",
        "operator": "",
        "access": "",
        "data": "",
        "clock_utc": "",
        "temperature_c": "°C",
        "sinr_db": "dB",
    },
    {
        "sim": "ready",
        "iccid": "",
        "rssi_dbm": -58,
        "rsrp_dbm": -85,
        "rsrq_db": -10,
        "registration": "home",
        "cell": "",
        "tac": "",
        "operator": "",
        "access": "LTE",
        "data": "up",
        "clock_utc": "",
        "temperature_c": 38,
        "sinr_db": {"error": "failed"},
        **_OK,
    },
)

_AGENT: Final[tuple[tuple[str, Values], ...]] = (
    ("agent", {"store": "ok", "store_why": "none"}),
    ("agent", {"config": "ok", "config_why": "none"}),
    ("network", {"broker": "ok", "broker_why": "none"}),
    ("agent", {"budget": "ok", "budget_why": "none"}),
    ("agent", {"probes": "ok", "store_percent": 0.0, "probes_why": "none"}),
)
_POWER: Final[Values] = {
    "mains": "on",
    "supply": "ok",
    "battery": "present",
    "battery_percent": 100.0,
    "battery_status": "Full",
    "battery_health": "Good",
    "battery_health_percent": 96.0,
    "voltage_mv": 7600,
    "temperature_c": 31.0,
    "cycle_count": 212,
    "charger": "ok",
}
_NO_BATTERY: Final = dict.fromkeys(
    (
        *("battery_percent", "battery_status", "battery_health", "battery_health_percent", "voltage_mv"),
        *("temperature_c", "cycle_count", "charger"),
    ),
    _UNSUPPORTED,
)
_SYSTEM: Final[Values] = {
    "cpu_percent": 12.0,
    "temperature_c": 45.0,
    "uptime_s": 0,
    "memory_available_bytes": 402_653_184,
    "memory_available_percent": 39.0,
    "disk": "ok",
    "disk_free_percent": 30.6,
    "disk_free_bytes": 2_469_606_195,
    "clock": "ok",
    "clock_offset_s": 0.0,
    "clock_source": "ntp",
    "payment_app": "up",
    "screen": "on",
}
_NETWORK: Final[Values] = {
    "link": "up",
    "address": "ok",
    "interface": "eth0",
    "gateway": "ok",
    "gateway_ms": 0.8,
    "gateway_why": _NOT_ASKED,
    "dns": "ok",
    "dns_ms": 31.4,
    "dns_why": _NOT_ASKED,
    "acquirer": "ok",
    "acquirer_ms": 38.2,
    "acquirer_why": _NOT_ASKED,
    "tls": "ok",
    "tls_ms": 40.7,
    "tls_why": _NOT_ASKED,
    "portal": "no",
    "tls_certificate": "ok",
    "tls_certificate_days": 212.5,
    "latency_ms": 31.4,
    "loss_percent": 0,
    "changes": 0,
}
_SECURITY: Final[Values] = {
    "place": "home",
    "place_score": 0,
    "place_parts": "none",
    "password": "ok",
    "password_why": "none",
    "certificate": "ok",
    "certificate_days": 26_338.0,
    "certificate_of": "network.acquirer_ca",
}
_UNITS: Final = ("dbm", "db", "percent", "mv", "ms", "bytes", "kib", "c", "s")
PROBES: Final = ("power", "system", "boots", "firmware", "security", "network")


@dataclass(frozen=True, slots=True)
class Parts:
    """One terminal's devices as the inventory has them, and what it tells when all is well.

    `healthy` are values by metric, source by source in the order of a start, shared by all terminals of a kind; `own`
    are the values that are this terminal's alone. `metrics` maps metric to unit.
    """

    devices: tuple[wire.DeviceEntry, ...]
    healthy: tuple[dict[str, Any], ...]
    own: dict[str, Any]
    metrics: dict[str, str]
    version: str
    battery: bool


def make_parts(place: Place, *, battery: bool) -> Parts:
    """What this terminal is made of, always the same for the same place."""
    dice = random.Random(f"parts-{place.terminal}")
    devices = tuple(_entry(dice, place, name, family) for name, family in _fitted(place.bearer).items())
    healthy, metrics = _kind(place.bearer, battery)
    version = VERSION if dice.random() < 0.9 else OLDER_VERSION
    own: dict[str, Any] = {}
    if place.bearer == "modem":
        cell = f"{random.Random(place.cell).randrange(1 << 32):08X}"
        own = {"modem.cell": cell, "modem.tac": cell[:4], "modem.operator": place.operator}
        own |= {"modem.rsrp_dbm": dice.randint(-104, -78), "modem.iccid": f"898600{dice.randrange(10**14):014d}"}
    return Parts(devices, healthy, own, metrics, version, battery)


def _fitted(bearer: str) -> dict[str, Family]:
    if bearer == "modem":
        return {"printer": _PRINTER, "reader": _MOTOR_READER, "modem": _MODEM, "keypad": _KEYPAD}
    return {"printer": _PRINTER, "reader": _SMALL_READER, "keypad": _KEYPAD}


@cache
def _kind(bearer: str, battery: bool) -> tuple[tuple[dict[str, Any], ...], dict[str, str]]:
    """Healthy values and the units of all metrics, which counters are not."""
    fitted = _fitted(bearer)
    sources = list(_sources(bearer, fitted, battery=battery))
    units = {f"{name}.{key}": unit for name, family in fitted.items() for key, unit in family.readings.items()}
    metrics = {
        f"{source}.{key}": units.get(f"{source}.{key}") or _unit(key) for source, values in sources for key in values
    }
    sources += [(name, family.counters) for name, family in fitted.items() if family.counters]
    return tuple({f"{source}.{key}": value for key, value in values.items()} for source, values in sources), metrics


def _entry(dice: random.Random, place: Place, name: str, family: Family) -> wire.DeviceEntry:
    maker, model = dice.choice(list(family.models))
    versions = family.models[maker, model]
    newest = len(versions) == 1 or dice.random() < 0.75
    number = int(place.terminal.rpartition("-")[2])
    return wire.DeviceEntry(
        name=name,
        unit=name,
        family=family.word,
        manufacturer=maker,
        model=model,
        serial=f"{family.word[:4].upper()}{number:06d}",
        firmware=versions[0] if newest else dice.choice(versions[1:]),
        port=f"/dev/ttyS{list(_ORDER).index(name)}",
        sharing="own",
        readings=family.readings,
    )


_ORDER: Final = ("printer", "reader", "modem", "keypad")


def _sources(bearer: str, fitted: Mapping[str, Family], *, battery: bool) -> Iterator[tuple[str, Values]]:
    """What each source says when all is well, in the order in which an agent hears it after its start."""
    yield from _AGENT[:1]
    yield "power", {**_POWER, **({} if battery else {"battery": "absent", **_NO_BATTERY})}
    yield from _AGENT[1:]
    yield "system", _SYSTEM
    yield "boots", {"boot": 0, "boot_reason": _NOT_ASKED, "unclean_recently": "no", "unclean_boots": 0}
    security = {f"{name}.{what}": _NOT_ASKED for name in fitted for what in ("part", "changed")}
    yield "security", {**security, **_SECURITY}
    yield "network", {**_NETWORK, "interface": "wwan0" if bearer == "modem" else "eth0"}
    for name, family in fitted.items():
        yield name, family.healthy
        yield "firmware", {name: "ok", f"{name}.why": _NOT_ASKED}


def _unit(name: str) -> str:
    last = name.rpartition("_")[2] if "_" in name else ""
    return last if last in _UNITS else ""
