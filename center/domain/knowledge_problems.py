"""Problems: the one cause behind many cases, its workaround, and what was learnt from it, kept beside the data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, func, select, update

from center.access.scope import Scope
from center.db.engine import Database
from center.db.tables import cases, problems
from center.domain.cases import ROOT_CAUSES
from center.domain.cases_book import Act, CaseError, NoCase, book_of
from center.domain.cases_policy import DAY_MS, Policy
from center.ids import new_id
from center.ingest import cards

STATES: Final = ("open", "known", "solved")
Record = Callable[[Connection, str], None]
MANY: Final = 5
"""So many cases of one signature within a month ask for a problem record."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A signature with many cases and no problem record yet."""

    signature: str
    cases_n: int
    terminals_n: int
    first_ms: int
    last_ms: int


class Problems:
    """For any thread. Problems are about kinds of devices and belong to everybody; their cases keep their scope."""

    def __init__(self, database: Database, policy: Policy, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._policy = policy
        self._now_ms = now_ms

    def open(self, by: str, title: str, signature: str = "", record: Record | None = None) -> str:
        """A new record. Returns its id. `record` writes down that it was made, with it. Raises CaseError."""
        if not title.strip():
            raise CaseError("say what the problem is")
        now_ms = self._now_ms()
        row = {"id": new_id("problem", now_ms), "title": cards.redact(title), "signature": signature, "state": "open"}
        with self._database.begin() as connection:
            connection.execute(problems.insert().values(**row, owner=by, created_ms=now_ms, updated_ms=now_ms))
            if record is not None:
                record(connection, row["id"])
        return row["id"]

    def change(self, problem_id: str, record: Record | None = None, **told: Any) -> None:
        """Set `state`, `root_cause`, `workaround`, `review`, `owner` or `incidents`. Raises NoCase or CaseError."""
        strange = sorted(set(told) - {"state", "root_cause", "workaround", "review", "owner", "incidents"})
        if strange:
            raise CaseError(f"a problem has no {strange[0]!r}")
        if told.get("state", "open") not in STATES:
            raise CaseError(f"a problem is {', '.join(STATES)}")
        if told.get("root_cause") not in {None, *ROOT_CAUSES}:
            raise CaseError(f"a root cause is one of {', '.join(ROOT_CAUSES)}")
        if told.get("state") == "known" and not told.get("workaround", "").strip():
            raise CaseError("a known problem has a workaround")
        safe = {name: cards.redact(value) if isinstance(value, str) else value for name, value in told.items()}
        now_ms = self._now_ms()
        solved = {"solved_ms": now_ms if told["state"] == "solved" else None} if "state" in told else {}
        with self._database.begin() as connection:
            changed = update(problems).where(problems.c.id == problem_id)
            if connection.execute(changed.values(**safe, **solved, updated_ms=now_ms)).rowcount == 0:
                raise NoCase(f"there is no problem {problem_id!r}")
            if record is not None:
                record(connection, problem_id)

    def link(self, act: Act, case_id: str, problem_id: str) -> None:
        """This case has that cause. Raises NoCase."""
        with book_of(self._database, self._policy, self._now_ms()) as book:
            case = book.find(act.scope, case_id)
            problem = book.connection.execute(select(problems).where(problems.c.id == problem_id)).mappings().first()
            if problem is None:
                raise NoCase(f"there is no problem {problem_id!r}")
            key = f"{case_id}:problem:{problem_id}:{case['updated_ms']}"
            facts = {"problem_id": problem_id}
            changes = {"problem_id": problem_id, "root_cause": problem["root_cause"] or case["root_cause"]}
            book.step(case, "problem", act.by, problem["title"], key=key, facts=facts, **changes)
            act.done(book.connection, case_id)


def candidates(connection: Connection, scope: Scope, now_ms: int, limit: int = 50) -> list[Candidate]:
    """Signatures of which a problem record should be made, those with most cases first."""
    count = func.count()
    named = (cases.c.signature, count, func.count(func.distinct(cases.c.terminal)))
    span = (func.min(cases.c.created_ms), func.max(cases.c.created_ms))
    known = select(problems.c.signature).where(problems.c.state != "solved")
    where = (*_recent(now_ms), cases.c.signature != "", cases.c.signature.not_in(known), scope.where(cases))
    query = select(*named, *span).where(*where).group_by(cases.c.signature).having(count >= MANY)
    return [Candidate(*row) for row in connection.execute(query.order_by(count.desc()).limit(limit))]


def behind(signature: str, now_ms: int) -> tuple[ColumnElement[bool], ...]:
    """Which cases a candidate counts."""
    return *_recent(now_ms), cases.c.signature == signature


def _recent(now_ms: int) -> tuple[ColumnElement[bool], ...]:
    return cases.c.created_ms > now_ms - 30 * DAY_MS, cases.c.problem_id.is_(None)


def cases_of(connection: Connection, scope: Scope, problem_id: str, limit: int = 200) -> Sequence[Any]:
    """The rows of the cases behind a problem, newest first."""
    query = select(cases).where(cases.c.problem_id == problem_id, scope.where(cases)).order_by(cases.c.id.desc())
    return connection.execute(query.limit(limit)).all()
