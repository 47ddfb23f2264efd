"""Reports: how fast and how well merchants were helped in a period. Each number leads to the cases behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

from nicegui import ui

from center.console import parts
from center.console.app import screen
from center.console.pane import Pane
from center.console.reports_period import DAYS, GROUPS, Span, length, percent
from center.console.reports_targets import targets
from center.console.session import Refused, Visit, lead_to
from center.domain.texts import fault_title

Row = Mapping[str, Any]

_PLAIN: Final = ("times", "first_time_fix", "repeats", "promises", "false_alarms", "deflection", "deadlines")
_SPANS: Final = ("detect", "acknowledge", "repair")
_RHYTHM_DAYS: Final = 28


@screen("/reports", "reports")
async def build(
    visit: Visit, days: str = "", since: str = "", until: str = "", by: str = "", fault: str = "", zone: str = ""
) -> None:
    parts.heading(visit.say("reports.title"), visit.say("reports.about"))
    parts.as_of(visit)
    try:
        span = Span.of(days, since, until, by)
    except ValueError:
        _choices(visit, Span.of("", "", "", by))
        parts.text("p", visit.say("reports.wrong_period")).classes("wrong").props('role="alert"')
        return
    _choices(visit, span)
    counting = Pane(lambda why: _counting(visit, why))
    counting.show(None)
    body = ui.element("div")

    async def count() -> None:
        """Behind the page's back: some of it goes through all cases of the period."""
        await visit.client.connected()
        try:
            found, usual = await _found(visit, span)
        except Refused as error:
            counting.show(str(error))
            return
        counting.show("")
        with body:
            _shown(visit, span, found, fault, zone or usual)
            with parts.section(visit.say("reports.targets"), "targets"):
                await targets(visit)
        visit.client.run_javascript("document.getElementById(location.hash.slice(1))?.scrollIntoView()")

    visit.once(count)


async def _found(visit: Visit, span: Span) -> tuple[dict[str, Any], str]:
    """What each report tells of the period, and the time zone of the first site."""
    asked = span.query
    *told, where = await asyncio.gather(
        *(visit.api.get(f"/reports/{name}", **asked) for name in _PLAIN),
        *(visit.api.get(f"/reports/{name}", by=span.by, **asked) for name in ("top", "satisfaction")),
        visit.api.get("/sites", limit=1),
    )
    return {each["report"]: each["result"] for each in told}, where["items"][0]["timezone"] if where["items"] else "UTC"


def _shown(visit: Visit, span: Span, found: Mapping[str, Any], fault: str, zone: str) -> None:
    with parts.section(visit.say("reports.times"), "times"):
        _times(visit, span, found["times"])
    with parts.section(visit.say("reports.shares"), "shares"):
        _shares(visit, span, found)
    with ui.element("div").classes("columns"):
        with parts.section(visit.say("reports.top"), "top"):
            _top(visit, span, found["top"])
        with ui.element("div"):
            with parts.section(visit.say("reports.satisfaction"), "satisfaction"):
                _satisfaction(visit, span, found["satisfaction"])
            with parts.section(visit.say("reports.deadlines"), "deadlines"):
                _deadlines(visit, span, found["deadlines"])
    with parts.section(visit.say("reports.rhythm"), "rhythm"):
        _rhythm(visit, span, found["top"], fault, zone)


def _counting(visit: Visit, why: str | None) -> None:
    """That it is not counted yet, or why it cannot be; "" once it is."""
    if why is None:
        parts.text("p", visit.say("reports.counting")).classes("quiet").props('role="status"')
    elif why:
        parts.text("p", why).classes("wrong").props('role="alert"')


