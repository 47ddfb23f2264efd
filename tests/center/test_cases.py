from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from center.access.scope import Scope
from center.db import feed
from center.db.engine import Database, upsert
from center.db.tables import (
    case_steps,
    case_tags,
    case_waits,
    cases,
    changes,
    commands,
    incident_members,
    incidents,
    remedies,
)
from center.domain import cases_book
from center.domain.cases import timeline
from center.domain.cases_book import CaseError, NoCase
from center.domain.cases_opening import NewCase
from center.domain.cases_policy import Policy
from center.domain.refusal import Refusal
from tests.center.desk_world import AGENT, DAY, ESTATE, HOUR, MINUTE, World, act


@pytest.fixture
def world(database: Database) -> World:
    made = World(database)
    made.site()
    made.terminal()
    return made


def reported(**more: Any) -> NewCase:
    return NewCase(**({"estate": ESTATE, "terminal": "t1", "fault": "printer/mechanical_error"} | more))


# --- opening ---------------------------------------------------------------------------------------------------------


def test_a_fault_becomes_a_case_when_it_stands_for_long_enough(world: World) -> None:
    world.fault()
    world.later(4 * MINUTE)
    assert world.rows(cases) == []
    world.later(2 * MINUTE)
    case = world.case(terminal="t1")
    assert (case["state"], case["severity"], case["signature"]) == ("new", "major", "printer/mechanical_error|TM-T20")
    assert (case["site"], case["operator"], case["channel"], case["language"]) == ("s1", "46001", "device", "zh")
    assert case["onset_ms"] < case["detected_ms"] < case["created_ms"]
    known = case["data"]["intake"]
    assert known["devices"][0]["serial"] == "P1"
    assert known["faults"][0]["evidence"] == {"raw": "10"}


@pytest.mark.parametrize(
    ("more", "opens"),
    [
        ({"severity": "critical"}, 2 * MINUTE),
        ({"severity": "minor"}, 61 * MINUTE),
        ({"severity": "warning"}, None),
        ({"severity": "major", "act": "merchant"}, 31 * MINUTE),  # time for the guidance at the terminal
        ({"severity": "major", "cause": "power/mains_lost"}, None),  # a symptom belongs to its cause
        ({"severity": "major", "state": "flapping"}, 6 * MINUTE),
    ],
)
def test_when_a_fault_becomes_a_case(world: World, more: dict[str, Any], opens: int | None) -> None:
    world.fault(**more)
    world.later((opens or DAY) - MINUTE - 1)
    assert world.rows(cases) == []
    world.later(MINUTE + 1)
    assert len(world.rows(cases)) == (opens is not None)


def test_a_fault_that_goes_away_in_time_is_no_case(world: World) -> None:
    world.fault()
    world.later(MINUTE)
    world.fault(state="cleared")
    world.later(DAY)
    assert world.rows(cases) == []
    assert world.rows(case_waits) == []


def test_maintenance_holds_a_case_back(world: World) -> None:
    world.terminal(status="maintenance")
    world.fault()
    world.later(HOUR)
    assert world.rows(cases) == []
    world.terminal(status="online")
    world.later(HOUR)
    assert len(world.rows(cases)) == 1


def test_what_is_reported_of_an_open_case_goes_onto_it(world: World) -> None:
    first, new = world.cases.open(act(), reported(said="it grinds"))
    assert new
    again, new = world.cases.open(act(by="bob"), reported(said="still", local_number="482-719-365"))
    assert (again["id"], new) == (first["id"], False)
    world.fault()
    world.later(HOUR)
    assert len(world.rows(cases)) == 1
    assert world.steps(first["id"])[:3] == ["opened", "reported", "fault_raised"]


def test_a_symptom_is_reported_onto_the_case_of_its_cause(world: World) -> None:
    world.fault("power/mains_lost")
    world.fault("printer/no_reply", cause="power/mains_lost")
    case, _ = world.cases.open(act(), reported(fault="printer/no_reply"))
    assert case["fault"] == "power/mains_lost"


