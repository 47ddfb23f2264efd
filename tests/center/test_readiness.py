from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy import select

from center.access.scope import Scope
from center.db.engine import Database, upsert
from center.db.migrations.versions import m0016_readiness, m0017_by_store
from center.db.tables import campaign_targets, campaign_todo, campaigns, metrics_day, sites, terminals
from center.domain import campaigns_readiness
from tests.center.actions import NOW, command_of, fleet
from tests.center.campaign_office import CAM, DAY_MS, Office
from tests.center.fleet_rows import put, put_checked, readiness


@pytest.fixture
def office(database: Database, tmp_path: Path) -> Office:
    return Office(database, tmp_path)


def _check(score: int, ready: bool = True, todo: Any = (), forecast: Any = None) -> dict[str, Any]:
    told = {"score": score, "ready": ready, "todo": list(todo), "unchecked": [], "forecast": forecast or {}}
    return {"verdict": {"can_sell": "yes"}, "readiness": told}


@pytest.mark.parametrize(
    ("output", "forecasts", "settings", "score", "ready", "items"),
    [
        (_check(100), {}, "applied", 100, True, []),
        (_check(100), {"trend.printer.paper_days_left": 4.0}, None, 85, True, ["printer.paper_days_left"]),
        (_check(100), {"trend.printer.paper_days_left": 40.0}, None, 100, True, []),
        (
            _check(100, forecast={"printer.paper_days_left": 3, "p.x_wear_percent": 1}),
            {},
            None,
            85,
            True,
            ["printer.paper_days_left"],
        ),
        (_check(80), {}, "drifted", 65, False, ["settings"]),
        (_check(90, ready=False), {}, None, 90, False, []),
        (
            _check(70, todo=[{"fault": "printer/cover_open", "title": "Cover", "act": "merchant"}]),
            {},
            None,
            70,
            False,
            ["printer/cover_open"],
        ),
        ({"too_large": 9000}, {}, None, None, False, ["check"]),
        ({"faults": []}, {}, None, None, False, ["check"]),
    ],
)
def test_how_ready_a_terminal_is(
    output: Any, forecasts: Any, settings: Any, score: Any, ready: bool, items: Any
) -> None:
    found = campaigns_readiness.judge(output, forecasts, settings, days=14)
    assert (found["score"], found["ready"], [item["what"] for item in found["todo"]]) == (score, ready, items)


def test_names_that_no_database_or_address_can_hold_do_not_stop_the_others(office: Office) -> None:
    fleet(office.database, ["t1", "t2"])
    campaign_id = office.run(kind="readiness", args={"date": "2026-10-01"})
    odd = [{"fault": name, "title": "Odd", "act": "support"} for name in ("a\x00b", "\ud800", "x" * 9000)]
    todo = {"t1": odd, "t2": [{"fault": "printer/paper_out", "title": "Paper", "act": "merchant"}] * 2}
    for terminal, command_id in office.asked().items():
        office.line.answer(command_id, "succeeded", terminal=terminal, output=_check(50, False, todo[terminal]))
    office.step()
    with office.database.read() as connection:
        found = campaigns_readiness.failing(connection, CAM.scope, campaign_id)
        for each in found:
            rows = campaigns_readiness.stores(connection, CAM.scope, campaign_id, what=each["what"], state="not_ready")
            assert each["what"] in {item["what"] for item in rows[0]["data"]["todo"]}
    assert {each["what"] for each in found} == {"a\ufffdb", "?", "x" * 130, "printer/paper_out"}


def test_what_was_answered_before_it_was_counted_is_counted_after_an_upgrade(database: Database) -> None:
    put(
        database,
        campaigns,
        id="cam-ready",
        name="n",
        kind="readiness",
        audience={},
        waves=[],
        state="done",
        created_by="max",
        created_ms=1,
        updated_ms=1,
    )
    found = {
        0: ("succeeded", readiness(90, ready=True)),
        1: ("succeeded", readiness(60, "printer/paper_out", "settings", "settings")),
        2: ("succeeded", readiness(None, "check", "x" * 200)),
        3: ("unanswered", None),
        4: ("succeeded", readiness(60) | {"forecast": {"a\x00b": 1}}),
    }
    put_checked(database, "cam-ready", {number: (state, None) for number, (state, _) in found.items()})
    targets = campaign_targets.c
    with database.begin() as connection:
        for number, (_, data) in found.items():
            mine = targets.terminal == f"t{number:06}"
            connection.execute(campaign_targets.update().where(mine).values(data=data))
        with Operations.context(MigrationContext.configure(connection)):
            m0016_readiness.from_answers()
        told = connection.execute(select(targets.verdict).order_by(targets.terminal)).scalars().all()
        todo = connection.execute(select(campaign_todo.c.terminal, campaign_todo.c.what)).all()
    assert told[:4] == ["ready", "not_ready", None, None]
    assert told[4] == (None if database.dialect == "postgresql" else "not_ready"), "it stops nobody else"
    assert sorted(tuple(row) for row in todo) == [
        ("t000001", "printer/paper_out"),
        ("t000001", "settings"),
        ("t000002", "check"),
        ("t000002", "x" * 130),
    ]


