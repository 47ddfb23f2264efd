"""Every screen in Chinese, with faults raised: nothing that people read is in another language, but for names and code."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from center.console import shell
from tests.peers.console import stage
from tests.peers.console.latin import latin
from tests.peers.console.stage import Desk

pytestmark = pytest.mark.peers

WRONG = ("printer/paper_out", "printer/cutter_error", "reader/card_jam")
DATA = ("demo", "mobile", "telecom", "unicom", "east", "west", "north", "south")
"""Names that the fleet gives to estates, operators and regions."""
DEVICES = ("printer", "reader", "keypad", "modem", "cutter", "slot", "jam", "error", "raw", "specific", "file")
"""Names of devices at the terminal, and what it read from one."""
MAKERS = ("CUSTOM", "EPSON", "Gemplus", "SZZT")


@pytest.fixture(scope="module")
def shared_desk(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """One of its own: what other tests have typed is in no language of ours."""
    with stage.desk(tmp_path_factory.mktemp("desk"), browser) as made:
        yield made


@pytest.fixture(scope="module")
def busy(shared_desk: Desk) -> tuple[str, str]:
    """Estate and name of a terminal with a fault; others have other faults."""
    places = shared_desk.terminals[9:12]
    for (_, name), key in zip(places, WRONG, strict=True):
        shared_desk.fault(name, key)
        shared_desk.incident(name, key)
    return places[1]


def _opened(desk: Desk, path: str) -> Page:
    page = desk.page(path, "zh")
    page.wait_for_load_state("networkidle")
    for folded in page.locator("details").all():
        folded.evaluate("(element) => { element.open = true }")
    return page


@pytest.mark.parametrize("path", [where for _, where, _, _ in shell.MENU])
def test_a_screen_speaks_chinese_alone(busy: tuple[str, str], desk: Desk, path: str) -> None:
    assert busy
    assert latin(_opened(desk, path), *DATA) == []


@pytest.mark.parametrize(
    "path", [f"knowledge/{WRONG[1]}/tries?remedy=cleaned", "reports/cases?of=deadline_solve&met=yes"]
)
def test_a_list_behind_a_figure_speaks_chinese(desk: Desk, path: str) -> None:
    assert latin(_opened(desk, f"/console/{path}"), *DATA) == []


def test_a_fault_is_told_in_chinese_on_every_page_that_leads_to_it(busy: tuple[str, str], desk: Desk) -> None:
    estate, terminal = busy
    about = {"estate": estate, "terminal": terminal, "kind": "fault", "title": "?", "fault": WRONG[1]}
    case = desk.post("/cases", about | {"channel": "agent"})
    incident = desk.incident(terminal, WRONG[1])
    for path in (
        f"terminal/{estate}/{terminal}",
        f"incident/{incident['id']}",
        f"case/{case['id']}",
        f"knowledge/{WRONG[1]}",
        "broadcasts/new",
        "campaigns/new",
        f"print/terminal/{estate}/{terminal}?lang=zh",
        f"print/case/{case['id']}?lang=zh",
    ):
        page = _opened(desk, f"/console/{path}")
        assert latin(page, *DATA, *DEVICES, *MAKERS) == [], path
        page.close()
