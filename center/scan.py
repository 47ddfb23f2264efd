"""`posdiag center scan`: a terminal's help code -> a report for people, with a word on who signed it.

A reading of its own of the format that a terminal writes, so that a mistake in one shows in the other. The text is
"POSDIAG1-" and base 41 (three digits for two bytes, the lowest first; two digits for a last one) of: 1 or 0 for signed
or not; if signed, an Ed25519 signature; a CRC-32; the content, raw deflate with a preset dictionary. Signed are
`_SIGNED_AS` and the deflated content.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from agent import wire
from center.exits import unable, why

_PREFIX: Final = "POSDIAG1-"
_DIGITS: Final = {digit: value for value, digit in enumerate("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ+-./:")}
_SIGNED_AS: Final = b"posdiag help code 1\n"
_DICTIONARY: Final = (
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
_MOST_CHARS: Final = 4096
_MOST_BYTES: Final = 16 * 1024
_CLOCK: Final = {
    "synced": "synchronised",
    "network": "agreed with a network clock",
    "rtc": "not confirmed by any other clock",
    "unset": "never set: the times mean nothing",
}

Signature = Literal["verified", "unknown_key", "wrong", "unsigned"]


class NoReport(Exception):
    """The text is no help code; one line for people."""


class Damaged(NoReport):
    """It is one, but was changed or cut short on its way."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a help code holds. `fields` are the content's JSON values under readable names."""

    fields: Mapping[str, Any]
    signature: bytes
    signed: bytes

    @property
    def terminal(self) -> str:
        """estate/terminal."""
        return str(self.fields["terminal"])


def decode(text: str) -> Report:
    """Read a help code. White space and lower case, as chats bring them in, do no harm. Raises NoReport or Damaged."""
    plain = "".join(text.split()).upper()
    start = plain.find(_PREFIX)
    if start < 0:
        raise NoReport(f"this is no help code: it does not begin with {_PREFIX}")
    data = _bytes(plain[start + len(_PREFIX) :])
    size = {0: 0, 1: 64}.get(data[0] if data else 2)
    if size is None or len(data) < 1 + size + 4:
        raise Damaged("the help code is damaged or was cut short")
    signature, rest = data[1 : 1 + size], data[1 + size :]
    check, packed = rest[:4], rest[4:]
    if zlib.crc32(packed) != int.from_bytes(check, "big"):
        raise Damaged("the help code is damaged or was changed")
    try:
        inflate = zlib.decompressobj(-15, zdict=_DICTIONARY)
        fields = _fields(wire.loads(inflate.decompress(packed, _MOST_BYTES)))
    except (zlib.error, ValueError, KeyError, TypeError, OverflowError, OSError) as error:
        raise Damaged("the help code holds no report of this version") from error
    return Report(fields, signature, _SIGNED_AS + packed)


def _bytes(digits: str) -> bytes:
    if len(digits) > _MOST_CHARS or len(digits) % 3 == 1:
        raise Damaged("the help code is damaged or was cut short")
    out = bytearray()
    try:
        for at in range(0, len(digits), 3):
            group = digits[at : at + 3]
            value = sum(_DIGITS[digit] * 41**place for place, digit in enumerate(group))
            out += value.to_bytes(len(group) - 1, "big")
    except (KeyError, OverflowError) as error:
        raise Damaged("the help code is damaged: it holds what no help code can") from error
    return bytes(out)


def _fields(content: Any) -> dict[str, Any]:
    """The content under readable names, times as RFC 3339. Raises ValueError, KeyError or TypeError."""
    can_sell, cause, act, since = content["v"]
    faults = [
        {
            "fault": str(key),
            "cause": why,
            "first_at": wire.timestamp(first),
            "count": int(count),
            "evidence": dict(evidence),
        }
        for key, why, first, count, evidence in content.get("f", [])
    ]
    return {
        "terminal": str(content["t"]),
        "boot": None if content["b"] is None else int(content["b"]),
        "at": wire.timestamp(content["a"]),
        "clock": str(content["c"]),
        "up_s": int(content.get("u", 0)),
        "version": str(content.get("p", "")),
        "case": str(content.get("n", "")),
        "verdict": {
            "can_sell": str(can_sell),
            "cause": None if cause is None else str(cause),
            "act": str(act),
            "since": wire.timestamp(since),
        },
        "faults": faults,
        "more_faults": int(content.get("x", 0)),
        "devices": [{"unit": str(u), "model": str(m), "firmware": str(f)} for u, m, f in content.get("d", [])],
    }


