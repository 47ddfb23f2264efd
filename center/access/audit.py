"""Who read and did what: rows that only grow, each with a hash over itself and the one before.

So a row that was changed, taken out or slipped in shows. That the end was cut off shows to whoever kept an earlier
head: `verify` says whether that head is still in the chain.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, select, text

from center.db.engine import bulk_insert
from center.db.tables import audit

START: Final = "0" * 64
"""The hash before the first row."""
_LOCK: Final = 0x706F7361  # "posa"
_PAGE: Final = 2000


@dataclass(frozen=True, slots=True)
class Entry:
    """One line. `who` did `what` to `target`; `detail` holds no secret."""

    at_ms: int
    who: str
    what: str
    target: str = ""
    detail: Mapping[str, Any] | None = None

    def after(self, prev: str) -> str:
        """The hash of this entry when it follows `prev`."""
        values = [prev, self.at_ms, self.who, self.what, self.target, self.detail]
        line = json.dumps(values, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(line.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class Verified:
    """What a look at the whole chain found. `broken_id` is the first row that does not fit, None if all do.

    `seen` says whether the head that was asked for is there, None if none was.
    """

    rows: int
    head: str
    broken_id: int | None = None
    seen: bool | None = None


def append(connection: Connection, entries: Iterable[Entry]) -> None:
    """Append, in the transaction of what is being recorded. One at a time, in all processes."""
    some = list(entries)
    if not some:
        return
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    prev = connection.execute(select(audit.c.hash).order_by(audit.c.id.desc()).limit(1)).scalar() or START
    rows = []
    for each in some:
        clean = Entry(each.at_ms, _clean(each.who), _clean(each.what), _clean(each.target), _plain(each.detail))
        digest = clean.after(prev)
        rows.append(
            {
                "at_ms": clean.at_ms,
                "who": clean.who,
                "what": clean.what,
                "target": clean.target,
                "detail": clean.detail,
                "prev": prev,
                "hash": digest,
            }
        )
        prev = digest
    bulk_insert(connection, audit, rows)


def verify(connection: Connection, seen: str = "") -> Verified:
    """Recompute every hash. `seen` is a head that somebody kept earlier."""
    prev, rows, found = START, 0, False
    for row in every(connection):
        entry = Entry(row.at_ms, row.who, row.what, row.target, row.detail)
        if row.prev != prev or row.hash != entry.after(prev):
            return Verified(rows, prev, row.id, found if seen else None)
        prev, rows = row.hash, rows + 1
        found = found or prev == seen
    return Verified(rows, prev, None, found if seen else None)


def every(connection: Connection, after: int = 0) -> Iterator[Any]:
    """All rows in order, a page in memory at a time."""
    while True:
        page = connection.execute(select(audit).where(audit.c.id > after).order_by(audit.c.id).limit(_PAGE)).all()
        yield from page
        if len(page) < _PAGE:
            return
        after = page[-1].id


def _clean(value: str) -> str:
    """Without what PostgreSQL cannot hold in a text."""
    return value.encode("utf-8", "replace").decode().replace("\x00", "�")[:1000]


def _plain(detail: Mapping[str, Any] | None) -> Any:
    """As JSON gives it back, so that the hash of what is stored is the hash of what was meant."""
    if detail is None:
        return None
    whole = json.dumps(detail, ensure_ascii=False, default=str).encode("utf-8", "replace").decode()
    return json.loads(whole.replace("\\u0000", "\\ufffd"))
