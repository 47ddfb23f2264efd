"""How long a certificate holds: the two dates of an X.509 certificate, and whether the end is near. Pure.

Source: RFC 5280, 4.1 (TBSCertificate, Validity, UTCTime and GeneralizedTime in UTC with seconds); RFC 7468 for PEM.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)
_SEQUENCE, _VERSION, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0xA0, 0x17, 0x18
_BEFORE_VALIDITY = 3  # serialNumber, signature, issuer
_SHARE = 6  # what is renewed in time has more than a sixth of its life left, be it a day or a year
_GROWN = 0.9
_ABSENCES = 3  # who was away that long may be away so long again, and once more before somebody notices


class BadCertificate(ValueError):
    """The bytes are no X.509 certificate."""


@dataclass(frozen=True, slots=True)
class Validity:
    """From when to when it holds, seconds since the epoch."""

    not_before: float
    not_after: float

    def days_left(self, wall: float) -> float:
        """Negative once it has expired."""
        return (self.not_after - wall) / 86_400

    def ends_soon(self, wall: float, warn_days: float, offline_s: float = 0.0) -> bool:
        """Whether fewer than `warn_days` are left; of a short-lived one, less than a sixth of its life.

        Earlier for a terminal that has been without its broker for `offline_s` at a time: three times that before, but
        not in the first tenth of the life, or it would be told as soon as it is renewed.
        """
        life = self.not_after - self.not_before
        margin = max(min(warn_days * 86_400, life / _SHARE), min(_ABSENCES * offline_s, life * _GROWN))
        return self.not_after - wall < margin


def from_pem(text: bytes) -> list[Validity]:
    """The validity of each certificate in a PEM file, in its order. Raises BadCertificate, also when there is none."""
    found = []
    for match in _PEM.finditer(text):
        try:
            found.append(from_der(base64.b64decode(b"".join(match[1].split()), validate=True)))
        except binascii.Error as error:
            raise BadCertificate("not base64") from error
    if not found:
        raise BadCertificate("no certificate in PEM")
    return found


def from_der(certificate: bytes) -> Validity:
    """The validity of one certificate. Raises BadCertificate."""
    try:
        outer = next(_items(certificate))
        body = list(_items(_content(next(_items(_content(outer, _SEQUENCE))), _SEQUENCE)))
        body = body[1:] if body[0][0] == _VERSION else body
        begin, end = list(_items(_content(body[_BEFORE_VALIDITY], _SEQUENCE)))[:2]
        return Validity(_time(*begin), _time(*end))
    except (StopIteration, IndexError, ValueError) as error:
        raise BadCertificate("not an X.509 certificate") from error


def _content(item: tuple[int, bytes], tag: int) -> bytes:
    if item[0] != tag:
        raise ValueError("another tag")
    return item[1]


def _items(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The DER items that stand one after the other: tag and content."""
    at = 0
    while at < len(data):
        tag, length, at = data[at], data[at + 1], at + 2
        if length & 0x80:
            size = length & 0x7F
            length, at = int.from_bytes(data[at : at + size]), at + size
        if at + length > len(data):
            raise ValueError("cut short")
        yield tag, data[at : at + length]
        at += length


def _time(tag: int, text: bytes) -> float:
    digits = text.decode("ascii")
    if tag == _UTC_TIME:  # two digits of the year: 50 and later are of the last century
        digits = ("19" if int(digits[:2]) >= 50 else "20") + digits
    elif tag != _GENERALIZED_TIME:
        raise ValueError("no time")
    if not re.fullmatch(r"\d{14}Z", digits):
        raise ValueError("no time in UTC to the second")
    # Not strptime: with calendar and locale it would stay in the daemon for this one line.
    century, year, month, day, hour, minute, second = (int(digits[at : at + 2]) for at in range(0, 14, 2))
    return datetime(100 * century + year, month, day, hour, minute, second, tzinfo=UTC).timestamp()
