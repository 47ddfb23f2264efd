"""The engine of incidents: follows faults and outages in the feed, and keeps `incidents` and their members.

It decides in memory (center/domain/incident_book.py) and then writes what changed with its cursor in one transaction.
If that fails, or another process has gone on meanwhile, it forgets all and reads again; so a kill repeats safely.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import BigInteger, Connection, Text, and_, bindparam, or_, select

from center.db import feed
from center.db.engine import Database, bulk_insert, insert_ignore, upsert
from center.db.tables import changes, faults, incident_members, incidents, outages, outbox
from center.domain import incident_regroup, posts, suppression
from center.domain.fleet import Fleet
from center.domain.follow import Follower, Page
from center.domain.grouping import OFFLINE
from center.domain.incident import Changes, Incident, Key
from center.domain.incident_book import REOPEN_MS, Book
from center.domain.incident_texts import title
from center.ids import new_id

CURSOR: Final = "cursor-incidents"
WINDOW: Final = 5000
PATIENCE_MS: Final = 5000
"""What is known is judged at least so often, though more waits to be read."""
HOURS_MS: Final = 300_000
_OFFLINE_SEVERITY: Final = "major"
_NUMBERS: Final = (
    *("fault", "severity", "parent_id", "suppression_id", "why", "last_ms", "quiet_since_ms", "terminals_n", "peak_n"),
    *("cannot_sell_n", "unknown_n", "impact"),
)


class SupersededError(Exception):
    """Another process has gone on where this one stood."""


class Incidents:
    """The engine. One at a time, in the process that holds the lease."""

    name = "incidents"

    def __init__(self, database: Database) -> None:
        self._database = database
        self._feed = Follower(database, CURSOR, WINDOW)
        self._book: Book | None = None
        self._cursor = 0
        self._judged_ms = 0
        self._hours_ms = 0

    def step(self, now_ms: int) -> bool:
        """Follow one window of the feed and judge. True if there is more to read at once."""
        with self._feed.trying(now_ms):
            return self._step(now_ms)

    def _step(self, now_ms: int) -> bool:
        book, self._book = self._book, None  # kept only if all goes well
        if book is None:
            book = self._load(now_ms)
        with self._database.read() as connection:
            told = self._feed.page(connection)
            if told.changes and told.changes[0].id <= self._cursor:
                raise SupersededError("the cursor went back")
            self._follow(connection, book, told, now_ms)
            regrouped = incident_regroup.follow(connection, book, now_ms)
        if not told.more or now_ms - self._judged_ms >= PATIENCE_MS:
            book.judge(now_ms)
            self._judged_ms = now_ms
        self._write(book.take(), told, regrouped, now_ms)
        self._book = book
        return told.more

    # --- reading ------------------------------------------------------------------------------------------------------

    def _load(self, now_ms: int) -> Book:
        with self._database.begin() as connection:
            if feed.load_cursor(connection, CURSOR) is None:  # all that stands is read below
                feed.save_cursor(connection, CURSOR, {"id": feed.head(connection)}, now_ms)
            self._cursor = _cursor(connection)
        with self._database.read() as connection:
            book = Book(Fleet.load(connection), lambda at_ms: new_id("inc", at_ms))
            for key, onset_ms, severity, verdict in _standing(connection):
                book.rise(key, onset_ms, severity, verdict, join=False)
            lately = or_(incidents.c.state != "resolved", incidents.c.resolved_ms >= now_ms - REOPEN_MS)
            rows = connection.execute(select(incidents).where(lately, incidents.c.scope != "center"))
            for values in rows.mappings():
                book.load(_incident(values))
            for row in connection.execute(_open_members()):
                book.load_member(row.incident_id, (row.estate, row.terminal, row.fault))
            incident_regroup.load(connection, book)
            book.suppress(suppression.active(connection, now_ms))
        book.loaded(now_ms)
        self._hours_ms = now_ms
        return book

    def _follow(self, connection: Connection, book: Book, told: Page, now_ms: int) -> None:
        kinds = {change.kind for change in told.changes}
        if "terminal" in kinds:
            _read_terminals(connection, book, told)
        if "fault" in kinds:
            _read_faults(connection, book, told, now_ms)
        if "outage" in kinds:
            _read_outages(connection, book, told, now_ms)
        if "site" in kinds or now_ms - self._hours_ms >= HOURS_MS:
            book.fleet.load_hours(connection)
            self._hours_ms = now_ms
        book.suppress(suppression.active(connection, now_ms))

    # --- writing ------------------------------------------------------------------------------------------------------

    def _write(self, done: Changes, told: Page, regrouped: Sequence[tuple[str, bool]], now_ms: int) -> None:
        if not (told.changes or done.changed or done.members or regrouped):
            return
        with self._database.begin() as connection:
            if _cursor(connection) != self._cursor:
                raise SupersededError("another process follows the feed")
            bulk_insert(connection, incidents, [_row(each) for each in done.new.values()])
            _update(connection, done)
            _update_members(connection, done, now_ms)
            incident_regroup.done(connection, regrouped)
            insert_ignore(connection, outbox, _notices(done, now_ms))
            if told.changes:
                told.save(connection, now_ms)
            one = (
                (each.estate, each.key if each.scope == "terminal" else None, each) for each in done.changed.values()
            )
            feed.append(connection, [("incident", estate, who, each.id) for estate, who, each in one], now_ms)
        if told.changes:
            self._cursor = told.changes[-1].id


def _read_terminals(connection: Connection, book: Book, told: Page) -> None:
    for who in book.fleet.refresh(connection, told.changes[0].id, told.changes[-1].id):
        book.moved(who)
    for change in told.changes:
        if change.kind == "terminal" and change.estate and change.terminal:
            book.told((change.estate, change.terminal))


def _read_faults(connection: Connection, book: Book, told: Page, now_ms: int) -> None:
    at = {(each.estate, each.terminal, each.key): each.at_ms for each in told.changes if each.kind == "fault"}
    for row in connection.execute(_told_faults(told.changes[0].id, told.changes[-1].id)):
        key = (row.estate, row.terminal, row.fault)
        if row.state == "cleared" or row.cause is not None:
            book.clear(key, now_ms)
        else:
            book.rise(key, at[key], row.severity)


def _read_outages(connection: Connection, book: Book, told: Page, now_ms: int) -> None:
    """What went while the center looked away may have gone together; what it never heard, was gone before."""
    at = {(each.estate, each.terminal): each.at_ms for each in told.changes if each.kind == "outage"}
    for row in connection.execute(_told_outages(told.changes[0].id, told.changes[-1].id)):
        key = (row.estate, row.terminal, OFFLINE)
        if row.until_ms is None and row.kind != "stopped":
            heard = (row.evidence or {}).get("heard", True)
            book.rise(key, at[row.estate, row.terminal] if heard else row.from_ms, _OFFLINE_SEVERITY, row.verdict)
        else:
            book.clear(key, now_ms)


def _cursor(connection: Connection) -> int:
    return int((feed.load_cursor(connection, CURSOR) or {}).get("id", 0))


def _standing(connection: Connection) -> Iterable[tuple[Key, int, str, str]]:
    """All root faults that stand, and all terminals that are gone."""
    raised = select(faults).where(faults.c.state != "cleared", faults.c.cause.is_(None))
    names = ("estate", "terminal", "fault", "received_ms", "severity")
    for row in connection.execute(raised.with_only_columns(*(faults.c[name] for name in names))):
        yield (row.estate, row.terminal, row.fault), row.received_ms, row.severity, ""
    gone = select(outages).where(outages.c.until_ms.is_(None), outages.c.kind != "stopped")
    for row in connection.execute(gone):
        yield (row.estate, row.terminal, OFFLINE), row.from_ms, _OFFLINE_SEVERITY, row.verdict


def _incident(row: Mapping[Any, Any]) -> Incident:
    names = ("id", "estate", "scope", "family", "opened_ms", "fault", "severity", "why", "last_ms", "quiet_since_ms")
    more = ("resolved_ms", "parent_id", "suppression_id", "terminals_n", "peak_n", "cannot_sell_n", "unknown_n")
    values = {name: row[name] for name in (*names, *more, "impact")}
    return Incident(key=row["scope_key"], **values)


def _open_members() -> Any:
    joined = incident_members.join(incidents, incidents.c.id == incident_members.c.incident_id)
    lasting = incident_members.c.left_ms.is_(None), incidents.c.state != "resolved"
    return select(incident_members).select_from(joined).where(*lasting)


def _told_faults(first: int, last: int) -> Any:
    named = select(changes.c.estate, changes.c.terminal, changes.c.key)
    one = named.where(changes.c.id.between(first, last), changes.c.kind == "fault").distinct().subquery()
    same = and_(faults.c.estate == one.c.estate, faults.c.terminal == one.c.terminal, faults.c.fault == one.c.key)
    columns = (faults.c[name] for name in ("estate", "terminal", "fault", "state", "severity", "cause"))
    return select(*columns).select_from(faults.join(one, same))


def _told_outages(first: int, last: int) -> Any:
    """The newest outage of each terminal that the feed names."""
    named = select(changes.c.estate, changes.c.terminal)
    one = named.where(changes.c.id.between(first, last), changes.c.kind == "outage").distinct().subquery()
    newer = outages.alias("newer")
    same = and_(outages.c.estate == one.c.estate, outages.c.terminal == one.c.terminal)
    later = and_(
        newer.c.estate == outages.c.estate,
        newer.c.terminal == outages.c.terminal,
        newer.c.from_ms > outages.c.from_ms,
    )
    return select(outages).select_from(outages.join(one, same)).where(~select(newer).where(later).exists())


def _row(incident: Incident) -> dict[str, Any]:
    values = {name: getattr(incident, name) for name in _NUMBERS}
    named = title(incident.scope, incident.key, incident.family, incident.fault, "en")
    return values | {
        "id": incident.id,
        "estate": incident.estate,
        "scope": incident.scope,
        "scope_key": incident.key,
        "family": incident.family,
        "state": "open",
        "title": named,
        "opened_ms": incident.opened_ms,
        "resolved_ms": None,
    }


def _update(connection: Connection, done: Changes) -> None:
    """Rows that are there: their numbers, and their state only if the engine changed it, for people change it too."""
    old = [each for each in done.changed.values() if each.id not in done.new]
    if old:
        numbers = {name: bindparam(f"new_{name}", type_=incidents.c[name].type) for name in _NUMBERS}
        statement = incidents.update().where(incidents.c.id == bindparam("its_id", type_=Text)).values(numbers)
        rows = [{f"new_{name}": getattr(each, name) for name in _NUMBERS} | {"its_id": each.id} for each in old]
        connection.execute(statement, rows)
    states = [(each, "open") for each in done.reopened.values() if each.resolved_ms is None]
    states += [(each, "resolved") for each in done.resolved.values()]
    if states:
        when = bindparam("at_ms", type_=BigInteger)
        values = {"state": bindparam("new_state", type_=Text), "resolved_ms": when}
        statement = incidents.update().where(incidents.c.id == bindparam("its_id", type_=Text)).values(values)
        rows = [{"its_id": each.id, "new_state": state, "at_ms": each.resolved_ms} for each, state in states]
        connection.execute(statement, rows)


def _update_members(connection: Connection, done: Changes, now_ms: int) -> None:
    rows = [
        {"incident_id": incident_id, "estate": estate, "terminal": terminal, "fault": fault}
        | {"joined_ms": now_ms, "left_ms": left_ms}
        for (incident_id, (estate, terminal, fault)), left_ms in done.members.items()
    ]
    upsert(connection, incident_members, rows, keep=("joined_ms",))
    links = [
        {"e": estate, "t": terminal, "f": fault, "its_incident": incident_id}
        for (estate, terminal, fault), incident_id in sorted(done.links.items())
        if fault != OFFLINE
    ]
    if links:
        same = (
            faults.c.estate == bindparam("e"),
            faults.c.terminal == bindparam("t"),
            faults.c.fault == bindparam("f"),
        )
        values = {"incident_id": bindparam("its_incident", type_=Text)}
        connection.execute(faults.update().where(*same).values(values), links)


def _notices(done: Changes, now_ms: int) -> list[dict[str, Any]]:
    """Who listens is told of groups, once each time that one opens or ends, unless it is suppressed or part of another.

    What befalls one terminal is told by its case.
    """
    rows = []
    for each in done.changed.values():
        if not each.is_group or each.suppression_id is not None or each.parent_id is not None:
            continue
        event = "incident.opened" if each.resolved_ms is None else "incident.resolved"
        if event == "incident.resolved" and each.id not in done.resolved:
            continue
        about = title(each.scope, each.key, each.family, each.fault, "en")
        body = f"{about}. Terminals: {each.terminals_n} now, {each.peak_n} at most; cannot sell: {each.cannot_sell_n}."
        facts = {
            "estate": each.estate,
            "incident": each.id,
            "severity": each.severity,
            "scope": each.scope,
            "scope_key": each.key,
            "title_zh": title(each.scope, each.key, each.family, each.fault, "zh"),
        }
        when = now_ms if each.id in done.reopened else each.resolved_ms or each.opened_ms
        rows.append(posts.notify(f"{event}-{each.id}-{when}", event, now_ms, subject=about, body=body, facts=facts))
    return rows
