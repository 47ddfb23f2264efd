"""How long the paper roll lasts, and how worn print head and cutter are, from counters that the printer keeps.

No sensor measures any of this: the roll's length is learned from the line counter between the moments when the paper
sensor changes, and wear is what was printed and cut against what the maker rates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final

from agent.trends_estimate import HORIZON_DAYS, Estimate, Moment, Outlook, Trend, deviation, median, number
from drivers.reading import Cause, Readings

LINES: Final = "ReceiptLineFeedCount"
CUTS: Final = "PaperCutCount"

_DAYS_NEEDED: Final = 7  # each weekday once; shops differ more by weekday than by anything else
_ROLLS_KEPT: Final = 8
_SHORTEST_ROLL: Final = 300  # lines, about a metre: less is a sensor that flickers, not a roll
_MOST_A_SECOND: Final = 100.0  # the fastest printers do 80 lines a second; more is another printer's counter
_LOST_LINES: Final = 5000.0
_SWAPPED: Final = 2000.0
_SPLIT_S: Final = 7200.0  # counters are read hourly; over a longer gap printing was not spread evenly
_FORGET: Final = 0.85  # by week, so that a weekday's mean follows the season within a month or two
_Z80: Final = 1.28  # both bounds together hold nine times in ten, because the roll's length has bounds of its own


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
        return self.seen >= _DAYS_NEEDED and all(self.days)

    def days_until(self, amount: float, at: Moment, done_today: float, z: float) -> float:
        """Days until `amount` more is used, when use runs `z` standard deviations above its mean."""
        mean = spread = before = 0.0
        gone = at.hour / 24
        for ahead in range(int(HORIZON_DAYS)):
            weekday = (at.weekday + ahead) % 7
            expected = self.mean(weekday)
            part = max(0.0, 1 - done_today / expected) if ahead == 0 and expected else 1.0
            mean += expected * part
            spread += self.variance(weekday) * part
            reached = mean + z * math.sqrt(spread)
            if reached >= amount:
                share = max(0.0, (amount - before) / (reached - before)) if reached > before else 0.0
                return share * (1 - gone) if ahead == 0 else ahead + share - gone
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
            return {"paper_days_left": Estimate(why=f"{min(use.seen, 6)} of {_DAYS_NEEDED} days seen")}
        value, low, high, why = left
        days = Estimate(
            value=use.days_until(value, at, self.today, 0.0),
            low=use.days_until(low, at, self.today, _Z80),
            high=use.days_until(high, at, self.today, -_Z80),
            why=why,
            outlook=self._outlook(value, high),
        )
        return {"paper_days_left": days}

    def _outlook(self, value: float, high: float) -> Outlook:
        """Only where no sensor tells near end: a twentieth of a roll is a few more receipts."""
        if not self.sensorless() or len(self.whole) < 2:
            return "ok"
        roll = median(self.whole)
        if value <= 0.05 * roll and high <= 0.2 * roll:
            return "act"
        return "ok" if value > 0.1 * roll else "watch"


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
            return Estimate(why=f"{min(use.seen, 6)} of {_DAYS_NEEDED} days seen")
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
    return middle, max(0.05 * middle, 2 * deviation(samples))


def _bounds(value: float, wide: float) -> tuple[float, float, float]:
    return max(0.0, value), max(0.0, value - wide), max(0.0, value + wide)
