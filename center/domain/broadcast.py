"""One message to the merchants of many sites: of an incident, of a maintenance window, or of an audience.

Each site's contacts are told in its own language, by the channels that tell contacts. Whoever has no contact that a
channel could use is listed, so that somebody can call.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, and_, case, exists, func, or_, select, true, update

from center.access import audit
from center.access.audit import Entry
from center.access.roles import Who
from center.access.scope import Scope
from center.db import feed
from center.db.engine import Database, bulk_insert
from center.db.tables import (
    broadcast_sites,
    broadcasts,
    channels,
    incident_members,
    incidents,
    outbox,
    sites,
    suppressions,
    terminals,
)
from center.domain import campaigns_audience, posts
from center.domain.cases_book import new_token
from center.domain.refusal import Refusal
from center.domain.texts import LANGUAGES, language_of, local_time
from center.ids import new_id
from center.ingest import cards

EVENT: Final = "merchant.notice"
"""What channels and webhooks are asked for by."""
MOST_SITES: Final = 50_000
LONGEST: Final = 2000
STATES: Final = ("waiting", "sent", "read", "failed", "unreachable", "cancelled")
"""Of a site; `read` once somebody has opened the link in its copy."""
_SCOPES: Final = {
    "terminal": terminals.c.terminal,
    "site": terminals.c.site,
    "operator": terminals.c.operator,
    "cell": terminals.c.cell,
    "host": terminals.c.host,
    "power": terminals.c.power_district,
    "estate": terminals.c.estate,
}
_MAINTENANCE: Final = {
    "en": "Maintenance from {since} to {until}: card payment may fail at times. Your terminal is not broken. {reason}",
    "zh": "系统维护：{since} 至 {until}，期间刷卡可能失败，机器没有故障。{reason}",
}
SUBJECT: Final = {
    "maintenance": {"en": "Planned maintenance", "zh": "系统维护通知"},
    "message": {"en": "Message from support", "zh": "客服通知"},
}

NO_CONTACT: Final = "no contact is known"
NO_ADDRESS: Final = "no contact with a telephone number or a mail address"
NO_CHANNEL: Final = f"no channel tells contacts of {EVENT}"
"""Why nobody at a site could be told."""

Texts = Mapping[str, str]
Address = Callable[[str], str]
"""The address of the page of a token, "" where merchants cannot reach the center."""


def of_incident(database: Database, who: Who, incident_id: str, texts: Texts, now_ms: int, page: Address) -> str:
    """Tell the merchants of all terminals that are in an incident now. Returns the broadcast's id. Raises Refusal."""
    with database.begin() as connection:
        reached = _in_incident(connection, who, incident_id)
        return _begun(connection, who, "message", reached, texts, now_ms, page, incident_id=incident_id)


def of_audience(
    database: Database, who: Who, audience: Mapping[str, Any], texts: Texts, now_ms: int, page: Address
) -> str:
    """Tell the merchants of an audience, as campaigns name one. Returns the broadcast's id. Raises Refusal."""
    checked = campaigns_audience.check(audience)
    with database.begin() as connection:
        reached = campaigns_audience.members(who.scope, checked)
        return _begun(connection, who, "message", reached, texts, now_ms, page, audience=checked)


def _in_incident(connection: Connection, who: Who, incident_id: str) -> Select[Any]:
    inside = incidents.c.id == incident_id, who.scope.where(incidents)
    if connection.execute(select(incidents.c.id).where(*inside)).first() is None:
        raise Refusal("not_found", "there is no such incident")
    member = incident_members
    same = member.c.estate == terminals.c.estate, member.c.terminal == terminals.c.terminal
    in_it = exists().where(member.c.incident_id == incident_id, member.c.left_ms.is_(None), *same)
    return select(terminals.c.estate, terminals.c.terminal).where(in_it, who.scope.where(terminals))


