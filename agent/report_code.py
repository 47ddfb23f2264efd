"""The help code: a terminal's whole report, compact and signed, as text that a QR code holds in its alphanumeric mode.

Text:  "POSDIAG1-", then bytes in base 41: two bytes, big end first, are three digits, the lowest first; a last single
       byte is two. The digits are those QR characters that no shell, chat or form changes on the way: no space and
       none of $ * %.
Bytes: 1 (signed) or 0; if signed the Ed25519 signature, 64 bytes; the CRC-32 of the content, big end first; the
       content, raw deflate with the dictionary below. Signed are `SIGNED_AS` and the content as it stands there.
Content: a JSON object. `t` estate/terminal, `b` boot (null: unknown), `a` epoch seconds, `c` quality of that clock,
       `u` seconds since boot, `p` the agent's version, `n` local case number, `v` [can_sell, cause, act, since],
       `f` faults, the verdict's cause first, then other roots: [key, cause or null, first_at, count, evidence],
       `x` how many more faults there was no room for, `d` devices: [unit, model, firmware]. What is empty is left out.

Pure: a status as in status.json and a signing function in, text out. The center reads it with a decoder of its own.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable, Mapping
from typing import Any, Final

from agent import VERSION
from agent.wire import epoch

PREFIX: Final = "POSDIAG1-"
DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ+-./:"
SIGNED_AS: Final = b"posdiag help code 1\n"
DICTIONARY: Final = (
    b"firmware/ security/default_password device_swapped relocated case_opened agent/probe_failed store_reset specific "
    b'"adapter":"battery_percent":"disk_percent":"failed":"good":"why":"temperature_c":"voltage_mv":"mains":"off"'
    b'"head":"hot""cutter":"error""shutter":"error""registration":"denied""searching""rsrp_dbm":-1"data":"down"'
    b"keypad/key_stuck keypad/keys_missing keypad/tamper keypad/battery_low reader/read_errors reader/card_jam "
    b"reader/shutter_error reader/card_left system/payment_app_down system/clock_wrong system/disk_full "
    b"power/mains_lost power/battery_low power/undervoltage modem/no_data modem/no_network modem/weak_signal "
    b"modem/registration_denied modem/sim_absent network/broker_unreachable network/acquirer_unreachable "
    b"network/dns_failed network/gateway_unreachable network/no_address network/tls_failed network/link_down "
    b"printer/cutter_error printer/cover_open printer/paper_near_end printer/paper_out "
    b'/port_lost /port_busy /bad_reply /no_reply {"raw":"{"port":"lost"{"reply":"none"{"link":"down"{"sim":"absent"'
    b'{"paper":"out","cover":"closed","raw":"}],["printer/",["reader/",["keypad/",["modem/",["network/",["power/'
    b'","d":[["printer","epson","],["reader","CRT-571","],["modem","EC25","],["keypad","'
    b'"],"f":[["","v":["degraded","technician","support","operator","merchant","unknown","yes","no","'
    b'"network","rtc","unset","synced","u":,"p":"0.1.0","n":",null,1,1,{"t":"","b":1,"a":17,"c":"'
)
"""What content is likely to repeat; part of the format, so it never changes within version 1."""
MOST_CHARS: Final = 500
"""With error correction M: version 14, 73 modules, which fits the narrowest paper at 4 dots a module."""

Sign = Callable[[bytes], bytes]
_EVIDENCE_STEPS: Final = ((5, 3), (3, 1), (2, 0), (0, 0))  # facts of a root and of a symptom, tried in turn
_FAULT_STEPS: Final = (12, 8, 5, 3, 1)
_TEXT_CHARS: Final = 24
_LONG_NUMBER: Final = 10**11
_LONG_DIGITS: Final = re.compile(r"\d(?:[ -]?\d){11,}")


def encode(status: Mapping[str, Any], sign: Sign | None) -> str:
    """The help code of a status; without `sign` it says itself that it is not signed."""
    text = ""
    for most_faults in _FAULT_STEPS:
        for facts in _EVIDENCE_STEPS:
            text = PREFIX + to_base41(_packed(content(status, most_faults, facts), sign))
            if len(text) <= MOST_CHARS:
                return text
    return text


def _packed(values: Mapping[str, Any], sign: Sign | None) -> bytes:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15, zdict=DICTIONARY)
    body = json.dumps(values, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    packed = deflate.compress(body) + deflate.flush()
    signature = b"\x01" + sign(SIGNED_AS + packed) if sign is not None else b"\x00"
    return signature + zlib.crc32(packed).to_bytes(4, "big") + packed


def content(status: Mapping[str, Any], most_faults: int, facts: tuple[int, int]) -> dict[str, Any]:
    """The content's JSON values. `facts`: how many pieces of evidence a root and a symptom may bring."""
    verdict = status["verdict"]
    faults = sorted(
        status["faults"],
        key=lambda fault: (fault["cause"] is not None, fault["fault"] != verdict["cause"], fault["first_at"]),
    )
    values: dict[str, Any] = {
        "t": f"{status['estate']}/{status['terminal']}",
        "b": status["boot"],
        "a": round(epoch(status["at"])),
        "c": status["clock"],
        "u": status["up_ms"] // 1000,
        "p": VERSION,
        "n": status["case"].get("local", ""),
        "v": [verdict["can_sell"], verdict["cause"], verdict["act"], round(epoch(verdict["since"]))],
        "f": [_fault(fault, facts[fault["cause"] is not None]) for fault in faults[:most_faults]],
        "x": max(0, len(faults) - most_faults),
        "d": [
            [device["unit"], redacted(device["model"])[:_TEXT_CHARS], redacted(device["firmware"])[:_TEXT_CHARS]]
            for device in status["devices"].values()
            if device["model"] or device["firmware"]
        ],
    }
    return {name: value for name, value in values.items() if value not in ("", [], 0) or name == "b"}


def _fault(fault: Mapping[str, Any], most: int) -> list[Any]:
    evidence: dict[str, str | float] = {}
    for name, value in fault["evidence"].items():
        if len(evidence) == most:
            break
        if isinstance(value, str | int | float | bool):
            evidence[name] = _small(value)
    return [fault["fault"], fault["cause"], round(epoch(fault["first_at"])), fault.get("count", 1), evidence]


def _small(value: str | float) -> str | float:
    """One fact: a text of at most 24 characters, a number of at most three decimals, neither as long as a card's."""
    if isinstance(value, str):
        return redacted(value)[:_TEXT_CHARS]
    if not abs(value) < _LONG_NUMBER:  # NaN is not, either
        return "#" * 12
    return round(value, 3) if isinstance(value, float) else value


def redacted(text: str) -> str:
    """The text without anything as long as a card number: 12 digits or more, single spaces or hyphens among them."""
    return _LONG_DIGITS.sub(lambda found: "#" * len(found[0]), text)


def to_base41(data: bytes) -> str:
    """Bytes as digits of `DIGITS`."""
    out = []
    for at in range(0, len(data), 2):
        pair = data[at : at + 2]
        value = int.from_bytes(pair, "big")
        for _ in range(len(pair) + 1):
            value, digit = divmod(value, 41)
            out.append(DIGITS[digit])
    return "".join(out)
