"""What the page of an incident, or of a case, is made of."""

from __future__ import annotations

from typing import Any

import pytest

from center.access import accounts
from center.access.scope import EVERYTHING, Scope
from center.db import tables
from tests.center.asking import Api, Asker
from tests.center.fleet_rows import NOW, incident, put

FOREIGN = Scope(estates=("f",))
PAPER = "inc-00000005"


def opened(asks: Asker, **more: Any) -> dict[str, Any]:
    body = {"estate": "e", "terminal": "t000005", "kind": "fault", "fault": "printer/paper_out"} | more
    answer = asks("POST", "cases", json=body)
    assert answer.status_code in {200, 201}, answer.text
    told: dict[str, Any] = answer.json()
    return told


def does(asks: Asker, case: str, what: str, **body: Any) -> None:
    answer = asks("POST", f"cases/{case}/{what}", json=body)
    assert answer.status_code == 200, answer.text


def test_an_incident_shows_what_its_terminal_said_and_what_to_do(api: Api) -> None:
    told = api.asks("viewer").get(f"incidents/{PAPER}/sheet", language="en")
    assert (told["title"], told["basis"], told["act"]) == ("The paper roll is empty", "measured", "none")
    assert (told["terminal"]["can_sell"], told["terminal"]["freshness"]) == ("no", "online")
    (said,) = told["evidence"]
    assert (said["terminal"], said["title"], said["state"]) == ("t000005", "The paper roll is empty", "raised")
    assert (said["evidence"], said["first_at"]) == ({"paper": "out"}, "2026-09-21T14:13:15.000Z")
    assert (told["terminal"]["model"], told["terminal"]["site"]) == ("TM-T20", "s000001")
    assert told["merchant"]["steps"]
    assert told["runbook"]["look"]
    assert [each["kind"] for each in told["steps"]] == ["opened"]
    assert [(each["cmd"], each["state"]) for each in told["commands"]] == [("check", "succeeded")]
    in_chinese = api.asks("viewer").get(f"incidents/{PAPER}/sheet", language="zh")
    assert in_chinese["title"] != told["title"]


def test_an_incident_that_is_over_or_a_part_of_another_is_still_shown(api: Api) -> None:
    whole = incident(90) | {"scope": "operator", "scope_key": "46002", "fault": "modem/no_network", "terminals_n": 2}
    part = incident(91) | {
        "parent_id": whole["id"],
        "state": "resolved",
        "resolved_ms": NOW + 60_000,
        "scope_key": "t000001",
    }
    put(api.database, tables.incidents, **whole, family="reach")
    put(api.database, tables.incidents, **part)
    asks = api.asks("viewer")
    shown = asks.get(f"incidents/{part['id']}/sheet")
    assert (shown["state"], shown["resolved_at"]) == ("resolved", "2026-09-21T14:14:20.000Z")
    assert (shown["parent"]["id"], shown["parent"]["title"]) == (
        whole["id"],
        "Operator 46002: terminals are out of reach or have trouble with the network",
    )
    assert [each["id"] for each in asks.get(f"incidents/{whole['id']}/sheet")["parts"]] == [part["id"]]


def test_comings_and_goings_of_many_are_counted_together(api: Api) -> None:
    whole = incident(90) | {"scope": "operator", "scope_key": "46002", "fault": "modem/no_network", "opened_ms": NOW}
    put(api.database, tables.incidents, **whole | {"last_ms": NOW + 60_000}, family="reach")
    for number, left_ms in enumerate((None, NOW + 59_000, NOW + 58_000)):
        at = {"incident_id": whole["id"], "estate": "e", "terminal": f"t{number:06}", "fault": "modem/no_network"}
        put(api.database, tables.incident_members, **at, joined_ms=NOW, left_ms=left_ms)
    steps = api.asks("viewer").get(f"incidents/{whole['id']}/sheet")["steps"]
    assert sorted((each["kind"], each.get("n")) for each in steps if each["kind"] != "opened") == [
        ("joined", 3),
        ("left", 2),
    ]


def test_all_that_an_incident_affects_is_paged(api: Api) -> None:
    at = {"incident_id": PAPER, "estate": "e", "fault": "modem/weak_signal", "joined_ms": NOW + 1}
    put(api.database, tables.incident_members, **at, terminal="t000003")
    asks = api.asks("viewer")
    first = asks.get(f"incidents/{PAPER}/affected", limit=1, language="zh")
    assert [(each["terminal"], each["status"], each["can_sell"]) for each in first["items"]] == [
        ("t000003", "online", "yes")
    ]
    rest = asks.get(f"incidents/{PAPER}/affected", limit=1, cursor=first["next"])
    assert [(each["terminal"], each["site"]) for each in rest["items"]] == [("t000005", "s000001")]
    assert rest["next"] is None


