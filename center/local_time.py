"""Times as people at this machine type and read them: in its time zone, unless they name another."""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta
from typing import Final

FORMS: Final = "18:30, 2026-11-22T18:30, or with another time zone than this machine's 2026-11-22T18:30+08:00"
_CLOCK: Final = re.compile(r"\d{1,2}:\d\d")


def parse(text: str, now: datetime) -> datetime:
    """What somebody typed; without a day the next such time after `now`, which has a zone. Raises ValueError."""
    if _CLOCK.fullmatch(text):
        clock = time.fromisoformat(text.zfill(5))
        today = datetime.combine(now.date(), clock).astimezone()
        return today if today > now else datetime.combine(now.date() + timedelta(days=1), clock).astimezone()
    if ":" not in text:
        raise ValueError(f"{text!r} has no time of day")
    return datetime.fromisoformat(text).astimezone()


def shown(at: str | None, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    """A time of the API for people; "" for none."""
    return datetime.fromisoformat(at).astimezone().strftime(form) if at else ""
