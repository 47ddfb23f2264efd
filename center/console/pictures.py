"""Pictures of time: states side by side, and lines. What they show is also said in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape

from nicegui import ui

from center.console.parts import clock, local, text
from center.console.session import Visit


@dataclass(frozen=True, slots=True)
class Band:
    """One state on a line of a timeline, in ms; `until_ms` None while it lasts."""

    line: str
    look: str
    words: str
    from_ms: int
    until_ms: int | None


def states(visit: Visit, bands: Sequence[Band], from_ms: int, until_ms: int, zone: str | None = None) -> None:
    """Bands over time, a line for each thing, days as ticks. What it shows can also be read, band by band."""
    lines = list(dict.fromkeys(band.line for band in bands))
    left, width, high = 150, 850, 26
    drawn = []
    for at, line in enumerate(lines):
        y = at * high
        drawn.append(f'<text x="0" y="{y + 17}">{escape(line[:22])}</text>')
        drawn.append(f'<rect class="lane" x="{left}" y="{y + 3}" width="{width}" height="{high - 6}"/>')
    span = max(1, until_ms - from_ms)
    for band in bands:
        begin = max(band.from_ms, from_ms)
        end = min(band.until_ms if band.until_ms is not None else until_ms, until_ms)
        x, y = left + width * (begin - from_ms) / span, lines.index(band.line) * high + 3
        wide = max(3.0, width * (end - begin) / span)
        said = escape(_band_words(visit, band, zone))
        drawn.append(
            f'<rect class="band look-{escape(band.look)}" x="{x:.1f}" y="{y}" width="{wide:.1f}" height="{high - 6}">'
            f"<title>{said}</title></rect>"
        )
    foot = len(lines) * high
    for day in range(8):
        at_ms = from_ms + span * day // 7
        x = left + width * day / 7
        when = local(datetime.fromtimestamp(at_ms / 1000, UTC), zone)
        anchor = "start" if day == 0 else "end" if day == 7 else "middle"
        drawn.append(f'<text class="tick" x="{x:.0f}" y="{foot + 14}" text-anchor="{anchor}">{when:%m-%d}</text>')
    name = escape(visit.say("parts.timeline"))
    box = f'viewBox="0 0 {left + width} {foot + 20}"'
    ui.html(
        f'<div class="wide-picture" tabindex="0" role="group" aria-label="{name}">'
        f'<svg class="timeline" {box} role="img" aria-label="{name}">{"".join(drawn)}</svg></div>',
        sanitize=False,
    )
    with ui.element("details").classes("read"):
        text("summary", visit.say("parts.as_text"))
        with ui.element("ul"):
            for band in bands:
                text("li", _band_words(visit, band, zone))


def _band_words(visit: Visit, band: Band, zone: str | None) -> str:
    begin = clock(datetime.fromtimestamp(band.from_ms / 1000, UTC).isoformat(), zone)
    if band.until_ms is None:
        return f"{band.line}: {band.words}, {begin} – {visit.say('parts.lasting')}"
    end = clock(datetime.fromtimestamp(band.until_ms / 1000, UTC).isoformat(), zone)
    return f"{band.line}: {band.words}, {begin} – {end}"


def chart(lines: Mapping[str, Sequence[tuple[int, float | None]]], unit: str, label: str) -> None:
    """Lines over time: points of (ms, value); a None is a gap and drawn as one."""
    grey = "#7a8694"
    axis = {"axisLabel": {"color": grey}, "axisLine": {"lineStyle": {"color": grey}}}
    ui.echart(
        {
            "animation": False,
            "aria": {"enabled": True, "label": {"description": label}},
            "grid": {"left": 56, "right": 16, "top": 32, "bottom": 28},
            "legend": {"show": len(lines) > 1, "textStyle": {"color": grey}, "top": 0},
            "tooltip": {"trigger": "axis"},
            "xAxis": {"type": "time", **axis},
            "yAxis": {
                "type": "value",
                "scale": True,
                "name": unit,
                "nameTextStyle": {"color": grey},
                **axis,
                "splitLine": {"lineStyle": {"color": "rgba(122,134,148,0.25)"}},
            },
            "series": [
                {
                    "type": "line",
                    "name": name,
                    "data": [list(point) for point in points],
                    "showSymbol": False,
                    "connectNulls": False,
                }
                for name, points in lines.items()
            ],
        }
    ).classes("chart").props(f'role="img" aria-label="{escape(label)}"')
