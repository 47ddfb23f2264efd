"""Audit: who read and did what, found by person, act, thing and period; and whether the chain is whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlencode

from nicegui import ui

from center.console import parts
from center.console.app import screen
from center.console.plain_table import Cell, plain_table
from center.console.session import Refused, Visit, lead_to

_NAMES: Final = ("who", "what", "target", "since", "until")
_PAGE: Final = 100
_NO_NAMES: Final = ("first start", "nobody", "command line")
"""What the audit says where no account did it."""


@screen("/audit", "audit")
async def build(
    visit: Visit, who: str = "", what: str = "", target: str = "", since: str = "", until: str = "", cursor: str = ""
) -> None:
    asked = dict(zip(_NAMES, (who, what, target, since, until), strict=True))
    sent = asked | {"since": _moment(visit, since), "until": _moment(visit, until), "cursor": cursor}
    page = await visit.api.get("/audit", limit=_PAGE, **{name: value or None for name, value in sent.items()})
    parts.heading(visit.say("audit.title"), visit.say("audit.about"))
    parts.as_of(visit)
    _acts(visit)
    _filters(visit, asked)
    if not page["items"]:
        parts.empty(visit, "audit.empty")
        return
    heads = [visit.say(f"audit.{name}") for name in ("at", "who", "what", "target", "detail")]
    with ui.element("section").classes("part"):
        plain_table(visit.say("audit.title"), heads, [_row(visit, each) for each in page["items"]])
    if page["next"]:
        parts.link(_where(asked | {"cursor": page["next"]}), visit.say("audit.older")).mark("older")


def _acts(visit: Visit) -> None:
    with ui.element("div").classes("bar"):
        kept = ui.input(visit.say("audit.kept")).props("outlined dense clearable").classes("pick").mark("kept")
        parts.button(visit.say("audit.check"), lambda: _check(visit, told, kept), "link", main=True, mark="check")
        parts.link("/api/v1/audit/export", visit.say("audit.export")).props("download")
    told = ui.element("div").props('role="status"').classes("said-here")


async def _check(visit: Visit, told: ui.element, kept: ui.input) -> None:
    seen = (kept.value or "").strip().lower()
    found = await visit.act(visit.api.get("/audit/verify", seen=seen or None))
    if found is None:
        return
    told.clear()
    with told:
        if found["broken_id"] is None:
            parts.light(visit, "ok", visit.say("audit.whole", n=found["rows"])).classes("long")
            parts.text("p", visit.say("audit.head")).classes("quiet")
            parts.text("code", found["head"]).classes("digest")
        else:
            said = visit.say("audit.broken", row=found["broken_id"], n=found["rows"])
            parts.light(visit, "failed", said).classes("long")
        if found["seen"] is not None:
            state, said = ("ok", "audit.kept_there") if found["seen"] else ("failed", "audit.kept_gone")
            parts.light(visit, state, visit.say(said)).classes("long")


def _filters(visit: Visit, asked: Mapping[str, str]) -> None:
    inputs: dict[str, ui.input] = {}

    def go() -> None:
        lead_to(_where({name: (field.value or "").strip() for name, field in inputs.items()}))

    with ui.element("div").classes("bar filters"):
        for name in _NAMES:
            field = ui.input(visit.say(f"audit.{name}"), value=asked[name]).props("outlined dense clearable")
            if name in {"since", "until"}:
                field.props('type="datetime-local" stack-label').classes("when")
            field.on("keydown.enter", go)
            inputs[name] = field.classes("pick").mark(f"filter-{name}")
        parts.button(visit.say("shell.filter"), go, "filter_list", mark="filter")
        if any(asked.values()):
            parts.link("/console/audit", visit.say("shell.all"))


def _row(visit: Visit, each: Mapping[str, Any]) -> list[Cell]:
    def what() -> None:
        words = visit.word(f"audit.did_{each['what'].replace('.', '_')}", "")
        if words:
            parts.text("div", words)
        parts.text("code", each["what"]).classes("quiet")

    detail = json.dumps(each["detail"], ensure_ascii=False) if each["detail"] else ""
    who = _who(visit, each["who"])
    return [lambda: parts.moment(visit, each["at"]), lambda: parts.link(_where({"who": each["who"]}), who),
            what, each["target"], detail]  # fmt: skip


def _who(visit: Visit, name: str) -> str:
    """Who did it; where that is nobody's name, what stands in its place in words."""
    first, comma, rest = name.partition(", ")
    if first not in _NO_NAMES:
        return name
    return visit.say(f"audit.who_{first.replace(' ', '_')}") + comma + rest


def _where(asked: Mapping[str, str]) -> str:
    query = urlencode({name: value for name, value in asked.items() if value})
    return f"/console/audit{'?' + query if query else ''}"


def _moment(visit: Visit, told: str) -> str:
    """As the API takes it, of a time that a link or a form gives; one without a zone is UTC."""
    if not told:
        return ""
    try:
        at = datetime.fromisoformat(told)
    except ValueError:
        raise Refused(422, visit.say("audit.no_time", told=told)) from None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).isoformat()
