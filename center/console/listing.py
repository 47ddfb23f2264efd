"""Long lists: a piece at first, the rest when somebody asks for more."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from nicegui import ui

from center.console import parts
from center.console.parts import Table
from center.console.session import Visit

_MORE: Final = 1000


def loader(
    visit: Visit,
    table: Table,
    path: str,
    asked: Mapping[str, str],
    cursor: str | None,
    row: Callable[[Mapping[str, Any]], Mapping[str, Any]],
    words: str,
) -> None:
    """Below the table how many rows there are, by `{words}.shown` and `{words}.all_shown`, and a button for more."""
    state = {"cursor": cursor}

    def tell() -> None:
        all_there = state["cursor"] is None
        told.text = visit.say(f"{words}.{'all_shown' if all_there else 'shown'}", n=f"{len(table):,}")
        more.set_visibility(not all_there)

    async def load() -> None:
        found = await visit.act(visit.api.get(path, limit=_MORE, cursor=state["cursor"], **asked))
        if found is not None:
            table.change([row(each) for each in found["items"]])
            state["cursor"] = found["next"]
            tell()

    with ui.element("div").classes("bar list-foot"):
        told = parts.text("span", "").classes("quiet").props('role="status"')
        more = parts.button(visit.say("shell.more"), load, "expand_more", mark="more")
    tell()
