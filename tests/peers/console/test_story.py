"""The whole story, as the demo's tour tells it: paper runs out, the desk promises, the merchant helps himself, closed.

With POSDIAG_PICTURES=1 it leaves the pictures of the README in docs/pictures.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.peers.console.stage import PASSWORD
from tests.system.stage import Process, posdiag
from tests.wait import wait_until

pytestmark = [pytest.mark.peers, pytest.mark.timeout(400)]

TITLE = "The paper roll is empty"
PICTURES = Path(__file__).parents[3] / "docs" / "pictures"


@dataclass
class Shop:
    """The demo: where it is, and the words of its first login."""

    folder: Path
    address: str
    password: str

    def set(self, terminal: str, *keys: str) -> None:
        done = posdiag("sim", "set", str(self.folder / terminal), *keys)
        assert done.returncode == 0, done.stderr


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    folder = tmp_path / "shop"
    with Process(tmp_path / "demo.log", "demo", "--dir", str(folder)) as demo:
        wait_until(lambda: "A tour of five steps" in demo.said(), 180)
        address = re.search(r"^Open +(\S+?)/?$", demo.said(), re.MULTILINE)
        password = re.search(r"one-time password (\S+)", demo.said())
        assert address, demo.said()
        assert password, demo.said()
        yield Shop(folder, address[1], password[1])
        assert demo.terminate(60)[0] == 0, demo.said()


def picture(page: Page, name: str) -> None:
    if os.environ.get("POSDIAG_PICTURES"):
        PICTURES.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=PICTURES / f"{name}.png")


def log_in(page: Page, shop: Shop) -> None:
    page.goto(shop.address)
    page.get_by_label("Name").fill("admin")
    page.get_by_label("Password").fill(shop.password)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/login/password*")
    for field in ("new", "again"):
        page.locator(f"[name={field}]").fill(PASSWORD)
    page.get_by_role("button").last.click()
    page.wait_for_url("**/console/")


def test_paper_runs_out_and_the_case_is_closed(shop: Shop, browser: Browser) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 800}, base_url=shop.address)
    page = context.new_page()
    log_in(page, shop)
    picture(page, "now")
    page.get_by_role("link", name="Fault queue", exact=True).click()
    page.wait_for_selector("h1")
    shop.set("terminal-2", "printer.paper=out")
    row = page.locator(".ag-row", has_text=TITLE)
    expect(row).to_be_visible()
    expect(page.locator(".empty")).not_to_be_visible()
    picture(page, "queue")
    row.locator(".ag-cell").nth(1).click()
    page.wait_for_url("**/console/incident/*")
    expect(page.get_by_role("heading", level=1)).to_contain_text(TITLE)
    picture(page, "incident")
    case = page.locator("#content a[href*='/console/case/']").first
    expect(case).to_be_visible(timeout=60_000)  # the demo opens a case soon
    case.click()
    page.wait_for_url("**/console/case/*")
    page.get_by_role("button", name="Acknowledge").click()
    expect(page.get_by_role("button", name="Undo")).to_be_visible()
    expect(page.locator(".head .lights")).to_contain_text("acknowledged")  # drawn anew, and its buttons with it
    page.get_by_role("button", name="Promise a time").first.click()
    page.get_by_role("dialog").get_by_role("button", name="Promise a time").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.locator("#promises li")).to_have_count(1)
    expect(page.locator(".head .facts")).to_contain_text("Promised for")
    picture(page, "case")
    link = page.locator("a[href*='/m/']").first.get_attribute("href")
    assert link is not None

    phone = browser.new_context(
        viewport={"width": 390, "height": 844}, base_url=shop.address, java_script_enabled=False
    )
    merchant = phone.new_page()
    merchant.goto(link)
    expect(merchant.locator("main")).to_contain_text("paper")
    picture(merchant, "merchant")
    shop.set("terminal-2", "printer.paper=ok")

    def asked() -> bool:
        merchant.reload()
        return merchant.get_by_role("button", name="It works again").count() > 0

    wait_until(asked, 120, every_s=1)
    merchant.get_by_role("button", name="It works again").click()
    expect(page.locator("#content")).to_contain_text("closed", timeout=60_000)
    phone.close()
    context.close()
