from __future__ import annotations

from collections.abc import Iterator

import pytest

from center.access.limits import Rate
from center.db.engine import Database
from tests.center.asking import Api, asking
from tests.center.fleet_rows import fill


@pytest.fixture
def api(database: Database) -> Iterator[Api]:
    """The API over eight terminals, of which two, t000000 and t000005, are out of paper."""
    fill(database, 8)
    with asking(database, rate=Rate(1e6, 1e6)) as running:
        yield running
