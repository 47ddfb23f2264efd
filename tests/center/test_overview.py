from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import insert

from center.access.scope import EVERYTHING, Scope
from center.db.engine import Database, bulk_insert
from center.db.tables import cases, events, faults, incident_members, incidents, outages, sites, terminals
from center.domain import overview
from center.domain.refusal import Refusal

NOW = 1_790_000_000_000
HOUR = 3_600_000


def _terminal(name: str, **more: Any) -> dict[str, Any]:
    usual = {
        "estate": "e", "terminal": name, "site": "s1", "region": "north", "operator": "cmcc", "cell": "c1",
        "status": "online", "can_sell": "yes", "last_contact_ms": NOW - 1000, "created_ms": 1,
    }  # fmt: skip
    return usual | more


def _incident(name: str, **more: Any) -> dict[str, Any]:
    usual = {
        "id": name, "estate": "e", "scope": "terminal", "scope_key": "a", "fault": "printer/paper_out", "severity": "major",
        "state": "open", "title": "Paper", "opened_ms": NOW, "last_ms": NOW, "impact": 1.0, "parent_id": None,
        "suppression_id": None, "resolved_ms": None, "terminals_n": 1,
    }  # fmt: skip
    return usual | more


@pytest.fixture
def fleet(database: Database) -> Database:
    rows = [
        _terminal("a", can_sell="no"),
        _terminal("b", status="offline", can_sell=None, last_contact_ms=NOW - 2 * HOUR - 1),
        _terminal("c", site="s2", region="south", operator="cucc", cell="c2", last_contact_ms=NOW - HOUR),
        _terminal("d", site="s2", region="south", operator="cucc", cell="c2", last_contact_ms=NOW - 14 * HOUR),
        _terminal("f", site="s2", region="south", operator="cucc", cell="c2", status=None, can_sell=None),
        _terminal("g", estate="other", can_sell="degraded", last_contact_ms=None),
    ]
    troubles = [
        _incident("i1", impact=1.0),
        _incident("i2", scope="operator", scope_key="cmcc", severity="critical", impact=7.5, terminals_n=60),
        _incident("i3", parent_id="i2"),
        _incident("i4", suppression_id="sup-1", impact=0.5),
        _incident("i5", state="resolved", resolved_ms=NOW),
        _incident("i6", estate="", scope="center", scope_key="disk", severity="critical", impact=0.0),
    ]
    member = {"incident_id": "i1", "estate": "e", "terminal": "a", "fault": "printer/paper_out", "joined_ms": NOW}
    with database.begin() as connection:
        bulk_insert(connection, terminals, rows)
        bulk_insert(connection, incidents, troubles)
        connection.execute(insert(incident_members).values(member))
        connection.execute(
            insert(sites),
            [
                {
                    "estate": "e",
                    "site": "s1",
                    "name": "甲",
                    "lat": 31.2,
                    "lon": 121.5,
                    "region": "north",
                    "updated_ms": 1,
                }
            ],
        )
        case = {
            "id": "case-1",
            "number": 1,
            "estate": "e",
            "terminal": "a",
            "kind": "fault",
            "title": "",
            "severity": "major",
            "state": "new",
        }
        connection.execute(
            insert(cases).values(case | {"created_ms": 1, "updated_ms": 1, "first_response_due_ms": NOW + 1000})
        )
    return database


def test_now(fleet: Database) -> None:
    with fleet.read() as connection:
        seen = overview.now(connection, EVERYTHING, NOW)
    assert [n for _bound, n in seen.pop("ages")] == [2, 0, 0, 1, 1, 1, 1]
    assert seen == {
        "terminals": 6,
        "cannot_sell": 1,
        "degraded": 1,
        "unknown": 2,
        "freshness": {"online": 1, "late": 1, "offline": 1, "unknown": 3},
        "incidents": {"major": 1, "critical": 1},
        "suppressed": 1,
        "cases_due": 1,
        "center": ["disk"],
        "maintenance": 0,
        "banner": [{"id": "i2", "title": "Paper", "terminals_n": 60, "opened_ms": NOW}],
    }


