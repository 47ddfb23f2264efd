"""Admin: accounts and tokens, who is told, maintenance windows, sites and places, and how the center is set up.

Each part is a page of its own, shown to whoever has the permission for it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from nicegui import ui

from center.console import admin_people, admin_places, admin_setup, admin_told, parts
from center.console.app import screen
from center.console.session import Refused, Visit
from center.db.feed import Change

PARTS: Final[dict[str, tuple[str, Callable[[Visit], Awaitable[None]]]]] = {
    "accounts": ("admin", admin_people.accounts),
    "tokens": ("admin", admin_people.tokens),
    "roles": ("admin", admin_people.roles),
    "channels": ("admin", admin_told.channels),
    "webhooks": ("admin", admin_told.webhooks),
    "windows": ("suppress", admin_places.windows),
    "lists": ("place.write", admin_places.lists),
    "center": ("admin", admin_setup.center),
}

_LIVE: Final = {"windows": frozenset({"suppression"})}
"""Parts that follow, and changes of what; of the others nobody is told."""


@screen("/admin", "admin")
async def build(visit: Visit) -> None:
    first = next((name for name, (permission, _) in PARTS.items() if visit.may(permission)), None)
    if first is None:
        raise Refused(403, visit.say("admin.not_yours"))
    await _show(visit, first)


@screen("/admin/{part}", "admin")
async def one_part(visit: Visit, part: str) -> None:
    if part not in PARTS:
        raise Refused(404, visit.say("shell.not_there"))
    if not visit.may(PARTS[part][0]):
        raise Refused(403, visit.say("admin.not_yours"))
    await _show(visit, part)


async def _show(visit: Visit, chosen: str) -> None:
    parts.heading(visit.say("admin.title"), visit.say("admin.about"))
    with ui.element("nav").classes("parts-bar").props(f'aria-label="{visit.say("admin.parts")}"'):
        for name, (permission, _) in PARTS.items():
            if visit.may(permission):
                shown = parts.link(f"/console/admin/{name}", visit.say(f"admin.part_{name}"))
                if name == chosen:
                    shown.classes("here").props('aria-current="page"')
    with parts.section(visit.say(f"admin.part_{chosen}"), chosen):
        parts.text("p", visit.say(f"admin.about_{chosen}")).classes("quiet")
        if chosen in _LIVE:
            await _followed(visit, chosen)
        else:
            parts.as_of(visit)
            await PARTS[chosen][1](visit)


async def _followed(visit: Visit, chosen: str) -> None:
    """Drawn anew with each change of what it shows."""
    box = ui.element("div")

    async def draw() -> None:
        shown = ui.element("div")
        with shown:
            await PARTS[chosen][1](visit)
        for old in box.default_slot.children[:-1]:
            old.delete()

    async def changed(_changes: Sequence[Change]) -> None:
        with box:
            await draw()

    with box:
        await draw()
    visit.follow(_LIVE[chosen], changed)
