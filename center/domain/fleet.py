"""The fleet in memory, for the engine of incidents: what terminals share, whether they sell, and when sites trade."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from sys import intern
from typing import Any, Final, Self

from sqlalchemy import ColumnElement, Connection, and_, exists, select

from center.db.tables import changes, sites, terminals
from center.domain import hours
from center.domain.grouping import Place, Population

Who = tuple[str, str]
"""Estate and terminal."""
_COLUMNS: Final = (
    *("estate", "terminal", "site", "operator", "cell", "power_district", "host", "model", "firmware", "status"),
    "can_sell",
    "cause",
)
_SCHEDULES: Final = 60_000
RETIRED: Final = "retired"
"""The key in the feed of a terminal that was taken out of the fleet."""


@dataclass(slots=True)
class Terminal:
    """What the engine asks about a terminal. `status` and `can_sell` are the state's own words, "" for unheard."""

    place: Place
    status: str
    can_sell: str
    cause: str = ""
    """The fault that its verdict names."""


class Fleet:
    """All terminals that were heard of."""

    def __init__(self) -> None:
        self.terminals: dict[Who, Terminal] = {}
        self.populations: dict[str, Population] = {}
        self._hours: dict[Who, tuple[str, Mapping[str, Any] | None, str]] = {}
        self._open: dict[tuple[str, str], tuple[int, bool]] = {}

    @classmethod
    def load(cls, connection: Connection) -> Self:
        """All of it."""
        fleet = cls()
        fleet._take(connection.execute(select(*(terminals.c[name] for name in _COLUMNS))))
        fleet.load_hours(connection)
        return fleet

    def load_hours(self, connection: Connection) -> None:
        """When sites trade."""
        self._open.clear()
        found = select(sites.c.estate, sites.c.site, sites.c.hours, sites.c.timezone).where(sites.c.hours.is_not(None))
        self._hours = {
            (row.estate, row.site): (json.dumps(row.hours, sort_keys=True), row.hours, row.timezone)
            for row in connection.execute(found)
        }

    def refresh(self, connection: Connection, first: int, last: int) -> list[Who]:
        """Read again whom the feed names between two ids. Returns those whose place is another.

        Who was retired is none of them any more.
        """
        named = select(changes.c.estate, changes.c.terminal).where(
            changes.c.id.between(first, last), changes.c.kind == "terminal"
        )
        one = named.distinct().subquery()
        same = _same(terminals.c, one.c)
        rows = select(*(terminals.c[name] for name in _COLUMNS)).select_from(terminals.join(one, same))
        moved = self._take(connection.execute(rows))
        gone = named.where(changes.c.key == RETIRED, ~exists().where(_same(terminals.c, changes.c)))
        for row in connection.execute(gone.distinct()):
            known = self.terminals.pop((row.estate, row.terminal), None)
            if known is not None:
                self.population(row.estate).add(known.place, -1)
        return moved

    def place(self, who: Who) -> Place:
        """Where it is; nowhere for a terminal that was only heard of by its faults."""
        known = self.terminals.get(who)
        return known.place if known else Place()

    def population(self, estate: str) -> Population:
        return self.populations.setdefault(estate, Population())

    def trades(self, estate: str, site: str, now_ms: int) -> bool:
        """Whether the site trades now; True where nobody knows its hours."""
        known = self._hours.get((estate, site))
        if known is None:
            return True
        schedule, told, timezone = known
        minute = now_ms // _SCHEDULES
        cached = self._open.get((schedule, timezone))
        if cached is None or cached[0] != minute:
            try:
                cached = minute, hours.is_open(told, timezone, now_ms)
            except hours.HoursError:
                cached = minute, True
            self._open[schedule, timezone] = cached
        return cached[1]

    def _take(self, rows: Iterable[Any]) -> list[Who]:
        moved = []
        for row in rows:
            who = (intern(row.estate), row.terminal)
            release = f"{row.model or ''}|{row.firmware or ''}" if row.model or row.firmware else ""
            shared = (row.site, row.cell, row.operator, row.power_district, row.host, release)
            place = Place(*(intern(value or "") for value in shared))
            known = self.terminals.get(who)
            if known is None:
                self.terminals[who] = Terminal(place, *_said(row))
                self.population(who[0]).add(place)
                continue
            known.status, known.can_sell, known.cause = _said(row)
            if known.place != place:
                self.population(who[0]).add(known.place, -1)
                self.population(who[0]).add(place)
                known.place = place
                moved.append(who)
        return moved


def _same(one: Any, other: Any) -> ColumnElement[bool]:
    return and_(one.estate == other.estate, one.terminal == other.terminal)


def _said(row: Any) -> tuple[str, str, str]:
    return intern(row.status or ""), intern(row.can_sell or ""), intern(row.cause or "")
