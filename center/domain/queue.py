"""The fault queue: a row for each open incident, the heaviest first, with all that the desk decides by.

Only what is in scope. Rows are plain dicts of JSON values, moments in milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine, Select, and_, case, exists, func, or_, select
from sqlalchemy.sql import ColumnElement

from agent.vocabulary import VOCABULARY, act_of
from center.access.scope import Scope
from center.db.engine import among
from center.db.tables import case_steps, cases, faults, incident_members, incidents, outages, sites, terminals
from center.domain import sla
from center.domain.cases_book import number_of, number_text, slip_number
from center.domain.cases_policy import Policy, deadlines_of
from center.domain.grouping import OFFLINE
from center.domain.incident_book import LARGE
from center.domain.incident_texts import fault_name, title

SHOWN_SITES: Final = 3
_SMALL: Final = 20  # terminals
_REMEMBERED: Final = 500
_OPEN: Final = incidents.c.state.in_(("open", "acknowledged"))
_OWNER: Final = func.coalesce(cases.c.owner, incidents.c.owner)
_ACT_OF_SIDE: Final = {"operator": "operator", "host": "support", "merchant": "merchant"}
_ACT_OF_VERDICT: Final = {"no_power": "merchant", "no_network": "operator"}
_SHARES: Final = ("rule", "affected", "population", "share", "outside_share", "gain_nats", "alternatives")
_CASE: Final = ("number", "state", "team", "eta_ms", "pause_reason", "paused_since_ms", "updated_ms")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Filters; None for all. `owner` "" is nobody. `words` are looked for in what is shown and in members' names."""

    owner: str | None = None
    severity: str | None = None
    unit: str | None = None
    kind: str | None = None
    region: str | None = None
    site: str | None = None
    operator: str | None = None
    words: str | None = None
    parent: str | None = None
    """The parts of this incident, instead of incidents that are no part of another."""
    suppressed: bool | None = None
    ids: Sequence[str] | None = None


def page(
    connection: Connection,
    scope: Scope,
    wanted: Wanted,
    language: str,
    policy: Policy,
    now_ms: int,
    *,
    limit: int = 100,
    after: tuple[float, str] | None = None,
) -> list[dict[str, Any]]:
    """Rows of the queue. `after` is `impact` and `id` of the last row of the page before.

    `title` in plain words · `can_sell` of the worst terminal, null once none is left, other where it is another fault
    that stops sales · `act`, `basis`, `verdict` (why it is gone) · `sites` the first three, `sites_n` all · `first_ms`
    when it began · `why` the numbers of a group · `case` null or its `id`, `number`, `state`, `clock`, … · `owner`,
    `acknowledged_by` of the case or the incident.
    """
    statement = (
        _rows(scope)
        .where(_OPEN, *_conditions(connection, scope, wanted))
        .order_by(incidents.c.impact.desc(), incidents.c.id)
        .limit(limit)
    )
    if after is not None:
        impact, last = after
        later = and_(incidents.c.impact == impact, incidents.c.id > last)
        statement = statement.where(or_(incidents.c.impact < impact, later))
    rows = connection.execute(statement).mappings().all()
    more = _More(connection, scope, rows)
    return [_row(row, more, language, policy, now_ms) for row in rows]


def one(
    connection: Connection, scope: Scope, incident_id: str, language: str, policy: Policy, now_ms: int
) -> dict[str, Any] | None:
    """The row of one incident, whatever its state and whether or not it is a part of another; None out of scope."""
    rows = connection.execute(_rows(scope).where(incidents.c.id == incident_id)).mappings().all()
    more = _More(connection, scope, rows)
    return next((_row(row, more, language, policy, now_ms) for row in rows), None)


def _rows(scope: Scope) -> Select[Any]:
    columns = [cases.c[name].label(f"case_{name}") for name in (*_CASE, "data", "kind", "severity", "site", "estate")]
    held = and_(cases.c.id == incidents.c.case_id, scope.where(cases))
    return (
        select(incidents, _OWNER.label("held_by"), cases.c.id.label("its_case"), cases.c.acked_ms, *columns)
        .select_from(incidents.outerjoin(cases, held))
        .where(scope.where(incidents))
    )


# --- which ------------------------------------------------------------------------------------------------------------


