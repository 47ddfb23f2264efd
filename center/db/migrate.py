"""Brings a database to the tables of this version. Run by every process of the center at its start."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from center.db import timescale
from center.db.engine import Database, DatabaseError, reason

SCRIPTS: Final = Path(__file__).parent / "migrations"
_LOCK: Final = 0x706F736D  # "posm"


def migrate(database: Database) -> None:
    """Bring it to the newest version; one process at a time, the others wait. Raises DatabaseError."""
    try:
        with database.begin() as connection:
            if database.dialect == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            command.upgrade(config(connection), "head")
            if database.dialect == "postgresql":
                timescale.adopt(connection)
    except DBAPIError as error:
        raise DatabaseError(f"{database.name}: {reason(error)}") from error


def there(url: str) -> Database:
    """A database that `center run` has made or brought to this version; makes nothing. Raises DatabaseError."""
    file = Database.file_of(url)
    if file is not None and not file.is_file():
        raise DatabaseError(f"no database at {file}; posdiag center run makes it")
    database = Database(url)
    try:
        found, newest = version(database), ScriptDirectory(str(SCRIPTS)).get_current_head()
    except DatabaseError:
        database.close()
        raise
    if found != newest:
        database.close()
        said = f"is of version {found}, this is {newest}" if found else "holds no center"
        raise DatabaseError(f"the database at {database.name} {said}; posdiag center run with it first")
    return database


def version(database: Database) -> str | None:
    """Which version's tables it has; None where there are none. Raises DatabaseError."""
    try:
        with database.read() as connection:
            return MigrationContext.configure(connection).get_current_revision()
    except DBAPIError as error:
        raise DatabaseError(f"{database.name}: {reason(error)}") from error


def config(connection: Connection) -> Config:
    """Alembic's settings for a connection that is open."""
    settings = Config()
    settings.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    settings.attributes["connection"] = connection
    return settings
