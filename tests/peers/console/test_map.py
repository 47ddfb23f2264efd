"""The map, in a real browser: marks with shape and number, the same as a list, and nothing from elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Route, expect

from tests.peers.console import stage
from tests.peers.console.stage import Desk
from tests.wait import wait_until

pytestmark = pytest.mark.peers

HERE, THERE = (31.23, 121.47), (39.9, 116.4)


@pytest.fixture
def placed(desk: Desk) -> dict[str, str]:
    """The site of each terminal; the first is in one city, the others in another, and one has a name like HTML."""
    sites = list(dict.fromkeys((place.estate, place.site) for place in desk.fleet.places))
    rows = [
        {
            "estate": estate,
            "site": site,
            "name": "<b>Corner</b> shop" if number == 0 else f"Shop {number}",
            "lat": (HERE if number == 0 else THERE)[0],
            "lon": (HERE if number == 0 else THERE)[1] + number / 100,
        }
        for number, (estate, site) in enumerate(sites)
    ]
    desk.post("/sites/import", rows)
    names = ("estate", "terminal", "site", "operator", "region")
    places = [{name: getattr(place, name) for name in names if getattr(place, name)} for place in desk.fleet.places]
    desk.post("/places/import", places)
    return {place.terminal: place.site for place in desk.fleet.places}


@pytest.mark.parametrize(("language", "well"), [("en", "none affected"), ("zh", "无受影响")])
def test_marks_say_in_words_what_they_are_and_nothing_comes_from_elsewhere(
    desk: Desk, placed: dict[str, str], language: str, well: str
) -> None:
    page = desk.page("/console/map", language)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.reload()
    shop = page.locator('.map-place[aria-label^="<b>Corner</b> shop"]')
    expect(shop).to_have_attribute("aria-label", re.compile(well))
    expect(page.locator(".shares tbody tr").first.locator(".light")).to_contain_text("%")
    expect(page.locator(".map-legend")).to_contain_text(well)
    assert asked
    assert all(url.startswith((desk.address, desk.address.replace("http", "ws"))) for url in asked)
    assert placed


def test_a_mark_follows_and_leads_to_its_site(desk: Desk, placed: dict[str, str]) -> None:
    first = next(iter(placed))
    at_site = [terminal for terminal, site in placed.items() if site == placed[first]]
    page = desk.page("/console/map")
    shop = page.locator('.map-place[aria-label^="<b>Corner</b> shop"]')
    expect(shop.locator(".level-0 .number")).to_have_text("0%", timeout=60_000)
    for terminal in at_site:
        desk.fault(terminal, "system/payment_app_down")
    expect(shop.locator(".level-2 .number")).to_have_text("100%", timeout=60_000)
    for terminal in at_site:
        desk.fault(terminal, "system/payment_app_down", "cleared")
    wait_until(lambda: desk.get("/overview")["cannot_sell"] == 0)
    shop.focus()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/console/site/*/{placed[first]}")


@pytest.mark.parametrize(("language", "title"), [("en", "Operator"), ("zh", "运营商")])
def test_the_switch_and_the_list_lead_on(desk: Desk, placed: dict[str, str], language: str, title: str) -> None:
    page = desk.page("/console/map", language)
    page.locator(".switch").get_by_role("link", name=title).click()
    page.wait_for_url("**/console/map?by=operator")
    operators = {row["key"] for row in desk.get("/overview/shares", by="operator")["items"]} - {None}
    shown = page.locator(".shares tbody a[href*='key=']")
    expect(shown).to_have_count(len(operators))
    name = shown.first.inner_text()
    shown.first.click()
    page.wait_for_url(f"**/console/map?by=operator&key={name}")
    sites = {each["site"] for each in desk.get("/overview/map", by="operator", key=name)["items"]}
    links = page.locator(".shares tbody a[href^='/console/site/']")
    expect(links).to_have_count(len(sites))
    assert {each.rpartition("/")[2] for each in links.evaluate_all("all => all.map(a => a.href)")} == sites
    assert sites <= set(placed.values())


def test_a_region_that_nobody_has_teaches(desk: Desk) -> None:
    page = desk.page("/console/map?by=region&key=nowhere")
    expect(page.locator(".map-columns").get_by_text("No site has a place on the map yet").first).to_be_visible()


def test_a_region_leads_to_its_faults_in_the_queue(desk: Desk, placed: dict[str, str]) -> None:
    region = desk.get("/overview/shares", by="region")["items"][0]["key"]
    terminal = next(place.terminal for place in desk.fleet.places if place.region == region)
    desk.fault(terminal, "printer/cutter_error")
    incident = desk.incident(terminal, "printer/cutter_error")["id"]
    page = desk.page(f"/console/map?by=region&key={region}")
    page.get_by_role("link", name="its faults in the queue").click()
    expect(page.locator(f'.ag-row[row-id="{incident}"]')).to_be_visible()
    page.goto("/console/queue?region=nowhere")
    expect(page.get_by_text("Nothing with this filter")).to_be_visible()
    page.get_by_role("link", name="only region nowhere").click()
    expect(page.locator(f'.ag-row[row-id="{incident}"]')).to_be_visible()
    desk.fault(terminal, "printer/cutter_error", "cleared")
    assert placed


TILE = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89"
    b"\x00\x00\x00\rIDATx\x9cc\xf8\xff\xff\xff\x7f\x00\t\xfb\x03\xfd*\x86\xe3\x8a\x00\x00\x00\x00IEND\xaeB`\x82"
)


def test_pictures_come_from_the_server_of_the_settings_alone(browser: Browser, tmp_path: Path) -> None:
    settings = 'map_tiles = "https://tiles.example.org/{z}/{x}/{y}.png"\nmap_attribution = "© <b>Maps</b> & Co"\n'
    with stage.desk(tmp_path, browser, 2, settings) as desk:
        place = desk.fleet.places[0]
        desk.post("/sites/import", [{"estate": place.estate, "site": place.site, "lat": HERE[0], "lon": HERE[1]}])
        desk.post("/places/import", [{"estate": place.estate, "terminal": place.terminal, "site": place.site}])
        page = desk.page("/console/")
        asked: list[str] = []

        def tile(route: Route) -> None:
            asked.append(route.request.url)
            route.fulfill(body=TILE, content_type="image/png")

        page.route("https://tiles.example.org/**", tile)
        page.goto("/console/map")
        expect(page.locator("img.leaflet-tile-loaded").first).to_be_attached()
        assert asked
        expect(page.locator(".leaflet-control-attribution")).to_contain_text("© <b>Maps</b> & Co")
        expect(page.locator(".map-place")).to_have_count(1)
        assert page.locator(".map-line").count() == 0
        headers = {
            path: desk.api.get(path).headers["content-security-policy"] for path in ("/console/map", "/console/queue")
        }
        assert ["tiles.example.org" in each for each in headers.values()] == [True, False]
        assert desk.errors == []
