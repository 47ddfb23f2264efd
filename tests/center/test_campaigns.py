from __future__ import annotations

import csv
import io
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update

from center.access import audit
from center.access.scope import Scope
from center.db.engine import Database, upsert
from center.db.tables import (
    campaign_targets,
    campaigns,
    commands,
    desired_configs,
    faults,
    metrics_day,
    sites,
    terminals,
)
from center.domain import campaigns_audience, campaigns_readiness, desired
from center.domain.campaigns import Campaigns, Plan, progress
from center.domain.campaigns_engine import TRIAL_MS, CampaignEngine
from center.domain.campaigns_plan import Tally, assign, check_pace, check_waves, judge
from center.domain.campaigns_settle import RETRY_MS
from center.domain.commands_engine import GRACE_MS, CommandEngine
from center.domain.commands_key import Signer
from center.domain.desired import DesiredEngine
from center.domain.desired_settings import check_patch, diff, merged, state_of
from center.domain.refusal import Refusal
from tests.center.actions import NOW, Line, change, command_of, fleet, new_key, person

CAM = person("cam", "campaign_manager")
LEA = person("lea", "lead")
DAY_MS = 86_400_000
ONE_WAVE = ({"share": 1.0},)


class Office:
    """Campaigns, the engines behind them, and the terminals' side."""

    def __init__(self, database: Database, folder: Path, many: int = 1000) -> None:
        self.database = database
        private, public = new_key(folder)
        self.key_file = private
        signer = Signer(private)
        self.campaigns = Campaigns(database, many)
        self.engines = (
            CommandEngine(database),
            DesiredEngine(database),
            CampaignEngine(database, signer, "main", many),
        )
        self.line = Line(database, public)
        self.now_ms = NOW

    def step(self, later_ms: int = 0) -> None:
        self.now_ms += later_ms
        for _ in range(1000):
            if not sum(engine.step(self.now_ms) for engine in self.engines):  # each of them
                return
        raise AssertionError("the engines find no end")

    def create(self, who: Any = CAM, **plan: Any) -> str:
        usual = {
            "name": "n",
            "kind": "check",
            "audience": {"estates": ["e"]},
            "reason": "a test of all",
            "waves": ONE_WAVE,
        }
        return self.campaigns.create(who, Plan(**{**usual, **plan}), self.now_ms)

    def run(self, **plan: Any) -> str:
        """Create, approve where needed, start, and have the first wave asked."""
        campaign_id = self.create(**plan)
        if self.row(campaign_id).state == "waiting_approval":
            self.campaigns.approve(LEA, campaign_id, self.now_ms)
        self.campaigns.start(CAM, campaign_id, self.now_ms)
        self.step()
        return campaign_id

    def row(self, campaign_id: str) -> Any:
        with self.database.read() as connection:
            return connection.execute(select(campaigns).where(campaigns.c.id == campaign_id)).one()

    def states(self, campaign_id: str) -> dict[str, int]:
        with self.database.read() as connection:
            return progress(connection, CAM.scope, campaign_id)["states"]

    def target(self, campaign_id: str, terminal: str) -> Any:
        mine = (campaign_targets.c.campaign_id == campaign_id) & (campaign_targets.c.terminal == terminal)
        with self.database.read() as connection:
            return connection.execute(select(campaign_targets).where(mine)).one()

    def asked(self) -> dict[str, str]:
        """Terminal to the id of the command that it got now."""
        return {body.aud.partition("/")[2]: body.jti for body in map(command_of, self.line.take())}

    def answer_all(self, state: str = "succeeded", **more: Any) -> int:
        asked = self.asked()
        for terminal, command_id in asked.items():
            self.line.answer(command_id, "accepted", state, terminal=terminal, **more)
        self.step()
        return len(asked)


@pytest.fixture
def office(database: Database, tmp_path: Path) -> Office:
    return Office(database, tmp_path)


# --- the arithmetic


@pytest.mark.parametrize(
    ("tally", "age_s", "what"),
    [
        (Tally(waiting=5), 1, "stay"),
        (Tally(sent=5), 1, "stay"),
        (Tally(succeeded=5), 1, "next"),
        (Tally(sent=1, succeeded=99), 1, "stay"),
        (Tally(offline=1, succeeded=9), 1, "next"),
        (Tally(offline=2, succeeded=8), 1, "stay"),
        (Tally(offline=2, succeeded=8), 601, "next"),
        (Tally(offline=6, succeeded=4), 601, "halt"),
        (Tally(offline=10), 601, "halt"),
        (Tally(unanswered=6, succeeded=4), 1, "halt"),
        (Tally(unanswered=5, succeeded=5), 1, "next"),
        (Tally(waiting=50, succeeded=7, failed=2), 1, "stay"),  # too few to judge by
        (Tally(waiting=50, succeeded=8, failed=2), 1, "halt"),
        (Tally(waiting=50, succeeded=9, failed=1), 1, "stay"),
        (Tally(succeeded=9, failed=1), 1, "next"),
        (Tally(succeeded=1, failed=1), 1, "halt"),  # at the end of a wave a few are enough
        (Tally(succeeded=10, hurt=2), 1, "halt"),
        (Tally(skipped=5), 1, "next"),
        (Tally(), 1, "next"),
    ],
)
def test_when_a_wave_goes_on_and_when_it_halts(tally: Tally, age_s: float, what: str) -> None:
    assert judge(tally, 0.1, age_s, 600).what == what


