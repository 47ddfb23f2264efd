"""Terminals of a readiness check put together by their stores. A store is as ready as its worst terminal."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from center.console.session import Visit
from center.domain.texts import fault_title

STATES: Final = ("ready", "not_ready", "unknown", "waiting")
_WORST: Final = ("not_ready", "unknown", "waiting", "ready")
_OPEN: Final = ("waiting", "offline", "sent")
_FAULT: Final = re.compile(r"[a-z0-9_-]+/[a-z0-9_-]+")
_NOT_CHECKED: Final = {"what": "check", "why": "", "act": "support"}

Row = Mapping[str, Any]


@dataclass(slots=True)
class Store:
    """`terminals` are rows of the API; a terminal at no known site makes a store without a name."""

    estate: str
    site: str
    name: str
    address: str
    terminals: list[Row] = field(default_factory=list)

    @property
    def state(self) -> str:
        states = {state_of(each) for each in self.terminals}
        return next(each for each in _WORST if each in states)

    @property
    def score(self) -> int | None:
        """The lowest; None while none is known."""
        known = [each["data"]["score"] for each in self.terminals if each["data"] and each["data"]["score"] is not None]
        return min(known, default=None)

    @property
    def todo(self) -> list[tuple[str, Row]]:
        """(terminal, item): what to do, why, and who does it."""
        return [(str(each["terminal"]), item) for each in self.terminals for item in _items(each)]

    @property
    def soonest(self) -> tuple[str, float] | None:
        """What runs out first by the forecasts, and in how many days."""
        left = [
            (float(days), name)
            for each in self.terminals
            for name, days in ((each["data"] or {}).get("forecast") or {}).items()
            if str(name).endswith("_days_left") and isinstance(days, int | float)
        ]
        return None if not left else (min(left)[1], min(left)[0])


def state_of(row: Row) -> str:
    """One of STATES. What gave no answer is unknown, not ready."""
    if row["state"] in _OPEN:
        return "waiting"
    data = row["data"]
    if not data or data["score"] is None:
        return "unknown"
    return "ready" if data["ready"] else "not_ready"


def _items(row: Row) -> Sequence[Row]:
    if row["state"] in _OPEN:
        return ()
    data = row["data"]
    found: Sequence[Row] = data["todo"] if data else [_NOT_CHECKED | {"why": row["error"] or row["state"]}]
    return found


def by_store(rows: Sequence[Row]) -> list[Store]:
    """Stores, those that need somebody first: the lowest score, then what nobody knows."""
    found: dict[tuple[str, str], Store] = {}
    for row in rows:
        key = (row["estate"], row["site"] or "")
        store = found.setdefault(key, Store(*key, row["name"] or "", row["address"] or ""))
        store.terminals.append(row)
    return sorted(found.values(), key=lambda each: (_WORST.index(each.state), each.score or 0, each.name, each.site))


def what_words(visit: Visit, what: str) -> str:
    """What is to do, in words: a fault, something that runs out, settings, or a part that could not be checked."""
    if _FAULT.fullmatch(what):
        return fault_title(what, visit.language)
    if what in {"check", "settings"}:
        return visit.say(f"readiness.what_{what}")
    if what.endswith("_days_left"):
        metric = visit.word(f"readiness.metric_{what.rpartition('.')[2]}", what)
        return visit.say("readiness.what_runs_out", what=metric)
    return visit.say("readiness.what_unchecked", what=what)