def test_cannot_take_money_is_about_what_the_terminal_says(world: World) -> None:
    world.fault("network/acquirer_unreachable")
    world.terminal(can_sell="no", cause="network/acquirer_unreachable")
    case, _ = world.cases.open(act(), reported(fault=None, said="cannot take money"))
    assert (case["fault"], case["severity"]) == ("network/acquirer_unreachable", "critical")


def test_the_same_request_twice_is_one_case(world: World) -> None:
    one, new = world.cases.open(act("req-1"), reported(kind="question", fault=None, said="how?"))
    two, again = world.cases.open(act("req-1"), reported(kind="question", fault=None, said="how?"))
    assert (one["id"], new, again) == (two["id"], True, False)
    other, new = world.cases.open(act("req-2"), reported(kind="question", fault=None, said="when?"))
    assert new
    assert other["number"] == one["number"] + 1


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"kind": "riddle"}, "a case is one of"),
        ({"channel": "pigeon"}, "channel is one of"),
        ({"fault": "printer"}, "is no fault"),
        ({"severity": "awful"}, "severity is"),
        ({"terminal": None, "fault": None}, "about a terminal or a site"),
    ],
)
def test_what_is_no_case_is_told(world: World, more: dict[str, Any], said: str) -> None:
    with pytest.raises(CaseError, match=said):
        world.cases.open(act(), reported(**more))
    assert world.rows(cases) == []


def test_a_foreign_terminal_and_a_foreign_case_are_not_found(world: World) -> None:
    foreign = Scope(sites=("s2",))
    with pytest.raises(NoCase):
        world.cases.open(act(scope=foreign), reported())
    case, _ = world.cases.open(act(), reported())
    with pytest.raises(NoCase):
        world.cases.note(act(scope=foreign), case["id"], "hello")
    with world.database.read() as connection, pytest.raises(NoCase):
        timeline(connection, foreign, case["id"])
    assert world.cases.note(act(scope=Scope(sites=("s1",))), case["id"], "hello")["id"] == case["id"]


def test_no_card_number_is_kept(world: World) -> None:
    case, _ = world.cases.open(act(), reported(said="card 4111 1111 1111 1111 was charged twice"))
    world.cases.call(AGENT, case["id"], "he read 4111111111111111", with_whom="4111111111111111", incoming=True)
    kept = json.dumps([world.rows(case_steps), world.posts("notify")], default=str)
    assert "41111111" not in kept.replace(" ", "")
    assert kept.count("<pan:16>") >= 3


# --- what people do --------------------------------------------------------------------------------------------------


def test_taking_on_and_undoing(world: World) -> None:
    case, _ = world.cases.open(act(), reported())
    taken = world.cases.acknowledge(AGENT, case["id"])
    assert (taken["state"], taken["owner"], taken["first_response_due_ms"]) == ("acknowledged", "ann", None)
    with pytest.raises(CaseError, match="acknowledged already"):
        world.cases.acknowledge(act(by="bob"), case["id"])
    world.account("bob")
    given = world.cases.assign(AGENT, case["id"], "bob", "field")
    assert (given["state"], given["owner"], given["team"]) == ("assigned", "bob", "field")
    back = world.cases.undo(AGENT, case["id"])
    assert (back["state"], back["owner"], back["team"]) == ("acknowledged", "ann", None)
    with pytest.raises(CaseError, match="can be undone"):
        world.cases.undo(AGENT, case["id"])
    assert world.steps(case["id"]) == ["opened", "acknowledged", "assigned", "undone"]


