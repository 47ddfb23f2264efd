from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update

from center.access import audit
from center.access.scope import Scope
from center.db.engine import Database, upsert
from center.db.tables import (
    commands,
    sites,
    terminals,
)
from center.domain.campaigns import Campaigns, progress
from center.domain.campaigns_engine import CampaignEngine
from center.domain.campaigns_settle import RETRY_MS
from center.domain.commands_engine import GRACE_MS
from center.domain.refusal import Refusal
from tests.center.actions import NOW, change, command_of, fleet, person
from tests.center.campaign_office import CAM, DAY_MS, LEA, Office


@pytest.fixture
def office(database: Database, tmp_path: Path) -> Office:
    return Office(database, tmp_path)


def test_a_small_one_runs_to_its_end(office: Office) -> None:
    fleet(office.database, ["t1", "t2", "t3"])
    campaign_id = office.run(args={"level": "internal"})
    assert office.states(campaign_id) == {"sent": 3}
    assert office.answer_all() == 3
    assert (office.row(campaign_id).state, office.states(campaign_id)) == ("done", {"succeeded": 3})
    with office.database.read() as connection:
        made = connection.execute(select(commands.c.reason, commands.c.issued_by, commands.c.campaign_id)).all()
    assert set(made) == {("a test of all", "cam", campaign_id)}


def test_waves_follow_each_other_after_their_pause(office: Office) -> None:
    fleet(office.database, [f"t{number}" for number in range(20)])
    campaign_id = office.run(waves=({"count": 2, "pause_s": 900}, {"share": 0.25, "pause_s": 0}, {"share": 1}))
    assert office.answer_all() == 2
    office.step(899_000)
    assert office.answer_all() == 0
    office.step(1_000)
    assert office.answer_all() == 5
    assert office.answer_all() == 13
    assert office.row(campaign_id).state == "done"


def test_it_halts_by_itself_and_goes_on_when_told(office: Office) -> None:
    fleet(office.database, [f"t{number}" for number in range(40)])
    campaign_id = office.run(waves=({"count": 10}, {"share": 1}))
    for number, (terminal, command_id) in enumerate(office.asked().items()):
        office.line.answer(command_id, "failed" if number < 2 else "succeeded", terminal=terminal, error="jammed")
    office.step()
    assert (office.row(campaign_id).state, office.row(campaign_id).why) == (
        "halted",
        "2 of 10 failed; more than 10% is too much",
    )
    office.step(DAY_MS)
    assert office.asked() == {}
    office.campaigns.resume(CAM, campaign_id, office.now_ms)
    office.step()
    assert office.answer_all() == 30
    assert (office.row(campaign_id).state, office.states(campaign_id)) == ("done", {"failed": 2, "succeeded": 38})


def test_it_halts_when_terminals_that_were_done_can_no_longer_sell(office: Office) -> None:
    fleet(office.database, [f"t{number}" for number in range(10)])
    campaign_id = office.run(waves=({"count": 4, "pause_s": 900}, {"share": 1}))
    done = list(office.asked().items())
    for terminal, command_id in done:
        office.line.answer(command_id, "succeeded", terminal=terminal)
    office.step()
    change(office.database, done[0][0], "state", can_sell="no", since_ms=NOW + 60_000)
    office.step(900_000)
    assert (office.row(campaign_id).state, office.asked()) == ("halted", {})
    assert "1 cannot sell since" in office.row(campaign_id).why


def test_who_is_away_is_asked_when_back(office: Office) -> None:
    fleet(office.database, ["t1"], status="offline")
    fleet(office.database, ["t2"])
    campaign_id = office.run()
    office.answer_all()
    assert office.states(campaign_id) == {"offline": 1, "succeeded": 1}
    assert office.row(campaign_id).state == "running"
    change(office.database, "t1", "state", status="online")
    office.step(1000)
    assert list(office.asked()) == ["t1"]


def test_silence_is_asked_again_and_then_given_up(office: Office) -> None:
    fleet(office.database, ["t1"])
    campaign_id = office.run(pace={"attempts": 2})
    [first] = office.asked().values()
    office.step(300_000 + GRACE_MS)
    assert (office.asked(), office.target(campaign_id, "t1").state) == ({}, "waiting")
    office.step(RETRY_MS)
    [second] = office.asked().values()
    assert second != first
    office.step(300_000 + GRACE_MS)
    assert office.target(campaign_id, "t1").state == "unanswered"
    assert "did not answer" in office.row(campaign_id).why
    office.line.answer(second, "succeeded")  # it was heard after all
    office.step()
    assert office.target(campaign_id, "t1").state == "succeeded"


