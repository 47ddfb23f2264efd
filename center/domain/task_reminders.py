"""Tells people, by the channels that asked for `task.due`, when something that is to be done for a case becomes due."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import select

from center.db import feed
from center.db.engine import Database, insert_ignore
from center.db.tables import case_tasks, cases, outbox
from center.domain import posts
from center.domain.cases_book import number_text

EVENT: Final = "task.due"
_CURSOR: Final = "task-reminders"
_OVERLAP_MS: Final = 60_000
"""What was being written down while the step before looked, the next sees; its key keeps it from a second telling."""
_SUBJECT: Final = {"call_back": "call the merchant back", "follow_up": "to be done"}


class TaskReminders:
    """An engine; see `center.domain.engines`. What became due while no center ran is told when one does again."""

    name = "tasks"

    def __init__(self, database: Database) -> None:
        self._database = database
        self._until_ms: int | None = None

    def step(self, now_ms: int) -> bool:
        """Tell of what became due since the last step."""
        with self._database.read() as connection:
            if self._until_ms is None:
                self._until_ms = int((feed.load_cursor(connection, _CURSOR) or {}).get("until_ms", 0))
            became = case_tasks.c.due_ms > self._until_ms - _OVERLAP_MS, case_tasks.c.due_ms <= now_ms
            waits = case_tasks.c.done_ms.is_(None), cases.c.state != "closed"
            named = [cases.c[name] for name in ("number", "title", "estate", "terminal", "site", "severity", "team")]
            query = select(case_tasks, *named).join(cases, cases.c.id == case_tasks.c.case_id)
            rows = connection.execute(query.where(*became, *waits).order_by(case_tasks.c.due_ms)).all()
        if rows:
            with self._database.begin() as connection:
                insert_ignore(connection, outbox, [_post(row, now_ms) for row in rows])
                feed.save_cursor(connection, _CURSOR, {"until_ms": now_ms}, now_ms)
        self._until_ms = now_ms
        return False


def _post(row: Any, now_ms: int) -> dict[str, Any]:
    about = {
        name: getattr(row, name) for name in ("estate", "terminal", "site", "severity", "team", "owner", "case_id")
    }
    number = number_text(row.number)
    facts = {**about, "number": number, "task": row.id, "kind": row.kind, "due_ms": row.due_ms}
    subject = f"{number}: {_SUBJECT[row.kind]}: {row.title}"
    return posts.notify(f"{EVENT}:{row.id}", EVENT, now_ms, subject=subject, body=row.text, facts=facts)
