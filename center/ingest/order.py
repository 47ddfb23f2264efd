"""Which of two messages about the same thing is the newer one, whatever order they come in. Pure.

A terminal's own counters tell, written as digits of fixed width so that both databases compare them as text.
"""

from __future__ import annotations

from typing import Final

MOST_BOOTS: Final = 10**10 - 1
MOST_CONNECTIONS: Final = 10**10 - 1
MOST_UP_MS: Final = 10**15 - 1
MOST_AT_MS: Final = 250_000_000_000_000
"""The year 9892: what is shown in any time zone, or a day later, is still a date."""
MOST_AFTER_MS: Final = 86_400_000
"""How long after the time of its message a sample may be."""


def order(boot: int, up_ms: int) -> str:
    """Of inventory, health, digest, configuration and faults: later boot, later in that boot."""
    return f"{boot:010d}{up_ms:015d}"


def state_order(boot: int, conn: int, *, is_will: bool, up_ms: int) -> str:
    """Of states: later boot, later connection; the will of a connection is its last word, though written at its start.

    So a will that is late by its delay never beats the connection that has come after.
    """
    return f"{boot:010d}{conn:010d}{is_will:d}{up_ms:015d}"


def row_order(boot: int, seq: int) -> str:
    """Of what is queued: later boot, later number in that boot."""
    return f"{boot:010d}{seq:020d}"


def before_ms(version: str, margin_ms: int) -> str:
    """The version of what the same boot said `margin_ms` earlier."""
    return version[:10] + f"{max(0, int(version[10:]) - margin_ms):015d}"
