"""The one way to the database: SQLite or PostgreSQL, short transactions, and what differs between the two.

Writers of SQLite take turns from the start of their transaction (BEGIN IMMEDIATE), so none fails half-way; readers
never wait (WAL). A commit is on the disk before it returns (synchronous FULL), in both.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, Table, create_engine, event, func, make_url, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import ColumnElement
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from center.nudge import Nudge

FED: Final = "posdiag_fed"
"""Stands in the `info` of a connection whose transaction has written to the feed."""
BUSY_MS: Final = 30_000
STALLED_MS: Final = 10_000
"""A transaction of PostgreSQL that does nothing for so long is ended; `center.db.feed.SETTLED_MS` counts on it."""
_LIMITS: Final = "54"  # PostgreSQL's class of errors for what is too large, such as a key of an index
_SLICE: Final = 500  # rows in one statement: SQLite takes 32,766 values at most

Row = Mapping[str, Any]


class DatabaseError(Exception):
    """Why the database cannot be used, in one line."""


class Database:
    """A database by its URL: `sqlite:///FILE` or `postgresql://…`. For any thread. Raises DatabaseError."""

    def __init__(self, url: str) -> None:
        self.url = _checked(url)
        self.dialect = self.url.get_backend_name()
        """`sqlite` or `postgresql`."""
        self.fed = Nudge()
        """Told after each commit that wrote to the feed of changes."""
        self.engine = _engine(self.url)

    @staticmethod
    def file_of(url: str) -> Path | None:
        """The file of a SQLite database, None for others. Raises DatabaseError."""
        known = _checked(url)
        return Path(known.database or "") if known.get_backend_name() == "sqlite" else None

    @property
    def name(self) -> str:
        """What people call it: its file, or its URL without a password."""
        return self.url.database or "" if self.dialect == "sqlite" else self.url.render_as_string(hide_password=True)

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A transaction that writes: committed at the end of the block, undone by an exception."""
        with self.engine.connect().execution_options(posdiag_writes=True) as connection:
            with connection.begin():
                yield connection
            self.committed(connection)

    def committed(self, connection: Connection) -> None:
        """Wake who follows the feed, if what was just committed wrote to it."""
        if connection.info.pop(FED, False):
            self.fed.tell()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads."""
        with self.engine.connect() as connection, connection.begin():
            yield connection

    def close(self) -> None:
        """Close all connections that nobody uses."""
        self.engine.dispose()


def among(columns: Sequence[ColumnElement[Any]], keys: Iterable[Sequence[str | int]]) -> ColumnElement[bool]:
    """Whether these columns together are one of `keys`, found by an index in both databases."""
    some = [list(key) for key in keys]
    listed = func.json_each(json.dumps(some)).table_valued("value")
    parts = (func.json_extract(listed.c.value, f"$[{number}]") for number in range(len(columns)))
    together = tuple_(*columns)
    # As JSON for SQLite, which takes no index for a list of values.
    return either(together.in_([tuple(key) for key in some]), sqlite=together.in_(select(*parts)))


def holds(column: ColumnElement[Any], words: str) -> ColumnElement[bool]:
    """Whether a text holds these words, in small or capital letters."""
    # SQLite's LIKE heeds no capitals by itself, and to lower each value first costs twice as much.
    return either(column.icontains(words, autoescape=True), sqlite=column.contains(words, autoescape=True))


def either(usual: ColumnElement[bool], *, sqlite: ColumnElement[bool]) -> ColumnElement[bool]:
    """The same condition twice, of which the second is the one that SQLite is fast with."""
    return _Either(usual, sqlite)


class _Either(FunctionElement[bool]):
    """Without a type: SQLAlchemy would ask SQLite whether a boolean function `= 1`, and that takes no index."""

    inherit_cache = True


@compiles(_Either)
def _usual(element: _Either, compiler: SQLCompiler, **how: Any) -> str:
    usual, _sqlite = element.clauses
    return f"({compiler.process(usual, **how)})"


@compiles(_Either, "sqlite")
def _for_sqlite(element: _Either, compiler: SQLCompiler, **how: Any) -> str:
    _usual, sqlite = element.clauses
    return f"({compiler.process(sqlite, **how)})"


def insert_ignore(connection: Connection, table: Table, rows: Iterable[Row]) -> int:
    """Insert what is not there yet. All rows have the same columns. Returns how many were new."""
    new = 0
    for some in _sliced(rows):
        new += _count(connection, _insert(connection, table).values(some).on_conflict_do_nothing())
    return new


def upsert(
    connection: Connection,
    table: Table,
    rows: Iterable[Row],
    *,
    keep: Sequence[str] = (),
    newer: str | None = None,
) -> int:
    """Insert, or update by primary key every other column that the rows have, but not those in `keep`.

    With `newer` a row that is there is left alone unless this column grows. No two rows may have the same key.
    Returns how many rows were inserted or updated.
    """
    some = list(rows)
    if not some:
        return 0
    keys = [column.name for column in table.primary_key]
    statement = _insert(connection, table)
    changed = {name: statement.excluded[name] for name in some[0] if name not in keys and name not in keep}
    if not changed:
        return insert_ignore(connection, table, some)
    condition: ColumnElement[bool] | None = None
    if newer is not None:
        condition = statement.excluded[newer] > table.c[newer]
    statement = statement.on_conflict_do_update(index_elements=keys, set_=changed, where=condition)
    return connection.execute(statement, some, execution_options={"preserve_rowcount": True}).rowcount


def bulk_insert(connection: Connection, table: Table, rows: Iterable[Row]) -> None:
    """Insert many rows, none of which is there yet; all have the same columns. By COPY in PostgreSQL."""
    some = list(rows)
    if not some:
        return
    if connection.dialect.name != "postgresql":
        connection.execute(table.insert(), some)
        return
    names = list(some[0])
    quote = connection.dialect.identifier_preparer.quote
    process = [table.c[name].type.dialect_impl(connection.dialect).bind_processor(connection.dialect) for name in names]
    statement = f"COPY {quote(table.name)} ({', '.join(map(quote, names))}) FROM STDIN"
    with connection.connection.cursor().copy(statement) as copy:
        for row in some:
            copy.write_row(
                [value(row[name]) if value else row[name] for name, value in zip(names, process, strict=True)]
            )


def _insert(connection: Connection, table: Table) -> postgresql.Insert | sqlite.Insert:
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)


def _count(connection: Connection, statement: postgresql.Insert | sqlite.Insert) -> int:
    return connection.execute(statement, execution_options={"preserve_rowcount": True}).rowcount


def _sliced(rows: Iterable[Row]) -> Iterator[list[Row]]:
    some = list(rows)
    for start in range(0, len(some), _SLICE):
        yield some[start : start + _SLICE]


def _checked(text: str) -> URL:
    try:
        url = make_url(text)
    except ArgumentError:
        raise DatabaseError(f"{text!r} is no URL of a database; give sqlite:///FILE or postgresql://…") from None
    if url.drivername in {"postgresql", "postgres", "postgresql+psycopg"}:
        return url.set(drivername="postgresql+psycopg")
    if url.drivername == "sqlite" and url.database and url.database != ":memory:":
        return url
    shown = url.render_as_string(hide_password=True)
    raise DatabaseError(f"{shown!r} is no database that is known; give sqlite:///FILE or postgresql://…")


def _engine(url: URL) -> Engine:
    if url.get_backend_name() == "sqlite":
        assert url.database is not None  # noqa: S101 - _checked saw to it
        try:
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DatabaseError(f"{url.database}: {error.strerror}") from error
        engine = create_engine(url, connect_args={"timeout": BUSY_MS / 1000, "check_same_thread": False})
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    # What is asked here takes milliseconds; compiling it, where the guess of its cost is high, takes hundreds.
    options = f"-c idle_in_transaction_session_timeout={STALLED_MS} -c timezone=UTC -c jit=off -c work_mem=16MB"
    return create_engine(url, pool_pre_ping=True, pool_size=10, max_overflow=20, connect_args={"options": options})


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions begin where `_begin_sqlite` says, not where sqlite3 guesses
    for setting in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "temp_store=MEMORY",
        "cache_size=-65536",
        "wal_autocheckpoint=16384",  # pages: 64 MiB, so that a busy hour rewrites a page once and not at each commit
        "journal_size_limit=67108864",
    ):
        connection.execute(f"PRAGMA {setting}").close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("posdiag_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def is_poison(error: Exception) -> bool:
    """Whether it comes of what was to be read or written, and would come again; not of the database being away."""
    if not isinstance(error, DBAPIError) or isinstance(error, DataError | IntegrityError | ProgrammingError):
        return True
    return str(getattr(error.orig, "sqlstate", "")).startswith(_LIMITS)


def reason(error: DBAPIError) -> str:
    """What the database said, in one line."""
    return (str(error.orig).strip().splitlines() or ["it said nothing"])[0]
