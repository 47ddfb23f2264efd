"""Telemetry as a hypertable. Debian has no TimescaleDB: where none is installed, `_STAND_IN` takes its place.

It has what the center asks of TimescaleDB, with the same names and types, and keeps its promises in a plain way. That
TimescaleDB does so itself is seen where it is installed: there the same tests run on it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from sqlalchemy import text

from center.db import timescale
from center.db.engine import Database, upsert
from center.db.migrate import migrate
from center.db.tables import evidence, metrics_day, telemetry
from center.ingest.upkeep import CLEAN_MS, DAY_MS, Upkeep
from center.settings import Settings
from tests.center import said
from tests.center.test_ingest import Ingest
from tests.center.test_upkeep import LATER

pytestmark = [pytest.mark.peers, pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)]

_STAND_IN = """
SET allow_system_table_mods = on;
INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
    VALUES (99999, 'timescaledb', 10, 2200, false, '2');
CREATE TABLE made (relation regclass, time_column name, chunk bigint, default_indexes boolean);
CREATE FUNCTION create_hypertable(relation regclass, time_column_name name, chunk_time_interval anyelement,
    create_default_indexes boolean DEFAULT true) RETURNS void LANGUAGE sql
    AS $$ INSERT INTO made VALUES (relation, time_column_name, chunk_time_interval, create_default_indexes) $$;
CREATE FUNCTION chunks() RETURNS TABLE (hypertable_schema name, hypertable_name name, range_start_integer bigint,
    range_end_integer bigint) LANGUAGE sql AS $$ SELECT DISTINCT 'public'::name, 'telemetry'::name,
    at_ms / chunk * chunk, (at_ms / chunk + 1) * chunk FROM made, telemetry $$;
CREATE SCHEMA timescaledb_information;
CREATE VIEW timescaledb_information.chunks AS SELECT * FROM chunks();
CREATE FUNCTION drop_chunks(relation regclass, older_than bigint, newer_than bigint) RETURNS void LANGUAGE sql
    AS $$ DELETE FROM telemetry WHERE at_ms >= newer_than AND at_ms < older_than $$;
"""


def _make_extension(database: Database) -> None:
    with database.begin() as connection:
        found = connection.execute(text("SELECT 1 FROM pg_available_extensions WHERE name = 'timescaledb'"))
        connection.exec_driver_sql("CREATE EXTENSION timescaledb" if found.first() else _STAND_IN)


def _has_partitions(database: Database) -> bool:
    with database.read() as connection:
        return timescale.has_partitions(connection)


@pytest.fixture
def ingest(database: Database) -> Iterator[Ingest]:
    """Into a database in which somebody has made the extension."""
    _make_extension(database)
    migrate(database)
    ingest = Ingest(database)
    yield ingest
    ingest.writer.close()


def test_without_the_extension_telemetry_has_partitions(database: Database) -> None:
    migrate(database)
    assert _has_partitions(database)


def test_where_it_is_present_an_empty_table_becomes_a_hypertable(ingest: Ingest) -> None:
    database = ingest.database
    migrate(database)  # the second start
    assert not _has_partitions(database)
    with database.read() as connection:
        indexes = connection.execute(
            text("SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename = 'telemetry'")
        )
        found = {name: told.partition(" USING ")[2] for name, told in indexes}
        ours = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname ~ '^telemetry_'"
        tables = connection.execute(text(ours)).all()
    assert found == {
        "pk_telemetry": "btree (estate, terminal, boot, seq, at_ms)",
        "ix_telemetry_received_ms": "btree (received_ms)",
    }
    assert tables == []


def test_what_was_stored_before_stays_where_it_is(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    ingest = Ingest(database)
    ingest(("telemetry", said.telemetry(1)))
    _make_extension(database)
    with caplog.at_level(logging.INFO, "posdiag.center.db"):
        migrate(database)
    ingest.writer.close()
    assert "came after the first telemetry" in caplog.text
    assert _has_partitions(database)
    assert ingest.rows(telemetry, "seq") == [(1,)]


def test_it_is_stored_once_rolled_up_and_dropped_by_days(ingest: Ingest) -> None:
    upkeep, midnight = Upkeep(ingest.database, Settings()), said.AT_MS - said.AT_MS % DAY_MS
    some = [("telemetry", said.telemetry(1 + day, (0, {"x": 1}), at_ms=midnight + day * DAY_MS)) for day in range(3)]
    ingest(*some)
    ingest(*some)
    assert ingest.writer.counts.duplicates == 3
    ingest.now_ms += LATER
    assert upkeep.step(ingest.now_ms)
    assert ingest.rows(metrics_day, "bucket_ms", "n") == [(midnight + day * DAY_MS, 1) for day in range(3)]
    with ingest.database.begin() as connection:
        days = [(midnight + day * DAY_MS, midnight + (day + 1) * DAY_MS) for day in range(3)]
        assert timescale.old_chunks(connection, midnight + 3 * DAY_MS) == days
        assert timescale.old_chunks(connection, midnight + 3 * DAY_MS - 1) == days[:2]
        timescale.drop_chunk(connection, *days[1])
    assert ingest.rows(telemetry, "seq") == [(1,), (3,)]


def test_the_end_of_what_is_kept_spares_what_is_held(ingest: Ingest) -> None:
    upkeep = Upkeep(ingest.database, Settings())
    ingest(("telemetry", said.telemetry(1)), ("telemetry", said.telemetry(2, at_ms=said.AT_MS + 2 * DAY_MS)))
    hold = {"id": "ev-1", "estate": "e", "terminal": "t", "from_ms": said.AT_MS - 1000, "until_ms": said.AT_MS + 1000}
    rest = {"sha256": "", "path": "", "made_by": "", "at_ms": 0, "hold_until_ms": said.AT_MS + 500 * DAY_MS}
    with ingest.database.begin() as connection:
        upsert(connection, evidence, [hold | rest])
    ingest.now_ms += 40 * DAY_MS
    assert upkeep.step(ingest.now_ms)
    assert ingest.rows(telemetry, "seq") == [(1,)]
    ingest.now_ms += CLEAN_MS + 480 * DAY_MS
    assert upkeep.step(ingest.now_ms)
    assert ingest.rows(telemetry, "seq") == []
    with ingest.database.read() as connection:
        assert timescale.old_chunks(connection, ingest.now_ms) == []
