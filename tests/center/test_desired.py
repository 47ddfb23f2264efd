from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from agent import wire
from center.access.scope import Scope
from center.db.engine import Database
from center.db.tables import (
    desired_configs,
)
from center.domain import desired
from center.domain.campaigns_engine import TRIAL_MS
from center.domain.desired_settings import check_patch, diff, merged, state_of
from center.domain.refusal import Refusal
from tests.center.actions import NOW, change, fleet
from tests.center.campaign_office import CAM, LEA, Office


@pytest.fixture
def office(database: Database, tmp_path: Path) -> Office:
    return Office(database, tmp_path)


@pytest.mark.parametrize(
    ("was", "reported", "passed", "now"),
    [
        ("sent", None, False, "sent"),
        ("sent", {"version": "6", "hash": "a"}, False, "sent"),
        ("sent", {"version": "7", "hash": "b"}, False, "tried"),
        ("tried", {"version": "7", "hash": "b"}, True, "applied"),
        ("sent", {"version": "6", "refused": "7", "rejected": {"a.b": "no"}}, False, "rejected"),
        ("sent", {"version": "6", "refused": "5", "rejected": {"a.b": "no"}}, False, "sent"),
        ("tried", {"version": "6", "refused": "7", "rejected": {"*": "no broker"}}, False, "rolled_back"),
        ("applied", {"version": "7", "hash": "b"}, True, "applied"),
        ("applied", {"version": "7", "hash": "c"}, True, "drifted"),
        ("applied", {"version": "file", "hash": "b"}, True, "drifted"),
        ("drifted", {"version": "7", "hash": "b"}, True, "applied"),
    ],
)
def test_what_a_report_says_of_wished_settings(was: str, reported: Any, passed: bool, now: str) -> None:
    assert state_of(7, was, "b" if was in {"applied", "drifted"} else "", reported, passed)[0] == now


def test_settings_are_merged_and_compared() -> None:
    old = {"mqtt": {"url": "a", "link": "wired"}, "power": {"poll_s": 5}}
    new = merged(old, {"mqtt": {"link": None}, "power": {"poll_s": 9}, "system": {"screen": False}})
    assert new == {"mqtt": {"url": "a"}, "power": {"poll_s": 9}, "system": {"screen": False}}
    assert diff(old, new) == {"mqtt.link": ["wired", None], "power.poll_s": [5, 9], "system.screen": [None, False]}
    with pytest.raises(Refusal, match="card number"):
        check_patch({"support": {"channel": "4111111111111111"}})


def _settle(office: Office, terminal: str, version: int, digest: str = "h") -> None:
    change(office.database, terminal, "config", config_reported={"version": str(version), "hash": digest})
    office.line.event(terminal, "config.applied", {"version": str(version), "hash": digest})
    office.step()


def _wished(office: Office) -> dict[str, Any]:
    bodies = {message["topic"].split("/")[3]: message["claims"] for message in office.line.take()}
    return dict(sorted(bodies.items()))


def test_settings_go_out_in_waves_and_count_once_they_have_passed(office: Office) -> None:
    fleet(office.database, ["t1", "t2", "t3"])
    settings = {"power": {"poll_s": 30}}
    campaign_id = office.create(kind="config", args={"settings": settings}, waves=({"count": 1}, {"share": 1}))
    assert office.row(campaign_id).state == "waiting_approval"
    office.campaigns.approve(LEA, campaign_id, NOW)
    office.campaigns.start(CAM, campaign_id, NOW)
    office.step()
    [message] = office.line.take()
    terminal, claims = message["topic"].split("/")[3], message["claims"]
    assert (message["retain"], message["until_ms"]) == (True, None)
    assert wire.decode(wire.SettingsBody, wire.dumps(claims)).version == claims["version"]
    assert (claims["settings"], claims["aud"], claims["iss"]) == (settings, f"e/{terminal}", "main/cam+lea")
    change(office.database, terminal, "config", config_reported={"version": str(claims["version"]), "hash": "h"})
    office.step()
    assert _wished(office) == {}  # on trial is not done
    _settle(office, terminal, claims["version"])
    others = _wished(office)
    assert set(others) | {terminal} == {"t1", "t2", "t3"}
    for other, body in others.items():
        _settle(office, other, body["version"])
    assert (office.row(campaign_id).state, office.states(campaign_id)) == ("done", {"succeeded": 3})


