"""What the screens Now and Map ask for beside the overview: only what is in scope, the most pressing first."""

from __future__ import annotations

from typing import Any

from sqlalchemy import update

from center.access.scope import Scope
from center.db import tables
from tests.center.asking import Api
from tests.center.fleet_rows import NOW, put

FOREIGN = Scope(estates=("f",))
MINUTE = 60_000


def test_cases_near_their_deadline_come_with_the_clock_that_is_broken_first(api: Api) -> None:
    _clock(api, "case-00000000", solve=NOW + 50 * MINUTE)
    _clock(api, "case-00000005", solve=NOW + 300 * MINUTE, update=NOW + 10 * MINUTE)
    asks = api.asks("viewer")
    told = asks.get("overview/due", language="en")["items"]
    assert [each["id"] for each in told] == ["case-00000005", "case-00000000"]
    assert (told[0]["title"], told[0]["number"]) == ("The paper roll is empty", "C-1005")
    assert told[0]["clock"] == {"kind": "update", "due_at": "2026-09-21T14:23:20.000Z", "used": 0.833, "state": "amber"}
    assert [each["id"] for each in asks.get("overview/due", minutes=20)["items"]] == ["case-00000005"]
    assert asks.get("overview/due", language="zh", limit=1)["items"][0]["title"] == "打印纸用完了"
    assert api.asks("viewer", FOREIGN).get("overview/due")["items"] == []


def test_a_case_that_waits_for_somebody_is_not_near_its_deadline(api: Api) -> None:
    _clock(api, "case-00000000", solve=NOW + 50 * MINUTE, paused_since_ms=NOW)
    assert api.asks("viewer").get("overview/due")["items"] == []


def test_a_list_of_cases_tells_the_clock_and_the_zone_of_each(api: Api) -> None:
    _clock(api, "case-00000000", solve=NOW + 10 * MINUTE, site="s000000")
    _clock(api, "case-00000005", update=NOW + 50 * MINUTE, paused_since_ms=NOW - 10 * MINUTE)
    put(api.database, tables.sites, estate="e", site="s000000", timezone="Asia/Shanghai", updated_ms=NOW)
    asks = api.asks("viewer")
    there = {each["id"]: each for each in asks.get("cases")["items"]}
    first, other = there["case-00000000"], there["case-00000005"]
    assert (first["timezone"], other["timezone"]) == ("Asia/Shanghai", None)
    assert (first["clock"]["kind"], first["clock"]["used"], first["clock"]["state"]) == ("solve", 0.833, "amber")
    assert other["clock"]["used"] == 0  # it stood still when it began
    assert asks.ids("cases", unit="printer", kind="paper_out") == ["case-00000005", "case-00000000"]
    assert asks.ids("cases", unit="printer", kind="cover_open") == []


def test_the_map_has_sites_by_region_or_operator(api: Api) -> None:
    for number in (0, 1):
        site = {"estate": "e", "site": f"s{number:06}", "name": f"Shop {number}", "updated_ms": NOW}
        put(api.database, tables.sites, **site, lat=31.2 + number, lon=121.5)
    asks = api.asks("viewer")
    told = asks.get("overview/map", by="operator")
    assert told["unplaced"] == 2  # terminals 6 and 7 stand at a site that nobody told of
    shown = [(each["site"], each["key"], each["terminals"], each["troubled"]) for each in told["items"]]
    assert shown[0] == ("s000000", "46000", 1, 1)
    assert sorted(shown)[3:] == [("s000001", "46000", 1, 0), ("s000001", "46001", 1, 0), ("s000001", "46002", 1, 1)]
    only = asks.get("overview/map", by="operator", key="46001")["items"]
    assert [(each["site"], each["troubled"]) for each in only] == [("s000000", 0), ("s000001", 0)]
    assert {each["key"] for each in asks.get("overview/map", by="region")["items"]} == {
        "north",
        "south",
        "west",
        "east",
    }
    foreign = api.asks("viewer", FOREIGN).get("overview/map")
    assert (foreign["items"], foreign["unplaced"]) == ([], 0)


def _clock(api: Api, case: str, **told: Any) -> None:
    clocks, columns = {}, {}
    for name in ("update", "solve"):
        if name in told:
            at = told.pop(name)
            clocks[name] = {
                "minutes": 60,
                "start_ms": at - 60 * MINUTE,
                "amber_ms": at - 15 * MINUTE,
                "escalated_ms": at - 6 * MINUTE,
                "breach_ms": at,
                "told": [],
                "stopped_ms": None,
            }
            columns[f"{name}_due_ms"] = at
    values = columns | told | {"data": {"clocks": clocks}}
    with api.database.begin() as connection:
        connection.execute(update(tables.cases).where(tables.cases.c.id == case).values(values))
