"""What the screen of campaigns asks for: whom one would reach, how far it is, and how it went at each terminal."""

from __future__ import annotations

from typing import Any

from center.access.scope import Scope
from center.db import tables
from tests.center.asking import Api
from tests.center.fleet_rows import NOW, put, target

FOREIGN = Scope(estates=("f",))


def _running(api: Api, **more: Any) -> str:
    """A campaign in its first wave: one did it, one failed, one is away; a second wave waits."""
    asks = api.asks("campaign_manager")
    plan = {"name": "Check all", "kind": "check", "audience": {"estates": ["e"]}, "reason": "to know", **more}
    name: str = asks("POST", "campaigns", json=plan).json()["id"]
    assert asks("POST", f"campaigns/{name}/start").status_code == 200
    states = ((1, "succeeded"), (1, "failed"), (1, "offline"), (2, "waiting"))
    for number, (wave, state) in enumerate(states):
        told = {"campaign_id": name, "wave": wave, "state": state, "updated_ms": NOW + 1, "asked_ms": NOW - 1}
        put(api.database, tables.campaign_targets, **(target(number) | told))
    with api.database.begin() as connection:
        table = tables.campaigns
        connection.execute(table.update().where(table.c.id == name).values(wave=1, wave_begun_ms=NOW))
    return name


def test_an_audience_is_counted_before_a_campaign_is_made(api: Api) -> None:
    asks = api.asks("campaign_manager")
    told = asks("POST", "audience", json={"kind": "check", "audience": {"estates": ["e"]}}).json()
    assert told == {"terminals": 8, "offline": 1, "second_person": False}
    config = {"kind": "config", "audience": {"operators": ["46001"]}, "args": {"settings": {"a": {"b": 1}}}}
    assert asks("POST", "audience", json=config).json() == {"terminals": 3, "offline": 0, "second_person": True}
    wrong = asks("POST", "audience", json={"kind": "check", "audience": {}})
    assert (wrong.status_code, wrong.json()["error"]) == (422, "an audience names at least its estates")
    foreign = api.asks("campaign_manager", FOREIGN)
    assert foreign("POST", "audience", json={"kind": "check", "audience": {"estates": ["e"]}}).json()["terminals"] == 0
    assert api.asks("agent")("POST", "audience", json=config).status_code == 403


def test_a_campaign_tells_its_progress_and_what_its_gate_sees(api: Api) -> None:
    name = _running(api)
    asks = api.asks("campaign_manager")
    told = asks.get("campaign-progress", ids=f"none,{name}")["items"]
    assert told == [
        {
            "id": name,
            "wave": 1,
            "targets_n": 8,
            "states": {"succeeded": 1, "failed": 1, "offline": 1, "waiting": 1},
        }
    ]
    stand = asks.get(f"campaigns/{name}/stand")
    assert (stand["answered"], stand["failed"], stand["hurt"], stand["bad_share"]) == (2, 1, 1, 1.0)
    assert (stand["reason"], stand["mine"], stand["halt_share"]) == ("to know", True, 0.1)
    assert api.asks("lead").get(f"campaigns/{name}/stand")["mine"] is False
    assert api.asks("viewer", FOREIGN)("GET", f"campaigns/{name}/stand").status_code == 404
    assert api.asks("viewer", FOREIGN).get("campaign-progress", ids=name)["items"] == []


def test_each_terminal_of_a_campaign_is_listed_with_how_it_went(api: Api) -> None:
    name = _running(api)
    asks = api.asks("viewer")
    first = asks.get(f"campaigns/{name}/targets", limit=3)
    assert [each["state"] for each in first["items"]] == ["succeeded", "failed", "offline"]
    rest = asks.get(f"campaigns/{name}/targets", limit=3, cursor=first["next"])
    assert ([each["terminal"] for each in rest["items"]], rest["next"]) == (["t000003"], None)
    failed = asks.get(f"campaigns/{name}/targets", state="failed", wave=1)["items"]
    assert [(each["terminal"], each["site"]) for each in failed] == [("t000001", "s000000")]
    assert api.asks("viewer", FOREIGN)("GET", f"campaigns/{name}/targets").status_code == 404


def test_the_terminals_behind_a_figure_of_the_gate_are_as_many_as_it_says(api: Api) -> None:
    """Of the present wave alone, and of that only what ended since the campaign was started."""
    name = _running(api)
    asks = api.asks("campaign_manager")
    early = {"campaign_id": name, "wave": 1, "state": "failed", "updated_ms": NOW - 5, "asked_ms": NOW - 9}
    put(api.database, tables.campaign_targets, **(target(5) | early))
    put(api.database, tables.campaign_targets, **(target(6) | early | {"wave": 2, "updated_ms": NOW + 1}))
    well = {"campaign_id": name, "wave": 1, "state": "succeeded", "updated_ms": NOW + 1, "asked_ms": NOW + 5}
    put(api.database, tables.campaign_targets, **(target(7) | well))
    stand = asks.get(f"campaigns/{name}/stand")
    assert (stand["answered"], stand["failed"], stand["hurt"]) == (3, 1, 1)
    behind = {
        gate: [each["terminal"] for each in asks.get(f"campaigns/{name}/targets", gate=gate)["items"]]
        for gate in ("answered", "failed", "hurt")
    }
    assert behind == {"answered": ["t000000", "t000001", "t000007"], "failed": ["t000001"], "hurt": ["t000000"]}
    assert asks.get(f"campaigns/{name}/targets", gate="answered", state="failed")["items"][0]["terminal"] == "t000001"
    plan = {"name": "Later", "kind": "check", "audience": {"estates": ["e"]}, "reason": "to know"}
    draft = asks("POST", "campaigns", json=plan).json()["id"]
    assert asks.get(f"campaigns/{draft}/targets", gate="answered")["items"] == []


def test_terminals_of_a_readiness_check_are_ready_not_ready_unknown_or_waiting(api: Api) -> None:
    asks = api.asks("campaign_manager")
    plan = {
        "name": "n",
        "kind": "readiness",
        "audience": {"estates": ["e"]},
        "reason": "busy",
        "args": {"date": "2026-12-24"},
    }
    name = asks("POST", "campaigns", json=plan).json()["id"]
    told = {"score": 90, "ready": True}, {"score": 90, "ready": False}, {"score": None, "ready": False}, None, None
    states = ("succeeded", "succeeded", "succeeded", "unanswered", "offline")
    for number, (data, state) in enumerate(zip(told, states, strict=True)):
        row = {"campaign_id": name, "wave": 1, "state": state, "data": data}
        put(api.database, tables.campaign_targets, **(target(number) | row))
    assert asks.get(f"campaigns/{name}/readiness") == {"ready": 1, "not_ready": 1, "unknown": 2, "waiting": 1}
    assert api.asks("viewer", FOREIGN)("GET", f"campaigns/{name}/readiness").status_code == 404