def test_it_is_given_only_to_who_may_work_on_it(world: World) -> None:
    case, _ = world.cases.open(act(), reported())
    world.account("bob")
    world.account("carl", scope=Scope(estates=("elsewhere",)))
    world.account("vera", "viewer")
    for name in ("bbo", "carl", "vera"):
        told = f"no account '{name}' may work on this; there is bob; "
        with pytest.raises(Refusal, match=told) as caught:
            world.cases.assign(AGENT, case["id"], name)
        assert caught.value.why == "invalid"
        with pytest.raises(Refusal, match=told):
            world.cases.hand_over(AGENT, case["id"], "field", "a screwdriver", name)
    assert world.steps(case["id"]) == ["opened"]
    assert world.cases.assign(AGENT, case["id"], "bob")["owner"] == "bob"
    assert world.cases.assign(AGENT, case["id"], "ann")["owner"] == "ann"  # herself
    assert world.cases.assign(AGENT, case["id"], "Fixit Ltd", external=True)["owner"] == "Fixit Ltd"


def test_undoing_lets_the_first_response_run_on(world: World) -> None:
    case, _ = world.cases.open(act(), reported())
    world.cases.acknowledge(AGENT, case["id"])
    back = world.cases.undo(AGENT, case["id"])
    assert (back["state"], back["acked_ms"]) == ("new", None)
    assert back["first_response_due_ms"] == case["first_response_due_ms"]
    world.cases.acknowledge(AGENT, case["id"])
    world.now_ms += 16 * MINUTE
    with pytest.raises(CaseError, match="15 minutes"):
        world.cases.undo(AGENT, case["id"])


def test_an_act_sent_twice_is_one_step(world: World) -> None:
    case, _ = world.cases.open(act(), reported())
    world.cases.note(act("n1"), case["id"], "hello")
    world.cases.note(act("n1"), case["id"], "hello")
    assert world.steps(case["id"]) == ["opened", "note"]
    assert len(world.rows(changes, changes.c.kind == "case")) == 2


def test_a_change_that_was_not_seen_is_a_conflict(world: World) -> None:
    case, _ = world.cases.open(act(), reported())
    world.account("bob")
    world.cases.assign(act(seen=case["updated_ms"]), case["id"], "bob")
    with pytest.raises(CaseError, match="somebody changed the case meanwhile"):
        world.cases.assign(act(seen=case["updated_ms"]), case["id"], "eve")
    assert world.case(id=case["id"])["owner"] == "bob"


def test_promises_are_kept_in_the_timeline(world: World) -> None:
    case, _ = world.cases.open(act(), reported())
    world.cases.set_eta(AGENT, case["id"], world.now_ms + HOUR)
    with pytest.raises(CaseError, match="say why"):
        world.cases.set_eta(AGENT, case["id"], world.now_ms + 2 * HOUR)
    world.cases.set_eta(AGENT, case["id"], world.now_ms + 2 * HOUR, "the part is late")
    with pytest.raises(CaseError, match="future"):
        world.cases.set_eta(AGENT, case["id"], world.now_ms, "now")
    etas = [row["data"] for row in world.rows(case_steps, case_steps.c.kind == "eta")]
    assert [eta["was_ms"] for eta in etas] == [None, etas[0]["eta_ms"]]


def test_handing_over_needs_a_reason_and_tells_the_other_team(world: World) -> None:
    case, _ = world.cases.open(act(), reported())
    with pytest.raises(CaseError, match="say a reason"):
        world.cases.hand_over(AGENT, case["id"], "field", " ")
    moved = world.cases.hand_over(AGENT, case["id"], "field", "needs a screwdriver")
    assert (moved["team"], moved["owner"]) == ("field", None)
    assert [each["team"] for each in world.told("case.handed_over")] == ["field"]


def test_tags_are_words_that_come_and_go(world: World) -> None:
    case, _ = world.cases.open(act(), reported())
    world.cases.tag(AGENT, case["id"], add=("Suggestion", "vip"))
    world.cases.tag(AGENT, case["id"], remove=("vip",))
    assert [row["tag"] for row in world.rows(case_tags)] == ["suggestion"]


# --- the closing gate ------------------------------------------------------------------------------------------------


def opened(world: World) -> str:
    world.fault()
    world.later(6 * MINUTE)
    return str(world.case(terminal="t1")["id"])


