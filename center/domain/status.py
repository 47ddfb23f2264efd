"""What a stranger may know of how the service is: which network or region is disturbed, and what is announced.

No merchant can be found in it. A trouble counts from SITES sites on; an operator or a region has its name only where
SHOWN_SITES sites have it; there are no numbers, no estates, no sites, and nothing that somebody has written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, func, select

from center.db.tables import heartbeat, incident_members, incidents, suppressions, terminals
from center.domain.selfwatch import MISSING_MS

SITES: Final = 5
SHOWN_SITES: Final = 20
AHEAD_MS: Final = 14 * 86_400_000
_KINDS: Final[Mapping[str, str]] = {"reach": "network", "host": "host", "power": "power"}
_SHARED: Final = ("cell", "operator", "power", "host", "release", "estate")
_WHOLE: Final = "all"


@dataclass(frozen=True, slots=True)
class Trouble:
    """`kind`: network, host, power, device, or support, the center's own. `operator` is "" where it has no name."""

    kind: str
    operator: str
    regions: tuple[str, ...]
    since_ms: int


@dataclass(frozen=True, slots=True)
class Window:
    """Announced maintenance: of all, or of the network of one operator."""

    operator: str
    from_ms: int
    until_ms: int


@dataclass(frozen=True, slots=True)
class Status:
    """`known` is False where nobody has judged the fleet of late: then no trouble is no good news."""

    known: bool
    troubles: tuple[Trouble, ...]
    windows: tuple[Window, ...]
    at_ms: int

    def word(self) -> str:
        """disturbed, unknown, maintenance or well: the first that holds."""
        if self.troubles:
            return "disturbed"
        if not self.known:
            return "unknown"
        return "maintenance" if any(each.from_ms <= self.at_ms for each in self.windows) else "well"


def public(connection: Connection, now_ms: int) -> Status:
    """The state now, of all estates together."""
    common = {name: _common(connection, name) for name in ("operator", "region")}
    beat = connection.execute(select(heartbeat.c.at_ms).where(heartbeat.c.name == "engines")).scalar()
    known = beat is not None and now_ms - beat <= MISSING_MS
    return Status(known, _troubles(connection, common), _windows(connection, common["operator"], now_ms), now_ms)


def _common(connection: Connection, name: str) -> frozenset[str]:
    """The operators or regions that so many sites have that none of them is told by it."""
    column, at = terminals.c[name], terminals.c.estate + "/" + terminals.c.site
    sites = func.count(at.distinct())
    query = select(column).where(column.is_not(None), terminals.c.site.is_not(None)).group_by(column)
    return frozenset(connection.execute(query.having(sites >= SHOWN_SITES)).scalars())


def _troubles(connection: Connection, common: Mapping[str, frozenset[str]]) -> tuple[Trouble, ...]:
    """One of each kind, operator and regions, the oldest of those alike first."""
    query = select(incidents).where(
        incidents.c.state != "resolved",
        incidents.c.parent_id.is_(None),
        incidents.c.suppression_id.is_(None),
        incidents.c.scope.in_((*_SHARED, "center")),
    )
    first: dict[tuple[str, str, tuple[str, ...]], int] = {}
    for row in connection.execute(query.order_by(incidents.c.opened_ms)).all():
        told = _told(connection, row, common)
        if told is not None:
            first.setdefault(told, row.opened_ms)
    return tuple(Trouble(*told, since_ms) for told, since_ms in first.items())


def _told(
    connection: Connection, row: Any, common: Mapping[str, frozenset[str]]
) -> tuple[str, str, tuple[str, ...]] | None:
    """Kind, operator and regions; None where a merchant could be told by it."""
    if row.scope == "center":
        return ("support", "", ()) if row.severity == "critical" else None
    member, at = incident_members, terminals
    there = member.c.incident_id == row.id, member.c.left_ms.is_(None), at.c.site.is_not(None)
    joined = member.join(at, (at.c.estate == member.c.estate) & (at.c.terminal == member.c.terminal))
    query = select(at.c.region, func.count((at.c.estate + "/" + at.c.site).distinct()).label("sites"))
    rows = connection.execute(query.select_from(joined).where(*there).group_by(at.c.region)).all()
    if sum(each.sites for each in rows) < SITES:
        return None
    regions = (each.region for each in rows if each.sites >= SITES and each.region in common["region"])
    operator = row.scope_key if row.scope == "operator" and row.scope_key in common["operator"] else ""
    return _KINDS.get(row.family, "device"), operator, tuple(sorted(regions))


def _windows(connection: Connection, operators: frozenset[str], now_ms: int) -> tuple[Window, ...]:
    """Of all estates, of all of the service or a named operator; whose else it is, is told to those whom it is for."""
    query = select(suppressions).where(
        suppressions.c.kind == "maintenance",
        suppressions.c.until_ms > now_ms,
        suppressions.c.from_ms <= now_ms + AHEAD_MS,
        suppressions.c.scope.in_((_WHOLE, "operator")),
        suppressions.c.estate.is_(None) | (suppressions.c.estate == ""),
    )
    found = []
    for row in connection.execute(query.order_by(suppressions.c.from_ms, suppressions.c.id)):
        operator = "" if row.scope == _WHOLE else row.scope_key
        if not operator or operator in operators:
            found.append(Window(operator, row.from_ms, row.until_ms))
    return tuple(dict.fromkeys(found))
