"""Batches into the database, each in one transaction: after `write` returns it is on the disk. Belongs to one thread.

While it writes, other threads run: what takes long is in few calls, each of which lets go of Python's lock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any, Final

from sqlalchemy import Connection
from sqlalchemy.exc import DataError, DBAPIError
from sqlalchemy.schema import CreateTable

from agent.wire import loads
from center.db import feed
from center.db.engine import Database, bulk_insert
from center.db.tables import quarantine
from center.ingest import measured
from center.ingest.batch import Batch, Contacts, Counts
from center.ingest.merge import STAGED, Kind, clearing, kinds
from center.ingest.order import before_ms
from center.ingest.reader import COLUMNS

DIGEST_MARGIN_MS: Final = 2000
"""A digest says that a fault is gone only if the fault was last told of so long before: both may be told at once."""
_MOST_ROWS: Final = 512  # in one INSERT of SQLite

_STATEMENT_MS: Final = 15_000
_TERMINAL: Final = itemgetter(1)

Rows = Sequence[tuple[Any, ...]]


def now_ms() -> int:
    """The time in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


class Writer:
    """The writer of one worker. Raises sqlalchemy's DBAPIError, after which nothing of the batch is stored."""

    def __init__(self, database: Database) -> None:
        self.counts = Counts()
        self._database = database
        self._driver: Any = database.engine.dialect.dbapi
        self._contacts = Contacts()
        self._connection: Connection | None = None
        self._stages, self._kinds = kinds(database.dialect)
        self._clear_feed, self._clear = clearing(self._stages)

    def write(self, batch: Batch, clock_ms: Callable[[], int] = now_ms) -> None:
        """Store it all, and append what changed to the feed. Storing it again changes nothing."""
        contacts = self._contacts.due(batch.contacts, clock_ms())
        try:
            connection = self._connected()
            with connection.begin():  # the time is asked for after the wait for other writers; see feed.SETTLED_MS
                stored = self._write(connection, batch, contacts, clock_ms())
            self._database.committed(connection)
        except DBAPIError:
            self.close()
            raise
        except self._driver.Error as error:  # of the driver's own cursors below, which SQLAlchemy does not see
            self.close()
            raise DBAPIError.instance("", (), error, self._driver.Error) from error
        except (OverflowError, UnicodeError) as error:  # a driver cannot even tell the database
            self.close()
            raise DataError("", (), error) from error
        self._contacts.told(contacts)
        self._count(batch, stored)

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            self._connection.invalidate()  # its temporary tables go with it
            self._connection.close()
            self._connection = None

    def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = self._database.engine.connect().execution_options(posdiag_writes=True)
            with self._connection.begin():
                if self._database.dialect == "postgresql":
                    self._connection.exec_driver_sql(f"SET SESSION statement_timeout = {_STATEMENT_MS}")
                for stage in self._stages.values():
                    self._connection.execute(CreateTable(stage))
        return self._connection

    def _write(self, connection: Connection, batch: Batch, contacts: Rows, now_ms: int) -> int:
        rows: dict[str, Rows] = {"contact": contacts, **batch.queued}
        rows["measured"] = measured.rows(batch.measured, now_ms)
        rows |= {kind: [row for _version, row in newest.values()] for kind, newest in batch.newest.items()}
        stored = 0
        present = [kind for kind in self._kinds if rows[kind.name]]
        for kind in present:
            if kind.name == "telemetry" and self._database.dialect == "sqlite":
                stored += _add_telemetry(connection, rows[kind.name], now_ms)
                continue
            self._load(connection, kind.name, rows[kind.name])
            if kind.prune is not None:
                connection.execute(kind.prune)
            done = connection.execute(kind.merge, {"now_ms": now_ms}, execution_options={"preserve_rowcount": True})
            stored += done.rowcount if kind.name in batch.queued else 0
        bulk_insert(connection, quarantine, batch.refused)
        self._tell(connection, present, batch, now_ms)
        return stored

    def _tell(self, connection: Connection, present: list[Kind], batch: Batch, now_ms: int) -> None:
        """Clear what digests no longer name, and append to the feed what changed."""
        digests = batch.newest["digest"].values()
        if digests:
            rows = [(row, loads(row[2])["faults"]) for _version, row in digests]
            before = [(row[0], row[1], before_ms(row[3], DIGEST_MARGIN_MS)) for row, _named in rows]
            self._load(connection, "cleared_before", before)
            self._load(connection, "named", [(row[0], row[1], fault) for row, named in rows for fault in named])
        telling = [kind.feed for kind in present if kind.feed is not None]
        if telling:
            feed.lock(connection)
        for statement in telling:
            connection.execute(statement, {"now_ms": now_ms})
        if digests:
            connection.execute(self._clear_feed, {"now_ms": now_ms})
            connection.execute(self._clear, {"now_ms": now_ms})

    def _load(self, connection: Connection, name: str, rows: Rows) -> None:
        """Fill a temporary table."""
        stage = self._stages[name].name
        cursor = connection.connection.cursor()
        if connection.dialect.name == "postgresql":
            with cursor.copy(f"COPY {stage} ({', '.join(STAGED[name])}) FROM STDIN") as copy:
                copy.write(_copied(rows))
        else:
            cursor.execute(f"DELETE FROM {stage}")  # noqa: S608 - a name of ours
            for values, some in _sliced(rows):
                cursor.execute(f"INSERT INTO {stage} {values}", list(chain(*some)))
        cursor.close()

    def _count(self, batch: Batch, stored: int) -> None:
        counts = self.counts
        counts.messages += batch.messages
        counts.stored += stored
        counts.duplicates += sum(map(len, batch.queued.values())) - stored
        counts.refused += len(batch.refused)
        counts.card_numbers += batch.card_numbers
        counts.deleted += batch.deleted


def _add_telemetry(connection: Connection, rows: Rows, now_ms: int) -> int:
    """Into SQLite's table at once: nobody asks which of them were new. Returns how many were.

    By terminal, so that neighbours in the index are written together.
    """
    into = f"telemetry (received_ms, {', '.join(COLUMNS['telemetry'])})"
    cursor, new = connection.connection.cursor(), 0
    for values, some in _sliced(sorted(rows, key=_TERMINAL)):
        ignore = f"SELECT ?, * FROM ({values}) WHERE true ON CONFLICT DO NOTHING"  # noqa: S608 - names of ours
        cursor.execute(f"INSERT INTO {into} {ignore}", [now_ms, *chain(*some)])
        new += cursor.rowcount
    cursor.close()
    return new


def _sliced(rows: Rows) -> Iterator[tuple[str, Rows]]:
    """A VALUES clause and its rows, many at once, in few sizes so that SQLite has read each statement before."""
    one = "(" + ",".join("?" * len(rows[0])) + ")" if rows else ""
    at, size = 0, _MOST_ROWS
    while at < len(rows):
        while size > len(rows) - at:
            size //= 2
        yield "VALUES " + ",".join([one] * size), rows[at : at + size]
        at += size


_ESCAPES: Final = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def _copied(rows: Iterable[Sequence[Any]]) -> str:
    """Rows in the text format of COPY."""
    return "".join(["\t".join([_field(value) for value in row]) + "\n" for row in rows])


def _field(value: Any) -> str:
    if value is None:
        return "\\N"
    if isinstance(value, str):
        return value.translate(_ESCAPES) if "\\" in value or not value.isprintable() else value
    return str(value)
