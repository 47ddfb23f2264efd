"""Keeps `outages`: when each terminal was not there, why by what is known, and what it told once it was back.

Follows the feed. What is written and the cursor are one transaction. Each change of an outage is itself a change of
kind `outage`, whose key is the moment it began.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, and_, bindparam, exists, func, select

from center.db import feed
from center.db.engine import Database, among, insert_ignore, upsert
from center.db.feed import Change
from center.db.tables import changes, events, faults, incident_members, incidents, metrics_hour, outages, terminals
from center.domain.follow import Follower
from center.domain.freshness import LATE_MS, SILENT_MS, Judgement, Return, Signs, correct, judge, kind_of

WINDOW: Final = 2000
SILENCE_EVERY_MS: Final = 60_000
_AT_ONCE: Final = 400  # keys in one statement
_REVIEWS_MS: Final = (90_000, 600_000, 3_600_000)
"""After the beginning: a broker tells of siblings up to 1.5 keep-alives and the will's delay later."""
_BACK_REVIEWS_MS: Final = (20_000, 300_000, 86_400_000)
"""After the end: what happened meanwhile is sent in its order, which takes a while on a metered line."""
_HOUR_MS: Final = 3_600_000
_TOLD: Final = ("boot", "agent.started")
_METRICS: Final = ("power.battery_percent", "modem.rsrp_dbm")

Who = tuple[str, str]
"""Estate and terminal."""


class Outages:
    """The engine. One at a time, in the process that holds the lease."""

    name = "outages"

    def __init__(self, database: Database) -> None:
        self._database = database
        self._feed = Follower(database, CURSOR, WINDOW)
        self._listened_ms = 0

    def step(self, now_ms: int) -> bool:
        """Follow one window of the feed, and judge again what is due. True if there may be more at once."""
        with self._feed.trying(now_ms), self._database.begin() as connection:
            page = self._feed.page(connection)
            told = self._follow(connection, page.changes, now_ms) if page.changes else []
            reviewed = _review(connection, now_ms)
            told += reviewed
            if now_ms - self._listened_ms >= SILENCE_EVERY_MS:
                told += _silence(connection, now_ms)
                self._listened_ms = now_ms
            page.save(connection, now_ms)
            feed.append(connection, [("outage", estate, terminal, str(at)) for estate, terminal, at in told], now_ms)
        return page.more or len(reviewed) == _AT_ONCE

    def _follow(self, connection: Connection, window: Sequence[Change], now_ms: int) -> list[tuple[str, str, int]]:
        first, last = window[0].id, window[-1].id
        one = (
            select(changes.c.estate, changes.c.terminal)
            .where(changes.c.id.between(first, last), changes.c.kind == "terminal", changes.c.key == "state")
            .distinct()
            .subquery()
        )
        there = select(terminals, outages.c.from_ms, outages.c.kind).select_from(
            terminals.join(
                one, and_(terminals.c.estate == one.c.estate, terminals.c.terminal == one.c.terminal)
            ).outerjoin(outages, _open_of(terminals))
        )
        rows = connection.execute(_narrow(there)).all()
        at = {(each.estate, each.terminal): each.at_ms for each in window if each.estate and each.terminal}
        told = _begin(connection, [row for row in rows if row.status == "offline"], at, now_ms)
        back = [row for row in rows if row.status != "offline" and row.from_ms is not None]
        told += _end(connection, back, at, now_ms)
        if any(change.kind == "event" for change in window):
            _hasten(connection, first, last, now_ms)
        return told


CURSOR: Final = "cursor-outages"


def _narrow(statement: Any) -> Any:
    """Only what is needed of the wide row."""
    wanted = ("estate", "terminal", "status", "reason", "boot", "last_contact_ms", "will_at_ms", "clock_ms")
    return statement.with_only_columns(*(terminals.c[name] for name in wanted), outages.c.from_ms, outages.c.kind)


def _open_of(table: Any) -> Any:
    return and_(
        outages.c.estate == table.c.estate, outages.c.terminal == table.c.terminal, outages.c.until_ms.is_(None)
    )


