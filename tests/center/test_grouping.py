from __future__ import annotations

import random
from typing import Any

import pytest

from center.domain.grouping import OFFLINE, Group, Place, Population, Signal, propose, surprise

OPERATORS = ("cmcc", "cucc", "ctcc")


def place(number: int, **shared: str) -> Place:
    """Terminal `number` of an even fleet: two to a site, 20 to a cell, three operators, 50 to a power district."""
    site = number // 2
    operator = OPERATORS[site % 3]
    usual = {
        "site": f"s{site}",
        "operator": operator,
        "cell": f"{operator}-{number // 60}",
        "power": f"d{number // 50}",
        "host": f"h{number % 4}",
        "release": f"m{number // 7 % 3}|1.{number // 11 % 2}",
    }
    return Place(**usual | shared)


def population(places: list[Place]) -> Population:
    counted = Population()
    for each in places:
        counted.add(each)
    return counted


def signals(places: list[Place], fault: str, which: Any, share: float = 1.0, **more: Any) -> list[Signal]:
    chance = random.Random(7)
    return [
        Signal("e", f"t{number}", fault, 1000, "major", each, **more)
        for number, each in enumerate(places)
        if which(each) and chance.random() < share
    ]


def named(groups: list[Group]) -> list[tuple[str, str]]:
    return [(group.rule.scope, group.key) for group in groups]


FLEET = [place(number) for number in range(6000)]
COUNTED = population(FLEET)


@pytest.mark.parametrize(
    ("fault", "which", "share", "said"),
    [
        (OFFLINE, lambda p: p.operator == "cmcc", 0.95, [("operator", "cmcc")]),
        (OFFLINE, lambda p: p.operator == "cmcc", 0.02, [("operator", "cmcc")]),  # it has only begun
        (OFFLINE, lambda p: p.operator in {"cmcc", "cucc"}, 0.9, [("operator", "cmcc"), ("operator", "cucc")]),
        (OFFLINE, lambda p: True, 0.9, [("estate", "e")]),
        (OFFLINE, lambda p: True, 0.05, [("estate", "e")]),
        (OFFLINE, lambda p: p.cell == "cmcc-7", 1.0, [("cell", "cmcc-7")]),
        (OFFLINE, lambda p: p.site == "s9", 1.0, [("site", "s9")]),
        (OFFLINE, lambda p: p.cell in {"cmcc-7", "cucc-3"}, 1.0, [("cell", "cmcc-7"), ("cell", "cucc-3")]),
        ("modem/no_data", lambda p: p.operator == "ctcc", 0.5, [("operator", "ctcc")]),
        ("network/acquirer_unreachable", lambda p: p.host == "h2", 0.9, [("host", "h2")]),
        ("network/tls_failed", lambda p: True, 0.9, [("estate", "e")]),
        ("network/acquirer_unreachable", lambda p: p.operator == "cucc", 0.9, [("operator", "cucc")]),
        ("power/mains_lost", lambda p: p.power == "d3", 0.8, [("power", "d3")]),
        ("power/mains_lost", lambda p: p.site == "s9", 1.0, [("site", "s9")]),
        ("reader/read_errors", lambda p: p.release == "m1|1.1", 0.3, [("release", "m1|1.1")]),
        ("printer/paper_near_end", lambda p: True, 0.2, []),  # paper ends everywhere
        ("printer/paper_out", lambda p: p.operator == "cmcc", 0.5, []),  # and has nothing to do with operators
        ("printer/paper_out", lambda p: p.site == "s9", 1.0, []),
        (OFFLINE, lambda p: True, 0.0015, []),  # a few are always away
        (OFFLINE, lambda p: p == FLEET[40], 1.0, []),
    ],
)  # fmt: skip
def test_the_cause_that_explains_most_is_named(fault: str, which: Any, share: float, said: list[Any]) -> None:
    assert sorted(named(propose(signals(FLEET, fault, which, share), COUNTED))) == said


def test_two_causes_at_once_are_both_found() -> None:
    troubled = signals(FLEET, OFFLINE, lambda p: p.operator == "cmcc", 0.9)
    troubled += signals(FLEET, "power/mains_lost", lambda p: p.power == "d3")
    assert sorted(named(propose(troubled, COUNTED))) == [("operator", "cmcc"), ("power", "d3")]


def test_silence_is_for_want_of_power_only_where_somebody_said_so() -> None:
    dark = [each for each in FLEET if each.power == "d3"]
    silent = signals(FLEET, OFFLINE, lambda p: p.power == "d3")
    assert ("power", "d3") not in named(propose(silent, COUNTED))
    for signal in silent[: len(dark) // 2]:
        signal.verdict = "no_power"
    assert named(propose(silent, COUNTED)) == [("power", "d3")]


def test_shops_that_close_for_the_night_are_no_trouble_but_their_operator_may_be() -> None:
    closed = signals(FLEET, OFFLINE, lambda _: True, 0.4, expected=True)
    assert propose(closed, COUNTED) == []
    lost = signals(FLEET, OFFLINE, lambda p: p.operator == "cmcc", 0.9, expected=True)
    assert named(propose(lost, COUNTED)) == [("operator", "cmcc")]


def test_what_was_gone_before_counts_neither_way() -> None:
    long_gone = signals(FLEET, OFFLINE, lambda p: p.cell == "cmcc-7")[:15]
    now = [each for each in signals(FLEET, OFFLINE, lambda p: p.cell == "cmcc-7") if each.key not in
           {old.key for old in long_gone}]  # fmt: skip
    (group,) = propose(now, COUNTED, long_gone)
    assert (group.key, group.affected, group.population) == ("cmcc-7", 5, 5)


def test_a_group_that_stands_is_taken_over_only_by_a_wider_one() -> None:
    class Held:
        rank = 2

    troubled = signals(FLEET, OFFLINE, lambda p: p.cell == "cmcc-7")
    for signal in troubled:
        signal.group = Held
    assert propose(troubled, COUNTED) == []
    troubled += signals(FLEET, OFFLINE, lambda p: p.operator == "cmcc" and p.cell != "cmcc-7", 0.9)
    assert named(propose(troubled, COUNTED)) == [("operator", "cmcc")]


def test_with_one_operator_the_operator_is_named_and_not_the_estate() -> None:
    fleet = [place(number, operator="only", cell="") for number in range(1000)]
    assert named(propose(signals(fleet, OFFLINE, lambda _: True, 0.9), population(fleet))) == [("operator", "only")]


def test_without_places_the_estate_is_named() -> None:
    fleet = [Place() for _ in range(1000)]
    assert named(propose(signals(fleet, OFFLINE, lambda _: True, 0.9), population(fleet))) == [("estate", "e")]


def test_a_group_tells_its_numbers() -> None:
    (group,) = propose(signals(FLEET, OFFLINE, lambda p: p.operator == "cmcc", 0.5), COUNTED)
    assert group.population == 2000
    assert 0.45 < group.share < 0.55
    assert group.affected == len(group.signals)
    assert group.outside == 0.002
    assert group.gain == pytest.approx(surprise(group.affected, 2000, 0.002), abs=0.1)


@pytest.mark.parametrize(("affected", "n", "usual", "nats"), [(0, 10, 0.1, 0), (1, 10, 0.1, 0), (2, 2, 0.01, 9.21)])
def test_surprise(affected: int, n: int, usual: float, nats: float) -> None:
    assert surprise(affected, n, usual) == pytest.approx(nats, abs=0.01)
