"""The part of the reports that says whether the month kept its targets, and what is left of each error budget."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

from nicegui import ui

from center.console import parts
from center.console.month_words import COLUMNS, figures, months_back, verdict
from center.console.pane import Pane
from center.console.plain_table import Cell, link, plain_table
from center.console.session import Refused, Visit

Row = Mapping[str, Any]
MONTHS: Final = 13
BEHIND: Final = {
    "first_response": ("deadline_first_response", "yes"),
    "update": ("deadline_update", "yes"),
    "solve": ("deadline_solve", "yes"),
    "promise": ("promises", "no"),
    "first_time_fix": ("first_time_fix", "no"),
    "no_return": ("repeats", "yes"),
    "true_alarm": ("false_alarms", "yes"),
}
"""Which number of the reports a target is of, and whether what counts into that, or the rest, has missed."""


async def targets(visit: Visit) -> None:
    """One month, the present one at first."""
    now = await visit.api.get("/reports/monthly")
    pane = Pane(lambda found: _month(visit, found))

    async def other(month: str) -> None:
        try:
            pane.show(await visit.api.get("/reports/monthly", month=month))
        except Refused as error:
            pane.show(str(error))

    with ui.element("div").classes("bar"):
        picked = ui.select(
            months_back(now["month"], MONTHS),
            value=now["month"],
            label=visit.say("reports.month"),
            on_change=lambda event: other(event.value),
        )
        picked.props("outlined dense").classes("pick").mark("filter-month")
    pane.show(now)


def _month(visit: Visit, found: Row | str) -> None:
    if isinstance(found, str):
        parts.text("p", found).classes("wrong").props('role="alert"')
        return
    if not found["targets"]:
        parts.empty(visit, "reports.targets_none")
        return
    if not found["over"]:
        parts.text("p", visit.say("reports.month_under_way")).classes("quiet")
    heads = [visit.say(f"reports.{name}") for name in COLUMNS]
    plain_table(visit.say("reports.targets"), heads, [_row(visit, found["month"], each) for each in found["targets"]])
    parts.link(f"/console/print/month/{found['month']}", visit.say("reports.month_print")).mark("print-month")


def _row(visit: Visit, month: str, each: Row) -> list[Cell]:
    def kept() -> None:
        look, phrase = verdict(each)
        parts.light(visit, look, visit.say(f"reports.{phrase}"))

    target, share, missed, used = figures(each)
    of, met = BEHIND[each["name"]]
    where = f"/console/reports/cases?{urlencode({'of': of, 'month': month, 'met': met})}"
    behind = link(missed, where) if each["of"] else missed
    return [visit.say(f"reports.target_{each['name']}"), target, share, behind, used, kept]
