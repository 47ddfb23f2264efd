"""Problems: the one cause behind many cases. They are for everybody, as kinds of devices are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection, select

from center.access.roles import Who
from center.api import items
from center.api.case_actions import Short, Writing
from center.api.context import ApiError, Center
from center.api.lookups import Name, one
from center.api.models import At, Page, example
from center.api.paging import DEFAULT_LIMIT, Order, page
from center.api.proof import Reader, TheCenter, allowed, record
from center.api.registry import Cursor, Limit
from center.api.work_models import CaseItem
from center.db.tables import problems
from center.domain.knowledge_problems import Problems, candidates, cases_of

router = APIRouter(prefix="/api/v1", tags=["knowledge"])

Author = Annotated[Who, Depends(allowed("knowledge.write"))]
State = Literal["open", "known", "solved"]
Text = Annotated[str, Field(max_length=20_000, pattern=r"^[^\x00]*$")]
Title = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]*\S[^\x00-\x1f]*$")]


class NewProblem(BaseModel):
    """`signature` is fault|model, what makes cases alike; "" for none."""

    model_config = ConfigDict(extra="forbid")
    title: Title
    signature: Annotated[str, Field(max_length=300, pattern=r"^[^\x00-\x1f]*$")] = ""


class ProblemChange(BaseModel):
    """What is left out stays as it is. A known problem has a workaround."""

    model_config = ConfigDict(extra="forbid")
    state: State | None = None
    root_cause: Annotated[str, Field(max_length=50)] | None = None
    workaround: Text | None = None
    review: Text | None = None
    owner: Title | None = None
    incidents: Annotated[list[Title], Field(max_length=200)] | None = None


class ProblemLink(BaseModel):
    model_config = ConfigDict(extra="forbid")
    problem: Short


class ProblemItem(BaseModel):
    """One problem. `review` is what was learnt from it."""

    model_config = example(
        id="problem-01m8q0zk6v",
        title="Cutter of the TM-T20 jams with thick paper",
        signature="printer/cutter_error|TM-T20",
        root_cause="consumable",
        state="known",
        workaround="Use paper of 60 µm at most.",
        review="",
        incidents=[],
        owner="ann",
        created_at="2026-11-21T09:30:00.000Z",
        updated_at="2026-11-21T09:30:00.000Z",
        solved_at=None,
    )
    id: str
    title: str
    signature: str
    root_cause: str | None
    state: State
    workaround: str
    review: str
    incidents: list[str] | None
    owner: str
    created_at: At
    updated_at: At
    solved_at: At | None


class ProblemDetail(ProblemItem):
    """With its cases inside the caller's scope, newest first, 200 at most."""

    model_config = ConfigDict(extra="forbid")
    cases: list[CaseItem]


@router.get("/knowledge/problems", response_model=Page[ProblemItem])
def list_problems(
    center: TheCenter, _who: Reader, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None, state: State | None = None
) -> JSONResponse:
    """Problems, newest first."""
    statement = select(problems) if state is None else select(problems).where(problems.c.state == state)
    order = Order((problems.c.id,), descending=True)
    with center.database.read() as connection:
        return JSONResponse(page(connection, statement, order, cursor, limit, lambda row: items.plain(problems, row)))


@router.get("/knowledge/problems/candidates")
def list_candidates(center: TheCenter, who: Reader) -> JSONResponse:
    """Signatures with five cases and more in a month that nobody has made a problem of, those with most first."""
    with center.database.read() as connection:
        found = candidates(connection, who.scope, center.now_ms())
    return JSONResponse({"items": [items.named(asdict(each)) for each in found], "next": None})


@router.get("/knowledge/problems/{name}", response_model=ProblemDetail)
def get_problem(name: Name, center: TheCenter, who: Reader) -> JSONResponse:
    """One problem with its cases."""
    with center.database.read() as connection:
        row = one(connection, select(problems).where(problems.c.id == name), "problem")
        found = cases_of(connection, who.scope, name)
    return JSONResponse(items.plain(problems, row) | {"cases": [items.case(each) for each in found]})


@router.post("/knowledge/problems", response_model=ProblemItem, status_code=201)
def open_problem(body: NewProblem, center: TheCenter, who: Author) -> JSONResponse:
    """A new problem, owned by who opens it."""
    new = _problems(center).open(who.name, body.title, body.signature, _told(center, who, "problem.open"))
    return _problem(center, new, 201)


@router.patch("/knowledge/problems/{name}", response_model=ProblemItem)
def change_problem(name: Name, body: ProblemChange, center: TheCenter, who: Author) -> JSONResponse:
    """Change its state, cause, workaround, review, owner or incidents."""
    changes = {key: value for key, value in body.model_dump(exclude_unset=True).items() if value is not None}
    if not changes:
        raise ApiError(422, f"give one of {', '.join(ProblemChange.model_fields)}")
    _problems(center).change(name, _told(center, who, "problem.change", {"changed": sorted(changes)}), **changes)
    return _problem(center, name)


@router.post("/cases/{name}/problem", response_model=CaseItem, tags=["cases"])  # noqa: FAST003 - `it` depends on it
def link_problem(body: ProblemLink, it: Writing) -> JSONResponse:
    """This case has that cause."""

    def link(act: Any, case: str) -> dict[str, str]:
        _problems(it.center).link(act, case, body.problem)
        return {"id": case}

    return it.do("problem", link)


def _problems(center: Center) -> Problems:
    return Problems(center.database, center.policy, center.now_ms)


def _told(
    center: Center, who: Who, what: str, detail: dict[str, Any] | None = None
) -> Callable[[Connection, str], None]:
    def tell(connection: Connection, name: str) -> None:
        record(connection, center, who, what, name, detail)

    return tell


def _problem(center: Center, name: str, status: int = 200) -> JSONResponse:
    with center.database.read() as connection:
        row = one(connection, select(problems).where(problems.c.id == name), "problem")
    return JSONResponse(items.plain(problems, row), status)
