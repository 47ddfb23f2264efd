"""Readiness in a real browser: who did not answer is never ready, and what is known leads to stores and a file."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.peers.console.stage import Desk

pytestmark = pytest.mark.peers


def _checked(desk: Desk) -> str:
    """A readiness campaign whose terminals have not been asked yet, since it cannot be signed."""
    names = [terminal for _, terminal in desk.terminals[:3]]
    plan = {"name": "Before the feast", "kind": "readiness", "audience": {"terminals": names}, "reason": "busy days"}
    made = str(desk.post("/campaigns", plan | {"args": {"date": "2026-12-24"}})["id"])
    desk.post(f"/campaigns/{made}/start", {})
    return made


@pytest.mark.parametrize("language", ["en", "zh"])
def test_terminals_that_did_not_answer_are_not_ready(desk: Desk, language: str) -> None:
    campaign = _checked(desk)
    page = desk.page(f"/console/readiness?campaign={campaign}", language)
    ask = {"en": "Ask all to check now", "zh": "立即全部检查"}[language]
    expect(page.get_by_role("link", name=ask)).to_have_attribute("href", "/console/campaigns/new?kind=readiness")
    waiting = page.locator("a.tile").filter(has_text={"en": "have not answered", "zh": "尚未应答"}[language])
    expect(waiting.locator(".figure")).to_have_text("3", timeout=60_000)
    ready = page.locator("a.tile").filter(has_text={"en": "terminals ready", "zh": "已就绪"}[language])
    expect(ready.locator(".figure")).to_have_text("0")
    expect(page.locator("#stores .ag-row").first).to_contain_text({"en": "no answer yet", "zh": "尚未应答"}[language])
    with page.expect_download() as got:
        page.get_by_role("link", name={"en": "Visit list (CSV)", "zh": "上门清单（CSV）"}[language]).click()
    assert got.value.suggested_filename == f"{campaign}.csv"
    ready.click()
    page.wait_for_url("**state=ready#stores")
    expect(page.get_by_text({"en": "No store like that", "zh": "没有符合条件的门店"}[language])).to_be_visible()
    desk.post(f"/campaigns/{campaign}/cancel", {"reason": "a test"})


def test_a_warning_is_listed_before_it_fails(desk: Desk) -> None:
    _, terminal = desk.terminals[6]
    desk.fault(terminal, "printer/paper_near_end")
    desk.incident(terminal, "printer/paper_near_end")
    page = desk.page("/console/readiness", width=360)
    row = page.locator("#preventive tr").filter(has_text=terminal)
    expect(row).to_contain_text("The paper roll is nearly empty")
    desk.fault(terminal, "printer/paper_near_end", "cleared")
