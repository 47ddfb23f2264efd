"""The merchant on the telephone, and the link that is taken back."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from center.access.scope import EVERYTHING, Scope
from center.console.case_record import record
from center.db.engine import Database
from center.db.tables import case_steps
from center.domain.cases_book import CaseError, NoCase
from center.domain.cases_merchant import MerchantLine
from center.domain.cases_opening import NewCase
from center.domain.cases_policy import Policy
from center.domain.merchant import MerchantDesk
from tests.center.desk_world import AGENT, ESTATE, MINUTE, World, act

FAULT = "printer/mechanical_error"


@pytest.fixture
def world(database: Database) -> World:
    made = World(database, Policy(public_url="https://pos.example.org"))
    made.site()
    made.terminal()
    return made


def line(world: World) -> MerchantLine:
    return MerchantLine(world.database, world.policy, lambda: world.now_ms)


def opened(world: World, **more: Any) -> dict[str, Any]:
    wish = {"estate": ESTATE, "terminal": "t1", "fault": FAULT} | more
    return dict(world.cases.open(act(), NewCase(**wish))[0])


def asked(world: World) -> str:
    """A case of which the merchant is being asked."""
    world.fault()
    case = opened(world)
    world.fault(state="cleared")
    world.run()
    world.later(31 * MINUTE)
    assert world.case()["state"] == "asking"
    return str(case["id"])


def last_steps(world: World, n: int) -> list[tuple[str, str, Any]]:
    rows = world.rows(case_steps)[-n:]
    return [(row["kind"], row["by"], row["data"]) for row in rows]


def test_a_yes_by_telephone_closes_the_case_that_waits_for_it(world: World) -> None:
    case = asked(world)
    line(world).answered(AGENT, case, works=True, with_whom="Mrs Li", said="prints again")
    assert (world.case()["state"], world.case()["outcome"]) == ("closed", "confirmed")
    told, closed = last_steps(world, 2)
    assert told == ("answered", "ann", {"works": True, "by_phone": True, "with_whom": "Mrs Li"})
    assert closed[:2] == ("closed", "ann")
    with pytest.raises(CaseError, match="closed already"):
        line(world).answered(AGENT, case, works=True, with_whom="Mrs Li")
    with world.database.read() as connection:
        html = {each: record(connection, EVERYTHING, case, each, world.now_ms).html for each in ("en", "zh")}
    assert "Answer of the merchant, by phone (Mrs Li)" in html["en"]
    assert "商户答复（电话） (Mrs Li)" in html["zh"]


def test_a_no_by_telephone_opens_it_again_even_after_the_end(world: World) -> None:
    case = asked(world)
    line(world).answered(AGENT, case, works=False, with_whom="Mrs Li")
    assert world.case()["state"] in {"new", "reopened", "acknowledged"}
    assert [kind for kind, _, _ in last_steps(world, 2)] == ["answered", "reopened"]
    world.run()
    world.later(31 * MINUTE)
    line(world).answered(AGENT, case, works=True, with_whom="Mrs Li")
    world.later(31 * MINUTE)
    line(world).answered(AGENT, case, works=False, with_whom="Mrs Li")
    assert world.case()["state"] != "closed"


def test_a_yes_before_the_probe_passes_closes_nothing(world: World) -> None:
    world.fault()
    case = str(opened(world)["id"])
    line(world).answered(AGENT, case, works=True, with_whom="Mrs Li")
    assert world.case()["state"] == "new"
    assert [kind for kind, _, _ in last_steps(world, 1)] == ["answered"]
    world.fault(state="cleared")
    world.run()
    assert world.case()["state"] == "watching"


def test_the_same_call_is_written_down_once(world: World) -> None:
    case = asked(world)
    once = act("call-7")
    for _ in range(2):
        line(world).answered(once, case, works=True, with_whom="Mrs Li")
    assert world.steps(case).count("answered") == 1


def test_somebody_answered_and_the_case_has_a_merchant(world: World) -> None:
    case = asked(world)
    with pytest.raises(CaseError, match="who answered"):
        line(world).answered(AGENT, case, works=True, with_whom=" ")
    with pytest.raises(NoCase):
        line(world).answered(act(scope=Scope(estates=frozenset({"south"}))), case, works=True, with_whom="Li")


def test_a_link_that_is_withdrawn_leads_nowhere_until_there_is_another(world: World) -> None:
    world.fault()
    case = opened(world)
    world.run()
    desk = MerchantDesk(world.database, world.policy, lambda: world.now_ms)
    with pytest.raises(CaseError, match="reason"):
        line(world).withdraw_link(AGENT, case["id"], " ")
    with pytest.raises(CaseError, match="withdraw the link"):
        line(world).new_link(AGENT, case["id"])
    line(world).withdraw_link(AGENT, case["id"], "printed for the wrong shop")
    with pytest.raises(NoCase, match="no such page"):
        desk.page(case["merchant_token"])
    with pytest.raises(NoCase, match="no such page"):
        desk.answer(case["merchant_token"], works=True)
    with pytest.raises(CaseError, match="already"):
        line(world).withdraw_link(AGENT, case["id"], "again")
    world.run()
    told = [json.loads(base64.b64decode(post["payload"])) for post in world.posts("mqtt")]
    assert ["link" in each for each in told] == [True, False]  # nor does the terminal print it any more
    token = str(line(world).new_link(AGENT, case["id"])["merchant_token"])
    assert desk.page(token).number == f"C-{case['number']}"
    with pytest.raises(NoCase, match="no such page"):
        desk.page(case["merchant_token"])
    assert world.steps(case["id"])[-2:] == ["link_withdrawn", "link_made"]
