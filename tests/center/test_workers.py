"""Workers of the ingest as processes, at real brokers."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from cryptography import x509
from sqlalchemy import func, select

from agent import packing
from center.db.engine import Database
from center.db.migrate import migrate
from center.db.tables import events, heartbeat, quarantine, telemetry, terminals
from tests.center import said
from tests.center.postgres import Postgres
from tests.mqtt.broker import Broker, Line, Mosquitto, Observer, Rumqttd
from tests.mqtt.test_tls import Authority
from tests.wait import wait_until

pytestmark = pytest.mark.timeout(180)
Start = Callable[..., "subprocess.Popen[bytes]"]


class Terminals:
    """Publishes as terminals do; `told` counts what the broker has taken over."""

    def __init__(self, port: int) -> None:
        self.told = 0
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id="terminals", protocol=paho.MQTTv5)
        self._client.on_publish = self._on_publish
        self._client.max_inflight_messages_set(100)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self.sent = 0

    def _on_publish(self, *_: object) -> None:
        self.told += 1

    def say(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        self.sent += 1
        self._client.publish(f"pos/1/e/{topic}", payload, qos=1, retain=retain)

    def wait(self) -> None:
        wait_until(lambda: self.told == self.sent)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    process: Broker = getattr(request, "param", Rumqttd)(tmp_path)
    if isinstance(process, Mosquitto):
        process.more = "max_inflight_messages 0\nmax_queued_messages 0\n"
    process.start()
    yield process
    process.kill()


@pytest.fixture
def speaking(broker: Broker) -> Iterator[Terminals]:
    client = Terminals(broker.port)
    yield client
    client.close()


@pytest.fixture
def start(broker: Broker, database_url: str, tmp_path: Path) -> Iterator[Start]:
    """Starts a worker."""
    running: list[subprocess.Popen[bytes]] = []

    def go(*more: str) -> subprocess.Popen[bytes]:
        words = ["--db", database_url, "--mqtt", f"mqtt://127.0.0.1:{broker.port}", "--role", "ingest", *more]
        with (tmp_path / f"worker-{len(running)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "agent.cli", "center", "run", *words],
                stderr=log,
                env=os.environ | {"POSDIAG_CENTER_DIR": str(tmp_path / "state")},
            )
        running.append(process)
        return process

    yield go
    for process in running:
        process.kill()
        process.wait()


def _one(database: Database, statement: Any) -> Any:
    with database.read() as connection:
        return connection.execute(statement).scalar()


def _count(database: Database, table: Any) -> int:
    return int(_one(database, select(func.count()).select_from(table)))


def _listening(database: Database, workers: int = 1) -> bool:
    with database.read() as connection:
        rows = (
            connection.execute(select(heartbeat.c.data).where(heartbeat.c.name.startswith("ingest-"))).scalars().all()
        )
    return sum(row.get("state") == "listening" for row in rows) >= workers


def _beat(database: Database) -> dict[str, Any]:
    return _one(database, select(heartbeat.c.data).where(heartbeat.c.name == "ingest-main-1")) or {}


def _problem(database: Database) -> str:
    return str(_beat(database).get("problem", ""))


def test_from_the_broker_to_the_database_and_back(
    start: Start, database: Database, speaking: Terminals, broker: Broker
) -> None:
    worker = start("--alone")
    wait_until(lambda: _listening(database))
    speaking.say("t/state", said.state(), retain=True)
    speaking.say("t/event", said.event(1))
    speaking.say("t/event", b"no event")
    wait_until(lambda: _count(database, events) == _count(database, terminals) == _count(database, quarantine) == 1)
    with Observer(broker.port) as observer:
        (online,) = wait_until(lambda: observer.of("center/main-1/state"))
        assert (online["status"], online["inflates"]) == ("online", packing.NAME)
        worker.terminate()
        assert worker.wait(30) == 0
        wait_until(lambda: observer.of("center/main-1/state")[-1]["status"] == "offline")


def test_a_center_that_lost_its_database_knows_the_fleet_at_once(
    start: Start, database: Database, speaking: Terminals
) -> None:
    for number in range(30):
        speaking.say(f"t{number}/state", said.state(conn=number), retain=True)
        speaking.say(f"t{number}/inventory", said.inventory(), retain=True)
    speaking.wait()
    start("--alone")
    known = select(func.count()).where(terminals.c.status == "online", terminals.c.model == "TM-T20")
    wait_until(lambda: _one(database, known) == 30)


def test_the_broker_may_go_and_come_back(start: Start, database: Database, broker: Broker) -> None:
    start("--alone")
    wait_until(lambda: _listening(database))
    broker.kill()
    wait_until(lambda: not _listening(database))
    assert "broker" in _problem(database)
    broker.start()
    wait_until(lambda: _listening(database))
    speaking = Terminals(broker.port)
    speaking.say("t/event", said.event(1))
    wait_until(lambda: _count(database, events) == 1)
    speaking.close()


def test_tls_to_the_broker_and_what_does_not_fit(
    start: Start, database: Database, broker: Broker, speaking: Terminals, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("center")
    (tmp_path / "strange").mkdir()
    stranger = Authority(tmp_path / "strange")
    shown, its_key = authority.issue("broker")
    with Line(broker.port, authority.server(shown, its_key)) as line:
        for trusted in (stranger, authority):
            config = tmp_path / "center.toml"
            config.write_text(
                f'mqtt_ca_file = "{trusted.file}"\nmqtt_certificate_file = "{certificate}"\nmqtt_key_file = "{key}"\n'
            )
            worker = start("--alone", "--config", str(config), "--mqtt", f"mqtts://127.0.0.1:{line.port}")
            if trusted is stranger:
                wait_until(lambda: "certificate verify failed" in _problem(database))
                assert not _listening(database)
                worker.terminate()
                assert worker.wait(30) == 0
        wait_until(lambda: _listening(database))
        ends_ms = x509.load_pem_x509_certificate(shown.read_bytes()).not_valid_after_utc.timestamp() * 1000
        wait_until(lambda: _beat(database).get("certificate_ends_ms") == ends_ms)
        speaking.say("t/event", said.event(1))
        wait_until(lambda: _count(database, events) == 1)
        worker.terminate()
        assert worker.wait(30) == 0


def test_what_cannot_be_run_is_told_in_one_line(tmp_path: Path) -> None:
    for words, said_so in (
        (["--db", "mysql://x/y"], "is no database that is known"),
        (["--mqtt", "http://x"], "is not mqtt://host:port"),
        (["--config", str(tmp_path / "none.toml")], "no such file"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "agent.cli", "center", "run", *words],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"POSDIAG_CENTER_DIR": str(tmp_path / "state")},
        )
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert said_so in done.stderr


@pytest.mark.peers
@pytest.mark.parametrize("broker", [Mosquitto], indirect=True)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_nothing_is_acknowledged_before_it_is_stored(
    start: Start, database: Database, database_url: str, speaking: Terminals
) -> None:
    worker = start()
    wait_until(lambda: _listening(database))
    blocker = sqlite3.connect(database_url.removeprefix("sqlite:///"), isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    for seq in range(1, 51):
        speaking.say("t/event", said.event(seq))
    speaking.wait()
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    blocker.rollback()
    blocker.close()
    assert _count(database, events) == 0
    start()
    wait_until(lambda: _count(database, events) == 50)


@pytest.mark.peers
@pytest.mark.parametrize("broker", [Mosquitto], indirect=True)
def test_two_workers_and_one_is_killed(start: Start, database: Database, speaking: Terminals) -> None:
    workers = [start(), start()]
    wait_until(lambda: _listening(database, 2))
    for seq in range(1, 3001):
        speaking.say(f"t{seq % 50}/telemetry", said.telemetry(1 + seq // 50))
        if seq % 3 == 0:
            speaking.say(f"t{seq % 50}/event", said.event(seq))
        if seq == 1000:
            wait_until(lambda: _count(database, events) > 20)
            workers[0].send_signal(signal.SIGKILL)
            workers[0].wait()
        if seq == 2000:
            start()
    speaking.wait()
    wait_until(lambda: _count(database, telemetry) == 3000 and _count(database, events) == 1000, 60)
    assert _count(database, quarantine) == 0
    with database.read() as connection:
        names = (
            connection.execute(select(heartbeat.c.name).where(heartbeat.c.name.startswith("ingest-"))).scalars().all()
        )
    assert sorted(names) == ["ingest-main-1", "ingest-main-2"]  # the one that came back took its own place


@pytest.mark.peers
@pytest.mark.parametrize("broker", [Mosquitto], indirect=True)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # not used; the server is this test's own
def test_postgresql_crashes_under_load_and_comes_back(start: Start, speaking: Terminals, tmp_path: Path) -> None:
    server = Postgres(durable=True)
    database = Database(server.url(server.create()))
    try:
        migrate(database)
        worker = start("--db", str(database.url.render_as_string(hide_password=False)))
        wait_until(lambda: _listening(database))
        for seq in range(1, 1501):
            speaking.say(f"t{seq % 50}/telemetry", said.telemetry(1 + seq // 50))
            speaking.say(f"t{seq % 50}/event", said.event(1 + seq // 50))
            if seq == 500:
                wait_until(lambda: _count(database, events) > 20)
                server.crash()
        speaking.wait()
        wait_until(lambda: "the database:" in (tmp_path / "worker-0.log").read_text())
        server.start()
        wait_until(lambda: _count(database, telemetry) == _count(database, events) == 1500, 60)
        assert _count(database, quarantine) == 0
        assert worker.poll() is None
    finally:
        database.close()
        server.stop()
