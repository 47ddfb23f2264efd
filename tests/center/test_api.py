"""The lists of the contract: what is in them, for whom, and page by page."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
from pydantic import TypeAdapter
from sqlalchemy import select, update

from center.access.limits import Rate
from center.access.scope import Scope
from center.api import windows
from center.api.app import create_app
from center.db import tables
from center.db.engine import Database, upsert
from center.domain.selfwatch import Reading
from center.settings import Settings
from center.web import build_routes
from tests.center.asking import Api, Asker, asking
from tests.center.fleet_rows import NOW, event, fault, fill, put, terminal

LISTS = ("terminals", "faults", "events", "telemetry", "incidents", "cases", "commands", "campaigns", "health")


@pytest.fixture
def api(database: Database) -> Iterator[Api]:
    fill(database, 20)
    with asking(database, rate=Rate(1e6, 1e6)) as running:
        yield running


def test_a_list_by_pages_is_the_whole_list_and_each_item_is_found_by_its_id(api: Api) -> None:
    asks = api.asks("viewer")
    for name in LISTS:
        _compare(asks, name)


def _compare(asks: Asker, name: str) -> None:
    whole = asks.get(name)
    assert whole["next"] is None
    assert whole["items"]
    found: list[Any] = []
    cursor = None
    while cursor is not None or not found:
        page = asks.get(name, limit=3, **({"cursor": cursor} if cursor else {}))
        assert len(page["items"]) <= 3
        found += page["items"]
        cursor = page["next"]
    assert found == whole["items"]
    for item in found[:3]:
        one = asks.get(f"{name}/{item['id']}")
        assert item.items() <= one.items()


def test_every_list_takes_every_filter_of_the_contract(api: Api) -> None:
    asks = api.asks("viewer")
    for name in LISTS:
        _filter(asks, name)


def _filter(asks: Asker, name: str) -> None:
    filters = {"terminal": "t000005", "estate": "e", "unit": "printer", "kind": "paper_out"}
    for given in ({}, *({key: value} for key, value in filters.items()), filters):
        items = asks.get(name, since="2020-01-01T00:00:00Z", until="2030-01-01T00:00:00Z", **given)["items"]
        if "terminal" in given:
            assert {item.get("terminal", "t000005") for item in items} <= {"t000005"}
    assert asks.get(name, since="2030-01-01T00:00:00Z")["items"] == []
    assert asks.get(name, estate="nowhere")["items"] == []


WRONG: list[dict[str, Any]] = [
    {"limit": 0},
    {"limit": "all"},
    {"cursor": "AAAA"},
    {"cursor": "WzFd\x00"},
    {"cursor": "W1sxXV0"},
    {"terminal": "No Such"},
    {"since": "yesterday"},
    {"since": "2026-01-01T00:00:00"},
    {"limits": 5},
]


def test_what_is_wrong_with_a_filter_is_said_in_one_line(api: Api) -> None:
    asks = api.asks("viewer")
    for name, wrong in product(LISTS, WRONG):
        answer = asks("GET", name, params=wrong)
        assert answer.status_code == 422, (name, wrong)
        assert list(answer.json()) == ["error"]
        assert "\n" not in answer.json()["error"]
        assert next(iter(wrong)) in answer.json()["error"]


def test_what_is_outside_of_the_scope_is_not_there(api: Api) -> None:
    for name in LISTS:
        _look_from_inside(api, name)


def _look_from_inside(api: Api, name: str) -> None:
    everything = api.asks("viewer")
    for scope, inside in (
        (Scope(regions=("north",)), lambda number: number % 4 == 0),
        (Scope(sites=("s000000",)), lambda number: number < 3),
        (Scope(estates=("f",)), lambda _number: False),
    ):
        asks = api.asks("viewer", scope)
        seen = asks.ids(name)
        for item in everything.get(name)["items"][-9:]:
            number = int(item.get("terminal", "t0")[1:]) if "terminal" in item else _number(name, item)
            assert (item["id"] in seen) == inside(number), item
            assert asks("GET", f"{name}/{item['id']}").status_code == (200 if inside(number) else 404)


def _number(name: str, item: dict[str, Any]) -> int:
    """Of what belongs to no one terminal by itself: incidents are of the terminal they name, the campaign of t000000."""
    return int(item["scope_key"][1:]) if name == "incidents" else 0


def test_a_terminal_is_found_by_name_by_both_and_by_two_segments(api: Api, database: Database) -> None:
    asks = api.asks("viewer")
    whole = asks.get("terminals/e.t000005")
    assert asks.get("terminals/t000005") == asks.get("terminals/e/t000005") == whole
    assert [each["fault"] for each in whole["faults"]] == ["printer/paper_out"]
    assert whole["verdict"]["can_sell"] == "no"
    put(database, tables.terminals, **terminal(5, "f"))
    assert "estate" in asks("GET", "terminals/t000005").json()["error"]
    assert api.asks("viewer", Scope(estates=("f",))).get("terminals/t000005")["estate"] == "f"


def test_faults_are_those_raised_now_with_the_names_of_the_contract(api: Api, database: Database) -> None:
    asks = api.asks("viewer")
    put(database, tables.faults, **fault(1, "reader/card_left", "flapping") | {"cause": "power/mains_lost"})
    found = asks.get("faults")["items"]
    assert {(each["terminal"], each["state"]) for each in found} == {
        ("t000000", "raised"),
        ("t000005", "raised"),
        ("t000010", "raised"),
        ("t000015", "raised"),
        ("t000001", "flapping"),
    }
    names = "fault state severity cause symptoms first_at last_at count device evidence advice act basis"
    assert set(names.split()) <= set(found[0])
    assert asks.ids("faults", unit="reader") == ["e.t000001.reader.card_left"]
    assert asks.ids("faults", kind="card_left") == ["e.t000001.reader.card_left"]
    assert len(asks.ids("faults", state="cleared")) == 36
    assert "e.t000001.reader.card_left" not in asks.ids("faults", roots=True)
    assert asks.ids("terminals", unit="reader") == ["e.t000001"]


def test_telemetry_keeps_the_metrics_of_a_unit(api: Api) -> None:
    (first, *_) = api.asks("viewer").get("telemetry", unit="modem", terminal="e.t000001")["items"]
    assert first["samples"] == [[0, {"modem.rsrp_dbm": -97}]]
    assert [each["seq"] for each in api.asks("viewer").get("telemetry", terminal="e.t000001")["items"]] == [3, 2, 1]


def test_a_long_log_is_looked_through_window_by_window(
    api: Api, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(windows, "WINDOW", 30)
    with database.begin() as connection:
        last = connection.execute(select(tables.events.c.id).order_by(tables.events.c.id.desc()).limit(1)).scalar()
        connection.execute(update(tables.events).where(tables.events.c.id == 2).values(event="device.swapped"))
    asks, cursor, found, pages = api.asks("viewer"), None, [], 0
    while cursor is not None or not pages:
        page = asks.get("events", event="device.swapped", **({"cursor": cursor} if cursor else {}))
        found += page["items"]
        cursor, pages = page["next"], pages + 1
    assert [each["id"] for each in found] == ["2"]
    assert pages == last // 30 + 1
    assert len(asks.get("events", terminal="e.t000001", limit=1000)["items"]) == 5


def test_a_list_goes_on_where_it_was_whatever_comes_meanwhile(api: Api, database: Database) -> None:
    asks = api.asks("viewer")
    first = asks.get("events", limit=10)
    put(database, tables.events, **event(1, 99))
    second = asks.get("events", limit=10, cursor=first["next"])
    ids = [int(each["id"]) for each in (*first["items"], *second["items"])]
    assert ids == sorted(ids, reverse=True)
    assert len(set(ids)) == 20
    assert max(ids) == 100


def test_times_are_rfc_3339_with_milliseconds(api: Api) -> None:
    (item,) = api.asks("viewer").get("cases", number=1005)["items"]
    assert item["created_at"] == "2026-09-21T14:13:20.005Z"
    since = api.asks("viewer").ids("cases", since="2026-09-21T16:13:20.010+02:00")
    assert since == ["case-00000015", "case-00000010"]


def test_the_database_may_be_away(api: Api, database: Database) -> None:
    asks = api.asks("viewer")
    with database.begin() as connection:
        connection.exec_driver_sql("DROP TABLE incident_members")
    answer = asks("GET", "incidents/inc-00000000")
    assert (answer.status_code, answer.json()) == (503, {"error": "the database cannot be used now"})
    assert asks.get("terminals")["items"]


def test_metrics_count_and_name_nobody(api: Api) -> None:
    api.asks("viewer").get("terminals")
    text = api.client.get("/metrics").text
    assert 'posdiag_faults_raised{fault="printer/paper_out",severity="major"} 4.0' in text
    assert 'posdiag_terminals_by_can_sell{can_sell="no"} 4.0' in text
    assert 'posdiag_http_requests_total{method="GET",status="200"} 1.0' in text
    assert "t000" not in text


def test_the_center_says_how_it_is(api: Api, database: Database) -> None:
    put(database, tables.heartbeat, name="engines", at_ms=NOW - 2000, data={"pid": 1})
    (part,) = api.asks("viewer").get("center")["parts"]
    assert (part["name"], part["age_s"]) == ("engines", 2.0)


def _found(database: Database, *readings: Reading, age_ms: int = 0) -> None:
    told = {"readings": [each.to_json() for each in readings]}
    with database.begin() as connection:
        upsert(connection, tables.heartbeat, [{"name": "selfwatch", "at_ms": NOW - age_ms, "data": told}])


_DEAD = Reading("worker:engines", 45.0, "s", True, "critical", "since its last sign of life")
_LATE = Reading("lag:cases", 90.5, "s", True, "major", "age of what it has not read yet")
_UNKNOWN = Reading("disk:database", None, "bytes", False, "major", "it is PostgreSQL's")


def test_healthz_goes_by_what_the_center_found_and_livez_does_not(api: Api, database: Database) -> None:
    for found, age_ms, status, text in (
        ((), 0, 200, "ok\n"),
        ((_LATE, _UNKNOWN), 0, 200, "ok\n"),
        ((_LATE, _DEAD), 0, 503, "worker:engines: 45 s, since its last sign of life\n"),
        ((), 61_000, 503, "worker:selfwatch: 61 s, since its last sign of life\n"),
    ):
        _found(database, *found, age_ms=age_ms)
        answer = api.client.get("/healthz")
        assert (answer.status_code, answer.text) == (status, text)
        assert api.client.get("/livez").text == "ok\n"


def test_the_metrics_hold_what_the_center_found(api: Api, database: Database) -> None:
    _found(database, _LATE, _UNKNOWN)
    text = api.client.get("/metrics").text
    assert 'posdiag_selfwatch{key="lag:cases",unit="s"} 90.5' in text
    assert 'posdiag_selfwatch_wrong{key="lag:cases"} 1.0' in text
    assert 'posdiag_selfwatch_wrong{key="disk:database"} 0.0' in text
    assert 'posdiag_selfwatch{key="disk:database"' not in text


def test_the_first_request_builds_no_routes(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[object] = []
    make = TypeAdapter.__init__
    monkeypatch.setattr(TypeAdapter, "__init__", lambda *args, **more: (built.append(1), make(*args, **more))[1])
    app = create_app(Settings(), database)
    declared = len(built)
    build_routes(app)
    assert len(built) > declared  # if not, FastAPI builds them at once again, and `build_routes` may go
    built.clear()
    build_routes(app)
    assert built == []