def _begin(
    connection: Connection, rows: Sequence[Any], at: Mapping[Who, int], now_ms: int
) -> list[tuple[str, str, int]]:
    """Outages of terminals that are offline: new ones, and silent ones of which the broker tells now."""
    new, told = [], []
    for row in rows:
        kind = kind_of(row.status, row.reason)
        if row.from_ms is not None and row.kind != "silent":
            continue
        from_ms = row.from_ms if row.from_ms is not None else _since(row, at[row.estate, row.terminal])
        first = Judgement("unknown", "unknown", "it has only just gone", {"heard": row.last_contact_ms is not None})
        if kind == "stopped":
            first = judge(Signs(kind="stopped"))
        values = _row(row, from_ms, first) | {
            "kind": kind,
            "reason": row.reason or "",
            "boot": row.boot,
            "until_ms": None,
            "review_ms": None if kind == "stopped" else now_ms,
        }
        new.append(values)
        told.append((row.estate, row.terminal, from_ms))
    upsert(connection, outages, sorted(new, key=_who))
    return told


def _since(row: Any, told_ms: int) -> int:
    """When it went, as near as is known: by a will after its last sign of life, else when it was last heard.

    A will that waited at the broker says when the terminal had connected, which is better than nothing.
    """
    if row.will_at_ms is not None and row.will_at_ms >= (row.last_contact_ms or 0):
        return int(row.will_at_ms)
    return min(row.last_contact_ms or row.clock_ms or told_ms, told_ms)


def _end(connection: Connection, rows: Sequence[Any], at: Mapping[Who, int], now_ms: int) -> list[tuple[str, str, int]]:
    """Outages of terminals that are there again."""
    told = []
    for row in sorted(rows, key=lambda row: (row.estate, row.terminal)):
        until_ms = max(at[row.estate, row.terminal], row.from_ms)
        settled = row.kind == "stopped"
        connection.execute(
            outages.update()
            .where(_is(row.estate, row.terminal, row.from_ms))
            .values(until_ms=until_ms, review_ms=None if settled else now_ms + _BACK_REVIEWS_MS[0])
        )
        told.append((row.estate, row.terminal, row.from_ms))
    return told


def _hasten(connection: Connection, first: int, last: int, now_ms: int) -> None:
    """A terminal that is back has told of its boot: its latest outage is judged at once."""
    window = changes.c.id.between(first, last), changes.c.kind == "event"
    ids = [int(key) for key in connection.execute(select(changes.c.key).where(*window)).scalars()]
    for some in _sliced(ids):
        teller = select(events.c.estate, events.c.terminal).where(events.c.id.in_(some), events.c.event.in_(_TOLD))
        for row in connection.execute(teller.distinct()).all():
            latest = select(func.max(outages.c.from_ms)).where(
                outages.c.estate == row.estate, outages.c.terminal == row.terminal, outages.c.until_ms.is_not(None)
            )
            from_ms = connection.execute(latest).scalar()
            if from_ms is not None:
                due = and_(_is(row.estate, row.terminal, from_ms), outages.c.review_ms.is_not(None))
                connection.execute(outages.update().where(due).values(review_ms=now_ms))


# --- judging again ----------------------------------------------------------------------------------------------------


def _review(connection: Connection, now_ms: int) -> list[tuple[str, str, int]]:
    """Judge what is due. Returns what was judged, whether or not the verdict is another."""
    due = select(outages).where(outages.c.review_ms <= now_ms).order_by(outages.c.review_ms).limit(_AT_ONCE)
    rows = connection.execute(due).all()
    lasting = [row for row in rows if row.until_ms is None]
    over = [row for row in rows if row.until_ms is not None]
    new = []
    for row, signs in zip(lasting, _signs(connection, lasting), strict=True):
        values = _row(row, row.from_ms, judge(signs)) | {"review_ms": _next(row.from_ms, _REVIEWS_MS, now_ms)}
        values["evidence"]["heard"] = (row.evidence or {}).get("heard", True)
        new.append(values)
    new += [_corrected(row, back, now_ms) for row, back in zip(over, _returns(connection, over), strict=True)]
    known = {(row.estate, row.terminal, row.from_ms): row for row in rows}
    if new:
        connection.execute(
            outages.update().where(_IS).values(_JUDGED), [_bound(each) for each in sorted(new, key=_who)]
        )
    return [
        _who(values)
        for values in new
        if (values["verdict"], values["basis"]) != (known[_who(values)].verdict, known[_who(values)].basis)
    ]


def _corrected(row: Any, back: Return, now_ms: int) -> dict[str, Any]:
    before = Judgement(row.verdict, row.basis, (row.evidence or {}).get("because", ""), row.evidence or {})
    after = correct(before, back)
    due_ms = _next(row.until_ms, _BACK_REVIEWS_MS, now_ms)
    if after is None:  # it may still tell; if it never does, what was inferred stands
        return _row(row, row.from_ms, before) | {"review_ms": due_ms}
    may_change = after.cause == "no_network" and after.basis == "measured"  # until its events have come, too
    return _row(row, row.from_ms, after) | {"review_ms": due_ms if may_change else None}


