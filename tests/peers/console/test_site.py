"""The page of one site in a real browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.peers.console.stage import Desk

pytestmark = pytest.mark.peers

HOSTILE = '<img src=x onerror="document.title=1">'


def _site(desk: Desk, name: str = "Noodle House") -> tuple[str, str, str]:
    """A site with one terminal: estate, site, terminal."""
    estate, terminal = desk.terminals[8]
    about = {
        "estate": estate,
        "site": "s-noodle",
        "name": name,
        "timezone": "Asia/Shanghai",
        "hours": {day: [["00:00", "24:00"]] for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")},
        "contacts": [{"name": "Li Na", "role": "owner", "phone": "+86 10 1234", "mail": "javascript:alert(1)"}],
    }
    desk.post("/sites/import", [about])
    desk.post("/places/import", [{"estate": estate, "terminal": terminal, "site": "s-noodle"}])
    return estate, "s-noodle", terminal


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_site_shows_its_terminals_people_and_hours(desk: Desk, language: str) -> None:
    estate, site, terminal = _site(desk)
    page = desk.page(f"/console/site/{estate}/{site}", language)
    expect(page.get_by_role("heading", level=1)).to_have_text("Noodle House")
    expect(page.locator(".sentence")).to_have_text(
        {"en": "Every terminal here can sell.", "zh": "本店所有终端都能收款。"}[language]
    )
    expect(page.locator("#contacts").get_by_role("link", name="+86 10 1234")).to_have_attribute("href", "tel:+86101234")
    expect(page.locator("#contacts").get_by_role("link")).to_have_count(1)
    expect(page.locator("#hours")).to_contain_text({"en": "open now", "zh": "营业中"}[language])
    desk.fault(terminal, "printer/paper_out")
    expect(page.locator("#terminals")).to_contain_text({"en": "paper roll is empty", "zh": "打印纸用完了"}[language])
    expect(page.locator("#incidents")).to_contain_text({"en": "paper roll is empty", "zh": "打印纸用完了"}[language])
    page.locator("#terminals").get_by_role("link", name=terminal).click()
    page.wait_for_url(f"**/console/terminal/{estate}/{terminal}")
    desk.fault(terminal, "printer/paper_out", "cleared")


def test_the_merchant_is_written_to_within_a_case(desk: Desk) -> None:
    estate, site, _ = _site(desk)
    page = desk.page(f"/console/site/{estate}/{site}")
    page.get_by_role("button", name="Write to the merchant").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Subject of a new case").fill("Work on the network tonight")
    dialog.get_by_label("What the merchant reads").fill("From 2 to 4 the network is down.")
    dialog.get_by_role("button", name="Write to the merchant").click()
    expect(page.locator(".snack")).to_contain_text("The merchant has been told")
    found = desk.get("/cases", estate=estate, site=site)["items"][0]
    assert found["title"] == "Work on the network tonight"
    steps = desk.get(f"/cases/{found['id']}")["steps"]
    assert [each["text"] for each in steps if each["kind"] == "message"] == ["From 2 to 4 the network is down."]
    expect(page.locator("#cases")).to_contain_text("Work on the network tonight")


def test_what_a_person_wrote_is_never_html(desk: Desk) -> None:
    estate, site, terminal = _site(desk, HOSTILE)
    page = desk.page(f"/console/site/{estate}/{site}")
    expect(page.get_by_role("heading", level=1)).to_have_text(HOSTILE)
    page.goto(f"{desk.address}/console/sites")
    expect(page.get_by_text(HOSTILE)).to_be_visible()
    page.goto(f"{desk.address}/console/terminal/{estate}/{terminal}")
    expect(page.get_by_role("link", name=HOSTILE)).to_be_visible()
    assert page.locator("#content img").count() == 0
    _site(desk)
