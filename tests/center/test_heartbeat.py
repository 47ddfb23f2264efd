"""The sign of life to a service outside: sent while all is well, and not otherwise."""

from __future__ import annotations

import argparse
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from center.db.engine import Database, upsert
from center.db.tables import heartbeat
from center.domain import selfwatch
from center.domain.selfwatch import Reading
from center.notify.heartbeat import EVERY_MS, Heartbeat
from center.settings import Settings, SettingsError, load

NOW = 1_790_000_000_000


class Service(HTTPServer):
    """Outside, as far as the center knows."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.heard: list[str] = []
        self.status = 200
        self.url = f"http://127.0.0.1:{self.server_port}/ping/4711"


class _Handler(BaseHTTPRequestHandler):
    server: Service

    def do_GET(self) -> None:
        self.server.heard.append(self.path)
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def service() -> Iterator[Service]:
    with Service() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def _found(database: Database, at_ms: int, *, wrong: bool = False) -> None:
    told = Reading("lag:cases", 90.0, "s", wrong, "major", "age of what it has not read yet").to_json()
    with database.begin() as connection:
        upsert(connection, heartbeat, [{"name": selfwatch.ROW, "at_ms": at_ms, "data": {"readings": [told]}}])


def test_it_is_sent_each_minute_while_all_is_well(database: Database, service: Service) -> None:
    life = Heartbeat(database, Settings(heartbeat_url=service.url))
    life.step(NOW)
    assert service.heard == []  # nobody has looked yet
    _found(database, NOW)
    for after_ms in (0, 1000, EVERY_MS - 1):
        life.step(NOW + after_ms)
        assert service.heard == ["/ping/4711"]
    _found(database, NOW + EVERY_MS, wrong=True)
    life.step(NOW + EVERY_MS)
    assert len(service.heard) == 1
    _found(database, NOW + EVERY_MS + 5000)
    life.step(NOW + EVERY_MS + 5000)
    assert len(service.heard) == 2


def test_it_stays_away_when_nobody_looks_any_more(database: Database, service: Service) -> None:
    _found(database, NOW)
    Heartbeat(database, Settings(heartbeat_url=service.url)).step(NOW + 2 * selfwatch.MISSING_MS + 1)
    assert service.heard == []


def test_a_service_that_refuses_is_told_once_without_its_address(
    database: Database, service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    service.status = 404
    life = Heartbeat(database, Settings(heartbeat_url=service.url))
    for minute in range(3):
        _found(database, NOW + minute * EVERY_MS)
        life.step(NOW + minute * EVERY_MS)
    assert len(service.heard) == 3
    assert [record.getMessage() for record in caplog.records if "heartbeat" in record.name] == [
        "heartbeat_url: answered 404"
    ]


@pytest.mark.parametrize("url", ["http://alive.example.org/x", "alive.example.org", "https://a:b@h/x", "https://h/#x"])
def test_an_address_that_others_could_read_is_refused(tmp_path: Path, url: str) -> None:
    file = tmp_path / "center.toml"
    file.write_text(f'group = "g"\nheartbeat_url = "{url}"\n')
    with pytest.raises(SettingsError, match="heartbeat_url"):
        load(argparse.Namespace(config=str(file)))
