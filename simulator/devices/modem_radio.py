"""What a modem measures and how each scale counts it: pure functions of the simulated radio state."""

from __future__ import annotations

import datetime as dt
from typing import Final

_ZONE_QUARTERS: Final = 32
"""The network's time zone in quarter hours: UTC+8."""

STATES: Final = {"home": 1, "roaming": 5, "searching": 2, "denied": 3}
"""modem.registration -> <stat> of 27.007 10.1.20."""


def rsrp_index(dbm: int) -> int:
    """+CESQ's scale: 0 is below -140 dBm, then 1 dB steps, 97 is -44 dBm and above."""
    return max(0, min(97, dbm + 141))


def rsrq_db(rsrp_dbm: int) -> int:
    """Quality that goes with a level: good down to -95 dBm, then 1 dB less for 5 dB."""
    return -10 - max(0, -95 - rsrp_dbm) // 5


def rsrq_index(decibel: int) -> int:
    """+CESQ's scale: half-dB steps from -19.5 dB."""
    return max(0, min(34, 2 * (decibel + 20)))


def rssi_dbm(rsrp_dbm: int) -> int:
    """The whole band's power: 10 MHz of resource blocks, about 27 dB over one of them."""
    return rsrp_dbm + 27


def csq_index(rssi: int) -> int:
    """+CSQ's scale: 0 is -113 dBm and below, 2 dB steps, 31 is -51 dBm and above."""
    return max(0, min(31, (rssi + 113) // 2))


def sinr_db(rsrp_dbm: int) -> int:
    return max(-10, 12 - max(0, -95 - rsrp_dbm) // 2)


def network_time(utc_seconds: float, *, local: bool) -> str:
    """Date and time with a full year, UTC or local, and the zone in quarter hours either way."""
    offset = dt.timedelta(minutes=15 * _ZONE_QUARTERS if local else 0)
    shown = dt.datetime.fromtimestamp(utc_seconds, dt.timezone(offset))
    return f"{shown:%Y/%m/%d,%H:%M:%S}{_ZONE_QUARTERS:+03d}"


def network_clock(utc_seconds: float) -> str:
    """Local time as +CCLK writes it: a year of two digits."""
    return network_time(utc_seconds, local=True)[2:]


def imei(number: int) -> str:
    """A test IMEI: type allocation code 00101001, six digits, the check digit."""
    body = f"00101001{number:06d}"
    return body + check_digit(body)


def check_digit(body: str) -> str:
    """The last digit of an IMEI (3GPP 23.003 annex B)."""
    total = 0
    for position, digit in enumerate(map(int, body)):
        total += digit if position % 2 == 0 else sum(divmod(2 * digit, 10))
    return str(-total % 10)
