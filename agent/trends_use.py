"""How much a counter grows by weekday, and when so much more will be used up. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from agent.trends_estimate import HORIZON_DAYS, Moment, Trend

DAYS_NEEDED: Final = 7  # each weekday once; shops differ more by weekday than by anything else
_MOST_A_SECOND: Final = 100.0  # the fastest printers do 80 lines a second; more is another printer's counter
_LOST_LINES: Final = 5000.0
_SWAPPED: Final = 2000.0
_FORGET: Final = 0.75  # by week, so that a weekday's mean follows the season within a month
_LEVEL: Final = 0.1  # of the mean: a whole week may be better or worse than the last ones


@dataclass(slots=True)
class DailyUse:
    """How much a counter grows each weekday: forgetting sums of days, amounts and their squares."""

    days: list[float] = field(default_factory=lambda: [0.0] * 7)
    amounts: list[float] = field(default_factory=lambda: [0.0] * 7)
    squares: list[float] = field(default_factory=lambda: [0.0] * 7)
    seen: int = 0

    def add(self, weekday: int, amount: float) -> None:
        """One whole day."""
        self.seen += 1
        for sums, more in ((self.days, 1.0), (self.amounts, amount), (self.squares, amount * amount)):
            sums[weekday] = _FORGET * sums[weekday] + more

    def mean(self, weekday: int) -> float:
        return self.amounts[weekday] / self.days[weekday] if self.days[weekday] else 0.0

    def variance(self, weekday: int) -> float:
        """What a day may differ from its mean, squared; few days are told apart by a fifth of the mean at least."""
        if not self.days[weekday]:
            return 0.0
        mean = self.mean(weekday)
        return max(self.squares[weekday] / self.days[weekday] - mean * mean, (0.2 * mean) ** 2)

    def week(self) -> float:
        """Mean amount a day over a whole week."""
        return sum(self.mean(weekday) for weekday in range(7)) / 7

    def most(self) -> float:
        """More than that between two readings is another device's counter."""
        return _SWAPPED + 20 * max(map(self.mean, range(7))) if self.known() else math.inf

    def known(self) -> bool:
        """Whether every weekday was seen."""
        return self.seen >= DAYS_NEEDED and all(self.days)

    def days_until(self, amount: float, at: Moment, hours: Sequence[float], z: float) -> float:
        """Days until `amount` more is used, when use runs `z` standard deviations above its mean.

        `hours` is the share of a day's use that falls before each hour, 25 of them.
        """
        mean = spread = before = 0.0
        for ahead in range(int(HORIZON_DAYS)):
            weekday = (at.weekday + ahead) % 7
            begin = hours[at.hour] if ahead == 0 else 0.0
            mean += self.mean(weekday) * (1 - begin)
            spread += self.variance(weekday) * (1 - begin)
            reached = mean * (1 + z * _LEVEL) + z * math.sqrt(spread)
            if reached >= amount:
                share = max(0.0, (amount - before) / (reached - before)) if reached > before else 0.0
                return max(0.0, ahead + (_hour_of(begin + share * (1 - begin), hours) - at.hour) / 24)
            before = max(before, reached)
        return HORIZON_DAYS


@dataclass(slots=True)
class Counter(Trend):
    """A cumulative counter, what it grows by a day, and the day's growth so far. -1 is not known."""

    last: float = -1.0
    last_at: float = 0.0
    today: float = 0.0
    read_today: bool = False
    whole_day: bool = False
    gap: int = 0
    use: list[list[float]] = field(default_factory=lambda: [[0.0] * 7, [0.0] * 7, [0.0] * 7])
    seen: int = 0

    def grown(self, value: float, at: Moment) -> float | None:
        """By how much it grew; None for the first look and for another device's counter."""
        before, since, self.last, self.last_at = self.last, at.wall - self.last_at, value, at.wall
        gap, self.gap, self.read_today = self.gap, 0, True
        if before < 0:
            return None
        # Counters lose up to four minutes at a power cut, because the printer saves them now and then.
        if before - _LOST_LINES < value < before:
            return 0.0
        use = self.daily()
        if value < before or value - before > min(_MOST_A_SECOND * max(since, 60.0), use.most()):
            self.whole_day = False
            return None
        if gap and value - before > 50 + 0.1 * use.week():
            self.whole_day = False  # it was used while nobody looked, so neither those days nor this one are known
        else:
            self.today += value - before
            self._closed(gap, at)
        return value - before

    def _closed(self, gap: int, at: Moment) -> None:
        """The `gap` days before this one saw no use: switched off is closed. Longer than a week is a holiday."""
        use = self.daily()
        for back in range(gap, 0, -1):
            if gap < 7:
                use.add((at.weekday - back) % 7, 0.0)
        self.seen = use.seen

    def day_over(self, ended: Moment, missed: int) -> None:
        if self.read_today:
            use = self.daily()
            if self.whole_day:
                use.add(ended.weekday, self.today)
            self.seen, self.gap = use.seen, missed
        else:
            self.gap += 1 + missed
        self.today, self.read_today, self.whole_day = 0.0, False, self.last >= 0

    def clock_back(self, day: int) -> None:
        del day
        self.today, self.whole_day, self.last_at = 0.0, False, 0.0

    def daily(self) -> DailyUse:
        """The weekdays' sums; they live in `use`."""
        days, amounts, squares = self.use
        return DailyUse(days, amounts, squares, self.seen)


def _hour_of(share: float, hours: Sequence[float]) -> float:
    """The hour by which `share` of a day's use is done."""
    hour = next((hour for hour in range(24) if hours[hour + 1] >= share and hours[hour + 1] > hours[hour]), 23)
    width = hours[hour + 1] - hours[hour]
    return hour + (max(0.0, share - hours[hour]) / width if width else 0.0)