def test_nothing_of_others_is_counted(fleet: Database) -> None:
    with fleet.read() as connection:
        north = overview.now(connection, Scope(regions=("north",), estates=("e",)), NOW)
        nowhere = overview.now(connection, Scope(estates=("none",)), NOW)
        queued = overview.queue(connection, Scope(regions=("south",)))
        shares = overview.shares(connection, Scope(estates=("e",), regions=("south",)), "operator")
    assert (north["terminals"], north["incidents"], north["center"]) == (2, {"major": 1}, [])
    assert (nowhere["terminals"], nowhere["cases_due"], nowhere["incidents"]) == (0, 0, {})
    assert queued == []
    assert [row["key"] for row in shares] == ["cucc"]


def test_shares(fleet: Database) -> None:
    with fleet.read() as connection:
        rows = overview.shares(connection, EVERYTHING, "operator")
        with pytest.raises(Refusal):
            overview.shares(connection, EVERYTHING, "password")
    assert rows == [
        {"key": "cmcc", "terminals": 3, "offline": 1, "cannot_sell": 1, "share": 0.6667, "unknown": 0},
        {"key": "cucc", "terminals": 3, "offline": 0, "cannot_sell": 0, "share": 0.0, "unknown": 1},
    ]


def test_the_queue_is_by_weight_and_goes_on_where_it_ended(fleet: Database) -> None:
    with fleet.read() as connection:
        first = overview.queue(connection, EVERYTHING, limit=2)
        rest = overview.queue(connection, EVERYTHING, after=(first[-1]["impact"], first[-1]["id"]))
    assert [row["id"] for row in first + rest] == ["i2", "i1", "i4", "i6"]


def _event(seq: int, name: str, at_ms: int, **data: Any) -> dict[str, Any]:
    return {
        "estate": "e", "terminal": "a", "boot": 1, "seq": seq, "at_ms": at_ms, "up_ms": 1, "clock": "synced",
        "event": name, "data": data, "received_ms": at_ms, "late": False,
    }  # fmt: skip


def test_noise_by_hour(fleet: Database) -> None:
    paper = {"fault": "printer/paper_out"}
    moments = (NOW, NOW - 1, NOW - HOUR - 1, NOW - 24 * HOUR + 1, NOW - 25 * HOUR)
    with fleet.begin() as connection:
        rows = [_event(seq, "fault.raised", at_ms, **paper) for seq, at_ms in enumerate(moments)]
        connection.execute(insert(events), [*rows, _event(9, "fault.cleared", NOW, **paper)])
    with fleet.read() as connection:
        strip = overview.noise(connection, EVERYTHING, NOW)["printer/paper_out"]
        assert overview.noise(connection, Scope(estates=("other",)), NOW) == {}
    assert (strip[0], strip[22], strip[23], sum(strip)) == (1, 1, 2, 4)


def test_when_a_fault_comes_by_hour_and_on_special_days(fleet: Database) -> None:
    paper = {"fault": "printer/paper_out"}
    noon = NOW - NOW % (24 * HOUR) - 20 * HOUR  # yesterday, 12:00 in Shanghai
    moments = (noon, noon + 1, noon - 24 * HOUR, noon - 60 * 24 * HOUR, NOW)
    with fleet.begin() as connection:
        connection.execute(insert(events), [_event(seq, "fault.raised", at, **paper) for seq, at in enumerate(moments)])
    yesterday = datetime.fromtimestamp(noon / 1000, UTC).date()
    with fleet.read() as connection:
        seen = overview.rhythm(
            connection, EVERYTHING, "printer/paper_out", "Asia/Shanghai", NOW, days=3, special=[yesterday]
        )
        other = overview.rhythm(connection, EVERYTHING, "printer/cover_open", "Asia/Shanghai", NOW)
    assert seen["week"][yesterday.weekday()][12] == 2
    assert sum(map(sum, seen["week"])) == 3
    assert (seen["special_per_day"], seen["usual_per_day"]) == (2.0, 0.5)
    assert (other["special_per_day"], other["usual_per_day"]) == (None, 0.0)


