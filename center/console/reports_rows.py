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
from center.console.session import Visit, lead_to
from center.domain.texts import fault_title

_SHARES: Final = (
    *("first_time_fix", "repeats", "false_alarms", "promises"),
    *("deadline_first_response", "deadline_update", "deadline_solve"),
)
_OF: Final = (*_SHARES, "detect", "acknowledge", "repair", "top", "satisfaction")
_MET: Final = {"yes": "true", "no": "false"}


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
    month: str = "",
    met: str = "",
) -> None:
    """Of a month where one is given, in place of a period; with `met` only what counts into a share, or the rest."""
    of = of if of in _OF else "top"
    try:
        span = Span.of(days, since, until, by)
    except ValueError:
        span = Span.of("", "", "", by)
    asked = span.query | {"by": span.by}
    if month:
        of_month = await visit.api.get("/reports/monthly", month=month)
        asked |= {name: of_month[name] for name in ("since", "until")}
    if of in _SHARES and met in _MET:
        asked["met"] = _MET[met]
    if group is not None:
        asked["group"] = group
    if fault:
        asked["fault"] = fault
    page = await visit.api.get(f"/reports/{of}/cases", limit=FIRST, **asked)
    period = month or _period(visit, span)
    parts.heading(visit.say("reports.rows_of", what=_what(visit, of)), _about(visit, span, period, group, fault))
    parts.as_of(visit)
    with ui.element("div").classes("bar"):
        parts.link(f"/console/reports?{span.address()}", visit.say("reports.rows_back"))
        export = f"/api/v1/reports/{of}/export?{urlencode(asked)}"
        parts.link(export, visit.say("reports.export")).props("download")
        if of in _SHARES:
            _choice(visit, span, of, met if met in _MET else "", {"group": group, "fault": fault, "month": month})
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
        title=_what(visit, of),
        height="70vh" if len(page["items"]) > 12 else "",
    )
    path, none = f"/reports/{of}/cases", "reports.rows_none"
    Listing(visit, table, path, asked, page["next"], partial(_row, visit), "reports", none)


def _choice(visit: Visit, span: Span, of: str, met: str, others: Mapping[str, str | None]) -> None:
    """All that a share is of, or only those that count into it, or only the others."""
    options = {"": visit.say("shell.all")} | {each: visit.say(f"reports.met_{each}") for each in _MET}

    def go(chosen: str) -> None:
        given = {name: value for name, value in others.items() if value or (name == "group" and value is not None)}
        lead_to(f"/console/reports/cases?{span.address(of=of, **given, **({'met': chosen} if chosen else {}))}")

    picked = ui.select(
        options, value=met, label=visit.say("reports.col_value"), on_change=lambda event: go(event.value)
    )
    picked.props("outlined dense").classes("pick").mark("filter-met")


def _what(visit: Visit, of: str) -> str:
    said = visit.say(f"reports.{of}")
    return visit.say("reports.missed", what=said) if of.startswith("deadline_") else said


def _period(visit: Visit, span: Span) -> str:
    if span.since is None:
        return visit.say(f"reports.days_{span.days}")
    return visit.say("reports.days_own", since=str(span.since), until=str(span.until))


def _about(visit: Visit, span: Span, period: str, group: str | None, fault: str) -> str:
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
