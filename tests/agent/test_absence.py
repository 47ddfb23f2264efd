"""How long a terminal was without its broker, and how early that makes the end of a certificate known."""

from __future__ import annotations

import pytest

from agent.absence import Absence
from agent.certificate import Validity

DAY, HOUR = 86_400.0, 3600.0
START = 1_795_000_000.0


def lived(*steps: tuple[float, bool], absence: Absence | None = None) -> Absence:
    absence = absence or Absence()
    for at, connected in steps:
        absence.look(connected=connected, wall=START + at)
    return absence


def test_the_longest_time_counts_whether_it_was_off_or_without_a_line() -> None:
    absence = lived((0, True), (10, True), (10 + 5 * HOUR, False), (10 + 6 * HOUR, True), (7 * HOUR, True))
    assert absence.longest_s == 6 * HOUR
    off = Absence(absence.state())  # nothing ran in between
    assert lived((3 * DAY + 7 * HOUR, True), absence=off).longest_s == pytest.approx(3 * DAY)


def test_one_that_goes_on_counts_already() -> None:
    assert lived((0, True), (2 * DAY, False)).longest_s == 2 * DAY


def test_a_terminal_that_never_had_a_broker_was_never_away_from_it() -> None:
    assert lived((0, False), (30 * DAY, False), (31 * DAY, True)).longest_s == 0


def test_it_is_forgotten_after_a_year_and_a_clock_set_back_is_no_absence() -> None:
    absence = lived((0, True), (9 * DAY, True))
    for day in range(10, 400):
        absence.look(connected=True, wall=START + day * DAY)
    assert absence.longest_s == DAY
    assert lived((0, True), (-5 * DAY, True), (-5 * DAY + 60, True)).longest_s == 60


@pytest.mark.parametrize("kept", ["", "x", "[]", '{"contact_at": "x"}', '{"longest_s": {"2026-01": null}}', "null"])
def test_what_was_not_kept_by_it_counts_as_nothing(kept: str) -> None:
    assert Absence(kept).longest_s == 0


@pytest.mark.parametrize(
    ("days_left", "offline_days", "soon"),
    [
        (15, 0, False),
        (13, 0, True),
        (31, 10, False),
        (29, 10, True),  # three times ten days
        (29, 0, False),
        (271, 90, False),
        (269, 90, True),
        (325, 200, False),  # its life is too short for such absences; a fresh one is none the less not told
        (323, 200, True),
    ],
)
def test_a_certificate_is_told_three_absences_before_its_end(days_left: float, offline_days: float, soon: bool) -> None:
    validity = Validity(START, START + 360 * DAY)
    assert validity.ends_soon(START + (360 - days_left) * DAY, 14, offline_days * DAY) is soon
