from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import Any

from sqlalchemy import select

from center.db.engine import Database, upsert
from center.db.tables import heartbeat
from center.ingest import slots
from center.ingest.batch import Counts

NOW = 1_790_000_000_000


def _held(database: Database, number: int, *, pid: int, host: str = "", at_ms: int = NOW) -> None:
    data = {"host": host or socket.gethostname(), "pid": pid}
    with database.begin() as connection:
        upsert(connection, heartbeat, [{"name": f"ingest-main-{number}", "at_ms": at_ms, "data": data}])


def _data(database: Database, number: int) -> Any:
    with database.read() as connection:
        return connection.execute(select(heartbeat.c.data).where(heartbeat.c.name == f"ingest-main-{number}")).scalar()


def test_a_worker_takes_the_lowest_slot_that_nobody_holds(database: Database) -> None:
    _held(database, 1, pid=os.getppid())
    _held(database, 2, pid=1, host="elsewhere")
    assert slots.take(database, "main", NOW + 1000).number == 3
    assert slots.take(database, "other", NOW + 1000).number == 1


def test_a_worker_that_comes_back_takes_the_slot_that_it_left(database: Database) -> None:
    died = subprocess.Popen([sys.executable, "-c", ""])
    died.wait()
    _held(database, 1, pid=os.getppid())
    _held(database, 2, pid=died.pid)
    _held(database, 3, pid=1, host="elsewhere")
    assert slots.take(database, "main", NOW + 1000).number == 2


def test_a_slot_on_another_machine_is_free_once_it_is_silent(database: Database) -> None:
    _held(database, 1, pid=1, host="elsewhere")
    assert slots.take(database, "main", NOW + slots.STALE_MS + 1).number == 1


def test_a_worker_notices_that_its_slot_is_gone(database: Database) -> None:
    slot = slots.take(database, "main", NOW)
    assert slots.beat(database, slot, Counts(messages=7), {"state": "listening"}, NOW + 1)
    assert (_data(database, 1)["messages"], _data(database, 1)["state"]) == (7, "listening")
    _held(database, 1, pid=1, host="elsewhere")
    assert not slots.beat(database, slot, Counts(), {}, NOW + 2)
    slots.leave(database, slot)
    assert _data(database, 1)["host"] == "elsewhere"


def test_who_leaves_frees_the_slot(database: Database) -> None:
    slots.leave(database, slots.take(database, "main", NOW))
    assert _data(database, 1) is None
