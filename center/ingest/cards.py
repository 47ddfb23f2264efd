"""Card numbers that came in spite of everything: found and taken out before anything is stored. Pure.

A number of 13 to 19 digits, also with blanks or hyphens between, that begins as cards do and passes the Luhn check.
Terminals filter what they send in a far stricter way. This is the second line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from agent.wire import WireError, dumps, loads

_KINDS: Final = bytes(0x30 if byte in b"0123456789 -" else 0x20 for byte in range(256))
_RUN: Final = b"0" * 13
_DIGITS: Final = re.compile(r"\d(?:[ -]{0,2}\d){12,}")
_ISSUERS: Final = re.compile(
    r"4\d{12}(?:\d{3}){0,2}"  # Visa: 13, 16 or 19 digits
    r"|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}"  # Mastercard
    r"|3[47]\d{13}"  # American Express
    r"|3(?:0[0-5]|[689]\d)\d{11}"  # Diners Club
    r"|35(?:2[89]|[3-8]\d)\d{12}"  # JCB
    r"|(?:62|81)\d{14,17}|9558\d{15}"  # UnionPay
    r"|6(?:011|4[4-9]\d|5\d\d)\d{12}"  # Discover
)
_OUR_HEX: Final = re.compile(r"(?=(?:[0-9a-f]*[a-f]){3})[0-9a-f]{16,128}")
"""A digest or a key: digits among letters, not a number."""


def clean(payload: bytes) -> tuple[bytes, int]:
    """A JSON payload without card numbers, and how many there were. Raises WireError for what is no JSON.

    What cannot hold one, which is nearly all, is returned as it is and not even parsed.
    """
    if b"\\" not in payload and payload.isascii() and _RUN not in payload.translate(_KINDS):
        return payload, 0
    try:
        values = loads(payload)
    except ValueError as error:
        raise WireError("not JSON in UTF-8") from error
    found = [0]
    safe = _clean(values, found)
    return (dumps(safe), found[0]) if found[0] else (payload, 0)


def redact(text: str) -> str:
    """A text without card numbers."""
    return _text(text, [0])


def _clean(value: Any, found: list[int]) -> Any:
    if isinstance(value, str):
        return _text(value, found)
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float):
        if abs(value) < 10**12 or abs(value) > 10**19:
            return value
        digits = str(abs(value)) if isinstance(value, int) else f"{abs(value):.0f}"
        safe = _text(digits, found)
        return value if safe == digits else safe
    if isinstance(value, Mapping):
        return {_text(key, found): _clean(each, found) for key, each in value.items()}
    return [_clean(each, found) for each in value]


def _text(text: str, found: list[int]) -> str:
    if len(text) < 13 or _OUR_HEX.fullmatch(text):
        return text

    def replace(match: re.Match[str]) -> str:
        if not _holds_card([_ascii(group) for group in re.split("[ -]+", match[0])]):
            return match[0]
        found[0] += 1
        return f"<pan:{sum(map(str.isdecimal, match[0]))}>"

    return _DIGITS.sub(replace, text)


def _ascii(digits: str) -> str:
    """The digits of any script as 0 to 9."""
    return "".join(str(int(digit)) for digit in digits)


def _holds_card(groups: list[str]) -> bool:
    """Whether groups of digits that follow each other make a number of a card, or a long one begins with one."""
    for first in range(len(groups)):
        digits = ""
        for group in groups[first:]:
            digits += group
            if len(digits) >= 13:
                lengths = range(13, 20) if len(digits) > 19 else (len(digits),)
                if any(_ISSUERS.fullmatch(digits, 0, length) and luhn(digits[:length]) for length in lengths):
                    return True
            if len(digits) > 19:
                break
    return False


def luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of the others (ISO/IEC 7812-1)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0
