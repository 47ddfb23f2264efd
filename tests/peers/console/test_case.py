"""Cases in a real browser: the list, and all that is done with one until it may be closed."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.peers.console.stage import Desk, choose
from tests.wait import wait_until

pytestmark = pytest.mark.peers

STUCK = "keypad/key_stuck"


def opened(desk: Desk, terminal: tuple[str, str], fault: str = STUCK, **more: Any) -> dict[str, Any]:
    body = {"estate": terminal[0], "terminal": terminal[1], "fault": fault} | more
    made: dict[str, Any] = desk.post("/cases", body)
    return made


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_promise_is_kept_in_its_history(desk: Desk, language: str) -> None:
    case = opened(desk, desk.terminals[6 if language == "en" else 7], "reader/sensor_error")
    page = desk.page(f"/console/case/{case['number']}", language)
    expect(page.locator("h1")).to_contain_text(f"C-{case['number']}")
    promise = {"en": "Promise a time", "zh": "设定预计恢复时间"}[language]
    for reason in ("", "the part is late"):
        page.get_by_role("button", name=promise).click()
        form = page.get_by_role("dialog")
        if reason:
            form.get_by_label({"en": "Promised for", "zh": "预计恢复"}[language]).fill("2031-05-06T07:08")
            form.get_by_label({"en": "Reason", "zh": "原因"}[language]).fill(reason)
        form.get_by_role("button", name=promise).click()
        expect(form).to_have_count(0)
    moved = {"en": "moved to 2031-05-06 07:08", "zh": "改为 2031-05-06 07:08"}[language]
    expect(page.locator("#promises li")).to_have_count(2)
    expect(page.locator("#promises li").first).to_contain_text(moved)
    expect(page.locator("#timeline")).to_contain_text("the part is late")
    page.get_by_role("button", name={"en": "Why?", "zh": "为什么？"}[language]).click()
    kept = {"en": "First response: kept", "zh": "首次响应：已按时完成"}[language]
    expect(page.get_by_role("dialog")).to_contain_text(kept)
    page.keyboard.press("Escape")
    desk.post(f"/cases/{case['id']}/dismiss", {"outcome": "false_alarm", "reason": "a test"})
    expect(page.locator("#gate")).to_contain_text({"en": "Closed: false alarm", "zh": "已结案：误报"}[language])


def test_clocks_stand_still_with_a_reason_and_text_stays_text(desk: Desk) -> None:
    case = opened(desk, desk.terminals[6])
    page = desk.page(f"/console/case/{case['id']}")
    choose(page, "Stop the clocks…")
    form = page.get_by_role("dialog")
    form.get_by_label("What exactly").fill("<img src=x onerror=alert(1)> is shut")
    form.get_by_role("button", name="Stop the clocks").click()
    expect(page.locator("#clocks")).to_contain_text("The clocks stand still: waiting for the merchant")
    expect(page.locator("#timeline")).to_contain_text("<img src=x onerror=alert(1)> is shut")
    assert page.locator("#timeline img").count() == 0
    choose(page, "Let the clocks run")
    expect(page.locator("#clocks")).not_to_contain_text("stand still")
    desk.post(f"/cases/{case['id']}/dismiss", {"outcome": "false_alarm", "reason": "a test"})


def test_a_form_stays_open_while_its_case_changes(desk: Desk) -> None:
    case = opened(desk, desk.terminals[6])
    page = desk.page(f"/console/case/{case['id']}")
    page.get_by_role("button", name="Promise a time").click()
    form = page.get_by_role("dialog")
    form.get_by_label("Reason").fill("the part is late")
    desk.post(f"/cases/{case['id']}/acknowledge", {})
    expect(page.locator(".head .lights")).to_contain_text("acknowledged")
    expect(form.get_by_label("Reason")).to_have_value("the part is late")
    form.get_by_role("button", name="Promise a time").click()
    expect(page.locator("#promises li")).to_have_count(1)
    desk.post(f"/cases/{case['id']}/dismiss", {"outcome": "false_alarm", "reason": "a test"})


def test_what_was_done_opens_the_gate(desk: Desk) -> None:
    case = opened(desk, desk.terminals[7])
    page = desk.page(f"/console/case/{case['id']}", width=360)
    expect(page.locator("#gate")).to_contain_text("run a check that passes, or say that it is repaired")
    choose(page, "It is repaired…")
    form = page.get_by_role("dialog")
    form.get_by_label("What was done").click()
    page.get_by_role("option", name="cleaned").click()
    form.get_by_role("button", name="It is repaired").click()
    expect(page.locator("#gate")).to_contain_text("Watching until")
    expect(page.locator("#timeline")).to_contain_text("Done: cleaned")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    desk.post(f"/cases/{case['id']}/dismiss", {"outcome": "false_alarm", "reason": "a test"})


def test_a_file_is_attached_without_the_card_number_in_it(desk: Desk) -> None:
    case = opened(desk, desk.terminals[6])
    page = desk.page(f"/console/case/{case['id']}")
    file = {"name": "slip.txt", "mimeType": "text/plain", "buffer": b"card 4111111111111111, thank you"}
    page.set_input_files("input[type=file]", files=[file])
    link = page.get_by_role("link", name="slip.txt")
    expect(link).to_be_visible()
    body = desk.api.get(str(link.get_attribute("href"))).text
    assert "thank you" in body
    assert "4111111111111111" not in body
    desk.post(f"/cases/{case['id']}/dismiss", {"outcome": "false_alarm", "reason": "a test"})


def test_the_list_follows_and_takes_keys(desk: Desk) -> None:
    page = desk.page("/console/cases")
    case = opened(desk, desk.terminals[7], "reader/shutter_error")
    row = page.locator(f'.ag-row[row-id="{case["id"]}"]')
    expect(row).to_contain_text(f"C-{case['number']}")
    expect(row).to_contain_text("new")
    row.locator(".ag-cell").nth(1).focus()
    page.keyboard.press("a")
    wait_until(lambda: desk.get(f"/cases/{case['id']}")["owner"] == "admin")
    expect(row).to_contain_text("acknowledged")
    page.get_by_role("button", name="Undo").click()
    expect(row).to_contain_text("new")
    desk.post(f"/cases/{case['id']}/dismiss", {"outcome": "false_alarm", "reason": "a test"})
    expect(row).to_have_count(0)
    page = desk.page("/console/cases?state=closed", "zh")
    expect(page.locator(f'.ag-row[row-id="{case["id"]}"]')).to_contain_text("已结案")


def test_a_case_can_be_opened_by_hand(desk: Desk) -> None:
    estate, terminal = desk.terminals[6]
    page = desk.page("/console/cases?team=nobody")
    expect(page.get_by_text("No case with this filter")).to_be_visible()
    page.get_by_role("button", name="Open a case").click()
    form = page.get_by_role("dialog")
    form.get_by_label("Kind").click()
    page.get_by_role("option", name="Question").click()
    form.get_by_label("Estate").fill(estate)
    form.get_by_label("Terminal", exact=True).fill(terminal)
    form.get_by_label("What it is about").fill("How do I print twice?")
    form.get_by_role("button", name="Open a case").click()
    page.wait_for_url("**/console/case/*")
    expect(page.locator("h1")).to_contain_text("How do I print twice?")
    expect(page.get_by_role("button", name="Answer…")).to_be_visible()


def test_the_merchants_word_by_telephone_goes_on_and_a_link_is_withdrawn(desk: Desk) -> None:
    case = opened(desk, desk.terminals[5], "reader/sensor_error")
    page = desk.page(f"/console/case/{case['id']}")
    address = str(page.locator("[data-link]").text_content())
    page.get_by_role("button", name="Withdraw the link…").click()
    form = page.get_by_role("dialog")
    form.get_by_label("Reason").fill("sent to the wrong shop")
    form.get_by_role("button", name="Withdraw the link").click()
    expect(page.locator("#merchant")).to_contain_text("was withdrawn")
    assert desk.api.get(address).status_code == 404
    page.get_by_role("button", name="Make a new link").click()
    expect(page.locator("[data-link]")).not_to_have_text(address)

    choose(page, "The merchant answered by phone…")
    form = page.get_by_role("dialog")
    form.get_by_label("With whom").fill("Mrs Li")
    form.get_by_role("button", name="The merchant answered by phone").click()
    expect(page.locator("#timeline")).to_contain_text("The merchant says that it works")
    expect(page.locator("#timeline")).to_contain_text("by phone with Mrs Li, recorded by admin")
    expect(page.locator("#gate")).to_contain_text("Watching until")
    desk.post(f"/cases/{case['id']}/merchant_answer", {"works": False, "with_whom": "Mrs Li"})
    expect(page.locator("#timeline")).to_contain_text("The merchant says that it is still broken")
    expect(page.locator("#timeline")).to_contain_text("It came back")
    desk.post(f"/cases/{case['id']}/merchant_answer", {"works": True, "with_whom": "Mrs Li"})
    expect(page.locator("#gate")).to_contain_text("Watching until")
    desk.post(f"/cases/{case['id']}/dismiss", {"outcome": "false_alarm", "reason": "a test"})


def test_a_merchant_who_asks_for_a_call_is_seen_and_called(desk: Desk) -> None:
    case = opened(desk, desk.terminals[4], "reader/sensor_error")
    page = desk.page(f"/console/case/{case['id']}")
    merchant = desk.page(str(page.locator("[data-link]").text_content()), scripts=False)
    merchant.get_by_label("When and at which number?").fill("after five <img src=x onerror=alert(1)>")
    merchant.get_by_role("button", name="Call me back").click()
    expect(merchant.get_by_role("status")).to_contain_text("We will call you back.")
    expect(page.locator("#tasks")).to_contain_text("after five <img src=x onerror=alert(1)>")
    expect(page.locator("#timeline")).to_contain_text("The merchant asks to be called back")
    page.get_by_role("button", name="It is done…").click()
    page.get_by_role("dialog").get_by_role("button", name="It is done").click()
    expect(page.locator("#tasks")).to_have_count(0)
    merchant.reload()
    expect(merchant.get_by_role("button", name="Call me back")).to_be_visible()
    desk.post(f"/cases/{case['id']}/dismiss", {"outcome": "false_alarm", "reason": "a test"})


def test_an_owner_is_picked_from_those_who_may_have_it(desk: Desk) -> None:
    desk.post("/accounts", {"name": "kim", "roles": ["agent"], "scope": {}})
    desk.post("/accounts", {"name": "looker", "roles": ["viewer"], "scope": {}})
    case = opened(desk, desk.terminals[4], "reader/shutter_error")
    page = desk.page(f"/console/case/{case['id']}")
    for pick, outside, shown in (("kim", "", "kim"), ("", "Fast Repairs Ltd", "Fast Repairs Ltd")):
        choose(page, "Assign…")
        form = page.get_by_role("dialog")
        form.get_by_label("To whom").click()
        expect(page.get_by_role("option", name="admin")).to_be_visible()
        expect(page.get_by_role("option", name="looker")).to_have_count(0)
        page.get_by_role("option", name=pick or "nobody of the list").click()
        form.get_by_label("Or somebody without an account here").fill(outside)
        form.get_by_role("button", name="Assign").click()
        expect(page.locator(".head .facts")).to_contain_text(shown)
    desk.post(f"/cases/{case['id']}/dismiss", {"outcome": "false_alarm", "reason": "a test"})
