"""The public status: what a stranger learns, and above all what not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import insert, update

from center.console.plain import status as pages
from center.console.words import LANGUAGES, phrases
from center.db.engine import Database, upsert
from center.db.tables import heartbeat, incident_members, incidents, sites, suppressions, terminals
from center.domain.status import SHOWN_SITES, SITES, Trouble, Window, public
from center.settings import Settings
from tests.center.console.pages import Shop, new_world, shop
from tests.center.desk_world import DAY, HOUR, START_MS

NOW = START_MS
SECRETS = ("Chez-Marcel", "kiosk", "chain-a", "T-0", "boss is ill", "hamlet", "46777", "cell-9", "V-1.4", "Mrs Wu")


@pytest.fixture
def fleet(database: Database) -> Database:
    """Thirty sites in the east at operator 46001, three in a hamlet at one of their own."""
    at = {"estate": "chain-a", "region": "east", "operator": "46001", "created_ms": NOW}
    places = [{**at, "terminal": f"T-0{n}", "site": f"kiosk-{n}"} for n in range(30)]
    places += [
        {**at, "terminal": f"T-9{n}", "site": f"kiosk-9{n}", "region": "hamlet", "operator": "46777"} for n in range(3)
    ]
    named = [
        {"estate": "chain-a", "site": each["site"], "name": "Chez-Marcel", "region": each["region"], "updated_ms": NOW}
        for each in places
    ]
    with database.begin() as connection:
        connection.execute(insert(terminals), places)
        connection.execute(insert(sites), named)
        upsert(connection, heartbeat, [{"name": "engines", "at_ms": NOW, "data": {}}])
    return database


def trouble(database: Database, scope: str, key: str, of: list[str], family: str = "reach", **more: Any) -> None:
    usual = {"estate": "chain-a", "severity": "major", "state": "open", "title": "Chez-Marcel: Mrs Wu called"}
    row = {
        "scope": scope,
        "scope_key": key,
        "family": family,
        "opened_ms": NOW - HOUR,
        "last_ms": NOW,
        "terminals_n": 7,
    }
    name = f"inc-{scope}-{key}-{len(of)}-{more.get('opened_ms', 0)}"
    with database.begin() as connection:
        connection.execute(insert(incidents).values({"id": name, **usual, **row, **more}))
        member = {"incident_id": name, "estate": "chain-a", "fault": "center/offline", "joined_ms": NOW}
        if of:
            connection.execute(insert(incident_members), [{**member, "terminal": each} for each in of])


def window(database: Database, scope: str, key: str, from_ms: int = NOW + HOUR, **more: Any) -> None:
    usual = {"kind": "maintenance", "estate": None, "by": "Mrs Wu", "reason": "boss is ill", "created_ms": NOW}
    row = {"id": f"{scope}{key}{from_ms}{more}", "scope": scope, "scope_key": key, "from_ms": from_ms}
    with database.begin() as connection:
        connection.execute(insert(suppressions).values({**usual, **row, "until_ms": from_ms + HOUR, **more}))


def found(database: Database, now_ms: int = NOW) -> tuple[str, tuple[Trouble, ...], tuple[Window, ...]]:
    with database.read() as connection:
        status = public(connection, now_ms)
    return status.word(), status.troubles, status.windows


EAST = [f"T-0{n}" for n in range(8)]
SMALL = [f"T-9{n}" for n in range(3)]


def test_a_disturbed_network_has_its_operator_and_its_regions(fleet: Database) -> None:
    assert found(fleet) == ("well", (), ())
    trouble(fleet, "operator", "46001", [*EAST, *SMALL])
    trouble(fleet, "operator", "46001", EAST, opened_ms=NOW)  # of another estate: the same to a stranger
    assert found(fleet) == ("disturbed", (Trouble("network", "46001", ("east",), NOW - HOUR),), ())


@pytest.mark.parametrize(
    ("scope", "key", "of", "family", "told"),
    [
        ("host", "pay.chain-a", EAST, "host", Trouble("host", "", ("east",), NOW - HOUR)),
        ("power", "cell-9", EAST, "power", Trouble("power", "", ("east",), NOW - HOUR)),
        ("release", "V-1.4", EAST, "same:printer/jam", Trouble("device", "", ("east",), NOW - HOUR)),
        ("estate", "chain-a", EAST, "reach", Trouble("network", "", ("east",), NOW - HOUR)),
        ("operator", "46777", [*EAST, *SMALL], "reach", Trouble("network", "", ("east",), NOW - HOUR)),
        ("operator", "46001", [*EAST[:2], *SMALL], "reach", Trouble("network", "46001", (), NOW - HOUR)),
        ("operator", "46001", EAST[: SITES - 1], "reach", None),
        ("site", "kiosk-1", EAST, "reach", None),
        ("terminal", "T-01", EAST, "reach", None),
    ],
)
def test_what_only_few_have_has_no_name(
    fleet: Database, scope: str, key: str, of: list[str], family: str, told: Trouble | None
) -> None:
    trouble(fleet, scope, key, of, family)
    assert found(fleet)[1] == (() if told is None else (told,))


def test_what_is_over_or_a_part_or_suppressed_is_not_told(fleet: Database) -> None:
    trouble(fleet, "operator", "46001", EAST, state="resolved")
    trouble(fleet, "cell", "cell-9", EAST, parent_id="inc-x")
    trouble(fleet, "host", "h", EAST, suppression_id="sup-x")
    assert found(fleet)[0] == "well"
    with fleet.begin() as connection:
        connection.execute(update(incident_members).values(left_ms=NOW))
    trouble(fleet, "power", "p", [])
    assert found(fleet)[0] == "well"


def test_an_operator_of_few_sites_has_no_name_and_one_of_many_has(fleet: Database) -> None:
    with fleet.begin() as connection:
        connection.execute(update(terminals).where(terminals.c.terminal.not_in(EAST)).values(operator="46002"))
    trouble(fleet, "operator", "46001", EAST)
    trouble(fleet, "operator", "46002", [f"T-0{n}" for n in range(8, 8 + SITES)])
    assert SHOWN_SITES <= 25
    assert [each.operator for each in found(fleet)[1]] == ["", "46002"]


def test_only_maintenance_of_all_is_announced(fleet: Database) -> None:
    window(fleet, "all", "")
    window(fleet, "operator", "46001", NOW + DAY)
    for scope, key in (("site", "kiosk-1"), ("estate", "chain-a"), ("operator", "46777"), ("cell", "cell-9")):
        window(fleet, scope, key)
    window(fleet, "all", "", estate="chain-a")
    window(fleet, "all", "", kind="silence")
    window(fleet, "all", "", NOW + 15 * DAY)
    window(fleet, "all", "", NOW - 2 * HOUR)
    told = (Window("", NOW + HOUR, NOW + 2 * HOUR), Window("46001", NOW + DAY, NOW + DAY + HOUR))
    assert found(fleet) == ("well", (), told)
    with fleet.begin() as connection:
        upsert(connection, heartbeat, [{"name": "engines", "at_ms": NOW + HOUR, "data": {}}])
    assert found(fleet, NOW + HOUR)[0] == "maintenance"


def test_silence_is_no_good_news_and_the_center_tells_of_itself(fleet: Database) -> None:
    assert found(fleet, NOW + 5 * 60_000)[0] == "unknown"
    trouble(fleet, "center", "lag:cursor", [], "", severity="major")
    assert found(fleet)[0] == "well"
    trouble(fleet, "center", "engine:cases", [], "", severity="critical")
    assert [each.kind for each in found(fleet)[1]] == ["support"]


@pytest.fixture
def at(fleet: Database) -> Iterator[Shop]:
    with shop(new_world(fleet), settings=Settings(status_page=True)) as running:
        yield running


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_the_page_gives_no_merchant_away(at: Shop, language: str) -> None:
    for scope, key, of in (
        ("operator", "46777", [*EAST, *SMALL]),
        ("host", "pay.chain-a", EAST),
        ("site", "kiosk-1", EAST),
    ):
        trouble(at.world.database, scope, key, of, "host" if scope == "host" else "reach")
    window(at.world.database, "all", "")
    window(at.world.database, "estate", "chain-a")
    answer = at.client.get("/status", headers={"accept-language": language})
    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers
    assert "<script" not in answer.text
    assert answer.headers["cache-control"] == "public, max-age=30"
    for name in ("disturbed", "trouble_network", "trouble_host", "window_all"):
        assert phrases("status")[name][language] in answer.text
    assert "east" in answer.text
    assert [secret for secret in SECRETS if secret in answer.text] == []
    words = re.sub(r"<[^>]+>", " ", re.sub(r"(?s)<(svg|time|head|header).*?</\1>", " ", answer.text))
    assert re.findall(r"\d+", re.sub(r"\d\d:\d\d", "", words)) == ["400", "820", "1234", "24"], (
        "numbers are of nobody but support's telephone"
    )


def test_it_is_off_unless_it_is_wanted(fleet: Database) -> None:
    with shop(new_world(fleet)) as running:
        assert running.client.get("/status").status_code == 404


def test_many_visitors_cost_nothing_and_none_asks_too_often(at: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(pages, "public", lambda *of: (asked.append(1), public(*of))[1])
    answers = [at.client.get("/status").status_code for _ in range(101)]
    assert (answers, len(asked)) == ([200] * 100 + [429], 1)
    trouble(at.world.database, "operator", "46001", EAST)
    at.world.now_ms += pages.KEPT_MS - 1
    assert "No disturbance" in at.client.get("/status").text
    at.world.now_ms += 1
    assert "is disturbed" in at.client.get("/status").text


def test_every_phrase_is_there_in_both_languages() -> None:
    for name, phrase in phrases("status").items():
        assert set(phrase) == set(LANGUAGES), name
