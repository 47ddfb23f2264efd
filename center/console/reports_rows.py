"""The cases that one number of the reports is made of, each with what it adds."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final
from urllib.parse import quote, urlencode

from nicegui import ui

from center.console import parts
from center.console.app import screen
from center.console.listing import FIRST, Listing
from center.console.parts import Column, Table
from center.console.reports_period import Span, length
from center.console.session import Visit
from center.domain.texts import fault_title

_OF: Final = (
    *("detect", "acknowledge", "repair", "first_time_fix", "repeats", "false_alarms", "promises", "top"),
    "satisfaction",
)


@screen("/reports/cases", "reports")
async def build(
    visit: Visit,
    of: str = "top",
    days: str = "",
    since: str = "",
    until: str = "",
    by: str = "",
    group: str | None = None,
    fault: str = "",
) -> None:
    of = of if of in _OF else "top"
    try:
        span = Span.of(days, since, until, by)
    except ValueError:
        span = Span.of("", "", "", by)
    asked = span.query | {"by": span.by}
    if group is not None:
        asked["group"] = group
    if fault:
        asked["fault"] = fault
    page = await visit.api.get(f"/reports/{of}/cases", limit=FIRST, **asked)
    parts.heading(visit.say("reports.rows_of", what=visit.say(f"reports.{of}")), _about(visit, span, group, fault))
    parts.as_of(visit)
    with ui.element("div").classes("bar"):
        parts.link(f"/console/reports?{span.address()}", visit.say("reports.rows_back"))
        export = f"/api/v1/reports/{of}/export?{urlencode(asked)}"
        parts.link(export, visit.say("reports.export")).props("download")
    title = {each: visit.say(f"reports.col_{each}") for each in ("number", "fault", "place", "value", "created")}
    table = Table(
        visit,
        [
            Column("number", title["number"], width=95),
            Column("fault", title["fault"], flex=3, width=150),
            Column("value", title["value"], width=110),
            Column("place", title["place"], flex=1, width=120, yields=1),
            Column("created", title["created"], "age", 130, yields=2),
        ],
        [_row(visit, each) for each in page["items"]],
        title=visit.say(f"reports.{of}"),
        height="70vh" if len(page["items"]) > 12 else "",
    )
    path, none = f"/reports/{of}/cases", "reports.rows_none"
    Listing(visit, table, path, asked, page["next"], partial(_row, visit), "reports", none)


def _about(visit: Visit, span: Span, group: str | None, fault: str) -> str:
    period = visit.say(f"reports.days_{span.days}") if span.since is None else ""
    if span.since is not None:
        period = visit.say("reports.days_own", since=str(span.since), until=str(span.until))
    named = (group or visit.say("reports.group_none")) if group is not None and span.by != "fault" else ""
    return " · ".join(filter(None, [period, named, fault_title(fault, visit.language) if fault else ""]))


def _row(visit: Visit, row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": row["id"],
        "where": f"/console/case/{quote(row['id'])}",
        "number": f"C-{row['number']}",
        "fault": fault_title(row["fault"], visit.language) if row["fault"] else row["title"],
        "value": _value(visit, row),
        "place": row["terminal"] or row["site"] or row["estate"],
        "created": row["created_at"],
    }


def _value(visit: Visit, row: Mapping[str, Any]) -> str:
    if row["length_s"] is not None:
        return length(visit, 1000 * row["length_s"])
    if row["met"] is not None:
        return visit.say("reports.met_yes" if row["met"] else "reports.met_no")
    return "" if row["score"] is None else visit.say("reports.score", score=row["score"])
