"""What Now and the wallboard share: the five numbers, lines that change in place, and how often they are asked for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from typing import Any, Final

import httpx
from nicegui import background_tasks, ui
from nicegui.element import Element

from center.console import own_readings, parts
from center.console.session import Refused, Visit, Work
from center.db.feed import Change

PACE_S: Final = 1.0
"""Between two refreshings while much happens; a change that comes alone is shown at once."""
KEPT_S: Final = 0.9
_NUMBERS: Final = (
    ("no", "cannot_sell", "bad", "can_sell=no"),
    ("degraded", "degraded", "warn", "can_sell=degraded"),
    ("unknown", "unknown", "unknown", "can_sell=unknown"),
    ("offline", "offline", "gone", "freshness=offline"),
    ("yes", "can_sell", "ok", "can_sell=yes"),
)


Get = Callable[..., Awaitable[Any]]
_kept: dict[Hashable, tuple[float, asyncio.Task[Any]]] = {}


async def shared(visit: Visit, path: str, **params: Any) -> Any:
    """As `visit.api.get`, for what a page asks again and again: all pages of one scope have one answer for a while."""
    now = time.monotonic()
    for old in [key for key, (at, _task) in _kept.items() if now - at > KEPT_S]:
        del _kept[old]
    key = path, tuple(params.items()), visit.scope
    if key not in _kept:
        _kept[key] = now, background_tasks.create(visit.api.get(path, **params), name="console")
    try:
        return await asyncio.shield(_kept[key][1])
    except (Refused, RuntimeError, httpx.HTTPError):  # whoever asked first may have gone, or lost their session
        return await visit.api.get(path, **params)


class Pace:
    """Calls `do` at a change of these kinds, at once if it comes alone, and when nothing came for `idle_s`."""

    def __init__(self, visit: Visit, kinds: Collection[str], do: Work, idle_s: float, pace_s: float = PACE_S) -> None:
        self._do = do
        self._idle_s = idle_s
        self._pace_s = self._pause_s = pace_s
        self._last = time.monotonic()
        self._waits = False
        visit.follow(kinds, self._changed)
        visit.every(pace_s, self._look)

    async def _changed(self, _changes: list[Change]) -> None:
        self._waits = True
        if time.monotonic() - self._last >= self._pause_s:
            await self._run()

    async def _look(self) -> None:
        rested = time.monotonic() - self._last
        if rested >= self._idle_s or (self._waits and rested >= self._pause_s):
            await self._run()

    async def _run(self) -> None:
        began, self._waits = time.monotonic(), False
        try:
            await self._do()
        finally:
            self._last = time.monotonic()
            self._pause_s = max(self._pace_s, 4 * (self._last - began))


class Slot:
    """A place that stays while what it shows is built anew, so that the keyboard's focus is not lost."""

    def __init__(self, place: Element, classes: str = "") -> None:
        self.place = place.classes(classes)
        self._classes = classes
        self._shown: Hashable = None

    def show(self, what: Hashable, build: Callable[[], None], *, look: str = "", where: str = "") -> None:
        """Build it, unless `what` is what it shows already."""
        if what == self._shown:
            return
        self._shown = what
        self.place.clear()
        self.place.classes(replace=f"{self._classes} {f'look-{look}' if look else ''}".strip())
        if where:
            self.place.props["href"] = where
        with self.place:
            build()


