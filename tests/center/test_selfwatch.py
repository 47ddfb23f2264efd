from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import insert, select

from center.access.scope import EVERYTHING, Scope
from center.db import feed
from center.db.aside import put_aside
from center.db.engine import Database, upsert
from center.db.tables import events, gaps, heartbeat, incidents, outbox, quarantine
from center.domain import selfwatch
from center.domain.selfwatch import EVERY_MS, HOLD_MS, SelfWatch
from center.settings import Settings

NOW = 1_790_000_000_000


class Watched:
    """A center whose parts beat as the test says."""

    def __init__(self, database: Database, settings: Settings | None = None) -> None:
        self.database = database
        self.now_ms = NOW
        self.start(settings or Settings())

    def start(self, settings: Settings) -> None:
        self.watch = SelfWatch(self.database, settings)
        self.watch.step(self.now_ms - 60_000)

    def beat(self, name: str, **data: Any) -> None:
        with self.database.begin() as connection:
            upsert(connection, heartbeat, [{"name": name, "at_ms": self.now_ms, "data": data}])

    def look(self, after_ms: int = EVERY_MS) -> list[tuple[str, str]]:
        """What is open afterwards."""
        self.now_ms += after_ms
        self.watch.step(self.now_ms)
        with self.database.read() as connection:
            found = select(incidents.c.scope_key, incidents.c.severity).where(incidents.c.state == "open")
            return sorted(tuple(row) for row in connection.execute(found) if not row.scope_key.startswith("disk"))


@pytest.fixture
def watched(database: Database) -> Watched:
    center = Watched(database)
    center.beat("ingest-main-1", state="listening", problem="", oldest_ms=0)
    center.beat("engines", host="h", pid=1)
    center.beat("engine-cases", problem="", behind=False)
    return center


def test_a_center_that_is_well_has_no_incident(watched: Watched) -> None:
    assert watched.look() == []
    with watched.database.read() as connection:
        row = connection.execute(select(heartbeat.c.data).where(heartbeat.c.name == selfwatch.ROW)).scalar_one()
    states = {each["key"]: each["state"] for each in row["readings"] if each["key"].partition(":")[0] != "disk"}
    assert set(states.values()) == {"right"}
    assert {"worker:ingest-main-1", "worker:engines", "broker:ingest-main-1", "engine:cases", "gaps", "outbox"} <= set(
        states
    )


