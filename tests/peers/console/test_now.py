"""Now, in a real browser: numbers that lead to their rows, what is worst, and how the center itself is."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.peers.console.stage import Desk
from tests.wait import wait_until

pytestmark = pytest.mark.peers

WORDS = {
    "en": {"title": "Now", "open": "Open the worst", "no": "cannot sell", "paper": "The paper roll is empty"},
    "zh": {"title": "现况", "open": "打开最严重的事件", "no": "不能收款", "paper": "打印纸用完了"},
}


def _number(page: Page, query: str) -> int:
    return int(page.locator(f'a.tile[href="/console/terminals?{query}"] .figure').inner_text().replace(",", ""))


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_fault_comes_into_the_open_page_and_goes(desk: Desk, language: str) -> None:
    words = WORDS[language]
    _, terminal = desk.terminals[5]
    page = desk.page("/console/", language)
    expect(page.get_by_role("heading", level=1)).to_have_text(words["title"])
    desk.fault(terminal, "printer/paper_out")
    incident = desk.incident(terminal, "printer/paper_out")["id"]
    line = page.locator(f'a.row-link[href="/console/incident/{incident}"]')
    expect(line).to_contain_text(words["paper"])
    expect(line.locator(".light")).not_to_be_empty()
    expect(page.get_by_role("link", name=words["open"])).to_have_attribute("href", f"/console/incident/{incident}")
    desk.fault(terminal, "printer/paper_out", "cleared")
    expect(line.locator(".light")).not_to_contain_text(words["no"])


def test_the_numbers_are_all_terminals_and_lead_to_them(desk: Desk) -> None:
    page = desk.page("/console/")

    def alike() -> bool:
        """The page follows: what a test before this one did may still be on its way to it."""
        told = desk.get("/overview")
        shown = {state: _number(page, f"can_sell={state}") for state in ("no", "degraded", "unknown", "yes")}
        bars = page.locator(".bars li .figures").all_inner_texts()
        return (
            sum(shown.values()) == told["terminals"] == sum(map(int, bars)) == len(desk.terminals)
            and shown["yes"] == len(desk.get("/terminals", can_sell="yes", limit=200)["items"])
            and _number(page, "freshness=offline") == told["freshness"]["offline"]
        )

    wait_until(alike, every_s=0.2)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_center_tells_of_itself_in_words(desk: Desk, language: str) -> None:
    page = desk.page("/console/", language)
    center = page.locator("#center")
    well = {"en": "checks of the center are good", "zh": "项检查全部正常"}[language]
    expect(center).to_contain_text(well, timeout=60_000)
    center.locator("summary").click()
    disk = {"en": "Free disk space", "zh": "磁盘剩余空间"}[language]
    expect(center.get_by_text(disk)).to_be_visible()


def test_it_fits_a_phone(desk: Desk) -> None:
    page = desk.page("/console/", width=360)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    tile = page.locator("a.tile").first
    tile.focus()
    expect(tile).to_be_focused()
