"""The list of all terminals: filtered by the address of the page, loaded a piece at a time, kept fresh."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final
from urllib.parse import quote, urlencode

from nicegui import ui

from center.console import lights, parts
from center.console.app import screen
from center.console.listing import FIRST, Listing
from center.console.parts import Column, Table
from center.console.session import Visit, lead_to
from center.db.feed import Change
from center.domain import freshness as ages
from center.domain.overview import AGES_MS

_MOST_ASKED: Final = 200
_REFRESH_S: Final = 3.0
_CHOICES: Final[Mapping[str, Sequence[str]]] = {
    "can_sell": ("yes", "degraded", "no", "unknown"),
    "freshness": ("online", "late", "offline", "unknown"),
    "status": ("online", "offline", "maintenance"),
}
HEARD: Final = ("minute", "five", "half", "hours", "silent", "longer", "never")
"""How long ago somebody heard of a terminal, as the overview counts them."""
_TYPED: Final = ("model", "firmware", "region", "operator", "site")
_CONTACT: Final = {"late": "stale"}


@screen("/terminals", "terminal")
async def build(
    visit: Visit,
    can_sell: str = "",
    freshness: str = "",
    status: str = "",
    model: str = "",
    firmware: str = "",
    region: str = "",
    operator: str = "",
    site: str = "",
    estate: str = "",
    heard: str = "",
) -> None:
    given = {
        "can_sell": can_sell, "freshness": freshness, "status": status, "model": model, "firmware": firmware,
        "region": region, "operator": operator, "site": site, "estate": estate,
    }  # fmt: skip
    wanted = {name: value for name, value in (given | {"heard": heard}).items() if value}
    asked = {name: value for name, value in given.items() if value} | of_age(heard)
    fleet, page = await asyncio.gather(visit.api.get("/overview"), visit.api.get("/terminals", limit=FIRST, **asked))
    parts.heading(visit.say("terminal.title"), visit.say("terminal.about"))
    _totals(visit, fleet)
    _filters(visit, wanted)
    table = _table(visit, [_row(visit, each) for each in page["items"]])
    nothing = "terminal.none_filtered" if asked else "terminal.none"
    below = Listing(visit, table, "/terminals", asked, page["next"], partial(_row, visit), "terminal", nothing)
    _keep_fresh(visit, table, below)


def of_age(age: str) -> dict[str, str]:
    """What the API is asked for terminals of one age of `HEARD`; nothing for a word that is none."""
    if age not in HEARD:
        return {}
    if age == HEARD[-1]:
        return {"freshness": "unknown"}
    now, number = datetime.now(UTC), HEARD.index(age)
    bounds = dict(enumerate(AGES_MS))
    found = {"since": bounds.get(number), "until": bounds.get(number - 1)}
    return {name: (now - timedelta(milliseconds=ms)).isoformat() for name, ms in found.items() if ms is not None}


def _totals(visit: Visit, fleet: Mapping[str, Any]) -> None:
    fresh = fleet["freshness"]
    with ui.element("div").classes("tiles"):
        for name, value, query, look in (
            ("total", fleet["terminals"], "", "calm"),
            ("total_no", fleet["cannot_sell"], "can_sell=no", "bad"),
            ("total_degraded", fleet["degraded"], "can_sell=degraded", "warn"),
            ("total_unknown", fleet["unknown"], "can_sell=unknown", "unknown"),
            ("total_offline", fresh["offline"], "freshness=offline", "gone"),
            ("total_late", fresh["late"], "freshness=late", "stale"),
        ):
            where = "/console/terminals" + (f"?{query}" if query else "")
            parts.number(f"{value:,}", visit.say(f"terminal.{name}"), where, look)


def _filters(visit: Visit, asked: Mapping[str, str]) -> None:
    def go(name: str, value: str | None) -> None:
        wanted = {each: text for each, text in {**asked, name: (value or "").strip()}.items() if text}
        lead_to("/console/terminals" + (f"?{urlencode(wanted)}" if wanted else ""))

    with ui.element("div").classes("bar filters"):
        for name, words in _CHOICES.items():
            options = {"": visit.say("terminal.every")} | {each: _word(visit, name, each) for each in words}
            ui.select(
                options,
                value=asked.get(name, "") if asked.get(name, "") in options else "",
                label=visit.say(
                    {"can_sell": "terminal.sales", "freshness": "terminal.contact"}.get(name, "terminal.state")
                ),
                on_change=lambda event, name=name: go(name, event.value),
            ).props("outlined dense").classes("pick").mark(f"filter-{name}")
        for name in _TYPED:
            field = ui.input(visit.say(f"terminal.{name}"), value=asked.get(name, ""))
            field.props(f'outlined dense clearable title="{visit.say("terminal.search_hint")}"').classes("pick")
            field.mark(f"filter-{name}")
            field.on("keydown.enter", lambda name=name, field=field: go(name, field.value))
            field.on("clear", lambda name=name: go(name, ""))
        if asked.get("heard") in HEARD:
            of = visit.say(f"now.age_{asked['heard']}")
            rest = urlencode({name: value for name, value in asked.items() if name != "heard"})
            parts.only(visit, visit.say("terminal.only_heard", of=of), f"/console/terminals?{rest}")
        if asked:
            parts.link("/console/terminals", visit.say("terminal.clear"))


def _word(visit: Visit, name: str, value: str) -> str:
    return visit.say(f"terminal.contact_{value}" if name == "freshness" else f"parts.{value}")


def _table(visit: Visit, rows: Sequence[Mapping[str, Any]]) -> Table:
    def title(name: str) -> str:
        return visit.say(f"terminal.{name}")

    return Table(
        visit,
        [
            Column("terminal", title("name"), flex=2, width=130),
            Column("can_sell", title("sales"), "light", 170),
            Column("contact", title("contact"), "light", 150, yields=2),
            Column("heard", title("heard"), "age", 125, yields=1),
            Column("site", title("site"), flex=1, width=110, yields=3),
            Column("model", title("model"), flex=2, width=150, yields=4),
            Column("firmware", title("firmware"), width=100, yields=5),
            Column("operator", title("operator"), width=115, yields=6),
            Column("region", title("region"), width=115, yields=7),
            Column("estate", title("estate"), width=110, yields=8),
        ],
        rows,
        title=title("title"),
        height="max(24rem, calc(100vh - 25rem))",
    )


def _row(visit: Visit, told: Mapping[str, Any]) -> dict[str, Any]:
    now_ms = int(datetime.now(UTC).timestamp() * 1000)
    heard = told["last_contact_at"]
    heard_ms = None if heard is None else int(datetime.fromisoformat(heard).timestamp() * 1000)
    fresh = ages.freshness(told["status"], heard_ms, now_ms)
    sells = (told["verdict"] or {}).get("can_sell") or "unknown"
    known = fresh not in lights.STALE
    words = visit.word(f"parts.{sells}", sells)
    plain = {
        name: told[name] or "" for name in ("terminal", "site", "model", "firmware", "operator", "region", "estate")
    }
    return plain | {
        "id": told["id"],
        "where": f"/console/terminal/{quote(told['estate'], safe='')}/{quote(told['terminal'], safe='')}",
        "can_sell": sells if known else "stale",
        "can_sell_words": words if known else visit.say("terminal.was", state=words),
        "contact": _CONTACT.get(fresh, fresh),
        "contact_words": visit.say(f"terminal.contact_{fresh}"),
        "heard": heard,
    }


def _keep_fresh(visit: Visit, table: Table, below: Listing) -> None:
    """Rows that are shown change with their terminals, some at a time: a storm costs this page no more than a calm."""
    touched: dict[str, None] = {}

    async def changed(changes: Sequence[Change]) -> None:
        await below.begin()
        for each in changes:
            row_id = f"{each.estate}.{each.terminal}"
            if row_id in table:
                touched[row_id] = None

    async def refresh() -> None:
        some = list(touched)[:_MOST_ASKED]
        if some:
            for row_id in some:
                del touched[row_id]
            found = await visit.api.get("/terminals", limit=_MOST_ASKED, ids=",".join(some))
            table.change([_row(visit, each) for each in found["items"]])

    visit.follow({"terminal"}, changed)
    visit.every(_REFRESH_S, refresh)
