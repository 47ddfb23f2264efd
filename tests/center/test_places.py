"""Where terminals stand: what is imported, what their modems measure, and that no late batch moves one back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select

from center.access.scope import Scope
from center.db.engine import Database
from center.db.places import set_places, set_sites
from center.db.tables import terminals
from tests.center import said
from tests.center.test_ingest import NOW, Ingest

PLACE = ("site", "operator", "operator_basis", "cell", "cell_basis", "region")


@pytest.fixture
def ingest(database: Database) -> Iterator[Ingest]:
    ingest = Ingest(database)
    yield ingest
    ingest.writer.close()


def _modem(seq: int, *, at: int = 0, late: bool = False, boot: int = 1, **values: Any) -> tuple[str, bytes]:
    told = {f"modem.{name}": value for name, value in values.items()}
    return "telemetry", said.telemetry(seq, (0, {"modem.rsrp_dbm": -97}), (at, told), late=late, boot=boot)


def _site(**more: Any) -> dict[str, Any]:
    nothing = dict.fromkeys(("operator", "region", "power_district"))
    return {"estate": "e", "site": "s1", "language": "en", "timezone": "UTC", "updated_ms": NOW, **nothing, **more}


def test_a_terminal_that_nobody_imported_is_where_its_modem_says(ingest: Ingest) -> None:
    ingest(_modem(1, operator="46000", cell="0A1B2C3D"))
    assert ingest.one(*PLACE) == (None, "46000", "measured", "46000-0A1B2C3D", "measured", None)
    assert ingest.fed() == [("terminal", "place")]
    ingest(_modem(2, operator="46000", cell="0A1B2C3D"))
    assert ingest.fed() == [("terminal", "place")], "it stands where it stood"
    ingest(_modem(3, cell="0A1B2C3E"))
    assert ingest.one("operator", "cell") == ("46000", "46000-0A1B2C3E")
    assert len(ingest.fed()) == 2


def test_what_is_older_moves_nothing_whatever_comes_with_it(ingest: Ingest) -> None:
    ingest(_modem(5, operator="46000"))
    ingest(_modem(8, cell="B"))
    ingest(_modem(6, operator="46001", late=True), _modem(7, cell="A", late=True))
    assert ingest.one("operator", "cell") == ("46001", "46001-B"), "each has an order of its own"
    ingest(_modem(5, operator="46000", late=True))
    assert ingest.one("operator") == ("46001",)
    ingest(_modem(1, operator="46002", boot=2))
    ingest(_modem(99, operator="46000", late=True))
    assert ingest.one("operator") == ("46002",)
    ingest(_modem(4, operator="46003", boot=2), _modem(3, operator="46000", boot=2, late=True))
    assert ingest.one("operator") == ("46003",), "nor does it where both come at once"


def test_a_terminal_that_was_set_up_anew_is_believed_again(ingest: Ingest) -> None:
    ingest(("state", said.state(boot=9)), _modem(5, operator="46000", boot=9))
    ingest(("state", said.state(boot=1, at_ms=said.AT_MS + 60_000)))
    ingest(_modem(1, operator="46001", boot=1))
    assert ingest.one("operator") == ("46001",)


@pytest.mark.parametrize("value", [{"error": "masked"}, "", " ", None, 46000, "x" * 65, 'a"b', "a\nb"])
def test_what_names_no_operator_is_not_one(ingest: Ingest, value: Any) -> None:
    ingest(_modem(1, operator="46000"))
    ingest(_modem(2, operator=value))
    assert ingest.one("operator") == ("46000",), "an outage does not forget where it was"


def test_an_import_wins_and_when_it_says_no_more_the_measurement_is_back(ingest: Ingest) -> None:
    ingest(_modem(1, operator="46000", cell="A"))
    with ingest.database.begin() as connection:
        set_sites(connection, [_site(operator="site-op", region="north")], NOW)
        set_places(connection, [{"estate": "e", "terminal": "t", "site": "s1"}], NOW)
    assert ingest.one(*PLACE) == ("s1", "site-op", "imported", "46000-A", "measured", "north")
    with ingest.database.begin() as connection:
        place = {"estate": "e", "terminal": "t", "site": "s1", "operator": "own", "cell": "c1", "region": "south"}
        set_places(connection, [place], NOW)
    ingest(_modem(2, operator="46001", cell="B"))
    assert ingest.one(*PLACE) == ("s1", "own", "imported", "c1", "imported", "south")
    before = len(ingest.fed())
    with ingest.database.begin() as connection:
        set_sites(connection, [_site()], NOW)
    assert ingest.fed()[before:] == [("site", "s1")], "its own row says all that the site's row had said"
    with ingest.database.begin() as connection:
        set_places(connection, [{"estate": "e", "terminal": "t", "site": "s1"}], NOW)
    assert ingest.one(*PLACE) == ("s1", "46001", "measured", "46001-B", "measured", None)


def test_what_is_said_of_a_site_reaches_its_terminals_known_or_new(ingest: Ingest) -> None:
    with ingest.database.begin() as connection:
        set_sites(connection, [_site(operator="site-op", region="north", power_district="d1")], NOW)
        rows = [{"estate": "e", "terminal": name, "site": "s1"} for name in ("new", "t")]
        set_places(connection, rows, NOW)
    ingest(("state", said.state()))
    ingest(("state", said.state()), _modem(1, operator="46000"), base="pos/1/e/new")
    names = ("terminal", "operator", "operator_basis", "region", "power_district")
    assert ingest.rows(terminals, *names) == [
        ("new", "site-op", "imported", "north", "d1"),
        ("t", "site-op", "imported", "north", "d1"),
    ]
    before = len(ingest.fed())
    with ingest.database.begin() as connection:
        set_sites(connection, [_site(region="south")], NOW)
    assert ingest.rows(terminals, *names) == [
        ("new", "46000", "measured", "south", None),
        ("t", None, None, "south", None),
    ]
    assert sorted(ingest.fed()[before:]) == [("site", "s1"), ("terminal", "place"), ("terminal", "place")]


def test_no_terminal_moves_itself_into_the_scope_of_others(ingest: Ingest) -> None:
    with ingest.database.begin() as connection:
        set_sites(connection, [_site(region="north")], NOW)
    forged = {"modem.operator": "north", "modem.cell": "north", "modem.region": "north", "modem.site": "s1"}
    ingest(("telemetry", said.telemetry(1, (0, {**forged, "region": "north", "site": "s1"}))))
    assert ingest.one("site", "region") == (None, None)
    for scope in (Scope(regions=("north",)), Scope(sites=("s1",))):
        with ingest.database.read() as connection:
            assert connection.execute(select(terminals.c.terminal).where(scope.where(terminals))).all() == []
