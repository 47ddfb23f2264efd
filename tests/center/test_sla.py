from __future__ import annotations

from typing import Any

import pytest

from center.db.engine import Database
from center.db.tables import case_steps
from center.domain import sla
from center.domain.cases_book import CaseError
from center.domain.cases_opening import NewCase
from center.domain.cases_policy import Deadline, Policy, PolicyError, load, parse
from center.domain.sla import Calendar
from tests.center.desk_world import AGENT, DAY, ESTATE, HOUR, MINUTE, START_MS, World, act

OFFICE = {day: [["09:00", "17:00"]] for day in ("mon", "tue", "wed", "thu", "fri")}
TUESDAY_9 = 1_790_067_600_000  # 2026-09-22 09:00 UTC
FRIDAY_16 = TUESDAY_9 + 3 * DAY + 7 * HOUR


def clock(minutes: float, now_ms: int, calendar: Calendar | None = None) -> dict[str, Any]:
    made = sla.start(minutes, calendar or Calendar(), now_ms)
    assert made is not None
    return made


@pytest.mark.parametrize(
    ("calendar", "from_ms", "minutes", "due_ms"),
    [
        (Calendar(), TUESDAY_9, 60, TUESDAY_9 + HOUR),
        (Calendar(OFFICE), TUESDAY_9, 60, TUESDAY_9 + HOUR),
        (Calendar(OFFICE), TUESDAY_9, 480, TUESDAY_9 + 8 * HOUR),
        (Calendar(OFFICE), TUESDAY_9, 540, TUESDAY_9 + DAY + HOUR),
        (Calendar(OFFICE), FRIDAY_16, 120, FRIDAY_16 + 2 * DAY + 18 * HOUR),  # over the weekend
        (
            Calendar(OFFICE | {"dates": {"2026-09-28": []}}),
            FRIDAY_16,
            120,
            FRIDAY_16 + 3 * DAY + 18 * HOUR,
        ),  # a holiday
        (Calendar(OFFICE, "Asia/Shanghai"), TUESDAY_9, 60, TUESDAY_9 + DAY - 7 * HOUR),  # it is 17:00 there
    ],
)
def test_a_deadline_lies_within_the_calendar(calendar: Calendar, from_ms: int, minutes: int, due_ms: int) -> None:
    assert clock(minutes, from_ms, calendar)["breach_ms"] == due_ms


def test_a_calendar_that_never_opens_runs_no_clock() -> None:
    assert sla.start(10, Calendar({}), TUESDAY_9) is None
    assert sla.started(Deadline(10, 10, 10), Calendar({}), TUESDAY_9) == {}


def test_amber_comes_at_three_quarters() -> None:
    made = clock(100, TUESDAY_9)
    states = {minute: sla.state(made, TUESDAY_9 + minute * MINUTE) for minute in (0, 74, 75, 99, 100)}
    assert states == {0: "green", 74: "green", 75: "amber", 99: "amber", 100: "breached"}
    assert list(sla.due(made, TUESDAY_9 + 74 * MINUTE)) == []
    assert list(sla.due(made, TUESDAY_9 + 91 * MINUTE)) == ["amber", "escalated"]
    made["told"] = ["amber", "escalated"]
    assert sla.next_ms({"solve": made}) == TUESDAY_9 + 100 * MINUTE
    assert list(sla.due(made, TUESDAY_9 + 300 * MINUTE)) == ["breach"]


def test_a_clock_that_stood_still_is_later_by_the_time_that_counts() -> None:
    calendar = Calendar(OFFICE)
    stood = sla.stopped(clock(120, FRIDAY_16, calendar), FRIDAY_16 + 30 * MINUTE)
    assert list(sla.due(stood, FRIDAY_16 + 30 * DAY)) == []
    again = sla.resumed(stood, calendar, FRIDAY_16 + 2 * DAY + 17 * HOUR + 30 * MINUTE)  # Monday 09:30
    assert again["breach_ms"] == FRIDAY_16 + 2 * DAY + 19 * HOUR  # half an hour of Friday and of Monday: 10:00 → 11:00
    assert sla.state(stood, FRIDAY_16 + DAY) == "met"
    assert sla.state(sla.stopped(clock(1, FRIDAY_16), FRIDAY_16 + HOUR), FRIDAY_16 + DAY) == "missed"


# --- on cases --------------------------------------------------------------------------------------------------------


@pytest.fixture
def world(database: Database) -> World:
    made = World(database)
    made.site(
        contacts=[{"name": "Li", "role": "manager", "phone": "+8613800000000"}, {"name": "Wu", "role": "cashier"}]
    )
    made.terminal()
    return made


def complaint(world: World) -> dict[str, Any]:
    new = NewCase(estate=ESTATE, terminal="t1", kind="complaint", said="charged twice", title="Charged twice")
    case, _ = world.cases.open(act(), new)
    return dict(case)