def reach(
    database: Database, who: Who, audience: Mapping[str, Any] | None, incident_id: str | None = None
) -> dict[str, int]:
    """How many `terminals` and `sites` an audience, or an incident, has now; how many sites `without_contact`.

    Raises Refusal.
    """
    with database.read() as connection:
        if incident_id is not None:
            reached = _in_incident(connection, who, incident_id)
        else:
            reached = campaigns_audience.members(who.scope, campaigns_audience.check(audience or {}))
        n = connection.execute(select(func.count()).select_from(reached.subquery())).scalar_one()
        places = connection.execute(_places(reached)).all()
    return {"terminals": n, "sites": len(places), "without_contact": sum(not _contacts(each) for each in places)}


def as_sms(text: str, language: str, page: Address) -> str:
    """A message as channels of SMS send it: they know no subject, so that it stands before the text."""
    return f"{SUBJECT['message'][language_of(language)]}\r\n{linked(text, page(new_token()))}"


def of_maintenance(database: Database, who: Who, suppression_id: str, now_ms: int, page: Address) -> str:
    """Tell the merchants of a maintenance window when it is, by their own clocks. Returns the id. Raises Refusal."""
    with database.begin() as connection:
        inside = suppressions.c.id == suppression_id, who.scope.where(suppressions)
        window = connection.execute(select(suppressions).where(*inside)).first()
        if window is None or window.kind != "maintenance":
            raise Refusal("not_found", "there is no such maintenance window")
        if window.until_ms <= now_ms:
            raise Refusal("conflict", "the maintenance is over")
        if window.scope not in {"all", *_SCOPES}:
            raise Refusal("invalid", f"a window of a {window.scope} names no terminals")
        conditions = [who.scope.where(terminals)]
        if window.estate:
            conditions.append(terminals.c.estate == window.estate)
        if window.scope != "all":
            conditions.append(_SCOPES[window.scope] == window.scope_key)
        reached = select(terminals.c.estate, terminals.c.terminal).where(*conditions)
        return _begun(connection, who, "maintenance", reached, {}, now_ms, page, window=window)


def cancel(database: Database, who: Who, broadcast_id: str, reason: str, now_ms: int) -> None:
    """Tell nobody more of it; who was told stays told. Raises Refusal, also where not all of its sites are theirs."""
    reason = cards.redact(reason.strip())
    if not reason:
        raise Refusal("invalid", "say why it is cancelled")
    with database.begin() as connection:
        if not counts(connection, who.scope, [broadcast_id]):
            raise Refusal("not_found", "there is no such broadcast")
        here = terminals.c.estate == broadcast_sites.c.estate, terminals.c.site == broadcast_sites.c.site
        foreign = exists().where(*here) & ~exists().where(*here, who.scope.where(terminals))
        its = select(broadcast_sites.c.site).where(broadcast_sites.c.broadcast_id == broadcast_id)
        if connection.execute(its.where(foreign).limit(1)).first() is not None:
            raise Refusal("forbidden", "not all sites of this broadcast are yours")
        named = broadcasts.c.id == broadcast_id
        row = connection.execute(select(broadcasts).where(named).with_for_update()).one()
        if row.cancelled_ms is not None:
            raise Refusal("conflict", f"{row.cancelled_by} has cancelled it already")
        stopped = {"cancelled_by": who.name, "cancelled_ms": now_ms, "cancel_reason": reason}
        connection.execute(update(broadcasts).where(named).values(stopped))
        audit.append(connection, [Entry(now_ms, who.name, "broadcast.cancel", broadcast_id, {"reason": reason})])
        feed.append(connection, [("broadcast", None, None, broadcast_id)], now_ms)


