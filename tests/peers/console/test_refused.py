"""Who is turned away from each screen, and how: to the login, in one sentence, or as if it were not there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from agent import wire
from center.console import shell
from tests.center import said
from tests.mqtt.broker import Observer
from tests.peers.console import stage
from tests.peers.console.stage import Desk
from tests.peers.console.test_office import _somebody as somebody
from tests.wait import wait_until

pytestmark = pytest.mark.peers

EVIL = '"><script>window.evil=1</script><img src=x onerror="window.evil=1">'
FORBIDDEN = {"/broadcasts/new", "/campaigns/new", "/evidence", "/audit", "/admin", "/admin/accounts"}
"""Screens that somebody who may only look does not get."""
_SCREEN = re.compile(r'@screen\("([^"]+)"')


def screens() -> list[str]:
    """The address of every screen of the console, with its blanks."""
    found = (Path(str(path)) for path in files("center.console").iterdir() if path.name.endswith(".py"))
    return sorted({where for path in found for where in _SCREEN.findall(path.read_text("utf-8"))})


def path_of(where: str, **parts: Any) -> str:
    """A screen's address; a part that is not told is one that nothing has."""
    told = {"estate": "nowhere", "name": "nothing", "unit": "printer", "kind": "paper_out", "part": "accounts"} | parts
    return "/console" + where.format(**{name: quote(str(value), safe="") for name, value in told.items()})


def test_every_screen_is_known_to_this_test() -> None:
    assert len(screens()) >= len(shell.MENU)
    assert {where for _, where, _, _ in shell.MENU} <= {path_of(where) for where in screens()}


@pytest.mark.parametrize("where", screens())
def test_without_a_session_the_way_leads_over_the_login(desk: Desk, where: str) -> None:
    asked = path_of(where) + "?q=a%26b"
    with httpx.Client(base_url=desk.address) as nobody:
        answer = nobody.get(asked)
        assert (answer.status_code, answer.headers["location"]) == (303, f"/login?next={quote(asked, safe='')}")
        form = nobody.get(answer.headers["location"]).text
        assert f'name="next" value="{asked}"' in form.replace("&amp;", "&")


def test_a_session_that_ends_leads_to_the_login_and_back(desk: Desk) -> None:
    with somebody(desk, "leaver", "agent") as theirs:
        page, left_open = (desk.page(f"/console/{each}", cookies=theirs.cookies) for each in ("cases", "sites?q=a%26b"))
        account = next(each for each in desk.get("/accounts", limit=200)["items"] if each["name"] == "leaver")
        desk.post(f"/accounts/{account['id']}", {"disabled": True}, "PATCH")
        page.goto("/console/queue?severity=major")
        page.wait_for_url("**/login?next=%2Fconsole%2Fqueue%3Fseverity%3Dmajor")
        left_open.get_by_role("button", name="中文").click()
        left_open.wait_for_url("**/login?next=%2Fconsole%2Fsites%3Fq%3Da%2526b")


@pytest.fixture(scope="module")
def onlooker(shared_desk: Desk) -> Iterator[httpx.Cookies]:
    with somebody(shared_desk, "only-looks", "viewer") as theirs:
        yield theirs.cookies


@pytest.mark.parametrize("where", sorted(FORBIDDEN))
def test_who_may_not_see_a_screen_reads_one_plain_sentence(desk: Desk, onlooker: httpx.Cookies, where: str) -> None:
    page = desk.page("/console/", cookies=onlooker)
    page.goto(path_of(where))
    _refused(page, "This cannot be shown")


def test_what_a_viewer_may_see_is_all_the_rest(desk: Desk, onlooker: httpx.Cookies) -> None:
    page = desk.page("/console/", cookies=onlooker)
    for where in sorted({each for each in screens() if "{" not in each} - FORBIDDEN):
        page.goto(path_of(where))
        expect(page.locator(".content h1, .wall").first).to_be_visible()
        expect(page.get_by_role("alert")).to_have_count(0)


