"""The fault queue: what a row tells, which rows there are, and for whom."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import event, select, update

from center.access.scope import EVERYTHING, Scope
from center.db import tables
from tests.center.asking import Api
from tests.center.fleet_rows import NOW, member, put

ONE, TWO, GROUP = "inc-00000000", "inc-00000005", "inc-00000100"
HOUR = 3_600_000


def _set(api: Api, table: Any, name: str, **values: Any) -> None:
    with api.database.begin() as connection:
        connection.execute(update(table).where(table.c.id == name).values(**values))


@pytest.fixture
def queue(api: Api) -> Api:
    """Beside two lone incidents, of 1 and 2 weights, a group of three terminals at two sites; one incident is its part."""
    _set(api, tables.incidents, ONE, impact=1.0, terminals_n=1, peak_n=1, cannot_sell_n=1, case_id="case-00000000")
    _set(api, tables.incidents, TWO, impact=2.0, terminals_n=1, peak_n=1, cannot_sell_n=1, owner="bob")
    why = {
        "rule": "operator by reach",
        "affected": 3,
        "population": 9,
        "share": 0.3,
        "from_ms": NOW - 5,
        "side": "operator",
    }
    about = {
        "id": GROUP,
        "estate": "e",
        "scope": "operator",
        "scope_key": "46000",
        "family": "reach",
        "title": "Operator",
    }
    numbers = {"terminals_n": 3, "peak_n": 4, "unknown_n": 1, "impact": 3.5, "opened_ms": NOW, "last_ms": NOW}
    more = {"fault": "modem/no_network", "severity": "critical", "state": "open", "why": why}
    put(api.database, tables.incidents, **about, **numbers, **more)
    put(api.database, tables.incidents, **(about | numbers | more | {"id": "inc-00000101", "parent_id": GROUP}))
    for number in (1, 3, 4):
        put(
            api.database,
            tables.incident_members,
            **(member(number) | {"incident_id": GROUP, "fault": "modem/no_network"}),
        )
    shop = {"name": "拐角小店", "address": "Long Road 5", "timezone": "Asia/Shanghai"}
    put(api.database, tables.sites, estate="e", site="s000001", **shop, updated_ms=NOW)
    return api


def test_the_heaviest_comes_first_with_what_the_desk_decides_by(queue: Api) -> None:
    group, two, one = queue.asks("viewer").get("queue")["items"]
    assert (group["id"], two["id"], one["id"]) == (GROUP, TWO, ONE)
    assert group["title"] == "Operator 46000: terminals are out of reach or have trouble with the network"
    assert (group["act"], group["side"], group["basis"], group["can_sell"]) == (
        "operator",
        "operator",
        "inferred",
        "unknown",
    )
    assert group["sites"] == [
        {"estate": "e", "site": "s000001", "name": "拐角小店", "timezone": "Asia/Shanghai"},
        {"estate": "e", "site": "s000000", "name": None, "timezone": None},
    ]
    assert (group["sites_n"], group["terminals_n"], group["peak_n"]) == (2, 3, 4)
    assert group["why"] == {"rule": "operator by reach", "affected": 3, "population": 9, "share": 0.3}
    assert (group["first_at"], group["opened_at"]) == ("2026-09-21T14:13:19.995Z", "2026-09-21T14:13:20.000Z")
    assert (one["title"], one["unit"], one["kind"]) == ("The paper roll is empty", "printer", "paper_out")
    assert (one["act"], one["basis"], one["can_sell"], one["side"]) == ("none", "measured", "no", "")
    assert two["first_at"] == "2026-09-21T14:13:15.000Z"  # by the fault itself, not by when it was grouped
    assert (two["owner"], two["case"]) == ("bob", None)
    zh = queue.asks("viewer").get("queue", language="zh")["items"]
    assert zh[2]["title"] == "打印纸用完了"


@pytest.mark.parametrize(
    ("terminal", "said"),
    [
        ({"can_sell": "no", "cause": "reader/no_reply"}, "other"),
        ({"can_sell": "no", "cause": "printer/paper_out"}, "yes"),
        ({"can_sell": "no", "cause": "reader/no_reply", "status": "offline"}, "yes"),
        ({"can_sell": "degraded", "cause": "reader/no_reply"}, "degraded"),
        ({"can_sell": "yes", "cause": None}, "yes"),
    ],
)
def test_a_terminal_that_another_fault_stops_is_not_said_to_sell(
    queue: Api, terminal: dict[str, Any], said: str
) -> None:
    """Its numbers count what this fault does alone: nothing here."""
    _set(queue, tables.incidents, TWO, cannot_sell_n=0)
    with queue.database.begin() as connection:
        rows = tables.terminals
        of_two = rows.c.terminal == "t000005"
        connection.execute(update(rows).where(of_two).values({"status": "online"} | terminal))
    assert queue.asks("viewer").get("queue")["items"][1]["can_sell"] == said
    _set(queue, tables.incidents, TWO, cannot_sell_n=1)
    assert queue.asks("viewer").get("queue")["items"][1]["can_sell"] == "no"


def test_the_clock_that_is_broken_first_is_shown_and_stands_while_the_case_is_paused(queue: Api) -> None:
    def clock(minutes: int, **more: Any) -> dict[str, Any]:
        due = {f"{level}_ms": NOW + minutes * 60_000 for level in ("amber", "escalated", "breach")}
        return {"minutes": minutes, "start_ms": NOW, **due, "told": [], "stopped_ms": None} | more

    clocks = {"first_response": clock(15, stopped_ms=NOW + 1), "update": clock(240), "solve": clock(120)}
    _set(queue, tables.cases, "case-00000000", data={"clocks": clocks}, owner="ann", acked_ms=NOW, state="acknowledged")
    put(queue.database, tables.case_steps, case_id="case-00000000", step_key="k", at_ms=NOW, by="eve", kind="assigned")
    asks = queue.asks("viewer")
    queue.clock_ms = NOW + HOUR
    row = asks.get("queue", owner="ann")["items"][0]
    assert (row["owner"], row["acknowledged_by"], row["case"]["number"]) == ("ann", "eve", "C-1000")
    assert row["case"]["clock"] == {
        "kind": "solve",
        "due_at": "2026-09-21T16:13:20.000Z",
        "used": 0.5,
        "state": "green",
    }
    queue.clock_ms = NOW + 3 * HOUR
    assert asks.get("queue", owner="ann")["items"][0]["case"]["clock"]["used"] == 1.5
    _set(queue, tables.cases, "case-00000000", paused_since_ms=NOW + HOUR, pause_reason="part")
    held = asks.get("queue", owner="ann")["items"][0]["case"]
    assert (held["pause_reason"], held["paused_since"]) == ("part", "2026-09-21T15:13:20.000Z")
    assert (held["clock"]["used"], held["clock"]["state"]) == (0.5, "green")


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"owner": "bob"}, [TWO]),
        ({"owner": "none"}, [GROUP, ONE]),
        ({"owner": "me"}, []),
        ({"severity": "critical"}, [GROUP]),
        ({"unit": "modem"}, [GROUP]),
        ({"kind": "paper_out"}, [TWO, ONE]),
        ({"region": "south"}, [GROUP, TWO]),  # terminals 1 and 5
        ({"site": "s000000"}, [GROUP, ONE]),
        ({"operator": "46001"}, [GROUP]),
        ({"parent": GROUP}, ["inc-00000101"]),
        ({"suppressed": "true"}, []),
        ({"suppressed": "false", "unit": "modem"}, [GROUP]),
        ({"q": "拐角"}, [GROUP, TWO]),
        ({"q": "long road"}, [GROUP, TWO]),
        ({"q": "打印纸"}, [TWO, ONE]),
        ({"q": "T000005"}, [TWO]),
        ({"q": "C-1000"}, [ONE]),
        ({"q": "100%"}, []),
    ],
)
def test_it_is_narrowed(queue: Api, asked: dict[str, str], found: list[str]) -> None:
    assert queue.asks("viewer").ids("queue", **asked) == found


def test_pages_go_on_where_the_last_one_ended(queue: Api) -> None:
    asks, ids, cursor = queue.asks("viewer"), [], None
    for _ in range(3):
        shown = asks.get("queue", limit=1, **({"cursor": cursor} if cursor else {}))
        ids += [each["id"] for each in shown["items"]]
        cursor = shown["next"]
    assert (ids, cursor) == ([GROUP, TWO, ONE], None)
    assert asks("GET", "queue", params={"cursor": "W05hTiwieCJd"}).status_code == 422  # [NaN,"x"]


def test_it_holds_nothing_of_others(queue: Api) -> None:
    assert queue.asks("agent", Scope(estates=("f",))).ids("queue") == []
    rows = queue.asks("agent", Scope(sites=("s000001",))).get("queue")["items"]
    assert [(row["id"], row["sites_n"]) for row in rows] == [(GROUP, 1), (TWO, 1)]
    assert queue.client.get("/api/v1/queue").status_code == 401


def test_where_a_large_one_is_was_found_out_with_its_numbers(queue: Api) -> None:
    """Such a one holds thousands; nobody counts them for each look at the queue."""
    _set(queue, tables.incidents, GROUP, terminals_n=2000)
    asks = queue.asks("viewer")
    assert asks.get("queue")["items"][0]["sites_n"] == 2
    late = member(7) | {"incident_id": GROUP, "fault": "modem/no_network"}
    put(queue.database, tables.incident_members, **late)
    assert asks.get("queue")["items"][0]["sites_n"] == 2
    assert queue.asks("viewer", Scope(sites=("s000002",))).get("queue")["items"][0]["sites_n"] == 1
    _set(queue, tables.incidents, GROUP, terminals_n=2001, last_ms=NOW + 5000)
    assert asks.get("queue")["items"][0]["sites_n"] == 3


# --- the case of an incident ------------------------------------------------------------------------------------------


def test_a_case_of_a_group_holds_all_its_terminals_and_is_there_once(queue: Api) -> None:
    agent = queue.asks("agent")
    made = agent("POST", f"incidents/{GROUP}/case")
    case = made.json()
    assert made.status_code == 201, made.text
    assert (case["incident"], case["terminal"], case["channel"]) == (GROUP, None, "agent")
    again = agent("POST", f"incidents/{GROUP}/case")
    assert (again.status_code, again.json()["id"]) == (200, case["id"])
    row = next(each for each in agent.get("queue")["items"] if each["id"] == GROUP)
    assert row["case"]["id"] == case["id"]
    (opened,) = [each for each in agent.get(f"cases/{case['id']}")["steps"] if each["kind"] == "opened"]
    assert opened["by"] == "token agent"


def test_a_case_of_one_terminal_is_about_its_fault(queue: Api) -> None:
    case = queue.asks("agent")("POST", f"incidents/{TWO}/case").json()
    assert (case["terminal"], case["fault"], case["incident"]) == ("t000005", "printer/paper_out", TWO)


def test_what_has_no_case_of_its_own_is_refused(queue: Api) -> None:
    def refused(name: str, scope: Scope = EVERYTHING) -> tuple[int, str]:
        answer = queue.asks("agent", scope)("POST", f"incidents/{name}/case")
        return answer.status_code, answer.json()["error"]

    assert refused("inc-00000101") == (422, "it is a part of another incident, whose case it belongs to")
    assert refused("inc-none") == (404, "there is no such incident")
    assert refused(GROUP, Scope(estates=("f",))) == (404, "there is no such incident")
    assert refused(GROUP, Scope(sites=("s000001",))) == (422, "this incident reaches further than what is yours")
    _set(queue, tables.incidents, TWO, state="resolved")
    assert refused(TWO) == (422, "the incident is over")
    _set(queue, tables.incidents, ONE, scope="center", scope_key="broker", case_id=None)
    assert refused(ONE) == (422, "what is wrong with the center itself has no case")
    assert queue.asks("viewer")("POST", f"incidents/{GROUP}/case").status_code == 403
    with queue.database.read() as connection:
        of_group = select(tables.cases.c.id).where(tables.cases.c.incident_id == GROUP)
        assert connection.execute(of_group).all() == []


def test_an_empty_page_asks_for_nothing_that_belongs_to_rows(queue: Api) -> None:
    said: list[str] = []
    engine = queue.database.engine

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        said.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        assert queue.asks("viewer").get("queue", ids="none")["items"] == []
    finally:
        event.remove(engine, "before_cursor_execute", note)
    assert said
    assert not [each for each in said if "incident_members" in each or "case_steps" in each]
