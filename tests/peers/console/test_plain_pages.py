"""The pages that work without JavaScript, in a real Chromium: seen, used by hand and keyboard, and read out."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import zxingcpp
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from center.access import accounts
from center.db.engine import Database
from center.db.migrate import migrate
from center.db.tables import surveys
from center.domain import broadcast
from center.domain.dispatch import Dispatch
from center.settings import Settings
from tests.center.actions import person
from tests.center.console.pages import PASSWORD, Shop, new_world, shop
from tests.center.desk_world import AGENT, ESTATE, HOUR, START_MS, act

pytestmark = pytest.mark.peers

LOOKS = [("en", "light", 360), ("zh", "dark", 768)]


@pytest.fixture
def at(tmp_path: Any) -> Iterator[Shop]:
    database = Database(f"sqlite:///{tmp_path / 'center.db'}")
    migrate(database)
    with shop(new_world(database), settings=Settings(status_page=True)) as running:
        yield running
    database.close()


@contextmanager
def opened(browser: Browser, **more: Any) -> Iterator[Page]:
    """A page whose browser complains of nothing."""
    told = {"java_script_enabled": False, "viewport": {"width": 360, "height": 740}} | more
    context = browser.new_context(**told)
    try:
        page = context.new_page()
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        yield page
        assert [text for text in said if "status of 4" not in text] == []
    finally:
        context.close()


def _log_in(page: Page, at: Shop, path: str, name: str = "ann", password: str = PASSWORD) -> None:
    page.goto(f"{at.base}{path}")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.keyboard.press("Enter")


def test_a_merchant_goes_the_whole_way_on_a_phone_without_scripts(browser: Browser, at: Shop) -> None:
    case = at.case()
    token = case["merchant_token"]
    with opened(browser) as page:
        page.goto(f"{at.base}/m/{token}")
        page.get_by_role("link", name="English").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("The paper roll is empty")
        pictures = page.locator(".steps li svg")
        assert pictures.count() == page.locator(".steps li").count() > 2
        box = pictures.first.bounding_box()
        assert box is not None
        assert box["width"] >= 48
        page.get_by_label("Write to support").fill("Where do I get paper?")
        page.get_by_role("button", name="Send").click()
        expect(page.get_by_role("status")).to_have_text("Your message is with support.")
        expect(page.get_by_text("Where do I get paper?")).to_be_visible()
        at.world.fault("printer/paper_out", "cleared")
        at.world.run()
        at.world.later(HOUR)
        page.reload()
        page.get_by_role("button", name="It works again").click()
        expect(page.get_by_role("status")).to_have_text("Thank you. The case is closed.")
        page.get_by_label("Yes").check()
        page.get_by_label("5, very well").check()
        page.get_by_role("button", name="Send").first.click()
        expect(page.get_by_role("status")).to_have_text("Thank you for your answers.")
        assert page.context.cookies() == []
    assert [row["score"] for row in at.world.rows(surveys)] == [5]


def test_the_code_on_a_large_screen_leads_a_phone_to_the_page(browser: Browser, at: Shop) -> None:
    token = at.case()["merchant_token"]
    for scheme in ("light", "dark"):
        with opened(browser, viewport={"width": 1200, "height": 900}, color_scheme=scheme) as page:
            page.goto(f"{at.base}/m/{token}")
            seen = Image.open(io.BytesIO(page.locator(".code").screenshot()))
            (code,) = zxingcpp.read_barcodes(seen)
            assert code.text == f"{at.base}/m/{token}"


def test_printed_it_keeps_what_to_do_and_whom_to_call_and_drops_forms(browser: Browser, at: Shop) -> None:
    token = at.case()["merchant_token"]
    with opened(browser) as page:
        page.goto(f"{at.base}/m/{token}?lang=en")
        page.emulate_media(media="print")
        assert page.get_by_text("Open the paper cover.", exact=True).is_visible()
        assert page.get_by_text("400-820-1234").is_visible()
        assert page.locator(".code img").is_visible()
        assert not page.get_by_role("button").first.is_visible()
        assert not page.get_by_text("Does it work again?").is_visible()


def test_logging_in_and_choosing_a_password_by_keyboard_alone(browser: Browser, at: Shop) -> None:
    password = accounts.first_administrator(at.world.database, START_MS)
    assert password is not None
    at.world.terminal()
    with opened(browser, locale="en-GB") as page:
        page.goto(f"{at.base}/console/print/terminal/{ESTATE}/t1")
        _type(page, "name", "admin")
        page.keyboard.press("Tab")
        _type(page, "password", "not it")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_have_text("The name or the password is wrong.")
        _type(page, "password", password)
        page.keyboard.press("Enter")
        page.wait_for_url("**/login/password*")
        _type(page, "new", "a long new password")
        page.keyboard.press("Tab")
        _type(page, "again", "a long new password")
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/console/print/terminal/{ESTATE}/t1")
        expect(page.locator(".printed")).to_contain_text("by admin")


def _type(page: Page, field: str, text: str) -> None:
    """Into the field that has the focus, which must be this one."""
    page.locator(f"[name={field}]:focus").wait_for()
    page.keyboard.type(text)


@pytest.mark.parametrize(("language", "scheme", "width"), LOOKS)
def test_every_page_fits_and_can_be_read_by_everybody(
    browser: Browser, at: Shop, language: str, scheme: Any, width: int
) -> None:
    paper = at.case()
    at.world.cases.set_eta(AGENT, paper["id"], START_MS + HOUR)
    at.world.cases.message(AGENT, paper["id"], "https://example.org/" + "a-very-long-word" * 10)
    tamper = at.case("keypad/tamper", "t2", can_sell="no")
    dark = at.case("power/mains_lost", "t3", status="offline")
    visit = at.case("printer/mechanical_error", "t4", can_sell="yes")
    desk = Dispatch(at.world.database, at.world.policy, lambda: at.world.now_ms)
    desk.send(act(), visit["id"], "Zhang San", START_MS + HOUR, START_MS + 2 * HOUR)
    at.world.event("device.swapped", {"device": "printer", "changed": {"serial": {"was": "0", "is": "1"}}})
    at.account(language=language)
    closed = at.closed("t5")
    merchants = [f"/m/{case['merchant_token']}" for case in (paper, tamper, dark, visit, closed)]
    records = [f"/console/print/case/C-{paper['number']}", f"/console/print/terminal/{ESTATE}/t1", "/login/password"]
    records.append("/console/print/month/2026-09")
    notice = _notice(at)
    locale = {"en": "en-GB", "zh": "zh-CN"}[language]
    look = {"color_scheme": scheme, "viewport": {"width": width, "height": 800}, "locale": locale}
    with opened(browser, java_script_enabled=True, **look) as page:
        for path in (*merchants, "/m/none", notice, "/status", "/login"):
            _judge(page, f"{at.base}{path}?lang={language}")
        _log_in(page, at, "/login?lang=en")
        page.wait_for_url("**/console/")
        for path in records:
            _judge(page, f"{at.base}{path}?lang={language}")


def _notice(at: Shop) -> str:
    """The path of the page of a message to many."""
    at.world.site("s1", contacts=[{"phone": "13800000000"}])
    paths: list[str] = []

    def page_of(token: str) -> str:
        paths.append(f"/n/{token}")
        return paths[-1]

    said = {"en": "The network is down: " + "a-very-long-word" * 10, "zh": "网络故障。"}
    broadcast.of_audience(at.world.database, person("ann", "lead"), {"estates": [ESTATE]}, said, START_MS, page_of)
    return paths[0]


def _judge(page: Page, address: str) -> None:
    page.goto(address)
    wide = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert wide[0] <= wide[1], (address, wide)
    found = Axe().run(page).response["violations"]
    bad = [(each["id"], each["nodes"][0]["html"]) for each in found if each["impact"] in {"serious", "critical"}]
    assert bad == [], (address, bad)
