"""What is still to be done for a case, and when: to look again with the right guide, or to call the merchant back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from sqlalchemy import Connection, and_, select, update

from center.access.scope import Scope
from center.db.engine import Database
from center.db.tables import case_tasks, cases, guides
from center.domain.cases_book import Act, Book, Case, CaseError, NoCase, book_of
from center.domain.cases_policy import CLOCKS, HOUR_MS, Policy
from center.ids import new_id
from center.ingest import cards

KINDS: Final = ("follow_up", "call_back")
MOST: Final = 50
"""Tasks of one case that are not done."""
LONGEST: Final = 2000


class Tasks:
    """For any thread."""

    def __init__(self, database: Database, policy: Policy, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._policy = policy
        self._now_ms = now_ms

    def add(
        self,
        act: Act,
        case_id: str,
        kind: str,
        text: str,
        due_ms: int,
        *,
        owner: str | None = None,
        guide: str | None = None,
    ) -> str:
        """Something to do by `due_ms`; `guide` is the id of one that helps. Returns its id. Raises CaseError."""
        if kind not in KINDS:
            raise CaseError(f"a task is a {' or a '.join(KINDS)}")
        if not 0 < len(text.strip()) <= LONGEST:
            raise CaseError(f"say what is to be done, in {LONGEST} letters at most")
        with book_of(self._database, self._policy, self._now_ms()) as book:
            case = book.find(act.scope, case_id)
            if due_ms <= book.now_ms:
                raise CaseError("the time for it is over already")
            if (
                guide is not None
                and book.connection.execute(select(guides.c.id).where(guides.c.id == guide)).first() is None
            ):
                raise CaseError(f"there is no guide {guide!r}", "not_found")
            new = _added(book, case, kind, text, due_ms, act.by, owner=owner, guide=guide)
            facts = {"task": new, "kind": kind, "due_ms": due_ms, "owner": owner, "guide": guide}
            book.step(case, "note", act.by, text, key=f"{case_id}:task:{new}", facts=facts)
            act.done(book.connection, case_id, {"task": new})
        return new

    def finish(self, act: Act, case_id: str, task_id: str, said: str = "") -> None:
        """It is done. Raises CaseError for one that was."""
        with book_of(self._database, self._policy, self._now_ms()) as book:
            case = book.find(act.scope, case_id)
            named = case_tasks.c.id == task_id, case_tasks.c.case_id == case_id
            row = book.connection.execute(select(case_tasks).where(*named).with_for_update()).first()
            if row is None:
                raise NoCase(f"there is no task {task_id!r}")
            if row.done_ms is not None:
                raise CaseError(f"{row.done_by} has done it already", "conflict")
            done = {"done_by": act.by, "done_ms": book.now_ms}
            book.connection.execute(update(case_tasks).where(*named).values(done))
            book.step(case, "note", act.by, said, key=f"{case_id}:done:{task_id}", facts={"done": task_id})
            act.done(book.connection, case_id, {"task": task_id})


def ask_call(book: Book, case: Case, said: str) -> None:
    """The merchant wants a call: by the next deadline of the case, within an hour where it has none; once is enough."""
    if call_waits(book.connection, case["id"]):
        return
    ahead = [case[f"{name}_due_ms"] for name in CLOCKS if (case[f"{name}_due_ms"] or 0) > book.now_ms]
    due_ms = min(ahead, default=book.now_ms + HOUR_MS)
    _added(book, case, "call_back", said or "call back", due_ms, "merchant", owner=case["owner"], guide=None)


def call_waits(connection: Connection, case_id: str) -> bool:
    """Whether somebody is still to call the merchant back."""
    waiting = case_tasks.c.case_id == case_id, case_tasks.c.kind == "call_back", case_tasks.c.done_ms.is_(None)
    return connection.execute(select(case_tasks.c.id).where(*waiting)).first() is not None


def waiting(
    connection: Connection,
    scope: Scope,
    *,
    kind: str | None = None,
    owner: str | None = None,
    case_id: str | None = None,
    until_ms: int | None = None,
    limit: int = 200,
) -> list[dict[str, Any]]:
    """What is to be done, the soonest first, with `number`, `title`, `estate`, `terminal` and `site` of its case."""
    columns = [cases.c[name] for name in ("number", "title", "fault", "estate", "terminal", "site", "severity")]
    query = select(case_tasks, *columns).join(cases, cases.c.id == case_tasks.c.case_id)
    where = [case_tasks.c.done_ms.is_(None), cases.c.state != "closed", scope.where(cases)]
    told = {case_tasks.c.kind: kind, case_tasks.c.owner: owner, case_tasks.c.case_id: case_id}
    where += [column == value for column, value in told.items() if value is not None]
    if until_ms is not None:
        where.append(case_tasks.c.due_ms <= until_ms)
    rows = connection.execute(query.where(and_(*where)).order_by(case_tasks.c.due_ms, case_tasks.c.id).limit(limit))
    return [dict(row) for row in rows.mappings()]


def _added(
    book: Book, case: Case, kind: str, text: str, due_ms: int, by: str, *, owner: str | None, guide: str | None
) -> str:
    open_ones = select(case_tasks.c.id).where(case_tasks.c.case_id == case["id"], case_tasks.c.done_ms.is_(None))
    if len(book.connection.execute(open_ones).all()) >= MOST:
        raise CaseError(f"{MOST} tasks of this case are not done yet", "conflict")
    row = {"id": new_id("task", book.now_ms), "case_id": case["id"], "kind": kind, "text": cards.redact(text.strip())}
    more = {"owner": owner, "guide": guide, "due_ms": due_ms, "by": by, "created_ms": book.now_ms}
    book.connection.execute(case_tasks.insert().values(**row, **more))
    return str(row["id"])
