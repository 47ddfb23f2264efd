"""What is kept, for how long, and what is never deleted."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import func, insert, select

from center.db import tables
from center.db.engine import Database
from center.ingest import retention
from center.ingest.retention import DAY_MS
from center.ingest.upkeep import Upkeep
from center.settings import Settings
from tests.center.fleet_rows import NOW, case, command, put

SETTINGS = Settings(keep_outbox_days=30, keep_notifications_days=400, keep_cases_days=1100)
OF_CASE = ("case_steps", "case_tags", "case_tasks", "attachments", "surveys")


def _clean(database: Database) -> None:
    assert Upkeep(database, SETTINGS).step(NOW)


def _keys(database: Database, table: Any, name: str = "id") -> list[Any]:
    with database.read() as connection:
        return sorted(connection.execute(select(table.c[name])).scalars())


def _count(database: Database, name: str) -> int:
    with database.read() as connection:
        return int(connection.execute(select(func.count()).select_from(getattr(tables, name))).scalar_one())


def _posted(database: Database, key: str, state: str, days: int, *, bulk: bool = False) -> None:
    row = {"kind": "channel", "key": key, "payload": {"to": [{"phone": "15551230000"}]}, "not_before_ms": NOW}
    put(database, tables.outbox, **row, state=state, created_ms=NOW - days * DAY_MS, bulk=bulk)


def test_what_was_posted_goes_and_what_still_waits_stays(database: Database) -> None:
    for state in ("done", "failed", "moot", "waiting", "sending"):
        for days in (29, 31):
            _posted(database, f"{state}-{days}", state, days)
    for number, days in enumerate((399, 401)):
        told = {"channel": "desk", "subject": "x", "body": "call 15551230000", "state": "sent"}
        put(database, tables.notifications, id=f"note-{number}", **told, at_ms=NOW - days * DAY_MS)
    _clean(database)
    assert _keys(database, tables.outbox, "key") == [
        *("done-29", "failed-29", "moot-29", "sending-29", "sending-31", "waiting-29", "waiting-31"),
    ]
    assert _keys(database, tables.notifications) == ["note-0"]


def test_a_broadcast_loses_its_contacts_first_and_at_last_is_gone(database: Database) -> None:
    for name, days in (("new", 29), ("old", 31), ("gone", 401)):
        _posted(database, name, "done", days, bulk=True)
        made = {"id": name, "kind": "message", "by": "ann", "created_ms": NOW - days * DAY_MS}
        put(database, tables.broadcasts, **made)
        put(database, tables.broadcast_sites, broadcast_id=name, estate="e", site="s", post_key=name)
    _clean(database)
    with database.read() as connection:
        found = connection.execute(select(tables.outbox.c.key, tables.outbox.c.payload, tables.outbox.c.state)).all()
    assert {(row.key, row.payload is None, row.state) for row in found} == {
        ("new", False, "done"),
        ("old", True, "done"),
    }, "whether it arrived is still known"
    assert _keys(database, tables.broadcasts) == ["new", "old"]
    assert _keys(database, tables.broadcast_sites, "broadcast_id") == ["new", "old"]


def _closed(database: Database, number: int, days: int, **more: Any) -> str:
    row = case(number) | {"state": "closed", "closed_ms": NOW - days * DAY_MS, "created_ms": NOW - (days + 1) * DAY_MS}
    put(database, tables.cases, **(row | more))
    name = str(row["id"])
    put(database, tables.case_steps, case_id=name, step_key=name, at_ms=NOW, by="ann", kind="note", text="secret")
    put(database, tables.case_tags, case_id=name, tag="t", by="ann", at_ms=NOW)
    task = {"kind": "call_back", "text": "x", "due_ms": NOW, "by": "ann", "created_ms": NOW}
    put(database, tables.case_tasks, id=f"task-{number}", case_id=name, **task)
    file = {"name": "a.jpg", "media_type": "image/jpeg", "sha256": "0", "body": b"x", "by": "ann", "at_ms": NOW}
    put(database, tables.attachments, id=f"att-{number}", case_id=name, **file)
    put(database, tables.surveys, case_id=name, works="yes", text="thanks", at_ms=NOW)
    learnt = {"signature": "f|m", "remedy": "roll", "worked": "yes", "at_ms": NOW}
    put(database, tables.remedies, id=f"rem-{number}", case_id=name, **learnt)
    return name


def test_a_closed_case_goes_with_all_that_is_in_it(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "_CASES", 1)
    for number in (1, 2):
        _closed(database, number, 1101)
    kept = {_closed(database, 3, 1099), _closed(database, 4, 1101, state="reopened", closed_ms=None)}
    _clean(database)
    assert set(_keys(database, tables.cases)) == kept
    for name in OF_CASE:
        assert set(_keys(database, getattr(tables, name), "case_id")) == kept, name
    assert _count(database, "remedies") == 4, "what was learnt stays"
    with database.read() as connection:
        linked = connection.execute(select(tables.remedies.c.case_id)).scalars().all()
    assert {name for name in linked if name} == kept


@pytest.mark.parametrize(
    ("held", "stays"),
    [
        ({"case_id": "case-00000001", "terminal": "other"}, True),
        ({}, True),
        ({"estate": "f"}, False),
        ({"from_ms": NOW - 900 * DAY_MS}, False),
        ({"hold_until_ms": NOW - 1}, False),
        ({"hold_until_ms": None}, False),
    ],
)
def test_what_is_held_as_evidence_stays(database: Database, held: dict[str, Any], stays: bool) -> None:
    _closed(database, 1, 1101)
    old = {"created_ms": NOW - 1102 * DAY_MS, "updated_ms": NOW - 1102 * DAY_MS}
    put(database, tables.commands, **(command(1) | old))
    hold = {"id": "ev-1", "estate": "e", "terminal": "t000001", "sha256": "", "path": "", "made_by": "ann"}
    times = {"from_ms": NOW - 1200 * DAY_MS, "until_ms": NOW, "hold_until_ms": NOW + DAY_MS, "at_ms": NOW}
    with database.begin() as connection:
        connection.execute(insert(tables.evidence).values(hold | times | held))
    _clean(database)
    assert _count(database, "cases") == _count(database, "attachments") == int(stays)
    assert _count(database, "commands") == int(stays and "case_id" not in held)


def test_ended_commands_and_replaced_settings_go(database: Database) -> None:
    for number, (state, days) in enumerate((("succeeded", 1101), ("succeeded", 1099), ("queued", 1101))):
        moment = {"created_ms": NOW - days * DAY_MS, "updated_ms": NOW - days * DAY_MS}
        put(database, tables.commands, **(command(number) | moment | {"state": state}))
    for version, state in enumerate(("replaced", "applied"), 1):
        moment = {"at_ms": NOW - 1101 * DAY_MS, "updated_ms": NOW - 1101 * DAY_MS}
        row = {"estate": "e", "terminal": "t", "version": version, "state": state, "issued_by": "ann", **moment}
        put(database, tables.desired_configs, **row)
    _clean(database)
    assert _keys(database, tables.commands) == ["cmd-00000001", "cmd-00000002"]
    assert _keys(database, tables.desired_configs, "state") == ["applied"]
