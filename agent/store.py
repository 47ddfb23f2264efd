"""The one SQLite file: what must survive a restart. Everything that speaks SQL to a file goes through `Store`.

Table `outbox` belongs to `agent.outbox`. Table `kept` holds small named texts in spaces: `kv` (counters, marks,
baselines), `fault` (raised faults), `command` (ids already taken), `seq` (last sequence numbers). All of `kept` is also
held in memory, so that reading it costs nothing and the agent goes on when the disk does not.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Literal, TypeVar

from agent.clock import PLAUSIBLE_SINCE, Clock
from agent.marks import Marks, later
from agent.wire import timestamp

Connection = sqlite3.Connection
T = TypeVar("T")
Space = Literal["kv", "fault", "command", "seq"]

FILE: Final = "posdiag.db"
APPLICATION_ID: Final = 0x706F7364  # "posd", stands in the file's header
SCHEMA: Final = 1
PAGE_BYTES: Final = 1024  # a change writes whole pages: a quarter of the usual size wears the flash half as much
CACHE_KIB: Final = 256  # memory is dearer here than reads
WAL_PAGES: Final = 512  # half a MiB between checkpoints
RETRY_S: Final = 5.0  # how often a disk that refused is tried again
COMMANDS_KEPT_S: Final = 3600  # commands live 300 s at most; the rest is for clocks that differ
COMMANDS_AFTER_LOSS_S: Final = 330  # whatever was taken before a store was lost has ended by then
_FLOOR: Final = "command_floor"
_TRIED: Final = "tried"
MARKED: Final = ("boot", "conn")  # counters of `kv` that, as all of `seq`, must never go back
CORPSES_KEPT: Final = 2  # files moved aside; more would fill the disk that broke them

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS kept (space TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,
  PRIMARY KEY (space, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outbox (id INTEGER PRIMARY KEY, class TEXT NOT NULL, boot INTEGER NOT NULL,
  seq INTEGER NOT NULL, suffix TEXT NOT NULL, payload BLOB NOT NULL, stamp INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS outbox_class ON outbox (class, id);
"""
_CORRUPT: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_BUSY: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_UNWRITABLE: Final = {
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_READONLY: "the file system is read-only",
    sqlite3.SQLITE_IOERR: "the disk reports an input/output error",
    sqlite3.SQLITE_CANTOPEN: "the file cannot be opened",
    sqlite3.SQLITE_PERM: "access is denied",
    sqlite3.SQLITE_NOLFS: "the file system takes no file of this size",
}


class StoreBusy(Exception):
    """Another process has the file: a second daemon with the same state directory."""


class StoreUnwritable(Exception):
    """The disk does not take data at the moment; the text says why in one line."""


class _Corrupt(Exception):
    """The file is not ours or not whole."""


