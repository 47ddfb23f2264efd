"""Every screen, in both languages: it stands, nothing is cut off on a phone, and axe-core finds no serious fault."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from center.console import shell
from tests.peers.console.stage import Desk

pytestmark = pytest.mark.peers

PATHS = [where for _, where, _, _ in shell.MENU]
WRONG = ("printer/paper_out", "printer/cover_open", "printer/paper_near_end")
SEVERE = {"serious", "critical"}
NOT_OURS = {
    "aria-required-children",  # AG Grid's body of no rows
    "nested-interactive",  # Quasar's select has its input inside of a combobox
}


def grave(page: Page) -> list[str]:
    found: list[dict[str, Any]] = Axe().run(page).response["violations"]
    return [
        f"{each['id']}: {node['html'][:160]} {node['failureSummary'][:160]}"
        for each in found
        if each["impact"] in SEVERE and each["id"] not in NOT_OURS
        for node in each["nodes"][:3]
    ]


@pytest.fixture(scope="module")
def busy(shared_desk: Desk) -> Iterator[Desk]:
    """A fleet with a few faults, so that screens have something to show."""
    wrong = list(zip((name for _, name in shared_desk.terminals[6:9]), WRONG, strict=True))
    for name, key in wrong:
        shared_desk.fault(name, key)
        shared_desk.incident(name, key)
    yield shared_desk
    for name, key in wrong:
        shared_desk.fault(name, key, "cleared")


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("path", PATHS)
def test_screen(busy: Desk, desk: Desk, path: str, language: str) -> None:
    theme = "dark" if language == "zh" else "light"
    page = desk.page(path, language, theme=theme)
    page.wait_for_load_state("networkidle")
    assert page.evaluate("document.documentElement.lang") == {"en": "en", "zh": "zh-CN"}[language]
    assert grave(page) == []
    page.set_viewport_size({"width": 360, "height": 780})
    page.wait_for_timeout(200)
    wide = page.evaluate("document.scrollingElement.scrollWidth")
    assert wide <= 360, f"{wide} px wide on a phone"


def test_what_a_terminal_says_is_never_code(busy: Desk, desk: Desk) -> None:
    """A site's name is text, wherever it stands."""
    estate, terminal = desk.terminals[6]
    evil = '<img src=x onerror="window.evil=1"><script>window.evil=1</script>'
    desk.post("/sites/import", [{"estate": estate, "site": "evil", "name": evil}])
    for path in (f"/console/site/{estate}/evil", "/console/sites", "/console/queue"):
        page = desk.page(path)
        page.wait_for_load_state("networkidle")
        assert page.evaluate("window.evil") is None, path
    assert terminal
