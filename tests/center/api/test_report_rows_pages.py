"""Each number of the reports against the rows behind it."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from typing import Any

import pytest

from center.access.scope import Scope
from center.console.reports_targets import BEHIND
from center.db import tables
from center.domain.reports_rows import OF
from tests.center.asking import Api
from tests.center.fleet_rows import NOW, case, put

FOREIGN = Scope(estates=("f",))
HOUR = 3_600_000
UNTIL = datetime.fromtimestamp((NOW + 10 * HOUR) / 1000, UTC).isoformat()


@pytest.fixture
def cases(api: Api) -> None:
    """Beside the two open ones of the fleet: 1 was mended at once, 2 needed two visits and a second promise."""
    ended = {"state": "closed", "outcome": "confirmed", "model": "TM-T20"}
    _case(api, 1, created_ms=NOW, detected_ms=NOW, solved_ms=NOW + HOUR, closed_ms=NOW + HOUR, visits=1, **ended)
    _case(
        api, 2, created_ms=NOW, detected_ms=NOW, acked_ms=NOW + 60_000, solved_ms=NOW + 3 * HOUR,
        closed_ms=NOW + 3 * HOUR, visits=2, reopened=1, title="=cmd()", **ended,
    )  # fmt: skip
    for number, (name, eta_ms) in enumerate((("1", NOW + 2 * HOUR), ("2", NOW + HOUR), ("2", NOW + 2 * HOUR))):
        step = {
            "case_id": f"case-0000000{name}",
            "at_ms": NOW + number,
            "kind": "eta",
            "by": "ann",
            "step_key": f"eta-{number}",
        }
        put(api.database, tables.case_steps, **step, data={"eta_ms": eta_ms})
    put(api.database, tables.surveys, case_id="case-00000002", works="yes", score=2, at_ms=NOW + 4 * HOUR)


def _case(api: Api, number: int, **more: Any) -> None:
    put(api.database, tables.cases, **(case(number) | more))


def _rows(api: Api, of: str, scope: Scope | None = None, **asked: Any) -> list[dict[str, Any]]:
    asks = api.asks("viewer") if scope is None else api.asks("viewer", scope)
    found: list[dict[str, Any]] = asks.get(f"reports/{of}/cases", until=UNTIL, **asked)["items"]
    return found


@pytest.mark.usefixtures("cases")
def test_the_rows_behind_a_number_are_as_many_as_it_says(api: Api) -> None:
    asks = api.asks("viewer")
    times = asks.get("reports/times", until=UNTIL)["result"]
    for of in ("detect", "acknowledge", "repair"):
        assert len(_rows(api, of)) == times[of]["n"]
    assert [row["length_s"] for row in _rows(api, "repair")] == [3 * 3600, 3600]
    for of in ("first_time_fix", "repeats", "false_alarms"):
        _are_behind(api, of, asks.get(f"reports/{of}", until=UNTIL)["result"])
    kept = asks.get("reports/promises", until=UNTIL)["result"]["last"]
    assert (kept["n"], kept["of"]) == (1, 2)
    _are_behind(api, "promises", kept)
    assert [(row["number"], row["met"]) for row in _rows(api, "promises")] == [(1002, False), (1001, True)]
    assert [(row["number"], row["score"]) for row in _rows(api, "satisfaction")] == [(1002, 2)]


def _are_behind(api: Api, of: str, share: dict[str, Any]) -> None:
    """As many cases as the share is of, and as many of them count into it as it says."""
    every, those, others = (_rows(api, of, **more) for more in ({}, {"met": True}, {"met": False}))
    assert (len(every), len(those), len(others)) == (share["of"], share["n"], share["of"] - share["n"])
    assert sum(row["met"] for row in every) == len(those)
    assert all(row["met"] for row in those)
    assert not any(row["met"] for row in others)


@pytest.mark.usefixtures("cases")
def test_what_missed_a_target_of_the_month_are_the_cases_that_its_number_leads_to(api: Api) -> None:
    api.clock_ms = NOW + 10 * HOUR
    found = api.asks("viewer").get("reports/monthly")
    assert {each["name"] for each in found["targets"]} == set(BEHIND)
    assert sum(each["missed"] for each in found["targets"]) >= 3
    for each in found["targets"]:
        of, met = BEHIND[each["name"]]
        span = {"since": found["since"], "until": found["until"], "met": met == "yes"}
        assert len(api.asks("viewer").get(f"reports/{of}/cases", **span)["items"]) == each["missed"]


def test_the_rows_behind_deadlines_are_as_many_as_they_say(api: Api) -> None:
    """Two cases missed the first response, one twice; one of them the solution; one has lost the clock it missed."""
    clock = {"minutes": 15.0, "start_ms": NOW}
    for number in (1, 2, 3):
        _case(api, number, created_ms=NOW, data={"clocks": {"first_response": clock, "solve": clock}})
    _case(api, 4, created_ms=NOW, data={"clocks": {"solve": clock}})
    told = ((1, "first_response", "breach"), (1, "first_response", "breach"), (2, "first_response", "breach"),
            (3, "first_response", "warn"), (4, "first_response", "breach"), (2, "solve", "breach"))  # fmt: skip
    for key, (number, name, level) in enumerate(told):
        step = {"case_id": f"case-{number:08}", "at_ms": NOW, "kind": "clock", "by": "center", "step_key": f"c{key}"}
        put(api.database, tables.case_steps, **step, data={"clock": name, "level": level})
    found = api.asks("viewer").get("reports/deadlines", until=UNTIL)["result"]
    assert {name: (share["n"], share["of"]) for name, share in found.items()} == {
        "first_response": (2, 3),
        "solve": (1, 4),
    }
    for name, share in found.items():
        _are_behind(api, f"deadline_{name}", share)
    assert _rows(api, "deadline_update") == []
    assert _rows(api, "detect", met=True) == []


@pytest.mark.usefixtures("cases")
def test_rows_are_narrowed_by_group_and_fault_and_come_in_pages(api: Api) -> None:
    assert [row["number"] for row in _rows(api, "top", by="model", group="TM-T20")] == [1002, 1001]
    assert [row["number"] for row in _rows(api, "top", by="model", group="")] == [1005, 1000]
    assert _rows(api, "top", fault="modem/no_network") == []
    first = api.asks("viewer").get("reports/top/cases", until=UNTIL, limit=3)
    assert [row["number"] for row in _rows(api, "top", limit=3, cursor=first["next"])] == [1000]
    assert all(_rows(api, of, FOREIGN) == [] for of in OF)


@pytest.mark.usefixtures("cases")
def test_rows_come_as_a_file_that_no_spreadsheet_runs(api: Api) -> None:
    answer = api.asks("viewer")("GET", "reports/first_time_fix/export", params={"until": UNTIL})
    assert answer.headers["content-type"].startswith("text/csv")
    told = list(csv.DictReader(io.StringIO(answer.text)))
    assert [(row["number"], row["title"], row["met"]) for row in told] == [
        ("1002", "'=cmd()", "False"),
        ("1001", "Paper out", "True"),
    ]
    wrong = api.asks("viewer")("GET", "reports/top/export", params={"since": UNTIL, "until": UNTIL})
    assert wrong.status_code == 422
