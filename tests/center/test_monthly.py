"""The month against its targets: what counts, what is left of the budgets, and where a month begins."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import insert

from center.access.scope import EVERYTHING, Scope
from center.console.month_words import figures, months_back, verdict
from center.console.words import say
from center.db.engine import Database
from center.db.tables import case_steps, cases
from center.domain import cases_policy
from center.domain.cases_policy import Policy, parse
from center.domain.monthly import month_of, monthly
from tests.center.asking import Api, asking
from tests.center.console.pages import Shop, new_world, shop
from tests.center.fleet_rows import NOW


def ms(*when: int) -> int:
    return round(datetime(*when, tzinfo=UTC).timestamp() * 1000)  # type: ignore[arg-type,misc]


def rows(database: Database, count: int, broken: int, at_ms: int, estate: str = "e", **more: Any) -> None:
    """Cases with a clock for the first response, some of which it ran out for."""
    clocks = {"clocks": {"first_response": {"minutes": 15.0}}}
    usual = {"estate": estate, "terminal": "t", "kind": "fault", "title": "x", "severity": "major", "state": "closed"}
    usual |= {"created_ms": at_ms, "updated_ms": at_ms, "data": clocks}
    names = [f"{estate}-{at_ms}-{n}" for n in range(count)]
    with database.begin() as connection:
        numbers = [abs(hash(name)) % 10**9 for name in names]
        some = [
            {**usual, "id": name, "number": number, "merchant_token": name, **more}
            for name, number in zip(names, numbers, strict=True)
        ]
        connection.execute(insert(cases), some)
        step = {"at_ms": at_ms, "by": "center", "kind": "clock", "data": {"clock": "first_response", "level": "breach"}}
        if broken:
            connection.execute(
                insert(case_steps), [{**step, "case_id": name, "step_key": name} for name in names[:broken]]
            )


def test_a_budget_is_what_the_target_leaves(database: Database) -> None:
    rows(database, 20, 1, NOW)
    rows(database, 5, 5, NOW - 40 * 86_400_000)  # of another month
    month = month_of("", "UTC", NOW + 1)
    policy = Policy(targets={"first_response": 95, "solve": 90})
    with database.read() as connection:
        first, solve = monthly(connection, EVERYTHING, policy, month.period)
    assert first == {
        "name": "first_response",
        "target": 0.95,
        "share": 0.95,
        "missed": 1,
        "of": 20,
        "allowed": 1.0,
        "used": 1.0,
        "kept": True,
    }
    assert (solve["of"], solve["share"], solve["used"], solve["kept"]) == (0, None, None, None)
    rows(database, 1, 1, NOW + 1)
    with database.read() as connection:
        (first,) = monthly(
            connection,
            EVERYTHING,
            parse({"targets": dict.fromkeys(list(policies())[1:], 0)}),
            month_of("", "UTC", NOW + 2).period,
        )
    assert (first["missed"], first["of"], first["used"] > 1, first["kept"]) == (2, 21, True, False)


def policies() -> dict[str, float]:
    return dict(cases_policy.Policy().targets)


def test_every_target_counts_what_its_report_counts(database: Database) -> None:
    ended = {"closed_ms": NOW, "solved_ms": NOW, "outcome": "confirmed"}
    rows(database, 8, 0, NOW, fault="printer/jam", visits=1, reopened=0, **ended)
    rows(database, 2, 0, NOW + 1, fault="printer/jam", visits=1, reopened=1, **ended)
    rows(database, 1, 0, NOW + 2, **{**ended, "outcome": "false_alarm"})
    with database.begin() as connection:
        promise = {"case_id": f"e-{NOW}-0", "step_key": "p", "at_ms": NOW, "by": "ann", "kind": "eta"}
        connection.execute(insert(case_steps).values({**promise, "data": {"eta_ms": NOW - 1}}))
    with database.read() as connection:
        found = monthly(connection, EVERYTHING, Policy(), month_of("", "UTC", NOW + 9).period)
    counted = {each["name"]: (each["missed"], each["of"]) for each in found}
    assert list(counted) == list(policies())
    assert {name: counted[name] for name in ("promise", "first_time_fix", "true_alarm")} == {
        "promise": (1, 1),
        "first_time_fix": (2, 10),
        "true_alarm": (1, 11),
    }
    assert counted["no_return"][1] == 10
    assert counted["no_return"][0] >= 2


@pytest.mark.parametrize(
    ("name", "zone", "now", "span", "over"),
    [
        ("2026-10", "UTC", ms(2026, 11, 22), (ms(2026, 10, 1), ms(2026, 11, 1)), True),
        ("2026-10", "Asia/Shanghai", ms(2026, 11, 22), (ms(2026, 9, 30, 16), ms(2026, 10, 31, 16)), True),
        ("2026-12", "Europe/Berlin", ms(2027, 2, 1), (ms(2026, 11, 30, 23), ms(2026, 12, 31, 23)), True),
        ("", "UTC", ms(2026, 11, 22), (ms(2026, 11, 1), ms(2026, 11, 22)), False),
    ],
)
def test_months_are_those_of_the_office(name: str, zone: str, now: int, span: tuple[int, int], over: bool) -> None:
    month = month_of(name, zone, now)
    assert ((month.period.from_ms, month.period.until_ms), month.over) == (span, over)


@pytest.mark.parametrize("name", ["2026-13", "2026-1", "26-10", "2026-12", "x"])
def test_what_is_no_month_or_not_yet_is_said(name: str) -> None:
    with pytest.raises(ValueError, match=r"is no month|has not begun"):
        month_of(name, "UTC", ms(2026, 11, 22))


@pytest.mark.parametrize("told", [{"speed": 90}, {"solve": 100}, {"solve": -1}, {"solve": True}, {"solve": "90"}, [90]])
def test_a_target_that_cannot_be_is_refused(told: Any) -> None:
    with pytest.raises((ValueError, TypeError), match="targets"):
        parse({"targets": told})


def test_it_is_said_in_figures_and_a_verdict() -> None:
    row = {"target": 0.95, "share": 0.9, "missed": 20, "of": 200, "allowed": 10.0, "used": 2.0, "kept": False}
    assert figures(row) == ["95.0%", "90.0%", "20 / 200 (≤ 10.0)", "200%"]
    assert figures({**row, "share": None}) == ["95.0%", "–", "–", "–"]
    told = [
        verdict({**row, "kept": kept, "used": used})
        for kept, used in ((True, 0.5), (True, 0.8), (False, 2), (None, None))
    ]
    assert told == [("ok", "kept_yes"), ("degraded", "kept_barely"), ("failed", "kept_no"), ("unknown", "kept_none")]
    assert months_back("2026-02", 4) == ["2026-02", "2026-01", "2025-12", "2025-11"]
    for language in ("en", "zh"):
        assert all(say(language, f"reports.target_{name}") for name in policies())


@pytest.fixture
def api(database: Database) -> Iterator[Api]:
    rows(database, 20, 1, NOW)
    rows(database, 4, 4, NOW, estate="other")
    with asking(database, policy=Policy(office_timezone="Asia/Shanghai")) as running:
        running.clock_ms = NOW + 1
        yield running


def test_the_api_tells_of_the_callers_part(api: Api) -> None:
    found = api.asks("viewer", Scope(estates=("e",))).get("reports/monthly")
    assert (found["month"], found["over"], found["timezone"]) == ("2026-09", False, "Asia/Shanghai")
    assert found["since"] == "2026-08-31T16:00:00.000Z"
    assert (found["targets"][0]["missed"], found["targets"][0]["of"]) == (1, 20)
    assert api.asks("viewer").get("reports/monthly")["targets"][0]["missed"] == 5
    for month, status in (("2026-08", 200), ("2027-01", 422), ("2026-99", 422)):
        assert api.asks("viewer")("GET", "reports/monthly", params={"month": month}).status_code == status


@pytest.fixture
def at(database: Database) -> Iterator[Shop]:
    with shop(new_world(database)) as running:
        yield running


def test_the_month_can_be_printed(at: Shop) -> None:
    rows(at.world.database, 20, 1, NOW)
    at.world.now_ms = NOW + 1
    at.account()
    assert at.client.get("/console/print/month/2026-09").status_code == 303
    at.log_in()
    page = at.client.get("/console/print/month/2026-09?lang=zh")
    assert page.status_code == 200
    assert "2026-09 服务月报" in page.text
    assert "<td>95.0%</td><td>95.0%</td><td>1 / 20 (≤ 1.0)</td><td>100%</td>" in page.text
    assert at.client.get("/console/print/month/2026-13").status_code == 422
    assert json.loads(at.client.get("/api/v1/reports/monthly").text)["month"] == "2026-09"