def test_what_is_elsewhere_is_as_if_it_were_not_there(desk: Desk) -> None:
    estate, terminal = desk.terminals[9]
    site = next(place.site for place in desk.fleet.places if place.terminal == terminal)
    desk.fault(terminal, "printer/cutter_error")
    incident = desk.incident(terminal, "printer/cutter_error")["id"]
    case = desk.post("/cases", {"estate": estate, "terminal": terminal, "fault": "printer/cutter_error"})
    try:
        with somebody(desk, "from-elsewhere", "lead", {"estates": ["elsewhere"]}) as theirs:
            page = desk.page("/console/", cookies=theirs.cookies)
            for there, not_there in (
                (f"terminal/{estate}/{terminal}", f"terminal/{estate}/no-such"),
                (f"site/{estate}/{site}", f"site/{estate}/no-such"),
                (f"incident/{incident}", "incident/inc-no-such"),
                (f"case/{case['id']}", "case/case-no-such"),
                (f"case/{case['number']}", "case/999999"),
            ):
                told = []
                for path in (there, not_there):
                    page.goto(f"/console/{path}")
                    _refused(page, "This is not there")
                    name = path.rpartition("/")[2]
                    told.append(page.locator(".content").inner_text().replace(name, "…"))
                assert told[0] == told[1]
    finally:
        desk.fault(terminal, "printer/cutter_error", "cleared")
        desk.post(f"/cases/{case['id']}/dismiss", {"outcome": "false_alarm", "reason": "a test"})


def _refused(page: Page, says: str) -> None:
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text(says)
    text = page.locator(".content").inner_text()
    assert not re.search(r"Traceback|Error\b|File \"|center[./]", text), text
    assert len(text.splitlines()) <= 8, text


# --- what a terminal says is text ---------------------------------------------------------------------------------------


def test_no_word_of_a_terminal_is_ever_code(browser: Browser, tmp_path: Path) -> None:
    with stage.desk(tmp_path, browser, 2) as desk:
        _speak(desk)
        incident = desk.incident("evil-1", "printer/cutter_error")
        case = desk.post("/cases", {"estate": "demo", "terminal": "evil-1", "fault": "printer/cutter_error"})
        desk.post(f"/cases/{case['id']}/note", {"text": EVIL})
        parts = {"estate": "demo"}
        named = {"/incident/{name}": incident["id"], "/case/{name}": case["id"], "/terminal/{estate}/{name}": "evil-1"}
        named |= {"/site/{estate}/{name}": "evil"}
        paths = [path_of(where, **parts, name=named.get(where, "nothing")) for where in screens()]
        prints = [f"/console/print/case/{case['number']}", "/console/print/terminal/demo/evil-1"]
        merchant = desk.get(f"/cases/{case['id']}/merchant-link")["link"]
        told = {path_of(where, **parts, name=name) for where, name in named.items()}
        page = desk.page("/console/")
        for path in (*paths, *prints, merchant):
            page.goto(path)
            page.wait_for_selector("h1, .wall, [role=alert]")
            if path in told | set(prints):
                expect(page.locator("body")).to_contain_text("onerror", use_inner_text=True)
            page.wait_for_timeout(150)  # for what comes behind the page
            assert page.evaluate("window.evil") is None, path
            assert page.evaluate("document.querySelectorAll('[onerror], img[src=\"x\"]').length") == 0, path
        desk.close_pages()


def _speak(desk: Desk) -> None:
    """A terminal whose every word is hostile, and its site."""
    at = wire.Topics("demo", "evil-1")
    now_ms = int(1000 * wire.epoch(desk.get("/terminals")["items"][0]["last_contact_at"]))
    head = said.header(now_ms)
    device = wire.DeviceEntry(
        name="printer",
        unit="printer",
        family=EVIL,
        manufacturer=EVIL,
        model=EVIL,
        serial=EVIL,
        firmware=EVIL,
        port=EVIL,
    )
    inventory = wire.InventoryMessage(
        **head, hash="e1", agent={"version": EVIL, EVIL: EVIL}, devices=(device,), metrics={}, commands=("check",)
    )
    body = said.body("printer/cutter_error", evidence={"raw": EVIL, EVIL: EVIL, "specific": EVIL})
    body |= {"first_at": head["at"], "last_at": head["at"], "device": EVIL, "advice": EVIL}
    fault = wire.FaultMessage(**head, **body)
    event = wire.EventMessage(**head, seq=1, late=False, event="boot", data={"reason": EVIL})
    swapped = wire.EventMessage(**head, seq=2, late=False, event="device.swapped", data={"device": EVIL, "now": EVIL})
    with Observer(desk.port) as line:
        line.publish(at.of("state"), said.state(at_ms=now_ms, reason=EVIL), retain=True)
        line.publish(at.of("inventory"), wire.encode(inventory), retain=True)
        line.publish(at.fault("printer/cutter_error"), wire.encode(fault), retain=True)
        for each in (event, swapped):
            line.publish(at.of("event"), wire.encode(each))
        wait_until(lambda: any(each["terminal"] == "evil-1" for each in desk.get("/terminals", limit=200)["items"]))
    desk.post("/sites/import", [{"estate": "demo", "site": "evil", "name": EVIL, "address": EVIL}])
    desk.post("/places/import", [{"estate": "demo", "terminal": "evil-1", "site": "evil"}])
