"""Readiness: which stores are ready for a busy day by their latest check, what fails, and what to mend before that."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final
from urllib.parse import quote, urlencode

from nicegui import ui

from center.console import parts, sentences
from center.console.app import screen
from center.console.listing import first, more
from center.console.pane import Pane
from center.console.parts import Column, Table
from center.console.plain_table import link, plain_table
from center.console.readiness_stores import STATES, Store, by_store, what_words
from center.console.session import Visit, lead_to
from center.db.feed import Change

Row = Mapping[str, Any]

LIGHTS: Final = {"ready": "ok", "not_ready": "no", "unknown": "unknown", "waiting": "waiting"}
_LOOKS: Final = {"ready": "ok", "not_ready": "bad", "unknown": "unknown", "waiting": ""}
_LISTED: Final = 40
_FAILING: Final = 12
_PREVENTIVE: Final = 200
_SHOWN: Final = 8
_AGAIN_S: Final = 5.0


@screen("/readiness", "readiness")
async def build(visit: Visit, campaign: str = "", state: str = "", what: str = "") -> None:
    found = await visit.api.get("/campaigns", limit=200)
    some = [each for each in found["items"] if each["kind"] == "readiness"]
    known = next((each for each in some if each["id"] == campaign), some[0] if some else None)
    parts.heading(visit.say("readiness.title"), visit.say("readiness.about"))
    with ui.element("div").classes("bar"):
        if visit.may("campaign.write"):
            parts.link("/console/campaigns/new?kind=readiness", visit.say("readiness.ask_all")).classes("main-link")
        if known is not None:
            _choice(visit, some, known)
    if known is None:
        parts.empty(visit, "readiness.none")
    else:
        await _Checked(visit, known, state if state in STATES else "", what).build()
    with parts.section(visit.say("readiness.preventive"), "preventive"):
        warnings = Pane(lambda rows: _preventive(visit, rows))
    warnings.show(None)

    async def preventive() -> None:
        """Behind the page's back: it is shown with what comes first."""
        await visit.client.connected()
        warnings.show((await visit.api.get("/preventive", limit=_PREVENTIVE, language=visit.language))["items"])

    visit.once(preventive)


def _choice(visit: Visit, some: Sequence[Row], known: Row) -> None:
    options = {each["id"]: f"{each['name']} · {each['args']['date']}" for each in some}
    chosen = ui.select(
        options,
        value=known["id"],
        label=visit.say("readiness.which"),
        on_change=lambda event: lead_to(_address(event.value)),
    )
    chosen.props("outlined dense").classes("pick").mark("filter-campaign")
    parts.link(f"/api/v1/campaigns/{quote(known['id'])}/export", visit.say("readiness.export")).props("download")
    parts.link(f"/console/campaign/{quote(known['id'])}", visit.say("readiness.campaign"))


def _address(campaign: str, **more: str) -> str:
    given = {"campaign": campaign} | {name: value for name, value in more.items() if value}
    return f"/console/readiness?{urlencode(given)}"


