"""Replies of 3GPP TS 27.007, each parsed by its whole line. Sources: firmware_notes/at/notes.md.

Every parser takes the information lines of one reply and raises ValueError when they are not what the command answers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from drivers.codecs.at import fields, info, number

ACCESS: Final = {
    0: "GSM",
    1: "GSM",
    2: "UMTS",
    3: "EDGE",
    4: "HSDPA",
    5: "HSUPA",
    6: "HSPA",
    7: "LTE",
    8: "EC-GSM",
    9: "NB-IoT",
    10: "LTE",
    11: "NR",
    12: "NR",
    13: "EN-DC",
}

_REGISTRATION: Final = {
    0: "none",
    1: "home",
    2: "searching",
    3: "denied",
    4: "unknown",
    5: "roaming",
    6: "home",
    7: "roaming",
    8: "none",  # emergency calls only: no service that a terminal could use
    9: "home",
    10: "roaming",
    11: "none",
}

_SIM_TEXTS: Final = {
    "READY": "ready",
    "SIM PIN": "pin",
    "SIM PUK": "puk",
    "SIM PIN2": "ready",  # PIN2 guards fixed dialling, not the network
    "SIM PUK2": "ready",
    "NOT INSERTED": "absent",
}
_SIM_ERRORS: Final = {
    "10": "absent",
    "11": "pin",
    "12": "puk",
    "13": "failure",
    "15": "failure",
    "SIM NOT INSERTED": "absent",
    "SIM PIN REQUIRED": "pin",
    "SIM PUK REQUIRED": "puk",
    "SIM FAILURE": "failure",
    "SIM WRONG": "failure",
}
_PERSONALISATION: Final = re.compile(r"PH-[A-Z]{2,6} (PIN|PUK)")
_PERSONALISATION_PIN: Final = {"5", "6", "40", "42", "44", "46"}
_PERSONALISATION_PUK: Final = {"7", "41", "43", "45", "47"}


@dataclass(frozen=True, slots=True)
class Registration:
    """`state` as in the reading `registration`, `stat` the modem's own number; the others are "" unless told."""

    state: str
    stat: int
    tac: str = ""
    cell: str = ""
    access: str = ""

    @property
    def registered(self) -> bool:
        return self.state in {"home", "roaming"}


@dataclass(frozen=True, slots=True)
class Signal:
    """What is measured of the present cell; None for what the modem says it cannot tell now."""

    rssi_dbm: float | None = None
    rsrp_dbm: float | None = None
    rsrq_db: float | None = None
    sinr_db: float | None = None
    access: str = ""
    state: str = ""
    """The maker's own word for the state, such as NOCONN."""
    raw_sinr: int | None = None
    """A figure whose scale the maker's documents disagree about; never shown as decibels."""
    tac: str = ""
    cell: str = ""


@dataclass(frozen=True, slots=True)
class Operator:
    """`name` is "" while no operator is selected."""

    name: str
    access: str


def one(lines: list[str], prefix: str) -> str:
    """The only reply with this prefix. Raises ValueError for none, or for two that differ."""
    found = set(info(lines, prefix))
    if len(found) != 1:
        raise ValueError(f"{len(found)} different {prefix} lines")
    return found.pop()


def parse_sim(lines: list[str]) -> str | None:
    """+CPIN: the reading `sim`, or None while the card is still starting."""
    text = one(lines, "+CPIN")
    if lock := _PERSONALISATION.fullmatch(text):
        return lock[1].lower()
    if text == "NOT READY":
        return None
    if text not in _SIM_TEXTS:
        raise ValueError("an unknown SIM state")
    return _SIM_TEXTS[text]


def sim_by_error(code: str) -> str | None:
    """The reading `sim` that an error to +CPIN? means, or None when it says nothing about the card."""
    if code in _PERSONALISATION_PIN:
        return "pin"
    if code in _PERSONALISATION_PUK:
        return "puk"
    return _SIM_ERRORS.get(code.upper())


def parse_csq(lines: list[str]) -> Signal:
    """+CSQ: signal strength. 0 and 31 are the open ends of the scale and stand for their edge."""
    rssi, ber = (number(field, 0, 199) for field in _exactly(fields(one(lines, "+CSQ")), 2))
    if ber > 7 and ber != 99:
        raise ValueError("a bit error class above 7")
    if rssi in {99, 199}:
        return Signal()
    if rssi <= 31:
        return Signal(rssi_dbm=2 * rssi - 113)
    if 100 <= rssi <= 191:
        return Signal(rssi_dbm=rssi - 216)  # the TD-SCDMA scale
    raise ValueError("a strength between the scales")