def _next(since_ms: int, reviews: Sequence[int], now_ms: int) -> int | None:
    return next((since_ms + after for after in reviews if since_ms + after > now_ms), None)


def _signs(connection: Connection, rows: Sequence[Any]) -> list[Signs]:
    who = [(row.estate, row.terminal) for row in rows]
    if not who:
        return []
    sites = _siblings(connection, who)
    raised = _raised(connection, who)
    samples = _samples(connection, rows)
    groups = _groups(connection, who)
    found = []
    for row in rows:
        one = (row.estate, row.terminal)
        there, gone, without = sites.get(one, (0, 0, 0))
        found.append(
            Signs(
                kind=row.kind,
                raised=frozenset(raised.get(one, ())),
                battery_percent=samples.get((*one, _METRICS[0])),
                rsrp_dbm=samples.get((*one, _METRICS[1])),
                siblings_there=there,
                siblings_gone=gone,
                siblings_without_mains=without,
                incident=groups.get(one, ""),
            )
        )
    return found


def _siblings(connection: Connection, who: Sequence[Who]) -> dict[Who, tuple[int, int, int]]:
    """Of each terminal's siblings: how many are there, are gone, and have no mains."""
    own, other = terminals.alias("own"), terminals.alias("other")
    dark = exists().where(
        faults.c.estate == other.c.estate,
        faults.c.terminal == other.c.terminal,
        faults.c.fault == "power/mains_lost",
        faults.c.state != "cleared",
    )
    pairs = (
        select(own.c.estate, own.c.terminal, other.c.status, dark.label("dark"), func.count().label("n"))
        .select_from(own.join(other, and_(own.c.estate == other.c.estate, own.c.site == other.c.site)))
        .where(among((own.c.estate, own.c.terminal), who), own.c.terminal != other.c.terminal)
        .group_by(own.c.estate, own.c.terminal, other.c.status, "dark")
    )
    found: dict[Who, tuple[int, int, int]] = {}
    for row in connection.execute(pairs):
        there, gone, without = found.get((row.estate, row.terminal), (0, 0, 0))
        is_gone = row.n if row.status == "offline" else 0
        is_there = row.n if row.status not in {"offline", None} else 0
        found[row.estate, row.terminal] = there + is_there, gone + is_gone, without + (row.n if row.dark else 0)
    return found


def _raised(connection: Connection, who: Sequence[Who]) -> dict[Who, list[str]]:
    found: dict[Who, list[str]] = {}
    rows = select(faults.c.estate, faults.c.terminal, faults.c.fault).where(
        among((faults.c.estate, faults.c.terminal), who), faults.c.state != "cleared"
    )
    for row in connection.execute(rows):
        found.setdefault((row.estate, row.terminal), []).append(row.fault)
    return found


def _samples(connection: Connection, rows: Sequence[Any]) -> dict[tuple[str, str, str], float]:
    """The last battery percentage and signal before each outage, not older than a day."""
    keys = [(row.estate, row.terminal, metric) for row in rows for metric in _METRICS]
    since = {(row.estate, row.terminal): row.from_ms for row in rows}
    oldest = min(since.values()) - 24 * _HOUR_MS
    found: dict[tuple[str, str, str], tuple[int, float]] = {}
    columns = (metrics_hour.c[name] for name in ("estate", "terminal", "metric", "last_ms", "last"))
    statement = select(*columns).where(metrics_hour.c.bucket_ms >= oldest)
    for some in _sliced(keys):
        which = among((metrics_hour.c.estate, metrics_hour.c.terminal, metrics_hour.c.metric), some)
        for row in connection.execute(statement.where(which)):
            key = (row.estate, row.terminal, row.metric)
            from_ms = since[key[:2]]
            if from_ms - 24 * _HOUR_MS <= row.last_ms <= from_ms and row.last_ms > found.get(key, (0, 0.0))[0]:
                found[key] = row.last_ms, row.last
    return {key: value for key, (_at, value) in found.items()}


def _groups(connection: Connection, who: Sequence[Who]) -> dict[Who, str]:
    """The scope of the open group that each is part of."""
    joined = incident_members.join(incidents, incidents.c.id == incident_members.c.incident_id)
    rows = (
        select(incident_members.c.estate, incident_members.c.terminal, incidents.c.scope)
        .select_from(joined)
        .where(
            among((incident_members.c.estate, incident_members.c.terminal), who),
            incident_members.c.left_ms.is_(None),
            incidents.c.state != "resolved",
            incidents.c.parent_id.is_(None),
            incidents.c.scope != "terminal",
        )
    )
    return {(row.estate, row.terminal): row.scope for row in connection.execute(rows)}


