from __future__ import annotations

from typing import Any

import pytest

from center.access.scope import Scope
from center.db.engine import Database, upsert
from center.db.tables import (
    faults,
    places,
    sites,
)
from center.domain import campaigns_audience
from center.domain.campaigns_plan import Tally, assign, check_pace, check_waves, judge
from center.domain.refusal import Refusal
from tests.center.actions import fleet


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
        ({"tags": ["pilot"]}, ["t1", "t3"]),
        ({"tags": ["试点", "none"]}, ["t1"]),
        ({"tags": ["pilot"], "regions": ["south"]}, ["t3"]),
        ({"tags": ["pi%", "pi", "a"]}, []),
        ({"tags": ['a"b\\_']}, ["t2"]),
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
        tagged = {"estate": "e", "site": "s2", "trade": "bakery", "tags": ["pilot", "big"], "updated_ms": 1}
        upsert(connection, sites, [tagged])
        for terminal, tags in (("t1", ["pilot", "试点"]), ("t2", ['a"b\\_'])):
            upsert(connection, places, [{"estate": "e", "terminal": terminal, "tags": tags, "updated_ms": 1}])
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
