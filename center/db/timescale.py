"""TimescaleDB where it is present: `telemetry` as a hypertable with a chunk a day, in place of partitions of our own.

Present is what somebody has made in this database with CREATE EXTENSION before the first sample came; the center makes
no extension itself, and moves no samples. What it asks of TimescaleDB is in its Apache edition, too.
"""

from __future__ import annotations

import logging
from typing import Final

from sqlalchemy import Connection, select, text

from center.db.tables import telemetry

log = logging.getLogger("posdiag.center.db")

CHUNK_MS: Final = 86_400_000
_MADE: Final = "SELECT 1 FROM pg_extension WHERE extname = 'timescaledb'"
_AVAILABLE: Final = "SELECT 1 FROM pg_available_extensions WHERE name = 'timescaledb'"
_KIND: Final = "SELECT relkind = 'p' FROM pg_class WHERE oid = 'telemetry'::regclass"
_MAKE: Final = (
    "SELECT create_hypertable('telemetry', 'at_ms', "
    f"chunk_time_interval => BIGINT '{CHUNK_MS}', create_default_indexes => false)"
)
_OLD: Final = (
    "SELECT range_start_integer, range_end_integer FROM timescaledb_information.chunks "
    "WHERE hypertable_schema = current_schema() AND hypertable_name = 'telemetry' AND range_end_integer <= :before "
    "ORDER BY range_start_integer"
)


def adopt(connection: Connection) -> None:
    """Make an empty `telemetry` a hypertable where TimescaleDB is present; else leave it to our own partitions."""
    if not has_partitions(connection):
        return
    if connection.execute(text(_MADE)).first() is None:
        if connection.execute(text(_AVAILABLE)).first() is not None:
            log.info("TimescaleDB is installed, but not made in this database: telemetry has partitions of PostgreSQL")
        return
    if connection.execute(select(telemetry.c.boot).limit(1)).first() is not None:
        log.info("TimescaleDB came after the first telemetry, which stays in partitions of PostgreSQL")
        return
    key, by = telemetry.primary_key, telemetry.c.received_ms
    for statement in (
        "ALTER TABLE telemetry RENAME TO telemetry_before",
        "CREATE TABLE telemetry (LIKE telemetry_before INCLUDING DEFAULTS)",
        "DROP TABLE telemetry_before",
        f"ALTER TABLE telemetry ADD CONSTRAINT {key.name} PRIMARY KEY ({', '.join(each.name for each in key)})",
        f"CREATE INDEX ix_telemetry_{by.name} ON telemetry ({by.name})",
        _MAKE,
    ):
        connection.execute(text(statement))


def has_partitions(connection: Connection) -> bool:
    """Whether `telemetry` has partitions of PostgreSQL; if not, it is a hypertable."""
    return bool(connection.execute(text(_KIND)).scalar_one())


def old_chunks(connection: Connection, before_ms: int) -> list[tuple[int, int]]:
    """The first moment of each chunk that ends at or before `before_ms`, and the first after it, the oldest first."""
    return [(first, end) for first, end in connection.execute(text(_OLD), {"before": before_ms})]


def drop_chunk(connection: Connection, first_ms: int, end_ms: int) -> None:
    """Drop the chunk of exactly these moments, and what is in it."""
    dropped = text(
        "SELECT drop_chunks('telemetry', older_than => CAST(:end AS bigint), newer_than => CAST(:first AS bigint))"
    )
    connection.execute(dropped, {"first": first_ms, "end": end_ms})