def _choices(visit: Visit, span: Span) -> None:
    """Period and grouping, all in the address."""
    periods = {str(each): visit.say(f"reports.days_{each}") for each in DAYS}
    chosen = str(span.days)
    if span.since is not None:
        chosen = "own"
        periods["own"] = visit.say("reports.days_own", since=str(span.since), until=str(span.until))
    groups = {each: visit.say(f"reports.by_{each}") for each in GROUPS}

    def other_period(value: str) -> None:
        if value != "own":
            lead_to(f"/console/reports?{urlencode({'days': value, 'by': span.by})}")

    with ui.element("div").classes("bar"):
        picked = ui.select(
            periods, value=chosen, label=visit.say("reports.period"), on_change=lambda event: other_period(event.value)
        )
        picked.props("outlined dense").classes("pick").mark("filter-period")
        by = ui.select(
            groups,
            value=span.by,
            label=visit.say("reports.by"),
            on_change=lambda event: lead_to(f"/console/reports?{span.address(by=event.value)}"),
        )
        by.props("outlined dense").classes("pick").mark("filter-by")
        dates = []
        for name, day in (("since", span.since), ("until", span.until)):
            given = ui.input(visit.say(f"reports.{name}"), value=str(day or ""))
            dates.append(given.props('outlined dense type="date" stack-label').classes("pick").mark(f"filter-{name}"))

        def own() -> None:
            wanted = {"since": dates[0].value or "", "until": dates[1].value or "", "by": span.by}
            lead_to(f"/console/reports?{urlencode(wanted)}")

        parts.button(visit.say("reports.show"), own, mark="show-period")


def _rows(span: Span, of: str, **more: str) -> str:
    return f"/console/reports/cases?{span.address(of=of, **more)}"


def _times(visit: Visit, span: Span, times: Mapping[str, Row]) -> None:
    with ui.element("div").classes("cards"):
        for name in _SPANS:
            told = times[name]
            with ui.element("div").classes("card"):
                with ui.element("div").classes("card-head"):
                    parts.text("h3", visit.say(f"reports.{name}"))
                    parts.link(_rows(span, name), visit.say("reports.cases_n", n=told["n"]))
                if not told["n"]:
                    parts.light(visit, "unknown", visit.say("reports.no_time"))
                    continue
                with ui.element("ul").classes("bars"):
                    for key in ("median", "p90"):
                        _bar(
                            visit.say(f"reports.{key}"),
                            told[f"{key}_ms"] / (told["p90_ms"] or 1),
                            length(visit, told[f"{key}_ms"]),
                        )
    parts.why(visit, [visit.say(f"reports.why_{each}") for each in (*_SPANS, "cases")])


def _bar(words: str, share: float, figure: str, where: str = "") -> None:
    with ui.element("li"):
        if where:
            parts.link(where, words)
        else:
            parts.text("span", words)
        with ui.element("span").classes("track").props('aria-hidden="true"'):
            ui.element("span").classes("fill").style(f"width: {100 * min(1.0, share):.1f}%")
        parts.text("span", figure).classes("figures")


def _shares(visit: Visit, span: Span, found: Mapping[str, Any]) -> None:
    shown = {name: found[name] for name in ("first_time_fix", "repeats", "false_alarms", "deflection")}
    shown["promises"] = found["promises"]["last"]
    with ui.element("div").classes("tiles"):
        for name in ("first_time_fix", "repeats", "promises", "false_alarms", "deflection"):
            share = shown[name]
            number = visit.say("reports.share_of", n=share["n"], of=share["of"])
            said = number if share["of"] else visit.say("reports.nothing")
            where = "" if name == "deflection" else _rows(span, name)
            look = "" if share["of"] else "unknown"
            parts.number(percent(share), f"{visit.say(f'reports.{name}')} ({said})", where, look)
    first = found["promises"]["first"]
    kept = visit.say("reports.why_promises", n=first["n"], of=first["of"], changed=found["promises"]["changed"])
    others = {name: visit.say(f"reports.why_{name}") for name in ("first", "repeats", "false", "deflection")}
    parts.why(visit, [others["first"], others["repeats"], kept, others["false"], others["deflection"]])


def _top(visit: Visit, span: Span, rows: Sequence[Row]) -> None:
    if not rows:
        parts.empty(visit, "reports.top_none")
        return
    most = max(each["cases"] for each in rows)
    with ui.element("ul").classes("bars wide-bars"):
        for each in rows:
            title = fault_title(each["fault"], visit.language)
            words = title if span.by == "fault" else f"{_group(visit, span.by, each['group'])}: {title}"
            where = _rows(span, "top", group=each["group"], fault=each["fault"])
            _bar(words, each["cases"] / most, f"{each['cases']:,}", where)
    parts.link(_export(span, "top"), visit.say("reports.export")).props("download")


def _group(visit: Visit, by: str, name: str) -> str:
    if not name:
        return visit.say("reports.group_none")
    return fault_title(name, visit.language) if by == "fault" else name


def _export(span: Span, of: str, **more: str) -> str:
    return f"/api/v1/reports/{of}/export?{urlencode(span.query | {'by': span.by} | more)}"


