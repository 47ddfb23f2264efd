"""Who is told of what, and when. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any, Final
from zoneinfo import ZoneInfo

_MINUTE_MS: Final = 60_000


def wants(events: Sequence[str] | None, choice: Mapping[str, Any] | None, notice: Mapping[str, Any]) -> bool:
    """Whether a channel or webhook with these patterns and this filter wants a notice."""
    chosen = choice or {}
    estates, severities = chosen.get("estates"), chosen.get("severities")
    if estates is not None and notice.get("estate") not in estates:
        return False
    if severities is not None and notice.get("severity") not in severities:
        return False
    return any(fnmatchcase(str(notice.get("event", "")), pattern) for pattern in events or ())


def due_ms(
    notice: Mapping[str, Any],
    choice: Mapping[str, Any] | None,
    quiet: Mapping[str, Any] | None,
    escalation: Mapping[str, Any] | None,
    now_ms: int,
) -> int:
    """When a channel is told. What is critical waits neither for others of its kind nor for the morning."""
    at_ms = now_ms + int((escalation or {}).get("after_min", 0)) * _MINUTE_MS
    if notice.get("severity") == "critical":
        return at_ms
    group_ms = int((choice or {}).get("group_s") or 0) * 1000
    if group_ms:
        at_ms = (at_ms // group_ms + 1) * group_ms  # all of one span of time become due at once, and go as one
    return quiet_until_ms(quiet, at_ms) or at_ms


def quiet_until_ms(quiet: Mapping[str, Any] | None, at_ms: int) -> int | None:
    """When the quiet hours end that this moment lies in; None if it lies in none. Wall-clock times of their zone."""
    if not quiet:
        return None
    local = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(ZoneInfo(quiet["timezone"]))
    begin, end = _minute(quiet["from"]), _minute(quiet["until"])
    now = local.hour * 60 + local.minute
    if not (begin <= now < end if begin <= end else now >= begin or now < end):
        return None
    day = local.date() + timedelta(days=1 if end <= now else 0)
    until = datetime(day.year, day.month, day.day, end // 60, end % 60, tzinfo=local.tzinfo)
    return int(until.timestamp() * 1000)


def digest(notices: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """Subject and body of one message about all of them, the gravest first."""
    if len(notices) == 1:
        return str(notices[0].get("subject", "")), str(notices[0].get("body", ""))
    rank = {"critical": 0, "major": 1, "minor": 2, "warning": 3}
    ordered = sorted(notices, key=lambda notice: rank.get(str(notice.get("severity")), 4))
    lines = [f"- {notice.get('subject', '')}" for notice in ordered[:50]]
    if len(ordered) > len(lines):
        lines.append(f"… {len(ordered) - len(lines)} more")
    return f"{len(ordered)} × posdiag: {ordered[0].get('subject', '')}", "\n".join(lines)


def retry_ms(attempts: int) -> int:
    """How long to wait after so many attempts."""
    return min(30_000 << min(max(0, attempts - 1), 20), 3_600_000)


def _minute(text: str) -> int:
    hour, minute = text.split(":")
    return int(hour) * 60 + int(minute)
