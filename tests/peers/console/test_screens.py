"""Every screen, in both languages: it stands, nothing is cut off however narrow, and axe-core finds no serious fault."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Route, expect

from center.console.admin import PARTS
from tests.peers.console import stage
from tests.peers.console.stage import Desk
from tests.peers.console.test_refused import path_of, screens
from tests.wait import wait_until

pytestmark = pytest.mark.peers

SCREENS = [each for each in screens() if not each.startswith("/admin")] + [f"/admin/{part}" for part in PARTS]
SEEN = [
    (where, language)
    for number, where in enumerate(SCREENS)
    for language in ("en", "zh")
    if not where.startswith("/admin") or language == ("en", "zh")[number % 2]
]
"""The parts of the administration are alike: each is looked at in one language."""
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
def shared_desk(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """One of its own: it holds one of everything."""
    with stage.desk(tmp_path_factory.mktemp("desk"), browser) as made:
        yield made


@pytest.fixture(scope="module")
def busy(shared_desk: Desk) -> Desk:
    """A fleet with a few faults, so that screens have something to show."""
    for (_, name), key in zip(shared_desk.terminals[6:9], WRONG, strict=True):
        shared_desk.fault(name, key)
        shared_desk.incident(name, key)
    return shared_desk


@pytest.fixture(scope="module")
def named(busy: Desk) -> dict[str, str]:
    """Screens of one thing, each with one that there is and that has something to show."""
    estate, terminal = busy.terminals[6]
    week = {day: [["08:00", "20:00"]] for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")}
    people = [{"name": "Li Na", "role": "owner", "phone": "+86 10 1234", "mail": "li@example.org"}]
    about = {"name": "Bund 18", "address": "Long Road 5", "lat": 31.2, "lon": 121.5, "hours": week, "contacts": people}
    busy.post("/sites/import", [about | {"estate": estate, "site": "s-seen", "timezone": "Asia/Shanghai"}])
    busy.post("/places/import", [{"estate": estate, "terminal": terminal, "site": "s-seen", "region": "east"}])
    incident = busy.incident(terminal, WRONG[0])["id"]
    case = busy.post(f"/incidents/{incident}/case")["id"]
    busy.post(f"/cases/{case}/eta", {"eta": "2031-05-06T07:08:00Z"})
    busy.post(f"/cases/{case}/note", {"text": "What a colleague noted. " * 20})
    plan = {"name": "Look", "kind": "check", "reason": "to know", "audience": {"terminals": [terminal]}}
    campaign = busy.post("/campaigns", plan | {"waves": [{"share": 1.0}], "halt_share": 1.0})["id"]
    say = {"texts": {"en": "The network is down.", "zh": "网络故障。"}, "audience": {"sites": ["s-seen"]}}
    names = {
        "/incident/{name}": incident,
        "/case/{name}": case,
        "/campaign/{name}": campaign,
        "/broadcast/{name}": busy.post("/broadcasts", say)["id"],
        "/terminal/{estate}/{name}": terminal,
        "/site/{estate}/{name}": "s-seen",
    }
    return {where: path_of(where, estate=estate, name=name) for where, name in names.items()}


@pytest.mark.parametrize(("where", "language"), SEEN)
def test_screen(named: dict[str, str], desk: Desk, where: str, language: str) -> None:
    theme = "dark" if language == "zh" else "light"
    page = desk.page(named.get(where) or path_of(where), language, theme=theme)
    page.wait_for_load_state("networkidle")
    assert page.evaluate("document.documentElement.lang") == {"en": "en", "zh": "zh-CN"}[language]
    assert grave(page) == []
    for width in (768, 360):
        page.set_viewport_size({"width": width, "height": 780})
        page.wait_for_timeout(100)  # for what is laid out behind the change
        wait_until(lambda width=width: page.evaluate("document.scrollingElement.scrollWidth") <= width)


@pytest.mark.parametrize(("language", "theme", "title"), [("en", "light", "Fault queue"), ("zh", "dark", "故障队列")])
def test_which_screen_it_will_be_can_be_read_before_the_scripts_are(
    desk: Desk, language: str, theme: str, title: str
) -> None:
    page = desk.page("/console/queue", language, theme=theme)
    assert page.locator(".opening").count() == 0  # its time is over
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/nicegui.js", hold)
    page.goto("/console/queue", wait_until="commit")
    opening = page.locator(".opening")
    expect(opening.get_by_text(title, exact=True)).to_be_visible()
    assert opening.evaluate("(it) => getComputedStyle(it).backgroundColor") == ground
    held[0].continue_()
    page.wait_for_selector("h1")
    expect(opening).to_have_count(0)


@pytest.mark.parametrize(
    ("language", "told"), [("en", "The console needs JavaScript"), ("zh", "控制台需要 JavaScript")]
)
def test_a_browser_without_scripts_is_told_what_is_lacking(desk: Desk, language: str, told: str) -> None:
    page = desk.page("/login/password", language, scripts=False)
    page.goto("/console/queue")
    lacking = page.get_by_text(told)
    expect(lacking).to_have_css("opacity", "0")  # whoever has scripts does not read of them
    expect(lacking).to_have_css("opacity", "1")


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
