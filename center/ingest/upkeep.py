"""What the store needs beside the messages: roll-ups, gaps, partitions, and an end to what is kept.

One process does it, whoever holds the lease. It follows what was received by time, `feed.SETTLED_MS` behind, when all
of it is there; what it has done and how far it is are committed together, so it may be killed anywhere.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import Connection, Table, and_, delete, func, select, tuple_
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql import ColumnElement

from agent.wire import PREFIX
from center.db import feed, lease
from center.db.aside import PATIENCE, apart, put_aside, why
from center.db.engine import Database, among, is_poison, reason, upsert
from center.db.tables import (
    heartbeat,
    telemetry,
)
from center.domain.selfwatch import UPKEEP, SelfWatch
from center.ingest import partitions, retention, rollup
from center.ingest.gaps import CLASSES, look
from center.ingest.retention import DAY_MS
from center.ingest.writer import now_ms
from center.settings import Settings

log = logging.getLogger("posdiag.center.upkeep")

PAUSE_S: Final = 5.0
LEASE_MS: Final = 60_000
WINDOW_ROWS: Final = 20_000
DELETED_ROWS: Final = 5_000  # in one transaction, so that no worker waits long
CLEAN_MS: Final = 3_600_000
_SOME: Final = 200  # rows in one statement that names them


class Upkeep:
    """`step` is called every few seconds, by one thread."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        self._cleaned_ms = 0
        self._failures: dict[str, tuple[int, int]] = {}  # of each class: the begin of a window, and how often it failed
        self._began = 0.0

    def step(self, now_ms: int) -> bool:
        """Do what there is to do. Returns False when another process holds the lease."""
        self._began = time.monotonic()
        if not self._leased(now_ms):
            return False
        self._partitions(now_ms)
        until_ms = now_ms - feed.SETTLED_MS
        for cls in CLASSES:
            while self._follow(cls, until_ms, now_ms):
                if not self._leased(now_ms):
                    return False
        if now_ms - self._cleaned_ms >= CLEAN_MS:
            self._clean(now_ms)
            self._cleaned_ms = now_ms
        return True

    def _leased(self, now_ms: int) -> bool:
        """Hold on to the lease, also in a step that takes long and began at `now_ms`."""
        so_far_ms = round((time.monotonic() - self._began) * 1000)
        return lease.hold(self._database, UPKEEP, LEASE_MS, now_ms + so_far_ms)

    def _partitions(self, now_ms: int) -> None:
        if self._database.dialect == "postgresql":
            with self._database.begin() as connection:
                partitions.ensure(connection, now_ms)

    # --- roll-ups and gaps --------------------------------------------------------------------------------------------

    def _follow(self, cls: str, until_ms: int, now_ms: int) -> bool:
        """Go on by one window. Returns whether there may be more before `until_ms`."""
        table, name = CLASSES[cls], f"{UPKEEP}-{cls}"
        with self._database.begin() as connection:
            stored = feed.load_cursor(connection, name)
            since_ms = stored["received_ms"] if stored else _oldest(connection, table)
            if since_ms is None or since_ms >= until_ms:
                return False
            end_ms = _window_end(connection, table, since_ms, until_ms)
            which = and_(table.c.received_ms >= since_ms, table.c.received_ms < end_ms)
            begun_ms, failed = self._failures.get(cls, (since_ms, 0))
            if begun_ms == since_ms and failed >= PATIENCE:
                _one_by_one(connection, cls, which, now_ms)
            else:
                with self._counted(cls, since_ms):
                    _take_in(connection, cls, which, now_ms)
            feed.save_cursor(connection, name, {"received_ms": end_ms}, now_ms)
        return end_ms < until_ms

    @contextmanager
    def _counted(self, cls: str, since_ms: int) -> Iterator[None]:
        """Remember how often a window was too much for us."""
        try:
            yield
        except Exception as error:  # counted here, and raised again for who runs it to tell
            if is_poison(error):
                begun_ms, failed = self._failures.get(cls, (since_ms, 0))
                self._failures[cls] = (since_ms, failed + 1 if begun_ms == since_ms else 1)
            raise

    # --- the end of what is kept --------------------------------------------------------------------------------------

    def _clean(self, now_ms: int) -> None:
        if self._database.dialect == "postgresql":
            with self._database.begin() as connection:
                partitions.drop(connection, now_ms - self._settings.keep_telemetry_days * DAY_MS, now_ms)
        for rows in retention.old(self._settings, now_ms):
            self._delete(rows.table, rows.condition, now_ms)
        self._while_more(lambda connection: retention.forget_cases(connection, self._settings, now_ms), now_ms)
        self._while_more(
            lambda it: retention.empty_posts(it, self._settings, now_ms, DELETED_ROWS) == DELETED_ROWS, now_ms
        )

    def _delete(self, table: Table, old: Any, now_ms: int) -> None:
        keys = list(table.primary_key)
        some = select(*keys).where(old).limit(DELETED_ROWS)
        chosen = tuple_(*keys).in_(some) if len(keys) > 1 else keys[0].in_(some)
        gone = delete(table).where(chosen)
        self._while_more(lambda connection: connection.execute(gone).rowcount == DELETED_ROWS, now_ms)

    def _while_more(self, work: Callable[[Connection], bool], now_ms: int) -> None:
        """A transaction after the other, until `work` says that there is no more, or the lease is another's."""
        while True:
            with self._database.begin() as connection:
                if not work(connection):
                    return
            if not self._leased(now_ms):
                return


