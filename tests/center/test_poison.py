"""What the database itself refuses is put aside, message by message; the rest is stored."""

from __future__ import annotations

import mqtt5
from sqlalchemy import select, text

from center.db.engine import Database
from center.db.tables import events, quarantine
from center.ingest.worker import Gathered, Worker
from center.settings import Settings
from tests.center import said

_REFUSES = {
    "sqlite": "CREATE TRIGGER refuses BEFORE INSERT ON events WHEN NEW.event = 'poison' "
    "BEGIN SELECT RAISE(ABORT, 'no poison'); END",
    "postgresql": "ALTER TABLE events ADD CONSTRAINT no_poison CHECK (event <> 'poison')",
}


def test_one_message_that_the_database_refuses(database: Database) -> None:
    with database.begin() as connection:
        connection.execute(text(_REFUSES[database.dialect]))
    worker = Worker(Settings(), database)
    gathered = Gathered()
    for seq in range(1, 12):
        payload = said.event(seq, "poison" if seq in {4, 9} else "inspection")
        gathered.messages.append(mqtt5.PublishPacket("pos/1/e/t/event", payload))
    worker.rebuild(gathered)
    worker.store(gathered)
    with database.read() as connection:
        stored = connection.execute(select(events.c.seq).order_by(events.c.seq)).scalars().all()
        why = connection.execute(select(quarantine.c.why)).scalars().all()
    worker.close()
    assert stored == [1, 2, 3, 5, 6, 7, 8, 10, 11]
    assert len(why) == 2
    assert all("the database refuses it" in each and "poison" in each and "\n" not in each for each in why)
