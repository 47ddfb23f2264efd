"""Quectel's own replies. Sources: firmware_notes/quectel/notes.md."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from drivers.codecs.at import fields, info, number
from drivers.codecs.at_replies import Signal, one

_NONE: Final = {"-", "", "-32768", "-3276"}
_LTE: Final = {
    "LTE": "LTE",
    "CAT-M": "LTE-M",
    "eMTC": "LTE-M",
    "CAT-NB": "NB-IoT",
    "NBIoT": "NB-IoT",
}
_STATE: Final = re.compile(r"[A-Z]{4,8}")


def parse_serving_cell(lines: list[str]) -> Signal:
    """+QENG="servingcell": one line, or three while LTE and NR are used together (then the LTE anchor's figures).

    LTE's SINR goes to `raw_sinr`: the makers' documents give three scales for it.
    """
    rows = [fields(text) for text in info(lines, "+QENG")]
    serving = [row for row in rows if row[0] == "servingcell"]
    if len(serving) != 1 or len(serving[0]) < 2:
        raise ValueError(f"{len(serving)} serving cells")
    state = serving[0][1].replace("CONECT", "CONNECT")
    if not _STATE.fullmatch(state):
        raise ValueError("not a state")
    if len(serving[0]) > 2:
        return _cell(serving[0][2:], state)
    anchor = [row for row in rows if row[0] in _LTE]
    nr = [row for row in rows if row[0] == "NR5G-NSA"]
    if not anchor and not nr:
        return Signal(state=state)
    if len(anchor) != 1:
        raise ValueError("no LTE anchor")
    return _lte(anchor[0], state, "EN-DC" if nr else _LTE[anchor[0][0]])


def _cell(row: list[str], state: str) -> Signal:
    technology = row[0]
    if technology in _LTE:
        return _lte(row, state, _LTE[technology])
    if technology == "NR5G-SA":
        _at_least(row, 13)
        return Signal(
            rsrp_dbm=_maybe(row[10], -156, -31),
            rsrq_db=_maybe(row[11], -43, 20),
            sinr_db=_maybe(row[12], -23, 40),
            access="NR",
            state=state,
            cell=_place(row[4], 8),
            tac=_place(row[6], 4),
        )
    if technology == "GSM":
        _at_least(row, 9)
        rssi = _maybe(row[8], -120, -25)
        return Signal(rssi_dbm=rssi, access="GSM", state=state, tac=_place(row[3], 4), cell=_place(row[4], 8))
    if technology == "WCDMA":  # RSCP is not RSSI, so no figure is given
        _at_least(row, 5)
        return Signal(access="UMTS", state=state, tac=_place(row[3], 4), cell=_place(row[4], 8))
    raise ValueError("an unknown access technology")


def _lte(row: list[str], state: str, access: str) -> Signal:
    _at_least(row, 15)
    if row[1] not in {"FDD", "TDD", "-", ""}:
        raise ValueError("not a duplex mode")
    return Signal(
        rsrp_dbm=_maybe(row[11], -140, -44),
        rsrq_db=_maybe(row[12], -34, -3),
        rssi_dbm=_maybe(row[13], -120, 0),
        raw_sinr=_maybe(row[14], -32, 250),
        access=access,
        state=state,
        cell=_place(row[4], 8),
        tac=_place(row[10], 4),
    )


_TEMPERATURE: Final = (-40, 125)
_ABSENT: Final = {255, -273}


def parse_temperature(lines: list[str]) -> int | None:
    """+QTEMP: degrees Celsius of the hottest sensor, from plain figures or a named line for each; None for none."""
    found = []
    for text in info(lines, "+QTEMP"):
        parts = fields(text)
        named = len(parts) == 2 and re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", parts[0])
        found += [number(part, -273, 255) for part in (parts[1:] if named else parts)]
    if not found:
        raise ValueError("no sensor")
    real = [value for value in found if value not in _ABSENT]
    if any(not _TEMPERATURE[0] <= value <= _TEMPERATURE[1] for value in real):
        raise ValueError("a temperature that silicon does not have")
    return max(real, default=None)


_QLTS: Final = re.compile(r'"(\d{4})/(\d\d)/(\d\d),(\d\d):(\d\d):(\d\d)[+-]\d{1,2}(?:,\d)?"')


def parse_network_time(lines: list[str]) -> datetime | None:
    """+QLTS=1: UTC as the network told it and the modem carried on; None when no network told it yet.

    Needed because +CCLK? is local time or UTC on these modems, by a setting (+CTZU) that others may have changed.
    """
    text = one(lines, "+QLTS")
    if text == '""':
        return None
    match = _QLTS.fullmatch(text)
    if not match:
        raise ValueError("not a time")
    year, month, day, hour, minute, second = (int(match[group]) for group in range(1, 7))
    at = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    return at if 2020 <= year < 2070 else None


def _maybe(text: str, low: int, high: int) -> int | None:
    return None if text in _NONE else number(text, low, high)


def _place(text: str, digits: int) -> str:
    if text in {"-", ""}:
        return ""
    if not re.fullmatch(r"[0-9A-Fa-f]{1,9}", text):
        raise ValueError("not hexadecimal")
    return f"{int(text, 16):0{digits}X}"


def _at_least(row: list[str], count: int) -> None:
    if len(row) < count:
        raise ValueError(f"{len(row)} fields instead of {count}")
