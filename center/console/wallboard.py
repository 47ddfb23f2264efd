"""The wallboard: five numbers and one list to be read across a room, and how old they are.

What it shows is kept up by the page itself (static/wallboard.js): it tells the age of what it has, marks it when it is
old, and comes back by itself once the center or the network is back. It is seen with a session, never with a token.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from nicegui import ui

from center.console import parts
from center.console.app import AT, screen
from center.console.glance import Get, Lines, Numbers, Pace, Slot, incident_line, shared
from center.console.session import Visit

_LINES: Final = 8
_IDLE_S: Final = 5.0
_LOOKED_S: Final = 30


@screen("/wallboard", "wallboard")
async def build(visit: Visit) -> None:
    told = await _ask(visit, visit.api.get)
    wall = _Wall(visit)
    wall.show(*told)

    async def refresh() -> None:
        wall.show(*await _ask(visit, partial(shared, visit)))

    Pace(visit, {"incident", "case"}, refresh, _IDLE_S)


async def _ask(visit: Visit, get: Get) -> tuple[Any, Any, Any]:
    return await asyncio.gather(get("/overview"), get("/queue", limit=_LINES, language=visit.language), get("/center"))


class _Wall:
    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._beats = 0
        say = visit.say
        ui.add_head_html(f'<script src="{AT}/static/wallboard.js" defer></script>')
        with ui.element("div").classes("wall") as self._wall:
            with ui.element("div").classes("wall-top"):
                parts.text("h1", say("wallboard.heading"))
                parts.text("span", "").classes("wall-clock").props('aria-hidden="true"')
                self._age = parts.text("span", say("wallboard.fresh")).classes("wall-age")
                self._age.props["data-words"] = say("wallboard.age", n="{n}")
                self._age.props["data-lost"] = say("wallboard.lost", n="{n}")
            self._numbers = Numbers(visit)
            self._center = Slot(ui.element("div"), "wall-center")
            parts.text("h2", say("wallboard.worst"))
            self._lines = Lines(visit, _LINES)
            self._well = Slot(ui.element("p"))
            with ui.element("p").classes("wall-foot"):
                parts.link("/console/", say("wallboard.back"))

    def show(self, overview: Mapping[str, Any], queue: Mapping[str, Any], center: Mapping[str, Any]) -> None:
        """Show it, and tell the page that this is new."""
        visit = self._visit
        self._numbers.show(overview)
        self._lines.show([incident_line(visit, each) for each in queue["items"]])
        well = not queue["items"]
        self._well.show(well, lambda: _said(visit.say("wallboard.well")) if well else None)
        troubles = tuple(_troubles(visit, overview, center))
        self._center.show(troubles, lambda: _troubled(visit, troubles))
        self._beats += 1
        self._age.props["data-beat"] = str(self._beats)


def _said(words: str) -> None:
    parts.text("span", words)


def _troubled(visit: Visit, troubles: Sequence[str]) -> None:
    for words in troubles:
        with parts.link("/console/#center").classes("banner look-bad"):
            parts.light(visit, "stale", visit.say("wallboard.center"))
            parts.text("span", visit.say("wallboard.trouble", what=words))


def _troubles(visit: Visit, overview: Mapping[str, Any], center: Mapping[str, Any]) -> list[str]:
    """What makes the numbers themselves doubtful: the center's own trouble, or that nobody looks at it."""
    watch = next((part for part in center["parts"] if part["name"] == "selfwatch"), None)
    if watch is None or watch["age_s"] > _LOOKED_S:
        return [visit.say("now.never_watched" if watch is None else "wallboard.not_watched")]
    kinds = dict.fromkeys(key.partition(":")[0] for key in overview["center"])
    return [visit.word(f"now.reading_{kind}", kind) for kind in kinds]
