"""The list of terminals and the page of one, in a real browser."""

from __future__ import annotations

import shutil

import pytest
from playwright.sync_api import Page, expect

from agent.pki import Authority
from tests.peers.console.stage import Desk
from tests.wait import wait_until

pytestmark = pytest.mark.peers

PAPER = {"en": "The paper roll is empty", "zh": "打印纸用完了"}


def _row(page: Page, estate: str, terminal: str) -> str:
    return f'.ag-row[row-id="{estate}.{terminal}"]'


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_list_follows_a_terminal_and_its_numbers_lead_to_their_rows(desk: Desk, language: str) -> None:
    estate, terminal = desk.terminals[4]
    page = desk.page("/console/terminals", language)
    row = page.locator(_row(page, estate, terminal))
    expect(row).to_contain_text({"en": "can sell", "zh": "可收款"}[language])
    desk.fault(terminal, "printer/paper_out")
    desk.incident(terminal, "printer/paper_out")
    expect(row).to_contain_text({"en": "sells with limits", "zh": "部分可用"}[language])
    page.reload()
    page.get_by_role("link", name={"en": "sell with limits", "zh": "部分可用"}[language]).click()
    page.wait_for_url("**/terminals?can_sell=degraded")
    expect(page.locator(_row(page, estate, terminal))).to_be_visible()
    words = {"en": "sells with limits", "zh": "部分可用"}[language]
    rows = page.locator(".ag-center-cols-container .ag-row")
    wait_until(lambda: all(words in each for each in rows.all_inner_texts()))
    assert rows.count() < len(desk.terminals)
    desk.fault(terminal, "printer/paper_out", "cleared")
    wait_until(lambda: desk.get(f"/terminals/{estate}/{terminal}")["verdict"]["can_sell"] == "yes")


def test_a_filter_without_rows_teaches(desk: Desk) -> None:
    page = desk.page("/console/terminals?model=no-such-model")
    expect(page.get_by_text("No terminal with these filters")).to_be_visible()
    page.get_by_role("link", name="Clear the filters").click()
    expect(page.locator(".ag-center-cols-container .ag-row").first).to_be_visible()


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_page_shows_what_is_wrong_and_what_to_do_while_it_happens(desk: Desk, language: str) -> None:
    estate, terminal = desk.terminals[5]
    page = desk.page(f"/console/terminal/{estate}/{terminal}", language)
    calm = {"en": "Nothing is wrong that it knows of", "zh": "未发现故障"}[language]
    expect(page.get_by_text(calm)).to_be_visible()
    desk.fault(terminal, "printer/paper_out")
    fault = page.locator("#faults article")
    expect(fault).to_contain_text(PAPER[language])
    expect(fault).to_contain_text({"en": "the merchant", "zh": "商户"}[language])
    fault.locator("summary").click()
    expect(fault.locator("ol.steps li").first).to_be_visible()
    printer = page.locator("#components article").filter(has_text={"en": "Printer", "zh": "打印机"}[language])
    expect(printer).to_contain_text({"en": "major", "zh": "严重"}[language])
    sentence = page.locator(".sentence")
    expect(sentence).to_contain_text({"en": "sells with limits", "zh": "部分可用"}[language])
    expect(page.locator(".timeline")).to_contain_text({"en": "Printer", "zh": "打印机"}[language])
    page.get_by_role("button", name={"en": "Why?", "zh": "为什么？"}[language]).click()
    expect(page.get_by_role("dialog")).to_contain_text({"en": "measured", "zh": "实测"}[language])
    page.keyboard.press("Escape")
    desk.fault(terminal, "printer/paper_out", "cleared")
    expect(page.get_by_text(calm)).to_be_visible()


def test_readings_open_and_stay_open_when_the_terminal_changes(desk: Desk) -> None:
    estate, terminal = desk.terminals[6]
    page = desk.page(f"/console/terminal/{estate}/{terminal}")
    power = page.locator("#components article").filter(has=page.get_by_role("heading", name="Power"))
    power.get_by_role("button").click()
    expect(power).to_contain_text("power.battery_percent")
    desk.fault(terminal, "printer/cover_open")
    expect(page.locator("#faults article")).to_contain_text("cover")
    expect(power).to_contain_text("power.battery_percent")
    desk.fault(terminal, "printer/cover_open", "cleared")


def test_a_command_says_what_is_missing_and_then_is_watched_until_its_result(desk: Desk) -> None:
    estate, terminal = desk.terminals[7]
    page = desk.page(f"/console/terminal/{estate}/{terminal}")
    page.get_by_role("button", name="Check now and watch").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Check").click()
    expect(dialog.get_by_role("alert")).to_contain_text("Needed: Reason")
    dialog.get_by_label("Reason *").fill("merchant says that nothing prints")
    dialog.get_by_role("button", name="Check").click()
    expect(dialog.get_by_role("alert")).to_contain_text("posdiag pki command-key")
    private, _ = Authority(desk.key_file.parent / "pki").command_key()
    shutil.copy(private, desk.key_file)
    desk.key_file.chmod(0o600)
    dialog.get_by_role("button", name="Check").click()
    run = page.locator("#run")
    expect(run).to_contain_text("succeeded", timeout=60_000)
    expect(run).to_contain_text("answered")
    expect(run.locator("ol.steps-line li")).to_have_count(4)
    page.get_by_role("button", name="More commands").click()
    page.get_by_text("Restart the terminal").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason *").fill("hangs")
    dialog.get_by_role("button", name="Restart the terminal").click()
    expect(run).to_contain_text("waits for a second person")
    expect(run.get_by_role("button", name="Approve")).to_be_visible()
    expect(page.locator("#commands")).to_contain_text("Restart the terminal")
    desk.key_file.unlink()


def test_a_period_is_frozen_as_evidence(desk: Desk) -> None:
    estate, terminal = desk.terminals[9]
    page = desk.page(f"/console/terminal/{estate}/{terminal}", "zh")
    page.get_by_role("button", name="冻结证据").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("原因 *").fill("持卡人对交易有异议")
    dialog.get_by_role("button", name="冻结证据").click()
    expect(page.locator(".snack")).to_contain_text("已冻结此时段的证据")
    held = desk.get("/evidence", terminal=f"{estate}.{terminal}")["items"]
    assert [each["reason"] for each in held] == ["持卡人对交易有异议"]


def test_a_terminal_that_is_not_there_is_said_to_be_not_there(desk: Desk) -> None:
    context = desk.page("/console/terminals")
    context.goto(f"{desk.address}/console/terminal/demo/no-such")
    expect(context.get_by_role("alert")).to_contain_text("not in your part of the fleet")
