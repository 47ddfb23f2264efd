"""Incidents regrouped by hand, by the API and the engine together: what people say holds, until they take it back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select

from center.access import audit
from center.access.limits import Rate
from center.access.scope import Scope
from center.db import tables
from center.db.engine import Database
from center.domain.incidents import Incidents
from tests.center.asking import Api, asking
from tests.center.test_incidents import World

PAPER, JAM, COVER = "printer/paper_out", "reader/card_jam", "printer/cover_open"
WHY = {"reason": "the same hands"}


class Desk(World):
    """A fleet and its engine, and somebody at the desk."""

    def __init__(self, database: Database, api: Api) -> None:
        super().__init__(database)
        self.api = api
        self.ann = api.asks("agent")

    def do(self, path: str, **body: Any) -> dict[str, Any]:
        self.api.clock_ms = self.now_ms
        answer = self.ann("POST", f"incidents/{path}", json=body or None)
        assert answer.status_code in {200, 201}, answer.text
        told: dict[str, Any] = answer.json()
        return told

    def refused(self, path: str, **body: Any) -> tuple[int, str]:
        answer = self.ann("POST", f"incidents/{path}", json=body or None)
        return answer.status_code, answer.json()["error"]

    def incident(self, terminal: str, fault: str) -> Any:
        """Id, parent and state of the terminal's own incident."""
        (row,) = self.rows("id", "parent_id", "state", scope_key=terminal, fault=fault)
        return row

    def held(self, incident: str) -> list[str]:
        table = tables.incident_members
        here = table.c.incident_id == incident, table.c.left_ms.is_(None)
        with self.database.read() as connection:
            found = connection.execute(select(table.c.terminal).where(*here).order_by(table.c.terminal))
            return list(found.scalars())

    def restart(self) -> None:
        """Another process goes on."""
        self.engine = Incidents(self.database)
        self.step(1000)


@pytest.fixture
def desk(database: Database) -> Iterator[Desk]:
    with asking(database, rate=Rate(1e6, 1e6)) as api:
        yield Desk(database, api)


def _two(desk: Desk) -> tuple[str, str]:
    desk.fault(["t0000"], PAPER)
    desk.fault(["t0009"], JAM)
    desk.step(1000)
    return desk.incident("t0000", PAPER)[0], desk.incident("t0009", JAM)[0]


def test_a_part_is_counted_with_the_whole_until_the_merge_is_undone(desk: Desk) -> None:
    part, whole = _two(desk)
    told = desk.do(f"{part}/merge", into=whole, **WHY)
    assert (told["kind"], told["incident"], told["into"], told["waits"]) == ("merge", part, whole, True)
    assert [row["id"] for row in desk.ann.get("queue")["items"]] == [whole]  # at once, for whoever looks
    desk.step(1000)
    assert desk.incident("t0000", PAPER) == (part, whole, "open")
    assert desk.held(whole) == ["t0000", "t0009"]
    (row,) = desk.ann.get("queue")["items"]
    assert (row["id"], row["terminals_n"]) == (whole, 2)
    assert desk.ann.ids("queue", parent=whole) == [part]
    desk.restart()
    assert desk.held(whole) == ["t0000", "t0009"]
    undone = desk.do(f"{part}/regroupings/{told['id']}/undo")
    assert (undone["undone_by"], undone["waits"]) == ("token " + undone["undone_by"].removeprefix("token "), True)
    desk.step(1000)
    assert desk.incident("t0000", PAPER) == (part, None, "open")
    assert (desk.held(whole), desk.held(part)) == (["t0009"], ["t0000"])
    assert desk.refused(f"{part}/regroupings/{told['id']}/undo")[0] == 409


def test_the_whole_lasts_as_long_as_its_parts_and_then_lets_them_go(desk: Desk) -> None:
    part, whole = _two(desk)
    desk.do(f"{part}/merge", into=whole, **WHY)
    desk.step(1000)
    desk.fault(["t0009"], JAM, "cleared")
    desk.step(1000)
    desk.step(600_000)
    assert desk.incident("t0009", JAM)[2] == "open"
    desk.fault(["t0000"], PAPER, "cleared")
    desk.step(1000)
    desk.step(600_000)
    assert desk.incident("t0000", PAPER) == (part, None, "resolved")
    assert desk.incident("t0009", JAM) == (whole, None, "resolved")


@pytest.fixture
def outage(desk: Desk) -> tuple[Desk, str]:
    """An operator's outage."""
    desk.gone(desk.of(operator="cmcc"))
    desk.step(1000)
    desk.step(40_000)
    ((name, _),) = desk.rows("id", "terminals_n", scope="operator")
    return desk, name