def test_in_quiet_hours_only(office: Office) -> None:
    open_now = {day: [["09:00", "22:00"]] for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")}
    with office.database.begin() as connection:
        upsert(
            connection, sites, [{"estate": "e", "site": "s1", "hours": open_now, "timezone": "UTC", "updated_ms": 1}]
        )
    fleet(office.database, ["t1"], site="s1")
    fleet(office.database, ["t2"])  # nobody told its hours
    office.run(pace={"quiet": True})
    assert office.asked() == {}
    office.step(9 * 3_600_000)  # 23:13
    assert list(office.asked()) == ["t1"]
    office.step(4 * 3_600_000)  # 03:13
    assert "t2" in office.asked()


def test_not_too_many_at_a_time(office: Office) -> None:
    fleet(office.database, [f"t{number}" for number in range(25)])
    office.run(pace={"parallel": 10})
    assert office.answer_all() == 10
    assert office.answer_all() == 10
    assert office.answer_all() == 5


def test_what_a_terminal_does_not_take_is_skipped(office: Office) -> None:
    fleet(office.database, ["t1"], inventory={"commands": ["check"]})
    fleet(office.database, ["t2"])
    campaign_id = office.run(kind="command", args={"cmd": "print_slip"}, who=person("adm", "admin"))
    assert office.target(campaign_id, "t1").error == "it takes check"
    assert list(office.asked()) == ["t2"]


def test_pause_and_cancel_ask_nobody_else(office: Office) -> None:
    fleet(office.database, [f"t{number}" for number in range(4)])
    campaign_id = office.run(waves=({"count": 1, "pause_s": 0}, {"share": 1}))
    office.campaigns.pause(CAM, campaign_id, "lunch time", office.now_ms)
    assert office.answer_all() == 1
    office.step(DAY_MS)
    assert (office.asked(), office.row(campaign_id).why) == ({}, "cam: lunch time")
    office.campaigns.resume(CAM, campaign_id, office.now_ms)
    office.campaigns.cancel(CAM, campaign_id, "not needed", office.now_ms)
    office.step(DAY_MS)
    assert (office.asked(), office.row(campaign_id).state) == ({}, "cancelled")
    with pytest.raises(Refusal, match="the campaign is cancelled"):
        office.campaigns.resume(CAM, campaign_id, office.now_ms)


def test_a_bundle_goes_to_an_address_of_its_own(office: Office) -> None:
    fleet(office.database, ["t1", "t2"])
    office.run(kind="collect", args={"url": "https://up.example/{terminal}/{id}"})
    for body in map(command_of, office.line.take()):
        assert body.args == {"url": f"https://up.example/{body.aud[2:]}/{body.jti}"}


def test_a_kill_at_any_commit_doubles_and_loses_nothing(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every transaction is undone once, at its end, before it is let through."""
    fleet(office.database, [f"t{number}" for number in range(9)])
    campaign_id = office.create(waves=({"count": 3}, {"share": 1}))
    office.campaigns.start(CAM, campaign_id, office.now_ms)
    begin, killed = Database.begin, []

    class Killed(BaseException):
        pass

    @contextmanager
    def begin_or_die(self: Database) -> Any:
        with begin(self) as connection:
            yield connection
            killed.append(1)
            if len(killed) % 2:
                raise Killed

    for _ in range(400):
        with monkeypatch.context() as patched:
            patched.setattr(Database, "begin", begin_or_die)
            for engine in office.engines:
                try:
                    engine.step(office.now_ms)
                except Killed:
                    engine.__init__(*_made_with(engine))  # type: ignore[misc]  # a new process knows nothing
        for terminal, command_id in office.asked().items():
            office.line.answer(command_id, "succeeded", terminal=terminal)
        if office.row(campaign_id).state == "done":
            break
    assert len(killed) > 15
    assert office.states(campaign_id) == {"succeeded": 9}
    with office.database.read() as connection:
        assert connection.execute(select(func.count()).select_from(commands)).scalar() == 9


def _made_with(engine: Any) -> tuple[Any, ...]:
    if isinstance(engine, CampaignEngine):
        return engine._database, engine._signer, engine._issuer, engine._many
    return (engine._database,)


def test_without_a_key_it_halts_and_says_why(office: Office) -> None:
    fleet(office.database, ["t1"])
    campaign_id = office.create()
    office.campaigns.start(CAM, campaign_id, office.now_ms)
    office.key_file.unlink()
    office.step()
    assert (office.row(campaign_id).state, "no such file" in office.row(campaign_id).why) == ("halted", True)


# --- four eyes


def test_many_terminals_need_a_second_person(database: Database, tmp_path: Path) -> None:
    office = Office(database, tmp_path, many=3)
    fleet(database, [f"t{number}" for number in range(4)])
    campaign_id = office.create()
    with pytest.raises(Refusal, match="the campaign is waiting approval"):
        office.campaigns.start(CAM, campaign_id, office.now_ms)
    with pytest.raises(Refusal, match="cannot be the second person"):
        office.campaigns.approve(CAM, campaign_id, office.now_ms)
    with pytest.raises(Refusal, match=r"campaign\.approve"):
        office.campaigns.approve(person("a", "agent"), campaign_id, office.now_ms)
    with pytest.raises(Refusal, match="cannot be the second person"):
        office.campaigns.approve(replace(CAM, name="token cam's script"), campaign_id, office.now_ms)
    office.campaigns.approve(LEA, campaign_id, office.now_ms)
    office.campaigns.start(CAM, campaign_id, office.now_ms)
    office.step()
    assert len(office.asked()) == 4


def test_an_audience_that_grew_since_is_approved_anew(database: Database, tmp_path: Path) -> None:
    office = Office(database, tmp_path, many=3)
    fleet(database, ["t1", "t2"])
    campaign_id = office.create()
    assert office.row(campaign_id).state == "draft"
    fleet(database, [f"u{number}" for number in range(5)])
    office.campaigns.start(CAM, campaign_id, office.now_ms)
    office.step()
    assert (office.row(campaign_id).state, office.asked()) == ("waiting_approval", {})
    assert office.row(campaign_id).why == "7 terminals are like that now, 2 were when it was made"


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ({"kind": "erase"}, "the kinds are"),
        ({"name": " "}, "a name"),
        ({"halt_share": 0}, "halt_share"),
        ({"reason": ""}, "a reason"),
        ({"audience": {"sites": ["nowhere"]}}, "no terminal of yours is like that"),
        ({"args": {"spread_s": 3}}, "not 'spread_s'"),
        ({"kind": "readiness"}, "date is the day"),
        ({"kind": "config"}, "has settings"),
        ({"kind": "config", "args": {"settings": {"mqtt": {}}}}, "tables of keys"),
        ({"kind": "command", "args": {"cmd": "erase"}}, "the commands are"),
        ({"kind": "collect"}, "collect needs url"),
    ],
)
def test_a_plan_that_cannot_be(office: Office, plan: dict[str, Any], said: str) -> None:
    fleet(office.database, ["t1"])
    with pytest.raises(Refusal, match=said):
        office.create(**plan)


@pytest.mark.parametrize("role", ["viewer", "agent", "lead", "technician", "compliance"])
def test_who_may_not_make_one(office: Office, role: Any) -> None:
    fleet(office.database, ["t1"])
    with pytest.raises(Refusal, match=r"campaign\.write"):
        office.create(who=person("p", role))


def test_what_is_outside_of_the_scope_is_not_reached_and_not_seen(office: Office) -> None:
    fleet(office.database, ["t1"], region="north")
    fleet(office.database, ["t2"], region="south")
    north = person("nor", "campaign_manager", scope=Scope(regions=("north",)))
    south = person("sue", "campaign_manager", scope=Scope(regions=("south",)))
    campaign_id = office.run(who=north)
    assert list(office.asked()) == ["t1"]
    with pytest.raises(Refusal) as caught:
        office.campaigns.pause(south, campaign_id, "because", office.now_ms)
    assert caught.value.why == "not_found"
    everybody = office.run(who=CAM, name="all")
    with office.database.read() as connection:
        assert progress(connection, south.scope, everybody)["states"] == {"sent": 1}
    with pytest.raises(Refusal) as caught:
        office.campaigns.pause(south, everybody, "because", office.now_ms)
    assert caught.value.why == "forbidden"


def test_each_move_is_in_the_audit(office: Office) -> None:
    fleet(office.database, ["t1"])
    campaign_id = office.run()
    office.campaigns.cancel(CAM, campaign_id, "enough seen", office.now_ms)
    with office.database.read() as connection:
        lines = [
            (row.who, row.what, row.detail.get("to")) for row in audit.every(connection) if row.target == campaign_id
        ]
    assert lines == [
        ("cam", "campaign.create", None),
        ("cam", "campaign.move", "running"),
        ("cam", "campaign.move", "cancelled"),
    ]


def test_thousands_are_asked_without_one_long_transaction(office: Office) -> None:
    fleet(office.database, [f"t{number:04}" for number in range(500)])
    office.campaigns = Campaigns(office.database, many=5000)
    office.engines[2]._many = 5000
    campaign_id = office.run(pace={"parallel": 5000})
    assert office.states(campaign_id) == {"sent": 500}
    with office.database.begin() as connection:
        connection.execute(update(terminals).values(can_sell="yes"))
    assert len(set(office.asked().values())) == 500
