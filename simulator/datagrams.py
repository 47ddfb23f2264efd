"""What the name server and the time server answer. Pure: bytes in, bytes out."""

from __future__ import annotations

import struct
from collections.abc import Collection
from typing import Final

_TYPE_A, _CLASS_IN = 1, 1
_RESPONSE, _AUTHORITATIVE, _RECURSION_ASKED, _RECURSION_OFFERED = 0x8000, 0x0400, 0x0100, 0x0080
_NO_SUCH_NAME = 3
_TTL_S: Final = 5  # so that a change shows soon
_NTP_EPOCH: Final = 2_208_988_800  # 1900-01-01 in seconds before 1970 (RFC 5905)


def answer_name(query: bytes, known: Collection[str], *, every_name: bool) -> bytes | None:
    """The answer to one DNS query (RFC 1035): 127.0.0.1 for known names, or for all of them; None for no query."""
    if len(query) < 12:
        return None
    number, flags, questions = struct.unpack_from(">HHH", query)
    asked = _question(query)
    if flags & _RESPONSE or questions != 1 or asked is None:
        return None
    name, kind, end = asked
    flags = _RESPONSE | _AUTHORITATIVE | (flags & _RECURSION_ASKED) | _RECURSION_OFFERED
    found = every_name or name in known
    if not found:
        flags |= _NO_SUCH_NAME
    answers = int(found and kind == _TYPE_A)
    reply = struct.pack(">HHHHHH", number, flags, 1, answers, 0, 0) + query[12:end]
    if answers:
        reply += struct.pack(">HHHIH4s", 0xC00C, _TYPE_A, _CLASS_IN, _TTL_S, 4, bytes((127, 0, 0, 1)))
    return reply


def _question(query: bytes) -> tuple[str, int, int] | None:
    labels = []
    at = 12
    while at < len(query) and query[at]:
        length = query[at]
        if length > 63 or at + 1 + length > len(query):
            return None
        labels.append(query[at + 1 : at + 1 + length].decode("latin-1").lower())
        at += 1 + length
    if at + 5 > len(query):
        return None
    return ".".join(labels), int.from_bytes(query[at + 1 : at + 3], "big"), at + 5


def answer_time(query: bytes, world_s: float) -> bytes | None:
    """The SNTP answer (RFC 5905) of a stratum 2 server; `world_s` is seconds since 1970. None for no query."""
    if len(query) < 48 or query[0] & 7 != 3:
        return None
    version = query[0] >> 3 & 7
    stamp = _ntp_time(world_s)
    head = struct.pack(">BBbbII4s", version << 3 | 4, 2, 6, -20, 0x0000_0100, 0x0000_0100, bytes((127, 0, 0, 1)))
    return head + stamp + query[40:48] + stamp + stamp


def _ntp_time(unix_s: float) -> bytes:
    whole = int(unix_s // 1)
    return struct.pack(">II", (whole + _NTP_EPOCH) & 0xFFFF_FFFF, int((unix_s - whole) * 2**32) & 0xFFFF_FFFF)
