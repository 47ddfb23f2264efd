"""Whether the terminal was moved, over simulated months of shops with all that looks like moving and is none."""

from __future__ import annotations

import json
import random

import pytest

from agent.places import CLEAR_AT, LEARN_H, RAISE_AT, WEIGHTS, Place

STEP_H = 1 / 12
HOME = {
    "cell": "A1",
    "area": "T1",
    "operator": "46000",
    "gateway": "02:aa",
    "network": "192.168.1.0/24",
    "zone": "Asia/Shanghai",
}
CELLULAR = {name: HOME[name] for name in ("cell", "area", "operator", "zone")}
CABLE = {name: HOME[name] for name in ("gateway", "network", "zone")}


def stay(place: Place, signs, hours: float) -> list[float]:
    """Let the terminal see these signs; returns the hours at which it was elsewhere."""
    away = []
    for minute in range(0, round(hours * 60), 5):
        place.observe(signs(minute) if callable(signs) else signs, STEP_H)
        if place.elsewhere:
            away.append(minute / 60)
    return away


def settled(signs=HOME, hours: float = LEARN_H + 1) -> Place:
    place = Place("salt")
    stay(place, signs, hours)
    assert place.learned
    return place


def test_nothing_is_said_while_it_learns():
    place = Place("salt")
    assert stay(place, HOME, LEARN_H / 2) == []
    assert stay(place, {name: f"other {value}" for name, value in HOME.items()}, LEARN_H / 2 - 1) == []
    assert not place.learned
    assert (place.score, place.parts) == (0, {})


@pytest.mark.parametrize(("base", "sign"), [(base, sign) for base in (HOME, CELLULAR, CABLE) for sign in base])
def test_no_single_change_is_a_move(base, sign):
    place = settled(base)
    assert stay(place, {**base, sign: "new"}, 400) == []


@pytest.mark.parametrize(
    "change",
    [
        {"gateway": "02:bb", "network": "10.0.0.0/24"},  # another router
        {"gateway": "02:bb", "network": "10.0.0.0/24", "zone": "Asia/Urumqi"},
        {"cell": "Z9", "area": "T9"},  # the operator numbers its cells anew; the router is still there
        {"operator": "46001", "cell": "Z9", "area": "T9"},  # another SIM card
    ],
)
def test_what_happens_to_a_terminal_that_stays_is_no_move(change):
    place = settled()
    assert stay(place, {**HOME, **change}, 400) == []


def test_another_sim_card_in_a_terminal_without_a_cable_is_no_move():
    place = settled(CELLULAR)
    assert stay(place, {**CELLULAR, "operator": "46001", "cell": "Z9", "area": "T9"}, 400) == []


@pytest.mark.parametrize("base", [HOME, CELLULAR], ids=["both", "modem"])
def test_a_move_is_told_within_hours_and_says_why(base):
    place = settled(base)
    away = stay(place, {**base, "cell": "Z9", "area": "T9", **({"gateway": "02:cc"} if "gateway" in base else {})}, 10)
    assert 1.9 < away[0] < 2.2
    assert place.score >= RAISE_AT
    assert {"cell": 35, "area": 30}.items() <= place.parts.items()
    assert place.score == min(100, sum(place.parts.values()))


def test_everything_new_is_a_move_though_the_operator_hides_the_cells():
    place = settled()
    assert stay(place, {name: f"other {value}" for name, value in HOME.items()}, 3)
    assert place.parts == {name: WEIGHTS[name] for name in ("operator", "gateway", "network", "zone")}


def test_the_new_place_is_not_learned_by_waiting_and_the_old_one_ends_it():
    place = settled()
    moved = {**HOME, "cell": "Z9", "area": "T9", "gateway": "02:cc"}
    assert stay(place, moved, 1000)[-1] > 999
    stay(place, HOME, 0.1)
    assert not place.elsewhere
    assert place.score <= CLEAR_AT


def test_what_is_unknown_moves_nothing():
    place = settled()
    nothing = dict.fromkeys(HOME)
    assert stay(place, nothing, 500) == []
    stay(place, {**HOME, "cell": "Z9", "area": "T9", "gateway": "02:cc"}, 5)
    assert place.elsewhere
    stay(place, nothing, 500)
    assert place.elsewhere, "unknown is neither there nor home"


def test_a_restart_goes_on_where_it_was():
    place = settled()
    moved = {**HOME, "cell": "Z9", "area": "T9", "gateway": "02:cc"}
    stay(place, moved, 1.5)
    text = json.dumps(place.state())
    again = Place("salt", json.loads(text))
    assert not again.elsewhere
    assert stay(again, moved, 1)[0] < 0.7
    assert Place("salt", json.loads(json.dumps(again.state()))).elsewhere


def test_nothing_that_was_seen_stands_in_what_is_kept():
    text = json.dumps(settled().state())
    assert not any(value in text for value in HOME.values())
    other = Place("another salt")
    stay(other, HOME, LEARN_H + 1)
    assert set(other.state()["signs"]["cell"]["seen"]).isdisjoint(json.loads(text)["signs"]["cell"]["seen"])


@pytest.mark.parametrize(
    "state",
    [{"signs": 5}, {"signs": {"cell": {}}}, {"hours": "x"}, {"signs": {"cell": {"seen": [], "home": 3, "away_h": 1}}}],
)
def test_damaged_memory_is_learned_anew(state):
    place = Place("salt", state)
    assert (place.elsewhere, place.hours) == (False, 0.0)


def test_what_is_kept_stays_small_on_the_road():
    place = Place("salt")
    stay(place, lambda minute: {"cell": f"c{minute // 3}", "area": f"a{minute // 60}", "operator": "1"}, 600)
    assert len(json.dumps(place.state())) < 4000


@pytest.mark.parametrize("seed", range(5))
def test_three_months_of_a_shop_raise_nothing_and_a_move_at_their_end_does(seed):
    chance = random.Random(seed)
    base = chance.choice([HOME, CELLULAR])
    cells = [f"C{n}" for n in range(8)]
    router_day, plan_day = chance.randrange(20, 80), chance.randrange(20, 80)
    place = Place("salt")
    for day in range(90):
        signs = dict(base)
        if "gateway" in signs and day >= router_day:
            signs |= {"gateway": "02:ee", "network": "10.1.2.0/24"}
        pool = cells[: 3 + seed] if day < plan_day else [*cells[1 : 4 + seed], "C99"]  # one cell goes, one comes
        hotspot = "gateway" in signs and chance.random() < 0.1
        dead_modem = chance.random() < 0.1
        for minute in range(0, 600, 5):
            now = {**signs, "cell": pool[(minute // chance.randrange(5, 40)) % len(pool)]}
            if chance.random() < 0.01:
                now |= {"cell": f"far {minute}", "area": "T2"}  # the neighbour area, for a minute
            if hotspot and 180 <= minute < 290:
                now |= {"gateway": "de:ad", "network": "172.20.10.0/28"}
            if dead_modem:
                now |= {"cell": None, "area": None, "operator": None}
            place.observe(now, STEP_H)
            assert not place.elsewhere, (day, minute, place.parts)
    assert place.learned
    moved = {"cell": "M1", "area": "T7", "operator": base["operator"], "zone": base["zone"]}
    if "gateway" in base:
        moved |= {"gateway": "02:77", "network": "192.168.1.0/24"}
    away = stay(place, lambda minute: {**moved, "cell": f"M{minute // 20 % 5}"}, 6)
    assert away
    assert away[0] < 3
