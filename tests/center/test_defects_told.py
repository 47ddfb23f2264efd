"""What fails while others go on stands in the log: once, with where it was, and without secrets."""

from __future__ import annotations

import logging
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.exc import OperationalError

from center.db.aside import apart
from center.db.engine import Database
from center.db.tables import campaigns
from center.domain.engines import Engines
from center.notify import channel_urls
from center.web import always
from tests.center.actions import NOW
from tests.center.campaign_office import Office
from tests.center.fleet_rows import fill


def _told(caplog: pytest.LogCaptureFixture, part: str) -> list[logging.LogRecord]:
    return [each for each in caplog.records if part in each.getMessage()]


def _is_here(record: logging.LogRecord) -> bool:
    """Whether it says where it was: a traceback."""
    return bool(record.exc_info and record.exc_info[2])


def test_a_part_that_fails_again_and_again_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    away = OperationalError("SELECT 1", {}, sqlite3.OperationalError("database is locked"))
    raised: list[Exception] = [TypeError("ours"), TypeError("ours"), away, away, TypeError("ours")]
    stopping, news = threading.Event(), threading.Event()

    def work() -> bool:
        news.set()  # so that nobody waits
        if raised:
            raise raised.pop(0)
        stopping.set()
        return False

    always(work, stopping, news)
    found = _told(caplog, "MainThread waits")
    assert [(each.levelno, _is_here(each)) for each in found] == [
        (logging.ERROR, True),
        (logging.WARNING, False),
        (logging.ERROR, True),
    ]
    assert "the database: database is locked" in found[1].getMessage()


class _Engine:
    name = "odd"

    def step(self, now_ms: int) -> bool:
        raise TypeError(f"ours\nat {now_ms}")


def test_an_engine_with_a_defect_says_where_once(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    engines = Engines(database, [_Engine()])
    for later in range(3):
        engines.step(NOW + later)
    (found,) = [each for each in _told(caplog, "engine odd") if each.levelno == logging.ERROR]
    assert _is_here(found)
    assert len(_told(caplog, "engine odd: TypeError: ours")) == 1


def test_every_campaign_that_cannot_go_on_is_named(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    office = Office(database, tmp_path)
    fill(database, 2)
    names = [office.run(), office.run()]
    with database.begin() as connection:
        connection.execute(update(campaigns).where(campaigns.c.id.in_(names)).values(pace={}))
    for _ in range(3):
        with pytest.raises(KeyError):
            office.step()
    for name in names:
        (found,) = _told(caplog, f"campaign {name} cannot go on: KeyError")
        assert _is_here(found)


def test_one_of_many_that_is_put_aside_by_a_defect_says_where(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    def work(some: Any) -> None:
        if 3 in some:
            raise TypeError("ours")

    with database.begin() as connection:
        assert apart(connection, range(5), work) == [(3, "TypeError: ours")]
    (found,) = _told(caplog, "cannot be dealt with")
    assert _is_here(found)


def test_a_plugin_that_throws_is_found_without_its_password(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def send(address: str, subject: str, body: str) -> str:
        raise ValueError(f"{address}: {subject} {body}")

    monkeypatch.setattr(channel_urls, "send", send)
    address = "mailto://ann:hunter2@example.org"
    assert channel_urls.send_guarded(address, "s", "b") == "ValueError while sending"
    (found,) = _told(caplog, "sending by mailto failed with ValueError")
    assert Path(__file__).name in found.getMessage()
    assert "hunter2" not in caplog.text
