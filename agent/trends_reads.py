"""Whether ever more customers' cards fail to be read, against what is usual for this reader. Counts only, never a card.

A dirty head fails with many cards, one bad card fails many times. So what counts is not failed reads but different
attempts among which one failed, and failures without a good read in between count as one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from agent.trends_estimate import Estimate, Moment, Outlook, Trend, number, share_high, share_low
from drivers.reading import Readings

_DAYS_NEEDED: Final = 14
_ATTEMPTS_NEEDED: Final = 300  # below that a rate of 2 % is known to no better than a factor of two
_LATEST_DAYS: Final = 3
_MOST_DAYS: Final = 7
_ENOUGH_ATTEMPTS: Final = 60
_SURE: Final = 3.0  # standard deviations: once in 700 looks by chance, and twice the usual rate besides
_LIKELY: Final = 1.64  # one in twenty
_NOISE: Final = 0.02  # of customers a good reader fails one in fifty: stripes are worn, people are hasty


@dataclass(slots=True)
class ReadErrors(Trend):
    """Share of attempts with a failed read. `days` holds [day, attempts, failing], the latest last."""

    totals: list[float] = field(default_factory=list)
    failing_before: bool = False
    today: list[float] = field(default_factory=lambda: [0.0, 0.0])
    days: list[list[float]] = field(default_factory=list)
    week: list[float] = field(default_factory=lambda: [0.0, 0.0])
    usual: float = -1.0
    seen: int = 0
    attempts: float = 0.0
    failing: float = 0.0

    def observe(self, readings: Readings, at: Moment) -> None:
        """Totals `good`, `failed` and, when told, `attempts` (customers) of the payment application."""
        del at
        good, failed = number(readings.get("good")), number(readings.get("failed"))
        if good is None or failed is None:
            return
        told = number(readings.get("attempts"))
        now = [good, failed, -1.0 if told is None else told]
        before, self.totals = self.totals, now
        if not before or any(new < old for new, old in zip(now, before, strict=True)):
            # The first look has no beginning, and totals that shrink are of an application that was restarted.
            before = [0.0, 0.0, 0.0] if before and told is not None else now
        more_good, more_failed, more = (new - old for new, old in zip(now, before, strict=True))
        if told is None:
            more = max(more_good, 1.0 if more_failed else 0.0)
        if more > 0:
            self.today[0] += more
            self.today[1] += self._failing(more_good, more_failed, more)

    def _failing(self, good: float, failed: float, attempts: float) -> float:
        """How many different attempts failed at least: one per report unless fewer were good than there were."""
        again = self.failing_before and good == 0
        if good > 0 or failed > 0:
            self.failing_before = failed > 0
        if failed <= 0 or again:
            return 0.0
        return min(failed, max(1.0, attempts - good))

    def day_over(self, ended: Moment, missed: int) -> None:
        del missed
        attempts, failing = self.today
        self.today = [0.0, 0.0]
        if attempts <= 0:
            return
        self.days = [*self.days, [float(ended.day), attempts, failing]][-_MOST_DAYS:]
        self.seen += 1
        if self.usual < 0:
            self.attempts += attempts
            self.failing += failing
            if self.seen >= _DAYS_NEEDED and self.attempts >= _ATTEMPTS_NEEDED:
                self.usual = self.failing / self.attempts
            return
        self.week = [self.week[0] + attempts, self.week[1] + failing]
        if self.week[0] >= _ATTEMPTS_NEEDED:
            rate = self.week[1] / self.week[0]
            # What is usual falls soon after a cleaning and rises slowly, so that dirt never becomes the usual.
            self.usual += (rate - self.usual) / (3 if rate < self.usual else 60)
            self.week = [0.0, 0.0]

    def clock_back(self, day: int) -> None:
        self.days = [each for each in self.days if each[0] < day]
        self.today = [0.0, 0.0]

    def estimates(self, at: Moment) -> dict[str, Estimate]:
        if not self.totals:
            return {}
        return {"read_errors_percent": self._estimate(at)}

    def _estimate(self, at: Moment) -> Estimate:
        if self.usual < 0:
            return Estimate(
                why=f"{self.seen} of {_DAYS_NEEDED} days, {self.attempts:.0f} of {_ATTEMPTS_NEEDED} attempts seen"
            )
        soon = self._over(at, _LATEST_DAYS)
        if soon.value is not None and soon.outlook != "watch":
            return soon
        # What three days leave open, or with few customers do not tell, a week may.
        long = self._over(at, _MOST_DAYS)
        return long if soon.value is None or long.outlook == "act" else soon

    def _over(self, at: Moment, span: int) -> Estimate:
        """What the latest `span` days say."""
        counts = [(attempts, failing) for day, attempts, failing in self.days if day > at.day - span]
        counts.append((self.today[0], self.today[1]))
        attempts, failing = (sum(each) for each in zip(*counts, strict=True))
        if attempts < _ENOUGH_ATTEMPTS:
            return Estimate(why=f"{attempts:.0f} of {_ENOUGH_ATTEMPTS} attempts in {span} days")
        return Estimate(
            value=100 * failing / attempts,
            low=100 * share_low(failing, attempts, _LIKELY),
            high=100 * share_high(failing, attempts, _LIKELY),
            why=f"{failing:.0f} of {attempts:.0f} attempts on {len(counts)} days; usual {100 * self.usual:.1f} percent",
            outlook=self._outlook(counts, attempts, failing),
            basis="measured",
        )

    def _outlook(self, counts: Sequence[tuple[float, float]], attempts: float, failing: float) -> Outlook:
        """Dirt stays: without its worst day the stretch must be above the usual as well."""
        usual = max(self.usual, _NOISE)
        if failing / attempts < 1.5 * usual:
            return "ok"
        worst = max(counts, key=lambda day: day[1])
        others = attempts - worst[0]
        lasts = others > 0 and share_low(failing - worst[1], others, _LIKELY) > usual
        return "act" if lasts and share_low(failing, attempts, _SURE) > 2 * usual else "watch"
