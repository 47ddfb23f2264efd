"""How long the paper roll lasts, and how worn print head and cutter are, from counters that the printer keeps.

No sensor measures any of this: the roll's length is learned from the line counter between the moments when the paper
sensor changes, and wear is what was printed and cut against what the maker rates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final

from agent.trends_estimate import HORIZON_DAYS, Estimate, Moment, Outlook, deviation, median, number
from agent.trends_use import DAYS_NEEDED, Counter
from drivers.reading import Cause, Readings

LINES: Final = "ReceiptLineFeedCount"
CUTS: Final = "PaperCutCount"

_ROLLS_KEPT: Final = 8
_SHORTEST_ROLL: Final = 300  # lines, about a metre: less is a sensor that flickers, not a roll
_HOUR: Final = 1 / 24
_SPLIT_S: Final = 7200.0  # counters are read hourly; over a longer gap printing was not spread evenly
_SPREAD: Final = 0.8  # standard deviations; the bounds of roll and level add theirs, together nine times in ten


@dataclass(slots=True)
class Paper(Counter):
    """Days of paper left. -1 stands for not known; `to_near`, `to_out` and `whole` are lines of the latest rolls."""

    paper: str = ""
    used: float = -1.0
    near: float = -1.0
    cover_open: bool = False
    opened: bool = False
    to_near: list[float] = field(default_factory=list)
    to_out: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)
    unannounced: int = 0
    by_hour: list[float] = field(default_factory=lambda: [0.0] * 24)
    pending: list[list[float | str]] = field(default_factory=list)

    def observe(self, readings: Readings, at: Moment) -> None:
        cover, paper = readings.get("cover"), readings.get("paper")
        if cover is not None and cover.value is not None and (cover.value == "open") != self.cover_open:
            self.cover_open = not self.cover_open
            if self.cover_open:
                self.pending.append([at.wall, "opened"])
        if paper is not None and paper.value is not None and paper.value != self.paper:
            before, self.paper = self.paper, str(paper.value)
            if before:
                change = "new" if self.paper == "ok" else self.paper
                self.pending.append([at.wall, change])
        del self.pending[:-12]  # a flickering sensor; the latest changes are what counts
        value = number(readings.get(LINES))
        if value is not None:
            self._count(value, at)

    def _count(self, value: float, at: Moment) -> None:
        """Bring the line counter and the changes since its last reading into their order."""
        since = self.last_at
        grown = self.grown(value, at)
        if grown is None:
            self.used = self.near = -1.0
            self.pending.clear()
            return
        # Counters are read about every hour, so what was fed since then falls mostly into the hour before.
        hour = (at.hour - 1) % 24 if at.wall - since > _SPLIT_S / 4 else at.hour
        if at.wall - since <= _SPLIT_S:
            self.by_hour[hour] += grown
        done = 0.0
        for wall, change in self.pending:
            span = at.wall - since
            share = (float(wall) - since) / span if 0 < span <= _SPLIT_S else 1.0
            upto = grown * min(1.0, max(0.0, share))
            self._feed(upto - done)
            done = max(done, upto)
            self._changed(str(change))
        self.pending.clear()
        self._feed(grown - done)

    def _feed(self, lines: float) -> None:
        if self.used >= 0:
            self.used += max(0.0, lines)
        if self.near >= 0:
            self.near += max(0.0, lines)

    def _changed(self, change: str) -> None:
        if change == "near_end":
            if self._is_a_roll(self.to_near):
                _keep(self.to_near, self.used)
            self.near, self.opened = 0.0, False
        elif change == "out":
            # With the cover opened in between somebody took the roll out before its end.
            if self.near >= 0 and not self.opened:
                _keep(self.to_out, self.near)
            if self.near < 0 and not self.opened:
                self.unannounced += 1
            elif self.near >= 0:
                self.unannounced = 0
            if self._is_a_roll(self.whole):
                _keep(self.whole, self.used)
        elif change == "new":
            self.used, self.near, self.opened = 0.0, -1.0, False
        else:
            self.opened = True

    def _is_a_roll(self, samples: Sequence[float]) -> bool:
        """Neither the flicker of a sensor nor, after the cover was opened, two rolls of which one was changed early."""
        roll = median(samples) if samples else self.used
        return max(_SHORTEST_ROLL, 0.15 * roll) <= self.used and not (self.opened and self.used > 1.3 * roll)

    def sensorless(self) -> bool:
        """Whether rolls run out without near end being told: the printer has no such sensor."""
        return self.unannounced >= 2 and not self.to_near

    def left(self) -> tuple[float, float, float, str] | str:
        """Lines left with their bounds and what they rest on, or why that cannot be said."""
        if self.paper == "out":
            return 0.0, 0.0, 0.0, "the sensor sees no paper"
        if self.near >= 0:
            if not self.to_out:
                return "no roll has run out yet after near end"
            tail, wide = _typical(self.to_out)
            return *_bounds(tail - self.near, wide), "lines after near end on earlier rolls"
        if self.used < 0:
            return "no roll change seen yet"
        samples = self.whole if self.sensorless() else self.to_near
        if not samples:
            return "no whole roll seen yet"
        roll, wide = _typical(samples)
        if not self.sensorless() and self.to_out:
            tail, more = _typical(self.to_out)
            roll, wide = roll + tail, wide + more
        if self.used > roll + 2 * wide:
            return "more was printed than a roll holds, so a roll was changed unseen"
        value, low, high = _bounds(roll - self.used, wide)
        if self.opened:  # with a new roll put in early it may be a full one
            return value, low, roll + wide, "the cover was opened on this roll"
        return value, low, high, f"the median of {len(samples)} rolls is {roll:.0f} lines"

    def estimates(self, at: Moment) -> dict[str, Estimate]:
        if self.last < 0:
            return {}
        left, use = self.left(), self.daily()
        if isinstance(left, str):
            return {"paper_days_left": Estimate(why=left)}
        if not use.known():
            return {"paper_days_left": Estimate(why=f"{min(use.seen, 6)} of {DAYS_NEEDED} days seen")}
        value, low, high, why = left
        hours = self._hours()
        days = Estimate(
            value=use.days_until(value, at, hours, 0.0),
            low=max(0.0, use.days_until(low, at, hours, _SPREAD) - _HOUR),
            high=use.days_until(high, at, hours, -_SPREAD) + _HOUR,
            why=why,
            outlook=self._outlook(value, high, use.mean(at.weekday)),
        )
        return {"paper_days_left": days}

    def day_over(self, ended: Moment, missed: int) -> None:
        Counter.day_over(self, ended, missed)
        self.by_hour = [0.97 * each for each in self.by_hour]

    def _hours(self) -> list[float]:
        """The share of a day's lines before each hour; even while none is known."""
        total = sum(self.by_hour)
        return [sum(self.by_hour[:hour]) / total if total else hour / 24 for hour in range(25)]

    def _outlook(self, value: float, high: float, a_day: float) -> Outlook:
        """Only where no sensor tells near end: a twentieth of a roll, or two busy hours since counters come hourly."""
        if not self.sensorless() or len(self.whole) < 2:
            return "ok"
        roll = median(self.whole)
        enough = max(0.05 * roll, a_day / 5)
        if value <= enough and high <= enough + 0.15 * roll:
            return "act"
        return "ok" if value > 1.5 * enough else "watch"


