"""How long this terminal has been without the broker at a time: what a certificate's renewal must be early by. Pure."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Final

_MONTHS: Final = 12  # a shop that closes for the summer closes again next summer


class Absence:
    """The longest times, by the month in which they ended.

    `kept` is what `state` gave; anything else counts as none.
    """

    def __init__(self, kept: str = "") -> None:
        self._contact_at = 0.0
        self._longest: dict[str, float] = {}
        self._now_s = 0.0
        try:
            known = json.loads(kept or "{}")
            self._contact_at = float(known.get("contact_at", 0))
            self._longest = {str(month): float(seconds) for month, seconds in known.get("longest_s", {}).items()}
        except (ValueError, TypeError, AttributeError):
            self._contact_at, self._longest = 0.0, {}

    def look(self, *, connected: bool, wall: float) -> None:
        """To be called again and again, with a wall clock that can be trusted: switched off is without a broker too."""
        self._now_s = max(0.0, wall - self._contact_at) if self._contact_at else 0.0
        if not connected:
            return
        month = datetime.fromtimestamp(wall, UTC).strftime("%Y-%m")
        self._longest[month] = max(round(self._now_s), self._longest.get(month, 0))
        self._longest = {each: self._longest[each] for each in sorted(self._longest)[-_MONTHS:]}
        self._contact_at, self._now_s = wall, 0.0

    @property
    def longest_s(self) -> float:
        """Of the last year, the one that is going on included."""
        return max([self._now_s, *self._longest.values()])

    def state(self) -> str:
        """What the next start needs."""
        return json.dumps({"contact_at": round(self._contact_at), "longest_s": self._longest})
