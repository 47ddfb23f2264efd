"""Problem records by the API: drawn up, changed, linked to cases, and written down."""

from __future__ import annotations

from sqlalchemy import update

from center.access import audit
from center.access.scope import Scope
from center.db import tables
from center.domain.cases_policy import DAY_MS
from tests.center.asking import Api
from tests.center.fleet_rows import NOW, case, put


def test_a_problem_from_its_candidates_to_its_solution(api: Api) -> None:
    lead, viewer = api.asks("lead"), api.asks("viewer")
    for number in range(20, 25):
        put(api.database, tables.cases, **(case(number) | {"signature": "printer/cutter_error|TM-T20"}))
    api.clock_ms = NOW + 60_000
    (candidate,) = viewer.get("knowledge/problems/candidates")["items"]
    assert (candidate["signature"], candidate["cases_n"]) == ("printer/cutter_error|TM-T20", 5)
    alike = {"signature": candidate["signature"]}
    put(api.database, tables.cases, **(case(25) | alike | {"created_ms": NOW - 31 * DAY_MS}))
    put(api.database, tables.cases, **(case(26) | alike | {"problem_id": "problem-other"}))
    put(api.database, tables.cases, **(case(27) | alike | {"state": "closed"}))
    (candidate,) = viewer.get("knowledge/problems/candidates")["items"]
    behind = viewer.get("cases", candidate=candidate["signature"])["items"]
    assert [each["number"] for each in behind] == [1027, *range(1024, 1019, -1)]
    assert len(behind) == candidate["cases_n"]
    opened = lead("POST", "knowledge/problems", json={"title": "Cutter jams", "signature": candidate["signature"]})
    assert opened.status_code == 201, opened.text
    name = opened.json()["id"]
    assert viewer.get("knowledge/problems/candidates")["items"] == []
    linked = lead("POST", "cases/1005/problem", json={"problem": name})
    assert (linked.status_code, linked.json()["number"]) == (200, 1005)
    path = f"knowledge/problems/{name}"
    refused = lead("PATCH", path, json={"state": "known"})
    assert (refused.status_code, refused.json()["error"]) == (422, "a known problem has a workaround")
    changed = lead("PATCH", path, json={"state": "known", "workaround": "Thin paper.", "root_cause": "consumable"})
    assert (changed.json()["state"], changed.json()["workaround"]) == ("known", "Thin paper.")
    assert [each["number"] for each in viewer.get(path)["cases"]] == [1005]
    assert api.asks("viewer", Scope(estates=("f",))).get(path)["cases"] == []
    assert viewer.ids("knowledge/problems", state="known") == [name]
    assert viewer.ids("knowledge/problems", state="open") == []
    with api.database.read() as connection:
        written = [(row.what, row.target) for row in audit.every(connection) if "problem" in row.what]
    assert written == [("problem.open", name), ("case.problem", "case-00000005"), ("problem.change", name)]


def test_who_may_only_look_changes_nothing(api: Api) -> None:
    viewer = api.asks("viewer")
    assert viewer("POST", "knowledge/problems", json={"title": "x"}).status_code == 403
    assert viewer("PATCH", "knowledge/problems/none", json={"state": "open"}).status_code == 403
    lead = api.asks("lead")
    assert lead("PATCH", "knowledge/problems/none", json={"state": "open"}).status_code == 404
    assert lead("PATCH", "knowledge/problems/none", json={}).status_code == 422
    assert lead("POST", "cases/1005/problem", json={"problem": "none"}).status_code == 404


def test_a_problem_without_incidents_is_shown(api: Api) -> None:
    put(api.database, tables.problems, id="p", title="t", state="open", owner="ann", created_ms=NOW, updated_ms=NOW)
    with api.database.begin() as connection:
        connection.execute(update(tables.cases).values(problem_id="p"))
    told = api.asks("viewer").get("knowledge/problems/p")
    assert (told["incidents"], told["solved_at"], len(told["cases"])) == (None, None, 2)
