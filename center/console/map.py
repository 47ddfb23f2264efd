"""The map: which share of the terminals is out of contact or cannot sell, by region or operator, and a list beside it.

Without tiles in the settings nothing comes from elsewhere, and a grid lies below the marks, which static/map.js draws.
All of it can be read in the list.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from html import escape
from typing import Any, Final
from urllib.parse import quote, urlencode

from nicegui import ui

from center.console import parts
from center.console.app import AT, screen
from center.console.glance import Get, Pace, Slot, shared
from center.console.session import Visit

MANY: Final = 0.2
"""From this share on many are affected."""
_BY: Final = ("region", "operator")
_LEVELS: Final = ("ok", "degraded", "no", "unknown")
_UNSURE: Final = 0.5
"""Where of so many it is not known whether they sell, that none is known to be affected is no good news."""
_LISTED: Final = 50
_PACE_S: Final = 5.0
_IDLE_S: Final = 30.0

Rows = Sequence[Mapping[str, Any]]


@screen("/map", "map")
async def build(visit: Visit, by: str = "region", key: str = "") -> None:
    by = by if by in _BY else _BY[0]

    async def ask(get: Get) -> tuple[Any, Any]:
        return await asyncio.gather(get("/overview/shares", by=by), get("/overview/map", by=by, key=key or None))

    shares = await visit.api.get("/overview/shares", by=by)
    parts.heading(visit.say("map.title"), visit.say("map.about"))
    _switch(visit, by, key)
    if not shares["items"]:
        parts.empty(visit, "map.none")
        return
    with ui.element("div").classes("map-columns"):
        with parts.section(visit.say("map.picture")):
            picture = ui.element("div")
            unplaced = Slot(ui.element("div"))
        with parts.section(visit.say(f"map.list_{'sites' if key else by}")):
            beside = Slot(ui.element("div"))

    def show_shares(shares: Any) -> None:
        if not key:
            listed = tuple(tuple(each.values()) for each in shares["items"])
            beside.show(listed, lambda: _shares(visit, by, shares["items"]))

    def show_sites(told: Any) -> None:
        missing = told["unplaced"], told["cut"]
        unplaced.show(missing, lambda: _missing(visit, *missing))
        if key:
            listed = tuple((each["estate"], each["site"], *_counts(each)) for each in told["items"][:_LISTED])
            beside.show(listed, lambda: _sites(visit, by, key, told["items"]))

    async def draw() -> None:
        """Behind the page's back: thousands of sites come after the list can be read."""
        await visit.client.connected()
        told = await visit.api.get("/overview/map", by=by, key=key or None)
        with picture:
            marks = _Marks(visit, told["items"], labels=by == "region" and not key)
        show_sites(told)

        async def refresh() -> None:
            shares, told = await ask(partial(shared, visit))
            show_shares(shares)
            show_sites(told)
            marks.show(told["items"])

        Pace(visit, {"incident"}, refresh, _IDLE_S, _PACE_S)

    show_shares(shares)
    visit.once(draw)


class _Marks:
    """The picture. Only numbers that changed are sent again."""

    def __init__(self, visit: Visit, rows: Rows, *, labels: bool) -> None:
        self._at = {_name(row): number for number, row in enumerate(rows)}
        self._counts = [_counts(row) for row in rows]
        if not rows:
            parts.empty(visit, "map.empty")
            return
        told = {
            "sites": visit.say("map.sites", n="{n}"),
            "of": visit.say("map.of", bad="{bad}", all="{all}"),
            "levels": [visit.say(f"map.level_{each}") for each in _LEVELS],
            "many": MANY,
            "unsure": _UNSURE,
            "labels": labels,
            "grid": not visit.settings.map_tiles,
        }
        options = {"attributionControl": bool(visit.settings.map_attribution), "minZoom": 2, "maxZoom": 17}
        middle = (rows[0]["lat"], rows[0]["lon"])
        self._map = ui.leaflet(middle, 5, options=options, additional_resources=[f"{AT}/static/map.js"])
        self._map.clear_layers()  # the one that would fetch tiles from somebody whom nobody chose
        if visit.settings.map_tiles:
            about = {"attribution": escape(visit.settings.map_attribution), "maxZoom": 17}
            self._map.tile_layer(url_template=visit.settings.map_tiles, options=about)
        self._map.classes("map").props["aria-label"] = visit.say("map.picture")
        self._map.props["role"] = "region"
        self._layer = self._map.generic_layer(name="posdiagSites", args=[list(map(_row, rows)), told])
        with ui.element("ul").classes("map-legend"):
            for number, state in enumerate(_LEVELS):
                with ui.element("li"):
                    with ui.element("span").classes(f"map-mark small level-{number}").props('aria-hidden="true"'):
                        ui.element("span").classes("shape")
                    parts.text("span", visit.say(f"map.level_{state}"))
        parts.text("p", visit.say("map.legend")).classes("quiet")

    def show(self, rows: Rows) -> None:
        """Sites that are new meanwhile come with the next opening of the page."""
        changes = []
        for row in rows:
            at, counts = self._at.get(_name(row)), _counts(row)
            if at is not None and self._counts[at] != counts:
                self._counts[at] = counts
                changes.append([at, *counts])
                self._layer.args[0][at][2:5] = counts
        if changes:
            self._map.run_layer_method(self._layer.id, "put", changes)


