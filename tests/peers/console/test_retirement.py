"""Terminals out of the fleet, and contacts that may not be reached, in a real browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.peers.console.stage import Desk

pytestmark = pytest.mark.peers


def test_a_terminal_in_contact_is_not_retired_and_a_doubtful_contact_is_named(desk: Desk) -> None:
    estate, here = desk.terminals[7]
    page = desk.page(f"/console/terminal/{estate}/{here}", "zh")
    page.get_by_role("button", name="停用此终端").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("原因 *").fill("进水")
    dialog.get_by_role("button", name="停用此终端").click()
    expect(dialog).to_contain_text("终端仍有联系")

    site = {"estate": estate, "site": "s-old", "contacts": [{"name": "Wu", "phone": "13900000000"}]}
    desk.post("/sites/import", [site])
    page = desk.page(f"/console/site/{estate}/s-old")
    expect(page.locator("#doubtful")).to_contain_text("nobody was spoken to there yet")
