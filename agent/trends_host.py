"""What fades on the terminal itself: battery, disk space, and the modem's signal hour by hour."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar, Final

from agent.trends_estimate import HORIZON_DAYS, Estimate, Moment, Outlook, Trend, deviation, number, slope
from drivers.reading import Readings

_SURE: Final = 2.5  # standard deviations of a slope, since what fades wanders too
_HOURS: Final = 9  # marks of eight hours; updates and backups are done sooner
_LEVELS: Final = {"rsrp_dbm": -115.0, "rssi_dbm": -103.0}
"""The measures of signal, the better first, with the level at which the signal counts as weak."""
_USUAL_DAYS: Final = 7
_MEMORY_DAYS: Final = 28
_DAYS_NEEDED: Final = 14
_LATEST_DAYS: Final = 3
_SILENT_DAYS: Final = 7


@dataclass(frozen=True, slots=True)
class Pace:
    """How a decline is followed: a point each `every` days, `most` kept, judged from `least`; days for the outlook."""

    every: int
    least: int
    most: int
    act_days: float
    ok_days: float


@dataclass(slots=True)
class Decline(Trend):
    """A number that falls towards a limit. `points` are [day, value]; `lowest` is the least of the present stretch.

    `unit` is what the reason counts in: how many of the reading's own make one, and its name.
    """

    FIXED: ClassVar[frozenset[str]] = frozenset({"name", "reading", "limit", "pace", "unit"})

    name: str = ""
    reading: str = ""
    limit: float = 0.0
    pace: Pace = Pace(1, 10, 28, 14, 30)
    unit: tuple[float, str] = (1.0, "percent")
    points: list[list[float]] = field(default_factory=list)
    lowest: float = -1.0
    latest: float = -1.0
    since: int = -1

    def observe(self, readings: Readings, at: Moment) -> None:
        del at
        value = number(readings.get(self.reading))
        if value is None or value < 0:
            return
        self.latest = value
        self.lowest = value if self.lowest < 0 else min(self.lowest, value)

    def day_over(self, ended: Moment, missed: int) -> None:
        if self.since < 0:
            self.since = ended.day
        if ended.day + 1 + missed - self.since < self.pace.every:
            return
        if self.lowest >= 0:
            self.points = [*self.points, [float(ended.day), self.lowest]][-self.pace.most :]
        self.lowest, self.since = -1.0, ended.day + 1 + missed

    def clock_back(self, day: int) -> None:
        self.points = [point for point in self.points if point[0] < day]
        self.since, self.lowest = -1, -1.0

    def estimates(self, at: Moment) -> dict[str, Estimate]:
        del at
        return {} if self.latest < 0 else {self.name: self._estimate(self.limit)}

    def _estimate(self, limit: float) -> Estimate:
        pace = self.pace
        if len(self.points) < pace.least:
            return Estimate(why=f"{len(self.points) * pace.every} of {pace.least * pace.every} days seen")
        middle, steep, flat = slope(self.points, _SURE)
        # What lies about the line by chance, the present value does too.
        room = 1.64 * deviation([y - middle * x for x, y in self.points])
        present = self.lowest if self.lowest >= 0 else self.latest
        value = _days_to(present, limit, middle)
        low, high = _days_to(present - room, limit, steep), _days_to(present + room, limit, flat)
        outlook: Outlook = "watch"
        if value <= pace.act_days and high <= 3 * pace.act_days:
            outlook = "act"
        elif value > pace.ok_days:
            outlook = "ok"
        span = self.points[-1][0] - self.points[0][0]
        each, unit = self.unit
        why = f"from {self.points[0][1] / each:.0f} to {self.points[-1][1] / each:.0f} {unit} in {span:.0f} days"
        return Estimate(value=value, low=low, high=high, why=why, outlook=outlook)


@dataclass(slots=True)
class Disk(Decline):
    """Days until the disk is full, from each day's least free space; and hours, when something writes without end."""

    total: float = -1.0
    hours: list[float] = field(default_factory=list)
    hour_low: float = -1.0

    def observe(self, readings: Readings, at: Moment) -> None:
        Decline.observe(self, readings, at)
        free, percent = number(readings.get(self.reading)), number(readings.get("disk_free_percent"))
        if free is None:
            return
        self.hour_low = free if self.hour_low < 0 else min(self.hour_low, free)
        if percent:
            self.total = free * 100 / percent

    def hour_over(self, hour: int) -> None:
        del hour
        self.hours = [*self.hours, self.hour_low][-_HOURS:] if self.hour_low >= 0 else []
        self.hour_low = -1.0

    def clock_back(self, day: int) -> None:
        Decline.clock_back(self, day)
        self.hours, self.hour_low = [], -1.0

    def estimates(self, at: Moment) -> dict[str, Estimate]:
        del at
        if self.latest < 0 or self.total < 0:
            return {}
        limit = max(0.05 * self.total, float(32 << 20))  # where the disk counts as full
        return {self.name: self._running(limit) or self._estimate(limit)}

    def _running(self, limit: float) -> Estimate | None:
        """When it fell in each of the latest hours and would be full within days."""
        falls = [early - late for early, late in zip(self.hours, self.hours[1:], strict=False)]
        if len(falls) < _HOURS - 1 or min(falls) <= 0 or sum(falls) < 0.01 * self.total:
            return None
        days = [max(0.0, self.latest - limit) / each / 24 for each in (sum(falls) / len(falls), max(falls), min(falls))]
        if days[0] > 3:
            return None
        why = f"{sum(falls) / (1 << 20):.0f} MiB less in {len(falls)} hours"
        return Estimate(value=days[0], low=days[1], high=min(HORIZON_DAYS, days[2]), why=why, outlook="act")


