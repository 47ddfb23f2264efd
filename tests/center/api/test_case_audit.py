"""Whatever is done with a case stands in the audit, or was not done: both are one transaction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, func, select

from center.access import audit
from center.access.audit import Entry
from center.access.scope import EVERYTHING
from center.db import tables
from center.db.engine import Database
from center.domain.cases import Cases
from center.domain.cases_attachments import Attachments
from center.domain.cases_book import Act
from center.domain.cases_opening import NewCase
from center.domain.cases_policy import Policy
from center.domain.dispatch import Dispatch
from center.domain.knowledge_problems import Problems
from tests.center.fleet_rows import NOW, fill

CASE = "case-00000005"


class _Office:
    def __init__(self, database: Database) -> None:
        made = database, Policy(), lambda: NOW
        self.cases, self.attachments, self.dispatch = Cases(*made), Attachments(*made), Dispatch(*made)
        self.problems = Problems(*made)


Do = Callable[[_Office, Act], Any]
ACTS: list[Do] = [
    lambda office, act: office.cases.note(act, CASE, "seen"),
    lambda office, act: office.cases.open(act, NewCase(estate="e", terminal="t000001", kind="question")),
    lambda office, act: office.attachments.add(act, CASE, "a.txt", "text/plain", b"seen"),
    lambda office, act: office.dispatch.send(act, CASE, "Li Wei", NOW + 60_000, NOW + 3_600_000),
]


def _written(database: Database) -> tuple[int, int, int]:
    with database.read() as connection:
        counted = (select(func.count()).select_from(each) for each in (tables.case_steps, tables.cases, tables.audit))
        steps, cases, entries = (connection.execute(each).scalar_one() for each in counted)
        assert audit.verify(connection).broken_id is None
    return steps, cases, entries


@pytest.mark.parametrize("do", ACTS)
def test_what_cannot_be_recorded_is_not_done(database: Database, do: Do) -> None:
    fill(database, 8)
    office, before = _Office(database), _written(database)

    def told(connection: Connection, case_id: str, detail: Any) -> None:
        audit.append(connection, [Entry(NOW, "ann", "case.test", case_id, detail)])

    def killed(connection: Connection, case_id: str, detail: Any) -> None:
        told(connection, case_id, detail)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        do(office, Act(scope=EVERYTHING, by="ann", record=killed))
    assert _written(database) == before
    do(office, Act(scope=EVERYTHING, by="ann", record=told))
    after = _written(database)
    assert after[0] > before[0]
    assert after[2] == before[2] + 1


def test_a_visit_that_is_cancelled_and_a_problem_that_is_linked_are_recorded(database: Database) -> None:
    fill(database, 8)
    office, names = _Office(database), []
    act = Act(scope=EVERYTHING, by="ann", record=lambda _connection, case_id, _detail: names.append(case_id))
    office.dispatch.send(act, CASE, "Li Wei", NOW + 60_000, NOW + 3_600_000)
    office.dispatch.cancel(act, CASE, "not needed")
    problem = office.problems.open("ann", "Rolls are too thin", record=lambda _connection, name: names.append(name))
    office.problems.link(act, CASE, problem)
    assert names == [CASE, CASE, problem, CASE]