def test_a_terminals_week(fleet: Database) -> None:
    day = 24 * HOUR
    log = [
        _event(1, "fault.raised", NOW - 3 * day, fault="printer/paper_out"),
        _event(2, "fault.cleared", NOW - 2 * day, fault="printer/paper_out"),
        _event(3, "fault.cleared", NOW - 5 * day, fault="reader/card_left"),
        _event(4, "boot", NOW - day, reason="power_loss"),
        _event(5, "fault.raised", NOW - HOUR, fault="modem/weak_signal"),
        _event(6, "fault.raised", NOW - HOUR, fault="printer/head_hot"),
        _event(7, "fault.raised", NOW - 9 * day, fault="printer/paper_near_end"),
    ]
    times = {"last_ms": NOW - 60_000, "received_ms": NOW, "severity": "minor", "estate": "e", "terminal": "a"}
    present = [
        {"fault": "modem/weak_signal", "state": "raised", "first_ms": NOW - HOUR} | times,
        {"fault": "printer/head_hot", "state": "cleared", "first_ms": NOW - HOUR} | times,
        {"fault": "printer/paper_near_end", "state": "raised", "first_ms": NOW - 9 * day} | times,
    ]
    gone = {
        "from_ms": NOW - 2 * day,
        "until_ms": NOW - 2 * day + HOUR,
        "kind": "lost",
        "verdict": "no_power",
        "basis": "measured",
    }
    with fleet.begin() as connection:
        connection.execute(insert(events), log)
        connection.execute(insert(faults), present)
        connection.execute(insert(outages).values(gone | {"estate": "e", "terminal": "a"}))
    with fleet.read() as connection:
        bands = overview.timeline(connection, EVERYTHING, "e", "a", NOW)
        with pytest.raises(Refusal):
            overview.timeline(connection, Scope(regions=("south",)), "e", "a", NOW)
    seen = {(each["kind"], each["key"]): (each["from_ms"], each["until_ms"]) for each in bands}
    assert seen == {
        ("fault", "printer/paper_out"): (NOW - 3 * day, NOW - 2 * day),
        ("fault", "reader/card_left"): (NOW - 7 * day, NOW - 5 * day),
        ("boot", "power_loss"): (NOW - day, NOW - day),
        ("fault", "modem/weak_signal"): (NOW - HOUR, None),
        ("fault", "printer/head_hot"): (NOW - HOUR, NOW - 60_000),
        ("fault", "printer/paper_near_end"): (NOW - 7 * day, None),
        ("outage", "lost"): (NOW - 2 * day, NOW - 2 * day + HOUR),
    }


def test_a_site_and_the_map(fleet: Database) -> None:
    with fleet.read() as connection:
        here = overview.site(connection, EVERYTHING, "e", "s1", NOW)
        on_map = overview.on_map(connection, EVERYTHING)
        cut = overview.on_map(connection, EVERYTHING, limit=0)
        with pytest.raises(Refusal):
            overview.site(connection, Scope(regions=("south",)), "e", "s1", NOW)
        assert overview.on_map(connection, Scope(regions=("south",))).sites == []
    assert [(each["terminal"], each["freshness"]) for each in here["terminals"]] == [("a", "online"), ("b", "offline")]
    assert [each["id"] for each in here["incidents"]] == ["i1"]
    assert [(each["site"], each["terminals"], each["troubled"]) for each in on_map.sites] == [("s1", 2, 2)]
    assert (on_map.cut, cut.cut, cut.sites) == (False, True, [])


def test_what_is_not_on_the_map(fleet: Database) -> None:
    half = {"estate": "e", "site": "s3", "lat": 31.2, "lon": None, "region": "north", "updated_ms": 1}
    with fleet.begin() as connection:
        connection.execute(insert(sites).values(half))
        bulk_insert(connection, terminals, [_terminal("h", site="s3"), _terminal("i", site=None)])
    with fleet.read() as connection:
        unplaced = [overview.on_map(connection, scope).unplaced for scope in (EVERYTHING, Scope(regions=("south",)))]
        assert overview.on_map(connection, Scope(sites=("s1",), estates=("e",))).unplaced == 0
    assert unplaced == [6, 3]  # c, d and f where nobody told of the site, g in another estate, h and i
