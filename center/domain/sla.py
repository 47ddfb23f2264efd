"""Clocks of a case on a business calendar: amber at 75 %, escalated at 90 %, broken at 100 % of the time. Pure.

A clock is JSON within the case: `minutes` of the calendar it has · `start_ms` · `amber_ms`, `escalated_ms`, `breach_ms`
the moments to come · `told` which of them were told · `stopped_ms` when it stood still, null while it runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from center.domain import hours
from center.domain.cases_policy import CLOCKS, MINUTE_MS, Deadline, Policy

LEVELS: Final[Mapping[str, float]] = {"amber": 0.75, "escalated": 0.9, "breach": 1.0}

Clock = dict[str, Any]
Clocks = dict[str, Clock]


@dataclass(frozen=True, slots=True)
class Calendar:
    """Which time counts. `open` None: all of it does."""

    open: Mapping[str, Any] | None = None
    timezone: str = "UTC"

    @classmethod
    def of(cls, deadline: Deadline, policy: Policy, site: Mapping[str, Any] | None) -> Calendar:
        """The calendar that a deadline names; a site of unknown hours counts as always open."""
        if deadline.calendar == "office":
            return cls(policy.office_hours, policy.office_timezone)
        if deadline.calendar == "site" and site is not None:
            return cls(site["hours"], site["timezone"])
        return cls()

    def after(self, from_ms: int, minutes: float) -> int | None:
        """The moment when so many minutes of the calendar have passed; None if that never comes."""
        return hours.after_open_ms(self.open, self.timezone, from_ms, round(minutes * MINUTE_MS))

    def minutes(self, from_ms: int, until_ms: int) -> float:
        """How many minutes of the calendar lie between."""
        return hours.open_ms(self.open, self.timezone, from_ms, until_ms) / MINUTE_MS


def started(deadline: Deadline, calendar: Calendar, now_ms: int) -> Clocks:
    """The clocks of a new case."""
    given = {name: getattr(deadline, f"{name}_min") for name in CLOCKS}
    return {name: clock for name, minutes in given.items() if minutes and (clock := start(minutes, calendar, now_ms))}


def start(minutes: float, calendar: Calendar, now_ms: int) -> Clock | None:
    """A clock that starts now; None on a calendar that never gets there."""
    moments = {level: calendar.after(now_ms, minutes * share) for level, share in LEVELS.items()}
    if None in moments.values():
        return None
    ahead = {f"{level}_ms": moment for level, moment in moments.items()}
    return {"minutes": minutes, "start_ms": now_ms, **ahead, "told": [], "stopped_ms": None}


def stopped(clock: Clock, now_ms: int) -> Clock:
    """The same, standing still."""
    return clock if clock["stopped_ms"] is not None else {**clock, "stopped_ms": now_ms}


def resumed(clock: Clock, calendar: Calendar, now_ms: int) -> Clock:
    """The same, running again: what is to come is later by the calendar's time that it stood still."""
    since_ms = clock["stopped_ms"]
    if since_ms is None:
        return clock
    lost = calendar.minutes(since_ms, now_ms)
    later = {
        f"{level}_ms": calendar.after(clock[f"{level}_ms"], lost) or clock[f"{level}_ms"]
        for level in LEVELS
        if level not in clock["told"]
    }
    return {**clock, **later, "stopped_ms": None}


def due(clock: Clock, now_ms: int) -> Iterator[str]:
    """The levels that are reached and were not told yet, in their order."""
    if clock["stopped_ms"] is None:
        yield from (level for level in LEVELS if level not in clock["told"] and clock[f"{level}_ms"] <= now_ms)


def used(clock: Clock, calendar: Calendar, now_ms: int) -> float:
    """The share of its time that is gone, more than 1 once it is broken; of one that stands still, when it stopped."""
    at_ms = now_ms if clock["stopped_ms"] is None else clock["stopped_ms"]
    left = calendar.minutes(at_ms, clock["breach_ms"]) if at_ms < clock["breach_ms"] else 0.0
    over = calendar.minutes(clock["breach_ms"], at_ms) if at_ms > clock["breach_ms"] else 0.0
    return round(1 + (over - left) / float(clock["minutes"]), 3)


def nearest(clocks: Clocks, calendar: Calendar, now_ms: int) -> dict[str, Any] | None:
    """The running clock that is broken first: `kind`, `due_ms`, `used` and `state`; None where none runs."""
    running = [(clock["breach_ms"], name) for name, clock in clocks.items() if clock["stopped_ms"] is None]
    if not running:
        return None
    due_ms, name = min(running)
    clock = clocks[name]
    return {"kind": name, "due_ms": due_ms, "used": used(clock, calendar, now_ms), "state": state(clock, now_ms)}


def next_ms(clocks: Clocks) -> int | None:
    """The next moment at which one of the clocks has something to say; None for never."""
    ahead = [
        clock[f"{level}_ms"]
        for clock in clocks.values()
        if clock["stopped_ms"] is None
        for level in LEVELS
        if level not in clock["told"]
    ]
    return min(ahead, default=None)


def state(clock: Clock, now_ms: int) -> str:
    """`green`, `amber`, `breached`; `met` once it stopped in time and `missed` once it stopped too late."""
    if clock["stopped_ms"] is not None:
        return "met" if clock["stopped_ms"] < clock["breach_ms"] else "missed"
    if now_ms >= clock["breach_ms"]:
        return "breached"
    return "amber" if now_ms >= clock["amber_ms"] else "green"
