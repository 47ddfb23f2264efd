"""The head of the audit's chain, handed out once a day: who keeps one can show later that nothing was cut off.

It goes as `audit.head` to the channels and webhooks that ask for it, and as a line of JSON into a file: `day` (in UTC),
`row`, its id, and `hash`. The newest line is looked up again before the next is added.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, make_url, select

from center.db.engine import Database, insert_ignore
from center.db.tables import audit, outbox
from center.domain import posts

EVENT: Final = "audit.head"
FILE: Final = "audit-heads.jsonl"
_DAY_MS: Final = 86_400_000


class CutOffError(Exception):
    """A head that was handed out is in the chain no more."""


class AuditHeads:
    """An engine; see `center.domain.engines`. A head that is missing is its problem, and so the center's alarm."""

    name = "audit-heads"

    def __init__(self, database: Database, file: Path) -> None:
        self._database = database
        self._file = file
        self._day = -1

    def step(self, now_ms: int) -> bool:
        """Hand out today's head, if it was not yet. Never has more to do at once."""
        if now_ms // _DAY_MS == self._day:
            return False
        day = datetime.fromtimestamp(now_ms / 1000, UTC).date().isoformat()
        with self._database.read() as connection:
            row = connection.execute(select(audit.c.id, audit.c.hash).order_by(audit.c.id.desc()).limit(1)).first()
            lost = missing(connection, list(kept(self._file))[-1:])
        if lost:
            raise CutOffError(f"the audit has lost row {lost[0]['row']}, its head of {lost[0]['day']}")
        if row is not None:
            head = self._kept({"day": day, "row": row.id, "hash": row.hash})
            with self._database.begin() as connection:
                insert_ignore(connection, outbox, [_post(head, now_ms)])
            self._day = now_ms // _DAY_MS
        return False

    def _kept(self, head: dict[str, Any]) -> dict[str, Any]:
        """The line of this day, which is there already where a kill came before the rest."""
        lines = list(kept(self._file))
        if lines and lines[-1]["day"] >= head["day"]:
            return lines[-1]
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._file.open("a", encoding="ascii") as out:
            out.write(json.dumps(head) + "\n")
            out.flush()
            os.fsync(out.fileno())
        return head


def file_of(url: str, folder: Path) -> Path:
    """Where the heads of one database are kept: beside its file, or in `folder` where a server has it."""
    file = Database.file_of(url)
    if file is not None:
        return file.with_name(f"{file.stem}.{FILE}")
    return folder / f"{Path(make_url(url).database or '').name}.{FILE}"


def kept(file: Path) -> Iterator[dict[str, Any]]:
    """The heads in a file, oldest first; none where there is no file. A line that a kill cut off is left out."""
    try:
        lines = file.read_text("ascii", "replace").splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        try:
            head = json.loads(line)
        except ValueError:
            continue
        if isinstance(head, dict) and isinstance(head.get("row"), int) and {"day", "hash"} <= head.keys():
            yield head


def missing(connection: Connection, heads: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that are in the chain no more."""
    ids = [head["row"] for head in heads]
    found: dict[int, str] = {}
    for start in range(0, len(ids), 500):
        query = select(audit.c.id, audit.c.hash).where(audit.c.id.in_(ids[start : start + 500]))
        found |= {row.id: row.hash for row in connection.execute(query)}
    return [head for head in heads if found.get(head["row"]) != head["hash"]]


def _post(head: dict[str, Any], now_ms: int) -> dict[str, Any]:
    subject = f"posdiag audit, head of {head['day']}: row {head['row']}"
    return posts.notify(f"{EVENT}:{head['day']}", EVENT, now_ms, subject=subject, body=head["hash"], facts=head)
