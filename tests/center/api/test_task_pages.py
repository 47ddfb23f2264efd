"""Tasks of cases: written down, listed by when they are due, and done once; merchants ask for calls."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from center.access.scope import Scope
from center.db import tables
from center.domain.cases_book import CaseError
from center.domain.cases_policy import Policy
from center.domain.merchant import MerchantDesk
from tests.center.asking import Api
from tests.center.fleet_rows import NOW

SOON, LATER = "2026-09-21T15:00:00Z", "2026-09-22T15:00:00Z"


def _ids(api: Api, **asked: str) -> list[str]:
    return api.asks("viewer").ids("tasks", **asked)


def test_a_task_is_listed_until_it_is_done(api: Api) -> None:
    ann = api.asks("agent")
    for case, due in ((1005, LATER), (1000, SOON)):
        told = ann("POST", f"cases/{case}/tasks", json={"text": "look again 4111 1111 1111 1111", "due": due})
        assert (told.status_code, told.json()["number"]) == (200, case), told.text
    first, second = ann.get("tasks", language="zh")["items"]
    assert [first["number"], second["number"]] == ["C-1000", "C-1005"]
    assert (first["title"], first["is_due"]) == ("打印纸用完了", False)
    assert "4111" not in first["text"]
    assert _ids(api, until="2026-09-21T16:00:00Z") == [first["id"]]
    assert _ids(api, case="case-00000005") == [second["id"]]
    assert _ids(api, kind="call_back") == _ids(api, owner="bob") == []
    assert api.asks("viewer", Scope(estates=("f",))).ids("tasks") == []
    api.clock_ms = NOW + 3_600_000
    assert ann.get("tasks")["items"][0]["is_due"]
    path = f"cases/1000/tasks/{first['id']}/done"
    assert api.asks("viewer")("POST", path, json={}).status_code == 403
    assert ann("POST", path, json={"text": "done"}).status_code == 200
    assert ann("POST", path, json={}).status_code == 409
    assert ann("POST", f"cases/1005/tasks/{first['id']}/done", json={}).status_code == 404
    assert _ids(api) == [second["id"]]
    notes = [(step["kind"], step["text"]) for step in ann.get("cases/1000")["steps"]]
    assert notes[-1] == ("note", "done")
    with api.database.begin() as connection:
        connection.execute(update(tables.cases).values(state="closed"))
    assert _ids(api) == []


@pytest.mark.parametrize(
    ("body", "status"),
    [({"due": "2026-09-01T00:00:00Z"}, 422), ({"due": SOON, "guide": "none"}, 404), ({"due": SOON, "kind": "x"}, 422)],
)
def test_what_makes_no_sense_is_refused(api: Api, body: dict[str, str], status: int) -> None:
    assert api.asks("agent")("POST", "cases/1005/tasks", json={"text": "look", **body}).status_code == status


def test_a_merchant_who_asks_for_a_call_is_called_by_the_deadline(api: Api) -> None:
    due_ms = NOW + 1_800_000
    with api.database.begin() as connection:
        ahead = {f"{level}_ms": due_ms for level in ("amber", "escalated", "breach")}
        clock = {"minutes": 30, "start_ms": NOW, **ahead, "told": [], "stopped_ms": None}
        values = {"merchant_token": "secret", "owner": "ann", "data": {"clocks": {"solve": clock}}}
        connection.execute(update(tables.cases).where(tables.cases.c.number == 1005).values(values))
    desk = MerchantDesk(api.database, Policy(), lambda: api.clock_ms)
    for _ in range(2):
        desk.call_me("secret", "after five")
    (task,) = api.asks("viewer").get("tasks", kind="call_back")["items"]
    assert (task["number"], task["by"], task["owner"], task["text"]) == ("C-1005", "merchant", "ann", "after five")
    assert task["due_at"] == "2026-09-21T14:43:20.000Z"
    with api.database.begin() as connection:
        connection.execute(update(tables.cases).values(state="closed", closed_ms=NOW))
    with pytest.raises(CaseError):
        desk.call_me("secret")