def _name(row: Mapping[str, Any]) -> tuple[str, str, str | None]:
    return row["estate"], row["site"], row["key"]


def _counts(row: Mapping[str, Any]) -> tuple[int, int, int]:
    return row["terminals"], row["troubled"], row["unknown"]


def _row(row: Mapping[str, Any]) -> list[Any]:
    """As static/map.js reads it."""
    name, where = row["name"] or row["site"], _site(row)
    return [round(row["lat"], 5), round(row["lon"], 5), *_counts(row), name, where, row["key"]]


def _site(row: Mapping[str, Any]) -> str:
    return f"/console/site/{row['estate']}/{quote(row['site'], safe='')}"


def _switch(visit: Visit, by: str, key: str) -> None:
    with ui.element("div").classes("bar"):
        with ui.element("nav").classes("switch") as choice:
            choice.props["aria-label"] = visit.say("map.by")
            for each in _BY:
                shown = parts.link(f"/console/map?by={each}", visit.say(f"map.by_{each}")).mark(f"by-{each}")
                if each == by:
                    shown.props('aria-current="true"')
        if key:
            parts.text("span", f"{visit.say(f'map.only_{by}')} {key}").classes("empty-title")
            parts.link(f"/console/map?by={by}", visit.say("map.show_all"))
            query = urlencode({by: key})
            parts.link(f"/console/queue?{query}", visit.say("map.queue"))
            parts.link(f"/console/terminals?{query}", visit.say("map.terminals"))


def level(share: float, unknown: float) -> str:
    """How bad a share is, as a state with sign and word; `unknown` is the share of which nothing is known."""
    if share == 0:
        return "unknown" if unknown >= _UNSURE else "ok"
    return "degraded" if share < MANY else "no"


def _shares(visit: Visit, by: str, rows: Rows) -> None:
    with ui.element("table").classes("plain-table shares"):
        _head(visit, f"map.by_{by}")
        with ui.element("tbody"):
            for row in rows:
                key = row["key"]
                with ui.element("tr"):
                    with ui.element("td"):
                        if key:
                            parts.link(f"/console/map?{urlencode({'by': by, 'key': key})}", key)
                        else:
                            parts.text("span", visit.say(f"map.no_{by}")).classes("quiet")
                    _affected(visit, row)
                    with ui.element("td").classes("figures"):
                        if key:
                            parts.link(f"/console/terminals?{urlencode({by: key})}", f"{row['terminals']:,}")
                        else:
                            parts.text("span", f"{row['terminals']:,}")


def _sites(visit: Visit, by: str, key: str, rows: Rows) -> None:
    if not rows:
        parts.empty(visit, "map.empty")
        return
    with ui.element("table").classes("plain-table shares"):
        _head(visit, "map.site")
        with ui.element("tbody"):
            for row in rows[:_LISTED]:
                with ui.element("tr"):
                    with ui.element("td"):
                        parts.link(_site(row), row["name"] or row["site"])
                    with ui.element("td"):
                        _light(visit, row["troubled"] / row["terminals"], row)
                    with ui.element("td").classes("figures"):
                        at = urlencode({"estate": row["estate"], "site": row["site"]})
                        parts.link(f"/console/terminals?{at}", f"{row['terminals']:,}")
    if len(rows) > _LISTED:
        parts.link(f"/console/sites?{urlencode({by: key})}", visit.say("map.all_sites", n=len(rows)))


def _head(visit: Visit, first: str) -> None:
    with ui.element("thead"), ui.element("tr"):
        for title in (first, "map.affected", "map.count"):
            parts.text("th", visit.say(title)).props('scope="col"')


def _affected(visit: Visit, row: Mapping[str, Any]) -> None:
    with ui.element("td"):
        _light(visit, row["share"], row)
        named = {"no_contact": row["offline"], "cannot_sell": row["cannot_sell"], "unknown": row["unknown"]}
        said = [visit.say(f"map.n_{name}", n=n) for name, n in named.items() if n]
        if said:
            parts.text("div", " · ".join(said)).classes("quiet")


def _light(visit: Visit, share: float, row: Mapping[str, Any]) -> None:
    state = level(share, row["unknown"] / row["terminals"])
    percent = f"{100 * share:.0f} %" if share == 0 or share >= 0.01 else "< 1 %"
    parts.light(visit, state, visit.say("parts.unknown") if state == "unknown" else percent)


def _missing(visit: Visit, unplaced: int, cut: bool) -> None:
    if unplaced:
        parts.text("p", visit.say("map.unplaced", n=unplaced)).classes("quiet")
    if cut:
        parts.text("p", visit.say("map.cut")).classes("quiet")