def parse_cesq(lines: list[str]) -> Signal:
    """+CESQ: each index stands for a range; its lower edge is taken, which errs towards a weaker signal."""
    rxlev, ber, rscp, ecno, rsrq, rsrp = (number(field, 0, 255) for field in _exactly(fields(one(lines, "+CESQ")), 6))
    limits = ((rxlev, 63, 99), (ber, 7, 99), (rscp, 96, 255), (ecno, 49, 255), (rsrq, 34, 255), (rsrp, 97, 255))
    if any(value > most and value != none for value, most, none in limits):
        raise ValueError("an index outside its table")
    return Signal(
        rssi_dbm=None if rxlev == 99 else rxlev - 111,
        rsrq_db=None if rsrq == 255 else rsrq_by_index(rsrq),
        rsrp_dbm=None if rsrp == 255 else rsrp_by_index(rsrp),
    )


def rsrp_by_index(index: int) -> int:
    """Lower edge in dBm of an index 0 to 97."""
    return index - 141


def rsrq_by_index(index: int) -> float:
    """Lower edge in dB of an index 0 to 34."""
    return index / 2 - 20


_HEX = re.compile(r"[0-9A-Fa-f]{1,9}")


def parse_registration(lines: list[str], prefix: str) -> Registration:
    """+CREG?, +CGREG?, +CEREG?, +C5GREG? answers, in all their lengths; unasked reports in between are left out."""
    found = {parsed for text in info(lines, prefix) if (parsed := _asked_registration(text)) is not None}
    if len(found) != 1:
        raise ValueError(f"{len(found)} different answers to {prefix}")
    return found.pop()


def _asked_registration(text: str) -> Registration | None:
    parts = fields(text)
    if len(parts) < 2 or not re.fullmatch(r"[0-5]", parts[0]) or not re.fullmatch(r"\d{1,2}", parts[1]):
        return None
    if re.match(r"[0-5],\s*\"", text):  # a report: what follows its state is a quoted area
        return None
    return _registration(parts[1:])


def parse_registration_push(text: str) -> Registration | None:
    """An unasked +CEREG line, or None for an answer or another line. Raises ValueError for a garbled one."""
    if not text.startswith("+CEREG:"):
        return None
    body = text[len("+CEREG:") :].strip()
    if len(fields(body)) > 1 and _asked_registration(body) is not None:
        return None
    return _registration(fields(body))


def _registration(parts: list[str]) -> Registration:
    stat = number(parts[0], 0, 11)
    state, place = _REGISTRATION[stat], parts[1:]
    if len(place) >= 4 and re.fullmatch(r"[0-9A-Fa-f]{2}", place[1]) and len(place[2]) > 2:
        place = [place[0], *place[2:]]  # one variant puts a routing area between area and cell
    area = _hexadecimal(place[0], 4) if place else ""
    cell = _hexadecimal(place[1], 8) if len(place) > 1 else ""
    access = ACCESS[number(place[2], 0, 13)] if len(place) > 2 and place[2] else ""
    return Registration(state, stat, area, cell, access)


def _hexadecimal(text: str, digits: int) -> str:
    """Upper case, filled to `digits`; "" for none, which also is how all ones and a lone 0 count."""
    if not text:
        return ""
    if not _HEX.fullmatch(text):
        raise ValueError("not hexadecimal")
    value = int(text, 16)
    return "" if value == 0 or text.upper() in {"FFFF", "FFFFFFFF"} else f"{value:0{digits}X}"


def parse_operator(lines: list[str]) -> Operator:
    """+COPS?: mode, format, operator, access technology; the last three are missing without registration."""
    parts = fields(one(lines, "+COPS"))
    number(parts[0], 0, 4)
    if len(parts) < 3 or not parts[2]:
        return Operator("", "")
    style = number(parts[1], 0, 2)
    if style == 2 and not re.fullmatch(r"\d{5,6}", parts[2]):
        raise ValueError("not a network code")
    return Operator(parts[2], ACCESS[number(parts[3], 0, 13)] if len(parts) > 3 else "")


def parse_attached(lines: list[str]) -> bool:
    """+CGATT?: attached to the packet service."""
    return bool(number(one(lines, "+CGATT"), 0, 1))


def parse_active(lines: list[str]) -> set[int]:
    """+CGACT?: numbers of the contexts that are active; empty also when none is defined."""
    pairs = [_exactly(fields(text), 2) for text in _every(lines, "+CGACT")]
    states = {(number(cid, 1, 24), number(state, 0, 1)) for cid, state in pairs}
    if len({cid for cid, _ in states}) != len(states):
        raise ValueError("a context both active and not")
    return {cid for cid, state in states if state}


_ADDRESS = re.compile(r"[0-9A-Fa-f.:]{2,64}")


