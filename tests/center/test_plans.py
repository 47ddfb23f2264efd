"""What SQLite does with statements of which a plain form would read a whole table through."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest
from sqlalchemy import Connection, event, select

from center.access.scope import EVERYTHING
from center.api import metrics
from center.db.engine import Database, among
from center.db.tables import faults, sites
from center.domain import due, overview, reports
from center.domain.cases_policy import Policy

_PERIOD: Final = reports.Period(0, 1)


def _by_keys(connection: Connection) -> None:
    keys = [("e", "a"), ("f", "b")]
    connection.execute(select(sites.c.name).where(among((sites.c.estate, sites.c.site), keys)))


def _by_longer_keys(connection: Connection) -> None:
    keys = [("e", "t", "printer/paper_out"), ("f", "t", "printer/paper_out")]
    wanted = among((faults.c.estate, faults.c.terminal, faults.c.fault), keys)
    connection.execute(select(faults).where(wanted, faults.c.state != "cleared"))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("work", "table", "index"),
    [
        (_by_keys, "sites", "sqlite_autoindex_sites_1 (estate=? AND site=?)"),
        (_by_longer_keys, "faults", "sqlite_autoindex_faults_1 (estate=? AND terminal=? AND fault=?)"),
        (lambda it: reports.repeats(it, EVERYTHING, _PERIOD), "cases", "ix_cases_closed_ms"),
        (lambda it: reports.false_alarms(it, EVERYTHING, _PERIOD), "cases", "ix_cases_closed_ms"),
        (lambda it: overview.now(it, EVERYTHING, 0), "cases", "(state=?)"),
        (lambda it: due.soon(it, EVERYTHING, "en", Policy(), 0, within_ms=1), "cases", "(state=?)"),
        (lambda it: list(metrics._fleet(it)), "faults", "ix_faults_present"),
    ],
)
def test_it_goes_by_an_index(database: Database, work: Callable[[Connection], Any], table: str, index: str) -> None:
    said: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        said.append((statement, parameters))

    with database.read() as connection:
        event.listen(connection, "before_cursor_execute", note)
        work(connection)
        event.remove(connection, "before_cursor_execute", note)
        plans = [connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", how).all() for text, how in said]
    steps = [row.detail for plan in plans for row in plan if row.detail.split()[1] == table]
    assert steps
    assert all(index in step for step in steps), steps