def test_the_stores_of_an_earlier_campaign_are_known_after_an_upgrade(database: Database) -> None:
    fleet(database, ["t000000"], site="s1")
    fleet(database, ["t000001"])
    put_checked(database, "cam-ready", dict.fromkeys(range(3), ("succeeded", None)))
    with database.begin() as connection:
        with Operations.context(MigrationContext.configure(connection)):
            m0017_by_store.from_terminals()
        found = connection.execute(select(campaign_targets.c.terminal, campaign_targets.c.site)).all()
    assert sorted(tuple(row) for row in found) == [("t000000", "s1"), ("t000001", ""), ("t000002", "")]


def test_a_readiness_campaign_gives_each_store_its_list(office: Office) -> None:
    with office.database.begin() as connection:
        upsert(
            connection,
            sites,
            [{"estate": "e", "site": "s1", "name": "=Bakery", "address": "Main St 1", "updated_ms": 1}],
        )
    fleet(office.database, ["t1", "t2"], site="s1", firmware="1.4", config_reported={"version": "3", "hash": "h"})
    fleet(office.database, ["t3"], status="offline")
    numbers = {"bucket_ms": NOW // DAY_MS * DAY_MS, "n": 1, "min": 2, "max": 2, "sum": 2, "last": 2, "last_ms": NOW}
    with office.database.begin() as connection:
        names = {"estate": "e", "terminal": "t2", "metric": "trend.printer.paper_days_left"}
        upsert(connection, metrics_day, [{**names, **numbers}])
    campaign_id = office.run(kind="readiness", args={"date": "2026-10-01"})
    for message in office.line.take():
        body = command_of(message)
        assert (body.cmd, body.args) == ("check", {"report": True, "level": "internal"})
        office.line.answer(body.jti, "succeeded", terminal=body.aud[2:], output=_check(95))
    office.step()
    with office.database.read() as connection:
        rows = campaigns_readiness.stores(connection, CAM.scope, campaign_id)
        assert campaigns_readiness.stores(connection, Scope(regions=("x",)), campaign_id) == []
        assert campaigns_readiness.failing(connection, CAM.scope, campaign_id) == [
            {"what": "printer.paper_days_left", "terminals": 1}
        ]
        assert campaigns_readiness.summary(connection, CAM.scope, campaign_id) == {
            "ready": 2, "not_ready": 0, "unknown": 0, "waiting": 1,
        }  # fmt: skip
    assert [(row["site"], row["terminal"], (row["data"] or {}).get("score")) for row in rows] == [
        (None, "t3", None),
        ("s1", "t1", 95),
        ("s1", "t2", 80),
    ]
    assert rows[1]["data"]["installed"] == {"model": None, "firmware": "1.4", "settings": {"version": "3", "hash": "h"}}
    lines = list(csv.DictReader(io.StringIO(campaigns_readiness.export(rows))))
    assert [(line["terminal"], line["ready"], line["what"], line["why"]) for line in lines] == [
        ("t3", "unknown", "check", "it was not checked: offline"),
        ("t1", "yes", "", ""),
        ("t2", "yes", "printer.paper_days_left", "2 days left, 10 to go"),
    ]
    assert lines[1]["store"] == "'=Bakery"
    with office.database.begin() as connection:
        connection.execute(terminals.update().where(terminals.c.terminal == "t1").values(site="s9"))
        connection.execute(terminals.delete().where(terminals.c.terminal == "t2"))
    with office.database.read() as connection:
        assert campaigns_readiness.stores(connection, CAM.scope, campaign_id) == rows, "as it was when they were asked"