def _days_to(value: float, limit: float, a_day: float) -> float:
    if value <= limit:
        return 0.0
    return HORIZON_DAYS if a_day >= 0 else min(HORIZON_DAYS, (value - limit) / -a_day)


@dataclass(slots=True)
class Signal(Trend):
    """The signal against its own usual level at the same hour, so that a crowded evening is no decline.

    `usual` is the mean of each local hour in dBm over about a month, `shifts` how far the latest days lay from it.
    """

    reading: str = ""
    usual: list[float] = field(default_factory=lambda: [0.0] * 24)
    hours: list[int] = field(default_factory=lambda: [0] * 24)
    total: float = 0.0
    count: int = 0
    shift: float = 0.0
    shifted: int = 0
    shifts: list[float] = field(default_factory=list)
    variance: float = 0.0
    days: int = 0
    silent: int = 0

    def observe(self, readings: Readings, at: Moment) -> None:
        del at
        name = next((name for name in _LEVELS if number(readings.get(name)) is not None), "")
        level = number(readings.get(name))
        if level is None:
            return
        if not self.reading or (name != self.reading and (name == "rsrp_dbm" or self.silent >= _SILENT_DAYS)):
            self.restore(Signal(reading=name).state())  # two measures cannot be compared
        if name == self.reading:
            self.total += level
            self.count += 1
            self.silent = 0

    def hour_over(self, hour: int) -> None:
        if not self.count:
            return
        level, self.total, self.count = self.total / self.count, 0.0, 0
        if self.hours[hour] >= _USUAL_DAYS:
            self.shift += level - self.usual[hour]
            self.shifted += 1
        self.hours[hour] += 1
        self.usual[hour] += (level - self.usual[hour]) / min(self.hours[hour], _MEMORY_DAYS)

    def day_over(self, ended: Moment, missed: int) -> None:
        del ended, missed
        if not any(self.hours):
            return
        self.silent += 1
        self.days += 1
        if not self.shifted:
            return
        shift, self.shift, self.shifted = self.shift / self.shifted, 0.0, 0
        # How much days differ is learned from the change from one to the next, which a decline hardly adds to.
        if self.shifts:
            self.variance += ((shift - self.shifts[-1]) ** 2 / 2 - self.variance) / min(self.days, _MEMORY_DAYS)
        self.shifts = [*self.shifts, round(shift, 2)][-_LATEST_DAYS:]

    def clock_back(self, day: int) -> None:
        del day
        self.total, self.count, self.shift, self.shifted = 0.0, 0, 0.0, 0

    def estimates(self, at: Moment) -> dict[str, Estimate]:
        del at
        if not self.reading:
            return {}
        if self.days < _DAYS_NEEDED or len(self.shifts) < _LATEST_DAYS:
            return {"signal_shift_db": Estimate(why=f"{min(self.days, _DAYS_NEEDED)} of {_DAYS_NEEDED} days seen")}
        shift = sum(self.shifts) / len(self.shifts)
        reach = 1.64 * max(0.5, math.sqrt(self.variance / len(self.shifts)))
        seen = [hour for hour in range(24) if self.hours[hour] >= _USUAL_DAYS]
        usual = sum(self.usual[hour] for hour in seen) / len(seen)
        worst = min(seen, key=lambda hour: self.usual[hour])
        change = Estimate(
            value=shift,
            low=shift - reach,
            high=shift + reach,
            why=f"usual {usual:.0f} dBm, least at {worst} h with {self.usual[worst]:.0f} dBm",
            outlook=self._outlook(shift, shift + reach, usual + shift),
        )
        return {"signal_shift_db": change}

    def _outlook(self, shift: float, high: float, level: float) -> Outlook:
        """Weaker than usual is a fault only where it comes near the level at which data fails."""
        weak = _LEVELS[self.reading]
        if shift <= -5 and high <= -3 and level <= weak + 8:
            return "act"
        return "ok" if shift > -3 or level > weak + 11 else "watch"
