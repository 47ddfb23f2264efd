"""Whether the terminal still stands where it has stood: a learned baseline of weak signs, and a score. Pure.

What is measured, all of it on the terminal itself: serving cell, tracking area and operator of the modem; hardware
address of the gateway; network (address range) of the interface; name of the time zone, which daylight saving does not
change. The address under which the internet sees the terminal and the radio networks around it are not measured.

Nothing is kept but salted hashes. Time is hours of observation, so a clock that jumps moves nothing. A sign counts
against the place only when nothing familiar was seen of it for `_AWAY_H`; a familiar cell or gateway speaks for it; and
what is new while the rest is familiar is learned, such as a neighbour cell or a new router. So no single change reaches
`RAISE_AT`: not another router, another SIM card, or an operator that numbers its cells anew where a cable is seen too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

WEIGHTS: Final = {"cell": 35, "area": 30, "operator": 20, "gateway": 25, "network": 15, "zone": 25}
"""What each sign counts when it is unfamiliar, in points of 100."""
RAISE_AT: Final = 60
CLEAR_AT: Final = 30
LEARN_H: Final = 72.0  # a week or two of shop hours; what was set up in a depot within a day is not yet at home there

_AWAY_H: Final = 2.0  # cells come and go within minutes, a borrowed network within a lunch break
_FIRST_H: Final = 1.0  # of the learning period: a cell that was passed on the way is not home
_KNOWN_H: Final = 8.0  # a new value beside a familiar one is home after a day
_ALONE_H: Final = 168.0  # nothing vouches for it, and nothing speaks against the place either
_MOST: Final = 32  # values kept of each sign; the seldom seen go
_STEP_H: Final = 0.25  # a longer gap between two observations was not observed

_ANCHORS: Final = ("cell", "gateway")  # each is at one place only
# Which other signs say that the terminal is still at home while this one is new. The network is too common an address
# range for that, and cells of one area do vouch for each other.
_VOUCHERS: Final = {
    "cell": ("area", "gateway"),
    "area": ("cell", "gateway"),
    "operator": ("gateway",),
    "gateway": ("cell", "area"),
    "network": ("cell", "area", "gateway"),
    "zone": ("cell", "area", "gateway"),
}


@dataclass(slots=True)
class _Sign:
    """Hours that each value was seen; `home` are the familiar ones; `away_h` since a familiar one was seen."""

    seen: dict[str, float] = field(default_factory=dict)
    home: list[str] = field(default_factory=list)
    away_h: float = 0.0
    now: str | None = None

    @property
    def familiar(self) -> bool:
        return self.now is not None and self.now in self.home

    @property
    def away(self) -> bool:
        return self.away_h >= _AWAY_H


class Place:
    """The baseline of one terminal. `salt` makes its hashes useless to anybody else."""

    def __init__(self, salt: str, remembered: Mapping[str, Any] | None = None) -> None:
        self._salt = salt
        self._signs = {name: _Sign() for name in WEIGHTS}
        self.elsewhere = False
        self.hours = 0.0
        try:
            self._restore(remembered or {})
        except (TypeError, ValueError, AttributeError, KeyError):
            self.forget()

    def observe(self, signs: Mapping[str, str | None], hours: float) -> None:
        """Take what is seen now (None for what is not known) and the hours since the last time."""
        hours = min(max(hours, 0.0), _STEP_H)
        for name, sign in self._signs.items():
            raw = signs.get(name)
            sign.now = self._hash(name, raw) if raw else None
        if any(sign.now for sign in self._signs.values()):
            self.hours += hours
        for sign in self._signs.values():
            self._count(sign, hours)
        score = self.score
        self.elsewhere = score >= RAISE_AT or (self.elsewhere and score > CLEAR_AT)
        if not self.elsewhere:
            for name, sign in self._signs.items():
                self._learn(name, sign)

    @property
    def learned(self) -> bool:
        """Whether the learning period is over and the familiar signs suffice to tell places apart."""
        usable = {name: WEIGHTS[name] for name, sign in self._signs.items() if sign.home}
        return self.hours >= LEARN_H and sum(usable.values()) >= RAISE_AT

    @property
    def learning(self) -> bool:
        """Whether it is too early to say anything."""
        return self.hours < LEARN_H

    @property
    def parts(self) -> dict[str, int]:
        """The signs that speak against the place, each with its points; below 0 where one speaks for it."""
        if self.learning:
            return {}
        away = [name for name, sign in self._signs.items() if sign.home and sign.away]
        if "operator" in away:  # the cells of another operator are others at the same place too
            away = [name for name in away if name not in {"cell", "area"}]
        if not away:
            return {}
        here = [name for name in _ANCHORS if self._signs[name].familiar]
        return {name: WEIGHTS[name] for name in away} | {name: -WEIGHTS[name] for name in here}

    @property
    def score(self) -> int:
        """The sum of the parts, from 0 to 100."""
        return max(0, min(100, sum(self.parts.values())))

    def forget(self) -> None:
        """Learn anew: the terminal was moved on purpose."""
        self._signs = {name: _Sign() for name in WEIGHTS}
        self.elsewhere = False
        self.hours = 0.0

    def state(self) -> dict[str, Any]:
        """What the next start needs, as plain JSON; a few kilobytes at most."""
        return {
            "hours": round(self.hours, 3),
            "elsewhere": self.elsewhere,
            "signs": {
                name: {
                    "seen": {value: round(hours, 3) for value, hours in sign.seen.items()},
                    "home": sign.home,
                    "away_h": round(sign.away_h, 3),
                }
                for name, sign in self._signs.items()
                if sign.seen
            },
        }

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.hours = float(state.get("hours", 0.0))
        self.elsewhere = bool(state.get("elsewhere", False))
        for name, kept in state.get("signs", {}).items():
            if name in self._signs:
                seen = {str(value): float(hours) for value, hours in kept["seen"].items()}
                self._signs[name] = _Sign(seen, [str(value) for value in kept["home"]], float(kept["away_h"]))

    def _hash(self, name: str, raw: str) -> str:
        return hashlib.sha256(f"{self._salt}\n{name}\n{raw}".encode()).hexdigest()[:8]

    @staticmethod
    def _count(sign: _Sign, hours: float) -> None:
        if sign.now is None:
            return  # neither home nor away
        sign.seen[sign.now] = sign.seen.get(sign.now, 0.0) + hours
        if len(sign.seen) > _MOST:
            least = min((value for value in sign.seen if value != sign.now), key=lambda value: sign.seen[value])
            del sign.seen[least]
            sign.home = [value for value in sign.home if value != least]
        sign.away_h = 0.0 if sign.familiar else sign.away_h + hours

    def _learn(self, name: str, sign: _Sign) -> None:
        if sign.now is None or sign.familiar:
            return
        vouched = any(self._signs[other].familiar for other in _VOUCHERS[name])
        needed = _FIRST_H if self.learning else _KNOWN_H if vouched else _ALONE_H
        if sign.seen[sign.now] >= needed:
            sign.home.append(sign.now)
            sign.away_h = 0.0
