"""Readiness in a real browser: who did not answer is never ready, and what is known leads to stores and a file."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Page, expect

from center.db import feed, tables
from center.db.engine import Database
from tests.center.fleet_rows import put, put_checked, readiness
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


_MANY = "cam-many"


@contextmanager
def _many(desk: Desk) -> Iterator[Database]:
    """The center's database with a campaign of 450 terminals at three stores, of which the last is not ready."""
    database = Database(f"sqlite:///{desk.key_file.parent}/center.db")
    plan = {"name": "Long ago", "kind": "readiness", "audience": {}, "waves": [], "args": {"date": "2026-12-24"}}
    at = {"state": "done", "created_by": "max", "created_ms": 1, "updated_ms": 1}
    put(database, tables.campaigns, id=_MANY, **plan, **at)
    for estate in ("x", "y"):
        put_checked(database, _MANY, dict.fromkeys(range(150), ("succeeded", readiness(95, ready=True))), estate)
    paper, both = readiness(60, "printer/paper_out"), readiness(50, "printer/paper_out", "settings")
    put_checked(database, _MANY, {n: ("succeeded", both if n < 30 else paper) for n in range(150)}, "z")
    try:
        yield database
    finally:
        with database.begin() as connection:
            for table in (tables.campaign_targets, tables.campaign_todo):
                connection.execute(table.delete().where(table.c.campaign_id == _MANY))
            connection.execute(tables.campaigns.delete().where(tables.campaigns.c.id == _MANY))
        database.close()


def _listed(page: Page, told: str, terminals: int) -> None:
    """The stores that are shown tell so, and have so many terminals in all."""
    expect(page.locator("#stores .stores-shown")).to_contain_text(told)
    counted = page.locator("#stores .ag-center-cols-container [col-id=terminals]")
    page.wait_for_function(
        "([cells, n]) => [...document.querySelectorAll(cells)].reduce((sum, each) => sum + Number(each.innerText), 0) === n",
        arg=["#stores .ag-center-cols-container [col-id=terminals]", terminals],
    )
    expect(counted.first).to_be_visible()


def test_each_figure_leads_to_what_it_counts_beyond_the_first_terminals(desk: Desk) -> None:
    where = f"/console/readiness?campaign={_MANY}"
    with _many(desk):
        page = desk.page(where)
        _listed(page, "2 stores listed, with 200 of 450 terminals.", 200)
        tile = page.locator("a.tile").filter(has_text="not ready")
        expect(tile.locator(".figure")).to_have_text("150")
        tile.click()
        page.wait_for_url("**state=not_ready#stores")
        _listed(page, "1 store listed, with 150 of 150 terminals. Only terminals that match", 150)
        expect(page.locator("#stores .list-foot")).to_be_hidden()
        expect(page.locator("#todo summary")).to_contain_text("180")
        page.locator("a.tile").filter(has_text="terminals ready").click()
        page.wait_for_url("**state=ready#stores")
        _listed(page, "2 stores listed, with 200 of 300 terminals.", 200)
        page.locator("#stores .list-foot button").click()
        _listed(page, "2 stores listed, with 300 of 300 terminals.", 300)
        expect(page.locator("#stores .list-foot")).to_be_hidden()
        expect(page.locator("#todo")).to_contain_text("Nothing to do here")
        bars = page.locator("#failing li")
        expect(bars).to_contain_text(["The paper roll is empty", "Settings are not as wished"])
        expect(bars).to_contain_text(["150 terminals", "30 terminals"])
        bars.nth(1).get_by_role("link").click()
        page.wait_for_url("**what=settings#stores")
        _listed(page, "1 store listed, with 30 of 30 terminals.", 30)
        expect(page.locator("#stores a.light")).to_contain_text("Settings are not as wished")
        shown = desk.page(f"{where}&state=ready&what=settings", "zh")
        expect(shown.get_by_text("没有符合条件的门店")).to_be_visible()


def test_what_is_answered_meanwhile_is_counted_and_listed_within_the_filter(desk: Desk) -> None:
    with _many(desk) as database:
        page = desk.page(f"/console/readiness?campaign={_MANY}&what=settings")
        _listed(page, "1 store listed, with 30 of 30 terminals.", 30)
        expect(page.locator("#failing li")).to_have_count(2)
        more = readiness(70, "settings"), readiness(95, ready=True)
        put_checked(database, _MANY, {200: ("succeeded", more[0]), 201: ("succeeded", more[1])}, "x")
        with database.begin() as connection:
            feed.append(connection, [("campaign", None, None, _MANY)], int(time.time() * 1000))
        _listed(page, "2 stores listed, with 31 of 31 terminals.", 31)
        expect(page.locator("#failing li").nth(1)).to_contain_text("31 terminals")
        ready = page.locator("a.tile").filter(has_text="terminals ready")
        expect(ready.locator(".figure")).to_have_text("301")
