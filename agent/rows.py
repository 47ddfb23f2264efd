"""The rows of the outbox on disk: SQL for adding, removing and making room. Every removal notes a receipt."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from agent.store import Connection
from agent.wire import QueuedClass

CLASSES: Final[tuple[QueuedClass, ...]] = ("event", "result", "telemetry")
"""In the order in which they are sent after an outage; the last is the first to go when room is short."""
ROW_BYTES: Final = 100  # what a row costs beside its payload
DROP_ROWS: Final = 8  # at a time
THIN_ABOVE: Final = 32  # fewer telemetry rows than this are not worth thinning


@dataclass(frozen=True, slots=True)
class Row:
    """One message that waits. `payload` is its JSON object; `stamp` is when it came, see `Outbox`."""

    id: int
    cls: QueuedClass
    boot: int
    seq: int
    suffix: str
    payload: bytes
    stamp: int

    def body(self, *, late: bool) -> bytes:
        """The payload as it is sent; `late` marks what is older than the outage's end."""
        return self.payload[:-1] + b',"late":true}' if late else self.payload

    @property
    def cost(self) -> int:
        """The bytes that it counts against the quota."""
        return len(self.payload) + ROW_BYTES


@dataclass(slots=True)
class Receipts:
    """What was dropped: (class, boot, why) to [first seq, last seq, how many]; `dropped` counts rows by reason."""

    entries: dict[tuple[str, int, str], list[int]] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)

    def add(self, cls: str, boot: int, seq: int, why: str) -> None:
        self.dropped[why] = self.dropped.get(why, 0) + 1
        entry = self.entries.setdefault((cls, boot, why), [seq, seq, 0])
        entry[0], entry[1], entry[2] = min(entry[0], seq), max(entry[1], seq), entry[2] + 1

    def take_over(self, payload: bytes) -> None:
        """A receipt is itself being dropped: the new ones say what it said."""
        message = json.loads(payload)
        if message["event"] != "store.gap":
            return
        data = message["data"]
        entry = self.entries.setdefault((data["class"], data["boot"], data["why"]), [data["first"], data["last"], 0])
        entry[0], entry[1], entry[2] = min(entry[0], data["first"]), max(entry[1], data["last"]), entry[2] + data["n"]

    def events(self) -> list[dict[str, Any]]:
        """One `store.gap` event body for each entry. Not every seq from first to last need be gone: `n` are."""
        return [
            {
                "event": "store.gap",
                "data": {"class": cls, "boot": boot, "first": first, "last": last, "n": number, "why": why},
            }
            for (cls, boot, why), (first, last, number) in self.entries.items()
        ]


def insert(db: Connection, rows: Sequence[Row]) -> None:
    """Add rows."""
    db.executemany(
        "INSERT INTO outbox (id, class, boot, seq, suffix, payload, stamp) VALUES (?, ?, ?, ?, ?, ?, ?)",
        [(row.id, row.cls, row.boot, row.seq, row.suffix, row.payload, row.stamp) for row in rows],
    )


def delete(db: Connection, ids: Sequence[int]) -> int:
    """Remove delivered rows and return the bytes freed."""
    freed = 0
    for row_id in ids:
        found = db.execute("SELECT length(payload) FROM outbox WHERE id = ?", (row_id,)).fetchone()
        freed += 0 if found is None else found[0] + ROW_BYTES
    db.executemany("DELETE FROM outbox WHERE id = ?", [(row_id,) for row_id in ids])
    return freed


def expire(db: Connection, receipts: Receipts, oldest: Mapping[QueuedClass, int]) -> int:
    """Remove what is older than its class may be, by stamp; return the bytes freed."""
    return sum(
        _remove(db, receipts, "expired", "class = ? AND stamp < ?", (cls, stamp)) for cls, stamp in oldest.items()
    )


def make_room(db: Connection, receipts: Receipts, over: int, reserve: int) -> int:
    """Free `over` bytes and if possible `reserve` more, so that this is rare; return the bytes freed.

    Telemetry is thinned, then dropped oldest first. Results and events go, oldest first, only when that is not enough.
    """
    freed = 0
    while freed < over + reserve:
        step = _thin(db, receipts) or _drop_oldest(db, receipts, "telemetry")
        if step == 0:
            break
        freed += step
    if freed >= over:
        return freed
    while freed < over + reserve:
        step = _drop_oldest(db, receipts, "result") or _drop_oldest(db, receipts, "event")
        if step == 0:
            break
        freed += step
    return freed


def _thin(db: Connection, receipts: Receipts) -> int:
    """Remove every second row of the older half of telemetry: a coarser past is better than none."""
    count = db.execute("SELECT count(*) FROM outbox WHERE class = 'telemetry'").fetchone()[0]
    if count < THIN_ABOVE:
        return 0
    older = db.execute("SELECT id FROM outbox WHERE class = 'telemetry' ORDER BY id LIMIT ?", (count // 2,))
    ids = [row_id for (row_id,) in older.fetchall()][::2]
    return sum(_remove(db, receipts, "thinned", "id = ?", (row_id,)) for row_id in ids)


def _drop_oldest(db: Connection, receipts: Receipts, cls: QueuedClass) -> int:
    where = "id IN (SELECT id FROM outbox WHERE class = ? ORDER BY id LIMIT ?)"
    return _remove(db, receipts, "full", where, (cls, DROP_ROWS))


def _remove(db: Connection, receipts: Receipts, why: str, where: str, values: tuple[object, ...]) -> int:
    """Delete rows, note each in the receipts, and return the bytes freed. `where` is one of the texts above."""
    query = f"SELECT class, boot, seq, payload FROM outbox WHERE {where} ORDER BY id"  # noqa: S608 - own texts
    found = db.execute(query, values).fetchall()
    if not found:
        return 0
    for cls, boot, seq, payload in found:
        receipts.add(cls, boot, seq, why)
        if b'"event":"store.gap"' in payload:
            receipts.take_over(payload)
    db.execute(f"DELETE FROM outbox WHERE {where}", values)  # noqa: S608 - own texts
    return sum(len(payload) + ROW_BYTES for _, _, _, payload in found)
