"""Figures in a real browser: each leads to a list of exactly the rows that it counts."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from agent.pki import Authority
from tests.peers.console.stage import Desk

pytestmark = pytest.mark.peers


def _has_rows(page: Page, n: int) -> None:
    """A list tells of so many rows, and shows them."""
    expect(page.get_by_role("status").filter(has_text=re.compile(rf"\b{n}\b"))).to_be_visible()
    expect(page.locator(".ag-center-cols-container .ag-row")).to_have_count(n)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_how_often_a_remedy_helped_leads_to_where_it_was_tried(desk: Desk, language: str) -> None:
    estate, terminal = desk.terminals[7]
    fault = {"en": "printer/cover_open", "zh": "printer/cutter_error"}[language]
    desk.fault(terminal, fault)  # while it stands no remedy has helped
    desk.incident(terminal, fault)
    made = desk.post("/cases", {"estate": estate, "terminal": terminal, "kind": "fault", "fault": fault})
    for remedy in ("cleaned", "reseated"):  # of which the first has not helped, for there was a second
        desk.post(f"/cases/{made['id']}/repaired", {"remedy": remedy, "text": "at the counter"})
    page = desk.page(f"/console/case/{made['id']}", language)
    figure = {"en": "0 of 1 (0%)", "zh": "1 次中 0 次（0%）"}[language]
    page.locator("#remedies").get_by_role("link", name=figure).click()
    page.wait_for_url("**/console/knowledge/printer/*/tries?*")
    _has_rows(page, 1)
    row = page.locator(".ag-center-cols-container .ag-row")
    expect(row).to_contain_text(f"C-{made['number']}")
    expect(row).to_contain_text({"en": "did not help", "zh": "无效"}[language])
    page.go_back()
    unsettled = {"en": "not settled yet (1)", "zh": "尚无结论（1）"}[language]
    page.locator("#remedies").get_by_role("link", name=unsettled).click()
    expect(row).to_contain_text({"en": "not settled yet", "zh": "尚无结论"}[language])
    row.click()
    page.wait_for_url(f"**/console/case/{made['id']}")
    desk.fault(terminal, fault, "cleared")


def test_missed_deadlines_and_targets_lead_to_the_cases_that_missed_them(desk: Desk) -> None:
    estate, terminal = desk.terminals[6]
    desk.post("/cases", {"estate": estate, "terminal": terminal, "kind": "fault", "fault": "printer/head_worn"})
    page = desk.page("/console/reports?days=7")
    clock = page.locator("#deadlines li", has_text="solution")
    missed, of = map(int, re.findall(r"\((\d+) of (\d+)\)", clock.inner_text())[0])
    clock.get_by_role("link", name="solution").click()
    page.wait_for_url("**/console/reports/cases?*met=yes*")
    assert missed == 0
    expect(page.get_by_role("heading", level=1)).to_contain_text("deadline missed: solution")
    expect(page.get_by_text("No case behind this number")).to_be_visible()
    page.get_by_label("Counts").click()
    page.get_by_role("option", name="no", exact=True).click()
    page.wait_for_url("**/console/reports/cases?*met=no*")
    _has_rows(page, of)
    page = desk.page("/console/reports")
    month = desk.get("/reports/monthly")["month"]
    page.locator("#targets tbody tr", has_text="works again in time").get_by_role("link").click()
    page.wait_for_url("**/console/reports/cases?of=deadline_solve*met=yes*")
    expect(page.locator(".heading")).to_contain_text(month)


def test_the_open_cases_of_a_site_are_not_those_of_its_namesake(desk: Desk) -> None:
    (estate, _), other = desk.terminals[0], "elsewhere"
    site = "s-twin"
    mine = desk.post("/cases", {"estate": estate, "site": site, "kind": "question", "title": "When is it mended?"})
    desk.post("/cases", {"estate": other, "site": site, "kind": "question", "title": "Another shop"})
    for each in (estate, other):
        desk.post("/sites/import", [{"estate": each, "site": site, "name": "Twin"}])
    page = desk.page(f"/console/site/{estate}/{site}")
    tile = page.locator("a.tile", has_text="open cases")
    expect(tile.locator(".figure")).to_have_text("1")
    tile.click()
    page.wait_for_url("**/console/cases?*")
    expect(page.locator("a.only")).to_contain_text(f"only estate {estate}")
    row = page.locator(".ag-center-cols-container .ag-row")
    expect(row).to_have_count(1)
    expect(row).to_have_attribute("row-id", mine["id"])


@pytest.fixture
def key(desk: Desk) -> Iterator[None]:
    """The center can sign."""
    private, _ = Authority(desk.key_file.parent / "pki-figures").command_key()
    shutil.copy(private, desk.key_file)
    desk.key_file.chmod(0o600)
    yield
    desk.key_file.unlink()


@pytest.mark.usefixtures("key")
def test_what_a_gate_counts_leads_to_these_terminals(desk: Desk) -> None:
    names = [terminal for _, terminal in desk.terminals[:2]]
    plan = {"name": "Look once", "kind": "check", "reason": "to know", "audience": {"terminals": names}}
    made = desk.post("/campaigns", plan | {"waves": [{"share": 1.0}], "halt_share": 1.0})["id"]
    page = desk.page(f"/console/campaign/{made}")
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.locator(".lights").first).to_contain_text("done", timeout=60_000)
    stand = desk.get(f"/campaigns/{made}/stand")
    for name, words in (("answered", "Answered"), ("failed", "Failed"), ("hurt", "Cannot sell since")):
        page.goto(f"{desk.address}/console/campaign/{made}")
        figure = page.locator("#gate dt", has_text=words).locator("xpath=following-sibling::dd[1]").get_by_role("link")
        expect(figure).to_have_text(str(stand[name]))
        figure.click()
        page.wait_for_url(f"**/console/campaign/{made}?gate={name}#targets")
        expect(page.locator("#targets a.only")).to_contain_text(words)
        expect(page.locator("#targets .ag-center-cols-container .ag-row")).to_have_count(stand[name])
