"""How an engine follows the feed: a page of changes after its cursor, which it saves with what it did about them."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from center.db import feed
from center.db.feed import Change


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
