"""What a part of the bench says: figures beside their goals, and series for the pictures."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.wait import wait_until


@dataclass(frozen=True, slots=True)
class Figure:
    """One number. `key` names it for the report and for `reasons.toml`; `how` says how it was measured.

    `value` is None for what could not be measured; `how` says why then. `goal` is such as "≤ 20", or "" for none.
    `missed` is for goals that are not one bound.
    """

    key: str
    what: str
    value: float | None
    unit: str = ""
    goal: str = ""
    how: str = ""
    missed: bool | None = None

    @property
    def misses(self) -> bool:
        """Whether the goal is missed."""
        if self.missed is not None or self.value is None or not self.goal:
            return bool(self.missed)
        found = re.match(r"([≤≥]) ?([\d.,]+)", self.goal)
        if found is None:
            raise ValueError(f"{self.key}: no bound in {self.goal!r}")
        limit = float(found[2].replace(",", ""))
        return self.value > limit if found[1] == "≤" else self.value < limit

    @property
    def shown(self) -> str:
        """The value with its unit, in three digits or so."""
        if self.value is None:
            return "not measured"
        size = abs(self.value)
        digits = 0 if size >= 1000 else 1 if size >= 10 else 2 if size >= 1 or size == 0 else 3
        return f"{self.value:,.{digits}f} {self.unit}".rstrip()


@dataclass(frozen=True, slots=True)
class Series:
    """What a picture is made of. `data` is JSON."""

    key: str
    data: Any


Told = Iterator[Figure | Series]


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is done. `minutes` is what the user asked of a part that lasts; `usual` and `quick` choose."""

    quick: bool = False
    minutes: float = 0.0

    def of(self, usual: float, quick: float) -> float:
        return quick if self.quick else usual

    def seconds(self, usual_min: float, quick_min: float) -> float:
        """How long a part lasts."""
        return 60 * (self.minutes or self.of(usual_min, quick_min))


@dataclass(slots=True)
class Trend:
    """A straight line through samples by least squares: its slope per second and the slope's standard error."""

    at: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def slope(self) -> tuple[float, float]:
        n = len(self.at)
        if n < 3:
            return 0.0, float("inf")
        mean_x, mean_y = sum(self.at) / n, sum(self.values) / n
        spread = sum((x - mean_x) ** 2 for x in self.at)
        slope = sum((x - mean_x) * (y - mean_y) for x, y in zip(self.at, self.values, strict=True)) / spread
        left = sum((y - mean_y - slope * (x - mean_x)) ** 2 for x, y in zip(self.at, self.values, strict=True))
        return slope, (left / (n - 2) / spread) ** 0.5


def rest(seconds: float) -> None:
    """Let time pass."""
    end = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() >= end, seconds + 5, every_s=min(0.2, max(seconds, 0.001)))


def quantile(ordered: list[float], share: float) -> float:
    """The value that this share of them does not exceed."""
    return ordered[max(0, min(len(ordered) - 1, round(share * len(ordered)) - 1))]
