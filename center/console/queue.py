"""The fault queue: one line an incident, heaviest first, worked through with the keyboard."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from nicegui import ui

from center.console import case_owner, parts
from center.console.app import screen
from center.console.glance import sales, shared, where
from center.console.listing import more
from center.console.parts import Column, Field, Table
from center.console.session import Visit, lead_to
from center.db.feed import Change

_FIRST: Final = 200
_BREATH_S: Final = 0.3
_PIECE: Final = 500
_MOST: Final = 5000
_MOST_ASKED: Final = 100
_SEVERITIES: Final = ("critical", "major", "minor", "warning")


@screen("/queue", "queue")
async def build(
    visit: Visit,
    owner: str = "",
    severity: str = "",
    q: str = "",
    region: str = "",
    operator: str = "",
    suppressed: str = "",
) -> None:
    told = {"owner": owner, "severity": severity, "q": q}
    told |= {"region": region, "operator": operator, "suppressed": suppressed}
    asked = {name: value or None for name, value in told.items()}
    page = await visit.api.get("/queue", limit=_FIRST, language=visit.language, **asked)
    rows = [_row(visit, each) for each in page["items"]]
    parts.heading(visit.say("queue.title"), visit.say("queue.about"))
    _filters(visit, told)
    with ui.element("div") as nothing:
        parts.empty(visit, "queue.empty_filtered" if any(asked.values()) else "queue.empty")
    table = _table(visit, rows)

    parts.one_of(table, nothing)

    foot = ui.element("div")

    def add(some: Sequence[Mapping[str, Any]]) -> None:
        table.change([_row(visit, each) for each in some])

    async def rest() -> None:
        """Behind the page's back: it is shown with its first rows. Of so many whoever wants more asks for it."""
        await visit.client.connected()
        await asyncio.sleep(_BREATH_S)  # the first rows are drawn meanwhile, and whoever only passes by costs no more
        await visit.client.connected()
        table.noise(await shared(visit, "/noise"))
        cursor = page["next"]
        while cursor is not None and len(table) < _MOST:
            await visit.client.connected()  # else nobody looks
            some = min(_PIECE, _MOST - len(table))
            following = await visit.api.get("/queue", limit=some, cursor=cursor, language=visit.language, **asked)
            add(following["items"])
            cursor = following["next"]
        with foot:
            more(visit, "/queue", asked | {"language": visit.language}, cursor, add)

    async def changed(changes: Sequence[Change]) -> None:
        ids = list(dict.fromkeys(filter(None, (_incident(table, each) for each in changes))))
        for first in range(0, len(ids), _MOST_ASKED):
            some = ids[first : first + _MOST_ASKED]
            found = await visit.api.get(
                "/queue", limit=_MOST_ASKED, language=visit.language, ids=",".join(some), **asked
            )
            there = [_row(visit, each) for each in found["items"]]
            table.change(there, [each for each in some if each not in {row["id"] for row in there}])
        parts.one_of(table, nothing)

    visit.once(rest)
    visit.follow({"incident", "case"}, changed)


def _filters(visit: Visit, told: Mapping[str, str]) -> None:
    def go(**change: str | None) -> None:
        wanted = {**told, **change}
        query = urlencode({name: value for name, value in wanted.items() if value})
        lead_to(f"/console/queue{'?' + query if query else ''}")

    owners = {
        "": visit.say("queue.owner_all"),
        "me": visit.say("queue.owner_me"),
        "none": visit.say("queue.owner_none"),
    }
    severities = {"": visit.say("queue.severity_all")} | {each: visit.say(f"parts.{each}") for each in _SEVERITIES}
    with ui.element("div").classes("bar"):
        for name, options, value in (("owner", owners, told["owner"]), ("severity", severities, told["severity"])):
            ui.select(
                options,
                value=value if value in options else "",
                label=visit.say(f"queue.{name}"),
                on_change=lambda event, name=name: go(**{name: event.value}),
            ).props("outlined dense").classes("pick").mark(f"filter-{name}")
        words = ui.input(visit.say("queue.filter")).props("outlined dense clearable data-filter")
        words.classes("pick").mark("filter-words").on(
            "update:model-value", js_handler="(words) => posdiag.filter(words)"
        )
        for name in ("q", "region", "operator", "suppressed"):
            if told[name]:
                all_of_them = f"/console/queue?{urlencode({**told, name: ''})}"
                parts.only(visit, visit.say(f"queue.only_{name}", of=told[name]), all_of_them)
        parts.text("span", visit.say("queue.keys")).classes("quiet keys-line")


