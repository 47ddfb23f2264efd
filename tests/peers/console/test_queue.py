"""The fault queue in a real browser: rows come, are worked through by keys, and end."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.peers.console.stage import Desk
from tests.wait import wait_until

pytestmark = pytest.mark.peers

TITLE = {"en": "The paper roll is empty", "zh": "纸卷已用完"}


def _row(page: Page, incident: str) -> str:
    return f'.ag-row[row-id="{incident}"]'


def test_a_fault_comes_into_an_open_page_and_goes(desk: Desk) -> None:
    _, terminal = desk.terminals[0]
    page = desk.page("/console/queue", width=1920)
    desk.fault(terminal, "printer/paper_out")
    incident = desk.incident(terminal, "printer/paper_out")["id"]
    row = page.locator(_row(page, incident))
    expect(row).to_be_visible()
    expect(row).to_contain_text("The paper roll is empty")
    expect(row).to_contain_text("merchant")
    desk.fault(terminal, "printer/paper_out", "cleared")
    expect(row).to_contain_text("over")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_keys_acknowledge_own_and_promise(desk: Desk, language: str) -> None:
    _, terminal = desk.terminals[1]
    desk.fault(terminal, "printer/cover_open")
    incident = desk.incident(terminal, "printer/cover_open")["id"]
    page = desk.page("/console/queue", language)
    page.locator(f"{_row(page, incident)} .ag-cell").first.click(button="right")
    page.keyboard.press("Escape")
    page.locator(f"{_row(page, incident)} .ag-cell").nth(1).focus()
    page.keyboard.press("a")
    undo = {"en": "Undo", "zh": "撤销"}[language]
    expect(page.get_by_role("button", name=undo)).to_be_visible()
    wait_until(lambda: desk.incident(terminal, "printer/cover_open")["acknowledged_by"] == "admin")
    page.get_by_role("button", name=undo).click()
    wait_until(lambda: desk.incident(terminal, "printer/cover_open")["acknowledged_by"] is None)
    page.locator(f"{_row(page, incident)} .ag-cell").nth(1).focus()
    page.keyboard.press("e")
    title = {"en": "Promise a time", "zh": "设定预计恢复时间"}[language]
    page.get_by_role("dialog").get_by_role("button", name=title).click()
    wait_until(lambda: desk.incident(terminal, "printer/cover_open")["case"]["eta"])
    desk.fault(terminal, "printer/cover_open", "cleared")


def test_j_and_k_move_and_enter_opens(desk: Desk) -> None:
    names = [name for _, name in desk.terminals[2:4]]
    for name in names:
        desk.fault(name, "printer/paper_out")
    ids = [desk.incident(name, "printer/paper_out")["id"] for name in names]
    page = desk.page("/console/queue")
    expect(page.locator(_row(page, ids[0]))).to_be_visible()
    expect(page.locator(_row(page, ids[1]))).to_be_visible()
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    chosen = page.locator(".ag-row-selected").get_attribute("row-id")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/console/incident/{chosen}")
    for name in names:
        desk.fault(name, "printer/paper_out", "cleared")


def test_typing_leaves_only_rows_with_these_words(desk: Desk) -> None:
    kept, other = (name for _, name in desk.terminals[4:6])
    desk.fault(kept, "printer/paper_out")
    desk.fault(other, "printer/cover_open")
    stays, goes = desk.incident(kept, "printer/paper_out")["id"], desk.incident(other, "printer/cover_open")["id"]
    page = desk.page("/console/queue")
    expect(page.locator(_row(page, stays)).locator(".blocks i:not(.zero)")).not_to_have_count(0)
    for words in ("paper roll", kept):
        page.get_by_label("Only rows with").fill(words)
        expect(page.locator(_row(page, goes))).to_have_count(0)
        expect(page.locator(_row(page, stays))).to_be_visible()
        page.get_by_label("Only rows with").fill("")
        expect(page.locator(_row(page, goes))).to_be_visible()
    page.goto(f"/console/queue?q={kept}")
    expect(page.locator(_row(page, stays))).to_be_visible()
    expect(page.locator(_row(page, goes))).to_have_count(0)
    expect(page.get_by_text(f"only what “{kept}” is part of")).to_be_visible()
    desk.fault(kept, "printer/paper_out", "cleared")
    desk.fault(other, "printer/cover_open", "cleared")


@pytest.mark.parametrize("width", [1920, 360])
def test_a_row_names_its_terminal_and_no_other_fault_makes_it_sell(desk: Desk, width: int) -> None:
    estate, terminal = desk.terminals[7]
    desk.fault(terminal, "reader/card_jam")
    wait_until(lambda: desk.get(f"/terminals/{estate}/{terminal}")["verdict"]["can_sell"] == "no")
    desk.fault(terminal, "printer/paper_out")
    rows = [desk.incident(terminal, each)["id"] for each in ("reader/card_jam", "printer/paper_out")]
    page = desk.page("/console/queue", width=width)
    for each in rows:
        expect(page.locator(_row(page, each))).to_contain_text(terminal)
    if width > 1000:
        expect(page.locator(_row(page, rows[0]))).to_contain_text("cannot sell")
        expect(page.locator(_row(page, rows[1]))).to_contain_text("no: other fault")
    for each in ("reader/card_jam", "printer/paper_out"):
        desk.fault(terminal, each, "cleared")


def test_an_empty_queue_says_so_until_a_fault_comes(desk: Desk) -> None:
    _, terminal = desk.terminals[6]
    page = desk.page(f"/console/queue?q={terminal}")
    nothing = page.get_by_text("Nothing with this filter")
    expect(nothing).to_be_visible()
    desk.fault(terminal, "printer/paper_out")
    row = page.locator(_row(page, desk.incident(terminal, "printer/paper_out")["id"]))
    expect(row).to_contain_text("The paper roll is empty")
    expect(nothing).not_to_be_visible()
    desk.fault(terminal, "printer/paper_out", "cleared")
    expect(row).to_contain_text("over")


def test_an_empty_filter_teaches(desk: Desk) -> None:
    page = desk.page("/console/queue?owner=nobody-of-this-name")
    expect(page.get_by_text("Nothing with this filter")).to_be_visible()


def test_the_language_changes_while_the_page_is_open(desk: Desk) -> None:
    page = desk.page("/console/queue")
    page.get_by_role("button", name="中文").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("故障队列")
    assert page.evaluate("document.documentElement.lang") == "zh-CN"
    page.get_by_role("button", name="English").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Fault queue")


def test_nobody_comes_in_without_a_session(desk: Desk) -> None:
    answer = desk.api.build_request("GET", f"{desk.address}/console/queue?owner=me")
    answer.headers.pop("cookie", None)
    told = desk.api.send(answer)
    assert told.status_code == 303
    assert told.headers["location"] == "/login?next=%2Fconsole%2Fqueue%3Fowner%3Dme"


def test_scripts_are_fetched_once(desk: Desk) -> None:
    """A megabyte of a table's script, fetched and compiled for each page, was half a second of each."""
    page = desk.page("/console/queue")
    page.wait_for_load_state("networkidle")  # what is broken off on its way would be fetched again
    page.goto("/console/terminals")
    page.wait_for_selector(".ag-row")
    fetched = page.evaluate(
        "performance.getEntriesByType('resource').filter(e => e.transferSize && e.name.includes('/_nicegui/')).map(e => e.name)"
    )
    assert fetched == []