def test_terminals_that_are_taken_out_get_their_own_and_do_not_come_back(outage: tuple[Desk, str]) -> None:
    desk, group = outage
    there = desk.held(group)
    taken = there[:2]
    told = desk.do(f"{group}/split", terminals=[f"e.{name}" for name in taken], **WHY)
    assert told["members"] == [["e", name, "terminal/offline"] for name in taken]
    desk.step(1000)
    assert desk.held(group) == there[2:]
    own = [desk.incident(name, "terminal/offline") for name in taken]
    assert [(parent, state) for _, parent, state in own] == [(None, "open")] * 2
    desk.restart()
    desk.back(taken)
    desk.step(1000)
    desk.gone(taken)  # and again, within the window in which it would have been grouped
    desk.step(1000)
    desk.step(60_000)
    assert desk.held(group) == there[2:]
    desk.do(f"{group}/regroupings/{told['id']}/undo")
    desk.step(1000)
    assert desk.held(group) == there
    site = desk.rows("id", scope="site", state="open")  # both stand at one, which they were grouped by meanwhile
    assert [desk.incident(name, "terminal/offline")[1] for name in taken] == site * 2
    assert desk.rows("parent_id", scope="site", state="open") == [group]


def test_a_part_that_was_merged_can_be_taken_out_as_terminals(desk: Desk) -> None:
    part, whole = _two(desk)
    desk.do(f"{part}/merge", into=whole, **WHY)
    desk.step(1000)
    desk.do(f"{whole}/split", terminals=["e.t0000"], **WHY)
    desk.step(1000)
    assert desk.incident("t0000", PAPER) == (part, None, "open")
    assert (desk.held(whole), desk.held(part)) == (["t0009"], ["t0000"])


def test_a_group_can_be_a_part_and_takes_what_comes_later_with_it(outage: tuple[Desk, str]) -> None:
    desk, group = outage
    desk.fault(["t0002"], JAM)
    desk.step(1000)
    whole = desk.incident("t0002", JAM)[0]
    desk.do(f"{group}/merge", into=whole, **WHY)
    desk.step(1000)
    late = desk.of(operator="cucc")[1:]
    desk.gone(late)
    desk.step(1000)
    desk.step(60_000)
    parents = dict(desk.rows("id", "parent_id", state="open"))
    assert parents[group] == whole
    assert whole not in {parents.get(parents[whole] or ""), parents[whole]}  # nothing is a part of itself
    assert set(desk.held(group)) < set(desk.held(whole))


def test_what_makes_no_sense_is_refused(desk: Desk) -> None:
    part, whole = _two(desk)
    assert desk.refused(f"{part}/merge", into=part, **WHY) == (409, "an incident cannot be a part of itself")
    assert desk.refused(f"{part}/merge", into="none", **WHY) == (404, "there is no such incident")
    assert desk.refused(f"{part}/merge", into=whole, reason=" ") == (422, "say a reason")
    only = desk.refused(f"{part}/split", terminals=["e.t0000"], **WHY)
    assert only == (422, "an incident of one terminal cannot be without it")
    assert desk.refused(f"{part}/split", terminals=["e.t0007"], **WHY) == (
        422,
        "terminal e.t0007 is not in the incident",
    )
    desk.do(f"{part}/merge", into=whole, **WHY)
    assert desk.refused(f"{part}/merge", into=whole, **WHY)[0] == 409
    assert desk.refused(f"{whole}/merge", into=part, **WHY) == (409, "an incident cannot be a part of itself")
    body = {"into": whole, **WHY}
    assert desk.api.asks("viewer")("POST", f"incidents/{part}/merge", json=body).status_code == 403
    assert (
        desk.api.asks("agent", Scope(estates=("f",)))("POST", f"incidents/{part}/merge", json=body).status_code == 404
    )


def test_it_stands_in_the_audit_and_the_timeline(desk: Desk) -> None:
    part, whole = _two(desk)
    told = desk.do(f"{part}/merge", into=whole, reason="card 4111 1111 1111 1111 was in both")
    assert "4111" not in told["reason"]
    desk.do(f"{part}/regroupings/{told['id']}/undo")
    with desk.database.read() as connection:
        done = [(row.what, row.target) for row in audit.every(connection) if row.what.startswith("incident.")]
    assert done == [("incident.merge", part), ("incident.merge.undo", part)]
    kinds = [(step["kind"], step.get("other")) for step in desk.ann.get(f"incidents/{whole}/sheet")["steps"]]
    assert ("adopted", part) in kinds
    assert ("adopted_undone", part) in kinds
    assert [each["id"] for each in desk.ann.get(f"incidents/{whole}/regroupings")["items"]] == [told["id"]]