def _take_in(connection: Connection, cls: str, which: ColumnElement[bool], now_ms: int) -> None:
    """Sum up those rows of a class, and see what is missing between them."""
    if cls == "telemetry":
        wanted = (telemetry.c[name] for name in ("estate", "terminal", "at_ms", "samples"))
        rollup.add(connection, (tuple(row) for row in connection.execute(select(*wanted).where(which)).all()))
    look(connection, cls, which, now_ms)


def _one_by_one(connection: Connection, cls: str, which: ColumnElement[bool], now_ms: int) -> None:
    """The same, and put aside what cannot be summed up."""
    table = CLASSES[cls]
    key = tuple(table.c[name] for name in ("estate", "terminal", "boot", "seq"))
    rows = [tuple(row) for row in connection.execute(select(*key).where(which)).all()]
    for start in range(0, len(rows), _SOME):
        some = rows[start : start + _SOME]
        bad = apart(connection, some, lambda few: _take_in(connection, cls, among(key, few), now_ms))
        for (estate, terminal, boot, seq), problem in bad:
            put_aside(connection, f"{PREFIX}/{estate}/{terminal}/{cls}", problem, f"boot {boot}, seq {seq}", now_ms)


def _oldest(connection: Connection, table: Table) -> int | None:
    return connection.execute(select(func.min(table.c.received_ms))).scalar()


def _window_end(connection: Connection, table: Table, since_ms: int, until_ms: int) -> int:
    """The end of a window with not many more rows than `WINDOW_ROWS`."""
    received = table.c.received_ms
    after = select(received).where(received >= since_ms, received < until_ms).order_by(received).offset(WINDOW_ROWS)
    end_ms = connection.execute(after.limit(1)).scalar()
    return until_ms if end_ms is None else max(end_ms, since_ms + 1)


class UpkeepThread:
    """Upkeep in a thread of its own, until `stop`."""

    def __init__(self, database: Database, settings: Settings, clock_ms: Callable[[], int] = now_ms) -> None:
        self._database = database
        self._upkeep = Upkeep(database, settings)
        self._watch = SelfWatch(database, settings)  # which misses the engines when they die
        self._clock_ms = clock_ms
        self._problem = ""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="upkeep")
        self._thread.start()

    def stop(self) -> None:
        """Finish the step that is being done, and end."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            leads = True
            try:
                leads = self._upkeep.step(self._clock_ms())
                problem = ""
            except Exception as error:  # it is tried again; what is wrong is told where people look
                problem = why(error)
                if problem != self._problem:
                    log.warning("upkeep waits: %s", problem, exc_info=is_poison(error))
            try:
                if leads:
                    self._tell(problem)
                self._watch.step(self._clock_ms())
            except DBAPIError as error:
                log.warning("the center is not watched: %s", reason(error))
            except Exception:  # the upkeep itself goes on; that nobody watches stands in the log, with where it was
                log.exception("the center is not watched")
            self._stopping.wait(PAUSE_S)

    def _tell(self, problem: str) -> None:
        """Into `heartbeat`, where SelfWatch finds it."""
        row = {"name": f"engine-{UPKEEP}", "at_ms": self._clock_ms(), "data": lease.me() | {"problem": problem}}
        with self._database.begin() as connection:
            upsert(connection, heartbeat, [row])
        self._problem = problem
