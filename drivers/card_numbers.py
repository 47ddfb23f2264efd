"""Which digits are a card number.

A whole run of 13 to 19 digits with the right check digit (ISO/IEC 7812-1 annex B) is taken for one whoever may have
issued it, unless it is something else by its shape: see `_something_else`. Inside a longer run, and in packed digits
(BCD), it must also begin as the card schemes' numbers do. Sources of the other shapes: 3GPP TS 23.003 (IMEI), ITU-T
E.118 (ICCID).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Final

Schemes = tuple[tuple[re.Pattern[str], frozenset[int]], ...]
_SCHEMES: Final[Schemes] = tuple(
    (re.compile(prefix), frozenset(lengths))
    for prefix, lengths in (
        (r"4", (13, 16, 19)),
        (r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720", (16,)),
        (r"3[47]", (15,)),
        (r"30[0-5]|309|36|3[89]", (14, 16)),
        (r"35(?:2[89]|[3-8])", (16, 17, 18, 19)),
        (r"6(?:0|2|4[4-9]|5)|8[12]|9792|220[0-4]", (16, 17, 18, 19)),
        (r"50|5[6-9]|6[37]", (13, 14, 15, 16, 17, 18, 19)),
    )
)
IN_PACKED: Final[Schemes] = tuple(
    (re.compile(prefix), frozenset(lengths))
    for prefix, lengths in (
        (r"4|5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720|35(?:2[89]|[3-8])|6011|64[4-9]|65|8[12]|9792|220[0-4]", (16,)),
        (r"62|6304|67(?:59|6[1-3])|50(?:18|20|38)", (16, 19)),
        (r"3[47]", (15,)),
        (r"30[0-5]|36|38", (14,)),
    )
)
"""Fewer, because every second byte of any protocol is two digits."""
_MOMENT: Final = re.compile(r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:[01]\d|2[0-3])[0-5]\d[0-5]\d")
_IMEI: Final = re.compile(r"(?:01|35|86|91|9[89])\d{13}")
_ICCID: Final = re.compile(r"89\d{17,18}|98\d{18}")
_DOUBLED: Final = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def luhn(digits: str) -> bool:
    """Whether the last of some ASCII digits is their check digit."""
    odd = sum(int(digit) for digit in digits[-1::-2])
    return (odd + sum(_DOUBLED[int(digit)] for digit in digits[-2::-2])) % 10 == 0


def _something_else(digits: str) -> bool:
    """A whole run that has the length of a card number, and by its beginning is none.

    Moments (year to second; milli-, micro- and nanoseconds since 1970, which begin with 1 as no card of that length
    does), IMEI (the bodies that give them; no scheme has 15 digits so), ICCID (89 is telecom; 98 in a SIM
    card's file).
    """
    if digits[0] == "0" and not _IMEI.fullmatch(digits):
        return True  # rows of zeros are common, and no issuer's number begins so
    if digits[0] == "1":
        return len(digits) in {13, 16, 19}
    return bool(_MOMENT.fullmatch(digits) or _IMEI.fullmatch(digits) or _ICCID.fullmatch(digits))


def of_a_scheme(digits: str, start: int, schemes: Schemes = _SCHEMES) -> Iterator[str]:
    """Parts of a run that begin at `start` as a scheme's numbers do, and check."""
    for prefix, lengths in schemes:
        if prefix.match(digits, start):
            for length in lengths:
                part = digits[start : start + length]
                if len(part) == length and luhn(part):
                    yield part


def is_pan(groups: list[str]) -> bool:
    """Whether a card number stands in a run of digit groups; one group for a run without separators."""
    digits = "".join(groups)
    regular = all(len(group) >= 4 for group in groups[:-1])
    if len(digits) >= 26 and len(groups) == 1 and set(digits[::2]) == {"3"}:
        return is_pan([digits[1::2]])  # digits in ASCII, spelled in hex
    if 13 <= len(digits) <= 20 and regular:
        if _something_else(digits):
            return False
        if len(digits) < 20 and digits[0] != "0" and luhn(digits):
            return True
    if len(groups) == 1:
        return any(True for start in range(len(digits) - 12) for _ in of_a_scheme(digits, start))
    starts = list(itertools.accumulate(map(len, groups[:-1]), initial=0))
    ends = {*starts, len(digits)}
    return any(start + len(part) in ends for start in starts for part in of_a_scheme(digits, start))
