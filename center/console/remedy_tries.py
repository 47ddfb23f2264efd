"""The tries that one figure of a remedy counts, each with its case: who doubts “3 of 4” sees the four."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import quote

from center.console import parts
from center.console.app import screen
from center.console.listing import FIRST, Listing
from center.console.parts import Column, Table
from center.console.session import Visit
from center.domain.texts import fault_title

Row = Mapping[str, Any]


@screen("/knowledge/{unit}/{kind}/tries", "knowledge")
async def build(
    visit: Visit,
    unit: str,
    kind: str,
    remedy: str = "",
    basis: str = "fault",
    model: str = "",
    firmware: str = "",
    settled: str = "yes",
) -> None:
    """`settled=no` for those of which nobody knows yet whether they helped."""
    fault = f"{unit}/{kind}"
    asked = {"basis": basis, "signature": f"{fault}|{model}", "firmware": firmware}
    asked |= {"remedy": remedy} if remedy else {}
    asked["settled"] = "false" if settled == "no" else "true"
    path = "/knowledge/tries"
    page = await visit.api.get(path, limit=FIRST, **asked)
    title = visit.say("knowledge.tries_of", remedy=_named(visit, remedy) if remedy else visit.say("shell.all"))
    alike = [visit.word(f"case.basis_{basis}", basis), model if basis != "fault" else ""]
    alike.append(firmware if basis == "firmware" else "")
    parts.heading(title, " · ".join(filter(None, [fault_title(fault, visit.language), *alike])))
    parts.as_of(visit)
    parts.link(f"/console/knowledge/{quote(fault)}", visit.say("knowledge.tries_back"))
    table = Table(
        visit,
        [
            Column("number", visit.say("reports.col_number"), width=110),
            Column("remedy", visit.say("case.remedy"), width=150, yields=4),
            Column("worked", visit.say("case.helped"), "light", 160),
            Column("place", visit.say("reports.col_place"), flex=1, width=120, yields=1),
            Column("device", visit.say("knowledge.model"), flex=1, width=120, yields=3),
            Column("at", visit.say("knowledge.tried_at"), "age", 130, yields=2),
        ],
        [_row(visit, each) for each in page["items"]],
        title=title,
        height="70vh" if len(page["items"]) > 12 else "",
    )
    Listing(visit, table, path, asked, page["next"], partial(_row, visit), "knowledge", "knowledge.tries_none")


def _named(visit: Visit, remedy: str) -> str:
    return visit.word(f"remedy.{remedy}", remedy)


def _row(visit: Visit, row: Row) -> dict[str, Any]:
    deleted = row["case"] is None
    return {
        "id": row["id"],
        "where": "" if deleted else f"/console/case/{quote(row['case'])}",
        "number": visit.say("knowledge.case_deleted") if deleted else f"C-{row['number']}",
        "remedy": _named(visit, row["remedy"]),
        "worked": row["worked"],
        "worked_words": visit.say(f"knowledge.worked_{row['worked']}"),
        "place": row["terminal"] or row["site"] or row["estate"] or "",
        "device": f"{row['model']} {row['firmware']}".strip(),
        "at": row["at"],
    }
