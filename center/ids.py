"""Names for what the center makes: `case-01jd…`, sortable by the time they were made. Pure but for its randomness."""

from __future__ import annotations

import secrets
import time
from typing import Final

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32, in the lower case that topics allow
_RANDOM_BITS: Final = 80


def new_id(prefix: str, now_ms: int | None = None) -> str:
    """`{prefix}-` and 26 characters [0-9a-z]: 48 bits of milliseconds since the epoch, then 80 random bits."""
    at_ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    number = (at_ms << _RANDOM_BITS) | secrets.randbits(_RANDOM_BITS)
    return prefix + "-" + "".join(_ALPHABET[number >> shift & 31] for shift in range(125, -5, -5))
