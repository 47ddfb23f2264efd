"""Terminals out of the fleet: on the page of one, whose place it took, and the way out; and at a site."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final
from urllib.parse import quote

from nicegui import ui

from center.console import parts
from center.console.listing import more
from center.console.parts import Field
from center.console.session import Visit

Row = Mapping[str, Any]
_PAGE: Final = 20


def on_terminal(visit: Visit, detail: Row, zone: str) -> None:
    """What there is to know and to do; nothing where there is neither."""
    last, before = detail["retired"], detail["predecessors"]
    is_out = last is not None and last["returned_at"] is None
    may = visit.may("place.write") and not is_out
    if not (last or before or may):
        return
    with parts.section(visit.say("retirement.title"), "retirement"):
        if last is not None:
            told = {"by": last["by"], "at": parts.clock(last["retired_at"], zone), "reason": last["reason"]}
            words = visit.say("retirement.out", **told)
            parts.text("p", words).classes("" if is_out else "quiet")
            if not is_out:
                parts.text("p", visit.say("retirement.back", at=parts.clock(last["returned_at"], zone)))
            if last["successor"]:
                _linked(visit.say("retirement.successor"), last["estate"], last["successor"])
        for each in before:
            _linked(visit.say("retirement.predecessor"), each["estate"], each["terminal"], _parts_of(each))
        if may:
            parts.button(visit.say("retirement.retire"), lambda: _ask(visit, detail), "logout", mark="retire")


async def at_site(visit: Visit, estate: str, site: str) -> None:
    """Terminals that stood here, where there are some."""
    asked = {"estate": estate, "site": site}
    page = await visit.api.get("/retired", limit=_PAGE, **asked)
    if not page["items"]:
        return
    with parts.section(visit.say("retirement.at_site"), "retired"):
        box = ui.element("ul").classes("plain-list")
        _gone(visit, box, page["items"])
        more(visit, "/retired", asked, page["next"], partial(_gone, visit, box))


def _gone(visit: Visit, box: ui.element, rows: Sequence[Row]) -> None:
    with box:
        for row in rows:
            with ui.element("li").classes("line"):
                _name(row["estate"], row["terminal"])
                parts.text("span", _parts_of(row)).classes("quiet")
                parts.text("span", row["reason"])
                parts.moment(visit, row["retired_at"])
                if row["successor"]:
                    parts.text("span", visit.say("retirement.successor"))
                    _name(row["estate"], row["successor"])


def _ask(visit: Visit, detail: Row) -> None:
    path = f"/terminals/{quote(detail['estate'], safe='')}/{quote(detail['terminal'], safe='')}/retire"

    async def send(told: dict[str, Any]) -> None:
        await visit.api.post(path, {"reason": told["reason"], "successor": told["successor"] or None})
        ui.navigate.reload()

    fields = [
        Field("reason", visit.say("retirement.reason"), needed=True, hint=visit.say("retirement.means")),
        Field("successor", visit.say("retirement.successor"), hint=visit.say("retirement.takes_over")),
    ]
    parts.ask(visit, visit.say("retirement.retire"), fields, send)


def _linked(label: str, estate: str, name: str, more: str = "") -> None:
    with ui.element("p"):
        parts.text("span", f"{label}: ")
        _name(estate, name)
        parts.text("span", f" {more}").classes("quiet")


def _name(estate: str, name: str) -> None:
    parts.link(f"/console/terminal/{quote(estate, safe='')}/{quote(name, safe='')}", name)


def _parts_of(row: Row) -> str:
    """What it was, by which its parts are known again."""
    return ", ".join(filter(None, [row["model"], *row["serials"]]))
