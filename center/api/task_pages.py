# ruff: noqa: FAST003 - `name` is in the signature of what `it` depends on
"""What is still to be done for cases, and whom to call back."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from center.api import items
from center.api.case_actions import MaybeSaid, Short, Writing
from center.api.context import Center
from center.api.filters import Language, Place, moment_ms
from center.api.lookups import Name
from center.api.models import At, Page, example
from center.api.paging import MOST
from center.api.proof import Reader, TheCenter
from center.api.work_models import CaseItem
from center.domain.cases_book import number_text
from center.domain.incident_texts import fault_name
from center.domain.tasks import LONGEST, Tasks, waiting

router = APIRouter(prefix="/api/v1", tags=["cases"])

Kind = Literal["follow_up", "call_back"]


class NewTask(BaseModel):
    """`guide` is the id of a guide that helps."""

    model_config = ConfigDict(extra="forbid")
    kind: Kind = "follow_up"
    text: Annotated[str, Field(min_length=1, max_length=LONGEST, pattern=r"^[^\x00]*\S[^\x00]*$")]
    due: AwareDatetime
    owner: Short | None = None
    guide: Short | None = None


class TaskItem(BaseModel):
    """One thing to do. `is_due`: its time has come."""

    model_config = example(
        id="task-01m8q0zk6v",
        kind="call_back",
        text="call back",
        owner="ann",
        guide=None,
        due_at="2026-11-21T10:00:00.000Z",
        is_due=False,
        by="merchant",
        created_at="2026-11-21T09:30:00.000Z",
        case="case-01m8q0zk6v",
        number="C-1042",
        title="The paper roll is empty",
        estate="cn-east",
        terminal="t0001",
        site="s-12",
        severity="major",
    )
    id: str
    kind: Kind
    text: str
    owner: str | None
    guide: str | None
    due_at: At
    is_due: bool
    by: str
    created_at: At
    case: str
    number: str
    title: str
    estate: str
    terminal: str | None
    site: str | None
    severity: str


@router.get("/tasks", response_model=Page[TaskItem])
def list_tasks(
    center: TheCenter,
    who: Reader,
    kind: Kind | None = None,
    owner: Annotated[Place | None, Query(description="A name, or `me`")] = None,
    case: Place | None = None,
    until: Annotated[AwareDatetime | None, Query(description="Due up to here")] = None,
    limit: Annotated[int, Query(ge=1, le=MOST)] = 200,
    language: Language = None,
) -> JSONResponse:
    """What is to be done for open cases, the soonest first; `kind=call_back` is the list of merchants to call."""
    now_ms, until_ms = center.now_ms(), None if until is None else moment_ms(until)
    owner = who.called if owner == "me" else owner
    with center.database.read() as connection:
        found = waiting(connection, who.scope, kind=kind, owner=owner, case_id=case, until_ms=until_ms, limit=limit)
    spoken = language or who.language
    return JSONResponse({"items": [_item(row, spoken, now_ms) for row in found], "next": None})


@router.post("/cases/{name}/tasks", response_model=CaseItem)
def add_task(body: NewTask, it: Writing) -> JSONResponse:
    """Something to do by a time."""

    def add(act: Any, case: str) -> dict[str, str]:
        due_ms = moment_ms(body.due)
        _tasks(it.center).add(act, case, body.kind, body.text, due_ms, owner=body.owner, guide=body.guide)
        return {"id": case}

    return it.do("task", add)


@router.post("/cases/{name}/tasks/{task}/done", response_model=CaseItem)
def finish_task(task: Name, body: MaybeSaid, it: Writing) -> JSONResponse:
    """It is done."""

    def finish(act: Any, case: str) -> dict[str, str]:
        _tasks(it.center).finish(act, case, task, body.text)
        return {"id": case}

    return it.do("task.done", finish)


def _tasks(center: Center) -> Tasks:
    return Tasks(center.database, center.policy, center.now_ms)


def _item(row: dict[str, Any], language: str, now_ms: int) -> items.Item:
    left_out = ("done_by", "done_ms", "fault")
    title = fault_name(row["fault"], language) if row["fault"] else row["title"]
    about = {"number": number_text(row["number"]), "title": title, "is_due": row["due_ms"] <= now_ms}
    return items.named({name: value for name, value in row.items() if name not in left_out} | about)