def test_refused_settings_halt_the_campaign(office: Office) -> None:
    fleet(office.database, ["t1", "t2"])
    campaign_id = office.run(kind="config", args={"settings": {"x": {"y": 1}}}, waves=({"count": 1}, {"share": 1}))
    [(terminal, claims)] = _wished(office).items()
    report = {
        "version": "file",
        "hash": "a",
        "refused": str(claims["version"]),
        "rejected": {"x.y": "is not set from afar"},
    }
    change(office.database, terminal, "config", config_reported=report)
    office.step()
    assert (office.row(campaign_id).state, _wished(office)) == ("halted", {})
    assert office.target(campaign_id, terminal).error == "x.y: is not set from afar"


def test_settings_of_which_nothing_is_heard_are_not_waited_for(office: Office) -> None:
    fleet(office.database, ["t1"])
    campaign_id = office.run(kind="config", args={"settings": {"power": {"poll_s": 30}}})
    office.step(TRIAL_MS + 1)
    assert office.states(campaign_id) == {"unanswered": 1}


def test_the_way_back_gives_each_terminal_what_it_had(office: Office) -> None:
    fleet(office.database, ["t1", "t2"])
    office.run(kind="config", args={"settings": {"power": {"poll_s": 30}}}, audience={"terminals": ["t1"]})
    _settle(office, "t1", _wished(office)["t1"]["version"])
    office.now_ms += 1000
    bad = office.run(kind="config", args={"settings": {"power": {"poll_s": 1}, "system": {"poll_s": 1}}})
    for terminal, body in _wished(office).items():
        _settle(office, terminal, body["version"], "bad")
    assert office.row(bad).state == "done"
    office.now_ms += 1000
    back = office.campaigns.roll_back(CAM, bad, "too many wake-ups", office.now_ms)
    office.campaigns.start(CAM, back, office.now_ms)
    office.step()
    wished = _wished(office)
    assert {terminal: body["settings"] for terminal, body in wished.items()} == {
        "t1": {"power": {"poll_s": 30}},
        "t2": {},
    }
    with office.database.read() as connection:
        versions = connection.execute(select(desired_configs.c.version).where(desired_configs.c.terminal == "t1"))
        assert wished["t1"]["version"] == max(versions.scalars())
        shown = desired.history(connection, Scope(), "e", "t1")
    assert shown[0]["changed"] == {"power.poll_s": [1, 30], "system.poll_s": [1, None]}
    assert [row["state"] for row in shown] == ["sent", "replaced", "replaced"]


def test_what_drifts_is_listed_until_it_is_back(office: Office) -> None:
    fleet(office.database, ["t1", "t2"], region="north")
    office.run(kind="config", args={"settings": {"power": {"poll_s": 30}}})
    wished = _wished(office)
    for terminal, body in wished.items():
        _settle(office, terminal, body["version"])

    def drifting(scope: Scope = CAM.scope) -> list[tuple[str, str]]:
        with office.database.read() as connection:
            return [(row["terminal"], row["error"]) for row in desired.drift(connection, scope)]

    assert drifting() == []
    version = str(wished["t2"]["version"])
    change(office.database, "t2", "config", config_reported={"version": version, "hash": "edited"})
    office.step()
    assert drifting() == [("t2", "other settings are in force than when it was applied")]
    assert drifting(Scope(regions=("south",))) == []
    change(office.database, "t2", "config", config_reported={"version": version, "hash": "h"})
    office.step()
    assert drifting() == []