def _table(visit: Visit, rows: list[dict[str, Any]]) -> Table:
    def title(name: str) -> str:
        return visit.say(f"queue.{name}")

    table = Table(
        visit,
        [
            Column("severity", title("severity"), "light", 118),
            Column("title", title("what"), flex=4, width=215, under="place"),
            Column("can_sell", title("can_sell"), "light", 150, yields=3),
            Column("place", title("place"), flex=1, width=120, yields=4),
            Column("owner", title("owner"), width=105, yields=2),
            Column("due_at", title("due"), "due", 132, yields=1),
            Column("first_at", title("age"), "age", 118, yields=5),
            Column("noise", title("noise"), "noise", 130, yields=6),
            Column("eta", title("eta"), "age", 130, yields=7),
            Column("act", title("act"), width=110, yields=8),
            Column("terminals", title("terminals"), "number", 100, yields=9),
        ],
        rows,
        title=title("title"),
        height="calc(100vh - 12.5rem)",
    )
    table.grid.props("data-triage")
    table.on_key("a", lambda row_id: _acknowledge(visit, table, row_id))
    table.on_key("o", lambda row_id: _own(visit, table, row_id))
    table.on_key("e", lambda row_id: _promise(visit, table.row(row_id)))
    return table


def _row(visit: Visit, told: Mapping[str, Any]) -> dict[str, Any]:
    case = told["case"] or {}
    clock = case.get("clock") or {}
    zones = {each["timezone"] for each in told["sites"]}
    sells = sales(told, "cleared")  # nobody is left in it; it waits for whether that lasts
    return {
        "id": told["id"],
        "where": f"/console/incident/{told['id']}",
        "severity": told["severity"],
        "severity_words": visit.word(f"parts.{told['severity']}", told["severity"]),
        "title": told["title"],
        "can_sell": sells,
        "can_sell_words": visit.word(f"parts.{sells}", sells),
        "place": where(visit, told),
        "terminals": told["terminals_n"],
        "act": visit.word(f"queue.act_{told['act']}", told["act"]),
        "first_at": told["first_at"],
        "noise": told["fault"] or "",
        "owner": told["owner"] or "",
        "due_at": clock.get("due_at"),
        "due_share": clock.get("used"),
        "eta": case.get("eta"),
        "case": case.get("id"),
        "timezone": zones.pop() if len(zones) == 1 else None,
    }


def _incident(table: Table, change: Change) -> str | None:
    if change.kind == "incident":
        return change.key
    return next((row["id"] for row in table.rows if row["case"] == change.key), None)


async def _acknowledge(visit: Visit, table: Table, row_id: str) -> None:
    await _take(visit, table.row(row_id), "acknowledge", None, visit.say("queue.acknowledged"))


async def _own(visit: Visit, table: Table, row_id: str) -> None:
    await _take(visit, table.row(row_id), "assign", {"owner": visit.me["name"]}, visit.say("queue.owned"))


async def _take(visit: Visit, row: dict[str, Any], verb: str, body: Any, done: str) -> None:
    """A case takes its last step back; an incident without one goes back to whose it was."""
    at = f"/cases/{row['case']}" if row["case"] else f"/incidents/{row['id']}"
    back = (lambda: visit.api.post(f"{at}/undo")) if row["case"] else case_owner.back(visit, row)
    await visit.act(visit.api.post(f"{at}/{verb}", body), done, back)


async def _promise(visit: Visit, row: dict[str, Any]) -> None:
    """For an incident without a case, one is opened: to promise is to take it on."""
    case = row["case"]
    if case is None:
        made = await visit.act(visit.api.post(f"/incidents/{row['id']}/case"))
        if made is None:
            return
        case = made["id"]
    promise(visit, case, row["timezone"])


def promise(visit: Visit, case: str, zone: str | None, done: str = "") -> None:
    """Ask until when it will work, by the clock at the site, and tell the merchant."""
    zone = zone or "UTC"
    soon = datetime.now(UTC) + timedelta(hours=2)

    async def send(told: dict[str, Any]) -> None:
        answer = await visit.api.post(f"/cases/{case}/eta", {"eta": told["eta"], "reason": told["reason"]})
        visit.told(done or visit.say("queue.promised", at=parts.clock(answer["eta"], zone)))

    parts.ask(
        visit,
        visit.say("queue.promise"),
        [
            Field(
                "eta",
                visit.say("queue.eta"),
                "time",
                f"{parts.local(soon, zone):%Y-%m-%dT%H:%M}",
                needed=True,
                zone=zone,
            ),
            Field("reason", visit.say("queue.reason")),
        ],
        send,
    )
