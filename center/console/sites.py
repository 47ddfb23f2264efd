"""The list of all sites, loaded a piece at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from nicegui import ui

from center.console import parts
from center.console.app import screen
from center.console.listing import FIRST, Listing
from center.console.parts import Column, Table
from center.console.session import Visit, lead_to
from center.db.feed import Change


@screen("/sites", "site")
async def build(visit: Visit, region: str = "", operator: str = "", estate: str = "") -> None:
    asked = {name: value for name, value in {"region": region, "operator": operator, "estate": estate}.items() if value}
    page = await visit.api.get("/sites", limit=FIRST, **asked)
    parts.heading(visit.say("site.title"), visit.say("site.about"))
    _filters(visit, asked)
    table = Table(
        visit,
        [
            Column("name", visit.say("site.name"), flex=2, width=140),
            Column("site", visit.say("site.number"), width=130, yields=2),
            Column("address", visit.say("site.address"), flex=3, width=180, yields=3),
            Column("region", visit.say("site.region"), width=120, yields=1),
            Column("trade", visit.say("site.trade"), width=120, yields=4),
            Column("timezone", visit.say("site.zone"), width=150, yields=6),
            Column("estate", visit.say("site.estate"), width=110, yields=5),
        ],
        [_row(each) for each in page["items"]],
        title=visit.say("site.title"),
        height="max(24rem, calc(100vh - 18rem))",
    )
    nothing = "site.none_filtered" if asked else "site.none"
    below = Listing(visit, table, "/sites", asked, page["next"], _row, "site", nothing)

    async def changed(_changes: Sequence[Change]) -> None:
        await below.begin()

    visit.follow({"site", "terminal"}, changed)


def _row(told: Mapping[str, Any]) -> dict[str, Any]:
    plain = {name: told[name] or "" for name in ("site", "address", "region", "trade", "timezone", "estate")}
    where = f"/console/site/{quote(told['estate'], safe='')}/{quote(told['site'], safe='')}"
    return plain | {"id": f"{told['estate']}/{told['site']}", "name": told["name"] or told["site"], "where": where}


def _filters(visit: Visit, asked: Mapping[str, str]) -> None:
    def go(name: str, value: str | None) -> None:
        wanted = {each: text for each, text in {**asked, name: (value or "").strip()}.items() if text}
        lead_to("/console/sites" + (f"?{urlencode(wanted)}" if wanted else ""))

    with ui.element("div").classes("bar filters"):
        for name in ("region", "operator"):
            field = ui.input(visit.say(f"site.{name}"), value=asked.get(name, ""))
            field.props("outlined dense clearable").classes("pick").mark(f"filter-{name}")
            field.on("keydown.enter", lambda name=name, field=field: go(name, field.value))
            field.on("clear", lambda name=name: go(name, ""))
        if asked:
            parts.link("/console/sites", visit.say("terminal.clear"))
