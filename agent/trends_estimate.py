"""What a trend says: a value with its bounds, what it rests on, and whether somebody should act. Pure."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Final, Literal

from agent.wire import Basis
from drivers.reading import Cause, Reading, Readings, known, unknown

Outlook = Literal["ok", "watch", "act"]

SOURCE: Final = "trend."
"""What stands before the name of a device or probe in the source of its forecasts."""

HORIZON_DAYS: Final = 730.0
"""Nothing is foretold further; a forecast of that many days means "not before"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """`value` lies between `low` and `high` nine times in ten; None, with `cause`, while that cannot be said.

    `outlook` act calls for a person, watch is undecided and leaves a warning as it is, ok takes it back.
    """

    why: str
    value: float | None = None
    low: float = 0.0
    high: float = 0.0
    outlook: Outlook = "ok"
    basis: Basis = "inferred"
    cause: str = Cause.LEARNING

    def readings(self, name: str) -> dict[str, Reading]:
        """The readings `name`, `name_low`, `name_high`, `name_outlook` and `name_why`."""
        why = {f"{name}_why": known(self.why[:120])}
        if self.value is None:
            return {f"{name}{part}": unknown(self.cause) for part in ("", "_low", "_high", "_outlook")} | why
        numbers = {"": self.value, "_low": self.low, "_high": self.high}
        return {
            **{f"{name}{part}": known(round(number, 1)) for part, number in numbers.items()},
            f"{name}_outlook": known(self.outlook),
            **why,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A wall-clock time (s since the epoch) and what the shop's calendar calls it; `day` counts days, Monday is 0."""

    wall: float
    day: int
    weekday: int
    hour: int


@dataclass(slots=True)
class Trend(ABC):
    """One thing that changes slowly. Its fields are its whole memory, plain JSON, a few hundred bytes.

    Those named in `FIXED` come from the configuration and are not remembered.
    """

    FIXED: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def observe(self, readings: Readings, at: Moment) -> None:
        """Take what was just measured; names that do not concern it are ignored, and so is what is unknown."""

    @abstractmethod
    def estimates(self, at: Moment) -> dict[str, Estimate]:
        """What can be said now, by reading name; {} when nothing of its subject was ever measured."""

    def hour_over(self, hour: int) -> None:
        """The local hour `hour` has ended."""
        del hour

    def day_over(self, ended: Moment, missed: int) -> None:
        """The day of `ended` is over; `missed` whole days after it passed without us."""
        del ended, missed

    def clock_back(self, day: int) -> None:
        """The wall was ahead and is now at `day`: forget what would lie in the future."""
        del day

    def state(self) -> dict[str, Any]:
        """The memory, for `restore`."""
        return {name: _short(value) for name, value in asdict(self).items() if name not in self.FIXED}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over the fields that are of the right kind; what an older version did not have stays as it is."""
        for name in (field.name for field in fields(self) if field.name not in self.FIXED):
            present, kept = getattr(self, name), state.get(name)
            numbers = isinstance(present, int | float) and isinstance(kept, int | float)
            if numbers or (kept is not None and type(kept) is type(present)):
                setattr(self, name, kept)


def _short(value: Any) -> Any:
    """The same with three decimals, which is finer than anything here is known."""
    if isinstance(value, float):
        return round(value, 3)
    return [_short(each) for each in value] if isinstance(value, list) else value


def number(reading: Reading | None) -> float | None:
    """The reading's number, None when it is unknown or no number."""
    value = None if reading is None else reading.value
    return None if value is None or isinstance(value, str | bool) else float(value)


def median(values: Sequence[float]) -> float:
    """The middle of at least one value."""
    ordered, half = sorted(values), len(values) // 2
    return ordered[half] if len(values) % 2 else (ordered[half - 1] + ordered[half]) / 2


def deviation(values: Sequence[float]) -> float:
    """A standard deviation that one wild value hardly moves: 1.48 times the median distance from the median."""
    centre = median(values)
    return 1.48 * median([abs(value - centre) for value in values])


def share_low(part: float, whole: float, z: float) -> float:
    """The least share that still explains `part` of `whole`, after Wilson (1927), `z` standard deviations off."""
    share, room = part / whole, z * z / whole
    spread = z * math.sqrt(share * (1 - share) / whole + room / (4 * whole))
    return max(0.0, (share + room / 2 - spread) / (1 + room))


def share_high(part: float, whole: float, z: float) -> float:
    """The greatest share that still explains `part` of `whole`."""
    return 1 - share_low(whole - part, whole, z)


def slope(points: Sequence[Sequence[float]], z: float) -> tuple[float, float, float]:
    """Change of y by x over (x, y) points: the middle of all pairs' slopes and its bounds, after Sen (1968).

    A third of the points may be wild without moving it much. Needs at least three different x.
    """
    found = sorted(
        (late[1] - early[1]) / (late[0] - early[0])
        for i, late in enumerate(points)
        for early in points[:i]
        if late[0] != early[0]
    )
    n, pairs = len(points), len(found)
    reach = z * math.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    low, high = max(0, int((pairs - reach) / 2)), min(pairs - 1, int((pairs + reach) / 2) + 1)
    return median(found), found[low], found[high]