def test_before_and_at_the_deadline_people_are_told_once(world: World) -> None:
    world.fault(severity="critical", fault="reader/tamper")
    world.later(2 * MINUTE)
    case = world.case(terminal="t1")
    assert case["solve_due_ms"] - case["created_ms"] == 4 * HOUR
    for _ in range(100):
        world.later(5 * MINUTE)
    clocks = world.rows(case_steps, case_steps.c.kind == "clock")
    told = {(row["data"]["clock"], row["data"]["level"]) for row in clocks}
    assert told == {
        (name, level) for name in ("first_response", "update", "solve") for level in ("amber", "escalated", "breach")
    }
    assert len(clocks) == 9
    for row in clocks:
        assert row["at_ms"] - case["created_ms"] >= 0.7 * 15 * MINUTE
    (late,) = [each for each in world.told("case.breach") if "solve" in each["subject"]]
    assert [each["name"] for each in late["to"]] == ["Li"]
    assert [each["to"] for each in world.told("case.amber")] == [[], [], []]


def test_a_complaint_runs_on_office_hours(world: World) -> None:
    case = complaint(world)  # Monday 14:13 UTC; the office is open from 9 to 18
    assert case["first_response_due_ms"] - START_MS == 8 * HOUR + 15 * HOUR
    world.later(30 * DAY)
    assert {row["data"]["level"] for row in world.rows(case_steps, case_steps.c.kind == "clock")} == {
        "amber",
        "escalated",
        "breach",
    }


def test_a_sites_contract_wins(world: World) -> None:
    world.site(contract={"deadlines": {"complaint": {"first_response_min": 30, "calendar": "always"}}})
    assert complaint(world)["first_response_due_ms"] == START_MS + 30 * MINUTE


def test_clocks_stand_still_while_it_waits_and_only_then(world: World) -> None:
    world.fault(severity="critical", fault="reader/tamper")
    world.later(2 * MINUTE)
    case = world.case(terminal="t1")
    world.cases.acknowledge(AGENT, case["id"])
    with pytest.raises(CaseError, match="waits for merchant, part, operator"):
        world.cases.pause(AGENT, case["id"], "lunch", "hungry")
    with pytest.raises(CaseError, match="say what it waits for"):
        world.cases.pause(AGENT, case["id"], "part", "")
    world.cases.pause(AGENT, case["id"], "part", "reader ordered")
    world.later(2 * DAY)
    assert world.rows(case_steps, case_steps.c.kind == "clock") == []
    resumed = world.cases.resume(AGENT, case["id"])
    assert resumed["solve_due_ms"] == case["solve_due_ms"] + 2 * DAY
    with pytest.raises(CaseError, match="does not wait"):
        world.cases.resume(AGENT, case["id"])
    world.later(4 * HOUR)
    assert world.rows(case_steps, case_steps.c.kind == "clock")


def test_news_for_the_merchant_restarts_the_update_clock(world: World) -> None:
    world.fault(severity="critical", fault="reader/tamper")
    world.later(2 * MINUTE)
    case = world.case(terminal="t1")
    world.now_ms += 30 * MINUTE
    told = world.cases.message(AGENT, case["id"], "a reader is on its way")
    assert told["update_due_ms"] == world.now_ms + HOUR
    assert told["first_response_due_ms"] is None
    assert world.cases.note(AGENT, case["id"], "he shouts")["update_due_ms"] == told["update_due_ms"]


# --- rules -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"opens": {}}, "no rule is called 'opens'"),
        ({"open_s": {"awful": 1}}, "open_s has no 'awful'"),
        ({"open_s": {"major": -1}}, "open_s.major is a whole number"),
        ({"open_s": {"major": True}}, "open_s.major is a whole number"),
        ({"deadlines": {"fault": {}}}, "deadlines has no 'fault'"),
        ({"deadlines": {"major": {"solve_h": 1}}}, "deadlines.major.solve_h is none of"),
        ({"deadlines": {"major": {"calendar": "moon"}}}, "deadlines.major.calendar is none of"),
        ({"office_hours": {"someday": []}}, "'someday' is no day"),
        ({"office_timezone": "Mars/Olympus"}, "no time zone"),
        ({"channel": "110"}, "channel is a table"),
    ],
)
def test_a_wrong_rule_is_named(values: dict[str, Any], said: str) -> None:
    with pytest.raises((ValueError, TypeError), match=said):
        parse(values)


def test_rules_come_from_a_file(tmp_path: Any) -> None:
    path = tmp_path / "cases.toml"
    path.write_text(
        'ask_h = 24\n[open_s]\nmajor = 10\n[channel]\nen = "Call 1"\n[[service_points]]\nname = "East"\nregion = "east"\n'
    )
    policy = load(str(path))
    assert (policy.ask_h, policy.open_s["major"], policy.open_s["critical"]) == (24, 10, 60)
    assert policy.channel_in("zh") == "Call 1"
    assert load("") == Policy()
    near = policy.nearest("east", None, None)
    assert near is not None
    assert near.name == "East"
    path.write_text("ask_h = [")
    with pytest.raises(PolicyError, match="cases"):
        load(str(path))
    with pytest.raises(PolicyError, match="No such file"):
        load(str(tmp_path / "none.toml"))


def test_the_nearest_service_point_is_told_by_the_map() -> None:
    points = [{"name": "far", "lat": 10.0, "lon": 10.0}, {"name": "near", "lat": 1.0, "lon": -179.9}]
    near = parse({"service_points": points}).nearest("east", 1.0, 179.9)
    assert near is not None
    assert near.name == "near"