def test_through_the_gate_to_the_end(world: World) -> None:
    case_id = opened(world)
    world.cases.acknowledge(AGENT, case_id)
    world.cases.repaired(AGENT, case_id, "part_replaced", part={"name": "print head", "old": "P1", "new": "P2"})
    assert world.case(id=case_id)["state"] == "acknowledged"  # somebody says so, but the probe does not
    world.later(MINUTE)
    world.fault(state="cleared")
    world.run()
    assert world.case(id=case_id)["state"] == "watching"
    world.later(31 * MINUTE)
    asked = world.case(id=case_id)
    assert asked["state"] == "asking"
    (question,) = world.told("case.ask")
    assert (question["short"], question["link"]) == (f"工单C-{asked['number']}：问题解决了吗？", "")
    world.later(73 * HOUR)
    ended = world.case(id=case_id)
    assert (ended["state"], ended["outcome"], ended["part"]) == ("closed", "unanswered", "print head")
    assert [row["worked"] for row in world.rows(remedies)] == ["yes"]
    last = world.rows(case_steps, case_steps.c.case_id == case_id)[-1]
    assert (last["kind"], last["by"]) == ("closed", "posdiag")
    assert "did not answer within 72 hours" in last["text"]


def test_it_comes_back_while_it_is_watched(world: World) -> None:
    case_id = opened(world)
    world.cases.assign(AGENT, case_id, "bob", external=True)
    world.cases.repaired(AGENT, case_id, "cleaned")
    world.fault(state="cleared")
    world.run()
    world.later(10 * MINUTE)
    world.fault()
    world.run()
    case = world.case(id=case_id)
    assert (case["state"], case["owner"], case["reopened"], case["solved_ms"]) == ("assigned", "bob", 1, None)
    assert case["solve_due_ms"] is not None
    assert [row["worked"] for row in world.rows(remedies)] == ["no"]
    world.later(DAY)
    assert world.case(id=case_id)["state"] == "assigned"


def test_it_comes_back_after_the_end(world: World) -> None:
    case_id = opened(world)
    world.fault(state="cleared")
    world.run()
    world.later(HOUR)
    world.later(73 * HOUR)
    assert world.case(id=case_id)["state"] == "closed"
    world.later(2 * DAY)
    world.fault()
    world.run()
    again = world.case(id=case_id)
    assert (again["state"], again["reopened"], again["closed_ms"]) == ("reopened", 1, None)
    assert len(world.told("case.reopened")) == 1


def test_what_comes_with_daily_use_is_a_new_case(world: World) -> None:
    for _ in range(2):
        world.fault("printer/paper_out", act="merchant")
        world.later(31 * MINUTE)
        world.fault("printer/paper_out", "cleared", act="merchant")
        world.run()
        world.later(HOUR)
        world.later(80 * HOUR)
        world.later(2 * HOUR)
    assert [row["state"] for row in world.rows(cases)] == ["closed", "closed"]


def test_a_terminal_that_is_gone_proves_nothing(world: World) -> None:
    case_id = opened(world)
    world.fault(state="cleared")
    world.run()
    world.terminal(status="offline")
    world.later(31 * MINUTE)
    case = world.case(id=case_id)
    assert (case["state"], case["watch_until_ms"]) == ("watching", world.now_ms + 30 * MINUTE)
    assert "watch_extended" in world.steps(case_id)
    world.terminal(status="online")
    world.later(31 * MINUTE)
    assert world.case(id=case_id)["state"] == "asking"


def test_a_check_that_still_finds_it_keeps_the_gate_shut(world: World) -> None:
    case_id = opened(world)
    world.fault(state="cleared")
    world.run()
    world.now_ms += MINUTE

    def check(number: int, state: str, output: Any) -> None:
        row = {"id": f"cmd-{number}", "estate": ESTATE, "terminal": "t1", "cmd": "check", "tier": 0, "state": state}
        row |= {"issued_by": "ann", "case_id": case_id, "output": output}
        with world.database.begin() as connection:
            connection.execute(commands.insert().values(created_ms=world.now_ms, updated_ms=world.now_ms, **row))

    check(1, "succeeded", {"faults": [{"fault": "printer/mechanical_error"}]})
    world.later(31 * MINUTE)
    assert world.case(id=case_id)["state"] == "reopened"
    check(2, "succeeded", {"faults": []})
    world.fault(state="cleared")
    world.run()
    assert world.case(id=case_id)["state"] == "watching"


