"""What a console's screens show at a glance: Now, Queue, Terminal, Site, Map and Wallboard. Only what is in scope.

Numbers are of terminals unless said otherwise. Rows are plain dicts of JSON values, moments in milliseconds.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, and_, case, exists, func, null, or_, select, true
from sqlalchemy.sql import ColumnElement

from center.access.scope import Scope
from center.db.tables import cases, events, faults, incident_members, incidents, outages, sites, terminals
from center.domain.cases_book import OPEN
from center.domain.freshness import LATE_MS, SILENT_MS, freshness
from center.domain.heard import heard
from center.domain.hours import zone
from center.domain.refusal import Refusal

SHARED: Final = ("estate", "region", "operator", "cell")
AGES_MS: Final = (60_000, 300_000, LATE_MS, 7_200_000, SILENT_MS)
"""Bounds of the histogram: heard within a minute, five, half an hour, two hours, 13; then longer ago, then never."""
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
MASS_N: Final = 50
TIMELINE_DAYS: Final = 7
MOST_SITES: Final = 20_000
_MOST: Final = 5000
_OFFLINE: Final = terminals.c.status == "offline"
_UNSURE: Final = and_(
    or_(terminals.c.can_sell.is_(None), terminals.c.can_sell == "unknown"),
    or_(terminals.c.status.is_(None), terminals.c.status != "offline"),
)
"""Nobody knows whether it sells, though it is not out of contact: no share may count it among the good."""


def now(connection: Connection, scope: Scope, now_ms: int) -> dict[str, Any]:
    """Screen Now and the wallboard's numbers.

    `terminals`, `cannot_sell`, `degraded`, `unknown` (whether they sell), `freshness` (online, late, offline, unknown),
    `ages` (see AGES_MS), `incidents` (open ones by severity that are neither part of another nor suppressed),
    `suppressed`, `cases_due` (cases whose next deadline is within the hour), `center` (its own trouble, keys),
    `maintenance` (terminals that say they are in it) and `banner`: groups of MASS_N terminals and more, for which the
    rules of a mass incident are in force.
    """
    sells = dict(_counts(connection, terminals.c.can_sell, scope.where(terminals)))
    top = incidents.c.state != "resolved", incidents.c.parent_id.is_(None), scope.where(incidents)
    told = incidents.c.suppression_id.is_(None), incidents.c.scope != "center"
    suppressed = select(func.count()).where(*top, incidents.c.suppression_id.is_not(None))
    own = select(incidents.c.scope_key).where(*top, incidents.c.scope == "center").order_by(incidents.c.scope_key)
    mass = select(incidents.c.id, incidents.c.title, incidents.c.terminals_n, incidents.c.opened_ms)
    mass = mass.where(*top, *told, incidents.c.terminals_n >= MASS_N).order_by(incidents.c.terminals_n.desc()).limit(10)
    deadlines = (cases.c.first_response_due_ms, cases.c.update_due_ms, cases.c.solve_due_ms)
    due = or_(*(each <= now_ms + HOUR_MS for each in deadlines))
    near = select(func.count()).where(cases.c.state.in_(OPEN), cases.c.paused_since_ms.is_(None), due)
    in_maintenance = select(func.count()).where(terminals.c.status == "maintenance", scope.where(terminals))
    return {
        "terminals": sum(sells.values()),
        "cannot_sell": sells.get("no", 0),
        "degraded": sells.get("degraded", 0),
        "unknown": sells.get(None, 0) + sells.get("unknown", 0),
        **freshness_now(connection, scope, now_ms),
        "incidents": dict(_counts(connection, incidents.c.severity, *top, *told)),
        "suppressed": connection.execute(suppressed).scalar_one(),
        "cases_due": connection.execute(near.where(scope.where(cases))).scalar_one(),
        "center": list(connection.execute(own).scalars()),
        "maintenance": connection.execute(in_maintenance).scalar_one(),
        "banner": [dict(row) for row in connection.execute(mass).mappings()],
    }


def freshness_now(connection: Connection, scope: Scope, now_ms: int) -> dict[str, Any]:
    """`freshness`: terminals online, late, offline and unknown; `ages`: [upper bound in ms or null, terminals] each."""
    heard = terminals.c.last_contact_ms
    age = case(
        (heard.is_(None), len(AGES_MS) + 1),
        *((heard >= now_ms - bound, number) for number, bound in enumerate(AGES_MS)),
        else_=len(AGES_MS),
    )
    # Three counts, of which the large one needs no more than the index.
    by_age = dict(_counts(connection, age, scope.where(terminals)))
    offline = dict(_counts(connection, age, _OFFLINE, scope.where(terminals)))
    unheard = dict(_counts(connection, age, terminals.c.status.is_(None), scope.where(terminals)))
    there = {number: n - offline.get(number, 0) - unheard.get(number, 0) for number, n in by_age.items()}
    late = AGES_MS.index(LATE_MS) + 1
    return {
        "freshness": {
            "online": sum(n for number, n in there.items() if number < late),
            "late": sum(n for number, n in there.items() if late <= number < len(AGES_MS)),
            "offline": sum(offline.values()),
            "unknown": sum(n for number, n in there.items() if number >= len(AGES_MS)) + sum(unheard.values()),
        },
        "ages": [[bound, by_age.get(number, 0)] for number, bound in enumerate((*AGES_MS, None, None))],
    }


def shares(connection: Connection, scope: Scope, by: str, limit: int = 1000) -> list[dict[str, Any]]:
    """Of each estate, region, operator or cell: `key`, `terminals`, `offline`, `cannot_sell`, `share` of either.

    And `unknown`: of how many nobody knows whether they sell, though they are not offline.
    """
    column = _shared(by)
    troubled = or_(_OFFLINE, terminals.c.can_sell == "no")
    n = func.count()
    rows = (
        select(column, n.label("n"), _sum(_OFFLINE), _sum(terminals.c.can_sell == "no"), _sum(troubled), _sum(_UNSURE))
        .where(scope.where(terminals))
        .group_by(column)
        .order_by(_sum(troubled).desc(), n.desc())
        .limit(limit)
    )
    return [
        {
            "key": key,
            "terminals": total,
            "offline": offline,
            "cannot_sell": unable,
            "share": round(bad / total, 4),
            "unknown": unsure,
        }
        for key, total, offline, unable, bad, unsure in connection.execute(rows)
    ]


def queue(
    connection: Connection, scope: Scope, limit: int = 100, after: tuple[float, str] | None = None
) -> list[dict[str, Any]]:
    """Open incidents that are no part of another, the heaviest first. `after` is `impact` and `id` of the last row."""
    wanted = [incidents.c.state != "resolved", incidents.c.parent_id.is_(None), scope.where(incidents)]
    if after is not None:
        impact, last = after
        wanted.append(or_(incidents.c.impact < impact, and_(incidents.c.impact == impact, incidents.c.id > last)))
    rows = select(incidents).where(*wanted).order_by(incidents.c.impact.desc(), incidents.c.id).limit(limit)
    return [dict(row) for row in connection.execute(rows).mappings()]


def noise(connection: Connection, scope: Scope, now_ms: int) -> dict[str, list[int]]:
    """How often each fault was raised in each of the last 24 hours, the oldest first."""
    first_ms = now_ms - DAY_MS
    hour = (events.c.at_ms - first_ms) // HOUR_MS
    fault = events.c.data["fault"].as_string()
    recent = events.c.event == "fault.raised", events.c.at_ms > first_ms, events.c.at_ms <= now_ms
    rows = select(fault, hour, func.count()).where(*recent, scope.where(events, many=True)).group_by(fault, hour)
    found: dict[str, list[int]] = {}
    for key, number, n in connection.execute(rows):
        found.setdefault(key or "", [0] * 24)[min(23, int(number))] += n
    return found


def rhythm(
    connection: Connection,
    scope: Scope,
    fault: str,
    timezone: str,
    now_ms: int,
    days: int = 28,
    special: Collection[date] = (),
) -> dict[str, Any]:
    """When a fault is raised, in the last whole days by local time, to be seen beside hours of load and promotions.

    `week`: seven lists, from Monday, of 24 counts; `special_per_day` and `usual_per_day`: how often on the special days
    and on the others, null where there was none. Raises HoursError for a time zone that is none.
    """
    at = zone(timezone)
    today = datetime.fromtimestamp(now_ms / 1000, at).date()
    between = {today - timedelta(days=number) for number in range(1, days + 1)}
    hour = events.c.at_ms // HOUR_MS
    recent = events.c.event == "fault.raised", events.c.at_ms > now_ms - (days + 2) * DAY_MS, events.c.at_ms <= now_ms
    named = events.c.data["fault"].as_string() == fault
    rows = select(hour, func.count()).where(*recent, named, scope.where(events, many=True)).group_by(hour)
    week = [[0] * 24 for _ in range(7)]
    per_day: dict[date, int] = {}
    for number, n in connection.execute(rows):
        local = datetime.fromtimestamp(int(number) * HOUR_MS / 1000, at)
        if local.date() in between:
            week[local.weekday()][local.hour] += n
            per_day[local.date()] = per_day.get(local.date(), 0) + n
    unlike = between & set(special)
    return {
        "week": week,
        "special_per_day": _mean(per_day, unlike),
        "usual_per_day": _mean(per_day, between - unlike),
    }


def _mean(per_day: Mapping[date, int], of: Collection[date]) -> float | None:
    return round(sum(per_day.get(day, 0) for day in of) / len(of), 3) if of else None


def timeline(connection: Connection, scope: Scope, estate: str, terminal: str, now_ms: int) -> list[dict[str, Any]]:
    """What befell a terminal in seven days: `kind` fault, outage or boot; `key`, `from_ms`, `until_ms` (null: lasts).

    An outage also has `verdict` and `basis`; its key is how it went. Raises Refusal for a terminal out of scope.
    """
    heard(connection, scope, estate, terminal)
    since_ms = now_ms - TIMELINE_DAYS * DAY_MS
    bands = _fault_bands(connection, estate, terminal, since_ms)
    gone = outages.c.estate == estate, outages.c.terminal == terminal
    lasting = or_(outages.c.until_ms.is_(None), outages.c.until_ms >= since_ms)
    for row in connection.execute(select(outages).where(*gone, lasting).order_by(outages.c.from_ms).limit(_MOST)):
        band = {"kind": "outage", "key": row.kind, "from_ms": row.from_ms, "until_ms": row.until_ms}
        bands.append(band | {"verdict": row.verdict, "basis": row.basis})
    return sorted(bands, key=lambda band: (band["from_ms"], band["kind"], band["key"]))


def site(connection: Connection, scope: Scope, estate: str, name: str, now_ms: int) -> dict[str, Any]:
    """One site: its row, `terminals` with their freshness, and its open `incidents`. Raises Refusal."""
    about = sites.c.estate == estate, sites.c.site == name
    row = connection.execute(select(sites).where(*about, scope.where(sites))).mappings().first()
    columns = ("terminal", "model", "status", "can_sell", "cause", "act", "last_contact_ms")
    at_site = terminals.c.estate == estate, terminals.c.site == name, scope.where(terminals)
    there = select(*(terminals.c[each] for each in columns)).where(*at_site).order_by(terminals.c.terminal).limit(_MOST)
    found = [dict(each) for each in connection.execute(there).mappings()]
    if row is None and not found:
        raise Refusal("not_found", f"there is no site {estate}/{name}")
    for each in found:
        each["freshness"] = freshness(each["status"], each["last_contact_ms"], now_ms)
    member = and_(
        incident_members.c.incident_id == incidents.c.id,
        incident_members.c.estate == estate,
        incident_members.c.left_ms.is_(None),
        incident_members.c.terminal.in_([each["terminal"] for each in found]),
    )
    open_ones = incidents.c.state != "resolved", incidents.c.parent_id.is_(None), exists().where(member)
    troubled = connection.execute(select(incidents).where(*open_ones).order_by(incidents.c.impact.desc())).mappings()
    return dict(row or {}) | {
        "estate": estate,
        "site": name,
        "terminals": found,
        "incidents": list(map(dict, troubled)),
    }


@dataclass(frozen=True, slots=True)
class OnMap:
    """What a map shows. `unplaced`: terminals at a site whose place is not known, or at none; `cut`: there are more."""

    sites: list[dict[str, Any]]
    unplaced: int
    cut: bool


def on_map(
    connection: Connection, scope: Scope, limit: int = MOST_SITES, *, by: str | None = None, key: str | None = None
) -> OnMap:
    """Sites with a place on the map, the most troubled first: names, `lat`, `lon`, `terminals`, `troubled`, `unknown`.

    With `by` also `key`, the region, operator or the like: terminals of two operators at one site make two rows then.
    With both only terminals of that key.
    """
    at = terminals.c.estate, terminals.c.site, *(() if by is None else (_shared(by),))
    wanted = scope.where(terminals), true() if by is None or key is None else _shared(by) == key
    numbers = func.count(), _sum(or_(_OFFLINE, terminals.c.can_sell == "no")), _sum(_UNSURE)
    counted = connection.execute(select(*numbers, *at, *(() if by else (null(),))).where(*wanted).group_by(*at))
    # Brought together here: for tens of thousands of sites both databases take twice as long to join and to sort them.
    known = sites.c.lat.is_not(None), sites.c.lon.is_not(None)
    columns = sites.c.estate, sites.c.site, sites.c.name, sites.c.lat, sites.c.lon
    listed = connection.execute(select(*columns).where(*known)).all()
    places = {(estate, site): (name, lat, lon) for estate, site, name, lat, lon in listed}
    found, unplaced = [], 0
    for n, bad, unsure, estate, site, of in counted.all():
        if (estate, site) in places:
            found.append((-bad, estate, site, of or "", n, unsure))
        else:
            unplaced += n
    found.sort()
    shown = []
    for bad, estate, site, of, n, unsure in found[:limit]:
        name, lat, lon = places[estate, site]
        row = {"estate": estate, "site": site, "key": of or None, "name": name, "lat": lat, "lon": lon}
        shown.append(row | {"terminals": n, "troubled": -bad, "unknown": unsure})
    return OnMap(shown, unplaced, len(found) > limit)


def _counts(connection: Connection, what: ColumnElement[Any], *where: ColumnElement[bool]) -> Sequence[Any]:
    rows = select(what.label("what"), func.count()).where(*where).group_by("what")
    return [tuple(row) for row in connection.execute(rows)]


def _shared(by: str) -> ColumnElement[Any]:
    if by not in SHARED:
        raise Refusal("invalid", f"shares are by {', '.join(SHARED)}")
    return terminals.c[by]


def _sum(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.sum(case((condition, 1), else_=0))


def _fault_bands(connection: Connection, estate: str, terminal: str, since_ms: int) -> list[dict[str, Any]]:
    """Faults and boots by the log; what was raised before and still stands by the present state."""
    of_terminal = events.c.estate == estate, events.c.terminal == terminal, events.c.at_ms >= since_ms
    kinds = events.c.event.in_(("fault.raised", "fault.cleared", "boot"))
    log = select(events.c.event, events.c.at_ms, events.c.data).where(*of_terminal, kinds)
    bands: list[dict[str, Any]] = []
    lasting: dict[str, dict[str, Any]] = {}
    for row in connection.execute(log.order_by(events.c.at_ms, events.c.id).limit(_MOST)):
        data = row.data or {}
        if row.event == "boot":
            key = str(data.get("reason", "unknown"))
            bands.append({"kind": "boot", "key": key, "from_ms": row.at_ms, "until_ms": row.at_ms})
            continue
        key = str(data.get("fault", ""))
        begun = lasting.pop(key, None)
        if row.event == "fault.raised":
            lasting[key] = begun or {"kind": "fault", "key": key, "from_ms": row.at_ms, "until_ms": None}
        else:
            bands.append((begun or {"kind": "fault", "key": key, "from_ms": since_ms}) | {"until_ms": row.at_ms})
    known = select(faults).where(faults.c.estate == estate, faults.c.terminal == terminal)
    for present in connection.execute(known):
        band = lasting.pop(present.fault, None)
        if present.state == "cleared" and band is not None:  # though nobody heard it say so
            bands.append(band | {"until_ms": max(band["from_ms"], present.last_ms)})
        elif present.state != "cleared":
            from_ms = max(present.first_ms, since_ms)
            bands.append(band or {"kind": "fault", "key": present.fault, "from_ms": from_ms, "until_ms": None})
    return bands + list(lasting.values())
