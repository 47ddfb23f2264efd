"""Messages to the merchants of many sites: the list, a new one and whom it would reach, and one with its sites."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final
from urllib.parse import quote

from nicegui import ui

from center.console import parts
from center.console.app import screen
from center.console.campaigns import sections
from center.console.listing import FIRST, Listing
from center.console.pane import Pane
from center.console.parts import Column, Field, Table
from center.console.plain_table import link, plain_table
from center.console.session import Visit, lead_to
from center.console.words import LANGUAGES
from center.db.feed import Change
from center.domain import broadcast

Row = Mapping[str, Any]

LOOKS: Final = {"read": "succeeded", "sent": "succeeded", "waiting": "waiting", "failed": "failed",
                "unreachable": "warning", "cancelled": "unsupported"}  # fmt: skip
"""The light of each state of a site, in the order in which they are shown."""
_TILES: Final = {"read": "ok", "sent": "ok", "waiting": "calm", "failed": "bad", "unreachable": "warn", "cancelled": ""}
WHY: Final = {
    broadcast.NO_CONTACT: "no_contact",
    broadcast.NO_ADDRESS: "no_address",
    broadcast.NO_CHANNEL: "no_channel",
}
"""What the center says of a site where nobody could be told, as a phrase."""
_PAGE: Final = 20
_BEAT_S: Final = 5.0
"""Between two looks at a message that is under way: of each site that was told there is no change in the feed."""


@screen("/broadcasts", "campaigns")
async def build(visit: Visit, cursor: str = "") -> None:
    shown: list[Row] = []

    async def read(_changes: Sequence[Change] = ()) -> None:
        page = await visit.api.get("/broadcasts", limit=_PAGE, cursor=cursor or None)
        shown[:] = page["items"]
        pane.show(page)

    async def beat() -> None:
        if any(each["sites"]["waiting"] for each in shown):
            await read()

    parts.heading(visit.say("broadcasts.title"), visit.say("broadcasts.about"))
    sections(visit, "broadcasts")
    with ui.element("div").classes("bar"):
        if visit.may("suppress"):
            parts.link("/console/broadcasts/new", visit.say("broadcasts.new")).classes("main-link")
        else:
            parts.text("span", visit.say("broadcasts.not_yours")).classes("quiet")
    pane = Pane(partial(_list, visit))
    await read()
    visit.follow({"broadcast"}, read)
    visit.every(_BEAT_S, beat)


def _list(visit: Visit, page: Row) -> None:
    rows = page["items"]
    if not rows:
        parts.empty(visit, "broadcasts.empty")
        return
    headers = [visit.say(f"broadcasts.{each}") for each in ("message", "whom", "sites", "by", "at")]
    cells = [
        (
            link(name_of(visit, each), f"/console/broadcast/{quote(each['id'])}"),
            whom(visit, each),
            lambda each=each: _counts(visit, each),
            each["by"],
            lambda each=each: parts.moment(visit, each["created_at"]),
        )
        for each in rows
    ]
    with ui.element("section").classes("part"):
        plain_table(visit.say("broadcasts.title"), headers, cells)
    if page["next"] is not None:
        parts.link(f"/console/broadcasts?cursor={quote(page['next'])}", visit.say("broadcasts.older"))


def name_of(visit: Visit, told: Row, letters: int = 60) -> str:
    """The beginning of what it says, on one line."""
    if told["kind"] == "maintenance":
        return visit.say("broadcasts.maintenance")
    text = " ".join(((told["texts"] or {}).get(visit.language) or "").split())
    return text if len(text) <= letters else f"{text[: letters - 1].rstrip()}…"


def whom(visit: Visit, told: Row) -> str:
    """For whom it is, in a few words."""
    if told["incident"]:
        return visit.say("broadcasts.of_incident")
    if told["suppression"]:
        return visit.say("broadcasts.of_window")
    named = (told["audience"] or {}).items()
    return "; ".join(f"{visit.word(f'campaigns.{name}', name)}: {_some(visit, values)}" for name, values in named)


def _some(visit: Visit, names: Sequence[str], most: int = 3) -> str:
    more = f" +{len(names) - most}" if len(names) > most else ""
    return visit.say("broadcasts.comma").join(names[:most]) + more


def _counts(visit: Visit, told: Row) -> None:
    """How many sites are in each state, each leading to them."""
    with ui.element("ul").classes("lights plain-list"):
        for state, look in LOOKS.items():
            if told["sites"][state]:
                with ui.element("li"), parts.link(_sites_at(told["id"], state)):
                    parts.light(visit, look, f"{visit.say(f'broadcasts.{state}')} {told['sites'][state]:,}")


def _sites_at(name: str, state: str = "") -> str:
    return f"/console/broadcast/{quote(name, safe='')}{f'?state={state}' if state else ''}#sites"


# --- one --------------------------------------------------------------------------------------------------------------


@screen("/broadcast/{name}", "campaigns")
async def one(visit: Visit, name: str, state: str = "") -> None:
    at = f"/broadcasts/{quote(name, safe='')}"
    state = state if state in LOOKS else ""

    asked = {"state": state} if state else {}
    told, page = await asyncio.gather(visit.api.get(at), visit.api.get(f"{at}/sites", limit=FIRST, **asked))
    waits = {"is": bool(told["sites"]["waiting"])}
    parts.heading(name_of(visit, told), visit.say("broadcasts.one"))
    sections(visit, "broadcasts")
    head = Pane(partial(_head, visit, at))
    head.show(told)
    with ui.element("div").classes("columns"):
        with parts.section(visit.say("broadcasts.text"), "text"):
            _read(visit, told)
        with parts.section(visit.say("broadcasts.whom"), "whom"):
            _about(visit, told)
    with parts.section(visit.say("broadcasts.sites"), "sites"):
        _filter(visit, name, state)
        below = _listing(visit, f"{at}/sites", asked, page, _number(told, state))

    async def again() -> None:
        told = await visit.api.get(at)
        waits["is"] = bool(told["sites"]["waiting"])
        head.show(told)
        await below.renew(_number(told, state))

    async def changed(changes: Sequence[Change]) -> None:
        if any(each.key == name for each in changes):
            await again()

    async def beat() -> None:
        if waits["is"]:
            await again()

    visit.follow({"broadcast"}, changed)
    visit.every(_BEAT_S, beat)


def _head(visit: Visit, at: str, told: Row) -> None:
    states = told["sites"]
    with ui.element("div").classes("tiles"):
        for state, look in _TILES.items():
            count = states[state]
            where = _sites_at(told["id"], state)
            parts.number(f"{count:,}", visit.say(f"broadcasts.{state}"), where, look if count else "")
    if told["cancelled_at"]:
        with ui.element("p"):
            parts.text("span", visit.say("broadcasts.stopped", by=told["cancelled_by"])).classes("needs gap")
            parts.moment(visit, told["cancelled_at"])
            parts.text("div", told["cancel_reason"])
    elif states["waiting"] and visit.may("suppress"):
        with ui.element("div").classes("bar"):
            parts.button(visit.say("broadcasts.stop"), partial(_stop, visit, at), "block", mark="stop")
            parts.text("span", visit.say("broadcasts.stop_hint")).classes("quiet")


def _stop(visit: Visit, at: str) -> None:
    async def send(given: dict[str, Any]) -> None:
        await visit.api.post(f"{at}/cancel", given)
        visit.told(visit.say("broadcasts.done_stop"))

    parts.ask(visit, visit.say("broadcasts.stop"), [Field("reason", visit.say("campaigns.reason"), needed=True)], send)


def _read(visit: Visit, told: Row) -> None:
    """What merchants read."""
    if told["texts"] is None:
        parts.text("p", visit.say("broadcasts.window_text")).classes("quiet")
        return
    for language, name in LANGUAGES.items():
        parts.text("h3", name)
        parts.text("p", told["texts"].get(language) or "–").classes("as-written").props(f'lang="{language}"')


def _about(visit: Visit, told: Row) -> None:
    incident, pairs = told["incident"], (told["audience"] or {}).items()
    comma = visit.say("broadcasts.comma")
    about: list[tuple[str, Any]] = [
        (visit.word(f"campaigns.{name}", name), comma.join(values)) for name, values in pairs
    ]
    if incident:
        where = f"/console/incident/{quote(incident, safe='')}"
        about.append((visit.say("shell.a_incident"), link(visit.say("broadcasts.of_incident"), where)))
    elif told["suppression"]:
        about.append((visit.say("broadcasts.maintenance"), told["suppression"]))
    parts.facts(
        [
            *about,
            (visit.say("campaigns.terminals"), f"{told['terminals_n']:,}"),
            (visit.say("broadcasts.by"), told["by"]),
            (visit.say("broadcasts.at"), lambda: parts.moment(visit, told["created_at"])),
        ]
    )


def _filter(visit: Visit, name: str, state: str) -> None:
    options = {"": visit.say("campaigns.state_all")} | {each: visit.say(f"broadcasts.{each}") for each in LOOKS}
    with ui.element("div").classes("bar"):
        picked = ui.select(
            options,
            value=state,
            label=visit.say("campaigns.state"),
            on_change=lambda event: lead_to(_sites_at(name, event.value)),
        )
        picked.props("outlined dense").classes("pick").mark("filter-state")


def _number(told: Row, state: str) -> int:
    """Of its sites those in a state, all without one."""
    return sum(n for each, n in told["sites"].items() if state in {"", each})


def _listing(visit: Visit, path: str, asked: Mapping[str, str], page: Row, total: int) -> Listing:
    table = Table(
        visit,
        [
            Column("site", visit.say("campaigns.site"), width=130, flex=2),
            Column("state", visit.say("campaigns.state"), "light", 150),
            Column("why", visit.say("broadcasts.why"), flex=3, width=150, yields=1),
            Column("estate", visit.say("campaigns.estates"), width=130, flex=1, yields=2),
        ],
        [_site(visit, each) for each in page["items"]],
        title=visit.say("broadcasts.sites"),
        height="60vh" if len(page["items"]) > 12 else "",
    )
    row, none = partial(_site, visit), "broadcasts.sites_none"
    return Listing(visit, table, path, asked, page["next"], row, "broadcasts", none, total)


def _site(visit: Visit, row: Row) -> dict[str, Any]:
    why = row["why"]
    return {
        "id": f"{row['estate']}/{row['site']}",
        "where": f"/console/site/{quote(row['estate'], safe='')}/{quote(row['site'], safe='')}",
        "site": f"{row['name']} ({row['site']})" if row["name"] else row["site"],
        "estate": row["estate"],
        "state": LOOKS[row["state"]],
        "state_words": visit.say(f"broadcasts.{row['state']}"),
        "why": visit.say(f"broadcasts.{WHY[why]}") if why in WHY else why,
    }