def test_a_missing_heartbeat_is_an_alarm_until_it_is_back_for_a_while(watched: Watched) -> None:
    watched.look()
    assert watched.look(40_000) == [("worker:engines", "critical"), ("worker:ingest-main-1", "critical")]
    with watched.database.read() as connection:
        told = connection.execute(select(outbox.c.payload)).scalars().all()
    assert {each["event"] for each in told} == {"center.alarm"}
    assert len(watched.look(10_000)) == 2
    for _ in range(HOLD_MS // 10_000):
        watched.beat("ingest-main-1", state="listening", problem="", oldest_ms=0)
        watched.beat("engines", host="h", pid=1)
        assert len(watched.look(10_000)) == 2
    watched.beat("ingest-main-1", state="listening", problem="", oldest_ms=0)
    watched.beat("engines", host="h", pid=1)
    assert watched.look(10_000) == []


def test_at_a_start_others_may_not_have_begun_yet(database: Database) -> None:
    center = Watched(database)
    center.watch = SelfWatch(database, Settings())
    assert center.look() == []
    assert center.look(selfwatch.MISSING_MS) == [("worker:ingest", "critical")]


def test_several_may_watch_and_open_one(watched: Watched) -> None:
    other = SelfWatch(watched.database, Settings())
    other.step(NOW - 60_000)
    watched.look(60_000)
    other.step(watched.now_ms + 1)
    assert len(watched.look()) == 2


@pytest.mark.parametrize(
    ("data", "keys"),
    [
        ({"state": "away from the broker", "problem": "refused", "oldest_ms": 0}, ["broker:ingest-main-1"]),
        (
            {"state": "thrown out", "problem": "another center", "oldest_ms": 0, "thrown_out": 2},
            ["broker:ingest-main-1", "name:ingest-main-1"],
        ),
        ({"state": "listening", "problem": "", "oldest_ms": 90_000}, ["lag:ingest-main-1"]),
    ],
)
def test_what_a_worker_tells_is_heard(watched: Watched, data: dict[str, Any], keys: list[str]) -> None:
    watched.beat("ingest-main-1", **data)
    assert [found for found, _severity in watched.look()] == keys


def _reading(watched: Watched, key: str) -> dict[str, Any]:
    with watched.database.read() as connection:
        row = connection.execute(select(heartbeat.c.data).where(heartbeat.c.name == selfwatch.ROW)).scalar_one()
    return next(each for each in row["readings"] if each["key"] == key)


def test_upkeep_is_missed_when_it_dies_and_when_it_is_behind(watched: Watched) -> None:
    watched.beat("upkeep", host="h", pid=1)
    watched.beat("upkeep-event", received_ms=NOW - 200_000)
    event = {"estate": "e", "terminal": "t", "boot": 1, "at_ms": 1, "up_ms": 1, "clock": "synced", "event": "x"}
    with watched.database.begin() as connection:
        for seq, age_ms in ((1, 300_000), (2, 80_000)):
            connection.execute(insert(events).values(event | {"seq": seq, "received_ms": NOW - age_ms}))
    assert watched.look() == []
    assert _reading(watched, "lag:upkeep-event")["value"] == 55.0  # 85 s, of which it lets 30 pass to be sure
    watched.beat("ingest-main-1", state="listening", problem="", oldest_ms=0)
    watched.beat("engines", host="h", pid=1)
    assert watched.look(26_000) == [("lag:upkeep-event", "major"), ("worker:upkeep", "critical")]


def test_an_upkeep_that_did_all_there_is_has_no_lag(watched: Watched) -> None:
    watched.beat("upkeep-telemetry", received_ms=NOW - 86_400_000)
    assert watched.look() == []
    assert _reading(watched, "lag:upkeep-telemetry")["value"] == 0.0


def test_what_was_put_aside_is_an_alarm_and_what_was_refused_is_none(watched: Watched) -> None:
    refused = {"topic": "pos/1/e/t/event", "why": "x", "head": b"", "size": 1, "at_ms": NOW}
    with watched.database.begin() as connection:
        connection.execute(insert(quarantine).values(refused))
    assert watched.look() == []
    with watched.database.begin() as connection:
        put_aside(connection, "cases/event/e/t", "TypeError: x", "17", NOW)
    assert watched.look() == [("aside", "major")]


def test_the_end_of_an_alarm_is_told_to_whom_it_was_told(watched: Watched) -> None:
    watched.beat("engine-cases", problem="KeyError: x", behind=False)
    watched.look()
    for _ in range(2):
        for name, data in (
            ("engine-cases", {"problem": ""}),
            ("engines", {}),
            ("ingest-main-1", {"state": "listening"}),
        ):
            watched.beat(name, **data)
        watched.look(HOLD_MS + 1)
        watched.beat("engines")
        watched.beat("ingest-main-1", state="listening")
    with watched.database.read() as connection:
        told = connection.execute(select(outbox.c.payload).order_by(outbox.c.id)).scalars().all()
    told = [each for each in told if "engine:cases" in each["body"]]
    assert [each["event"] for each in told] == ["center.alarm", "center.alarm.over"]
    assert [each["severity"] for each in told] == ["critical", "critical"]
    assert told[1]["subject"] == f"over: {told[0]['subject']}"


def test_the_brokers_certificate_is_watched(watched: Watched) -> None:
    day_ms = 86_400_000
    watched.beat("ingest-main-1", state="listening", certificate_ends_ms=NOW + 90 * day_ms)
    watched.beat("ingest-main-2", state="listening", certificate_ends_ms=NOW + 5 * day_ms)
    assert watched.look() == [("certificate:broker", "critical")]
    assert _reading(watched, "certificate:broker")["value"] == 5.0


def test_only_a_disk_that_is_the_databases_is_called_so(watched: Watched) -> None:
    watched.look()
    if watched.database.dialect == "sqlite":
        assert _reading(watched, "disk")["value"] > 0
    else:
        assert _reading(watched, "disk:state")["value"] > 0
        assert _reading(watched, "disk:database")["state"] == "unknown"


def test_no_worker_at_all_is_an_alarm(database: Database) -> None:
    assert Watched(database).look() == [("worker:ingest", "critical")]


def test_an_engine_that_fails_and_one_that_is_behind(watched: Watched) -> None:
    watched.beat("engine-cases", problem="KeyError: x", behind=False)
    with watched.database.begin() as connection:
        feed.append(connection, [("fault", "e", "t", "k")], NOW - 120_000)
        feed.save_cursor(connection, "cursor-incidents", {"id": 0}, NOW)
    assert watched.look() == [("engine:cases", "critical"), ("lag:incidents", "major")]


def test_messages_that_wait_too_long_and_gaps_of_many(watched: Watched) -> None:
    row = {
        "kind": "notify",
        "key": "k",
        "payload": {},
        "not_before_ms": NOW - 600_000,
        "state": "waiting",
        "created_ms": 1,
    }
    gap = {"boot": 1, "class": "event", "first": 1, "last": 2, "found_ms": NOW - 60_000}
    with watched.database.begin() as connection:
        connection.execute(insert(outbox).values(row))
        connection.execute(insert(gaps), [gap | {"estate": "e", "terminal": f"t{number}"} for number in range(10)])
    assert watched.look() == [("gaps", "major"), ("outbox", "major")]


def _certificate(path: Path, days: int) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "center")])
    until = dt.datetime.fromtimestamp(NOW / 1000, dt.UTC) + dt.timedelta(days=days)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(until - dt.timedelta(days=400)).not_valid_after(until)
    path.write_bytes(made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))


@pytest.mark.parametrize(
    ("days", "wrong"),
    [
        (90, []),
        (20, [("certificate:center.pem", "major")]),
        (3, [("certificate:center.pem", "critical")]),
        (-1, [("certificate:center.pem", "critical")]),
    ],
)
def test_a_certificate_that_expires(watched: Watched, tmp_path: Path, days: int, wrong: list[Any]) -> None:
    _certificate(tmp_path / "center.pem", days)
    watched.start(Settings(mqtt_certificate_file=str(tmp_path / "center.pem")))
    assert watched.look() == wrong


def test_what_cannot_be_measured_is_unknown_and_no_alarm(watched: Watched, tmp_path: Path) -> None:
    watched.start(Settings(mqtt_ca_file=str(tmp_path / "none.pem")))
    assert watched.look() == []
    with watched.database.read() as connection:
        row = connection.execute(select(heartbeat.c.data).where(heartbeat.c.name == selfwatch.ROW)).scalar_one()
    (reading,) = (each for each in row["readings"] if each["key"] == "certificate:none.pem")
    assert (reading["state"], reading["value"]) == ("unknown", None)


def test_the_centers_own_trouble_is_shown_to_those_of_all_estates_only(watched: Watched) -> None:
    watched.look(60_000)
    with watched.database.read() as connection:
        assert connection.execute(select(incidents.c.id).where(EVERYTHING.where(incidents))).all()
        assert not connection.execute(select(incidents.c.id).where(Scope(estates=("e",)).where(incidents))).all()
