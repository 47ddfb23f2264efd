"""Charts of a terminal: where there is a number there was one, and where nobody knows there is a gap."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import update

from agent.wire import timestamp
from center.access.scope import Scope
from center.db import tables
from center.domain.series import Told, drawn, grid
from center.ingest import rollup
from tests.center.asking import Api
from tests.center.fleet_rows import NOW, put, terminal

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
RSRP = "modem.rsrp_dbm"
START = NOW - NOW % 1000
FOREIGN = Scope(estates=("f",))


def _says(api: Api, seq: int, at_ms: int, *samples: Any) -> None:
    about = {"estate": "e", "terminal": "t000001", "boot": 2, "seq": seq}
    put(api.database, tables.telemetry, **about, at_ms=at_ms, samples=list(samples), received_ms=at_ms)
    with api.database.begin() as connection:
        rollup.add(connection, [("e", "t000001", at_ms, samples)])


def _line(api: Api, **asked: Any) -> Any:
    told = api.asks("viewer").get("terminals/e/t000001/series", metric=RSRP, **asked)
    return told["basis"], told["step_ms"], told["series"][0]["points"]


def _at(at_ms: int) -> str:
    return timestamp(at_ms / 1000)


def test_samples_are_drawn_into_buckets_and_held_until_the_next(api: Api) -> None:
    api.clock_ms = NOW + DAY
    since = NOW + HOUR
    _says(api, 1, since + MINUTE, [0, {RSRP: -100}], [20_000, {RSRP: -90}])
    _says(api, 2, since + 3 * MINUTE, [0, {RSRP: -80}], [MINUTE, {RSRP: {"error": "no_reply"}}])
    span = {"since": _at(since), "until": _at(since + 6 * MINUTE), "points": 6}
    held = [-90.0, -90.0, -90.0]
    assert _line(api, **span) == ("samples", MINUTE, [None, [-100.0, -95.0, -90.0], held, [-80.0] * 3, None, None])


def test_an_outage_is_a_gap(api: Api) -> None:
    api.clock_ms = NOW + DAY
    since = NOW + HOUR
    _says(api, 1, since, [0, {RSRP: -100}])
    gone = {"estate": "e", "terminal": "t000001", "from_ms": since + 2 * MINUTE, "kind": "lost"}
    put(api.database, tables.outages, **gone, verdict="unknown", basis="unknown")
    span = {"since": _at(since), "until": _at(since + 4 * MINUTE), "points": 4}
    assert _line(api, **span)[2] == [[-100.0] * 3, [-100.0] * 3, None, None]


def test_nothing_is_drawn_that_has_not_been_yet(api: Api) -> None:
    api.clock_ms = NOW + HOUR + 2 * MINUTE
    _says(api, 1, NOW + HOUR, [0, {RSRP: -100}])
    span = {"since": _at(NOW + HOUR), "until": _at(NOW + HOUR + 4 * MINUTE), "points": 4}
    assert _line(api, **span)[2] == [[-100.0] * 3, [-100.0] * 3, None, None]


def test_long_spans_are_made_from_hours_and_days(api: Api) -> None:
    first = NOW - NOW % DAY
    api.clock_ms = first + 20 * DAY
    for day in range(10):
        _says(api, day + 1, first + day * DAY + 10 * HOUR, [0, {RSRP: -100 + day}], [HOUR, {RSRP: -90}])
    basis, step_ms, points = _line(api, since=_at(first), until=_at(first + 10 * DAY), points=240)
    assert (basis, step_ms, len(points)) == ("hours", HOUR, 240)
    assert points[10:12] == [[-100.0] * 3, [-90.0] * 3]
    assert points[:10] == [None] * 10
    basis, step_ms, points = _line(api, since=_at(first), until=_at(first + 100 * DAY), points=100)
    assert (basis, step_ms) == ("days", DAY)
    assert points[0] == [-100.0, -95.0, -90.0]
    assert points[20:] == [None] * 80


def test_what_it_measures_is_listed_with_units(api: Api) -> None:
    api.clock_ms = NOW + HOUR
    _says(api, 1, NOW, [0, {RSRP: -97, "modem.network": "lte", "power.voltage_mv": 12_000}], [MINUTE, {RSRP: -99}])
    with api.database.begin() as connection:
        known = {"metrics": {RSRP: "dbm"}}
        connection.execute(
            update(tables.terminals).where(tables.terminals.c.terminal == "t000001").values(inventory=known)
        )
    path = "terminals/e/t000001/metrics"
    assert api.asks("viewer").get(path)["items"] == [
        {"metric": RSRP, "unit": "dbm", "last": -99.0, "last_at": "2026-09-21T14:14:20.000Z"},
        {"metric": "power.voltage_mv", "unit": "", "last": 12_000.0, "last_at": "2026-09-21T14:13:20.000Z"},
    ]
    told = api.asks("viewer").get("terminals/e/t000001/series", metric=[RSRP, "no.such"])
    assert [(line["metric"], line["unit"]) for line in told["series"]] == [(RSRP, "dbm"), ("no.such", "")]
    assert set(told["series"][1]["points"]) == {None}
    for page in ("metrics", f"series?metric={RSRP}"):
        assert api.asks("viewer", FOREIGN)("GET", f"terminals/e/t000001/{page}").status_code == 404
    wrong = api.asks("viewer")("GET", "terminals/e/t000001/series", params={"metric": RSRP, "since": _at(NOW + DAY)})
    assert (wrong.status_code, wrong.json()["error"]) == (422, "since lies before until, by ten years at most")


def test_a_terminal_that_is_usually_silent_for_hours_keeps_its_value_that_long() -> None:
    on = grid(0, 24 * HOUR, 24, 24 * HOUR, DAY)

    def value(at_ms: int) -> Told:
        return Told(at_ms, at_ms, 1, 1.0, 1.0, 1.0, 1.0)

    often = [value(minute * MINUTE) for minute in range(0, 120, 15)]
    assert [point is not None for point in drawn(often, on, [], 24 * HOUR)] == [True] * 3 + [False] * 21
    seldom = [value(hour * HOUR) for hour in (0, 4, 8)]
    assert [point is not None for point in drawn(seldom, on, [], 24 * HOUR)] == [True] * 20 + [False] * 4


@pytest.mark.parametrize("points", [1, 7, 300, 2000])
@pytest.mark.parametrize("span", [1, 1000, HOUR + 1, 2 * DAY, 2 * DAY + 1, 61 * DAY, 3660 * DAY])
def test_a_grid_holds_the_span_in_so_many_points(points: int, span: int) -> None:
    on = grid(NOW + 17, NOW + 17 + span, points, NOW + 17 + span, 30 * DAY)
    assert on.start_ms <= NOW + 17 < on.start_ms + on.step_ms
    assert on.end_ms - on.step_ms < NOW + 17 + span <= on.end_ms
    assert 1 <= on.n <= points


# --- the search box ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "kind", "names"),
    [
        ("T000005", "terminals", ["t000005"]),
        ("e.t000005", "terminals", ["t000005"]),
        ("f/t000005", "terminals", []),
        ("00000", "terminals", [f"t{number:06}" for number in range(8)]),
        ("拐角", "sites", ["s000001"]),
        ("LONG road", "sites", ["s000001"]),
        ("100%", "sites", []),
        ("T00000", "terminals", [f"t{number:06}" for number in range(8)]),
        ("t00000", "terminals", [f"t{number:06}" for number in range(8)]),
        ("0000%", "terminals", []),
        ("t_0000", "terminals", []),
        ("c-1005", "cases", ["C-1005"]),
        ("1005", "cases", ["C-1005"]),
        ("727-410-695", "cases", ["C-1000"]),
        ("727410695", "cases", ["C-1000"]),
        ("t000005", "cases", ["C-1005"]),
        ("inc-00000005", "incidents", ["inc-00000005"]),
        ("t000005", "incidents", ["inc-00000005"]),
    ],
)
def test_it_is_found_by_part_of_its_name(api: Api, words: str, kind: str, names: list[str]) -> None:
    put(api.database, tables.sites, estate="e", site="s000001", name="拐角小店", address="Long Road 5", updated_ms=NOW)
    with api.database.begin() as connection:
        connection.execute(update(tables.cases).where(tables.cases.c.number == 1000).values(local_number="727-410-695"))
    called = {"terminals": "terminal", "sites": "site", "cases": "number", "incidents": "id"}[kind]
    assert [each[called] for each in api.asks("viewer").get("find", q=words)[kind]] == names
    assert not any(api.asks("viewer", FOREIGN).get("find", q=words).values())


def test_terminals_named_so_come_before_those_that_begin_so_and_those_before_the_rest_of_all_estates(api: Api) -> None:
    for estate, names in (("a", ("t1", "xt1")), ("g", ("t1", "t10", "T11")), ("h", ("t12",))):
        for name in names:
            put(api.database, tables.terminals, **terminal(0) | {"estate": estate, "terminal": name})
    found = [f"{each['estate']}.{each['terminal']}" for each in api.asks("viewer").get("find", q="t1")["terminals"]]
    assert found[:2] == ["a.t1", "g.t1"]
    assert sorted(found[2:5]) == ["g.T11", "g.t10", "h.t12"]
    assert found[5:] == ["a.xt1"]
    for number in range(5, 12):
        put(api.database, tables.terminals, **terminal(0) | {"estate": "h", "terminal": f"t1{number:02}"})
    found = [f"{each['estate']}.{each['terminal']}" for each in api.asks("viewer").get("find", q="t1")["terminals"]]
    assert found[:3] == ["a.t1", "g.t1", "g.t10"]
    assert len(found) == 8
    of_one = api.asks("viewer", Scope(estates=("a",))).get("find", q="t1")["terminals"]
    assert [each["terminal"] for each in of_one] == ["t1", "xt1"]
