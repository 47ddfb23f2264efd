"""A center on loopback with cases to look at, and a browser that knows no scripts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from center.access import accounts
from center.access.limits import Rate
from center.api.app import create_app
from center.console.plain import add_pages
from center.domain.cases import NewCase
from center.domain.cases_policy import Policy, ServicePoint
from center.domain.merchant import MerchantDesk
from center.settings import Settings
from tests.center.asking import served
from tests.center.desk_world import AGENT, DAY, ESTATE, START_MS, World, act

PASSWORD = "correct horse battery"
POLICY = Policy(
    channel={"en": "Support 400-820-1234 (24 hours)", "zh": "客服热线 400-820-1234（24小时）"},
    service_points=(ServicePoint("Pudong service point", "east", "12 Century Avenue", "+86 21 5555 0100"),),
)


class Shop:
    """A center over a world; `client` follows no redirects and keeps cookies."""

    def __init__(self, world: World, client: httpx.Client, base: str) -> None:
        self.world = world
        self.client = client
        self.base = base

    def case(self, fault: str = "printer/paper_out", terminal: str = "t1", **more: Any) -> dict[str, Any]:
        """A case of a fault that is raised, and the terminal that has it."""
        self.world.terminal(terminal, **({"can_sell": "degraded"} | more))
        self.world.fault(fault, terminal=terminal)
        new = NewCase(estate=ESTATE, terminal=terminal, kind="fault", fault=fault)
        return dict(self.world.cases.open(act(), new)[0])

    def closed(self, terminal: str = "t1") -> dict[str, Any]:
        """A case whose merchant said that it works."""
        case = self.case(terminal=terminal)
        self.world.cases.repaired(AGENT, case["id"], "refilled")
        self.world.fault("printer/paper_out", "cleared", terminal=terminal)
        self.world.run()
        self.world.later(DAY)
        desk = MerchantDesk(self.world.database, self.world.policy, lambda: self.world.now_ms)
        desk.answer(case["merchant_token"], works=True)
        return self.world.case(id=case["id"])

    def account(self, name: str = "ann", **more: Any) -> str:
        with self.world.database.begin() as connection:
            return accounts.create(connection, name, ["agent"], START_MS, password=PASSWORD, **more)

    def log_in(self, name: str = "ann", password: str = PASSWORD, onward: str = "", lang: str = "en") -> httpx.Response:
        """By the form, as a browser does."""
        form = self.client.get("/login", params={"lang": lang, **({"next": onward} if onward else {})})
        told = hidden(form.text) | {"name": name, "password": password}
        return self.client.post(f"/login?lang={lang}", data=told)


def hidden(page: str) -> dict[str, str]:
    """The hidden fields of the first form of a page."""
    form = re.search(r"<form.*?</form>", page, re.DOTALL)
    assert form is not None, page
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', form.group()))


@contextmanager
def shop(world: World, **more: Any) -> Iterator[Shop]:
    settings = more.pop("settings", Settings())
    clock = {"now_ms": lambda: world.now_ms, "policy": world.policy, "rate": Rate(1e6, 1e6)}
    app = create_app(settings, world.database, **(clock | more))
    if not any(getattr(route, "path", "") == "/login" for route in app.routes):
        add_pages(app)
    with served(app) as (client, port):
        yield Shop(world, client, f"http://127.0.0.1:{port}")


def new_world(database: Any) -> World:
    """A shop in Shanghai and its people."""
    world = World(database, POLICY)
    world.site("s1", timezone="Asia/Shanghai", address="1 Nanjing Road", contacts=[{"name": "Li", "phone": "+86138"}])
    return world
