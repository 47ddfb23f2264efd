"""The period and the grouping that a report is asked for by the address of its page, and lengths of time in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from center.console.session import Visit

DAYS: Final = (7, 30, 90, 365)
GROUPS: Final = ("fault", "model", "firmware", "operator", "team", "site")
_USUAL_DAYS: Final = 30
_MOST_DAYS: Final = 400


@dataclass(frozen=True, slots=True)
class Span:
    """Days back from now, or from `since` to before `until`, dates in UTC; grouped by `by`."""

    days: int
    since: date | None
    until: date | None
    by: str

    @classmethod
    def of(cls, days: str, since: str, until: str, by: str) -> Span:
        """From the texts of an address. Raises ValueError for dates that are none, or no period."""
        group = by if by in GROUPS else GROUPS[0]
        if not since and not until:
            return cls(int(days) if days.isdecimal() and int(days) in DAYS else _USUAL_DAYS, None, None, group)
        first, last = date.fromisoformat(since), date.fromisoformat(until)
        if not 0 < (last - first).days <= _MOST_DAYS:
            raise ValueError("no period")
        return cls(0, first, last, group)

    @property
    def query(self) -> dict[str, str]:
        """What the API is asked."""
        if self.since is None or self.until is None:
            now = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1)  # this second counts, too
            return {"since": _told(now - timedelta(days=self.days)), "until": _told(now)}
        return {"since": _told(_midnight(self.since)), "until": _told(_midnight(self.until))}

    def address(self, **more: str) -> str:
        """The query of a page of the console about the same span; `more` wins."""
        own = {"days": str(self.days)} if self.since is None else {"since": str(self.since), "until": str(self.until)}
        return urlencode(own | {"by": self.by} | more)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)


def _told(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def length(visit: Visit, milliseconds: float) -> str:
    """A length of time in two digits or more: 45 s, 12 min, 3.5 h, 2.1 days."""
    for name, unit in (("long_days", 86_400_000), ("hours", 3_600_000), ("minutes", 60_000)):
        if milliseconds >= 2 * unit or (milliseconds >= unit and name == "minutes"):
            return visit.say(f"reports.{name}", n=f"{milliseconds / unit:.1f}".removesuffix(".0"))
    return visit.say("reports.seconds", n=round(milliseconds / 1000))


def percent(share: Mapping[str, Any]) -> str | None:
    """A share of the API; None of none."""
    return None if share["share"] is None else f"{share['share']:.0%}"