class Numbers:
    """Of how many terminals it is known whether they can sell: five figures, each a link to its terminals."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        with ui.element("div").classes("tiles five"):
            self._tiles = {name: Slot(parts.link(""), "tile") for name, *_ in _NUMBERS}

    def show(self, overview: Mapping[str, Any]) -> None:
        """As GET /overview told."""
        counts = figures(overview)
        for name, key, look, query in _NUMBERS:
            n = counts[key]

            def build(name: str = name, n: int = n) -> None:
                _sign, mark = parts.LIGHTS[name]
                parts.text("span", f"{n:,}").classes("figure")
                with ui.element("span").classes("label"):
                    parts.text("span", f"{mark} ").props('aria-hidden="true"')
                    parts.text("span", self._visit.say(f"parts.{name}"))

            self._tiles[name].show(n, build, look=look if n else "", where=f"/console/terminals?{query}")


def figures(overview: Mapping[str, Any]) -> dict[str, int]:
    """Terminals that can sell are those that are left. Those out of contact are among the unknown."""
    left = overview["terminals"] - overview["cannot_sell"] - overview["degraded"] - overview["unknown"]
    return {name: overview[name] for name in ("cannot_sell", "degraded", "unknown")} | {
        "offline": overview["freshness"]["offline"],
        "can_sell": left,
    }


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a list that leads somewhere. `at` is a time of which the age is shown, `due` one of a deadline."""

    where: str
    state: str
    state_words: str
    title: str
    detail: str = ""
    at: str | None = None
    due: str | None = None


class Lines:
    """A list of links, as long as it ever becomes from the beginning."""

    def __init__(self, visit: Visit, most: int) -> None:
        self._visit = visit
        self._lines: list[tuple[Element, Slot]] = []
        with ui.element("ol").classes("row-links") as self.list:
            for _ in range(most):
                with ui.element("li") as item:
                    self._lines.append((item, Slot(parts.link(""), "row-link")))

    def show(self, lines: Sequence[Line]) -> None:
        """These, from the top."""
        self.list.set_visibility(bool(lines))
        for (item, slot), line in zip_longest(self._lines, lines[: len(self._lines)]):
            item.set_visibility(line is not None)
            if line is not None:
                slot.show(line, partial(self._build, line), where=line.where)

    def _build(self, line: Line) -> None:
        parts.light(self._visit, line.state, line.state_words)
        with ui.element("span").classes("what"):
            parts.text("span", line.title).classes("title")
            if line.detail:
                parts.text("span", line.detail).classes("quiet")
        if line.at or line.due:
            shown = parts.moment(self._visit, line.due or line.at)
            if line.due:
                shown.classes("look-bad" if line.state == "failed" else "look-warn" if line.state == "warning" else "")


def place(visit: Visit, told: Mapping[str, Any]) -> str:
    """Where an incident of no site is: the key of its scope, of the center's own in words."""
    key = str(told["scope_key"])
    return own_readings.name(visit.language, key) if told["scope"] == "center" else key


def where(visit: Visit, told: Mapping[str, Any]) -> str:
    """Where an incident is: the one terminal and its site, or the first sites and how many terminals."""
    names = [each["name"] or each["site"] for each in told["sites"]]
    if not names:
        return place(visit, told)
    more = told["sites_n"] - len(names)
    at = ", ".join(names) + (f" +{more}" if more > 0 else "")
    if told["scope"] == "terminal":
        return f"{told['scope_key']} · {at}"
    return at + (f" · {visit.say('now.terminals', n=told['terminals_n'])}" if told["terminals_n"] > 1 else "")


def sales(told: Mapping[str, Any], over: str) -> str:
    """The state that stands for an incident's sales; `over` once nobody is left in it.

    Good is said only of what cannot stop sales: the terminal may tell of a graver fault a moment after it has it.
    """
    if told["scope"] == "center":
        return "apart"
    if told["can_sell"] == "yes" and told["severity"] != "warning":
        return "still"
    return told["can_sell"] or over


def incident_line(visit: Visit, told: Mapping[str, Any]) -> Line:
    """A row of the queue as one line."""
    sells = told["severity"] if told["scope"] == "center" else sales(told, "unknown")
    return Line(
        where=f"/console/incident/{told['id']}",
        state=sells,
        state_words=visit.word(f"parts.{sells}", sells),
        title=told["title"],
        detail=where(visit, told),
        at=told["first_at"],
    )
