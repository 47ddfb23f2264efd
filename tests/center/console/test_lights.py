"""The lights of a terminal's components: what is not known never looks like good."""

from __future__ import annotations

from typing import Any

import pytest

from center.console.lights import Component, components, unit_of

PRINTER = {"name": "till-printer", "unit": "printer", "model": "TM-T20"}


def _reading(metric: str, value: Any = "ok", error: str | None = None) -> dict[str, Any]:
    return {"metric": metric, "unit": "", "value": None if error else value, "error": error}


def _fault(key: str, severity: str) -> dict[str, Any]:
    return {"fault": key, "severity": severity}


def _lights(
    *readings: dict[str, Any], faults: Any = (), inventory: Any = None, freshness: str = "online"
) -> dict[str, Component]:
    detail = {"inventory": {"devices": [PRINTER]} if inventory is None else inventory, "faults": list(faults)}
    return {each.unit: each for each in components(detail, readings, freshness)}


def test_a_component_is_good_only_when_something_was_read_and_nothing_failed() -> None:
    found = _lights(_reading("till-printer.cover", "closed"), _reading("till-printer.voltage", error="unsupported"))
    assert (found["printer"].state, len(found["printer"].readings)) == ("ok", 2)
    assert (found["power"].state, found["power"].said) == ("unknown", "silent")


def test_one_failed_reading_makes_the_light_unknown_and_names_it() -> None:
    failed = _reading("till-printer.paper", error="no_reply")
    found = _lights(_reading("till-printer.cover", "closed"), failed)["printer"]
    assert (found.state, found.said, found.unknown) == ("unknown", "partly", (failed,))


def test_the_gravest_fault_gives_the_light_whatever_was_read() -> None:
    faults = [_fault("printer/paper_near_end", "warning"), _fault("printer/cutter_error", "major")]
    found = _lights(_reading("till-printer.cover", "closed"), faults=faults)["printer"]
    assert (found.state, found.said, len(found.faults)) == ("major", "fault", 2)


@pytest.mark.parametrize("freshness", ["offline", "unknown"])
def test_without_contact_what_was_known_is_stale_and_not_good(freshness: str) -> None:
    readings = [_reading("till-printer.cover", "closed")]
    found = _lights(*readings, faults=[_fault("power/mains_lost", "major")], freshness=freshness)
    assert (found["printer"].state, found["printer"].last) == ("stale", "ok")
    assert (found["power"].state, found["power"].last) == ("stale", "major")
    assert found["modem"].state == "unsupported"


def test_a_terminal_that_is_overdue_keeps_its_lights() -> None:
    assert _lights(_reading("till-printer.cover", "closed"), freshness="late")["printer"].state == "ok"


def test_a_device_that_is_not_fitted_differs_from_one_that_cannot_measure_and_from_one_that_never_spoke() -> None:
    unsupported = [_reading("till-printer.voltage", error="unsupported")]
    assert _lights()["modem"].said == "absent"
    assert _lights(*unsupported)["printer"].said == "unsupported"
    told_nothing = {"inventory": None, "faults": []}
    silent = components(told_nothing, [], "online")
    assert {(each.state, each.said) for each in silent} == {("unknown", "never")}


@pytest.mark.parametrize(
    ("metric", "unit"),
    [
        ("till-printer.cover", "printer"),
        ("trend.till-printer.paper_days_left", "printer"),
        ("report.reader.good", "reader"),
        ("boots.unclean_boots", "system"),
        ("firmware.till-printer.why", "firmware"),
        ("something.new", "system"),
    ],
)
def test_a_metric_belongs_to_the_component_that_its_source_is_of(metric: str, unit: str) -> None:
    assert unit_of(metric, {"till-printer": "printer"}) == unit
