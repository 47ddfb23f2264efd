"""Two centers of one name at one broker: one of them gives way and says so; they do not throw each other out for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import mqtt5
import pytest
from sqlalchemy import select

from center.db.engine import Database
from center.db.migrate import migrate
from center.db.tables import heartbeat
from center.domain.selfwatch import readings
from center.ingest import presence as presence_module
from center.ingest import worker as worker_module
from center.ingest.link import Access, Cut, Link, TakenOver
from center.ingest.presence import Presence
from center.ingest.worker import Worker
from center.ingest.writer import now_ms
from center.settings import Settings
from tests.center import said
from tests.mqtt.broker import Rumqttd


class Center:
    """The ingest of one center, present in estate "e"."""

    def __init__(self, folder: Path, port: int) -> None:
        self.database = Database(f"sqlite:///{folder}/center.db")
        migrate(self.database)
        settings = Settings(mqtt=f"mqtt://127.0.0.1:{port}", alone=True)
        self.worker = Worker(settings, self.database)

        async def estates() -> set[str]:
            return {"e"}

        access = Access.of(settings)
        self.presence = Presence(access, "main-1", estates, lambda: self.worker.connected)
        self.worker.has_rival = self.presence.has_rival
        self.tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self.tasks = [asyncio.create_task(part.run()) for part in (self.worker, self.presence)]

    async def stop(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.wait(self.tasks)

    def rows(self) -> dict[str, dict[str, object]]:
        with self.database.read() as connection:
            return {row.name: row.data for row in connection.execute(select(heartbeat))}

    def is_wrong(self, key: str) -> bool:
        with self.database.read() as connection:
            return {each.key: each.wrong for each in readings(connection, now_ms())}[key]


async def until(so: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not so():  # noqa: ASYNC110 - several loops' and files' states
            await asyncio.sleep(0.02)


@pytest.fixture
def port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(worker_module, "AWAY_S", 0.3)
    monkeypatch.setattr(presence_module, "LOOK_S", 0.1)
    monkeypatch.setattr(presence_module, "RIVAL_S", 1.0)
    monkeypatch.setattr(presence_module, "_RETRY_S", 0.5)
    broker = Rumqttd(tmp_path)
    broker.start()
    yield broker.port
    broker.kill()


def test_one_gives_way_says_so_and_comes_back_when_the_other_has_gone(tmp_path: Path, port: int) -> None:
    async def story() -> None:
        folders = [tmp_path / name for name in ("one", "two")]
        for folder in folders:
            folder.mkdir()
        first, second = (Center(folder, port) for folder in folders)
        first.start()
        await until(lambda: first.worker.connected and first.presence._said != {})
        assert not await first.presence.has_rival()
        second.start()
        await until(lambda: first.worker.thrown_out + second.worker.thrown_out == 1)
        loser, winner = (first, second) if first.worker.thrown_out else (second, first)
        await until(lambda: winner.worker.connected)
        assert "has the name 'main', too" in loser.worker.problem
        await until(lambda: loser.rows()["ingest-main-1"]["state"] == "thrown out")
        assert loser.rows()["ingest-main-1"]["thrown_out"] == 1
        assert loser.is_wrong("name:ingest-main-1")
        for _ in range(30):  # longer than it takes the loser to look again, twice
            assert winner.worker.connected
            assert not loser.worker.connected
            await asyncio.sleep(0.1)
        await winner.stop()
        await until(lambda: loser.worker.connected)
        await until(lambda: not loser.is_wrong("name:ingest-main-1"))
        await loser.stop()
        for center in (first, second):
            center.database.close()

    asyncio.run(story())


def test_what_a_broker_says_of_a_session_that_was_taken_over_is_understood() -> None:
    async def story() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1000)
            writer.write(bytes.fromhex("2003000000" + "e0018e"))  # CONNACK; DISCONNECT, session taken over
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        link = Link(Access(*server.sockets[0].getsockname()), "center-x")
        with pytest.raises(TakenOver, match=r"has connected to .* as center-x"):
            await link.open()
        await link.close()
        server.close()
        await server.wait_closed()

    asyncio.run(story())
    assert issubclass(TakenOver, Cut)


def test_the_age_of_a_batch_counts_from_its_first_message(database: Database) -> None:
    worker = Worker(Settings(), database)
    worker._gathered.since -= 600.0  # nothing came for so long
    asyncio.run(worker._gather([mqtt5.PublishPacket("pos/1/e/t/event", said.event(1))]))
    worker.close()
    assert worker._told()["waiting"] == 1
    assert worker._told()["oldest_ms"] < 60_000
