from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from center.domain import hours

SHOP: dict[str, Any] = {
    "mon": [["09:00", "12:30"], ["14:00", "22:00"]],
    "fri": [["18:00", "02:00"]],
    "sun": [["00:00", "24:00"]],
    "dates": {"2026-10-05": [], "2026-10-06": [["10:00", "11:00"]]},
}
MINUTE = 60_000


def at(text: str, zone: str = "Asia/Shanghai") -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


@pytest.mark.parametrize(
    ("moment", "is_open"),
    [
        ("2026-09-21T08:59", False),  # a Monday
        ("2026-09-21T09:00", True),
        ("2026-09-21T12:30", False),
        ("2026-09-21T21:59", True),
        ("2026-09-22T10:00", False),  # a Tuesday, which is not named
        ("2026-09-25T23:00", True),
        ("2026-09-26T01:59", True),  # Friday's night
        ("2026-09-26T02:00", False),
        ("2026-09-27T23:59", True),
        ("2026-10-05T10:00", False),  # a Monday unlike others
        ("2026-10-06T10:30", True),
    ],
)
def test_open(moment: str, is_open: bool) -> None:
    assert hours.is_open(SHOP, "Asia/Shanghai", at(moment)) is is_open


def test_open_is_meant_in_the_sites_own_time() -> None:
    moment = at("2026-09-21T09:30")
    assert hours.is_open(SHOP, "Asia/Shanghai", moment)
    assert not hours.is_open(SHOP, "Europe/Berlin", moment)


def test_a_site_without_hours_counts_as_open() -> None:
    assert hours.is_open(None, "UTC", 0)
    assert hours.open_ms(None, "UTC", 5, 15) == 10
    assert hours.after_open_ms(None, "UTC", 5, 10) == 15


@pytest.mark.parametrize(
    ("start", "end", "minutes"),
    [
        ("2026-09-21T08:00", "2026-09-21T10:00", 60),
        ("2026-09-21T00:00", "2026-09-22T00:00", 210 + 480),
        ("2026-09-25T20:00", "2026-09-27T06:00", 360 + 360),
        ("2026-10-05T00:00", "2026-10-07T00:00", 60),
        ("2026-09-21T10:00", "2026-09-21T09:00", 0),
    ],
)
def test_open_time_between_two_moments(start: str, end: str, minutes: int) -> None:
    assert hours.open_ms(SHOP, "Asia/Shanghai", at(start), at(end)) == minutes * MINUTE


@pytest.mark.parametrize(
    ("start", "minutes", "end"),
    [
        ("2026-09-21T08:00", 30, "2026-09-21T09:30"),
        ("2026-09-21T12:00", 60, "2026-09-21T14:30"),
        ("2026-09-21T21:00", 120, "2026-09-25T19:00"),
    ],
)
def test_when_a_site_has_been_open_for_so_long(start: str, minutes: int, end: str) -> None:
    assert hours.after_open_ms(SHOP, "Asia/Shanghai", at(start), minutes * MINUTE) == at(end)


def test_a_site_that_never_opens_never_has() -> None:
    assert hours.after_open_ms({"mon": []}, "UTC", 0, 1) is None


def test_a_day_on_which_the_clock_is_changed_is_an_hour_shorter() -> None:
    day = {"sun": [["00:00", "24:00"]]}
    start, end = at("2026-03-29T00:00", "Europe/Berlin"), at("2026-03-30T00:00", "Europe/Berlin")
    assert hours.open_ms(day, "Europe/Berlin", start, end) == 23 * 60 * MINUTE


@pytest.mark.parametrize(
    ("told", "zone", "said"),
    [
        ({"monday": []}, "UTC", "'monday' is no day"),
        ({"mon": [["9", "10:00"]]}, "UTC", "'9' is no time"),
        ({"mon": [["09:00", "25:00"]]}, "UTC", "'25:00'"),
        ({"mon": ["09:00", "18:00"]}, "UTC", "mon is a list of ranges"),
        ({"dates": {"2026-13-01": []}}, "UTC", "no day such as"),
        ({"dates": []}, "UTC", "dates is a table"),
        (None, "Mars/Olympus", "'Mars/Olympus' is no time zone"),
        (None, "../etc", "is no time zone"),
        (None, "Europe", "is no time zone"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(told: Any, zone: str, said: str) -> None:
    with pytest.raises(hours.HoursError, match=said) as caught:
        hours.check(told, zone)
    assert "\n" not in str(caught.value)


def test_what_can_be_is_taken() -> None:
    hours.check(SHOP, "Asia/Shanghai")