def _conditions(connection: Connection, scope: Scope, wanted: Wanted) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    parent = incidents.c.parent_id
    found.append(parent.is_(None) if wanted.parent is None else parent == wanted.parent)
    if wanted.ids is not None:
        found.append(incidents.c.id.in_(wanted.ids))
    if wanted.owner is not None:
        found.append(_OWNER.is_not_distinct_from(wanted.owner or None))
    if wanted.severity is not None:
        found.append(incidents.c.severity == wanted.severity)
    if wanted.suppressed is not None:
        is_told = incidents.c.suppression_id.is_(None)
        found.append(~is_told if wanted.suppressed else is_told)
    if wanted.unit is not None:
        found.append(incidents.c.fault.startswith(f"{wanted.unit}/", autoescape=True))
    if wanted.kind is not None:
        found.append(incidents.c.fault.endswith(f"/{wanted.kind}", autoescape=True))
    places = {name: getattr(wanted, name) for name in ("region", "site", "operator")}
    at = [terminals.c[name] == value for name, value in places.items() if value is not None]
    if at:
        found.append(_has_member(scope, *at))
    if wanted.words and wanted.words.strip():
        found.append(_says(connection, scope, wanted.words.strip()))
    return found


def _has_member(scope: Scope, *conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    member = incident_members.alias()
    same = and_(terminals.c.estate == member.c.estate, terminals.c.terminal == member.c.terminal)
    inside = member.c.incident_id == incidents.c.id, member.c.left_ms.is_(None), scope.where(terminals)
    return exists().where(*inside, same, *conditions)


def _says(connection: Connection, scope: Scope, words: str) -> ColumnElement[bool]:
    """The words stand in its title in either language, or name its key, owner, case, a terminal or a site."""
    lower = words.lower()
    meant = [OFFLINE, *VOCABULARY]
    meant = [key for key in meant if any(lower in fault_name(key, spoken).lower() for spoken in ("en", "zh"))]
    texts = (incidents.c.title, incidents.c.scope_key, incidents.c.fault, _OWNER)
    found = [each.icontains(words, autoescape=True) for each in texts]
    found.append(incidents.c.fault.in_(meant))
    number = number_of(words)
    if number is not None:
        found.append(cases.c.number == number)
    printed = slip_number(words)
    if printed is not None:
        found.append(cases.c.local_number == printed)
    named = or_(sites.c.name.icontains(words, autoescape=True), sites.c.address.icontains(words, autoescape=True))
    rows = connection.execute(select(sites.c.site).where(named, scope.where(sites)).limit(500))
    at_sites = terminals.c.site.in_([row.site for row in rows])
    by_name = terminals.c.terminal.icontains(words, autoescape=True)
    found.append(_has_member(scope, or_(by_name, terminals.c.site.icontains(words, autoescape=True), at_sites)))
    return or_(*found)


# --- what is shown ----------------------------------------------------------------------------------------------------


class _More:
    """What belongs to the rows of one page, each read at once for all of them."""

    def __init__(self, connection: Connection, scope: Scope, rows: Sequence[Any]) -> None:
        ids = [row["id"] for row in rows]
        self.places = _places(connection, scope, rows)
        self.faults = {each.id: each for each in connection.execute(_faults(ids))}
        self.outages = {each.id: each for each in connection.execute(_outages(ids))}
        taken = [row["its_case"] for row in rows if row["acked_ms"] is not None]
        steps = connection.execute(_taken(taken)) if taken else ()
        self.taken_by = {each.case_id: each.by for each in steps}
        at = {(row["case_estate"], row["case_site"]) for row in rows if row["case_site"] is not None}
        at |= {(each.estate, each.site) for place in self.places.values() for each in place.first}
        columns = [sites.c[name] for name in ("estate", "site", "name", "hours", "timezone", "contract")]
        named = select(*columns).where(among((sites.c.estate, sites.c.site), at))
        known = connection.execute(named).mappings() if at else ()
        self.sites = {(each["estate"], each["site"]): dict(each) for each in known}


@dataclass(frozen=True, slots=True)
class _Places:
    """Where an incident is: the sites with most of it, how many there are; and its terminals that sell with limits."""

    first: Sequence[Any] = ()
    sites_n: int = 0
    degraded_n: int = 0
    stopped_n: int = 0
    """Terminals that another fault keeps from selling."""


_LARGE_PLACES: Final[WeakKeyDictionary[Engine, dict[Any, _Places]]] = WeakKeyDictionary()
"""By incident, scope and the numbers that they belong to."""


def _places(connection: Connection, scope: Scope, rows: Sequence[Any]) -> dict[str, _Places]:
    """By incident. Small ones are ranked here, all at once; of a large one the database gives no more than is shown."""
    by_site = _by_site(scope)
    order = by_site.c.site.is_(None), by_site.c.n.desc(), by_site.c.site
    found: dict[str, list[Any]] = {}
    small = [row["id"] for row in rows if row["terminals_n"] <= _SMALL]
    ranked = select(by_site).where(by_site.c.incident_id.in_(small)).order_by(*order)
    for each in connection.execute(ranked) if small else ():  # SQLite would sum up all members, and give none
        found.setdefault(each.incident_id, []).append(each)
    places = {name: _ranked(some) for name, some in found.items()}
    whole = (
        func.count(by_site.c.site).over().label("sites_n"),
        func.sum(by_site.c.degraded_n).over().label("all_degraded_n"),
        func.sum(by_site.c.stopped_n).over().label("all_stopped_n"),
    )
    known = _LARGE_PLACES.setdefault(connection.engine, {})
    for row in rows:
        if row["terminals_n"] <= _SMALL:
            continue
        name, as_of = row["id"], (row["id"], scope, row["last_ms"], row["terminals_n"])
        if as_of not in known:
            most = select(by_site, *whole).where(by_site.c.incident_id == name).order_by(*order).limit(SHOWN_SITES)
            first = connection.execute(most).all()
            sums = (first[0].sites_n, int(first[0].all_degraded_n), int(first[0].all_stopped_n)) if first else ()
            found_now = _Places(_named(first), *sums)
            if row["terminals_n"] > LARGE:
                _remember(known, as_of, found_now)
            places[name] = found_now
        else:
            places[name] = known[as_of]
    return places


def _remember(known: dict[Any, _Places], as_of: Any, places: _Places) -> None:
    """Of one that is so large that the engine makes its numbers anew now and then: until it does."""
    for old in list(known)[: max(0, len(known) + 1 - _REMEMBERED)]:
        known.pop(old, None)
    known[as_of] = places


def _ranked(some: Sequence[Any]) -> _Places:
    named = _named(some)
    limited, stopped = (sum(getattr(each, name) for each in some) for name in ("degraded_n", "stopped_n"))
    return _Places(named[:SHOWN_SITES], len(named), limited, stopped)


def _named(some: Sequence[Any]) -> Sequence[Any]:
    return [each for each in some if each.site is not None]


def _by_site(scope: Scope) -> Any:
    """Members of incidents by site; of an incident that nobody is in any more, where it was."""
    member = incident_members
    same = and_(terminals.c.estate == member.c.estate, terminals.c.terminal == member.c.terminal)
    joined = member.join(incidents, incidents.c.id == member.c.incident_id).join(terminals, same)
    present = or_(member.c.left_ms.is_(None), incidents.c.terminals_n == 0)
    degraded = func.sum(case((terminals.c.can_sell == "degraded", 1), else_=0))
    known = terminals.c.can_sell == "no", terminals.c.status != "offline"
    by_another = terminals.c.cause != "", terminals.c.cause != member.c.fault
    stopped = func.sum(case((and_(*known, *by_another), 1), else_=0))
    columns = member.c.incident_id, terminals.c.estate, terminals.c.site
    return (
        select(*columns, func.count().label("n"), degraded.label("degraded_n"), stopped.label("stopped_n"))
        .select_from(joined)
        .where(present, scope.where(terminals))
        .group_by(*columns)
        .subquery()
    )


def _faults(ids: Sequence[str]) -> Any:
    """The fault of each incident of one terminal."""
    same = and_(
        faults.c.estate == incidents.c.estate,
        faults.c.terminal == incidents.c.scope_key,
        faults.c.fault == incidents.c.fault,
    )
    columns = incidents.c.id, faults.c.act, faults.c.basis, faults.c.first_ms
    return select(*columns).join(faults, same).where(incidents.c.id.in_(ids), incidents.c.scope == "terminal")


def _outages(ids: Sequence[str]) -> Any:
    """The outage that lasts, of each incident of a terminal that is gone."""
    same = and_(outages.c.estate == incidents.c.estate, outages.c.terminal == incidents.c.scope_key)
    gone = incidents.c.id.in_(ids), incidents.c.scope == "terminal", incidents.c.fault == OFFLINE
    columns = incidents.c.id, outages.c.verdict, outages.c.basis, outages.c.from_ms
    return select(*columns).join(outages, same).where(*gone, outages.c.until_ms.is_(None))


def _taken(ids: Sequence[str]) -> Any:
    """Who took a case on; the last one is the one that counts."""
    steps = case_steps
    kinds = steps.c.kind.in_(("acknowledged", "assigned"))
    return select(steps.c.case_id, steps.c.by).where(steps.c.case_id.in_(ids), kinds).order_by(steps.c.id)


def _row(row: Mapping[Any, Any], more: _More, language: str, policy: Policy, now_ms: int) -> dict[str, Any]:
    plain = ("id", "estate", "scope", "scope_key", "fault", "severity", "state", "impact", "opened_ms", "last_ms")
    counts = ("terminals_n", "peak_n", "cannot_sell_n", "unknown_n")
    places = more.places.get(row["id"], _Places())
    at = [(each.estate, each.site) for each in places.first]
    known = [more.sites.get(each) for each in at]
    named = [
        {"estate": e, "site": s} | {name: site and site[name] for name in ("name", "timezone")}
        for (e, s), site in zip(at, known, strict=True)
    ]
    why = row["why"] or {}
    return {
        **{name: row[name] for name in (*plain, *counts)},
        "title": title(row["scope"], row["scope_key"], row["family"], row["fault"] or "", language),
        "can_sell": _can_sell(row, places),
        **_meaning(row, why, more),
        "unit": (row["fault"] or "").partition("/")[0],
        "kind": (row["fault"] or "").partition("/")[2],
        "sites": named,
        "sites_n": places.sites_n,
        "why": {name: why[name] for name in _SHARES if name in why},
        "owner": row["held_by"],
        "acknowledged_by": row["ack_by"] or more.taken_by.get(row["its_case"]),
        "parent_id": row["parent_id"],
        "suppression_id": row["suppression_id"],
        "case": _case(row, more, policy, now_ms),
    }


def _can_sell(row: Mapping[Any, Any], places: _Places) -> str | None:
    if not row["terminals_n"]:
        return None
    if row["cannot_sell_n"]:
        return "no"
    if row["unknown_n"]:
        return "unknown"
    return "other" if places.stopped_n else "degraded" if places.degraded_n else "yes"


def _meaning(row: Mapping[Any, Any], why: Mapping[str, Any], more: _More) -> dict[str, Any]:
    """Who must act, how sure that is, since when it lasts; and of a terminal that is gone, why."""
    side = why.get("side") or ""
    if row["scope"] != "terminal":
        act = _ACT_OF_SIDE.get(side) or act_of(row["fault"] or "")
        basis, first_ms = ("measured" if row["scope"] == "center" else "inferred"), why.get("from_ms")
        return {"act": act, "basis": basis, "verdict": None, "side": side, "first_ms": first_ms or row["opened_ms"]}
    gone, fault = more.outages.get(row["id"]), more.faults.get(row["id"])
    if gone is not None:
        act = _ACT_OF_VERDICT.get(gone.verdict, "support")
        return {"act": act, "basis": gone.basis, "verdict": gone.verdict, "side": side, "first_ms": gone.from_ms}
    first_ms = fault.first_ms if fault else why.get("onset_ms") or row["opened_ms"]
    act, basis = (fault.act, fault.basis) if fault else (act_of(row["fault"] or ""), "unknown")
    return {"act": act, "basis": basis, "verdict": None, "side": side, "first_ms": first_ms}


def _case(row: Mapping[Any, Any], more: _More, policy: Policy, now_ms: int) -> dict[str, Any] | None:
    if row["its_case"] is None:
        return None
    shown = {name: row[f"case_{name}"] for name in _CASE} | {"id": row["its_case"]}
    shown["number"] = number_text(row["case_number"])
    site = more.sites.get((row["case_estate"], row["case_site"]))
    contract = None if site is None else site["contract"]
    deadline = deadlines_of(policy, row["case_kind"], row["case_severity"], contract)
    clocks = (row["case_data"] or {}).get("clocks", {}) if row["case_state"] != "closed" else {}
    at_ms = row["case_paused_since_ms"] or now_ms  # while it is paused no time goes by
    return shown | {"clock": sla.nearest(clocks, sla.Calendar.of(deadline, policy, site), at_ms)}