@dataclass(slots=True)
class Wear(Counter):
    """What was printed, cut or charged against its rated life. `name` is the part's, `counter` that of its use.

    The life is rated by the maker within `life` (short, long), in units of which one count is `each` (least, most). A
    part that was replaced began at `new_at` counts.
    """

    FIXED: ClassVar[frozenset[str]] = frozenset({"name", "counter", "life", "each", "new_at", "about"})

    name: str = ""
    counter: str = ""
    life: tuple[float, float] = (0.0, 0.0)
    each: tuple[float, float] = (1.0, 1.0)
    new_at: float = 0.0
    about: str = ""

    def observe(self, readings: Readings, at: Moment) -> None:
        value = number(readings.get(self.counter))
        if value is not None:
            self.grown(value, at)

    def estimates(self, at: Moment) -> dict[str, Estimate]:
        del at
        if self.last < 0:
            return {}
        count = self.last - self.new_at
        if count < 0:
            told = Estimate(
                why=f"the counter is below the {self.new_at:.0f} it had at the change", cause=Cause.INCONSISTENT
            )
            return {f"{self.name}_wear_percent": told}
        shortest, longest = self.life[0] / self.each[1], self.life[1] / self.each[0]  # both in counts
        middle = math.sqrt(shortest * longest)
        percent = Estimate(
            value=100 * count / middle,
            low=100 * count / longest,
            high=100 * count / shortest,
            why=self.about,
            outlook=self._outlook(count, longest),
        )
        return {
            f"{self.name}_wear_percent": percent,
            f"{self.name}_days_left": self._days(count, shortest, middle, longest),
        }

    def _outlook(self, count: float, longest: float) -> Outlook:
        """By the longest life that the rating allows: two months to have it changed, no sooner."""
        use = self.daily()
        left = (longest - count) / use.week() if use.known() and use.week() > 0 else HORIZON_DAYS
        if count >= longest or left <= 60:
            return "act"
        return "ok" if left > 90 else "watch"

    def _days(self, count: float, shortest: float, middle: float, longest: float) -> Estimate:
        use = self.daily()
        if not use.known():
            return Estimate(why=f"{min(use.seen, 6)} of {DAYS_NEEDED} days seen")
        a_day = max(use.week(), 1e-9)
        value, low, high = (min(HORIZON_DAYS, max(0.0, life - count) / a_day) for life in (middle, shortest, longest))
        # A week's mean wanders by about a fifth with the season.
        return Estimate(value=value, low=0.8 * low, high=min(HORIZON_DAYS, 1.25 * high), why=f"{a_day:.0f} a day")


def _keep(samples: list[float], lines: float) -> None:
    samples.append(round(lines))
    del samples[:-_ROLLS_KEPT]


def _typical(samples: Sequence[float]) -> tuple[float, float]:
    """A roll's length and how far the next may be off: a quarter after one roll, then by what the rolls show."""
    middle = median(samples)
    if len(samples) == 1:
        return middle, 0.25 * middle
    return middle, max(0.03 * middle, 1.5 * deviation(samples))


def _bounds(value: float, wide: float) -> tuple[float, float, float]:
    return max(0.0, value), max(0.0, value - wide), max(0.0, value + wide)
