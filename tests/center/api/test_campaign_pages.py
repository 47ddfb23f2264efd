"""What the screen of campaigns asks for: whom one would reach, how far it is, and how it went at each terminal."""

from __future__ import annotations

from typing import Any

from center.access.scope import EVERYTHING, Scope
from center.db import tables
from tests.center.asking import Api, Asker
from tests.center.fleet_rows import NOW, put, put_checked, readiness, target

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


def _checked(api: Api, rows: dict[int, tuple[str, Any]]) -> str:
    """A readiness campaign that found this."""
    asks = api.asks("campaign_manager")
    plan = {
        "name": "n",
        "kind": "readiness",
        "audience": {"estates": ["e"]},
        "reason": "busy",
        "args": {"date": "2026-12-24"},
    }
    name: str = asks("POST", "campaigns", json=plan).json()["id"]
    put_checked(api.database, name, rows)
    return name


_FOUND: dict[int, tuple[str, Any]] = {
    0: ("succeeded", readiness(90, ready=True)),
    1: ("succeeded", readiness(60, "printer/paper_out", "settings")),
    2: ("succeeded", readiness(None, "check")),
    3: ("unanswered", None),
    4: ("offline", None),
    5: ("succeeded", readiness(80, "settings", ready=True)),
    6: ("failed", None),
    7: ("succeeded", readiness(50, "settings", "settings")),
}


def test_terminals_of_a_readiness_check_are_ready_not_ready_unknown_or_waiting(api: Api) -> None:
    path = f"campaigns/{_checked(api, _FOUND)}"
    asks = api.asks("viewer")
    assert asks.get(f"{path}/readiness") == {"ready": 2, "not_ready": 2, "unknown": 3, "waiting": 1}
    assert asks.get(f"{path}/readiness", what="settings") == {"ready": 1, "not_ready": 2, "unknown": 0, "waiting": 0}
    for what in ("readiness", "failing", "stores"):
        assert api.asks("viewer", FOREIGN)("GET", f"{path}/{what}").status_code == 404


def test_what_fails_most_is_counted_at_the_terminals_that_the_caller_sees(api: Api) -> None:
    path = f"campaigns/{_checked(api, _FOUND)}/failing"

    def told(scope: Scope = EVERYTHING) -> dict[str, int]:
        found = api.asks("viewer", scope).get(path)
        assert found["next"] is None
        return {each["what"]: each["terminals"] for each in found["items"]}

    assert list(told().items()) == [("check", 3), ("settings", 3), ("printer/paper_out", 1)]
    assert told(Scope(regions=("south",))) == {"printer/paper_out": 1, "settings": 2}
    assert told(Scope(sites=("s000002",))) == {"check": 1, "settings": 1}
    assert told(Scope(regions=("north",))) == {}
    with api.database.begin() as connection:
        table = tables.campaign_targets
        connection.execute(table.update().where(table.c.terminal == "t000004").values(state="unanswered"))
    assert told()["check"] == 4
    assert told(Scope(regions=("north",))) == {"check": 1}


def test_what_fails_is_cut_where_few_have_it(api: Api) -> None:
    rare = readiness(50, *(f"rare-{number:02}" for number in range(70)))
    name = _checked(api, {0: ("succeeded", rare), 1: ("succeeded", readiness(50, "rare-69")), 2: ("failed", None)})
    found = api.asks("viewer").get(f"campaigns/{name}/failing")["items"]
    assert len(found) == 50
    assert [tuple(each.values()) for each in found[:3]] == [("rare-69", 2), ("check", 1), ("rare-00", 1)]


def test_the_stores_that_are_listed_are_those_that_were_counted(api: Api) -> None:
    path = f"campaigns/{_checked(api, _FOUND)}"

    def listed(asks: Asker, **asked: str) -> list[int]:
        """By pages of two."""
        found, cursor = [], None
        while True:
            page = asks.get(f"{path}/stores", limit=2, **asked, **({"cursor": cursor} if cursor else {}))
            found += [int(each["terminal"].removeprefix("t")) for each in page["items"]]
            cursor = page["next"]
            if cursor is None:
                return found

    for scope in (EVERYTHING, Scope(regions=("south", "east"))):
        asks = api.asks("viewer", scope)
        counts = asks.get(f"{path}/readiness")
        assert {state: len(listed(asks, state=state)) for state in counts} == counts
        for each in asks.get(f"{path}/failing")["items"]:
            assert len(listed(asks, what=each["what"])) == each["terminals"]
            within = asks.get(f"{path}/readiness", what=each["what"])
            assert {state: len(listed(asks, state=state, what=each["what"])) for state in within} == within
    asks = api.asks("viewer")
    assert (listed(asks, state="unknown"), listed(asks, state="waiting")) == ([2, 3, 6], [4])
    assert (listed(asks, what="check"), listed(asks, what="settings", state="ready")) == ([2, 3, 6], [5])
    assert listed(asks, what="nothing") == []


def test_stores_of_a_state_that_there_is_not_are_refused_in_a_sentence(api: Api) -> None:
    path, asks = f"campaigns/{_checked(api, _FOUND)}/stores", api.asks("viewer")
    refused = asks("GET", path, params={"state": "sent"})
    assert (refused.status_code, refused.json()["error"]) == (
        422,
        "state: Input should be 'ready', 'not_ready', 'unknown' or 'waiting'",
    )
    assert asks("GET", path, params={"what": "a\x00"}).status_code == 422
