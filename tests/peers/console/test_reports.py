"""Reports in a real browser: a number is as large as the list that it leads to."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from center.console.month_words import months_back
from tests.peers.console.stage import Desk
from tests.wait import wait_until

pytestmark = pytest.mark.peers


def _case(desk: Desk) -> int:
    """A fault case that somebody took on."""
    estate, terminal = desk.terminals[9]
    about = {"estate": estate, "terminal": terminal, "kind": "fault", "title": "No paper", "fault": "printer/paper_out"}
    made = desk.post("/cases", about | {"channel": "agent"})
    if made["state"] == "new":  # a second report of the same belongs to the first one's case
        desk.post(f"/cases/{made['id']}/acknowledge", {})
    return int(made["number"])


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_number_leads_to_its_cases_and_their_file(desk: Desk, language: str) -> None:
    number = _case(desk)
    n = wait_until(lambda: desk.get("/reports/times")["result"]["acknowledge"]["n"])  # up to the second before now
    page = desk.page("/console/reports?days=7", language)
    title = {"en": "until somebody takes it on", "zh": "有人接手"}[language]
    link = page.locator("#times .card").filter(has_text=title).get_by_role("link")
    expect(link).to_have_text({"en": "1 case" if n == 1 else f"{n} cases", "zh": f"{n} 个工单"}[language])
    link.click()
    page.wait_for_url("**/console/reports/cases?*of=acknowledge*")
    expect(page.locator(f'.ag-row:has-text("C-{number}")')).to_be_visible()
    expect(page.get_by_role("status").filter(has_text=str(n))).to_be_visible()
    with page.expect_download() as got:
        page.get_by_role("link", name={"en": "as CSV", "zh": "导出 CSV"}[language]).click()
    assert got.value.suggested_filename == "acknowledge.csv"


def test_period_and_grouping_stand_in_the_address(desk: Desk) -> None:
    _case(desk)
    page = desk.page("/console/reports?since=2026-01-01&until=2026-02-01&by=site", width=360)
    expect(page.get_by_text("2026-01-01 to 2026-02-01")).to_be_visible()
    expect(page.locator("#top")).to_contain_text("No case in this period")
    expect(page.locator("#shares")).to_contain_text("none yet")
    page.goto(f"{desk.address}/console/reports?since=2026-02-01&until=2026-01-01")
    expect(page.get_by_role("alert")).to_contain_text("That is no period")


def test_when_a_fault_comes_is_shown_by_hours_or_said_to_be_never(desk: Desk) -> None:
    page = desk.page("/console/reports?fault=modem/no_network&zone=Asia/Shanghai")
    expect(page.locator("#rhythm")).to_contain_text("Asia/Shanghai")
    expect(page.locator("#rhythm")).to_contain_text("Not once in the last 28 days")
    page.goto(f"{desk.address}/console/reports?fault=modem/no_network&zone=Mars/Base")
    expect(page.locator("#rhythm")).to_contain_text("'Mars/Base' is no time zone")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_month_stands_against_its_targets(desk: Desk, language: str) -> None:
    _case(desk)
    month = desk.get("/reports/monthly")["month"]
    page = desk.page("/console/reports", language)
    row = page.locator("#targets tbody tr", has_text={"en": "first response in time", "zh": "首次响应及时"}[language])
    expect(row).to_contain_text("95.0%")
    expect(row).to_contain_text({"en": "kept", "zh": "达标"}[language])
    printed = page.locator("#targets").get_by_role("link", name={"en": "Print the month", "zh": "打印月报"}[language])
    expect(printed).to_have_attribute("href", f"/console/print/month/{month}")
    before = months_back(month, 2)[1]
    page.get_by_label({"en": "Month", "zh": "月份"}[language], exact=True).click()
    page.get_by_role("option", name=before).click()
    expect(row).to_contain_text({"en": "nothing to count", "zh": "暂无数据"}[language])
    expect(printed).to_have_attribute("href", f"/console/print/month/{before}")
