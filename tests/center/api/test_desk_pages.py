"""What the screens beside the queue ask for: that it counts, and only what is in scope."""

from __future__ import annotations

from center.access.scope import Scope
from center.db import tables
from tests.center.asking import Api
from tests.center.fleet_rows import NOW, fault, put

FOREIGN = Scope(estates=("f",))


def test_noise_is_counted_by_hour(api: Api) -> None:
    api.clock_ms = NOW + 3_600_000
    told = api.asks("viewer").get("noise")
    assert list(told) == ["printer/paper_out"]
    assert told["printer/paper_out"] == [0] * 23 + [8 * 3]  # each of eight was raised three times
    assert api.asks("viewer", FOREIGN).get("noise") == {}


def test_rhythm_is_by_local_time_and_sets_special_days_apart(api: Api) -> None:
    api.clock_ms = NOW + 86_400_000
    asks = api.asks("viewer")
    told = asks.get("rhythm", fault="printer/paper_out", timezone="Asia/Shanghai", special="2026-09-21")
    assert told["week"][0][22] == sum(map(sum, told["week"])) == 24  # NOW is a Monday, 22:13 there
    assert (told["special_per_day"], told["usual_per_day"]) == (24.0, 0.0)
    assert sum(map(sum, asks.get("rhythm", fault="modem/no_network")["week"])) == 0
    wrong = asks("GET", "rhythm", params={"fault": "printer/paper_out", "timezone": "Mars/Base"})
    assert (wrong.status_code, wrong.json()["error"]) == (422, "timezone: 'Mars/Base' is no time zone")


def test_a_site_is_shown_with_its_terminals_and_open_incidents(api: Api) -> None:
    put(api.database, tables.sites, estate="e", site="s000001", name="拐角小店", updated_ms=NOW)
    told = api.asks("viewer").get("sites/e/s000001/overview")
    assert (told["name"], told["updated_at"]) == ("拐角小店", "2026-09-21T14:13:20.000Z")
    assert [(each["terminal"], each["freshness"]) for each in told["terminals"]] == [
        ("t000003", "online"),
        ("t000004", "online"),
        ("t000005", "online"),
    ]
    assert [(each["id"], each["opened_at"]) for each in told["incidents"]] == [
        ("inc-00000005", "2026-09-21T14:13:20.005Z")
    ]
    foreign = api.asks("viewer", FOREIGN)("GET", "sites/e/s000001/overview")
    assert (foreign.status_code, foreign.json()["error"]) == (404, "there is no site e/s000001")


def test_what_is_foretold_is_listed_with_what_it_was_seen_by(api: Api) -> None:
    worn = fault(2, "printer/head_worn") | {"basis": "inferred", "evidence": {"head_wear_percent": 92}}
    put(api.database, tables.faults, **worn)
    (told,) = api.asks("viewer").get("preventive", language="en")["items"]
    assert (told["terminal"], told["site"], told["fault"]) == ("t000002", "s000000", "printer/head_worn")
    assert told["reason"]["head_wear_percent"] == 92
    assert told["do"]
    assert told["since_at"] == "2026-09-21T14:13:18.000Z"
    assert api.asks("viewer").get("preventive", site="s000001")["items"] == []
    assert api.asks("viewer", FOREIGN).get("preventive")["items"] == []
