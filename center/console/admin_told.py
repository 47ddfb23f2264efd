"""Where people and programs are told: channels and webhooks, a trial of each, and what was told."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from nicegui import ui

from center.console import parts
from center.console.admin_people import once
from center.console.parts import Field
from center.console.plain_table import Cell, plain_table
from center.console.session import Visit, lead_to

Row = Mapping[str, Any]
_LOG = 50


async def channels(visit: Visit) -> None:
    """Places for people: mail, SMS, chats."""
    found, log = await asyncio.gather(visit.api.all("/channels"), visit.api.get("/notifications", limit=_LOG))
    parts.button(visit.say("admin.new_channel"), lambda: _channel(visit), "add", main=True, mark="new")
    if found:
        heads = [visit.say(f"admin.{name}") for name in ("name", "events", "only", "do")]
        rows = [
            [
                each["name"],
                ", ".join(each["events"] or ()),
                _only(visit, each["filter"]),
                _acts(visit, "channels", each),
            ]
            for each in found
        ]
        plain_table(visit.say("admin.part_channels"), heads, rows)
    else:
        parts.empty(visit, "admin.channels_empty")
    _log(visit, log["items"])


async def webhooks(visit: Visit) -> None:
    """Places for programs."""
    found, log = await asyncio.gather(visit.api.all("/webhooks"), visit.api.get("/notifications", limit=_LOG))
    parts.button(visit.say("admin.new_webhook"), lambda: _webhook(visit), "add", main=True, mark="new")
    if found:
        heads = [visit.say(f"admin.{name}") for name in ("name", "events", "only", "state", "do")]
        plain_table(visit.say("admin.part_webhooks"), heads, [_webhook_row(visit, each) for each in found])
    else:
        parts.empty(visit, "admin.webhooks_empty")
    _log(visit, log["items"])


def _webhook_row(visit: Visit, each: Row) -> list[Cell]:
    def state() -> None:
        active, error = each["state"] == "active", each["error"]
        well = active and not error
        said = (error or visit.say("admin.active")) if active else visit.say("admin.hook_gone", why=error)
        parts.light(visit, "ok" if well else "failed", said)

    choice = each["filter"] or {}
    return [each["id"], ", ".join(choice.get("events") or ()), _only(visit, choice), state,
            _acts(visit, "webhooks", each)]  # fmt: skip


def _only(visit: Visit, choice: Row | None) -> str:
    told = [", ".join((choice or {}).get(name) or ()) for name in ("estates", "severities")]
    return "; ".join(filter(None, told)) or visit.say("shell.all")


def _acts(visit: Visit, kind: str, each: Row) -> Cell:
    def remove() -> None:
        async def send(_told: dict[str, Any]) -> None:
            await visit.api.send("DELETE", f"/{kind}/{each['id']}")
            lead_to(f"/console/admin/{kind}")

        title = visit.say("admin.remove_of", name=each.get("name") or each["id"])
        parts.ask(visit, title, [], send, go=visit.say("admin.remove"))

    def build() -> None:
        with ui.element("div").classes("row-acts"):
            parts.button(visit.say("admin.try"), lambda: _try(visit, kind, each, told), mark="try")
            parts.button(visit.say("admin.remove"), remove, mark="remove")
        told = ui.element("div").props('role="status"')

    return build


async def _try(visit: Visit, kind: str, each: Row, told: ui.element) -> None:
    answer = await visit.act(visit.api.post(f"/{kind}/{each['id']}/try"))
    if answer is None:
        return
    told.clear()
    with told:
        well = not answer["problem"]
        said = visit.say("admin.taken") if well else answer["problem"]
        parts.light(visit, "ok" if well else "failed", said).classes("long")


def _log(visit: Visit, found: Sequence[Row]) -> None:
    parts.text("h3", visit.say("admin.log"))
    if not found:
        parts.text("p", visit.say("admin.log_empty")).classes("quiet")
        return

    def row(each: Row) -> list[Cell]:
        def state() -> None:
            well = each["state"] == "sent"
            parts.light(visit, "ok" if well else "failed", visit.say("admin.sent") if well else each["error"])

        return [lambda: parts.moment(visit, each["at"]), each["channel"], each["subject"], state]

    heads = [visit.say(f"admin.{name}") for name in ("at", "channel", "subject", "state")]
    plain_table(visit.say("admin.log"), heads, [row(each) for each in found])


def _names(text: str) -> list[str]:
    return [each.strip() for each in text.split(",") if each.strip()]


def _common(visit: Visit) -> list[Field]:
    return [
        Field("events", visit.say("admin.events"), value="*", needed=True, hint=visit.say("admin.events_hint")),
        Field("estates", visit.say("admin.estates"), hint=visit.say("admin.scope_hint")),
    ]


def _channel(visit: Visit) -> None:
    async def send(told: dict[str, Any]) -> None:
        lists = {"events": _names(told["events"]), "estates": _names(told["estates"]) or None}
        await visit.api.post("/channels", {"name": told["name"], "url": told["url"]} | lists)
        lead_to("/console/admin/channels")

    name = Field("name", visit.say("admin.name"), needed=True)
    url = Field("url", visit.say("admin.url"), needed=True, hint=visit.say("admin.url_hint"))
    parts.ask(visit, visit.say("admin.new_channel"), [name, url, *_common(visit)], send)


def _webhook(visit: Visit) -> None:
    async def send(told: dict[str, Any]) -> None:
        lists = {"events": _names(told["events"]), "estates": _names(told["estates"]) or None}
        made = await visit.api.post("/webhooks", {"url": told["url"], "format": told["format"]} | lists)
        once(visit, visit.say("admin.hook_secret"), made["secret"], "/console/admin/webhooks")

    url = Field("url", visit.say("admin.url"), needed=True, hint="https://…")
    forms = {each: visit.say(f"admin.format_{each}") for each in ("posdiag", "alertmanager")}
    form = Field("format", visit.say("admin.format"), "choice", "posdiag", forms, needed=True)
    parts.ask(visit, visit.say("admin.new_webhook"), [url, form, *_common(visit)], send)
