"""How an engine follows the feed: a page of changes after its cursor, which it saves with what it did about them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from center.db import feed
from center.db.aside import PATIENCE, put_aside, why
from center.db.engine import Database, is_poison
from center.db.feed import Change

MOST_ASIDE: Final = 20
"""So many changes in a row may be put aside; if none goes well between them, it is not the changes."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some changes in order. `more` says whether others may wait behind them."""

    name: str
    changes: list[Change]
    more: bool

    def keys(self, kind: str) -> set[str]:
        """The keys of the changes of this kind."""
        return {change.key for change in self.changes if change.kind == kind}

    def save(self, connection: Connection, now_ms: int) -> None:
        """They are dealt with: in the transaction that deals with them."""
        if self.changes:
            feed.save_cursor(connection, self.name, {"id": self.changes[-1].id}, now_ms)


def page(connection: Connection, name: str, most: int = 1000) -> Page:
    """What has changed since the page that was saved last under this name."""
    stored = feed.load_cursor(connection, name) or {}
    changes = feed.after(connection, int(stored.get("id", 0)), most)
    return Page(name, changes, len(changes) == most)


class Follower:
    """Pages for one engine. One that fails again and again is halved until one change is left, which is put aside."""

    def __init__(self, database: Database, name: str, most: int = 1000) -> None:
        self.name = name
        self._database = database
        self._most = self._now = most
        self._page: Page | None = None
        self._failures = 0
        self._doubted = 0  # the last change of a page that failed
        self._aside: list[int] = []

    def page(self, connection: Connection) -> Page:
        """The next page, inside of `trying`."""
        if self._now < self._most and _cursor(connection, self.name) >= self._doubted:
            self._now, self._failures = self._most, 0
        self._page = page(connection, self.name, self._now)
        return self._page

    @contextmanager
    def trying(self, now_ms: int) -> Iterator[None]:
        """Around what is done about a page; whatever is raised goes on."""
        self._page = None
        try:
            yield
        except Exception as error:  # counted here, and raised again for who runs the engine to tell
            if is_poison(error):
                self._failed(error, now_ms)
            raise

    def _failed(self, error: Exception, now_ms: int) -> None:
        if self._page is None or not self._page.changes:
            return
        first, last = self._page.changes[0], self._page.changes[-1]
        with self._database.begin() as connection:
            if _cursor(connection, self.name) >= last.id:
                return  # they were dealt with; what failed came afterwards
            self._failures += 1
            self._doubted = max(self._doubted, last.id)
            if self._failures < PATIENCE:
                return
            if len(self._page.changes) > 1:
                self._now = len(self._page.changes) // 2
            elif self._may_put_aside(first.id):
                topic = f"{self.name}/{first.kind}/{first.estate or ''}/{first.terminal or ''}"
                put_aside(connection, topic, why(error), first.key, now_ms)
                self._page.save(connection, now_ms)

    def _may_put_aside(self, change_id: int) -> bool:
        """Not if it is one of many that follow each other."""
        self._aside = [each for each in self._aside if each >= change_id - MOST_ASIDE]
        if len(self._aside) >= MOST_ASIDE:
            return False
        self._aside.append(change_id)
        return True


def _cursor(connection: Connection, name: str) -> int:
    return int((feed.load_cursor(connection, name) or {}).get("id", 0))