@pytest.mark.parametrize(
    ("many", "waves", "sizes"),
    [
        (100, [{"count": 5}, {"share": 0.1}, {"share": 1}], [5, 10, 85]),
        (3, [{"count": 5}, {"share": 0.1}, {"share": 1}], [3]),
        (10, [{"share": 0.01}, {"share": 0.5}, {"count": 1}], [1, 5, 4]),
        (7, [{"share": 1}], [7]),
    ],
)
def test_everybody_is_in_one_wave(many: int, waves: list[dict[str, Any]], sizes: list[int]) -> None:
    names = [("e", f"t{number}") for number in range(many)]
    placed = assign(names, waves, "camp-1")
    assert sorted((estate, terminal) for estate, terminal, _wave in placed) == sorted(names)
    found = [wave for _estate, _terminal, wave in placed]
    assert [found.count(wave) for wave in sorted(set(found))] == sizes
    assert placed == assign(reversed(names), waves, "camp-1")
    assert many < 10 or placed != assign(names, waves, "camp-2")


@pytest.mark.parametrize(
    ("wave", "said"),
    [
        ({}, "count or share"),
        ({"count": 1, "share": 0.5}, "count or share"),
        ({"count": 0}, "above 0"),
        ({"count": True}, "above 0"),
        ({"share": 1.5}, "is 1 at most"),
        ({"share": 0.5, "pause_s": -1}, "pause_s"),
        ({"share": 0.5, "speed": 1}, "count or share"),
    ],
)
def test_a_wave_that_cannot_be(wave: dict[str, Any], said: str) -> None:
    with pytest.raises(Refusal, match=said):
        check_waves([wave])


@pytest.mark.parametrize("pace", [{"parallel": 0}, {"attempts": 99}, {"patience_s": 1}, {"quiet": 1}, {"loud": True}])
def test_a_pace_that_cannot_be(pace: dict[str, Any]) -> None:
    with pytest.raises(Refusal):
        check_pace(pace)


# --- who it is for


@pytest.mark.parametrize(
    ("audience", "found"),
    [
        ({"estates": ["e"]}, ["t1", "t2", "t3"]),
        ({"regions": ["north"]}, ["t1", "t2"]),
        ({"regions": ["north"], "models": ["M2"]}, ["t2"]),
        ({"operators": ["op"], "can_sell": ["no"]}, []),
        ({"sites": ["s2"]}, ["t3"]),
        ({"trades": ["bakery"]}, ["t3"]),
        ({"terminals": ["t1", "t9"]}, ["t1"]),
        ({"faults": ["printer/paper_out"]}, ["t2"]),
        ({"firmwares": ["1.0"]}, ["t1", "t2", "t3"]),
    ],
)
def test_an_audience(database: Database, audience: dict[str, list[str]], found: list[str]) -> None:
    fleet(database, ["t1"], site="s1", region="north", operator="op", model="M1", firmware="1.0")
    fleet(database, ["t2"], site="s1", region="north", model="M2", firmware="1.0")
    fleet(database, ["t3"], site="s2", region="south", model="M2", firmware="1.0")
    raised = {"state": "raised", "severity": "major", "first_ms": 1, "last_ms": 1, "received_ms": 1}
    with database.begin() as connection:
        upsert(connection, sites, [{"estate": "e", "site": "s2", "trade": "bakery", "updated_ms": 1}])
        fault = {"estate": "e", "terminal": "t2", "fault": "printer/paper_out", **raised}
        upsert(connection, faults, [fault, {**fault, "terminal": "t1", "state": "cleared"}])
    with database.read() as connection:
        query = campaigns_audience.members(Scope(), campaigns_audience.check(audience))
        assert sorted(row.terminal for row in connection.execute(query)) == found
        south = campaigns_audience.members(Scope(regions=("south",)), campaigns_audience.check(audience))
        assert {row.terminal for row in connection.execute(south)} == set(found) & {"t3"}


@pytest.mark.parametrize("audience", [{}, {"colour": ["red"]}, {"sites": []}, {"sites": "s1"}, {"sites": [1]}])
def test_an_audience_that_cannot_be(audience: dict[str, Any]) -> None:
    with pytest.raises(Refusal):
        campaigns_audience.check(audience)


