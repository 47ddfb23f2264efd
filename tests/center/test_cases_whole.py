"""From messages to cases with all engines in a row, as the center runs them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from center.db.engine import Database
from center.db.tables import cases, incidents
from center.domain.cases_engine import CaseEngine
from center.domain.cases_messages import CaseMessages
from center.domain.cases_policy import Policy
from center.domain.engines import Engines
from center.domain.incidents import Incidents
from center.domain.outages import Outages
from tests.center import said
from tests.center.desk_world import MINUTE, World
from tests.center.test_ingest import Ingest


@pytest.fixture
def ingest(database: Database) -> Iterator[Ingest]:
    made = Ingest(database)
    yield made
    made.writer.close()


def _run(database: Database, until_ms: int, from_ms: int, step_ms: int = 3 * MINUTE) -> None:
    policy = Policy()
    engines = Engines(
        database, [Outages(database), Incidents(database), CaseEngine(database, policy), CaseMessages(database, policy)]
    )
    for now_ms in range(from_ms, until_ms, step_ms):
        assert engines.step(now_ms)


def test_a_fault_from_the_wire_is_an_incident_and_a_case_until_it_is_gone(database: Database, ingest: Ingest) -> None:
    world = World(database)
    begin = ingest.now_ms
    ingest(
        ("state", said.state()),
        ("inventory", said.inventory()),
        ("fault/printer/mechanical_error", said.fault("printer/mechanical_error")),
    )
    _run(database, begin + 40 * MINUTE, begin)
    case = world.case(terminal="t")
    (incident,) = world.rows(incidents)
    assert (case["incident_id"], incident["case_id"]) == (incident["id"], case["id"])
    assert (case["model"], case["language"], case["state"]) == ("TM-T20", "zh", "new")
    assert case["data"]["intake"]["faults"][0]["evidence"] == {"paper": "out"}
    assert world.posts("mqtt")[0]["topic"] == "pos/1/e/t/case"
    ingest.now_ms = begin + 41 * MINUTE
    ingest(("fault/printer/mechanical_error", said.fault("printer/mechanical_error", "cleared", up_ms=9000)))
    _run(database, begin + 120 * MINUTE, begin + 41 * MINUTE)
    assert world.case(terminal="t")["state"] == "asking"


def test_a_terminal_that_the_broker_misses_becomes_a_case(database: Database, ingest: Ingest) -> None:
    world = World(database)
    begin = ingest.now_ms
    ingest(("state", said.state(conn=1)), ("inventory", said.inventory()))
    ingest(("state", said.will(conn=1)))
    _run(database, begin + 90 * MINUTE, begin)
    assert world.case(terminal="t")["fault"] == "terminal/offline"
    ingest.now_ms = begin + 91 * MINUTE
    ingest(("state", said.state(conn=2, up_ms=9000)))
    _run(database, begin + 200 * MINUTE, begin + 91 * MINUTE)
    assert world.case(terminal="t")["state"] == "asking"
    assert len(world.rows(cases)) == 1
