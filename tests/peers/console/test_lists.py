"""Tables on screens of usual widths, the times in them, and lists that are empty until something comes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.peers.console.stage import Desk
from tests.wait import wait_until

pytestmark = pytest.mark.peers

DECISIVE = {
    "/console/queue": ("severity", "title", "can_sell", "owner", "due_at"),
    "/console/cases": ("number", "title", "state", "owner", "due_at"),
    "/console/terminals": ("terminal", "can_sell", "contact", "heard", "site"),
    "/console/sites": ("name", "region", "site", "address"),
}
"""What somebody at a desk decides by, and which so must be in view."""
PLACE = {"site": "s-bund", "name": "Bund 18", "timezone": "Asia/Shanghai"}


@pytest.fixture
def abroad(desk: Desk) -> Iterator[dict[str, Any]]:
    """An incident without a case, of a terminal in Shanghai; the browser is elsewhere."""
    estate, terminal = desk.terminals[11]
    desk.post("/sites/import", [PLACE | {"estate": estate}])
    desk.post("/places/import", [{"estate": estate, "terminal": terminal, "site": PLACE["site"]}])
    desk.fault(terminal, "keypad/key_stuck")
    yield desk.incident(terminal, "keypad/key_stuck")
    desk.fault(terminal, "keypad/key_stuck", "cleared")
    desk.post("/places/import", [{"estate": estate, "terminal": terminal}])


EDGES = """() => Object.fromEntries([...document.querySelectorAll('.ag-header-cell[col-id]')]
    .map((each) => [each.getAttribute('col-id'), each.getBoundingClientRect().right]))"""
"""Where each column that is shown ends, from the left of the page."""


def _shown(page: Page) -> list[str]:
    """The columns that are shown, once all of them are within their table."""

    def inside() -> list[str]:
        end = page.evaluate("document.querySelector('.table').getBoundingClientRect().right")
        edges: dict[str, float] = page.evaluate(EDGES)
        return list(edges) if max(edges.values()) <= end + 1 <= page.evaluate("window.innerWidth") else []

    return wait_until(inside)


@pytest.mark.parametrize("path", DECISIVE)
def test_what_one_decides_by_is_in_view(abroad: dict[str, Any], desk: Desk, path: str) -> None:
    desk.post("/cases", {"estate": abroad["estate"], "terminal": abroad["scope_key"], "fault": "keypad/key_stuck"})
    page = desk.page(path)
    expect(page.locator(".ag-row").first).to_be_visible()
    for width in (1440, 1366, 1280, 768, 360):
        page.set_viewport_size({"width": width, "height": 900})
        needed = set(DECISIVE[path] if width >= 1280 else DECISIVE[path][:2])
        if path == "/console/queue" and width >= 1366:
            needed.add("noise")
        wait_until(lambda needed=needed: needed <= set(_shown(page)))


@pytest.mark.parametrize("path", ["/console/queue", "/console/cases"])
def test_a_time_is_promised_and_shown_by_the_clock_at_the_site(abroad: dict[str, Any], desk: Desk, path: str) -> None:
    row_id = abroad["id"]
    if path == "/console/cases":
        row_id = desk.post(f"/incidents/{abroad['id']}/case")["id"]
    page = desk.page(path)
    cells = page.locator(f'.ag-row[row-id="{row_id}"] .ag-cell')
    cells.nth(1).focus()
    page.keyboard.press("e")
    form = page.get_by_role("dialog")
    expect(form).to_contain_text("Asia/Shanghai")
    form.get_by_label("Promised for").fill("2031-05-06T07:08")
    form.get_by_label("Reason").fill("the part comes then")
    form.get_by_role("button", name="Promise a time").click()
    expect(page.locator(".snack")).to_contain_text("2031-05-06 07:08 UTC+08:00")
    case = desk.get("/cases", terminal=abroad["scope_key"], state="open")["items"][0]
    assert case["eta"] == "2031-05-05T23:08:00.000Z"
    page.set_viewport_size({"width": 1900, "height": 900})
    eta = page.locator(f'.ag-row[row-id="{row_id}"] [col-id="eta"] time')
    expect(eta).to_have_attribute("title", "2031-05-06 07:08 UTC+08:00")


def test_undo_gives_it_back_to_whom_it_was_before(abroad: dict[str, Any], desk: Desk) -> None:
    desk.post(f"/incidents/{abroad['id']}/assign", {"owner": "night shift", "external": True})
    page = desk.page("/console/queue")
    row = page.locator(f'.ag-row[row-id="{abroad["id"]}"]')
    expect(row).to_contain_text("night shift")
    row.locator(".ag-cell").nth(1).focus()
    page.keyboard.press("o")
    expect(row.locator('[col-id="owner"]')).to_have_text("admin")
    page.get_by_role("button", name="Undo").click()
    expect(row.locator('[col-id="owner"]')).to_have_text("night shift")


def test_cases_of_a_fault_are_shown_whatever_became_of_them(desk: Desk) -> None:
    estate, terminal = desk.terminals[10]
    made = [desk.post("/cases", {"estate": estate, "terminal": terminal, "fault": f"reader/{kind}"})
            for kind in ("read_errors", "card_left")]  # fmt: skip
    for each in made:
        desk.post(f"/cases/{each['id']}/dismiss", {"outcome": "false_alarm", "reason": "a test"})
    page = desk.page("/console/knowledge/reader/read_errors")
    page.get_by_role("link", name="Cases of this fault").click()
    expect(page.locator(f'.ag-row[row-id="{made[0]["id"]}"]')).to_be_visible()
    expect(page.locator(f'.ag-row[row-id="{made[1]["id"]}"]')).to_have_count(0)
    page.get_by_label("State").click()
    page.get_by_role("option", name="not closed").click()
    page.wait_for_url("**/console/cases?*state=open*")
    assert "fault=reader%2Fread_errors" in page.url
    expect(page.get_by_text("No case with this filter")).to_be_visible()
    page.locator("a.only").click()
    page.wait_for_url("**/console/cases")


def test_a_list_that_is_read_comes_by_pieces(desk: Desk) -> None:
    for number in range(51):
        desk.post("/knowledge/problems", {"title": f"Problem {number}", "signature": f"printer/cutter_error|M{number}"})
    page = desk.page("/console/knowledge")
    rows = page.locator("#problems tbody tr")
    more = page.locator("#problems").get_by_role("button", name="Show more")
    expect(rows).to_have_count(50)
    more.click()
    expect(rows.filter(has_text="Problem 0")).to_be_visible()
    expect(rows).to_have_count(len(desk.get("/knowledge/problems", limit=200)["items"]))
    expect(more).to_be_hidden()


def test_knowledge_lists_every_fault(desk: Desk) -> None:
    page = desk.page("/console/knowledge")
    expect(page.locator("#faults a").first).to_be_visible()
    shown = set(page.locator("#faults a").evaluate_all("(links) => links.map((each) => each.getAttribute('href'))"))
    for fault in ("printer/paper_out", "power/battery_low", "reader/card_jam"):
        assert f"/console/knowledge/{fault}" in shown
    assert len(shown) > 80


def test_an_empty_list_says_so_until_something_comes(desk: Desk) -> None:
    estate, terminal = desk.terminals[10]
    cases, terminals = desk.page("/console/cases?team=nobody-yet"), desk.page("/console/terminals?site=s-later")
    none = cases.get_by_text("No case with this filter"), terminals.get_by_text("No terminal with these filters")
    for each in none:
        expect(each).to_be_visible()
    case = desk.post("/cases", {"estate": estate, "terminal": terminal, "kind": "question", "title": "A question"})
    desk.post(f"/cases/{case['id']}/assign", {"team": "nobody-yet"})
    expect(cases.locator(f'.ag-row[row-id="{case["id"]}"]')).to_be_visible()
    desk.post("/places/import", [{"estate": estate, "terminal": terminal, "site": "s-later"}])
    expect(terminals.locator(f'.ag-row[row-id="{estate}.{terminal}"]')).to_be_visible()
    for each in none:
        expect(each).not_to_be_visible()
    desk.post("/places/import", [{"estate": estate, "terminal": terminal}])
    desk.post(f"/cases/{case['id']}/dismiss", {"outcome": "false_alarm", "reason": "a test"})
    expect(none[0]).to_be_visible()


def test_the_search_box_leads_to_what_it_found_and_asks_for_two_letters_at_least(
    desk: Desk, abroad: dict[str, Any]
) -> None:
    estate, terminal = desk.terminals[11]
    page = desk.page("/console/queue")
    box, hits = page.get_by_label("Search: terminal, site, case"), page.locator(".found .hit")
    box.fill("Bund")
    expect(page.locator(".found").get_by_role("link", name="s-bund · Bund 18")).to_have_attribute(
        "href", f"/console/site/{estate}/s-bund"
    )
    box.fill(terminal)
    expect(hits.first).to_contain_text(f"{terminal} · s-bund")
    expect(page.locator(f".found a[href='/console/incident/{abroad['id']}']")).to_be_visible()
    box.fill("B")
    expect(page.locator(".found")).to_be_hidden()
    box.fill("no such thing")
    expect(hits).to_have_text("Nothing found in your part of the fleet")
    box.fill(terminal)
    hits.first.click()
    page.wait_for_url(f"**/console/terminal/{estate}/{terminal}")