def _begun(
    connection: Connection,
    who: Who,
    kind: str,
    reached: Select[Any],
    texts: Texts,
    now_ms: int,
    page: Address,
    *,
    incident_id: str | None = None,
    audience: Mapping[str, Any] | None = None,
    window: Any = None,
) -> str:
    texts = {language: cards.redact(text.strip()) for language, text in texts.items()}
    if window is None and (not all(texts.get(language) for language in LANGUAGES)):
        raise Refusal("invalid", f"say it in {' and in '.join(LANGUAGES)}")
    if any(len(text) > LONGEST for text in texts.values()):
        raise Refusal("invalid", f"a message has at most {LONGEST} letters")
    n = connection.execute(select(func.count()).select_from(reached.subquery())).scalar_one()
    places = connection.execute(_places(reached).limit(MOST_SITES + 1)).all()
    if len(places) > MOST_SITES:
        raise Refusal("invalid", f"more than {MOST_SITES} sites; tell them by estate or region")
    if not places:
        raise Refusal("invalid", "no terminal of these stands at a site, so nobody can be told")
    new = new_id("cast", now_ms)
    told = [_told(new, kind, place, texts, window, now_ms, page) for place in places]
    about = {"incident_id": incident_id, "suppression_id": None if window is None else window.id}
    row = {"id": new, "kind": kind, "audience": audience, "texts": dict(texts) or None, "terminals_n": n, **about}
    connection.execute(broadcasts.insert().values(**row, by=who.name, created_ms=now_ms))
    bulk_insert(connection, broadcast_sites, [site for site, _ in told])
    bulk_insert(connection, outbox, [post for _, post in told if post is not None])
    detail = {"kind": kind, "sites": len(places), **{name: value for name, value in about.items() if value}}
    audit.append(connection, [Entry(now_ms, who.name, "broadcast", new, detail)])
    feed.append(connection, [("broadcast", None, None, new)], now_ms)
    return new


def _places(reached: Select[Any]) -> Select[Any]:
    at = reached.with_only_columns(terminals.c.estate, terminals.c.site).where(terminals.c.site.is_not(None))
    where = at.distinct().subquery()
    same = and_(sites.c.estate == where.c.estate, sites.c.site == where.c.site)
    columns = (sites.c[name] for name in ("name", "language", "timezone", "contacts"))
    found = select(where.c.estate, where.c.site, *columns).select_from(where.outerjoin(sites, same))
    return found.order_by(where.c.estate, where.c.site)