def verify(report: Report, key: bytes | None) -> Signature:
    """Whether the terminal's key signed it; `key` is None where it is not known."""
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - decoding does without
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415 - as above

    if not report.signature:
        return "unsigned"
    if key is None:
        return "unknown_key"
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(report.signature, report.signed)
    except InvalidSignature:
        return "wrong"
    return "verified"


# --- the verb --------------------------------------------------------------------------------------------------------


def run_scan(args: argparse.Namespace) -> int:
    """The verb. 0 read, 1 damaged or not signed by the key that was given, 2 no help code or no such file."""
    try:
        text = _text(args.file) if args.file else args.text or sys.stdin.read()
        key_of = _keys(args)
    except OSError as error:
        return unable(f"{error.filename}: {why(error)}")
    except ValueError as error:
        return unable(error)
    try:
        report = decode(text)
    except NoReport as error:
        print(f"posdiag: {error}", file=sys.stderr)
        return 1 if isinstance(error, Damaged) else 2
    key = key_of.get(report.terminal, key_of.get("*"))
    signature = verify(report, key)
    if args.json:
        print(json.dumps({"signature": signature, **report.fields}, ensure_ascii=False, indent=2))
    else:
        print(render(report, signature, time.time()))
    refused = signature == "wrong" or (signature == "unsigned" and key is not None)
    return 1 if refused else 0


def _text(path: str) -> str:
    try:
        return Path(path).read_text("utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"{path}: is no text") from None


def _keys(args: argparse.Namespace) -> dict[str, bytes]:
    """Public keys by estate/terminal; "*" for any. Raises OSError or ValueError."""
    keys = {"*": _key(args.key)} if args.key else {}
    if args.keys:
        for number, line in enumerate(_text(args.keys).splitlines(), 1):
            words = line.partition("#")[0].split()
            if len(words) not in (0, 2):
                raise ValueError(f"{args.keys}:{number}: not `estate/terminal KEY`")
            if words:
                keys[words[0]] = _key(words[1])
    return keys


def _key(text: str) -> bytes:
    if not re.fullmatch("[0-9a-fA-F]{64}", text):
        raise ValueError(f"{text[:80]!r} is no key: one is 64 hex digits, as report_key of the terminal's inventory")
    return bytes.fromhex(text)


_SIGNATURE: Final[Mapping[Signature, str]] = {
    "verified": "signature verified: this terminal made it, and nobody changed it",
    "unknown_key": "signature not verified: key unknown",
    "wrong": "SIGNATURE WRONG: another terminal made it, or somebody changed it; do not act on it",
    "unsigned": "not signed: the terminal could not use its key, or somebody else made it",
}


def render(report: Report, signature: Signature, now: float) -> str:
    """The report for people; texts from outside without control characters."""
    fields, verdict = report.fields, report.fields["verdict"]
    cause = f" because of {verdict['cause']}; {verdict['act']} must act" if verdict["cause"] else ""
    case = f", case {fields['case']}" if fields["case"] else ""
    boot = "a boot not counted" if fields["boot"] is None else f"boot {fields['boot']}"
    clock = _CLOCK.get(fields["clock"], "of unknown quality")
    lines = [
        _SIGNATURE[signature],
        "",
        f"terminal  {report.terminal}{case}",
        f"made      {fields['at']}, {_age(now - wire.epoch(fields['at']))}; its clock: {clock}",
        f"running   {_span(fields['up_s'])} since {boot}, posdiag {fields['version']}",
        f"can sell  {verdict['can_sell']}{cause}, since {verdict['since']}",
        "",
    ]
    lines += [_fault(fault) for fault in fields["faults"]] or ["no faults"]
    if fields["more_faults"]:
        lines.append(f"and {fields['more_faults']} more faults, for which the code had no room")
    lines += ["", *(f"{device['unit']:9} {device['model']} {device['firmware']}" for device in fields["devices"])]
    return "\n".join("".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line) for line in lines)


def _fault(fault: Mapping[str, Any]) -> str:
    explained = f"because of {fault['cause']}" if fault["cause"] else "root"
    facts = " ".join(f"{name}={value}" for name, value in fault["evidence"].items())
    times = f", {fault['count']} times" if fault["count"] > 1 else ""
    return f"{fault['fault']}  {explained}, since {fault['first_at']}{times}  {facts}".rstrip()


def _age(seconds: float) -> str:
    return f"{_span(seconds)} ago" if seconds >= 0 else f"{_span(-seconds)} in the future"


def _span(seconds: float) -> str:
    for size, unit in ((86_400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
