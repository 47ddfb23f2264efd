"""What a page shows comes by being told of it: with every look at the clock put off, it comes all the same."""

from __future__ import annotations

import asyncio
import json
import statistics
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from center import web
from center.access.credentials import issue_token
from center.access.scope import EVERYTHING
from center.api import stream
from center.db import feed
from center.db.engine import Database
from center.db.feed_watch import FeedWatch
from center.domain import engines
from center.ingest.batch import Batch
from center.ingest.reader import Reader
from center.ingest.writer import Writer
from center.nudge import Nudge
from center.settings import Settings
from tests.center import said
from tests.wait import wait_until

_NEVER_S = 3600.0


def _append(database: Database) -> None:
    with database.begin() as connection:
        feed.append(connection, [("case", "e", None, "case-1")], said.AT_MS)


def test_a_nudge_wakes_threads_and_loops_until_they_leave() -> None:
    nudge, thread = Nudge(), threading.Event()

    async def follow() -> None:
        with nudge.event() as woken:
            await asyncio.to_thread(nudge.tell)
            async with asyncio.timeout(30):
                await woken.wait()

    with nudge.waking(thread.set):
        asyncio.run(follow())
        assert thread.is_set()
        thread.clear()
        nudge.tell()  # the loop is closed, and nobody minds
        assert thread.is_set()
    thread.clear()
    nudge.tell()
    assert not thread.is_set()


def test_it_is_told_after_the_commit_of_what_wrote_to_the_feed_and_of_nothing_else(database: Database) -> None:
    heads = []

    def look() -> None:
        with database.read() as connection:
            heads.append(feed.head(connection))

    with database.fed.waking(look):
        _append(database)
        assert len(heads) == 1
        assert heads[0] > 0  # whoever is woken finds it
        with database.begin() as connection:
            feed.save_cursor(connection, "cursor-x", {"id": 1}, said.AT_MS)
        assert len(heads) == 1


def test_what_another_process_appends_is_told_too(database: Database, database_url: str) -> None:
    other, woken = Database(database_url), threading.Event()
    watch = FeedWatch(database)
    try:
        with database.fed.waking(woken.set):
            assert woken.wait(30)  # it watches
            for _ in range(3):
                woken.clear()
                _append(other)
                assert woken.wait(30)
    finally:
        watch.close()
        other.close()


def test_steps_wait_for_each_other_however_often_they_are_told_of_news() -> None:
    stopping, news = threading.Event(), threading.Event()
    began: list[float] = []
    ended: list[float] = []

    def work() -> bool:
        began.append(time.monotonic())
        busy_until = time.thread_time() + 0.05
        while time.thread_time() < busy_until:
            pass
        news.set()  # as if something came meanwhile, always
        ended.append(time.monotonic())
        return False

    thread = threading.Thread(target=web.always, args=(work, stopping, news))
    thread.start()
    wait_until(lambda: len(began) > 5)
    stopping.set()
    thread.join()
    pauses = [after - before for before, after in zip(ended, began[1:], strict=False)]
    assert min(pauses) >= max(web.LEAST_S, web.REST * 0.05) * 0.99
    assert statistics.median(pauses) < web.STEP_S


@pytest.fixture
def center(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a center's pages and engines that look at nothing on their own."""
    monkeypatch.setattr(web, "STEP_S", _NEVER_S)
    monkeypatch.setattr(stream, "LOOK_S", _NEVER_S)
    settings = Settings(http="127.0.0.1:0", command_key_file=str(tmp_path / "key"), mqtt="mqtt://127.0.0.1:1")
    running = web.Web(settings, database)
    loop = asyncio.new_event_loop()
    task = loop.create_task(running.run())
    thread = threading.Thread(target=lambda: loop.run_until_complete(asyncio.wait([task])))
    thread.start()
    yield running.address
    loop.call_soon_threadsafe(task.cancel)
    thread.join()
    loop.close()


@pytest.mark.parametrize("elsewhere", [False, True], ids=["one process", "two"])
def test_a_fault_reaches_a_listener_and_becomes_an_incident_without_anybody_looking(
    center: str, database: Database, database_url: str, elsewhere: bool
) -> None:
    with database.begin() as connection:
        token = issue_token(connection, "viewer", said.AT_MS, scope=EVERYTHING, name="page")[1]
    storing = Database(database_url) if elsewhere else database
    writer, batch, told = Writer(storing), Batch(), []
    batch.add(Reader(), "pos/1/e/t1/fault/printer/paper_out", said.fault(), retained=False, now_ms=said.AT_MS)
    client = httpx.Client(base_url=center, headers={"authorization": f"Bearer {token}"}, timeout=40)
    wait_until(lambda: _leads(database))
    with database.read() as connection:
        after = feed.head(connection)  # a disk that is nearly full is an incident, too
    with client, client.stream("GET", "/api/v1/stream", params={"after": after}) as answer:
        lines = answer.iter_lines()
        next(lines)
        writer.write(batch)
        for line in lines:
            if line.startswith("data: "):
                told.append(json.loads(line.removeprefix("data: "))["kind"])
            if "incident" in told:
                break
    writer.close()
    if elsewhere:
        storing.close()
    assert told[0] == "fault"


def _leads(database: Database) -> bool:
    with database.read() as connection:
        return feed.load_cursor(connection, "engine-selfwatch") is not None  # the last of a step


def test_the_lease_is_renewed_now_and_then_and_lost_to_who_took_it(database: Database) -> None:
    ours = engines.Engines(database, [])
    assert ours.step(1_000_000)
    with database.begin() as connection:
        feed.save_cursor(connection, engines.LEASE, {"host": "another", "pid": 1}, 1_000_000)
    assert ours.step(1_000_000 + engines.RENEW_MS - 1)  # for so long nobody else may have taken it
    assert not ours.step(1_000_000 + engines.RENEW_MS)
    assert not ours.step(1_000_000 + engines.LEASE_MS)
    assert ours.step(1_000_001 + engines.LEASE_MS + engines.RETRY_MS)
