"""Median and 90th percentile of how long cases took, of all that were opened in a period."""

from __future__ import annotations

import random
from statistics import median

import pytest

from center.access.scope import EVERYTHING
from center.db import tables
from center.db.engine import Database, bulk_insert
from center.domain import reports
from tests.center import fleet_rows
from tests.center.fleet_rows import NOW

_CHANCE = random.Random(3)
_LENGTHS = [[_CHANCE.randrange(-5, 10_000) for _ in range(n)] for n in (1, 2, 3, 9, 10, 11, 99, 100, 101)]


@pytest.mark.parametrize("lengths", _LENGTHS, ids=len)
def test_half_and_nine_of_ten(database: Database, lengths: list[int]) -> None:
    rows = [fleet_rows.case(n) | {"created_ms": NOW, "acked_ms": NOW + length} for n, length in enumerate(lengths)]
    with database.begin() as connection:
        bulk_insert(connection, tables.cases, rows)
    period = reports.Period(NOW, NOW + 1)
    with database.read() as connection:
        told = reports.times(connection, EVERYTHING, period)
    known = sorted(max(0, length) for length in lengths)
    within = next(each for each in known if 10 * sum(other <= each for other in known) >= 9 * len(known))
    assert told["acknowledge"] == reports.Spread(len(lengths), round(median(known)), within)
    assert told["detect"] == reports.Spread(0, None, None)
