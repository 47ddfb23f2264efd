"""When a site trades, by its own calendar and time zone. Pure.

`hours` as the table `sites` keeps it: by day of the week a list of [from, until] in local time, and `dates` for days
that are unlike: {"mon": [["09:00", "12:30"], ["14:00", "22:00"]], …, "dates": {"2026-10-01": []}}. A day that is not
named is closed. A range that ends before it begins goes on past midnight. Without hours (None) nobody knows when
the site trades, and it counts as always open.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MOST_DAYS: Final = 3700


class HoursError(ValueError):
    """Hours that cannot be, in one line."""


def check(hours: Mapping[str, Any] | None, timezone: str) -> None:
    """Raises HoursError for what the functions below could not read."""
    zone(timezone)
    for name, ranges in (hours or {}).items():
        if name == "dates":
            if not isinstance(ranges, Mapping):
                raise HoursError("dates is a table from day to ranges")
            for day, special in ranges.items():
                _check_day(day)
                _check_ranges(day, special)
        elif name in DAYS:
            _check_ranges(name, ranges)
        else:
            raise HoursError(f"{name!r} is no day: {', '.join(DAYS)} or dates")


def zone(timezone: str) -> ZoneInfo:
    """The time zone by its IANA name. Raises HoursError."""
    try:
        return ZoneInfo(timezone)
    except (KeyError, ValueError, OSError) as error:  # OSError: a name that is a directory
        raise HoursError(f"{timezone!r} is no time zone") from error


def is_open(hours: Mapping[str, Any] | None, timezone: str, at_ms: int) -> bool:
    """Whether the site trades at this moment."""
    if hours is None:
        return True
    return any(start <= at_ms < end for start, end in _spans(hours, timezone, at_ms, at_ms))


def open_ms(hours: Mapping[str, Any] | None, timezone: str, from_ms: int, until_ms: int) -> int:
    """For how many milliseconds between the two moments the site trades."""
    if hours is None:
        return max(0, until_ms - from_ms)
    spans = _spans(hours, timezone, from_ms, until_ms)
    return sum(max(0, min(end, until_ms) - max(start, from_ms)) for start, end in spans)


def after_open_ms(hours: Mapping[str, Any] | None, timezone: str, from_ms: int, wanted_ms: int) -> int | None:
    """The moment when the site has traded for `wanted_ms` since `from_ms`; None if that never comes."""
    if hours is None:
        return from_ms + wanted_ms
    far_ms = from_ms + _MOST_DAYS * 86_400_000
    for start, end in _spans(hours, timezone, from_ms, far_ms):
        begin = max(start, from_ms)
        if end - begin >= wanted_ms:
            return begin + wanted_ms
        wanted_ms -= max(0, end - begin)
    return None


def _spans(hours: Mapping[str, Any], timezone: str, from_ms: int, until_ms: int) -> Iterator[tuple[int, int]]:
    """Open spans in order, none overlapping, that may touch the period."""
    at = zone(timezone)
    day = datetime.fromtimestamp(from_ms / 1000, at).date() - timedelta(days=1)  # yesterday's night may last
    last = datetime.fromtimestamp(until_ms / 1000, at).date()
    done_ms = 0
    while day <= last:
        for begin, end in sorted(_minutes(_ranges(hours, day))):
            start_ms, end_ms = (_moment(day, minutes, at) for minutes in (begin, end))
            start_ms = max(start_ms, done_ms)
            if start_ms < end_ms:
                yield start_ms, end_ms
                done_ms = end_ms
        day += timedelta(days=1)


def _ranges(hours: Mapping[str, Any], day: date) -> tuple[tuple[str, str], ...]:
    special = (hours.get("dates") or {}).get(day.isoformat())
    ranges = hours.get(DAYS[day.weekday()]) if special is None else special
    return tuple((begin, end) for begin, end in ranges or ())


@lru_cache(maxsize=1000)
def _minutes(ranges: tuple[tuple[str, str], ...]) -> tuple[tuple[int, int], ...]:
    found = [(_minute(begin), _minute(end)) for begin, end in ranges]
    return tuple((begin, end if end > begin else end + 1440) for begin, end in found)


def _minute(text: str) -> int:
    hour, colon, minute = text.partition(":")
    if not (colon and hour.isdecimal() and minute.isdecimal() and len(minute) == 2):
        raise HoursError(f"{text!r} is no time of day such as 09:30")
    total = 60 * int(hour) + int(minute)
    if total > 1440 or int(minute) > 59:
        raise HoursError(f"{text!r} is no time of day such as 09:30")
    return total


@lru_cache(maxsize=20_000)
def _moment(day: date, minutes: int, at: ZoneInfo) -> int:
    """Local wall time as milliseconds since the epoch; a time that the clock skips is the one after the gap."""
    local = datetime(day.year, day.month, day.day, tzinfo=at) + timedelta(days=minutes // 1440)
    local = local.replace(hour=minutes % 1440 // 60, minute=minutes % 60)
    return round(local.astimezone(UTC).timestamp() * 1000)


def _check_day(day: str) -> None:
    try:
        date.fromisoformat(day)
    except ValueError as error:
        raise HoursError(f"{day!r} is no day such as 2026-10-01") from error


def _check_ranges(name: str, ranges: object) -> None:
    pairs = ranges if isinstance(ranges, list | tuple) else None
    if pairs is None or not all(
        isinstance(pair, list | tuple) and len(pair) == 2 and all(isinstance(each, str) for each in pair)
        for pair in pairs
    ):
        raise HoursError(f'{name} is a list of ranges such as ["09:00", "21:00"]')
    _minutes(tuple((begin, end) for begin, end in pairs))
