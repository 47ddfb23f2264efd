"""A terminal over time: what befell it in seven days, and its measurements as charts."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from nicegui import ui

from center.console import figures, parts
from center.console.pictures import Band, chart, states
from center.console.session import Visit
from center.domain.texts import fault_title

SPANS: Final = {"day": timedelta(days=1), "week": timedelta(days=7), "month": timedelta(days=30)}
_WEEK_MS: Final = 7 * 86_400_000
_POINTS: Final = 240
_MOST: Final = 20
_BAD: Final = frozenset({"critical", "major"})
_ASKABLE: Final = re.compile(r"[A-Za-z0-9_.-]{1,200}")
"""Other names are not those of an agent, and the API takes none of them."""


@dataclass(frozen=True, slots=True)
class Chart:
    """Metrics that are drawn together: those whose names end so."""

    name: str
    ends: tuple[str, ...]


CHARTS: Final = (
    Chart("signal", (".rsrp_dbm", ".rssi_dbm")),
    Chart("quality", (".rsrq_db", ".sinr_db")),
    Chart("voltage", ("voltage_mv",)),
    Chart("temperature", (".temperature_c",)),
    Chart("reads", (".read_errors_percent",)),
    Chart("paper", (".paper_days_left",)),
    Chart("battery", (".battery_percent",)),
    Chart("latency", (".latency_ms", ".acquirer_ms")),
)


def timeline(
    visit: Visit, bands: Sequence[Mapping[str, Any]], severities: Mapping[str, str], zone: str | None, now: datetime
) -> None:
    """Contact, reboots and the faults of each component. `severities` are of faults that are known."""
    until_ms = int(now.timestamp() * 1000)
    lines = [_band(visit, each, severities) for each in bands]
    if not lines:
        parts.text("p", visit.say("terminal.calm_week")).classes("quiet")
        return
    states(visit, lines, until_ms - _WEEK_MS, until_ms, zone)


def _band(visit: Visit, told: Mapping[str, Any], severities: Mapping[str, str]) -> Band:
    from_ms, until_ms = _ms(told["from_at"]), None if told["until_at"] is None else _ms(told["until_at"])
    if told["kind"] == "fault":
        unit = told["key"].partition("/")[0]
        look = "bad" if severities.get(told["key"], "major") in _BAD else "warn"
        line = visit.word(f"terminal.unit_{unit}", unit)
        return Band(line, look, fault_title(told["key"], visit.language), from_ms, until_ms)
    if told["kind"] == "boot":
        after = visit.word(f"terminal.boot_{told['key']}", told["key"])
        words = f"{visit.say('terminal.boot')}: {after}"
        return Band(visit.say("terminal.boots"), "calm", words, from_ms, until_ms)
    verdict = visit.word(f"terminal.outage_{told['verdict']}", told["verdict"])
    basis = visit.word(f"terminal.basis_{told['basis']}", told["basis"])
    return Band(visit.say("terminal.contact"), "gone", f"{verdict} ({basis})", from_ms, until_ms)


def _ms(at: str) -> int:
    return int(datetime.fromisoformat(at).timestamp() * 1000)


class Charts:
    """The charts of one terminal, drawn behind the first paint. Only of what it measures."""

    def __init__(self, visit: Visit, path: str, span: str) -> None:
        self._visit = visit
        self._path = path
        self._span = SPANS.get(span, SPANS["day"])
        self._box = ui.element("div").classes("charts")
        with self._box:
            parts.text("p", visit.say("terminal.loading")).classes("quiet")

    async def draw(self) -> None:
        """Ask for all and draw them anew."""
        visit = self._visit
        told = (await visit.api.get(f"{self._path}/metrics"))["items"]
        known = [each["metric"] for each in told if _ASKABLE.fullmatch(each["metric"])]
        wanted = {chart.name: [name for name in known if name.endswith(chart.ends)] for chart in CHARTS}
        found = await self._series([name for names in wanted.values() for name in names])
        self._box.clear()
        with self._box:
            drawn = [self._one(chart.name, [found[name] for name in wanted[chart.name]]) for chart in CHARTS]
            if not any(drawn):
                parts.empty(visit, "terminal.no_numbers")

    async def _series(self, names: Sequence[str]) -> dict[str, dict[str, Any]]:
        until = datetime.now(UTC)
        about = {"since": (until - self._span).isoformat(), "until": until.isoformat(), "points": _POINTS}
        slices = [names[at : at + _MOST] for at in range(0, len(names), _MOST)]
        answers = await asyncio.gather(
            *(self._visit.api.get(f"{self._path}/series", metric=list(some), **about) for some in slices)
        )
        return {line["metric"]: line | answer for answer in answers for line in answer["series"]}

    def _one(self, name: str, lines: Sequence[Mapping[str, Any]]) -> bool:
        """Whether there was anything to draw."""
        told = [each for each in lines if any(each["points"])]
        if not told:
            return False
        divisor, sign = figures.scale(told[0]["unit"])
        title = self._visit.say(f"terminal.chart_{name}")
        with ui.element("figure").classes("chart-box"):
            parts.text("h3", title)
            chart({each["metric"]: _points(each, divisor) for each in told}, sign, self._about(title, told))
            with ui.element("figcaption"):
                for each in told:
                    parts.text("div", self._about(each["metric"], [each])).classes("quiet")
        return True

    def _about(self, title: str, lines: Sequence[Mapping[str, Any]]) -> str:
        """The chart in one sentence, for who reads rather than sees it."""
        points = [point for line in lines for point in line["points"] if point is not None]
        unit = lines[0]["unit"]
        low, high = min(point[0] for point in points), max(point[2] for point in points)
        last = next(point[1] for point in reversed(lines[0]["points"]) if point is not None)
        words = {
            name: figures.figure(self._visit, value, unit)
            for name, value in (("low", low), ("high", high), ("last", last))
        }
        return self._visit.say("terminal.chart_about", title=title, **words)


def _points(line: Mapping[str, Any], divisor: float) -> list[tuple[int, float | None]]:
    start = _ms(line["start"])
    return [
        (start + at * line["step_ms"], None if point is None else round(point[1] / divisor, 3))
        for at, point in enumerate(line["points"])
    ]
