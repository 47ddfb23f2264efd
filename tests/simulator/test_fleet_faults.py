"""A fleet's own reading of causes and verdicts comes to what agents say, and its estate hangs together."""

from __future__ import annotations

import random

import pytest

from agent import causes
from agent.desired import REMOTE
from agent.model import Fault
from agent.poi import poi_status
from agent.vocabulary import VOCABULARY
from simulator import fleet_settings
from simulator.fleet_estate import OPERATORS, has_battery, make_places
from simulator.fleet_faults import OUTAGES, SIGNS, TROUBLES, labels, outcome, poi
from simulator.fleet_parts import make_parts

UNITS = ("printer", "reader", "keypad", "modem")
POWERED = {"printer": "mains", "reader": "battery", "keypad": "battery", "modem": "battery"}


@pytest.mark.parametrize("bearer", ["modem", "ethernet"])
def test_causes_symptoms_verdict_and_poi_are_those_of_an_agent(bearer: str):
    dice = random.Random(7)
    topology = causes.Topology(powered_by=POWERED, bearer=bearer)
    for _ in range(400):
        keys = dice.sample(sorted(SIGNS), dice.randint(0, 6))
        first = {key: float(dice.randint(0, 3)) for key in keys}
        faults = [
            Fault(key=key, state="raised", severity=VOCABULARY[key].severity, device="", first_at=at, last_at=at)
            for key, at in first.items()
        ]
        theirs = causes.explain(faults, topology)
        ours = labels(keys, bearer)
        assert {k: (f.cause, f.symptoms, f.basis == "measured") for k, f in theirs.items()} == {
            k: (label.cause, label.symptoms, label.measured) for k, label in ours.items()
        }
        for blind in (False, True):
            answer = causes.verdict(theirs, blind=["reader"] if blind else [])
            found = outcome(first, ours, blind=blind)
            assert (found.can_sell, found.cause, found.act) == (answer.can_sell, answer.cause, answer.act)
        for sells in (False, True):
            agents = poi_status(theirs, UNITS, network_known=True, maintenance=False, sells=sells)
            assert poi(dict.fromkeys(keys), known=True, sells=sells) == agents
            assert (agents["GlobalStatus"] == "OK") == sells


def test_every_trouble_and_outage_has_signs_and_every_sign_is_of_a_source_that_is_there():
    named = {key for trouble in (*TROUBLES, *OUTAGES.values()) for key in trouble.faults}
    assert named <= SIGNS.keys()
    place = next(p for p in make_places(200, estate="demo", seed=1) if p.bearer == "modem" and has_battery(p))
    metrics = make_parts(place, battery=True).metrics
    for key, sign in SIGNS.items():
        if key != "security/case_opened":  # most cases have no switch
            assert sign.readings(raised=True).keys() <= metrics.keys(), key


def test_an_estate_is_the_same_again_and_its_parts_hang_together():
    places = make_places(2000, estate="demo", seed=3)
    assert places == make_places(2000, estate="demo", seed=3)
    assert places != make_places(2000, estate="demo", seed=4)
    sizes: dict[str, int] = {}
    for place in places:
        sizes[place.site] = sizes.get(place.site, 0) + 1
    assert set(sizes.values()) <= set(range(1, 9))
    assert {place.operator for place in places} == {*OPERATORS, ""}
    for unit in ("power_district", "region", "host", "bearer"):
        by_site: dict[str, set[str]] = {}
        for place in places:
            by_site.setdefault(place.site, set()).add(getattr(place, unit))
        assert all(len(each) == 1 for each in by_site.values()), unit
    assert all((place.cell == "") is (place.operator == "") for place in places)
    assert len({place.site for place in make_places(100, estate="demo", seed=1, sites=7)}) == 7


def test_the_settings_that_are_taken_from_afar_are_those_of_an_agent():
    assert fleet_settings.FROM_AFAR == REMOTE
