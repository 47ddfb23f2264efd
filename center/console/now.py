"""Now: who cannot sell, what is worst, how fresh that is, what is due, and whether the center itself is well."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from nicegui import ui

from center.console import own_readings, parts
from center.console.app import screen
from center.console.glance import Get, Line, Lines, Numbers, Pace, Slot, figures, incident_line, shared
from center.console.session import Visit
from center.console.terminals import HEARD

_TOP: Final = 10
_DUE: Final = 8
_IDLE_S: Final = 10.0
_LOOKED_S: Final = 30
_FRESH: Final = 3
"""So many of them from the first count as fresh, the two after them as late, the rest as unknown."""
_CLOCKS: Final = {"green": "ok", "amber": "warning", "breached": "failed"}


@dataclass(frozen=True, slots=True)
class Told:
    """What the center answered, all asked for at once."""

    overview: Mapping[str, Any]
    worst: Sequence[Mapping[str, Any]]
    due: Sequence[Mapping[str, Any]]
    running: Sequence[Mapping[str, Any]]
    watch: Mapping[str, Any]


async def _ask(visit: Visit, get: Get) -> Told:
    language = visit.language
    overview, worst, due, running, center = await asyncio.gather(
        get("/overview"),
        get("/queue", limit=_TOP, language=language),
        get("/overview/due", limit=_DUE, language=language),
        get("/campaigns", state="running", limit=5),
        get("/center"),
    )
    watch: dict[str, Any] = next((part for part in center["parts"] if part["name"] == "selfwatch"), {})
    return Told(overview, worst["items"], due["items"], running["items"], watch)


@screen("/", "now")
async def build(visit: Visit) -> None:
    told = await _ask(visit, visit.api.get)
    parts.heading(visit.say("now.title"), visit.say("now.about"))
    page = _Page(visit)
    page.show(told)

    async def refresh() -> None:
        page.show(await _ask(visit, partial(shared, visit)))

    Pace(visit, {"incident", "case", "campaign"}, refresh, _IDLE_S)


class _Page:
    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        say = visit.say
        self._banner = Slot(ui.element("div"), "banners")
        self._first = Slot(ui.element("div"))
        with ui.element("div") as self._fleet:
            with ui.element("div").classes("bar"):
                self._open = Slot(parts.link(""), "main-link")
            with parts.section(say("now.sales")):
                self._numbers = Numbers(visit)
                self._how_many = Slot(ui.element("p"), "quiet")
            with ui.element("div").classes("columns"):
                with parts.section(say("now.worst")):
                    self._worst = Lines(visit, _TOP)
                    self._all = Slot(ui.element("p"))
                with ui.element("div"):
                    with parts.section(say("now.due")):
                        self._due = Lines(visit, _DUE)
                        self._none_due = Slot(ui.element("p"))
                    with parts.section(say("now.fresh")):
                        self._ages = Slot(ui.element("div"))
        with parts.section(say("now.center"), "center"):
            self._center = Slot(ui.element("div"))

    def show(self, told: Told) -> None:
        """Only what differs from what is there is built anew."""
        overview = told.overview
        empty = not overview["terminals"]
        self._fleet.set_visibility(not empty)
        self._first.show(empty, lambda: _first_steps(self._visit) if empty else None)
        self._show_banner(told)
        self._numbers.show(overview)
        self._how_many.show(tuple(figures(overview).values()), lambda: self._count(overview))
        self._show_worst(told)
        self._due.show([_due_line(self._visit, each) for each in told.due if each["clock"]])
        some = bool(told.due)
        self._none_due.show(some, lambda: None if some else _said(self._visit, "now.none_due"))
        ages = tuple(n for _bound, n in overview["ages"])
        fresh = tuple(overview["freshness"].items())
        self._ages.show((ages, fresh), lambda: _freshness(self._visit, ages, fresh))
        self._show_center(told.watch)

    def _count(self, overview: Mapping[str, Any]) -> None:
        words = self._visit.say("now.of", n=overview["terminals"])
        among = 0 < figures(overview)["offline"] <= overview["unknown"]
        parts.link("/console/terminals", words)
        if among:
            parts.text("span", f" {self._visit.say('now.among')}")

    def _show_banner(self, told: Told) -> None:
        visit, overview = self._visit, told.overview
        titles = {each["id"]: each["title"] for each in told.worst}
        found = [
            ("warning", visit.say("now.mass", what=titles.get(each["id"], each["title"]), n=each["terminals_n"]),
             f"/console/incident/{each['id']}")
            for each in overview["banner"][:3]
        ]  # fmt: skip
        if overview["maintenance"]:
            words = visit.say("now.maintenance", n=overview["maintenance"])
            found.append(("maintenance", words, "/console/terminals?status=maintenance"))
        if overview["suppressed"]:
            words = visit.say("now.suppressed", n=overview["suppressed"])
            found.append(("maintenance", words, "/console/queue?suppressed=true"))
        for each in told.running:
            ready = each["kind"] == "check"
            words = visit.say("now.readiness" if ready else "now.campaign", name=each["name"])
            found.append(("maintenance", words, f"/console/{'readiness' if ready else 'campaigns'}"))

        def build() -> None:
            for state, words, where in found:
                with parts.link(where).classes(f"banner look-{parts.LIGHTS[state][0]}"):
                    parts.text("span", parts.LIGHTS[state][1]).props('aria-hidden="true"').classes("sign")
                    parts.text("span", words)

        self._banner.show(tuple(found), build)

    def _show_worst(self, told: Told) -> None:
        visit = self._visit
        self._worst.show([incident_line(visit, each) for each in told.worst])
        worst = told.worst[0] if told.worst else None

        def lead() -> None:
            parts.text("span", visit.say("now.open_worst" if worst else "now.open_queue"))

        where = f"/console/incident/{worst['id']}" if worst else "/console/queue"
        self._open.show(where, lead, where=where)
        n = sum(told.overview["incidents"].values()) + len(told.overview["center"])

        def all_of_them() -> None:
            if n:
                parts.link("/console/queue", visit.say("now.all", n=n))
            else:
                parts.empty(visit, "now.well")

        self._all.show(n, all_of_them)

    def _show_center(self, watch: Mapping[str, Any]) -> None:
        old = watch.get("age_s", 0) > _LOOKED_S
        readings = (watch.get("data") or {}).get("readings", [])
        shown = (
            watch.get("at") if old else None,
            old,
            tuple(own_readings.line(self._visit.language, each) for each in readings),
        )
        self._center.show(shown, lambda: _health(self._visit, watch.get("at"), old, readings))


# --- pieces -----------------------------------------------------------------------------------------------------------


def _said(visit: Visit, key: str) -> None:
    parts.text("span", visit.say(key)).classes("quiet")


def _due_line(visit: Visit, told: Mapping[str, Any]) -> Line:
    clock = told["clock"]
    kind, state = clock["kind"], _CLOCKS.get(clock["state"], "unknown")
    place = told["site_name"] or told["site"] or told["terminal"] or told["estate"]
    owner = told["owner"] or told["team"] or visit.say("now.nobody")
    return Line(
        where=f"/console/case/{told['id']}",
        state=state,
        state_words=visit.say(f"now.clock_{clock['state']}"),
        title=f"{told['number']} {told['title']}",
        detail=f"{visit.say(f'now.clock_{kind}')} · {place} · {owner}",
        due=clock["due_at"],
    )


def _freshness(visit: Visit, ages: Sequence[int], fresh: Sequence[tuple[str, int]]) -> None:
    """How long ago each terminal was heard last, as bars with their words; and what that makes of them, as links."""
    with ui.element("p").classes("fresh"):
        for name, n in fresh:
            parts.link(f"/console/terminals?freshness={name}", f"{visit.say(f'now.fresh_{name}')}: {n:,}")
    most = max([*ages, 1])
    with ui.element("ol").classes("bars"):
        for at, (name, n) in enumerate(zip(HEARD, ages, strict=True)):
            look = "ok" if at < _FRESH else "stale" if name in {"hours", "silent"} else "unknown"
            with ui.element("li").classes(f"look-{look}"):
                parts.link(f"/console/terminals?heard={name}", visit.say(f"now.age_{name}")).classes("label")
                with ui.element("span").classes("track").props('aria-hidden="true"'):
                    if n:
                        ui.element("span").classes("fill").style(f"width: {100 * n / most:.1f}%")
                parts.text("span", f"{n:,}").classes("figures")


def _first_steps(visit: Visit) -> None:
    """How the first terminal comes in."""
    with parts.section(visit.say("now.first"), "first"):
        with ui.element("ol").classes("steps"):
            for step, command in (
                ("install", "sudo apt install ./posdiag_VERSION_amd64.deb"),
                ("discover", "posdiag discover"),
                ("configure", "sudo posdiag config check /etc/posdiag/agent.toml"),
                ("start", "sudo systemctl start posdiag"),
                ("seen", ""),
            ):
                with ui.element("li"):
                    parts.text("span", visit.say(f"now.first_{step}"))
                    if command:
                        parts.text("code", command).classes("command")
        parts.text("p", visit.say("now.first_try")).classes("quiet")
        parts.text("code", "posdiag sim fleet --terminals 300").classes("command")


# --- the center itself ------------------------------------------------------------------------------------------------


def _health(visit: Visit, at: str | None, old: bool, readings: Sequence[Mapping[str, Any]]) -> None:
    if at is None or old:
        with ui.element("p"):
            parts.light(
                visit, "stale" if at else "unknown", visit.say("now.not_watched" if at else "now.never_watched")
            )
            if at:
                parts.moment(visit, at)
        parts.text("p", visit.say("now.do_worker"))
    bad = [each for each in readings if each["state"] != "right"]
    if readings and not bad and not old:
        parts.light(visit, "ok", visit.say("now.center_well", n=len(readings)))
    with ui.element("ul").classes("checks"):
        for each in bad:
            with ui.element("li"):
                state = "unknown" if each["state"] == "unknown" else "stale" if old else each["severity"]
                parts.light(visit, state, visit.word(f"parts.{each['severity']}", each["severity"]) if not old else "")
                with ui.element("span").classes("what"):
                    parts.text("span", own_readings.line(visit.language, each)).classes("title")
                    parts.text("span", own_readings.advice(visit.language, each)).classes("quiet")
    right = [each for each in readings if each["state"] == "right"]
    if right:
        with ui.element("details").classes("read"):
            parts.text("summary", visit.say("now.all_readings", n=len(right)))
            with ui.element("ul"):
                for each in right:
                    parts.text("li", own_readings.line(visit.language, each))
