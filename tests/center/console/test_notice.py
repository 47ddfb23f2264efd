"""The link in each site's copy of a message to many: its page, and that opening it is the receipt."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select, update

from center.access.scope import EVERYTHING
from center.db.engine import Database
from center.db.tables import broadcast_sites, broadcasts, changes, outbox
from center.domain import broadcast
from center.domain.broadcast_read import LINK_DAYS
from center.domain.cases_policy import Policy
from tests.center.actions import person
from tests.center.console.pages import Shop, new_world, shop
from tests.center.desk_world import DAY, ESTATE, START_MS

LEAD = person("ann", "lead")
POLICY = Policy(public_url="https://pos.example.org/", channel={"en": "Call 400-820-1234", "zh": "请拨打 400-820-1234"})
SAY = {"en": "The network <b>is</b> down.", "zh": "网络故障。"}


@pytest.fixture
def at(database: Database) -> Iterator[Shop]:
    world = new_world(database)
    world.site("s1", language="zh", timezone="Asia/Shanghai", contacts=[{"phone": "13800000000"}])
    world.site("s2", name="Other shop", contacts=[{"phone": "13800000001"}])
    world.site("s3", name="Mute")
    for number in (1, 2, 3):
        world.terminal(f"t{number}", site=f"s{number}")
    with shop(world, policy=POLICY) as running:
        yield running


def send(at: Shop, policy: Policy = POLICY) -> tuple[str, dict[str, str]]:
    """A message to all three; its id, and by site what is told."""
    database, page = at.world.database, policy.notice_page
    told = broadcast.of_audience(database, LEAD, {"estates": [ESTATE]}, SAY, START_MS, page)
    with database.begin() as connection:
        connection.execute(update(outbox).values(state="done"))
        posts = connection.execute(select(outbox.c.payload)).scalars().all()
    return told, {each["site"]: each["body"] for each in posts}


def states(at: Shop, told: str) -> dict[str, tuple[str, Any]]:
    with at.world.database.read() as connection:
        found = connection.execute(broadcast.sites_of(told, EVERYTHING)).mappings().all()
    return {each["site"]: (each["state"], each["read_ms"]) for each in found}


def path(body: str) -> str:
    found = re.search(r"https://pos.example.org(/n/[\w-]{22})$", body)
    assert found is not None, body
    return found[1]


def test_opening_a_link_is_the_receipt_of_that_site_alone(at: Shop) -> None:
    told, bodies = send(at)
    assert bodies["s1"].startswith("网络故障。\n")
    assert len({path(body) for body in bodies.values()}) == 2
    assert {site: state for site, (state, _) in states(at, told).items()}["s3"] == "unreachable"
    at.world.now_ms += 1000
    assert at.client.head(path(bodies["s1"])).status_code == 405
    assert states(at, told)["s1"][1] is None
    with at.world.database.read() as connection:
        before = len(connection.execute(select(changes.c.id).where(changes.c.kind == "broadcast")).all())
    for _ in range(2):
        answer = at.client.get(path(bodies["s1"]))
        assert answer.status_code == 200
        at.world.now_ms += 5000
    assert "网络故障。" in answer.text
    assert "set-cookie" not in answer.headers
    assert states(at, told)["s1"] == ("read", START_MS + 1000)
    assert states(at, told)["s2"][1] is None
    with at.world.database.read() as connection:
        seen = len(connection.execute(select(changes.c.id).where(changes.c.kind == "broadcast")).all())
    assert seen == before + 1, "the console hears of it, once"


def test_the_page_is_in_the_language_of_the_site_or_the_one_chosen_and_takes_no_markup(at: Shop) -> None:
    _, bodies = send(at)
    assert "The network &lt;b&gt;is&lt;/b&gt; down." in at.client.get(f"{path(bodies['s1'])}?lang=en").text
    page = at.client.get(path(bodies["s2"])).text
    assert "Other shop" in page
    assert 'href="tel:4008201234"' in page
    assert "s1" not in re.sub(r"<svg.*?</svg>", "", page).replace(path(bodies["s2"]), "")  # which may hold any letters
    with at.world.database.begin() as connection:
        connection.execute(update(broadcasts).values(cancelled_ms=START_MS))
    assert "this was called off" in at.client.get(path(bodies["s2"])).text


@pytest.mark.parametrize("token", ["x" * 22, "short", "a%00b" + "c" * 20, "é" * 22])
def test_what_is_no_link_or_too_old_is_none(at: Shop, token: str) -> None:
    _, bodies = send(at)
    assert at.client.get(f"/n/{token}").status_code == 404
    at.world.now_ms += LINK_DAYS * DAY + 1
    assert at.client.get(path(bodies["s2"])).status_code == 404


def test_without_a_public_address_there_is_no_link(at: Shop) -> None:
    told, bodies = send(at, Policy())
    assert bodies["s2"] == SAY["en"]
    with at.world.database.read() as connection:
        assert set(connection.execute(select(broadcast_sites.c.token)).scalars()) == {None}
    assert {state for state, _ in states(at, told).values()} == {"unreachable"}, "no channel tells contacts here"