@pytest.mark.parametrize("path", [f"incidents/{PAPER}/sheet", "cases/1005/sheet"])
def test_what_is_out_of_scope_is_not_there(api: Api, path: str) -> None:
    assert api.asks("viewer", FOREIGN)("GET", path).status_code == 404
    assert api.asks("viewer", FOREIGN).get(f"incidents/{PAPER}/affected")["items"] == []


def test_a_case_tells_its_clocks_its_promises_and_what_keeps_it_open(api: Api) -> None:
    asks = api.asks()
    case = opened(asks, terminal="t000001", fault="printer/cutter_error")["id"]
    api.clock_ms = NOW + 1_000
    does(asks, case, "eta", eta="2026-09-21T16:00:00Z")
    does(asks, case, "eta", eta="2026-09-21T17:00:00Z", reason="the part is late")
    does(asks, case, "tag", add=["suggestion"])
    told = asks.get(f"cases/{case}/sheet", language="en")
    assert [(each["eta_at"], each["was_at"]) for each in told["promises"]] == [
        ("2026-09-21T16:00:00.000Z", None),
        ("2026-09-21T17:00:00.000Z", "2026-09-21T16:00:00.000Z"),
    ]
    assert {each["kind"]: each["state"] for each in told["clocks"]} == {
        "first_response": "met",
        "update": "green",
        "solve": "green",
    }
    assert (told["gate"]["stage"], told["gate"]["needs"], told["tags"]) == ("working", "proof", ["suggestion"])
    assert "part_replaced" in told["choices"]["remedies"]
    does(asks, case, "repaired", remedy="cleaned")
    after = asks.get(f"cases/{case}/sheet")
    assert (after["gate"]["stage"], after["gate"]["needs"], after["state"]) == ("watching", "", "watching")


def test_a_fault_that_stands_keeps_the_gate_shut(api: Api) -> None:
    asks = api.asks()
    case = opened(asks)["id"]
    told = asks.get(f"cases/{case}/sheet")["gate"]
    assert (told["trouble"], told["needs"], told["passes"]) == ("stands", "fault_stands", False)


def test_the_desk_withdraws_a_link_and_writes_down_what_the_merchant_said_by_telephone(api: Api) -> None:
    asks = api.asks("agent")
    case = opened(api.asks(), terminal="t000002", fault="printer/cutter_error")["id"]
    address = asks.get(f"cases/{case}/sheet")["merchant_page"]
    does(asks, case, "withdraw_link", text="sent to the wrong shop")
    assert asks.get(f"cases/{case}/sheet")["merchant_page"] is None
    assert asks.get(f"cases/{case}/merchant-link")["link"] is None
    assert asks("POST", f"cases/{case}/withdraw_link", json={"text": "again"}).status_code == 409
    does(asks, case, "new_link")
    assert asks.get(f"cases/{case}/sheet")["merchant_page"] not in {None, address}
    does(asks, case, "merchant_answer", works=True, with_whom="Mrs Li", text="it prints")
    told = asks.get(f"cases/{case}")["steps"]
    answer = next(each for each in told if each["kind"] == "answered")
    assert (answer["by"], answer["text"], answer["data"]["by_phone"]) == ("token agent", "it prints", True)
    assert asks.get(f"cases/{case}")["state"] == "watching"
    for verb, body in (("withdraw_link", {"text": "x"}), ("new_link", None), ("merchant_answer", {"works": True})):
        assert api.asks("viewer")("POST", f"cases/{case}/{verb}", json=body).status_code == 403
    audited = {row["what"] for row in api.asks().get("audit")["items"]}
    assert {"case.withdraw_link", "case.new_link", "case.merchant_answer"} <= audited


def test_those_are_named_who_may_own_it(api: Api) -> None:
    case = opened(api.asks(), terminal="t000002", fault="printer/cutter_error")["id"]
    with api.database.begin() as connection:
        for name, role, scope in (
            ("kim", "agent", EVERYTHING),
            ("lee", "viewer", EVERYTHING),
            ("far", "agent", FOREIGN),
        ):
            accounts.create(connection, name, [role], NOW, scope=scope)
    assert [each["name"] for each in api.asks("agent").get(f"cases/{case}/owners")["items"]] == ["kim"]
    assert api.asks("viewer")("GET", f"cases/{case}/owners").status_code == 403
    assert api.asks("agent")("GET", "incidents/nothing/owners").status_code == 404


def test_the_merchants_address_is_for_those_who_may_write(api: Api) -> None:
    case = opened(api.asks(), terminal="t000002", fault="printer/cutter_error")["id"]
    address = api.asks("agent").get(f"cases/{case}/sheet")["merchant_page"]
    assert address.startswith("/m/")
    assert len(address) > 20
    assert api.asks("viewer").get(f"cases/{case}/sheet")["merchant_page"] is None
