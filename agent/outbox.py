"""What waits to be sent: put, take, settle on PUBACK. Nothing is lost without a receipt.

A row is one message of a queued class. Its `id` orders all rows of this process; `(boot, class, seq)` is its name for
the center. A row leaves when the broker has acknowledged it, or by quota, and then a `store.gap` event says which.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from agent.cards import clean_json
from agent.clock import Clock
from agent.config import MOST_HOURS, StoreConfig
from agent.rows import CLASSES, ROW_BYTES, Receipts, Row, delete, expire, insert, make_room
from agent.store import Connection, Store, StoreUnwritable
from agent.wire import MAX_PACKET_BYTES, QueuedClass, dumps, timestamp

MAX_PAYLOAD_BYTES: Final = MAX_PACKET_BYTES - 512  # topic, properties and "late" still fit
FILL: Final = 0.7  # of max_bytes; the rest is half-empty pages and index
RESERVE: Final = 0.1  # of the limit is freed beyond what is needed, so that eviction is rare
MEMORY_BYTES: Final = 256 * 1024  # rows that wait in memory while the disk refuses
LEFT_MOST: Final = 8  # delivered batches of telemetry that may stand in the file until something is written anyway
SWEEP_S: Final = 600.0  # how often rows are looked over for age; quotas are in hours


class Outbox:
    """The queue on disk. Thread-safe. `wake` is called after new rows are in it, on the caller's thread."""

    def __init__(self, store: Store, clock: Clock, boot: int, config: StoreConfig) -> None:
        self.wake: Callable[[], None] = lambda: None
        self.drops: dict[str, int] = {}
        self._store = store
        self._clock = clock
        self._boot = boot
        self._limit = int(config.max_bytes * FILL)
        event_s, telemetry_s = _seconds(config.event_hours), _seconds(config.telemetry_hours)
        self._kept_s: dict[QueuedClass, int] = {"event": event_s, "result": event_s, "telemetry": telemetry_s}
        self._memory: list[Row] = []
        self._settled: dict[int, int] = {}
        """Ids of rows that were delivered and may still stand in the file, each with its cost."""
        self._receipts = Receipts()
        self._bytes = 0
        self._generation = -1
        # A file that cannot be opened yet may hold rows; numbers from the time stay above all of theirs.
        self._next_id = 1 if store.generation else time.time_ns()
        self._stamp_base = 0.0
        self._sweep_at = clock.monotonic() + SWEEP_S
        self._seq = dict.fromkeys(CLASSES, 0)
        for cls, text in store.kept("seq").items():
            known_boot, seq = text.split(":")
            if cls in CLASSES and int(known_boot) == boot:
                self._seq[cls] = int(seq)
        self._told_reset: tuple[str, str] | None = None
        self.forgot = False
        """Whether an earlier start may have told faults from memory, which nobody remembers. Taken back by who acts."""
        self._refresh()
        self._tell_reset()
        self._tell_unsaved()

    def _refresh(self) -> None:
        """Look at the file again when the store has opened it anew."""
        if self._generation == self._store.generation:
            return
        query = (
            "SELECT coalesce(max(id), 0), coalesce(max(stamp), 0), coalesce(sum(length(payload) + ?), 0) FROM outbox"
        )
        empty = (0, 0, 0)
        newest, stamp, size = self._store.read(lambda db: db.execute(query, (ROW_BYTES,)).fetchone(), empty)
        self._next_id = max(self._next_id, newest + 1)
        self._stamp_base = max(self._stamp_base, stamp - self._clock.up_s())
        self._bytes = size
        self._generation = self._store.generation

    def _tell_reset(self) -> None:
        """Log it when the file had to be moved aside: the rows in it are gone."""
        moved = self._store.moved_aside
        if moved is not None and moved != self._told_reset:
            self._told_reset = moved
            self.put("event", {"event": "store.reset", "data": {"moved_to": moved[0], "why": moved[1]}})

    def _tell_unsaved(self) -> None:
        """Receipts for rows that an earlier start kept in memory only; some of them may have been delivered."""
        while self._store.unsaved:
            cls, boot, first, last = self._store.unsaved.pop(0)
            self._store.keep("seq", {cls: f"{boot}:{last}"}, now=False)
            self.forgot |= cls == "event"
            gap = {"class": cls, "boot": boot, "first": first, "last": last, "n": last - first + 1, "why": "memory"}
            self.put("event", {"event": "store.gap", "data": gap})

    def _account(self, change: int) -> None:
        """Count bytes that a transaction added or freed; a file opened anew by it is counted from the start."""
        if self._generation == self._store.generation:
            self._bytes += change
        self._refresh()

    def _remember_seq(self, rows: Sequence[Row]) -> None:
        """Stage the last sequence numbers, so that they go to disk with the rows."""
        self._store.keep("seq", {row.cls: f"{row.boot}:{row.seq}" for row in rows}, now=False)

    def _stamp(self) -> int:
        """Seconds that grow from boot to boot, so that a jump of the wall can neither age nor rejuvenate a row."""
        return int(self._stamp_base + self._clock.up_s())

    # --- put ---------------------------------------------------------------------------------------------------------

    def put(
        self,
        cls: QueuedClass,
        body: Mapping[str, Any],
        *,
        suffix: str = "",
        faults: Mapping[str, str | None] | None = None,
    ) -> int:
        """Add one message and return its seq; an event or result is on disk then. See `put_all`."""
        return self.put_all([(cls, body, suffix)], faults=faults)[0]

    def put_all(
        self,
        messages: Sequence[tuple[QueuedClass, Mapping[str, Any], str]],
        *,
        faults: Mapping[str, str | None] | None = None,
        wake: bool = True,
    ) -> list[int]:
        """Add (class, body, topic suffix or "") in one transaction and return their seqs.

        The header (`v`, `boot`, `at`, `up_ms`, `clock`, `seq`) is made here; a body may bring its own `at` and `up_ms`.
        `faults` goes to the store's space `fault` in the same transaction. Raises ValueError for a payload that no
        packet can carry. While the disk refuses, rows wait in memory and `problems` says so. Without `wake` the caller
        wakes the sender.
        """
        with self._store.lock:
            self._refresh()
            rows: list[Row] = []
            before = dict(self._seq), self._next_id
            try:
                rows = [self._row(cls, body, suffix) for cls, body, suffix in messages]
            except ValueError:
                self._seq, self._next_id = before
                raise
            if faults:
                self._store.keep("fault", faults, now=False)
            self._save(rows, durable=any(row.cls != "telemetry" for row in rows))
            if self._bytes > self._limit or self._clock.monotonic() >= self._sweep_at:
                self._evict()
        if wake:
            self.wake()
        return [row.seq for row in rows]

    def _row(self, cls: QueuedClass, body: Mapping[str, Any], suffix: str) -> Row:
        seq = self._seq[cls] + 1
        header = {
            "v": 1,
            "boot": self._boot,
            "at": timestamp(self._clock.wall()),
            "up_ms": self._clock.up_ms(),
            "clock": self._clock.quality(),
        }
        payload = clean_json(dumps({**header, **body, "boot": self._boot, "seq": seq}))
        if len(payload) > MAX_PAYLOAD_BYTES:
            raise ValueError(f"{cls} of {len(payload)} bytes, more than {MAX_PAYLOAD_BYTES}")
        row = Row(self._next_id, cls, self._boot, seq, suffix or cls, payload, self._stamp())
        self._seq[cls] = seq
        self._next_id += 1
        return row

    def _save(self, rows: Sequence[Row], *, durable: bool) -> None:
        """Write rows, those that wait in memory and receipts for what memory dropped, all or nothing."""
        waiting = [*self._memory, *rows]
        before = dict(self._seq), self._next_id
        told = [self._row("event", body, "") for body in self._receipts.events()]
        self._remember_seq([*waiting, *told])
        try:
            freed = self._store.write(
                lambda db: self._exchange(db, [*waiting, *told]), durable=durable or bool(self._memory)
            )
        except StoreUnwritable:
            self._seq, self._next_id = before
            self._hold_seq_back()
            self._memory = waiting
            self._trim_memory()
            return
        receipts, self._receipts = self._receipts, Receipts()
        self._count(receipts)
        self._memory = []
        self._settled.clear()
        self._account(sum(row.cost for row in (*waiting, *told)) - freed)

    def _exchange(self, db: Connection, rows: Sequence[Row]) -> int:
        """Rows in, what was delivered out; returns the bytes freed."""
        freed = delete(db, list(self._settled))
        insert(db, rows)
        return freed

    def _hold_seq_back(self) -> None:
        """Numbers of rows that are in memory only must not come to disk before them: nobody would miss the rows."""
        self._store.hold_back("seq", {cls: f"{self._boot}:{seq}" for cls, seq in self._seq.items() if seq})

    def _trim_memory(self) -> None:
        """Keep the memory's share: oldest telemetry goes first, then results, then events."""
        excess = sum(row.cost for row in self._memory) - MEMORY_BYTES
        if excess <= 0:
            return
        dropped: set[int] = set()
        for cls in reversed(CLASSES):
            for row in self._memory:
                if row.cls == cls and excess > 0:
                    dropped.add(row.id)
                    excess -= row.cost
                    self._receipts.add(row.cls, row.boot, row.seq, "disk")
        self._memory = [row for row in self._memory if row.id not in dropped]

    def _count(self, receipts: Receipts) -> None:
        for why, number in receipts.dropped.items():
            self.drops[why] = self.drops.get(why, 0) + number

    # --- take --------------------------------------------------------------------------------------------------------

    def last_id(self) -> int:
        """The id of the newest row so far."""
        with self._store.lock:
            self._refresh()
            return self._next_id - 1

    def after(self, row_id: int, limit: int) -> list[Row]:
        """Rows of any class with a greater id, oldest first."""
        return self._select("id > ?", (row_id,), limit, lambda row: row.id > row_id, newest_first=False)

    def between(self, cls: QueuedClass, low: int, high: int, limit: int, *, newest_first: bool) -> list[Row]:
        """Rows of one class with low < id <= high."""
        return self._select(
            "class = ? AND id > ? AND id <= ?",
            (cls, low, high),
            limit,
            lambda row: row.cls == cls and low < row.id <= high,
            newest_first=newest_first,
        )

    def _select(
        self,
        where: str,
        values: tuple[object, ...],
        limit: int,
        matches: Callable[[Row], bool],
        *,
        newest_first: bool,
    ) -> list[Row]:
        """Rows from disk and memory; those in memory are always the newer ones."""
        order = "DESC" if newest_first else "ASC"
        query = (
            "SELECT id, class, boot, seq, suffix, payload, stamp FROM outbox"  # noqa: S608 - texts from above only
            f" WHERE {where} ORDER BY id {order} LIMIT ?"
        )
        with self._store.lock:
            # What is settled and could not be deleted stands among the rows, so that many more are asked for.
            ask = (*values, limit + len(self._settled))
            on_disk: list[Any] = self._store.read(lambda db: db.execute(query, ask).fetchall(), [])
            rows = [Row(*found) for found in on_disk] + [row for row in self._memory if matches(row)]
            rows.sort(key=lambda row: row.id, reverse=newest_first)
            return [row for row in rows if row.id not in self._settled][:limit]

    # --- settle ------------------------------------------------------------------------------------------------------

    def settle(self, rows: Sequence[Row]) -> None:
        """Forget rows that the broker has acknowledged. What a crash undoes of it is sent twice, never lost.

        A batch of telemetry leaves the file with the next rows that go in: a transaction of its own for each would
        double what is written in a quiet day.
        """
        with self._store.lock:
            gone = {row.id: row.cost for row in rows}
            in_memory = {row.id for row in self._memory}
            self._memory = [row for row in self._memory if row.id not in gone]
            self._settled |= {row_id: cost for row_id, cost in gone.items() if row_id not in in_memory}
            if len(self._settled) > LEFT_MOST or any(row.cls != "telemetry" for row in rows):
                self._delete_settled()

    def close(self) -> None:
        """Nothing more is sent; what was delivered leaves the file, else the next start would send it again."""
        with self._store.lock:
            self._delete_settled()

    def _delete_settled(self) -> None:
        if not self._settled:
            return
        try:
            freed = self._store.write(lambda db: self._exchange(db, []), durable=False)
        except StoreUnwritable:
            return
        self._settled.clear()
        self._account(-freed)

    def drop(self, row: Row, why: str) -> None:
        """Give up one row that the broker can never take, with a receipt."""
        with self._store.lock:
            receipts = Receipts()
            receipts.add(row.cls, row.boot, row.seq, why)
            self._count(receipts)
            self._settled[row.id] = row.cost
            self._memory = [waiting for waiting in self._memory if waiting.id != row.id]
            self._save([self._row("event", body, "") for body in receipts.events()], durable=True)
            self._delete_settled()

    # --- quotas ------------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Try a disk that refused once more, and let go what is too old. Cheap; call every few seconds."""
        with self._store.lock:
            self._tell_reset()
            self._tell_unsaved()
            if (self._memory or self._store.problems()) and self._store.recover():
                self._save([], durable=True)
                self._delete_settled()
            if self._clock.monotonic() >= self._sweep_at:
                self._evict()

    def _evict(self) -> None:
        """Bring the store within its quotas; what goes and the receipts for it are one transaction."""
        self._sweep_at = self._clock.monotonic() + SWEEP_S
        before = dict(self._seq), self._next_id
        receipts = Receipts()
        try:
            change = self._store.write(lambda db: self._enforce(db, receipts), durable=True)
        except StoreUnwritable:
            self._seq, self._next_id = before
            self._hold_seq_back()
            return
        self._count(receipts)
        self._settled.clear()
        self._account(change)

    def _enforce(self, db: Connection, receipts: Receipts) -> int:
        now = self._stamp()
        freed = self._exchange(db, [])  # what was delivered needs no receipt
        freed += expire(db, receipts, {cls: now - seconds for cls, seconds in self._kept_s.items()})
        if self._bytes - freed > self._limit:
            freed += make_room(db, receipts, self._bytes - freed - self._limit, int(self._limit * RESERVE))
        rows = [self._row("event", body, "") for body in receipts.events()]
        self._remember_seq(rows)
        insert(db, rows)
        return sum(row.cost for row in rows) - freed

    # --- what people see ---------------------------------------------------------------------------------------------

    def problems(self) -> list[str]:
        """The store's troubles and what they mean for rows, one line each."""
        with self._store.lock:
            lines = self._store.problems()
            if lines and self._memory:
                lines.append(f"{len(self._memory)} messages wait in memory only and would be lost with the power")
            return lines

    def depth(self) -> dict[str, Any]:
        """`rows` by class, `bytes`, `fill` (share of the limit), `hours` (age of the oldest row), `drops` by reason."""
        with self._store.lock:
            left = (
                {} if self._store.problems() else self._settled
            )  # while the disk refuses, it keeps what was delivered
            marks = ",".join("?" * len(left))
            query = f"SELECT class, count(*), min(stamp) FROM outbox WHERE id NOT IN ({marks}) GROUP BY class"  # noqa: S608 - marks
            found: list[Any] = self._store.read(lambda db: db.execute(query, [*left]).fetchall(), [])
            size = self._bytes - sum(left.values())
            rows = {cls: count for cls, count, _ in found}
            stamps = [stamp for _, _, stamp in found] + [row.stamp for row in self._memory[:1]]
            for row in self._memory:
                rows[row.cls] = rows.get(row.cls, 0) + 1
            return {
                "rows": rows,
                "bytes": size + sum(row.cost for row in self._memory),
                "fill": round(size / self._limit, 3),
                "hours": round((self._stamp() - min(stamps, default=self._stamp())) / 3600, 2),
                "drops": dict(self.drops),
            }


def _seconds(hours: float) -> int:
    """Whole seconds, of more hours than may be configured (infinity and NaN too) as many as may."""
    return int(3600 * hours) if hours <= MOST_HOURS else 3600 * MOST_HOURS