def test_a_question_is_answered_and_asked_about(world: World) -> None:
    case, _ = world.cases.open(act(), reported(kind="question", fault=None, said="how?"))
    with pytest.raises(CaseError, match="answered"):
        world.cases.answer(AGENT, world.cases.open(act(), reported())[0]["id"], "so")
    assert world.cases.answer(AGENT, case["id"], "so")["state"] == "asking"
    world.later(73 * HOUR)
    assert world.case(id=case["id"])["outcome"] == "unanswered"


def test_dismissing_says_why_and_ends_it(world: World) -> None:
    one, _ = world.cases.open(act(), reported())
    two, _ = world.cases.open(act(), reported(fault=None, said="broken"))
    with pytest.raises(CaseError, match="duplicate of itself"):
        world.cases.dismiss(AGENT, two["id"], "duplicate", "same", into=two["id"])
    with pytest.raises(CaseError, match="dismiss it as"):
        world.cases.dismiss(AGENT, two["id"], "confirmed", "so")
    ended = world.cases.dismiss(AGENT, two["id"], "duplicate", "same", into=one["id"])
    assert (ended["state"], ended["outcome"]) == ("closed", "duplicate")
    assert world.steps(one["id"]) == ["opened", "merged"]
    with pytest.raises(CaseError, match="closed"):
        world.cases.message(AGENT, two["id"], "hello")


# --- incidents -------------------------------------------------------------------------------------------------------


def incident(world: World, name: str, scope: str, **more: Any) -> None:
    row = {"id": name, "estate": ESTATE, "scope": scope, "scope_key": "46001", "fault": "modem/no_network"} | more
    row = {"severity": "major", "state": "open", "title": "Operator 46001", "opened_ms": world.now_ms} | row
    with world.database.begin() as connection:
        upsert(connection, incidents, [row | {"last_ms": world.now_ms}])
        feed.append(connection, [("incident", ESTATE, None, name)], world.now_ms)


def member(world: World, name: str, terminal: str, fault: str) -> None:
    row = {"incident_id": name, "estate": ESTATE, "terminal": terminal, "fault": fault, "joined_ms": world.now_ms}
    with world.database.begin() as connection:
        connection.execute(incident_members.insert().values(**row))


def test_one_outage_is_one_case(world: World) -> None:
    incident(world, "inc-op", "operator")
    for number in range(30):
        world.terminal(f"t{number}")
        incident(world, f"inc-{number}", "terminal", parent_id="inc-op")
        member(world, f"inc-{number}", f"t{number}", "modem/no_network")
        world.fault("modem/no_network", terminal=f"t{number}")
    world.later(HOUR)
    case = world.case(terminal=None)
    assert (case["incident_id"], case["title"]) == ("inc-op", "Operator 46001")
    assert len(world.rows(cases)) == 1
    incident(world, "inc-op", "operator", state="resolved", resolved_ms=world.now_ms, case_id=case["id"])
    world.later(MINUTE)
    assert world.case()["state"] == "watching"
    world.later(HOUR)
    assert (world.case()["state"], world.case()["outcome"]) == ("closed", "resolved")
    incident(world, "inc-op", "operator", case_id=case["id"])
    world.later(MINUTE)
    assert world.case()["state"] == "reopened"


def test_a_terminal_that_is_gone_is_a_case_until_it_is_back(world: World) -> None:
    world.terminal(status="offline")
    member(world, "inc-1", "t1", "terminal/offline")
    incident(world, "inc-1", "terminal", fault="terminal/offline")
    world.later(2 * MINUTE)
    case = world.case(terminal="t1")
    assert (case["fault"], case["severity"], case["incident_id"]) == ("terminal/offline", "critical", "inc-1")
    assert case["title"] == "The terminal cannot be reached"
    world.terminal(status="online")
    incident(world, "inc-1", "terminal", fault="terminal/offline", state="resolved", resolved_ms=world.now_ms)
    world.later(MINUTE)
    assert world.case(terminal="t1")["state"] == "watching"


