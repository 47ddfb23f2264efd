"""What a terminal last said of each metric; and the list of terminals by how fresh they are."""

from __future__ import annotations

from typing import Any

from sqlalchemy import update

from center.access.scope import Scope
from center.db import tables
from center.domain.freshness import LATE_MS, SILENT_MS
from tests.center.asking import Api
from tests.center.fleet_rows import NOW, put

RSRP, COVER = "modem.rsrp_dbm", "printer.cover"


def _says(api: Api, boot: int, seq: int, *samples: Any) -> None:
    about = {"estate": "e", "terminal": "t000001", "boot": boot, "seq": seq, "at_ms": NOW + 1000 * seq}
    put(api.database, tables.telemetry, **about, samples=list(samples), received_ms=NOW)


def test_the_last_of_each_metric_is_told_by_the_terminals_own_count_and_errors_stay_errors(api: Api) -> None:
    _says(api, 2, 2, [0, {RSRP: -100}], [500, {RSRP: {"error": "no_reply"}}])
    _says(api, 2, 1, [0, {RSRP: -90, COVER: "closed"}])
    _says(api, 1, 9, [0, {COVER: "open", "power.mains": True}])
    named = tables.terminals.c.terminal == "t000001"
    with api.database.begin() as connection:
        inventory = {"metrics": {RSRP: "dbm"}}
        connection.execute(update(tables.terminals).where(named).values(inventory=inventory))
    found = api.asks("viewer").get("terminals/e/t000001/readings")["items"]
    assert found[0] == {
        "metric": RSRP, "unit": "dbm", "value": None, "error": "no_reply", "at": "2026-09-21T14:13:22.500Z"
    }  # fmt: skip
    with api.database.begin() as connection:
        inventory = {"metrics": {RSRP: "dbm", COVER: "", "power.mains": ""}}
        connection.execute(update(tables.terminals).where(named).values(inventory=inventory))
    found = api.asks("viewer").get("terminals/e/t000001/readings")["items"]
    assert [(each["metric"], each["value"]) for each in found] == [
        (RSRP, None), ("power.mains", True), (COVER, "closed")
    ]  # fmt: skip


def test_readings_of_a_terminal_out_of_scope_are_not_there(api: Api) -> None:
    answer = api.asks("viewer", Scope(estates=("f",)))("GET", "terminals/e/t000001/readings")
    assert answer.status_code == 404


def test_what_befell_the_parts_is_told_newest_first_without_other_events(api: Api) -> None:
    for seq, event in enumerate(("device.swapped", "agent.started", "inspection"), 1):
        about = {"estate": "e", "terminal": "t000001", "boot": 3, "seq": seq, "at_ms": NOW + 1000 * seq, "up_ms": 1}
        data = {"device": "printer"}
        put(api.database, tables.events, **about, clock="synced", event=event, data=data, received_ms=NOW)
    found = api.asks("viewer").get("terminals/e/t000001/history")["items"]
    assert [(each["event"], each["data"]) for each in found] == [
        ("inspection", {"device": "printer"}), ("device.swapped", {"device": "printer"})
    ]  # fmt: skip
    assert found[0]["at"] == "2026-09-21T14:13:23.000Z"


def _change(api: Api, terminal: str, **values: Any) -> None:
    with api.database.begin() as connection:
        connection.execute(update(tables.terminals).where(tables.terminals.c.terminal == terminal).values(values))


def test_terminals_by_freshness_are_those_that_the_overview_counts(api: Api) -> None:
    _change(api, "t000001", last_contact_ms=NOW - LATE_MS - 1)
    _change(api, "t000002", last_contact_ms=NOW - SILENT_MS - 1)
    _change(api, "t000003", status=None, last_contact_ms=None, can_sell=None)
    _change(api, "t000004", status=None)
    _change(api, "t000006", can_sell="unknown")
    asks = api.asks("viewer")
    told = {word: asks.ids("terminals", freshness=word) for word in ("online", "late", "offline", "unknown")}
    assert {word: len(ids) for word, ids in told.items()} == asks.get("overview")["freshness"]
    assert told["late"] == ["e.t000001"]
    assert told["offline"] == ["e.t000000"]
    assert told["unknown"] == ["e.t000002", "e.t000003", "e.t000004"]
    assert asks.ids("terminals", can_sell="unknown") == ["e.t000003", "e.t000006"]
    assert len(asks.ids("terminals", can_sell="unknown")) == asks.get("overview")["unknown"]


def test_named_terminals_alone_are_listed(api: Api) -> None:
    assert api.asks("viewer").ids("terminals", ids="e.t000002,f.t000003,e.t000005") == ["e.t000002", "e.t000005"]


def test_a_terminal_that_no_settings_were_wished_of_has_no_versions(api: Api) -> None:
    assert api.asks("viewer").get("terminals/e/t000001/settings")["items"] == []
