"""SIMCom's own replies. Sources: firmware_notes/simcom/notes.md."""

from __future__ import annotations

import re
from typing import Final

from drivers.codecs.at import fields, number
from drivers.codecs.at_replies import Signal, one, rsrp_by_index, rsrq_by_index

_ACCESS: Final = {
    "LTE": "LTE",
    "LTE CAT-M1": "LTE-M",
    "LTE NB-IOT": "NB-IoT",
    "GSM": "GSM",
    "WCDMA": "UMTS",
    "NR5G_SA": "NR",
    "NR5G": "NR",
}
_OPERATION: Final = {"Online", "Offline", "Factory Test Mode", "Reset", "Low Power Mode", "Flight Mode"}


def parse_system(lines: list[str]) -> Signal:
    """+CPSI?: what the modem is camped on. LTE's RSSNR goes to `raw_sinr`, as its scale differs between models."""
    parts = fields(one(lines, "+CPSI"))
    if len(parts) < 2 or parts[1].title() not in {word.title() for word in _OPERATION}:
        raise ValueError("not a mode of operation")
    mode, state = parts[0], parts[1]
    if mode == "NO SERVICE":
        return Signal(state=mode)
    if mode not in _ACCESS:
        raise ValueError("an unknown system mode")
    if len(parts) < 5 or not re.fullmatch(r"\d{3}-\d{2,3}", parts[2]):
        raise ValueError("no network code")
    tac, cell = _area(parts[3]), _cell(parts[4])
    access = _ACCESS[mode]
    if mode.startswith("LTE"):
        if len(parts) != 14:
            raise ValueError(f"{len(parts)} fields instead of 14")
        rsrq, rsrp, rssi = _scaled(parts[10], parts[11], parts[12])
        raw = None if parts[13] == "-32768" else number(parts[13], -32, 250)
        return Signal(rssi, rsrp, rsrq, access=access, state=state, raw_sinr=raw, tac=tac, cell=cell)
    if mode.startswith("NR5G"):
        if len(parts) < 11:
            raise ValueError(f"{len(parts)} fields instead of 11")
        rsrp, rsrq = number(parts[8], -1560, -310) / 10, number(parts[9], -430, 200) / 10
        return Signal(rsrp_dbm=rsrp, rsrq_db=rsrq, access=access, state=state, tac=tac, cell=cell)
    level = parts[6] if mode == "GSM" and len(parts) > 6 else ""
    rssi = number(level, -120, -25) if level else None
    return Signal(rssi_dbm=rssi, access=access, state=state, tac=tac, cell=cell)


def _scaled(rsrq: str, rsrp: str, rssi: str) -> tuple[float | None, float | None, float | None]:
    """Quality, power, strength. Models print tenths, whole decibels or indices; the power's figure tells which."""
    power = number(rsrp, -1400, 255)
    if power >= 0:
        quality = number(rsrq, 0, 255)
        if (power > 97 and power != 255) or (quality > 34 and quality != 255):
            raise ValueError("an index outside its table")
        number(rssi, 0, 255)  # of the index form no document says what its strength counts
        return (
            None if quality == 255 else rsrq_by_index(quality),
            None if power == 255 else rsrp_by_index(power),
            None,
        )
    tenths = power <= -440
    if not tenths and not -140 <= power <= -44:
        raise ValueError("a power between the scales")
    unit = 10 if tenths else 1
    quality_low, strength_low = -34 * unit, -120 * unit
    found = (number(rsrq, quality_low, -unit) / unit, power / unit, number(rssi, strength_low, 0) / unit)
    return found if tenths else (int(found[0]), int(found[1]), int(found[2]))


def parse_temperature(lines: list[str]) -> int:
    """+CPMUTEMP: degrees Celsius."""
    return number(fields(one(lines, "+CPMUTEMP"))[0], -40, 125)


def _area(text: str) -> str:
    match = re.fullmatch(r"(?:0x)?([0-9A-Fa-f]{1,6})", text)
    if not match:
        raise ValueError("not an area code")
    return f"{int(match[1], 16):04X}"


def _cell(text: str) -> str:
    value = number(text, -(2**31), 2**36)  # 32 bits, printed with a sign by some firmware
    return f"{value & 0xFFFFFFFF if value < 0 else value:08X}"