def _satisfaction(visit: Visit, span: Span, rows: Sequence[Row]) -> None:
    if not rows:
        parts.empty(visit, "reports.satisfaction_none")
        return
    with ui.element("ul").classes("bars wide-bars"):
        for each in rows:
            rated = visit.say("reports.rated", n=each["rated"], of=each["asked"])
            where = _rows(span, "satisfaction", group=each["group"])
            words = f"{_group(visit, span.by, each['group'])} ({rated})"
            _bar(words, each["score"] / 5, visit.say("reports.score", score=f"{each['score']:.1f}"), where)


def _deadlines(visit: Visit, span: Span, clocks: Mapping[str, Row]) -> None:
    if not clocks:
        parts.empty(visit, "reports.deadlines_none")
        return
    with ui.element("ul").classes("bars wide-bars"):
        for name, share in clocks.items():
            figure = f"{percent(share)} ({visit.say('reports.share_of', n=share['n'], of=share['of'])})"
            where = _rows(span, f"deadline_{name}", met="yes")
            _bar(visit.word(f"reports.deadline_{name}", name), share["share"] or 0, figure, where)


# --- when a fault comes -----------------------------------------------------------------------------------------------


def _rhythm(visit: Visit, span: Span, top: Sequence[Row], fault: str, zone: str) -> None:
    faults = list(dict.fromkeys([*filter(None, [fault]), *(each["fault"] for each in top)]))
    if not faults:
        parts.empty(visit, "reports.top_none")
        return
    shown = fault or faults[0]

    def go(**change: str) -> None:
        given = {"fault": shown, "zone": zone} | change
        lead_to(f"/console/reports?{span.address(**given)}#rhythm")

    with ui.element("div").classes("bar"):
        picked = ui.select(
            {each: fault_title(each, visit.language) for each in faults},
            value=shown,
            label=visit.say("reports.rhythm_fault"),
            on_change=lambda event: go(fault=event.value),
        )
        picked.props("outlined dense").classes("pick").mark("filter-fault")
        place = ui.input(visit.say("reports.zone"), value=zone).props("outlined dense").classes("pick")
        place.mark("filter-zone").on("keydown.enter", lambda: go(zone=place.value or ""))
        parts.text("span", visit.say("reports.rhythm_about", zone=zone)).classes("quiet")
        parts.link(f"/console/cases?{urlencode({'fault': shown})}", visit.say("knowledge.cases"))
    pane = Pane(lambda told: _heat(visit, told))
    pane.show(None)

    async def count() -> None:
        """Behind the rest of the page: of a large fleet it takes a second."""
        try:
            pane.show((await visit.api.get("/rhythm", fault=shown, timezone=zone, days=_RHYTHM_DAYS))["week"])
        except Refused as error:
            pane.show(str(error))

    visit.once(count)


def _heat(visit: Visit, week: Sequence[Sequence[int]] | str | None) -> None:
    """Seven days of 24 hours: a table, whose cells are darker the more often it was, with the number in each.

    A text is why it cannot be counted; None is that it is not counted yet.
    """
    if week is None or isinstance(week, str):
        _counting(visit, week)
        return
    most = max(max(day) for day in week)
    if not most:
        parts.empty(visit, "reports.rhythm_none")
        return
    busiest = next((day, hour) for day, hours in enumerate(week) for hour, n in enumerate(hours) if n == most)
    when = visit.say("reports.rhythm_cell", day=visit.say(f"reports.day_{busiest[0]}"), hour=busiest[1], n=most)
    parts.text("p", visit.say("reports.rhythm_most", when=when))
    frame = ui.element("div").classes("wide-picture")
    frame.props(f'tabindex="0" role="group" aria-label="{visit.say("reports.rhythm")}"')
    with frame, ui.element("table").classes("heat"):
        with ui.element("thead"), ui.element("tr"):
            parts.text("td", "")
            for hour in range(24):
                parts.text("th", str(hour)).props('scope="col"')
        with ui.element("tbody"):
            for number, hours in enumerate(week):
                with ui.element("tr"):
                    parts.text("th", visit.say(f"reports.day_{number}")).props('scope="row"')
                    for n in hours:
                        level = 0 if not n else 1 + min(3, 4 * n // (most + 1))
                        parts.text("td", str(n) if n else "").classes(f"heat-{level}")
