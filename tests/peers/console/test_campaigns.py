"""Campaigns in a real browser: drawn up with a count first, run wave by wave, and never by one person alone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from agent.pki import Authority
from tests.peers.console.stage import Desk

pytestmark = pytest.mark.peers

HOSTILE = '<img src=x onerror="document.title=1">'


@pytest.fixture
def key(desk: Desk) -> Iterator[None]:
    """The center can sign."""
    private, _ = Authority(desk.key_file.parent / "pki-campaigns").command_key()
    shutil.copy(private, desk.key_file)
    desk.key_file.chmod(0o600)
    yield
    desk.key_file.unlink()


def _plan(desk: Desk, **more: Any) -> str:
    _, terminal = desk.terminals[0]
    usual = {"name": "Look once", "kind": "check", "reason": "to know", "audience": {"terminals": [terminal]}}
    made = desk.post("/campaigns", usual | {"waves": [{"share": 1.0}], "halt_share": 1.0} | more)
    return str(made["id"])


@pytest.mark.usefixtures("key")
@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_campaign_is_counted_made_started_and_watched(desk: Desk, language: str) -> None:
    words = {
        "en": ("Name *", "Reason *", "Terminals", "2 terminals", "Make the campaign", "Start", "done"),
        "zh": ("名称 *", "原因 *", "终端", "2 台终端", "创建任务", "启动", "已完成"),
    }[language]
    name, reason, terminals, count, make, start, done = words
    names = [each for _, each in desk.terminals[:2]]
    page = desk.page("/console/campaigns/new", language)
    page.get_by_label(name, exact=True).fill(HOSTILE)
    page.get_by_label(reason, exact=True).fill("paper faults")
    page.get_by_label(terminals, exact=True).fill(", ".join(names))
    expect(page.locator(".reach")).to_contain_text(count)
    page.get_by_label({"en": "Waves", "zh": "批次"}[language], exact=True).fill("100%")
    halt = {"en": "Stop above this share of failures, in %", "zh": "失败比例超过此值时停止（%）"}[language]
    page.get_by_label(halt).fill("100")
    page.get_by_role("button", name=make).click()
    page.wait_for_url("**/console/campaign/camp-*")
    expect(page.get_by_role("heading", level=1)).to_have_text(HOSTILE)
    page.get_by_role("button", name=start, exact=True).click()
    result = page.locator("#targets .ag-row")
    expect(result).to_have_count(2)
    expect(page.locator("#waves li").first).to_contain_text({"en": "all the others", "zh": "其余全部"}[language])
    expect(page.locator(".lights").first).to_contain_text(done, timeout=60_000)
    page.goto(f"{desk.address}/console/campaigns?state=done")
    expect(page.get_by_role("link", name=HOSTILE).first).to_be_visible()


def test_what_changes_settings_says_who_else_must_approve(desk: Desk) -> None:
    campaign = _plan(desk, kind="config", args={"settings": {"printer": {"paper_warn_mm": 500}}})
    page = desk.page(f"/console/campaign/{campaign}")
    expect(page.get_by_text("You made it, so somebody else has to approve")).to_be_visible()
    expect(page.locator("#plan")).to_contain_text("printer.paper_warn_mm")
    expect(page.get_by_role("button", name="Approve")).to_have_count(0)
    expect(page.get_by_role("button", name="Start")).to_have_count(0)
    page.get_by_role("button", name="Cancel for good").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Cancel for good").click()
    expect(dialog.get_by_role("alert")).to_contain_text("Reason")
    dialog.get_by_label("Reason *").fill("not needed")
    dialog.get_by_role("button", name="Cancel for good").click()
    expect(page.locator(".lights").first).to_contain_text("cancelled")
    expect(page.get_by_role("alert").filter(has_text="admin: not needed")).to_have_count(0)
    expect(page.get_by_text("admin: not needed")).to_be_visible()


def test_what_is_missing_or_wrong_is_said_before_anything_is_made(desk: Desk) -> None:
    page = desk.page("/console/campaigns/new?kind=readiness", width=360)
    page.get_by_role("button", name="Make the campaign").click()
    expect(page.locator("p.wrong")).to_have_text("Still needed: Name, Reason, Busy day")
    page.get_by_label("Name *").fill("n")
    page.get_by_label("Reason *").fill("r")
    page.get_by_label("Busy day").fill("2026-12-24")
    page.get_by_label("Waves", exact=True).fill("five")
    page.get_by_role("button", name="Make the campaign").click()
    expect(page.locator("p.wrong")).to_have_text("This is no size of a wave: five")
    page.get_by_label("Estates").fill("nowhere")
    expect(page.locator(".reach")).to_contain_text("No terminal of yours is like that")
