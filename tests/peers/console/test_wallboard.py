"""The wallboard, in a real browser: five numbers and a list, how old they are, and the way back after an outage."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.peers.console.stage import Desk

pytestmark = pytest.mark.peers


@pytest.mark.parametrize("language", ["en", "zh"])
def test_five_numbers_and_a_list_that_follow(desk: Desk, language: str) -> None:
    _, terminal = desk.terminals[6]
    page = desk.page("/console/wallboard", language)
    assert "token" not in page.url
    heading = {"en": "Can merchants sell?", "zh": "商户能收款吗？"}[language]
    expect(page.get_by_role("heading", level=1)).to_have_text(heading)
    expect(page.locator(".wall .tile .figure")).to_have_count(5)
    assert sum(map(int, page.locator(".wall .tile .figure").all_inner_texts())) >= len(desk.terminals)
    desk.fault(terminal, "printer/paper_out")
    incident = desk.incident(terminal, "printer/paper_out")["id"]
    expect(page.locator(f'a[href="/console/incident/{incident}"]')).to_be_visible()
    expect(page.locator(".wall-age")).to_contain_text({"en": "s old", "zh": "秒前"}[language])
    desk.fault(terminal, "printer/paper_out", "cleared")


def test_it_says_that_it_is_old_and_comes_back_by_itself(desk: Desk) -> None:
    page = desk.page("/console/wallboard")
    page.clock.install()
    page.reload()
    expect(page.locator(".wall-age")).to_contain_text("data is")
    page.evaluate("window.mark = 'the page before'")
    page.evaluate("window.socket.disconnect()")  # nothing comes in any more
    page.clock.fast_forward(25_000)
    expect(page.locator(".wall.old .wall-age")).to_contain_text("OUT OF DATE")
    page.route("**/healthz", lambda route: route.abort())
    with page.expect_event("requestfailed", lambda request: request.url.endswith("/healthz")):
        page.clock.fast_forward(60_000)
    assert page.evaluate("window.mark") == "the page before"  # it waits for the center, and not at an error page
    page.unroute("**/healthz")
    with page.expect_navigation():
        page.clock.fast_forward(30_000)
    expect(page.locator(".wall:not(.old) .wall-age")).to_contain_text("data is")
    desk.errors.clear()  # the requests that this test refused
