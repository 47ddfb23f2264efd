"""How the center is set up: its settings in force and the key that signs commands."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from center.console import parts
from center.console.plain_table import Cell, plain_table
from center.console.session import Visit

Row = Mapping[str, Any]


async def center(visit: Visit) -> None:
    """Settings, and whether commands can be signed."""
    told, key, settings = await asyncio.gather(
        visit.api.get("/center"), visit.api.get("/center/command-key"), visit.api.get("/center/settings")
    )

    def signing() -> None:
        if key["kid"]:
            parts.light(visit, "ok", visit.say("admin.key_there", kid=key["kid"])).classes("long")
        else:
            parts.light(visit, "warning", visit.say("admin.key_missing")).classes("long")
            parts.text("div", key["problem"]).classes("quiet")

    parts.facts([(visit.say("admin.version"), told["version"]), (visit.say("admin.key"), signing)])
    heads = [visit.say(f"admin.{name}") for name in ("setting", "value", "origin", "meaning")]
    rows = [_row(visit, each) for each in settings["items"]]
    parts.text("h3", visit.say("admin.settings"))
    parts.text("p", visit.say("admin.settings_how")).classes("quiet")
    plain_table(visit.say("admin.settings"), heads, rows)


def _row(visit: Visit, each: Row) -> list[Cell]:
    def origin() -> None:
        parts.text("strong" if each["own"] else "span", visit.say(f"admin.{'own' if each['own'] else 'as_shipped'}"))

    name = each["name"]
    return [lambda: parts.text("code", name), lambda: parts.text("code", json.dumps(each["value"], ensure_ascii=False)),
            origin, lambda: parts.text("span", each["meaning"]).props('lang="en"')]  # fmt: skip