# --- from a draft to its end


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
    office.step(9 * 3_600_000)  # 22:33
    assert list(office.asked()) == ["t1"]
    office.step(4 * 3_600_000)  # 02:33
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
    fleet(office.database, [f"t{number}" for number in range(30)])
    campaign_id = office.create(waves=({"count": 5}, {"share": 1}))
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
    assert len(killed) > 20
    assert office.states(campaign_id) == {"succeeded": 30}
    with office.database.read() as connection:
        assert connection.execute(select(func.count()).select_from(commands)).scalar() == 30


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


# --- settings


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


# --- readiness


def _check(score: int, ready: bool = True, todo: Any = (), forecast: Any = None) -> dict[str, Any]:
    told = {"score": score, "ready": ready, "todo": list(todo), "unchecked": [], "forecast": forecast or {}}
    return {"verdict": {"can_sell": "yes"}, "readiness": told}


@pytest.mark.parametrize(
    ("output", "forecasts", "settings", "score", "ready", "items"),
    [
        (_check(100), {}, "applied", 100, True, []),
        (_check(100), {"trend.printer.paper_days_left": 4.0}, None, 85, True, ["printer.paper_days_left"]),
        (_check(100), {"trend.printer.paper_days_left": 40.0}, None, 100, True, []),
        (
            _check(100, forecast={"printer.paper_days_left": 3, "p.x_wear_percent": 1}),
            {},
            None,
            85,
            True,
            ["printer.paper_days_left"],
        ),
        (_check(80), {}, "drifted", 65, False, ["settings"]),
        (_check(90, ready=False), {}, None, 90, False, []),
        (
            _check(70, todo=[{"fault": "printer/cover_open", "title": "Cover", "act": "merchant"}]),
            {},
            None,
            70,
            False,
            ["printer/cover_open"],
        ),
        ({"too_large": 9000}, {}, None, None, False, ["check"]),
        ({"faults": []}, {}, None, None, False, ["check"]),
    ],
)
def test_how_ready_a_terminal_is(
    output: Any, forecasts: Any, settings: Any, score: Any, ready: bool, items: Any
) -> None:
    found = campaigns_readiness.judge(output, forecasts, settings, days=14)
    assert (found["score"], found["ready"], [item["what"] for item in found["todo"]]) == (score, ready, items)


def test_a_readiness_campaign_gives_each_store_its_list(office: Office) -> None:
    with office.database.begin() as connection:
        upsert(
            connection,
            sites,
            [{"estate": "e", "site": "s1", "name": "=Bakery", "address": "Main St 1", "updated_ms": 1}],
        )
    fleet(office.database, ["t1", "t2"], site="s1", firmware="1.4", config_reported={"version": "3", "hash": "h"})
    fleet(office.database, ["t3"], status="offline")
    numbers = {"bucket_ms": NOW // DAY_MS * DAY_MS, "n": 1, "min": 2, "max": 2, "sum": 2, "last": 2, "last_ms": NOW}
    with office.database.begin() as connection:
        names = {"estate": "e", "terminal": "t2", "metric": "trend.printer.paper_days_left"}
        upsert(connection, metrics_day, [{**names, **numbers}])
    campaign_id = office.run(kind="readiness", args={"date": "2026-10-01"})
    for message in office.line.take():
        body = command_of(message)
        assert (body.cmd, body.args) == ("check", {"report": True, "level": "internal"})
        office.line.answer(body.jti, "succeeded", terminal=body.aud[2:], output=_check(95))
    office.step()
    with office.database.read() as connection:
        rows = campaigns_readiness.stores(connection, CAM.scope, campaign_id)
        assert campaigns_readiness.stores(connection, Scope(regions=("x",)), campaign_id) == []
    assert [(row["site"], row["terminal"], (row["data"] or {}).get("score")) for row in rows] == [
        (None, "t3", None),
        ("s1", "t1", 95),
        ("s1", "t2", 80),
    ]
    assert rows[1]["data"]["installed"] == {"model": None, "firmware": "1.4", "settings": {"version": "3", "hash": "h"}}
    lines = list(csv.DictReader(io.StringIO(campaigns_readiness.export(rows))))
    assert [(line["terminal"], line["ready"], line["what"], line["why"]) for line in lines] == [
        ("t3", "unknown", "check", "it was not checked: offline"),
        ("t1", "yes", "", ""),
        ("t2", "yes", "printer.paper_days_left", "2 days left, 10 to go"),
    ]
    assert lines[1]["store"] == "'=Bakery"


def test_thousands_are_asked_without_one_long_transaction(office: Office) -> None:
    fleet(office.database, [f"t{number:04}" for number in range(3000)])
    office.campaigns = Campaigns(office.database, many=5000)
    office.engines[2]._many = 5000
    campaign_id = office.run(pace={"parallel": 5000})
    assert office.states(campaign_id) == {"sent": 3000}
    with office.database.begin() as connection:
        connection.execute(update(terminals).values(can_sell="yes"))
    assert len(set(office.asked().values())) == 3000
