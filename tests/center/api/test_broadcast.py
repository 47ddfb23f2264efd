"""Messages to many merchants: each is told in the language of the site, and of nobody else; who was not is listed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import delete, select, update

from center.access import audit
from center.access.scope import Scope
from center.db import tables
from center.domain import broadcast
from center.notify.delivery import Delivery
from tests.center.asking import Api
from tests.center.fleet_rows import NOW, member, put
from tests.center.test_notify import Mailbox, serving

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # Apprise imports it

SAY = {"en": "The network is down. Card 4111 1111 1111 1111.", "zh": "网络故障。"}
HOUR = 3_600_000


@pytest.fixture
def box(api: Api) -> Iterator[Mailbox]:
    """A mail server, and two sites: one in zh with a contact, one without."""
    zhang = [{"name": "Zhang", "mail": "zhang@example.org"}]
    zh = {"language": "zh", "timezone": "Asia/Shanghai"}
    put(api.database, tables.sites, estate="e", site="s000000", name="小店", contacts=zhang, **zh, updated_ms=NOW)
    bob = [{"name": "Bob", "mail": "bob@example.org"}]
    put(api.database, tables.sites, estate="e", site="s000001", name="Shop", contacts=bob, updated_ms=NOW)
    put(api.database, tables.sites, estate="e", site="s000002", name="Mute", contacts=[{"name": "Eve"}], updated_ms=NOW)
    with serving(Mailbox()) as mailbox:
        url = f"mailto://127.0.0.1:{mailbox.server_address[1]}?from=a@example.org&to={{to}}"
        put(
            api.database,
            tables.channels,
            id="chan-1",
            name="merchants",
            url=url,
            events=["*"],
            filter={},
            created_ms=NOW,
        )
        yield mailbox


def _begin(api: Api, **body: Any) -> dict[str, Any]:
    answer = api.asks("lead")("POST", "broadcasts", json=body)
    assert answer.status_code == 201, answer.text
    told: dict[str, Any] = answer.json()
    return told


def _mails(box: Mailbox) -> dict[str, str]:
    return {to[0]: mail.get_body(("plain", "html")).get_content() for to, mail in box.mails}


def test_the_merchants_of_an_incident_are_told_each_in_their_language(api: Api, box: Mailbox) -> None:
    for number in (1, 3, 4, 6):
        put(api.database, tables.incident_members, **(member(number) | {"incident_id": "inc-00000005"}))
    told = _begin(api, incident="inc-00000005", texts=SAY)
    assert (told["terminals_n"], told["incident"]) == (5, "inc-00000005")
    assert told["sites"] == {"waiting": 2, "sent": 0, "read": 0, "failed": 0, "unreachable": 1, "cancelled": 0}
    Delivery(api.database).step(NOW)
    mails = _mails(box)
    assert set(mails) == {"zhang@example.org", "bob@example.org"}
    assert "网络故障" in mails["zhang@example.org"]
    assert "network is down" in mails["bob@example.org"]
    assert "4111" not in mails["bob@example.org"]
    assert "网络故障" not in mails["bob@example.org"]
    path = f"broadcasts/{told['id']}"
    assert api.asks("viewer").get(path)["sites"] == {
        "waiting": 0,
        "sent": 2,
        "read": 0,
        "failed": 0,
        "unreachable": 1,
        "cancelled": 0,
    }
    (mute,) = api.asks("viewer").get(f"{path}/sites", state="unreachable")["items"]
    assert (mute["name"], mute["why"]) == ("Mute", "no contact with a telephone number or a mail address")
    there = api.asks("viewer", Scope(sites=("s000001",)))
    assert [each["site"] for each in there.get(f"{path}/sites")["items"]] == ["s000001"]
    assert there.ids("broadcasts") == [told["id"]]
    foreign = api.asks("viewer", Scope(estates=("f",)))
    assert (foreign.ids("broadcasts"), foreign("GET", path).status_code) == ([], 404)
    with api.database.read() as connection:
        assert [row.target for row in audit.every(connection) if row.what == "broadcast"] == [told["id"]]


def test_a_maintenance_is_announced_by_the_clock_of_each_site(api: Api, box: Mailbox) -> None:
    window = {"kind": "maintenance", "estate": "e", "scope": "operator", "scope_key": "46000"}
    window |= {
        "reason": "new host",
        "from": "2026-09-21T18:00:00Z",
        "until": "2026-09-21T20:00:00Z",
    }
    made = api.asks("lead")("POST", "suppressions", json=window)
    assert made.status_code == 201, made.text
    told = _begin(api, suppression=made.json()["id"])
    assert (told["kind"], told["terminals_n"]) == ("maintenance", 3)  # terminals 0, 3 and 6
    Delivery(api.database).step(NOW)
    mails = _mails(box)
    assert "2026-09-22 02:00 至 2026-09-22 04:00" in mails["zhang@example.org"]
    assert "from 2026-09-21 18:00 to 2026-09-21 20:00" in mails["bob@example.org"]
    assert "new host" in mails["bob@example.org"]


def test_what_was_not_sent_is_cancelled_and_what_was_is_not(api: Api, box: Mailbox) -> None:
    told = _begin(api, audience={"sites": ["s000000", "s000001", "s000002"]}, texts=SAY)
    path, delivery = f"broadcasts/{told['id']}", Delivery(api.database)
    with api.database.begin() as connection:  # one of the two comes later
        later = tables.outbox.c.key == f"{told['id']}:e/s000001"
        connection.execute(update(tables.outbox).where(later).values(not_before_ms=NOW + HOUR))
    delivery.step(NOW)
    assert set(_mails(box)) == {"zhang@example.org"}
    assert api.asks("agent")("POST", f"{path}/cancel", json={"reason": "no"}).status_code == 403
    assert api.asks("lead", Scope(estates=("f",)))("POST", f"{path}/cancel", json={"reason": "no"}).status_code == 404
    one_site = api.asks("lead", Scope(sites=("s000001",)))
    assert one_site("POST", f"{path}/cancel", json={"reason": "no"}).status_code == 403
    assert api.asks("lead")("POST", f"{path}/cancel", json={"reason": " "}).status_code == 422
    answer = api.asks("lead")("POST", f"{path}/cancel", json={"reason": "it works again, 4111 1111 1111 1111"})
    assert answer.status_code == 200, answer.text
    ended = answer.json()
    assert ended["sites"] == {"waiting": 0, "sent": 1, "read": 0, "failed": 0, "unreachable": 1, "cancelled": 1}
    assert (ended["cancelled_by"], ended["cancelled_at"]) == ("token lead", "2026-09-21T14:13:20.000Z")
    assert "4111" not in ended["cancel_reason"]
    for turn in range(3):
        delivery.step(NOW + (turn + 1) * HOUR)
    assert set(_mails(box)) == {"zhang@example.org"}
    assert api.asks("viewer").get(path)["sites"] == ended["sites"]
    assert api.asks("lead")("POST", f"{path}/cancel", json={"reason": "again"}).status_code == 409
    with api.database.read() as connection:
        assert [row.target for row in audit.every(connection) if row.what == "broadcast.cancel"] == [told["id"]]


def test_what_failed_once_is_not_tried_again_when_cancelled(api: Api, box: Mailbox) -> None:
    told = _begin(api, audience={"sites": ["s000001"]}, texts=SAY)
    box.shutdown()
    box.server_close()
    delivery = Delivery(api.database)
    delivery.step(NOW)
    assert api.asks("lead")("POST", f"broadcasts/{told['id']}/cancel", json={"reason": "no"}).status_code == 200
    for turn in range(12):
        delivery.step(NOW + (turn + 1) * HOUR)
    with api.database.read() as connection:
        posts = connection.execute(select(tables.outbox.c.state, tables.outbox.c.attempts)).all()
    assert sorted(map(tuple, posts)) == [("done", 0), ("moot", 1)]


def test_what_could_not_be_sent_is_said(api: Api, box: Mailbox) -> None:
    told = _begin(api, audience={"sites": ["s000001"]}, texts=SAY)
    box.shutdown()
    box.server_close()
    delivery = Delivery(api.database)
    for turn in range(12):
        delivery.step(NOW + turn * 2 * HOUR)
    (shop,) = api.asks("viewer").get(f"broadcasts/{told['id']}/sites")["items"]
    assert shop["state"] == "failed"
    assert shop["why"]


def test_without_a_channel_nobody_is_reached(api: Api) -> None:
    bob = [{"name": "Bob", "phone": "13800000000"}]
    put(api.database, tables.sites, estate="e", site="s000001", name="Shop", contacts=bob, updated_ms=NOW)
    told = _begin(api, audience={"sites": ["s000001"]}, texts=SAY)
    Delivery(api.database).step(NOW)
    (shop,) = api.asks("viewer").get(f"broadcasts/{told['id']}/sites")["items"]
    assert (shop["state"], shop["why"]) == ("unreachable", "no channel tells contacts of merchant.notice")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"texts": SAY}, 422),
        ({"incident": "inc-00000005"}, 422),
        ({"incident": "none", "texts": SAY}, 404),
        ({"incident": "inc-00000005", "audience": {"sites": ["x"]}, "texts": SAY}, 422),
        ({"audience": {"colours": ["x"]}, "texts": SAY}, 422),
        ({"audience": {"sites": ["x"]}, "texts": SAY}, 422),
        ({"audience": {"sites": ["s000001"]}, "texts": {"en": "only"}}, 422),
        ({"suppression": "none"}, 404),
    ],
)
def test_what_makes_no_sense_is_refused(api: Api, body: dict[str, Any], status: int) -> None:
    assert api.asks("lead")("POST", "broadcasts", json=body).status_code == status


@pytest.mark.usefixtures("box")
def test_whom_it_would_reach_is_counted_and_nobody_is_told(api: Api) -> None:
    named = ["s000000", "s000001", "s000002"]
    everybody = {"audience": {"sites": named}}
    told = api.asks("lead")("POST", "broadcasts/reach", json=everybody).json()
    assert told == {"terminals": 8, "sites": 3, "without_contact": 1}
    one_site = api.asks("lead", Scope(sites=("s000001",)))("POST", "broadcasts/reach", json=everybody).json()
    assert (one_site["sites"], one_site["without_contact"]) == (1, 0)
    nobody = api.asks("lead")("POST", "broadcasts/reach", json={"audience": {"tags": ["none"]}}).json()
    assert nobody == {"terminals": 0, "sites": 0, "without_contact": 0}
    of_one = api.asks("lead")("POST", "broadcasts/reach", json={"incident": "inc-00000000"}).json()
    assert of_one == {"terminals": 1, "sites": 1, "without_contact": 0}
    foreign = api.asks("lead", Scope(sites=("s000001",)))("POST", "broadcasts/reach", json={"incident": "inc-00000000"})
    assert foreign.status_code == 404
    for neither_nor in ({}, {"audience": {}}, everybody | {"incident": "inc-00000000"}):
        assert api.asks("lead")("POST", "broadcasts/reach", json=neither_nor).status_code == 422
    assert api.asks("agent")("POST", "broadcasts/reach", json=everybody).status_code == 403
    assert api.asks("viewer").ids("broadcasts") == []


def test_only_leads_tell_many(api: Api) -> None:
    body = {"incident": "inc-00000005", "texts": SAY}
    assert api.asks("agent")("POST", "broadcasts", json=body).status_code == 403
    assert api.asks("lead", Scope(estates=("f",)))("POST", "broadcasts", json=body).status_code == 404


@pytest.mark.usefixtures("box")
def test_the_list_goes_on_where_a_page_ends_and_holds_what_is_the_callers(api: Api) -> None:
    made = []
    for number in (0, 1, 1, 0, 1):
        api.clock_ms += 1000
        made.append(_begin(api, audience={"sites": [f"s00000{number}"]}, texts=SAY)["id"])

    def listed(**scope: Any) -> list[str]:
        asks, found, cursor = api.asks("viewer", Scope(**scope)), [], ""
        while cursor is not None:
            page = asks.get("broadcasts", limit=2, **({"cursor": cursor} if cursor else {}))
            found += [each["id"] for each in page["items"]]
            cursor = page["next"]
        return found

    assert listed() == made[::-1]
    assert listed(sites=("s000000",)) == [made[3], made[0]], "others do not take its places on a page"
    assert listed(estates=("f",)) == []
    assert api.asks("viewer")("GET", "broadcasts", params={"cursor": "x"}).status_code == 422
    with api.database.begin() as connection:
        connection.execute(delete(tables.terminals).where(tables.terminals.c.site == "s000000"))
    assert listed() == made[::-1], "whoever sees everything also sees what was told where nothing stands any more"
    assert [each["sites"]["waiting"] for each in api.asks("viewer").get("broadcasts")["items"]] == [1] * 5
    assert listed(sites=("s000000",)) == []
    with api.database.begin() as connection:
        connection.execute(delete(tables.broadcast_sites).where(tables.broadcast_sites.c.site == "s000000"))
    assert listed() == made[::-1], "while old sites are being deleted"


@pytest.mark.usefixtures("box")
def test_the_sites_of_one_come_by_pages_each_with_what_became_of_its_posts(api: Api) -> None:
    told = _begin(api, audience={"sites": ["s000000", "s000001", "s000002"]}, texts=SAY)
    path, asks = f"broadcasts/{told['id']}", api.asks("viewer")

    def read(**more: Any) -> list[tuple[str, str, str]]:
        found, cursor = [], ""
        while cursor is not None:
            page = asks.get(f"{path}/sites", limit=1, **({"cursor": cursor} if cursor else {}), **more)
            assert len(page["items"]) <= 1
            found += [(each["site"], each["state"], each["why"]) for each in page["items"]]
            cursor = page["next"]
        return found

    mute = ("s000002", "unreachable", broadcast.NO_ADDRESS)
    assert read() == [("s000000", "waiting", ""), ("s000001", "waiting", ""), mute]
    assert [each[0] for each in read(state="waiting")] == ["s000000", "s000001"]
    assert read(state="failed") == []
    put(api.database, tables.channels, id="chan-2", name="more", url="x://", events=[], filter={}, created_ms=NOW)
    posts = {f"s00000{number}": f"{told['id']}:e/s00000{number}" for number in (0, 1)}
    with api.database.begin() as connection:
        connection.execute(update(tables.outbox).values(state="done"))
    assert read() == [(site, "unreachable", broadcast.NO_CHANNEL) for site in posts] + [mute]
    share = {"kind": "notify", "payload": {}, "not_before_ms": NOW, "created_ms": NOW}
    for channel, site, state, error in (
        ("chan-1", "s000000", "failed", "no such number"),
        ("chan-2", "s000000", "waiting", "later"),
        ("chan-1", "s000001", "waiting", "busy"),
        ("chan-0", "s000001", "done", "of a channel that is no more"),
    ):
        put(api.database, tables.outbox, key=f"{posts[site]}>{channel}", state=state, error=error, **share)
    assert read()[:2] == [("s000000", "failed", "no such number"), ("s000001", "waiting", "busy")]
    with api.database.begin() as connection:
        second = tables.outbox.c.key == f"{posts['s000000']}>chan-2"
        connection.execute(update(tables.outbox).where(second).values(state="done"))
    assert read(state="sent") == [("s000000", "sent", "")]
    assert asks.get(path)["sites"] == asks.get("broadcasts")["items"][0]["sites"]
    assert {state: n for state, n in asks.get(path)["sites"].items() if n} == {
        "sent": 1,
        "waiting": 1,
        "unreachable": 1,
    }
    assert api.asks("viewer", Scope(estates=("f",)))("GET", f"{path}/sites").status_code == 404
    assert asks("GET", f"{path}/sites", params={"cursor": "x"}).status_code == 422
