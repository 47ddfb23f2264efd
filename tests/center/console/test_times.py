"""Times by the clock at a place, and how long ago a terminal was heard as what its list asks for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from center.console import parts, terminals
from center.domain.overview import AGES_MS


@pytest.mark.parametrize(
    ("zone", "shown"),
    [
        ("Asia/Shanghai", "2026-11-22 09:30 UTC+08:00"),
        ("America/St_Johns", "2026-11-21 22:00 UTC-03:30"),
        ("UTC", "2026-11-22 01:30 UTC"),
        (None, "2026-11-22 01:30 UTC"),
        ("Mars/Olympus", "2026-11-22 01:30 UTC"),
    ],
)
def test_a_time_says_how_far_its_clock_is_from_utc(zone: str | None, shown: str) -> None:
    assert parts.clock("2026-11-22T01:30:00.000Z", zone) == shown


def test_ages_follow_on_each_other_without_a_gap() -> None:
    """Each begins where the one before ends, as the overview counts them."""
    now = datetime.now(UTC)
    asked = [terminals.of_age(name) for name in terminals.HEARD]
    assert asked[0].keys() == {"since"}
    assert asked[-1] == {"freshness": "unknown"}
    assert terminals.of_age("yesterday") == {}
    assert len(terminals.HEARD) == len(AGES_MS) + 2
    for bound, younger, older in zip(AGES_MS, asked[:-2], asked[1:-1], strict=True):
        end = now - timedelta(milliseconds=bound)
        for told in (younger["since"], older["until"]):
            assert abs(datetime.fromisoformat(told) - end) < timedelta(seconds=30)
