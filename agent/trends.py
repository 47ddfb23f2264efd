"""What changes slowly: paper, wear, reads, signal, disk. From readings to forecasts with their uncertainty.

Readings go in as they come, `readings` gives what can be said, once an hour. Forecasts are readings of sources named
`trend.DEVICE`, apart from the device's own: a forecast must not make a silent device look known.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, Final

from agent.clock import PLAUSIBLE_SINCE
from agent.config import Config
from agent.trends_estimate import SOURCE, Estimate, Moment, Trend
from agent.trends_host import Decline, Disk, Pace, Signal
from agent.trends_printer import CUTS, LINES, Paper, Wear
from agent.trends_reads import ReadErrors
from drivers.reading import Cause, Reading, Readings

_STALE_DAYS: Final = 3  # a long weekend is no reason to know less
_MONTH: Final = Pace(every=1, least=10, most=28, act_days=14, ok_days=30)
_SEASON: Final = Pace(every=7, least=8, most=20, act_days=45, ok_days=75)  # a technician has to bring the battery

# What makers rate: heads 100 km (Epson TM-P60II, technical reference, Reliability) to 150 km of paper, cutters 0.5
# (the same) to 2 million cuts, batteries 300 to 800 full charges. A desktop printer's own figure belongs in [trends].
_HEAD_MM: Final = (100e6, 150e6)
_CUTS: Final = (0.5e6, 2e6)
_CYCLES: Final = (300.0, 800.0)
_LINE_MM: Final = (3.75, 4.24)  # the counter's line is 30 dots (GS g 2), of 203 or 180 to the inch


class Trends:
    """All trends of one terminal. Thread-safe. `local` says what the shop's calendar calls a wall-clock time."""

    def __init__(
        self, config: Config, units: Mapping[str, str], local: Callable[[float], time.struct_time] = time.localtime
    ) -> None:
        self._local = local
        self._lock = threading.Lock()
        self._now: Moment | None = None
        self._until = 0.0
        self._told: tuple[int, int] | None = None
        self._heard: dict[str, int] = {}
        self._trends: dict[str, dict[str, Trend]] = {}
        self._feeds: dict[str, list[tuple[str, Trend]]] = {}
        for name, unit in units.items():
            self._add_device(config, name, unit)
        worn = config.power.worn_percent
        health = Decline(name="battery_days_left", reading="battery_health_percent", limit=worn, pace=_SEASON)
        self._add("power", "health", health)
        self._add("power", "cycles", _wear("cycles", "cycle_count", _CYCLES, 0, "full charges of 300 to 800"))
        self._add(
            "system", "disk", Disk(name="disk_days_left", reading="disk_free_bytes", pace=_MONTH, unit=(1 << 20, "MiB"))
        )

    def _add_device(self, config: Config, name: str, unit: str) -> None:
        rated = config.trends
        if unit == "printer":
            head_mm = (rated.head_life_km * 1e6,) * 2 if rated.head_life_km else _HEAD_MM
            head = Wear(
                name="head",
                counter=LINES,
                life=head_mm,
                each=_LINE_MM,
                new_at=float(rated.head_new_at_lines),
                about=f"of {head_mm[0] / 1e6:.0f} to {head_mm[1] / 1e6:.0f} km; no sensor sees faint print",
            )
            cuts = (float(rated.cutter_life_cuts),) * 2 if rated.cutter_life_cuts else _CUTS
            about = f"of {cuts[0]:.0f} to {cuts[1]:.0f} cuts"
            self._add(name, "paper", Paper())
            self._add(name, "head", head)
            self._add(name, "cutter", _wear("cutter", CUTS, cuts, rated.cutter_new_at_cuts, about))
        elif unit == "reader":
            self._add(name, "reads", ReadErrors(), source="report.reader")
        elif unit == "modem":
            self._add(name, "signal", Signal())

    def _add(self, owner: str, subject: str, trend: Trend, source: str = "") -> None:
        self._trends.setdefault(owner, {})[subject] = trend
        self._feeds.setdefault(source or owner, []).append((f"{owner}.{subject}", trend))

    def observe(self, source: str, readings: Readings, wall: float) -> None:
        """Readings of a device or probe, counters of a device, or what the payment application told."""
        feeds = self._feeds.get(source)
        if feeds is None or wall < PLAUSIBLE_SINCE:  # a clock that was never set would end days that were none
            return
        with self._lock:
            now = self._advance(wall)
            for key, trend in feeds:
                trend.observe(readings, now)
                if any(reading.value is not None for reading in readings.values()):
                    self._heard[key] = now.day

    def due(self, wall: float) -> bool:
        """Whether an hour has begun since `readings` was called: then tell them, and keep `state`."""
        if wall < PLAUSIBLE_SINCE:
            return False
        with self._lock:
            now = self._advance(wall)
            return (now.day, now.hour) != self._told

    def estimates(self, wall: float) -> dict[str, dict[str, Estimate]]:
        """What can be said now, by device or probe and reading name; what never was measured is absent."""
        if wall < PLAUSIBLE_SINCE:
            return {}
        with self._lock:
            now = self._advance(wall)
            found: dict[str, dict[str, Estimate]] = {}
            for owner, trends in self._trends.items():
                for subject, trend in trends.items():
                    if said := trend.estimates(now):
                        silent = now.day - self._heard.get(f"{owner}.{subject}", now.day)
                        found.setdefault(owner, {}).update(_aged(said, silent))
            if "battery_days_left" in found.get("power", {}):  # the gauge knows better than its count of charges
                found["power"] = {"battery_days_left": found["power"]["battery_days_left"]}
            return found

    def readings(self, wall: float) -> dict[str, dict[str, Reading]]:
        """The estimates as readings by source `trend.OWNER`, for the rules and telemetry."""
        found = self.estimates(wall)
        with self._lock:
            self._told = (self._now.day, self._now.hour) if self._now is not None else None
        return {
            f"{SOURCE}{owner}": {
                name: reading for of, estimate in said.items() for name, reading in estimate.readings(of).items()
            }
            for owner, said in found.items()
        }

    def state(self) -> dict[str, Any]:
        """Everything that was learned, as plain JSON of a few hundred bytes a trend."""
        with self._lock:
            now = self._now
            return {
                "now": None if now is None else [now.wall, now.day, now.weekday, now.hour],
                "heard": dict(self._heard),
                "trends": {
                    f"{owner}.{subject}": trend.state()
                    for owner, trends in self._trends.items()
                    for subject, trend in trends.items()
                },
            }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state`; what does not fit, such as of a device that is gone, is left out."""
        with self._lock:
            now, kept, heard = state.get("now"), state.get("trends"), state.get("heard")
            if not (isinstance(now, list) and len(now) == 4 and isinstance(kept, dict) and isinstance(heard, dict)):
                return
            self._now = Moment(wall=float(now[0]), day=int(now[1]), weekday=int(now[2]), hour=int(now[3]))
            for owner, trends in self._trends.items():
                for subject, trend in trends.items():
                    key = f"{owner}.{subject}"
                    if isinstance(kept.get(key), dict):
                        trend.restore(kept[key])
                        self._heard[key] = int(heard.get(key, self._now.day))

    # --- time

    def _advance(self, wall: float) -> Moment:
        """The present moment; ends the hour and the day that are over."""
        before = self._now
        if before is not None and before.wall <= wall < self._until:
            self._now = now = Moment(wall=wall, day=before.day, weekday=before.weekday, hour=before.hour)
            return now
        there = self._local(wall)
        # Days are counted by the calendar, since a day of a changed clock has 23 or 25 hours.
        day = date(there.tm_year, there.tm_mon, there.tm_mday).toordinal()
        self._now = now = Moment(wall=wall, day=day, weekday=there.tm_wday, hour=there.tm_hour)
        self._until = wall + 60 - min(there.tm_sec, 59)  # zones change at whole minutes
        if before is not None and (now.day, now.hour) != (before.day, before.hour):
            self._end(before, now)
        return now

    def _end(self, before: Moment, now: Moment) -> None:
        all_trends = [trend for trends in self._trends.values() for trend in trends.values()]
        if now.day < before.day:
            for trend in all_trends:
                trend.clock_back(now.day)
            return
        for trend in all_trends:
            trend.hour_over(before.hour)
            if (now.day - before.day) * 24 + now.hour - before.hour > 1:
                trend.hour_over((before.hour + 1) % 24)  # one of which nothing was seen
            if now.day > before.day:
                trend.day_over(before, now.day - before.day - 1)


def _wear(name: str, counter: str, life: tuple[float, float], new_at: int, about: str) -> Wear:
    return Wear(name=name, counter=counter, life=life, new_at=float(new_at), about=about)


def _aged(said: dict[str, Estimate], silent_days: int) -> dict[str, Estimate]:
    if silent_days <= _STALE_DAYS:
        return said
    return {name: Estimate(why=f"nothing heard for {silent_days} days", cause=Cause.STALE) for name in said}