class Store:
    """One open file, one connection, one lock. Opening never fails for a bad file or disk, only for a second daemon.

    `moved_aside` is (new name, why) of a corrupt or foreign file, or None. `unsaved` holds (class, boot, first, last)
    of rows that were numbered before this start and never came to the disk. `generation` grows whenever the file
    behind the connection may hold something else than before. Raises `StoreBusy` when another process has the file.
    """

    def __init__(self, state_dir: Path, max_bytes: int, clock: Clock) -> None:
        self.path = state_dir / FILE
        self.lock = threading.RLock()
        self.moved_aside: tuple[str, str] | None = None
        self.unsaved: list[tuple[str, int, int, int]] = []
        self.generation = 0
        self._max_bytes = max_bytes
        self._clock = clock
        self._db: Connection | None = None
        self._durable = True
        self._trouble = ""
        self._retry_at = 0.0
        self._kept: dict[Space, dict[str, str]] = {"kv": {}, "fault": {}, "command": {}, "seq": {}}
        self._dirty: set[tuple[Space, str]] = set()
        self._marks = Marks(state_dir)
        self._marked_before = self._marks.read()
        self._ensure_open()

    # --- the file ----------------------------------------------------------------------------------------------------

    def _ensure_open(self) -> Connection | None:
        """The connection, opened if need be; None while the disk refuses."""
        if self._db is not None:
            return self._db
        try:
            self._db = self._open()
        except _Corrupt as error:
            self._move_aside(str(error))
        except StoreBusy as error:
            if self.generation == 0:
                raise
            self._trouble = str(error)  # somebody took the file while the disk kept us from it
            self._retry_at = self._clock.monotonic() + RETRY_S
        except (sqlite3.Error, OSError) as error:
            self._refused(error)
        return self._db

    def _open(self) -> Connection:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        db = sqlite3.connect(self.path, timeout=0.5, isolation_level=None, check_same_thread=False)
        try:
            self._prepare(db)
        except (_Corrupt, sqlite3.Error) as error:
            db.close()
            if _code(error) in _BUSY:
                raise StoreBusy(f"{self.path} is in use by another process") from error
            if _code(error) in _CORRUPT:
                raise _Corrupt(str(error)) from error
            raise
        self._load(db)
        self._trouble = ""
        self._durable = True
        self.generation += 1
        return db

    def _prepare(self, db: Connection) -> None:
        db.execute(f"PRAGMA page_size = {PAGE_BYTES}")  # of a new file; another keeps its own
        db.execute("PRAGMA locking_mode = EXCLUSIVE")  # no second daemon, and no shared-memory file
        owner, schema = _pragma(db, "application_id"), _pragma(db, "user_version")
        tables = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
        if (owner, schema) != (APPLICATION_ID, SCHEMA) and (owner, schema, tables) != (0, 0, 0):
            raise _Corrupt("not a store of this version")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        db.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")
        db.execute(f"PRAGMA journal_size_limit = {WAL_PAGES * PAGE_BYTES}")
        db.execute(f"PRAGMA max_page_count = {self._max_bytes // _pragma(db, 'page_size')}")
        verdict = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            raise _Corrupt(str(verdict).splitlines()[0])
        if tables == 0:
            db.executescript(
                f"BEGIN;{_TABLES}PRAGMA application_id={APPLICATION_ID};PRAGMA user_version={SCHEMA};COMMIT"
            )

    def _load(self, db: Connection) -> None:
        """Take what the file knows; what memory knows and has not yet written is newer and stays."""
        saved = {(space, key): value for space, key, value in db.execute("SELECT space, key, value FROM kept")}
        for (space, key), value in saved.items():
            if space in self._kept and (space, key) not in self._dirty:
                self._kept[space][key] = value
        marked, self._marked_before = self._marked_before, {}
        for name, mark in marked.items():
            self._take_mark(name, mark, saved)

    def _take_mark(self, name: str, mark: str, saved: Mapping[tuple[Space, str], str]) -> None:
        """Go on from a number of an earlier start that is above what the file knows."""
        space: Space = "seq" if name.startswith("seq.") else "kv"
        key = name.partition(".")[2]
        known = saved.get((space, key))
        if not later(mark, known):
            return
        if space == "seq" and (known is not None or self.moved_aside is None):
            boot, last = (int(part) for part in mark.split(":"))
            known_boot, known_last = (int(part) for part in (known or "0:0").split(":"))
            self.unsaved.append((key, boot, 1 + (known_last if boot == known_boot else 0), last))
        if (space, key) not in self._dirty:
            self._kept[space][key] = mark
            if space == "kv":  # a number of `seq` goes to disk only together with what it counts, or its receipt
                self._dirty.add((space, key))

    def _mark(self) -> None:
        """Note the numbers in use where even a full disk can."""
        counters = {f"kv.{key}": text for key in MARKED if (text := self.get(key))}
        self._marks.write(counters | {f"seq.{cls}": text for cls, text in self._kept["seq"].items()})

    def _move_aside(self, why: str) -> None:
        """Give the bad file another name and start afresh; what memory holds is written to the new file."""
        name = f"{FILE}.corrupt-{timestamp(self._clock.wall()).replace(':', '')}"
        try:
            for suffix in ("-wal", "-shm", ""):
                old = self.path.with_name(FILE + suffix)
                if old.exists():
                    old.rename(self.path.with_name(name + suffix))
            self._bury()
            # Counters must never repeat a value the center has seen, and the file that knew them is gone.
            self._dirty |= {(space, key) for space, texts in self._kept.items() for key in texts}
            self.moved_aside = (name, why)
            floor = self._clock.wall() + COMMANDS_AFTER_LOSS_S
            self.keep("kv", {"counter_base": str(self._since_2026()), _FLOOR: str(floor)}, now=False)
            self._db = self._open()
        except (_Corrupt, sqlite3.Error, OSError) as error:
            self._refused(error)

    def _was_corrupt(self, db: Connection, error: sqlite3.DatabaseError) -> bool:
        """After an error of the open file: whether it was corrupt, and has been moved aside."""
        if _code(error) not in _CORRUPT:
            self._refused(error)
            return False
        db.close()
        self._db = None
        self._move_aside(str(error))
        return True

    def _since_2026(self) -> int:
        return max(0, int(self._clock.wall() - PLAUSIBLE_SINCE))

    def _bury(self) -> None:
        corpses = sorted(self.path.parent.glob(f"{FILE}.corrupt-*Z"))
        for corpse in corpses[:-CORPSES_KEPT]:
            for suffix in ("", "-wal", "-shm"):
                corpse.with_name(corpse.name + suffix).unlink(missing_ok=True)

    def _refused(self, error: Exception) -> None:
        """Remember why the disk does not take data, and when to try again. Raises what is a mistake of ours."""
        if isinstance(error, sqlite3.Error) and _code(error) not in _UNWRITABLE:
            raise error
        why = _UNWRITABLE.get(_code(error)) or getattr(error, "strerror", "") or str(error)
        again, self._trouble = bool(self._trouble), why
        self._retry_at = self._clock.monotonic() + RETRY_S
        if again and self._db is not None:
            self._db.close()  # trying again did not help; opening anew may. Until then what is there can be read
            self._db = None

    def close(self) -> None:
        """Write what waits, if the disk takes it, and close the file."""
        with self.lock:
            if self._dirty:
                self.recover(at_once=True)
            if self._db is not None:
                self._db.close()
                self._db = None
            self._trouble, self._retry_at = "it is closed", float("inf")

    # --- transactions ------------------------------------------------------------------------------------------------

    def write(self, work: Callable[[Connection], T], *, durable: bool) -> T:
        """Run `work` in one transaction together with everything kept that waits; on disk at return when `durable`.

        Without `durable` the data survives the death of the process, but perhaps not a loss of power.
        Raises `StoreUnwritable` when the disk refuses; then nothing of it has happened. `work` may run twice.
        """
        with self.lock:
            if self._trouble and self._clock.monotonic() < self._retry_at:
                self._mark()
                raise StoreUnwritable(self._trouble)
            for _ in range(2):
                db = self._ensure_open()
                if db is None:
                    break
                try:
                    return self._transact(db, work, durable=durable)
                except sqlite3.DatabaseError as error:
                    if not self._was_corrupt(db, error):
                        break
            self._mark()
            raise StoreUnwritable(self._trouble)

    def _transact(self, db: Connection, work: Callable[[Connection], T], *, durable: bool) -> T:
        if durable is not self._durable:
            db.execute("PRAGMA synchronous = FULL" if durable else "PRAGMA synchronous = NORMAL")
            self._durable = durable
        db.execute("BEGIN IMMEDIATE")
        try:
            result = work(db)
            for space, key in self._dirty:
                value = self._kept[space].get(key)
                if value is None:
                    db.execute("DELETE FROM kept WHERE space = ? AND key = ?", (space, key))
                else:
                    db.execute("INSERT OR REPLACE INTO kept VALUES (?, ?, ?)", (space, key, value))
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
        self._dirty.clear()
        self._trouble = ""
        return result

    def read(self, work: Callable[[Connection], T], default: T) -> T:
        """What `work` finds, or `default` while the file cannot be read."""
        with self.lock:
            if self._db is None:
                return default
            try:
                return work(self._db)
            except sqlite3.DatabaseError as error:
                self._was_corrupt(self._db, error)
                return default

    def recover(self, *, at_once: bool = False) -> bool:
        """Try a disk that refused, at most every 5 s, and write what waits. Returns whether data is being taken."""
        with self.lock:
            if at_once:
                self._retry_at = 0.0
            if self._db is not None and not self._dirty and not self._trouble:
                return True
            if self._trouble and not self._dirty:  # even a full disk takes a transaction with nothing in it
                self.keep("kv", {_TRIED: timestamp(self._clock.wall())}, now=False)
            try:
                self.write(lambda _: None, durable=True)
            except StoreUnwritable:
                return False
            return True

    def problems(self) -> list[str]:
        """What is wrong with the store now, one line each for people."""
        with self.lock:
            return [f"{self.path} takes no data: {self._trouble}"] if self._trouble else []

    # --- what is kept ------------------------------------------------------------------------------------------------

    def keep(self, space: Space, changes: Mapping[str, str | None], *, now: bool = True) -> None:
        """Set texts, or remove them with None; durable at return, or with the next transaction when not `now`.

        While the disk refuses, memory remembers, `problems` says so, and the disk gets it as soon as it can.
        """
        with self.lock:
            for key, value in changes.items():
                if value is None:
                    self._kept[space].pop(key, None)
                else:
                    self._kept[space][key] = value
                self._dirty.add((space, key))
            if now:
                self.recover()

    def hold_back(self, space: Space, values: Mapping[str, str]) -> None:
        """Set texts in memory, and take back that they shall go to disk: what they stand for has not gone there."""
        with self.lock:
            self._kept[space].update(values)
            self._dirty -= {(space, key) for key in values}

    def kept(self, space: Space) -> dict[str, str]:
        """All texts of a space."""
        with self.lock:
            return dict(self._kept[space])

    def get(self, key: str, default: str = "") -> str:
        """One text of space `kv`."""
        with self.lock:
            return self._kept["kv"].get(key, default)

    def bump(self, counter: str) -> int:
        """Add one to a counter of space `kv`, durably, and return it. The first is 1.

        After a store was lost, or while none can be read, counters go on from the seconds since 2026, so that no value
        comes twice.
        """
        with self.lock:
            unknown = 0 if self.generation else self._since_2026()
            value = 1 + int(self.get(counter) or self.get("counter_base") or unknown)
            self.keep("kv", {counter: str(value)})
            self._mark()
            return value

    def note_command(self, command_id: str, expires_at: float, state: str) -> bool:
        """Remember durably that a command was taken, or its newer state. Returns whether the id was new."""
        with self.lock:
            known = self._kept["command"]
            new = command_id not in known
            limit = self._clock.wall() - COMMANDS_KEPT_S
            ends = {old: float(text.split(" ", 1)[0]) for old, text in known.items()}
            forgotten = {old: end for old, end in ends.items() if end < limit}
            if forgotten:
                self.keep("kv", {_FLOOR: str(max(self.command_floor(), *forgotten.values()))}, now=False)
            changes: dict[str, str | None] = dict.fromkeys(forgotten)
            changes[command_id] = f"{expires_at} {state}"
            self.keep("command", changes)
            return new

    def command_floor(self) -> float:
        """Commands that end before this may have been taken and forgotten, should the clock have gone back since."""
        return float(self.get(_FLOOR) or "-inf")

    def commands(self) -> dict[str, str]:
        """Command ids remembered, each with its last state; for `interrupted` after a restart."""
        return {key: text.split(" ", 1)[1] for key, text in self.kept("command").items()}


def _pragma(db: Connection, name: str) -> int:
    return int(db.execute(f"PRAGMA {name}").fetchone()[0])


def _code(error: Exception) -> int:
    """SQLite's primary result code; the upper bits only refine it. -1 for what the library did not report itself."""
    code = getattr(error, "sqlite_errorcode", None)
    return -1 if code is None else code & 0xFF
