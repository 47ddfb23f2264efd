"""How good the contacts of sites are: what imports, messages, calls and answers say of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select

from center.access.limits import Rate
from center.access.scope import Scope
from center.db import feed, tables
from center.db.engine import Database, insert_ignore
from center.domain import posts
from center.domain.cases_opening import NewCase
from center.domain.contacts import TROUBLES, trouble
from center.domain.merchant import MerchantDesk
from center.notify.delivery import MOST_ATTEMPTS, Delivery
from tests.center.asking import Api, asking
from tests.center.desk_world import AGENT, ESTATE, HOUR, World, act
from tests.center.fleet_rows import NOW, put
from tests.center.test_notify import Mailbox, serving

DAY = 86_400_000
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # Apprise imports it
LI = {"name": "Li", "phone": "+86 138 0000 0000", "mail": "li@example.org"}
WU = {"name": "Wu", "phone": "13900000000", "mail": "wu@example.org"}


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


@pytest.fixture
def api(database: Database) -> Iterator[Api]:
    with asking(database, rate=Rate(1e6, 1e6)) as running:
        yield running


def _stored(database: Database, site: str = "s1") -> list[dict[str, Any]]:
    with database.read() as connection:
        found = connection.execute(select(tables.sites.c.contacts).where(tables.sites.c.site == site)).scalar()
    return list(found or ())


def _learnt(database: Database) -> dict[str, tuple[Any, Any]]:
    return {each["name"]: (each.get("verified_ms"), each.get("bounced_ms")) for each in _stored(database)}


def _fed(database: Database) -> list[tuple[str, str]]:
    with database.read() as connection:
        return [(change.kind, change.key) for change in feed.after(connection, 0)]


@pytest.mark.parametrize(
    ("contact", "why"),
    [
        ({"phone": "+86 138 0000 0000", "verified_ms": 10 * DAY}, None),
        ({}, "no_number"),
        ({"phone": "call me"}, "no_number"),
        ({"phone": "12345"}, "not_a_number"),
        ({"phone": "+8613800000000"}, "unverified"),
        ({"phone": "+8613800000000", "verified_ms": 1, "bounced_ms": 2}, "bounced"),
        ({"phone": "+8613800000000", "verified_ms": 2, "bounced_ms": 1}, "stale"),
    ],
)
def test_contacts_that_may_not_be_reached(contact: dict[str, Any], why: str | None) -> None:
    assert trouble(contact, 370 * DAY) == why
    assert why is None or why in TROUBLES


def test_the_list_of_them_is_by_site_and_scope(api: Api) -> None:
    rows = [{"estate": "e", "site": "s1", "region": "north", "contacts": [LI, WU | {"verified_ms": NOW}]}]
    rows += [{"estate": "e", "site": "s2", "region": "south"}]
    assert api.asks("lead")("POST", "sites/import", json=rows).status_code == 200
    asks = api.asks("viewer")
    assert asks.get("contacts/doubtful")["items"] == [
        {"estate": "e", "site": "s1", "name": "Li", "why": "unverified"},
        {"estate": "e", "site": "s2", "name": "", "why": "none"},
    ]
    assert [each["site"] for each in asks.get("contacts/doubtful", site="s2")["items"]] == ["s2"]
    mine = api.asks("viewer", Scope(regions=("north",)))
    assert [each["site"] for each in mine.get("contacts/doubtful")["items"]] == ["s1"]


def test_an_import_keeps_what_was_learnt_of_a_contact_that_is_there_still(api: Api) -> None:
    asks = api.asks("lead")
    site = {
        "estate": "e",
        "site": "s1",
        "contacts": [LI | {"verified_ms": 5}, WU | {"verified_ms": 6, "bounced_ms": 7}],
    }
    assert asks("POST", "sites/import", json=[site]).status_code == 200
    moved = {**WU, "phone": "13911111111"}
    again = {"estate": "e", "site": "s1", "contacts": [LI | {"name": "Li Wei"}, moved]}
    assert asks("POST", "sites/import", json=[again]).status_code == 200
    assert _learnt(api.database) == {"Li Wei": (5, None), "Wu": (None, None)}, "another number is not known to be good"
    shown = asks.get("sites/e/s1")
    plain = {name: shown[name] for name in ("estate", "site", "contacts")}
    assert asks("POST", "sites/import", json=[plain]).status_code == 200, "what is shown can be taken in again"
    assert _learnt(api.database)["Li Wei"] == (5, None)


def _case(world: World, *some: dict[str, Any]) -> str:
    world.site("s1", contacts=list(some))
    world.terminal()
    new = NewCase(estate=ESTATE, terminal="t1", kind="question", title="How?")
    return str(world.cases.open(act(), new)[0]["id"])


def test_a_call_says_that_its_number_is_good(world: World) -> None:
    name = _case(world, LI, WU)

    def call(with_whom: str, *, incoming: bool = True) -> None:
        world.cases.call(AGENT, name, "they will look", with_whom=with_whom, incoming=incoming)

    call("nobody that we know")
    assert _learnt(world.database) == {"Li": (None, None), "Wu": (None, None)}
    call("Mr Li, 13800000000")
    call(" wu ", incoming=False)
    assert _learnt(world.database) == {"Li": (world.now_ms, None), "Wu": (world.now_ms, None)}
    assert ("site", "s1") in _fed(world.database), "whoever looks at the site sees it"


@pytest.mark.parametrize(("some", "verified"), [([LI], {"Li": True}), ([LI, WU], {"Li": False, "Wu": False})])
def test_an_answer_says_that_the_question_arrived_where_only_one_was_asked(
    world: World, some: list[dict[str, Any]], verified: dict[str, bool]
) -> None:
    name = _case(world, *some)
    world.cases.answer(AGENT, name, "like this")
    (token,) = [row["merchant_token"] for row in world.rows(tables.cases)]
    MerchantDesk(world.database, world.policy, lambda: world.now_ms).answer(token, works=True)
    assert {who: moments[0] is not None for who, moments in _learnt(world.database).items()} == verified


def _message(database: Database, key: str, *to: dict[str, Any]) -> None:
    facts = {"estate": ESTATE, "site": "s1", "to": list(to)}
    with database.begin() as connection:
        row = posts.notify(key, "case.message", NOW, subject=key, body=key, facts=facts)
        insert_ignore(connection, tables.outbox, [row])


def test_who_a_message_never_reaches_has_bounced_until_one_does(world: World) -> None:
    world.site("s1", contacts=[LI, WU])
    with serving(Mailbox()) as box:
        url = f"mailto://127.0.0.1:{box.server_address[1]}?from=a@example.org&to={{to}}"
        put(world.database, tables.channels, id="mail", name="mail", url=url, events=["*"], filter={}, created_ms=NOW)
        delivery, at_ms = Delivery(world.database), NOW
        box.refuses = LI["mail"]
        _message(world.database, "lost", LI)
        for _ in range(MOST_ATTEMPTS):
            assert _learnt(world.database)["Li"] == (None, None)
            delivery.step(at_ms)
            at_ms += HOUR
        assert _learnt(world.database) == {"Li": (None, None), "Wu": (None, None)}, "the channel reached nobody else"

        _message(world.database, "lost too", LI)
        _message(world.database, "fine", WU)
        for _ in range(MOST_ATTEMPTS):
            delivery.step(at_ms)
            at_ms += HOUR
        assert _learnt(world.database) == {"Li": (None, at_ms - HOUR), "Wu": (None, None)}

        box.refuses = ""
        (li, _wu) = _stored(world.database)
        _message(world.database, "found", li)
        delivery.step(at_ms)
    assert _learnt(world.database) == {"Li": (None, None), "Wu": (None, None)}
