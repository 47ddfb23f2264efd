"""At a site: which of its contacts may not be reached."""

from __future__ import annotations

from nicegui import ui

from center.console import parts
from center.console.session import Visit


async def doubtful(visit: Visit, estate: str, site: str) -> None:
    """Those, and why; nothing where all are good, or there is none, which the list of contacts says."""
    rows = (await visit.api.get("/contacts/doubtful", estate=estate, site=site))["items"]
    some = [row for row in rows if row["why"] != "none"]
    if not some:
        return
    with ui.element("ul").classes("plain-list").props('id="doubtful"'):
        for row in some:
            with ui.element("li").classes("line"):
                parts.light(visit, "stale", row["name"] or visit.say("site.nameless"))
                parts.text("span", visit.say(f"site.contact_{row['why']}"))
