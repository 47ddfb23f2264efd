"""Maintenance windows and silences, and lists of sites and places that are taken in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from nicegui import events, ui

from center.console import parts, sentences
from center.console.parts import Field
from center.console.plain_table import Cell, plain_table
from center.console.session import Visit, lead_to

Row = Mapping[str, Any]
_SCOPES = ("terminal", "site", "estate", "region", "operator", "all")


async def windows(visit: Visit) -> None:
    """What is in force or planned."""
    found = (await visit.api.get("/suppressions"))["items"]
    parts.button(visit.say("admin.new_window"), lambda: _window(visit), "add", main=True, mark="new")
    if not found:
        parts.empty(visit, "admin.windows_empty")
        return
    heads = [visit.say(f"admin.{name}") for name in ("kind", "where", "from", "until", "reason", "by", "do")]
    plain_table(visit.say("admin.part_windows"), heads, [_row(visit, each) for each in found])


def _row(visit: Visit, each: Row) -> list[Cell]:
    async def end() -> None:
        if await visit.act(visit.api.send("DELETE", f"/suppressions/{each['id']}")):
            lead_to("/console/admin/windows")

    where = [visit.word(f"admin.scope_{each['scope']}", each["scope"]), each["scope_key"], each["estate"] or ""]
    if each["fault"] != "*":
        where.append(each["fault"])
    return [
        lambda: parts.light(visit, "maintenance", visit.word(f"admin.{each['kind']}", each["kind"])),
        " · ".join(filter(None, where)),
        parts.clock(each["from_at"]),
        parts.clock(each["until_at"]),
        each["reason"],
        each["by"],
        lambda: parts.button(visit.say("admin.end"), end, mark="end"),
    ]


def _window(visit: Visit) -> None:
    now = datetime.now(UTC)

    async def send(told: dict[str, Any]) -> None:
        body = {name: told[name] for name in ("kind", "scope", "scope_key", "from", "until", "reason")}
        await visit.api.post("/suppressions", body | {"estate": told["estate"] or None, "fault": told["fault"] or "*"})
        lead_to("/console/admin/windows")

    kinds = {each: visit.say(f"admin.{each}") for each in ("maintenance", "silence")}
    scopes = {each: visit.say(f"admin.scope_{each}") for each in _SCOPES}
    until = now + timedelta(hours=4)
    fields = [
        Field("kind", visit.say("admin.kind"), "choice", "maintenance", kinds),
        Field("scope", visit.say("admin.of"), "choice", "site", scopes),
        Field("scope_key", visit.say("admin.scope_key"), hint=visit.say("admin.scope_key_hint")),
        Field("estate", visit.say("admin.estate")),
        Field("fault", visit.say("admin.only_fault"), value="*"),
        Field("from", visit.say("admin.from"), "time", f"{now:%Y-%m-%dT%H:%M}", needed=True),
        Field("until", visit.say("admin.until"), "time", f"{until:%Y-%m-%dT%H:%M}", needed=True),
        Field("reason", visit.say("admin.reason"), "area", needed=True),
    ]
    parts.ask(visit, visit.say("admin.new_window"), fields, send)


async def lists(visit: Visit) -> None:
    """CSV as text or file: looked through first, taken whole."""
    kinds = {each: visit.say(f"admin.list_{each}") for each in ("sites", "places")}
    kind = ui.select(kinds, value="sites", label=visit.say("admin.list")).props("outlined dense").classes("pick")
    heads = parts.text("code", "").classes("command")

    def tell() -> None:
        heads.text = visit.say(f"admin.head_{kind.value}")

    kind.on_value_change(tell)
    tell()
    text = ui.textarea(visit.say("admin.csv")).props("outlined").classes("field csv").mark("csv")

    async def uploaded(event: events.UploadEventArguments) -> None:
        text.value = (await event.file.read()).decode("utf-8-sig", "replace")

    file = ui.upload(label=visit.say("admin.file"), on_upload=uploaded, auto_upload=True, max_file_size=5_000_000)
    file.props('accept=".csv,text/csv" flat bordered')
    name = f"each.ariaLabel = {json.dumps(visit.say('admin.file'))}"  # Quasar gives them none
    inside = f"getHtmlElement({file.id}).querySelectorAll('a.q-btn, input')"
    ui.run_javascript(f"{inside}.forEach((each) => {{ {name} }})")
    told = ui.element("div").props('role="status"').classes("said-here")

    async def look() -> None:
        found = await visit.act(visit.api.post("/imports/read", {"what": kind.value, "text": text.value or ""}))
        if found is None:
            return
        told.clear()
        with told:
            _found(visit, kind.value, found)

    parts.button(visit.say("admin.look_through"), look, "fact_check", main=True, mark="look")


def _found(visit: Visit, kind: str, found: Row) -> None:
    rows, problems = found["rows"], found["problems"]

    async def take() -> None:
        answer = await visit.act(visit.api.post(f"/{kind}/import", rows))
        if answer:
            visit.told(visit.say("admin.taken_in", n=answer["taken"]))

    if not problems and rows:
        parts.light(visit, "ok", visit.say("admin.rows_well", n=len(rows))).classes("long")
        parts.button(visit.say("admin.take_in"), take, "download_done", main=True, mark="take")
        return
    parts.light(visit, "failed", visit.say("admin.rows_wrong", n=len(problems))).classes("long")
    with ui.element("ul").classes("rows problems"):
        for each in problems[:200]:
            line = "" if each["line"] is None else visit.say("admin.line", n=each["line"]) + ": "
            with ui.element("li"):
                parts.text("span", line + sentences.refusal(visit.language, 422, each["text"]))
