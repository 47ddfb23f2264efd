"""What the database itself refuses is put aside, message by message; the rest is stored."""

from __future__ import annotations

from collections.abc import Callable

import mqtt5
import pytest
from sqlalchemy import Table, select, text
from sqlalchemy.exc import DataError

from center.db.engine import Database
from center.db.tables import events, quarantine, telemetry
from center.ingest.batch import Batch
from center.ingest.worker import Gathered, Worker
from center.ingest.writer import Writer
from center.settings import Settings
from tests.center import said

_REFUSES = {
    "sqlite": "CREATE TRIGGER no_poison BEFORE INSERT ON {table} WHEN NEW.seq IN (4, 9) "
    "BEGIN SELECT RAISE(ABORT, 'no poison'); END",
    "postgresql": "ALTER TABLE {table} ADD CONSTRAINT no_poison CHECK (seq NOT IN (4, 9))",
}


@pytest.mark.parametrize(("table", "say"), [(events, said.event), (telemetry, said.telemetry)])
def test_one_message_that_the_database_refuses(database: Database, table: Table, say: Callable[[int], bytes]) -> None:
    with database.begin() as connection:
        connection.execute(text(_REFUSES[database.dialect].format(table=table.name)))
    worker = Worker(Settings(), database)
    gathered = Gathered()
    topic = f"pos/1/e/t/{table.name.removesuffix('s')}"
    gathered.messages = [mqtt5.PublishPacket(topic, say(seq)) for seq in range(1, 12)]
    worker.rebuild(gathered)
    worker.store(gathered)
    with database.read() as connection:
        stored = connection.execute(select(table.c.seq).order_by(table.c.seq)).scalars().all()
        why = connection.execute(select(quarantine.c.why)).scalars().all()
    worker.close()
    assert stored == [1, 2, 3, 5, 6, 7, 8, 10, 11]
    assert len(why) == 2
    assert all("the database refuses it" in each and "poison" in each and "\n" not in each for each in why)


def test_what_a_driver_cannot_even_tell_the_database_is_told_as_its_refusal(database: Database) -> None:
    batch, writer = Batch(), Writer(database)
    batch.queued["telemetry"].append(("e", "t", 1, 2**70, said.AT_MS, False, "[]"))
    with pytest.raises(DataError):
        writer.write(batch)
    writer.close()
