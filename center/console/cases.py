"""The list of cases, by state, owner, team and severity, worked through with the keyboard like the queue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

from nicegui import ui

from center.console import case_acts, parts
from center.console.app import screen
from center.console.knowledge_views import signature_title
from center.console.listing import more
from center.console.parts import Column, Field, Table
from center.console.queue import promise
from center.console.session import Visit, lead_to
from center.db.feed import Change
from center.domain.texts import fault_title

_FIRST: Final = 200
_MOST: Final = 2000
_MOST_ASKED: Final = 20
_STATES: Final = ("new", "acknowledged", "assigned", "dispatched", "reopened", "watching", "asking", "closed")
_SEVERITIES: Final = ("critical", "major", "minor", "warning")
_OPEN: Final = "open"
_ALL: Final = "all"


@screen("/cases", "case")
async def build(
    visit: Visit,
    state: str = "",
    owner: str = "",
    team: str = "",
    severity: str = "",
    estate: str = "",
    site: str = "",
    fault: str = "",
    candidate: str = "",
) -> None:
    """Those that are not closed, but all of a `fault`: what became of them is why one asks for these.

    All too of a `candidate`, the signature of cases that may have one problem behind them.
    """
    wanted = {"owner": owner, "team": team, "severity": severity}
    wanted |= {"estate": estate, "site": site, "fault": fault, "candidate": candidate}
    wanted["state"] = state or _usual(wanted)
    asked = {name: each or None for name, each in wanted.items() if name != "fault"}
    asked["state"] = None if wanted["state"] == _ALL else wanted["state"]
    asked["unit"], _, asked["kind"] = (each or None for each in fault.partition("/"))
    if owner == "me":
        asked["owner"] = visit.me["name"]
    page = await visit.api.get("/cases", limit=_FIRST, **asked)
    parts.heading(visit.say("case.menu"), visit.say("case.list_about"))
    _filters(visit, wanted)
    rows = [_row(visit, each) for each in page["items"]]
    with ui.element("div") as nothing:
        parts.empty(visit, "case.filtered" if _is_narrow(wanted) else "case.empty")
    table = _table(visit, rows)
    parts.one_of(table, nothing)

    foot = ui.element("div")

    def add(some: Sequence[Mapping[str, Any]]) -> None:
        table.change([_row(visit, each) for each in some])

    async def rest() -> None:
        """What the filter of the table looks through by itself; whoever wants more of so many cases asks for it."""
        cursor = page["next"]
        while cursor is not None and len(table) < _MOST:
            following = await visit.api.get("/cases", limit=1000, cursor=cursor, **asked)
            add(following["items"])
            cursor = following["next"]
        with foot:
            more(visit, "/cases", asked, cursor, add)

    async def changed(changes: Sequence[Change]) -> None:
        """New cases come with the first page; those that are shown are read anew, and go if they do not belong here."""
        newest = await visit.api.get("/cases", limit=50, **asked)
        found = {each["id"]: each for each in newest["items"]}
        lost = dict.fromkeys(each.key for each in changes if each.key in table and each.key not in found)
        gone = []
        for case_id in list(lost)[:_MOST_ASKED]:
            number = table.row(case_id)["number"].removeprefix("C-")
            there = (await visit.api.get("/cases", number=number, **asked))["items"]
            found |= {each["id"]: each for each in there}
            gone += [] if there else [case_id]
        table.change([_row(visit, each) for each in found.values()], gone)
        parts.one_of(table, nothing)

    if page["next"] is not None:
        visit.once(rest)
    visit.follow({"case"}, changed)


def _usual(wanted: Mapping[str, str]) -> str:
    """The state that nobody needs to ask for."""
    return _ALL if wanted["fault"] or wanted["candidate"] else _OPEN


def _is_narrow(wanted: Mapping[str, str]) -> bool:
    return wanted["state"] not in {_ALL, _OPEN} or any(each for name, each in wanted.items() if name != "state")


def _filters(visit: Visit, wanted: dict[str, str]) -> None:
    def where(**change: str | None) -> str:
        now = wanted | {name: (each or "").strip() for name, each in change.items()}
        query = urlencode({n: value for n, value in now.items() if value and (n, value) != ("state", _usual(now))})
        return f"/console/cases{'?' + query if query else ''}"

    def go(**change: str | None) -> None:
        lead_to(where(**change))

    states = {_OPEN: visit.say("case.state_open"), _ALL: visit.say("case.state_all")}
    states |= {each: visit.say(f"case.{each}") for each in _STATES}
    owners = {"": visit.say("queue.owner_all"), "me": visit.say("queue.owner_me")}
    if wanted["owner"] not in owners:
        owners[wanted["owner"]] = wanted["owner"]
    severities = {"": visit.say("queue.severity_all")} | {each: visit.say(f"parts.{each}") for each in _SEVERITIES}
    choices = (
        ("state", visit.say("case.filter_state"), states),
        ("owner", visit.say("queue.owner"), owners),
        ("severity", visit.say("queue.severity"), severities),
    )
    with ui.element("div").classes("bar"):
        for name, label, options in choices:
            value = wanted[name] if wanted[name] in options else next(iter(options))
            chosen = ui.select(
                options, value=value, label=label, on_change=lambda event, name=name: go(**{name: event.value})
            )
            chosen.props("outlined dense").classes("pick").mark(f"filter-{name}")
        for name in ("team", "site"):
            typed = ui.input(visit.say(f"case.filter_{name}"), value=wanted[name]).props("outlined dense clearable")
            typed.classes("pick").mark(f"filter-{name}")
            typed.on("keydown.enter", lambda name=name, typed=typed: go(**{name: typed.value}))
            typed.on("clear", lambda name=name: go(**{name: ""}))
        if wanted["estate"]:
            parts.only(visit, visit.say("case.only_estate", of=wanted["estate"]), where(estate=""))
        if wanted["candidate"]:
            of = signature_title(visit, wanted["candidate"])
            parts.only(visit, visit.say("case.only_candidate", of=of), where(candidate="", state=""))
        if wanted["fault"]:
            of = fault_title(wanted["fault"], visit.language)
            parts.only(visit, visit.say("case.only_fault", of=of), where(fault="", state=""))
        if visit.may("case.write"):
            parts.button(visit.say("case.open_new"), lambda: _open(visit), "note_add", main=True, mark="open-new")
        parts.text("span", visit.say("queue.keys")).classes("quiet keys-line")


def _open(visit: Visit) -> None:
    """A case that somebody reports by telephone or in person."""
    kinds = {each: visit.say(f"case.kind_{each}") for each in ("fault", "complaint", "question", "inspection")}
    fields = [
        Field("kind", visit.say("case.kind"), "choice", "fault", kinds, needed=True),
        Field("estate", visit.say("case.ask_estate"), value=_estate(visit), needed=True),
        Field("terminal", visit.say("case.ask_terminal")),
        Field("site", visit.say("case.ask_site")),
        Field("title", visit.say("case.col_title")),
        Field("said", visit.say("case.ask_said"), "area"),
    ]

    async def do(told: dict[str, Any]) -> None:
        body = {name: value for name, value in told.items() if value} | {"channel": "agent"}
        made = await visit.api.post("/cases", body)
        lead_to(f"/console/case/{made['id']}")

    parts.ask(visit, visit.say("case.open_new"), fields, do)


def _estate(visit: Visit) -> str:
    estates = (visit.me["scope"] or {}).get("estates") or []
    return estates[0] if len(estates) == 1 else ""


def _row(visit: Visit, case: Mapping[str, Any]) -> dict[str, Any]:
    clock = case["clock"] or {}
    named = case["kind"] == "fault" and case["fault"] and case["terminal"]
    return {
        "id": case["id"],
        "where": f"/console/case/{case['id']}",
        "number": f"C-{case['number']}",
        "severity": case["severity"],
        "severity_words": visit.word(f"parts.{case['severity']}", case["severity"]),
        "state": visit.word(f"case.{case['state']}", case["state"]),
        "title": fault_title(case["fault"], visit.language) if named else case["title"],
        "place": case["terminal"] or case["site"] or case["estate"],
        "owner": case["owner"] or "",
        "team": case["team"] or "",
        "due_at": None if case["paused_since"] else clock.get("due_at"),
        "due_share": clock.get("used"),
        "eta": case["eta"],
        "created": case["created_at"],
        "timezone": case["timezone"],
    }


def _table(visit: Visit, rows: list[dict[str, Any]]) -> Table:
    def title(name: str) -> str:
        return visit.say(f"case.col_{name}")

    table = Table(
        visit,
        [
            Column("number", title("number"), width=112),
            Column("title", title("title"), flex=3, width=185, under="place"),
            Column("state", title("state"), width=140, yields=2),
            Column("severity", title("severity"), "light", 112, yields=5),
            Column("place", title("place"), flex=1, width=115, yields=4),
            Column("owner", title("owner"), width=105, yields=3),
            Column("due_at", title("due"), "due", 132, yields=1),
            Column("created", title("created"), "age", 118, yields=6),
            Column("eta", title("eta"), "age", 130, yields=7),
            Column("team", title("team"), width=110, yields=8),
        ],
        rows,
        title=visit.say("case.menu"),
        height="calc(100vh - 13.5rem)" if len(rows) > 8 else "",
    )
    table.grid.props("data-triage")

    async def acknowledge(row_id: str) -> None:
        await case_acts.acknowledge(visit, {"id": row_id})

    async def own(row_id: str) -> None:
        await case_acts.own(visit, {"id": row_id})

    table.on_key("a", acknowledge)
    table.on_key("o", own)
    table.on_key("e", lambda row_id: promise(visit, row_id, table.row(row_id)["timezone"]))
    return table
