"""What a still terminal reads, and what goes wrong on a busy day. Values wander as they do on hardware."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping

from agent import wire
from drivers.reading import Identity, Reading, known, unknown

DAY_S = 86_400
STEP_S = 10  # between two looks

IDENTITIES = {
    "printer": Identity(manufacturer="EPSON", model="TM-T88V", firmware="2.04", serial="X2ZB041733"),
    "reader": Identity(manufacturer="CREATOR", model="CRT-571", firmware="V1.02", serial="5710034412"),
    "keypad": Identity(manufacturer="SZZT", model="ZT588S", firmware="2.1", serial="58800120"),
    "modem": Identity(manufacturer="Quectel", model="EC25", firmware="EC25EFAR06A08M4G", serial="861107030041234"),
}
_OK = {"port": known("ok"), "reply": known("ok")}
STILL: dict[str, dict[str, Reading]] = {
    "agent": {name: known("ok") for name in ("probes", "store", "budget", "config")} | {"store_percent": known(0.1)},
    "power": {
        "mains": known("on"),
        "supply": known("ok"),
        "battery": known("present"),
        "battery_percent": known(100.0),
        "battery_status": known("Full"),
        "battery_health": known("Good"),
        "battery_health_percent": known(96.0),
        "cycle_count": known(212),
        "charger": known("ok"),
    },
    "network": {
        "link": known("up"),
        "address": known("ok"),
        "interface": known("wwan0"),
        "gateway": unknown("unsupported"),
        "dns": known("ok"),
        "acquirer": known("ok"),
        "tls": known("ok"),
        "portal": known("no"),
        "broker": known("ok"),
        "changes": known(0),
        "loss_percent": known(0),
        **{f"{rung}_why": unknown("not_asked") for rung in ("gateway", "dns", "acquirer", "tls", "broker")},
    },
    "system": {
        "disk": known("ok"),
        "clock": known("ok"),
        "clock_source": known("modem"),
        "payment_app": known("up"),
        "screen": known("on"),
    },
    "printer": {
        **_OK,
        "online": known(True),
        "cover": known("closed"),
        "paper": known("ok"),
        "feed_button": known(False),
        "drawer": known("low"),
        "cutter": known("ok"),
        "head": known("ok"),
        "mechanism": known("ok"),
        "condition": known("ok"),
        "presenter": unknown("unsupported"),
        "voltage": unknown("unsupported"),
    },
    "reader": {
        **_OK,
        **{name: known("ok") for name in ("shutter", "sensor", "self_test", "stacker", "bin")},
        "card": known("absent"),
    },
    "keypad": {**_OK, "held": known("none"), "battery": known("ok"), "keys": known("loaded")},
    "modem": {
        **_OK,
        "sim": known("ready"),
        "iccid": known("89860000000000012340"),
        "registration": known("home"),
        "tac": known("1A2D"),
        "operator": known("Example Mobile"),
        "access": known("LTE"),
        "data": known("up"),
    },
    "boots": {"boot": known(12), "boot_reason": known("clean"), "unclean_recently": known("no")},
    "firmware": {name: known("ok") for name in IDENTITIES},
    "security": {f"{name}.part": known("same") for name in IDENTITIES} | {"place": known("home")},
}

EVENTS: tuple[tuple[str, dict[str, Reading], int], ...] = (  # what goes wrong, and for how many minutes
    ("printer", {"paper": known("near_end")}, 40),
    ("printer", {"paper": known("out")}, 4),
    ("printer", {"cover": known("open")}, 2),
    ("power", {"mains": known("off"), "battery_status": known("Discharging")}, 12),
    ("modem", {"rsrp_dbm": known(-121), "rssi_dbm": known(-93)}, 15),
    ("reader", {"card": known("jammed")}, 6),
    ("printer", {"paper": known("near_end")}, 35),
    ("network", {"acquirer": known("failed"), "acquirer_why": known("timeout")}, 5),
    ("keypad", {"held": known("5")}, 3),
    ("printer", {"cover": known("open")}, 2),
    ("system", {"cpu_percent": known(97.0)}, 8),
    ("modem", {"registration": known("searching")}, 4),
    ("printer", {"cutter": known("error")}, 7),
    ("printer", {"reply": known("none")}, 3),
    ("reader", {"shutter": known("error")}, 5),
    ("printer", {"paper": known("near_end")}, 30),
    ("printer", {"paper": known("out")}, 5),
    ("system", {"payment_app": known("down")}, 2),
    ("network", {"latency_ms": known(2300.0)}, 10),
    ("keypad", {"battery": known("low")}, 60),
)


class Still:
    """Makes what all sources read every ten seconds. `wall` is the wall's time in seconds, `up_s` the uptime."""

    def __init__(self, rng: random.Random, ladder_s: float) -> None:
        self._rng = rng
        self._ladder_s = int(ladder_s)
        self._rsrp, self._load = -92.0, 18.0

    def readings(
        self, up_s: int, wall: float, wrong: Mapping[str, Mapping[str, Reading]]
    ) -> Iterator[tuple[str, dict[str, Reading]]]:
        """Source and readings, those in `wrong` in place of the good ones."""
        rng = self._rng
        self._rsrp = min(-80.0, max(-104.0, self._rsrp + rng.gauss(0, 0.8)))
        self._load = min(60.0, max(3.0, self._load + rng.gauss(0, 2)))
        noon = abs((wall % DAY_S) / DAY_S - 0.6)
        moving: dict[str, dict[str, Reading]] = {
            "power": self._power(noon),
            "modem": self._modem(noon, up_s, wall),
            "system": self._system(noon, up_s),
        }
        if up_s % self._ladder_s == STEP_S:
            moving["network"] = {
                "dns_ms": known(round(abs(rng.gauss(62, 12)), 1)),
                "acquirer_ms": known(round(abs(rng.gauss(85, 15)), 1)),
                "latency_ms": known(round(abs(rng.gauss(62, 6)), 1)),
            }
        for source, still in STILL.items():
            yield source, {**still, **moving.get(source, {}), **wrong.get(source, {})}

    def _power(self, noon: float) -> dict[str, Reading]:
        return {
            "voltage_mv": known(7600 + round(self._rng.gauss(0, 12))),
            "temperature_c": known(round(34 - 8 * noon + self._rng.gauss(0, 0.2), 1)),
        }

    def _modem(self, noon: float, up_s: int, wall: float) -> dict[str, Reading]:
        rng = self._rng
        return {
            "rsrp_dbm": known(round(self._rsrp)),
            "rssi_dbm": known(round(self._rsrp + 28 + rng.gauss(0, 1))),
            "rsrq_db": known(round(-10 + rng.gauss(0, 0.8))),
            "sinr_db": known(round(12 + rng.gauss(0, 1.5))),
            "temperature_c": known(round(40 - 6 * noon + rng.gauss(0, 0.4))),
            "cell": known("0075A30B" if up_s % 14_400 < 13_800 else "0075A30C"),
            "clock_utc": known(wire.timestamp(wall)),
        }

    def _system(self, noon: float, up_s: int) -> dict[str, Reading]:
        rng = self._rng
        return {
            "cpu_percent": known(round(self._load, 1)),
            "temperature_c": known(round(46 - 5 * noon + self._load / 10, 1)),
            "uptime_s": known(up_s),
            "memory_available_bytes": known(412_000_000 + round(rng.gauss(0, 2e6))),
            "memory_available_percent": known(round(40 + rng.gauss(0, 0.2), 1)),
            "disk_free_bytes": known(3_100_000_000 - 400 * (up_s % DAY_S)),
            "disk_free_percent": known(41.3),
            "clock_offset_s": known(round(rng.gauss(0, 0.02), 2)),
        }