class _Checked:
    """What one readiness campaign found. Counts and lists are the API's, so each figure leads to just what it counts.

    The counts and the first stores are there when the page is; what fails and what is to do are filled in then.
    """

    def __init__(self, visit: Visit, campaign: Row, state: str, what: str) -> None:
        self._visit, self._campaign, self._state, self._what = visit, campaign, state, what
        self._at = f"/campaigns/{quote(campaign['id'], safe='')}"
        self._asked = {name: value for name, value in (("state", state), ("what", what)) if value}
        self._counts: Mapping[str, int] = {}
        self._among = 0
        """Terminals that match the filter, shown or not."""
        self._rows: list[Row] = []
        self._cursor: str | None = None
        """Of what followed what was read anew last."""
        self._changed = asyncio.Event()

    async def build(self) -> None:
        visit, name = self._visit, self._campaign["id"]
        await self._read()
        day = self._campaign["args"]["date"]
        parts.text("p", visit.say("readiness.for_day", day=day, n=sum(self._counts.values())))
        self._tiles = Pane(lambda told: _tiles(visit, name, told))
        with parts.section(visit.say("readiness.failing"), "failing"):
            self._failing = Pane(lambda told: _failing(visit, name, told))
        with parts.section(visit.say("readiness.stores"), "stores"):
            _filter(visit, name, self._state, self._what)
            self._stores = Pane(lambda told: _stores(visit, told[0], told[1], told[2], part=bool(self._asked)))
            self._foot = Pane(lambda told: more(visit, f"{self._at}/stores", self._asked, told[0], self._add))
        with parts.section(visit.say("readiness.todo"), "todo"):
            self._todo = Pane(lambda told: _todo(visit, told))
        self._failing.show(None)
        self._todo.show(None)
        self._show()
        self._foot.show((self._cursor, len(self._rows)))

        async def rest() -> None:
            await visit.client.connected()
            self._show_todo()
            await self._count_failing()

        visit.once(rest)
        visit.follow({"campaign"}, self._hear)
        visit.every(_AGAIN_S, self._again)

    async def _read(self) -> bool:
        """Read anew what is shown. False where more has come meanwhile, so that this is not all of it."""
        get, shown = self._visit.api.get, len(self._rows)
        counts, (rows, cursor), within = await asyncio.gather(
            get(f"{self._at}/readiness"),
            first(self._visit, f"{self._at}/stores", self._asked, shown),
            get(f"{self._at}/readiness", **({"what": self._what} if self._what else {})),
        )
        if len(self._rows) != shown:
            return False
        self._counts, self._rows, self._cursor = counts, rows, cursor
        self._among = within[self._state] if self._state else sum(within.values())
        return True

    def _show(self) -> None:
        self._tiles.show(self._counts)
        self._stores.show((by_store(self._rows), len(self._rows), self._among))

    def _show_todo(self) -> None:
        self._todo.show([each for each in by_store(self._rows) if each.todo])

    async def _count_failing(self) -> None:
        self._failing.show((await self._visit.api.get(f"{self._at}/failing"))["items"])

    def _add(self, some: Sequence[Row]) -> None:
        self._rows.extend(some)
        self._show()
        self._show_todo()

    async def _hear(self, changes: Sequence[Change]) -> None:
        if any(each.key == self._campaign["id"] for each in changes):
            self._changed.set()

    async def _again(self) -> None:
        """Not at each answer: the stores are one long answer."""
        if self._changed.is_set():
            self._changed.clear()
            if not await self._read():
                self._changed.set()
                return
            self._show()
            self._foot.show((self._cursor, len(self._rows)))
            self._show_todo()
            await self._count_failing()


def _tiles(visit: Visit, campaign: str, counts: Mapping[str, int]) -> None:
    with ui.element("div").classes("tiles"):
        for name in STATES:
            look = _LOOKS[name] if counts[name] else ""
            label = visit.say(f"readiness.tile_{name}")
            parts.number(f"{counts[name]:,}", label, f"{_address(campaign, state=name)}#stores", look)
    reasons = [visit.say(f"readiness.why_{each}") for each in ("score", "more", "ready")]
    parts.why(visit, reasons)


def _failing(visit: Visit, campaign: str, counts: Sequence[Row] | None) -> None:
    if counts is None:
        _loading(visit)
        return
    if not counts:
        parts.empty(visit, "readiness.failing_none")
        return
    most = counts[0]["terminals"]
    with ui.element("ul").classes("bars wide-bars"):
        for name, n in ((each["what"], each["terminals"]) for each in counts[:_FAILING]):
            with ui.element("li"):
                parts.link(f"{_address(campaign, what=name)}#stores", what_words(visit, name))
                with ui.element("span").classes("track").props('aria-hidden="true"'):
                    ui.element("span").classes("fill").style(f"width: {100 * n / most:.1f}%")
                parts.text("span", visit.say("readiness.failing_n", n=n)).classes("figures")


def _filter(visit: Visit, campaign: str, state: str, what: str) -> None:
    options = {"": visit.say("readiness.filter_all")} | {each: visit.say(f"readiness.{each}") for each in STATES}
    with ui.element("div").classes("bar"):
        chosen = ui.select(
            options,
            value=state,
            label=visit.say("readiness.state"),
            on_change=lambda event: lead_to(f"{_address(campaign, state=event.value, what=what)}#stores"),
        )
        chosen.props("outlined dense").classes("pick").mark("filter-state")
        if what:
            with parts.link(f"{_address(campaign, state=state)}#stores").classes("light look-none"):
                parts.text("span", "✕").classes("sign").props('aria-hidden="true"')
                parts.text("span", what_words(visit, what))


def _loading(visit: Visit) -> None:
    parts.text("p", visit.say("shell.loading")).classes("quiet").props('role="status"')


