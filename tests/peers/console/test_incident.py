"""The page of an incident in a real browser: what it says, and what can be done from there."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.peers.console.stage import Desk, choose
from tests.wait import wait_until

pytestmark = pytest.mark.peers

COVER = "printer/cover_open"


@pytest.mark.parametrize("language", ["en", "zh"])
def test_it_tells_the_verdict_its_evidence_and_what_to_do(desk: Desk, language: str) -> None:
    estate, terminal = desk.terminals[8]
    desk.fault(terminal, COVER)
    incident = desk.incident(terminal, COVER)
    page = desk.page(f"/console/incident/{incident['id']}", language)
    told = desk.get(f"/incidents/{incident['id']}/sheet", language=language)
    expect(page.locator("h1")).to_have_text(told["title"])
    expect(page.locator(".sentence")).to_contain_text(terminal)
    proof = page.locator("#evidence .proofs > li").first
    for name, value in told["evidence"][0]["evidence"].items():
        expect(proof).to_contain_text(f"{name}{value}")
    expect(proof.get_by_role("link", name=terminal)).to_have_attribute("href", f"/console/terminal/{estate}/{terminal}")
    page.get_by_role("button", name={"en": "Why?", "zh": "为什么？"}[language]).click()
    measured = {"en": f"Measured: {terminal} read this", "zh": f"实测：{terminal} 直接从"}[language]
    expect(page.get_by_role("dialog")).to_contain_text(measured)
    page.keyboard.press("Escape")
    for step in told["merchant"]["steps"]:
        expect(page.locator("#merchant li", has_text=step)).to_be_visible()
    expect(page.locator("#runbook")).to_contain_text(told["runbook"]["look"])
    desk.fault(terminal, COVER, "cleared")
    over = {"en": "It is over at", "zh": "问题已消除"}[language]
    expect(page.locator(".sentence")).to_contain_text(over)


def test_it_is_acknowledged_with_a_way_back_and_becomes_a_case(desk: Desk) -> None:
    _, terminal = desk.terminals[9]
    desk.fault(terminal, "printer/cutter_error")
    incident = desk.incident(terminal, "printer/cutter_error")["id"]
    page = desk.page(f"/console/incident/{incident}")
    page.get_by_role("button", name="Acknowledge").click()
    expect(page.locator(".lights")).to_contain_text("acknowledged")
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".lights")).not_to_contain_text("acknowledged")
    page.get_by_role("button", name="Open a case").click()
    page.wait_for_url("**/console/case/*")
    expect(page.locator("h1")).to_contain_text("The paper or the cutter is stuck")
    page.get_by_role("link", name="open the incident").click()
    page.wait_for_url(f"**/console/incident/{incident}")
    expect(page.locator("#clocks")).to_contain_text("First response")
    expect(page.locator("#gate")).to_contain_text("The fault still stands")
    desk.fault(terminal, "printer/cutter_error", "cleared")
    expect(page.locator("#gate")).not_to_contain_text("The fault still stands")


def test_a_check_says_what_is_missing_where_nothing_can_be_signed(desk: Desk) -> None:
    _, terminal = desk.terminals[10]
    desk.fault(terminal, COVER)
    page = desk.page(f"/console/incident/{desk.incident(terminal, COVER)['id']}")
    page.get_by_role("button", name="Run a check now").click()
    form = page.get_by_role("dialog")
    form.get_by_role("button", name="Run a check now").click()
    expect(form.get_by_role("alert")).to_contain_text("posdiag pki command-key")
    desk.fault(terminal, COVER, "cleared")


def test_incidents_are_merged_by_hand_and_taken_apart_again(desk: Desk) -> None:
    names = [desk.terminals[number][1] for number in (8, 11)]
    for name in names:
        desk.fault(name, "printer/paper_out")
    part, whole = (desk.incident(name, "printer/paper_out")["id"] for name in names)
    page = desk.page(f"/console/incident/{part}")
    choose(page, "Merge into another…")
    form = page.get_by_role("dialog")
    form.get_by_label("It is a part of").click()
    page.get_by_role("option", name=names[1]).click()
    form.get_by_label("Reason").fill("one delivery of bad paper")
    form.get_by_role("button", name="Merge into another").click()
    wait_until(lambda: (desk.get(f"/incidents/{part}/sheet")["parent"] or {}).get("id") == whole)
    expect(page.locator("#relations")).to_contain_text("It is a part of")
    expect(page.locator("#timeline")).to_contain_text("one delivery of bad paper")
    page.get_by_role("button", name="Undo").click()
    wait_until(lambda: desk.get(f"/incidents/{part}/sheet")["parent"] is None)
    for name in names:
        desk.fault(name, "printer/paper_out", "cleared")


def test_the_merchants_of_an_incident_are_counted_before_they_are_written_to(desk: Desk) -> None:
    estate, terminal = desk.terminals[11]
    desk.post("/sites/import", [{"estate": estate, "site": "s-dark", "contacts": [{"mail": "li@example.org"}]}])
    desk.post("/places/import", [{"estate": estate, "terminal": terminal, "site": "s-dark"}])
    desk.fault(terminal, COVER)
    incident = desk.incident(terminal, COVER)
    page = desk.page(f"/console/broadcasts/new?incident={incident['id']}")
    expect(page.get_by_role("link", name=incident["title"])).to_be_visible()
    expect(page.locator(".reach")).to_contain_text("1 site with 1 terminal")
    page.goto(f"/console/site/{estate}/s-dark")
    page.get_by_role("button", name="Why?").click()
    expect(page.get_by_role("dialog")).to_contain_text(terminal)
    desk.fault(terminal, COVER, "cleared")
    desk.post("/places/import", [{"estate": estate, "terminal": terminal}])
