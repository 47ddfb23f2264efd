"""Times as people type them, wherever the machine stands."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from center.local_time import parse, shown


@pytest.fixture(autouse=True)
def shanghai(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


NOW = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)  # 14:00 there


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("18:30", "2026-11-22T10:30"),
        ("9:05", "2026-11-23T01:05"),
        ("14:00", "2026-11-23T06:00"),
        ("2026-11-22T18:30", "2026-11-22T10:30"),
        ("2026-11-22 18:30", "2026-11-22T10:30"),
        ("2026-11-22T18:30Z", "2026-11-22T18:30"),
        ("2026-11-22T18:30+01:00", "2026-11-22T17:30"),
    ],
)
def test_a_time_without_a_zone_is_local_and_without_a_day_the_next(text: str, utc: str) -> None:
    assert parse(text, NOW.astimezone()).astimezone(UTC).isoformat()[:16] == utc


@pytest.mark.parametrize("text", ["tomorrow", "25:00", "2026-11-22", "18", "", "2026-13-01T10:00"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse(text, NOW.astimezone())


def test_times_are_read_in_the_machines_zone() -> None:
    assert shown("2026-11-22T10:30:00.000Z") == "2026-11-22 18:30:00"
    assert shown("2026-11-22T10:30:00.000Z", "%H:%M %Z") == "18:30 CST"
    assert shown(None) == ""