# --- what the device adds, and what it is told -----------------------------------------------------------------------


def test_events_of_the_terminal_stand_in_the_timeline(world: World) -> None:
    case_id = opened(world)
    world.event("boot", {"reason": "power_loss"})
    world.event("command.done")
    world.run()
    world.run()
    assert world.steps(case_id) == ["opened", "boot"]


def sent(world: World) -> list[dict[str, Any] | None]:
    messages = [base64.b64decode(post["payload"]) for post in world.posts("mqtt")]
    return [json.loads(message) if message else None for message in messages]


def test_the_terminal_is_told_only_what_is_new(world: World) -> None:
    case_id = opened(world)
    number = world.case(id=case_id)["number"]
    (first,) = sent(world)
    assert first is not None
    assert (first["case"], first["channel"]) == (f"C-{number}", "请拨打100")
    assert first["progress"] == "我们已经知道此问题，即将处理。"
    (post,) = world.posts("mqtt")
    assert (post["topic"], post["retain"]) == (f"pos/1/{ESTATE}/t1/case", True)
    world.cases.note(AGENT, case_id, "between us")
    world.later(MINUTE)
    assert len(sent(world)) == 1
    world.cases.set_eta(AGENT, case_id, world.now_ms + HOUR)
    world.later(MINUTE)
    assert sent(world)[-1]["eta"] is not None
    world.later(5 * DAY)
    assert len(sent(world)) >= 3  # before the broker forgets it
    world.cases.dismiss(AGENT, case_id, "false_alarm", "a test")
    world.later(MINUTE)
    assert sent(world)[-1] is None


def test_the_terminal_gets_the_address_of_the_merchants_page_where_there_is_a_public_one(database: Database) -> None:
    world = World(database, Policy(public_url="https://pos.example.org/"))
    world.site()
    world.terminal()
    opened(world)
    (message,) = sent(world)
    assert message is not None
    assert message["link"] == f"https://pos.example.org/m/{world.case()['merchant_token']}"


def test_without_a_public_address_nobody_is_sent_to_a_page(world: World) -> None:
    opened(world)
    (message,) = sent(world)
    assert message is not None
    assert "link" not in message


@pytest.mark.parametrize(
    ("language", "base", "says"),
    [
        ("zh", "https://pos.example.org", "工单{number}：问题解决了吗？请回复：{link}"),
        ("zh", "https://terminals.support.example.org/center", "工单{number}：问题解决了吗？"),
        ("en", "https://terminals.support.example.org/center", "Case {number}: does it work again? Answer: {link}"),
        ("en", "", "Case {number}: does it work again?"),
    ],
)
def test_the_question_fits_one_short_message_with_the_link_where_there_is_room(
    database: Database, language: str, base: str, says: str
) -> None:
    world = World(database, Policy(public_url=base))
    world.site()
    world.terminal(language=language)
    case_id = opened(world)
    world.fault(state="cleared")
    world.run()
    world.later(31 * MINUTE)
    case = world.case(id=case_id)
    (question,) = world.told("case.ask")
    link = f"{base}/m/{case['merchant_token']}" if base else ""
    assert question["short"] == says.format(number=f"C-{case['number']}", link=link)
    assert question["link"] == link


def test_engines_that_are_killed_anywhere_double_nothing(world: World) -> None:
    class Killed(Exception):
        pass

    case_id = opened(world)
    world.fault(state="cleared")
    append = cases_book.feed.append

    def dies(*_args: Any) -> None:
        raise Killed

    cases_book.feed.append = dies
    try:
        with pytest.raises(Killed):
            world.run()
    finally:
        cases_book.feed.append = append
    assert world.case(id=case_id)["state"] == "new"
    world.run()
    world.run()
    assert world.steps(case_id) == ["opened", "fault_cleared", "watching"]