def parse_addressed(lines: list[str]) -> set[int]:
    """+CGPADDR: numbers of the contexts that have an address. The addresses themselves are not kept."""
    having = set()
    for text in _every(lines, "+CGPADDR"):
        cid, *addresses = fields(text)
        if any(address and not _ADDRESS.fullmatch(address) for address in addresses):
            raise ValueError("not an address")
        if any(set(address) - set("0.:") for address in addresses):
            having.add(number(cid, 1, 24))
    return having


_ICCID = re.compile(r"89[0-9A-F]{16,18}")
_ICCID_PREFIX = re.compile(r"(?:[+^][A-Z]{2,8}: ?)?\"?([0-9A-Fa-f]{18,20})\"?")


def parse_iccid(lines: list[str]) -> str:
    """Bare, quoted or behind any of the makers' prefixes; padding removed, swapped digit pairs put right."""
    found = {match[1].upper() for line in lines if (match := _ICCID_PREFIX.fullmatch(line))}
    if len(found) != 1:
        raise ValueError(f"{len(found)} different card numbers")
    return _card_number(found.pop())


def parse_iccid_file(lines: list[str]) -> str:
    """+CRSM of the card's own file 2FE2, in which the digits of each pair are swapped."""
    sw1, sw2, data = _exactly(fields(one(lines, "+CRSM")), 3)
    if (sw1, sw2) != ("144", "0") or not re.fullmatch(r"[0-9A-Fa-f]{20}", data):
        raise ValueError("the card did not give its file")
    return _card_number(data.upper())


def _card_number(digits: str) -> str:
    if digits.startswith("98"):
        digits = "".join(digits[i + 1] + digits[i] for i in range(0, len(digits) - 1, 2))
    digits = digits.rstrip("F")
    if not _ICCID.fullmatch(digits):
        raise ValueError("not the number of a SIM card")
    return digits


def has_check_digit(number: str) -> bool:
    """Whether its last digit is the check digit of ITU-T E.118 (Luhn). Not every operator keeps to it."""
    if not number.isdecimal():
        return False
    doubled = [int(digit) * (1 + at % 2) for at, digit in enumerate(reversed(number))]
    return sum(digit - 9 if digit > 9 else digit for digit in doubled) % 10 == 0


_CCLK = re.compile(r'"(\d\d)/(\d\d)/(\d\d),(\d\d):(\d\d):(\d\d)(?:([+-]\d{1,2}))?"')


def parse_clock(lines: list[str]) -> datetime | None:
    """+CCLK?: local time and its distance from UTC in quarters of an hour, as UTC.

    None when the modem's clock was never set (it then counts from 1970, 1980 or 2004) or tells no zone.
    """
    match = _CCLK.fullmatch(one(lines, "+CCLK"))
    if not match:
        raise ValueError("not a clock")
    year, month, day, hour, minute, second = (int(match[group]) for group in range(1, 7))
    local = datetime(2000 + year, month, day, hour, minute, second, tzinfo=UTC)
    if match[7] is None or not 20 <= year < 70:
        return None
    return local - timedelta(minutes=15 * number(match[7].lstrip("+"), -96, 96))


_IDENTITY_PREFIX = re.compile(r"\+C?GM[IMR]: ?")
_BARE = re.compile(r"\"?[A-Za-z0-9][\x20-\x7e]{0,63}")
_BARE_REPORTS = re.compile(
    r"RDY|RING|NO CARRIER|BUSY|CONNECT.*|(SMS|PB|Call|VOICE) (Ready|READY|DONE)|(NORMAL )?POWERED? DOWN"
    r"|AT([EV]\d|[+^*$&].*)"
)


def parse_text(lines: list[str]) -> str:
    """An identity text, bare or behind its command's name. Raises ValueError for none or several."""
    bare = [_IDENTITY_PREFIX.sub("", line) for line in lines]
    found = {line for line in bare if _BARE.fullmatch(line) and not _BARE_REPORTS.fullmatch(line)}
    texts = {text.strip('"') for text in found} - {""}
    if len(texts) != 1:
        raise ValueError(f"{len(texts)} texts")
    return texts.pop()


def parse_imei(lines: list[str]) -> str:
    """The equipment number: 15 digits with a check digit, or 14 or 16 without."""
    found = {m[1] for line in lines if (m := re.fullmatch(r"(?:\+C?GSN: ?)?\"?(\d{14,16})\"?", line))}
    if len(found) != 1:
        raise ValueError(f"{len(found)} equipment numbers")
    return found.pop()


def _every(lines: list[str], prefix: str) -> list[str]:
    """All of a list. Raises ValueError for a line of another kind: it could be a garbled member."""
    members = info(lines, prefix)
    if len(members) != len(lines):
        raise ValueError("another line within the list")
    return members


def _exactly(parts: list[str], count: int) -> list[str]:
    if len(parts) != count:
        raise ValueError(f"{len(parts)} fields instead of {count}")
    return parts