def _told(
    name: str, kind: str, place: Any, texts: Texts, window: Any, now_ms: int, page: Address
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The row of a site, and what is posted to its contacts, None where there is nobody."""
    row = {"broadcast_id": name, "estate": place.estate, "site": place.site, "post_key": None, "why": "", "token": None}
    contacts = _contacts(place)
    if not contacts:
        return row | {"why": NO_ADDRESS if place.contacts else NO_CONTACT}, None
    spoken = language_of(place.language)
    body = texts.get(spoken) or _window_text(window, spoken, place.timezone)
    key, token = f"{name}:{place.estate}/{place.site}", new_token()
    address = page(token)
    facts = {
        "estate": place.estate,
        "site": place.site,
        "severity": "warning",
        "broadcast": name,
        "text": body,
        "to": contacts,
    }
    post = posts.notify(
        key, EVENT, now_ms, subject=SUBJECT[kind][spoken], body=linked(body, address), facts=facts, bulk=True
    )
    return row | {"post_key": key, "token": token if address else None}, post


def linked(text: str, address: str) -> str:
    """A text with the address of its page, where there is one, on a line of its own."""
    return f"{text}\n{address}" if address else text


def _contacts(place: Any) -> list[dict[str, Any]]:
    return [each for each in place.contacts or () if each.get("phone") or each.get("mail")]


def _window_text(window: Any, language: str, timezone: str) -> str:
    since, until = (local_time(at_ms, timezone) for at_ms in (window.from_ms, window.until_ms))
    return _MAINTENANCE[language].format(since=since, until=until, reason=cards.redact(window.reason)).strip()


# --- how far it is ----------------------------------------------------------------------------------------------------


def within(scope: Scope) -> ColumnElement[bool]:
    """Broadcasts that told a site inside of the scope."""
    if scope.is_everything:
        return true()
    return exists().where(broadcast_sites.c.broadcast_id == broadcasts.c.id, _inside(scope))


def sites_of(broadcast_id: str, scope: Scope) -> Select[Any]:
    """The sites it is for inside of the scope: `estate`, `site`, `name`, `state` as in `STATES`, `why`, `read_ms`."""
    found = _sites(_state.label("state"), _why.label("why"), scope=scope)
    mine = and_(sites.c.estate == broadcast_sites.c.estate, sites.c.site == broadcast_sites.c.site)
    found = found.add_columns(broadcast_sites.c.estate, broadcast_sites.c.site, broadcast_sites.c.read_ms, sites.c.name)
    return found.outerjoin(sites, mine).where(broadcast_sites.c.broadcast_id == broadcast_id)


def in_state(state: str) -> ColumnElement[bool]:
    """Of `sites_of`, those in one of `STATES`."""
    return _state == state


def counts(connection: Connection, scope: Scope, broadcast_ids: Collection[str]) -> dict[str, dict[str, int]]:
    """How many sites inside of the scope are in which of `STATES`; without a broadcast that has none there."""
    of = broadcast_sites.c.broadcast_id
    each = _sites(of, _state.label("state"), scope=scope).where(of.in_(broadcast_ids)).subquery()
    by = each.c.broadcast_id, each.c.state
    query = select(*by, func.count().label("n")).group_by(*by)
    found: dict[str, dict[str, int]] = {}
    for row in connection.execute(query):
        found.setdefault(row.broadcast_id, dict.fromkeys(STATES, 0))[row.state] = row.n
    return found


def _sites(*columns: ColumnElement[Any], scope: Scope) -> Select[Any]:
    """Sites with what `_state` and `_why` are made of."""
    its = broadcasts.c.id == broadcast_sites.c.broadcast_id
    joined = broadcast_sites.join(broadcasts, its).outerjoin(outbox, outbox.c.key == broadcast_sites.c.post_key)
    return select(*columns).select_from(joined).where(_inside(scope))


def _inside(scope: Scope) -> ColumnElement[bool]:
    """Sites where a terminal inside of the scope stands; for who sees everything also those that have none left."""
    if scope.is_everything:
        return true()
    here = terminals.c.estate == broadcast_sites.c.estate, terminals.c.site == broadcast_sites.c.site
    return exists().where(*here, scope.where(terminals))


_share: Final = outbox.alias("share")
"""Of a post, what one channel has of it."""
_better: Final = case({posts.DONE: 0, posts.FAILED: 1}, value=_share.c.state, else_=2)
"""Who was told by one channel was told, whatever became of the others."""
_shares: Final = _share.c.key == broadcast_sites.c.post_key + ">" + channels.c.id


def _of_best_share(column: ColumnElement[Any]) -> ColumnElement[Any]:
    best = select(column).select_from(channels.join(_share, _shares)).order_by(_better, channels.c.id).limit(1)
    return best.correlate(broadcast_sites).scalar_subquery()


_waits: Final = case((broadcasts.c.cancelled_ms.is_not(None), "cancelled"), else_="waiting")
_is_queued: Final = func.coalesce(outbox.c.state, posts.WAITING) == posts.WAITING
_state: Final[ColumnElement[str]] = case(
    (broadcast_sites.c.post_key.is_(None), "unreachable"),
    (broadcast_sites.c.read_ms.is_not(None), "read"),
    (_is_queued, _waits),
    else_=case({0: "sent", 1: "failed", 2: _waits}, value=_of_best_share(_better), else_="unreachable"),
)
_why: Final[ColumnElement[str]] = case(
    (broadcast_sites.c.post_key.is_(None), broadcast_sites.c.why),
    (or_(broadcast_sites.c.read_ms.is_not(None), _is_queued), ""),
    else_=func.coalesce(_of_best_share(case((_better == 0, ""), else_=_share.c.error)), NO_CHANNEL),
)