def _stores(visit: Visit, stores: Sequence[Store], shown: int, among: int, *, part: bool) -> None:
    """`shown` terminals of `among`; `part` where those are not all of the campaign's."""
    if not stores:
        parts.empty(visit, "readiness.filtered")
        return
    title = {
        each: visit.say(f"readiness.{each}")
        for each in ("store", "state", "score", "terminals", "todo_n", "soonest", "first")
    }
    Table(
        visit,
        [
            Column("store", title["store"], flex=2, width=140),
            Column("state", title["state"], "light", 135),
            Column("score", title["score"], "number", 85),
            Column("terminals", title["terminals"], "number", 105, yields=3),
            Column("todo_n", title["todo_n"], "number", 90, yields=1),
            Column("soonest", title["soonest"], width=170, yields=4),
            Column("first", title["first"], flex=2, width=150, yields=2),
        ],
        [_row(visit, each) for each in stores],
        title=visit.say("readiness.stores"),
        height="50vh" if len(stores) > 8 else "",
    )
    told = visit.say("readiness.shown", n=len(stores), terminals=shown, of=max(shown, among))
    parts.text("p", f"{told} {visit.say('readiness.part')}" if part else told).classes("quiet stores-shown")


def _row(visit: Visit, store: Store) -> dict[str, Any]:
    soonest = store.soonest
    name = store.name or store.site or visit.say("readiness.no_store")
    return {
        "id": f"{store.estate}.{store.site}",
        "where": f"/console/site/{quote(store.estate)}/{quote(store.site, safe='')}" if store.site else "",
        "store": name,
        "state": LIGHTS[store.state],
        "state_words": visit.say(f"readiness.{store.state}"),
        "score": store.score,
        "terminals": len(store.terminals),
        "todo_n": len(store.todo),
        "soonest": "" if soonest is None else _days(visit, *soonest),
        "first": what_words(visit, store.todo[0][1]["what"]) if store.todo else "",
    }


def _days(visit: Visit, metric: str, left: float) -> str:
    what = visit.word(f"readiness.metric_{metric.rpartition('.')[2]}", metric)
    return visit.say("readiness.days", what=what, n=round(left))


def _todo(visit: Visit, stores: Sequence[Store] | None) -> None:
    """Store by store what to do, as the visit list has it."""
    if stores is None:
        _loading(visit)
        return
    if not stores:
        parts.empty(visit, "readiness.todo_none")
    for store in stores[:_LISTED]:
        with ui.element("details").classes("read"):
            name = store.name or store.site or visit.say("readiness.no_store")
            parts.text("summary", f"{name} · {visit.say('readiness.todo_n')}: {len(store.todo)}")
            if store.address:
                parts.text("p", store.address)
            with ui.element("ul").classes("rows"):
                for terminal, item in store.todo:
                    with ui.element("li"):
                        where = f"/console/terminal/{quote(store.estate)}/{quote(terminal)}"
                        parts.link(where, terminal)
                        parts.text("span", what_words(visit, item["what"]))
                        if "/" not in item["what"]:  # of a fault it is the name, as the terminal's own words have it
                            parts.text("span", sentences.told(visit.language, item["why"])).classes("quiet")
                        parts.text("span", visit.word(f"readiness.act_{item['act']}", item["act"])).classes("needs")
    if len(stores) > _LISTED:
        parts.text("p", visit.say("readiness.todo_cut", n=len(stores) - _LISTED)).classes("quiet")


def _preventive(visit: Visit, rows: Sequence[Row] | None) -> None:
    if rows is None:
        _loading(visit)
        return
    if not rows:
        parts.empty(visit, "readiness.preventive_none")
        return
    _warnings(visit, rows[:_SHOWN])
    if len(rows) > _SHOWN:
        with ui.element("details").classes("read"):
            parts.text("summary", visit.say("readiness.more", n=len(rows) - _SHOWN))
            _warnings(visit, rows[_SHOWN:])


def _warnings(visit: Visit, rows: Sequence[Row]) -> None:
    plain_table(
        visit.say("readiness.preventive"),
        [visit.say(f"readiness.{each}") for each in ("terminal", "what", "step", "since")],
        [
            (
                link(each["terminal"], f"/console/terminal/{quote(each['estate'])}/{quote(each['terminal'])}"),
                each["title"],
                each["do"],
                partial(parts.moment, visit, each["since_at"]),
            )
            for each in rows
        ],
    )
