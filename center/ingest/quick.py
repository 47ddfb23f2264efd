"""Telemetry as agents write it, checked by one expression: nine of ten messages are of this kind. Pure.

What matches is what `agent.wire` would take and cannot hold a card number, so it is stored as it came. What does not
match may still be good: it is for `agent.wire` to say.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Final

from agent.wire import MAX_PACKET_BYTES
from center.ingest.order import MOST_AT_MS

_WHOLE: Final = r"0|[1-9][0-9]{0,%d}+"
_NAME: Final = r'"(?:[a-z_.]++[0-9]{0,3}+)++"'
_SHORT: Final = r'"[ !#-\[\]-~]{0,12}+"'  # too short for the digits of a card
_WORDS: Final = r'"[A-Za-z_./: ]*+"'  # without a digit
_VALUE: Final = (
    rf"-?+(?:{_WHOLE % 11})(?:\.[0-9]{{1,9}}+)?+"
    rf'|{_SHORT}|{_WORDS}|\{{"error":"[a-z_]++"\}}|true|false|null'
)
_SAMPLE: Final = rf'\[(?:{_WHOLE % 6}),\{{(?:{_NAME}:(?:{_VALUE})(?:,(?=")|(?=\}})))*+\}}\]'
_TELEMETRY: Final = re.compile(
    rf'\{{"boot":({_WHOLE % 9}),"at":"(\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d\d\dZ)","up_ms":(?:{_WHOLE % 11}),'
    r'"clock":"(?:synced|network|rtc|unset)","v":1,"seq":([1-9][0-9]{0,11}+)(,"late":true)?+,'
    rf'"samples":(\[(?:{_SAMPLE}(?:,(?=\[)|(?=\])))*+\])\}}',
    re.ASCII,
)
_moment: Final = datetime.fromisoformat
_match: Final[Callable[[str], re.Match[str] | None]] = _TELEMETRY.fullmatch


def telemetry(payload: bytes) -> tuple[int, int, int, bool, str] | None:
    """Boot, seq, time in milliseconds, whether late, and the samples as JSON; None for what is to be read in full."""
    if len(payload) > MAX_PACKET_BYTES:
        return None
    found = _match(str(payload, "latin-1"))
    if found is None:
        return None
    boot, at, seq, late, samples = found.groups()
    try:
        at_ms = round(_moment(at).timestamp() * 1000)
    except ValueError:
        return None
    return (int(boot), int(seq), at_ms, late is not None, samples) if 0 <= at_ms <= MOST_AT_MS else None
