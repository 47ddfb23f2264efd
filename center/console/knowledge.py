"""Knowledge: what is known about each fault, what helped and how surely, and problems behind many cases."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final
from urllib.parse import quote, urlencode

from nicegui import ui

from center.console import parts
from center.console.app import screen
from center.console.knowledge_views import remedies, runbook, signature_title
from center.console.listing import more
from center.console.parts import Field
from center.console.plain_table import Cell, link, plain_table
from center.console.session import Visit, lead_to
from center.domain.texts import fault_title

Row = Mapping[str, Any]
_LANGUAGES: Final = ("en", "zh")
_PAGE: Final = 50
_AUDIENCES: Final = ("agent", "merchant")


@screen("/knowledge", "knowledge")
async def build(visit: Visit, q: str = "") -> None:
    drafts, known, candidates, found = await asyncio.gather(
        visit.api.get("/knowledge/guides", limit=_PAGE, state="draft"),
        visit.api.get("/knowledge/problems", limit=_PAGE),
        visit.api.get("/knowledge/problems/candidates"),
        visit.api.get("/knowledge/search", words=q or "/", language=visit.language, limit=1000),
    )
    parts.heading(visit.say("knowledge.title"), visit.say("knowledge.about"))
    parts.as_of(visit)
    with ui.element("div").classes("bar"):
        field = ui.input(visit.say("knowledge.search"), value=q).props("outlined dense clearable").classes("pick")

        def look() -> None:
            lead_to("/console/knowledge" + (f"?{urlencode({'q': field.value})}" if field.value else ""))

        field.on("keydown.enter", look).mark("search")
        parts.button(visit.say("knowledge.look"), look, "search", mark="look")
    if drafts["items"]:
        with parts.section(visit.say("knowledge.drafts"), "drafts"):
            box = ui.element("ul").classes("rows")
            _guides(visit, box, drafts["items"])
            more(visit, "/knowledge/guides", {"state": "draft"}, drafts["next"], partial(_guides, visit, box))
    with parts.section(visit.say("knowledge.faults"), "faults"):
        if not found["items"]:
            parts.empty(visit, "knowledge.empty")
        _guides(visit, ui.element("ul").classes("rows"), found["items"])
    _problems(visit, known, candidates["items"])


def _guides(visit: Visit, box: ui.element, some: Sequence[Row]) -> None:
    with box:
        for each in some:
            with ui.element("li"):
                parts.link(_where(each["fault"]), each["title"])
                parts.text("span", _of(visit, each)).classes("quiet")


@screen("/knowledge/{unit}/{kind}", "knowledge")
async def fault_page(
    visit: Visit, unit: str, kind: str, language: str = "", model: str = "", firmware: str = "", audience: str = "agent"
) -> None:
    fault = f"{unit}/{kind}"
    asked = {"language": language or visit.language, "model": model, "firmware": firmware, "audience": audience}
    told, written = await asyncio.gather(
        visit.api.get(f"/knowledge/faults/{quote(unit, safe='')}/{quote(kind, safe='')}", **asked),
        visit.api.get("/knowledge/guides", limit=_PAGE, fault=fault),
    )
    parts.heading(fault_title(fault, visit.language), fault)
    parts.as_of(visit)
    parts.link("/console/knowledge", visit.say("knowledge.back"))
    _chooser(visit, fault, asked)
    with ui.element("div").classes("sheet"):
        with ui.element("div"):
            with parts.section(visit.say("knowledge.guide"), "guide"):
                _guide(visit, told["guide"])
                if visit.may("knowledge.write"):
                    edit = partial(_edit, visit, told["guide"], asked)
                    parts.button(visit.say("knowledge.edit"), edit, "edit", main=True, mark="edit")
            if written["items"]:
                with parts.section(visit.say("knowledge.versions"), "versions"):
                    parts.text("p", visit.say("knowledge.four_eyes")).classes("quiet")
                    box = ui.element("ul").classes("rows")
                    _versions(visit, box, written["items"])
                    add = partial(_versions, visit, box)
                    more(visit, "/knowledge/guides", {"fault": fault}, written["next"], add)
        with ui.element("div"):
            with parts.section(visit.say("knowledge.runbook"), "runbook"):
                runbook(visit, told["runbook"])
            with parts.section(visit.say("knowledge.remedies"), "remedies"):
                remedies(visit, told["remedies"])
            cases = f"/console/cases?{urlencode({'fault': fault})}"
            parts.link(cases, visit.say("knowledge.cases"))


def _where(fault: str, **asked: str) -> str:
    query = urlencode({name: value for name, value in asked.items() if value})
    return f"/console/knowledge/{quote(fault)}{'?' + query if query else ''}"


def _of(visit: Visit, each: Row) -> str:
    """What a guide is for, and who wrote it."""
    kinds = [each["fault"], each["model"], each["firmware"], visit.say(f"knowledge.{each['language']}")]
    author = visit.say("knowledge.shipped") if each["version"] == 0 else each["author"]
    return " · ".join(filter(None, [*kinds, visit.say(f"knowledge.{each['audience']}"), author]))


def _chooser(visit: Visit, fault: str, asked: Mapping[str, str]) -> None:
    def go(name: str, value: str | None) -> None:
        lead_to(_where(fault, **{**asked, name: (value or "").strip()}))

    with ui.element("div").classes("bar filters"):
        for name, values in (("language", _LANGUAGES), ("audience", _AUDIENCES)):
            options = {each: visit.say(f"knowledge.{each}") for each in values}
            chosen = asked[name] if asked[name] in options else values[0]
            pick = ui.select(options, value=chosen, label=visit.say(f"knowledge.{name}"))
            pick.on_value_change(lambda event, name=name: go(name, event.value))
            pick.props("outlined dense").classes("pick").mark(f"filter-{name}")
        for name in ("model", "firmware"):
            field = ui.input(visit.say(f"knowledge.{name}"), value=asked[name]).props("outlined dense clearable")
            field.classes("pick").mark(f"filter-{name}")
            field.on("keydown.enter", lambda name=name, field=field: go(name, field.value))
            field.on("clear", lambda name=name: go(name, ""))


def _guide(visit: Visit, guide: Row) -> None:
    parts.text("h3", guide["title"])
    parts.text("p", guide["body"]).classes("said").props(f'lang="{"zh-CN" if guide["language"] == "zh" else "en"}"')

    def reviewed() -> None:
        if guide["reviewed_at"]:
            parts.moment(visit, guide["reviewed_at"])
        else:
            parts.text("span", visit.say("knowledge.with_product")).classes("quiet")

    author = visit.say("knowledge.shipped") if guide["version"] == 0 else guide["author"]
    parts.facts(
        [
            (visit.say("knowledge.author"), author),
            (visit.say("knowledge.reviewed"), reviewed),
            (visit.say("knowledge.version"), str(guide["version"])),
            (visit.say("knowledge.model"), guide["model"] or visit.say("shell.all")),
            (visit.say("knowledge.firmware"), guide["firmware"] or visit.say("shell.all")),
        ]
    )


def _edit(visit: Visit, guide: Row, asked: Mapping[str, str]) -> None:
    async def propose(told: dict[str, Any]) -> None:
        body = {"fault": guide["fault"], "language": asked["language"], "audience": asked["audience"]}
        await visit.api.post("/knowledge/guides", body | told)
        lead_to(_where(guide["fault"], **asked) + "#versions")

    parts.ask(
        visit,
        visit.say("knowledge.edit"),
        [
            Field("title", visit.say("knowledge.heading"), value=guide["title"], needed=True),
            Field("body", visit.say("knowledge.body"), "area", guide["body"], needed=True),
            Field(
                "model", visit.say("knowledge.model"), value=asked["model"], hint=visit.say("knowledge.empty_is_all")
            ),
            Field("firmware", visit.say("knowledge.firmware"), value=asked["firmware"]),
        ],
        propose,
        go=visit.say("knowledge.propose"),
    )


def _versions(visit: Visit, box: ui.element, written: Sequence[Row]) -> None:
    looks = {"draft": "warning", "approved": "ok", "retired": "unsupported"}
    with box:
        for each in written:
            with ui.element("li").props(f'data-guide="{each["id"]}"'):
                state = each["state"]
                parts.light(visit, looks.get(state), visit.say(f"knowledge.{state}"))
                parts.text("strong", each["title"])
                parts.text("span", _of(visit, each) + f" · {visit.say('knowledge.version')} {each['version']}")
                parts.moment(visit, each["updated_at"])
                if state == "draft":
                    _draft(visit, each)


def _draft(visit: Visit, each: Row) -> None:
    async def approve() -> None:
        path = f"/knowledge/guides/{each['id']}/approve"
        if await visit.act(visit.api.post(path), visit.say("knowledge.in_force")):
            lead_to(_where(each["fault"], language=each["language"], model=each["model"], audience=each["audience"]))

    with ui.element("details").classes("read wide"):
        parts.text("summary", visit.say("knowledge.read"))
        parts.text("p", each["body"]).classes("said")
    if each["author"] == visit.me["name"]:
        parts.text("span", visit.say("knowledge.second_needed")).classes("quiet")
    elif visit.may("knowledge.write"):
        parts.button(visit.say("knowledge.approve"), approve, "done", main=True, mark="approve")


def _problems(visit: Visit, known: Row, candidates: Sequence[Row]) -> None:
    looks = {"open": "warning", "known": "maintenance", "solved": "ok"}

    def row(each: Row) -> list[Cell]:
        def state() -> None:
            parts.light(visit, looks.get(each["state"]), visit.say(f"knowledge.problem_{each['state']}"))

        return [each["title"], state, each["workaround"] or "–", _named(visit, each["signature"]), each["owner"]]

    with parts.section(visit.say("knowledge.problems"), "problems"):
        if not known["items"]:
            parts.empty(visit, "knowledge.problems_empty")
        else:
            names = ("problem", "state", "workaround", "signature", "owner")
            heads = [visit.say(f"knowledge.{name}") for name in names]
            add = plain_table(visit.say("knowledge.problems"), heads, map(row, known["items"]))
            more(visit, "/knowledge/problems", {}, known["next"], lambda some: add(map(row, some)))
        if candidates:
            parts.text("h3", visit.say("knowledge.candidates"))
            with ui.element("ul").classes("rows"):
                for each in candidates:
                    with ui.element("li"):
                        parts.link(
                            _where(each["signature"].partition("|")[0]), signature_title(visit, each["signature"])
                        )
                        those = f"/console/cases?{urlencode({'candidate': each['signature']})}"
                        parts.link(those, visit.say("knowledge.cases_n", n=each["cases_n"]))
        if visit.may("knowledge.write"):
            parts.button(visit.say("knowledge.new_problem"), lambda: _new_problem(visit), "add", mark="new-problem")


def _named(visit: Visit, signature: str) -> Cell:
    return link(signature_title(visit, signature), _where(signature.partition("|")[0])) if "/" in signature else "–"


def _new_problem(visit: Visit) -> None:
    async def create(told: dict[str, Any]) -> None:
        made = await visit.api.post("/knowledge/problems", {"title": told["title"], "signature": told["signature"]})
        if told["workaround"]:
            change = {"workaround": told["workaround"], "state": "known"}
            await visit.api.send("PATCH", f"/knowledge/problems/{made['id']}", change)
        lead_to("/console/knowledge#problems")

    parts.ask(
        visit,
        visit.say("knowledge.new_problem"),
        [
            Field("title", visit.say("knowledge.problem"), needed=True),
            Field("signature", visit.say("knowledge.signature"), hint="printer/cutter_error|TM-T20"),
            Field("workaround", visit.say("knowledge.workaround"), "area"),
        ],
        create,
    )
