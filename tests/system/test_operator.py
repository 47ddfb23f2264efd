"""A fleet of which nobody imported anything, and an operator that fails: the center finds out by itself."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import select

from center.db.engine import Database
from center.db.tables import incident_members, incidents, places, sites, terminals
from simulator import fleet_link
from simulator.fleet import Fleet, Options
from tests.mqtt.broker import Rumqttd, free_port
from tests.system.stage import Process
from tests.wait import wait_until

TERMINALS = 60


def test_an_operator_that_fails_is_one_incident_without_any_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet_link, "WILL_DELAY_S", 1)  # the half minute that terminals have to come back says nothing
    broker = Rumqttd(tmp_path)
    broker.start()
    url = f"mqtt://127.0.0.1:{broker.port}"
    words = ("--mqtt", url, "--db", f"sqlite:///{tmp_path}/center.db", "--http", f"127.0.0.1:{free_port()}", "--alone")
    fleet = Fleet(Options(url=url, terminals=TERMINALS, rate=60, faults_per_hour=0, operators=("mobile", "telecom")))
    on = Counter(place.operator for place in fleet.places)
    assert min(on["mobile"], on["telecom"], on[""]) >= 5, "a fleet that tells them apart"
    try:
        with Process(tmp_path / "center.log", "center", "run", *words) as center:
            wait_until(lambda: "listening at" in center.said(), 60)
            fleet.start()
            database = Database(f"sqlite:///{tmp_path}/center.db")
            try:
                wait_until(lambda: _operators(database) == on, 120, every_s=0.5)
                fleet.control.set({"operator.mobile": "down"})
                wait_until(lambda: _open(database) == {("operator", "mobile"): on["mobile"]}, 120, every_s=0.5)
            finally:
                database.close()
                fleet.close()
            assert center.terminate(20)[0] == 0, center.said()
    finally:
        broker.kill()


def _operators(database: Database) -> Counter[str]:
    """How many terminals are known to be on each; nobody but they can have said so."""
    with database.read() as connection:
        assert not connection.execute(select(places.c.terminal)).all()
        assert not connection.execute(select(sites.c.site)).all()
        return Counter(name or "" for name in connection.execute(select(terminals.c.operator)).scalars())


def _open(database: Database) -> Counter[tuple[str, str]]:
    """Members of each incident that is open and no part of another, by its scope and key."""
    joined = incidents.join(incident_members, incident_members.c.incident_id == incidents.c.id)
    standing = incidents.c.state != "resolved", incidents.c.parent_id.is_(None), incident_members.c.left_ms.is_(None)
    with database.read() as connection:
        rows = connection.execute(select(incidents.c.scope, incidents.c.scope_key).select_from(joined).where(*standing))
        return Counter((row.scope, row.scope_key) for row in rows)
