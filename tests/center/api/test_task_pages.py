"""Tasks of cases: written down, listed by when they are due, and done once; merchants ask for calls."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime

import pytest
from sqlalchemy import select, update

from center.access.scope import Scope
from center.db import tables
from center.domain.cases_book import CaseError
from center.domain.cases_policy import Policy
from center.domain.merchant import MerchantDesk
from center.domain.task_reminders import TaskReminders
from center.notify.delivery import Delivery
from tests.center.asking import Api
from tests.center.fleet_rows import NOW, put
from tests.center.test_notify import Receiver, serving

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # Apprise imports it

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


@pytest.fixture
def hook(api: Api) -> Iterator[Receiver]:
    """A channel for tasks that gathers for ten minutes, and is quiet from 22:00 to 06:00."""
    with serving(Receiver()) as hook:
        url = hook.url.replace("http://", "json://")
        more = {"filter": {"group_s": 600}, "quiet_hours": {"from": "22:00", "until": "06:00", "timezone": "UTC"}}
        put(api.database, tables.channels, id="chan-1", name="desk", url=url, events=["task.*"], created_ms=NOW, **more)
        yield hook


def _tell(api: Api, at: str) -> None:
    """A step of those who tell, each time of one that knows only what was stored."""
    at_ms = int(datetime.fromisoformat(f"{at}Z").timestamp() * 1000)
    TaskReminders(api.database).step(at_ms)
    Delivery(api.database).step(at_ms)


def test_what_becomes_due_is_told_once_and_together(api: Api, hook: Receiver) -> None:
    ann = api.asks("agent")
    for case, due in ((1000, "2026-09-21T15:00:00Z"), (1005, "2026-09-21T15:03:00Z"), (1000, "2026-09-21T22:30:00Z")):
        assert ann("POST", f"cases/{case}/tasks", json={"text": f"by {due}", "due": due}).status_code == 200
    for minute in ("14:59", "15:00", "15:03", "15:04"):
        _tell(api, f"2026-09-21T{minute}")
    assert hook.got == []
    _tell(api, "2026-09-21T15:10")
    (told,) = (json.loads(body) for _, body in hook.got)
    assert told["title"].startswith("2 × posdiag: C-100")
    assert "C-1000: to be done" in told["message"]
    assert "C-1005: to be done" in told["message"]
    for moment in ("21T15:20", "21T22:30", "22T01:00", "22T05:59"):
        _tell(api, f"2026-09-{moment}")
    assert len(hook.got) == 1
    _tell(api, "2026-09-22T06:00")
    assert json.loads(hook.got[1][1])["message"] == "by 2026-09-21T22:30:00Z"
    _tell(api, "2026-09-22T09:00")
    assert len(hook.got) == 2


def test_what_was_done_in_time_or_before_morning_is_not_told(api: Api, hook: Receiver) -> None:
    ann, night = api.asks("agent"), "2026-09-21T22:30:00Z"
    for due in (SOON, night):
        assert ann("POST", "cases/1000/tasks", json={"text": "look", "due": due}).status_code == 200
    early, late = (each["id"] for each in ann.get("tasks")["items"])
    assert ann("POST", f"cases/1000/tasks/{early}/done", json={}).status_code == 200
    _tell(api, "2026-09-21T22:31")
    with api.database.read() as connection:
        keys = set(connection.execute(select(tables.outbox.c.key).where(tables.outbox.c.kind == "notify")).scalars())
    assert keys == {f"task.due:{late}"}
    assert ann("POST", f"cases/1000/tasks/{late}/done", json={}).status_code == 200
    _tell(api, "2026-09-22T09:00")
    assert hook.got == []


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