def _returns(connection: Connection, rows: Sequence[Any]) -> list[Return]:
    found = []
    for row in rows:
        of_terminal = events.c.estate == row.estate, events.c.terminal == row.terminal
        since = row.from_ms - SILENT_MS  # by the terminal's own clock, which may be wrong
        named = events.c.event.in_(_TOLD), events.c.boot >= (row.boot or 0), events.c.received_ms >= since
        told = connection.execute(
            select(events.c.event, events.c.boot, events.c.data, events.c.received_ms)
            .where(*of_terminal, *named)
            .order_by(events.c.boot, events.c.seq)
        ).all()
        boots = [each for each in told if each.event == "boot" and each.boot > (row.boot or 0)]
        started = any(each.event == "agent.started" and each.received_ms >= row.from_ms for each in told)
        now = select(terminals.c.boot).where(terminals.c.estate == row.estate, terminals.c.terminal == row.terminal)
        found.append(
            Return(
                boot_before=row.boot,
                boot_after=boots[0].boot if boots else connection.execute(now).scalar(),
                boot_reason=str((boots[0].data or {}).get("reason", "unknown")) if boots else None,
                agent_started=started,
            )
        )
    return found


# --- silence ----------------------------------------------------------------------------------------------------------


def _silence(connection: Connection, now_ms: int) -> list[tuple[str, str, int]]:
    """Begin outages of terminals that nobody heard for too long, and end those of which one is heard again."""
    heard_ms = connection.execute(select(func.max(terminals.c.last_contact_ms))).scalar()
    if heard_ms is None or now_ms - heard_ms > LATE_MS:
        return []  # it is the center that hears nobody
    before = now_ms - SILENT_MS
    columns = [terminals.c[name] for name in ("estate", "terminal", "boot", "last_contact_ms")]
    quiet = (
        select(*columns)
        .where(terminals.c.last_contact_ms < before, terminals.c.status != "offline")
        .where(~exists().where(_open_of(terminals)))
        .order_by(terminals.c.last_contact_ms)
        .limit(_AT_ONCE)
    )
    first = Judgement("unknown", "unknown", "it has missed its signs of life", {})
    new = [
        _row(row, row.last_contact_ms, first)
        | {"kind": "silent", "reason": "", "boot": row.boot, "until_ms": None, "review_ms": now_ms}
        for row in connection.execute(quiet)
    ]
    insert_ignore(connection, outages, sorted(new, key=_who))
    again = select(*columns, outages.c.from_ms).select_from(terminals.join(outages, _open_of(terminals)))
    again = again.where(outages.c.kind == "silent", terminals.c.last_contact_ms > outages.c.from_ms).limit(_AT_ONCE)
    told = [_who(values) for values in new]
    for row in connection.execute(again).all():
        ended = {"until_ms": row.last_contact_ms, "review_ms": now_ms}
        connection.execute(outages.update().where(_is(row.estate, row.terminal, row.from_ms)).values(ended))
        told.append((row.estate, row.terminal, row.from_ms))
    return told


# --- rows -------------------------------------------------------------------------------------------------------------


def _row(row: Any, from_ms: int, judgement: Judgement) -> dict[str, Any]:
    return {
        "estate": row.estate,
        "terminal": row.terminal,
        "from_ms": from_ms,
        "verdict": judgement.cause,
        "basis": judgement.basis,
        "evidence": {**judgement.evidence, "because": judgement.because},
    }


def _who(values: Mapping[str, Any]) -> tuple[str, str, int]:
    return values["estate"], values["terminal"], values["from_ms"]


_IS: Final = and_(
    outages.c.estate == bindparam("e"), outages.c.terminal == bindparam("t"), outages.c.from_ms == bindparam("f")
)
_JUDGED: Final = {
    name: bindparam(f"new_{name}", type_=outages.c[name].type) for name in ("verdict", "basis", "evidence", "review_ms")
}


def _bound(values: Mapping[str, Any]) -> dict[str, Any]:
    return {"e": values["estate"], "t": values["terminal"], "f": values["from_ms"]} | {
        f"new_{name}": values[name] for name in _JUDGED
    }


def _is(estate: str, terminal: str, from_ms: int) -> Any:
    return and_(outages.c.estate == estate, outages.c.terminal == terminal, outages.c.from_ms == from_ms)


def _sliced(some: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (some[at : at + _AT_ONCE] for at in range(0, len(some), _AT_ONCE))
