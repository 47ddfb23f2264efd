"""Taking a terminal out of the fleet: it was scrapped, or another stands in its place. And its return, if it speaks.

Its row goes from `terminals` to `retired`, as it was. So nothing that counts, lists or groups the fleet knows of it,
while its log, its cases and its place stay where they are, and are read by center/domain/heard.py. What stands because
of it ends with it: faults, an outage, and so its incidents; its cases, each with a step that says why; targets of
campaigns. Its retained topics are cleared at the broker, but not its settings (`config`): they are the center's word,
and a terminal that returns takes them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from sqlalchemy import Connection, and_, delete, select, update

from agent.wire import Topics
from center.access import audit
from center.access.roles import Who
from center.access.scope import EVERYTHING
from center.db import feed
from center.db.engine import Database, insert_ignore, upsert
from center.db.places import set_places
from center.db.tables import (
    campaign_targets,
    case_waits,
    cases,
    faults,
    outages,
    outbox,
    places,
    retired,
    terminals,
)
from center.domain import closing, posts
from center.domain.cases_book import ENGINE, OPEN, Book, book_of
from center.domain.cases_policy import Policy
from center.domain.fleet import RETIRED
from center.domain.freshness import freshness
from center.domain.refusal import Refusal
from center.ingest import cards

EVENT: Final = "terminal.returned"
SPARE: Final = "spare"
"""The tag of a terminal that waits in the stock; it goes when the terminal takes another's place."""
LOOK_MS: Final = 2000
_RETAINED: Final = ("state", "inventory", "health", "faults", "config/reported")
_TAKEN_OVER: Final = ("site", "region", "power_district", "host")  # operator and cell are the SIM card's
_OVER: Final = ("succeeded", "failed", "skipped")

Feed = list[tuple[str, str | None, str | None, str]]
Record = Callable[[Connection], None]


def retire(
    database: Database,
    policy: Policy,
    who: Who,
    key: tuple[str, str],
    reason: str,
    successor: str | None,
    now_ms: int,
    record: Record,
) -> None:
    """Take the terminal `key` out. `record` writes down that it was done. Raises Refusal.

    A successor without a site takes over the place.
    """
    reason = cards.redact(reason.strip())
    if not reason:
        raise Refusal("invalid", "say why it is retired")
    with book_of(database, policy, now_ms) as book:
        row = _row(book.connection, who, key)
        if row is None:
            raise Refusal("not_found", "there is no such terminal")
        if freshness(row["status"], row["last_contact_ms"], now_ms) == "online":
            raise Refusal("conflict", "the terminal is in contact: switch it off before it is retired")
        if successor is not None and (successor == key[1] or _row(book.connection, who, (key[0], successor)) is None):
            raise Refusal("invalid", "its successor is no other terminal of this estate that was heard of")
        gone = {"row": row, "retired_ms": now_ms, "by": who.name, "reason": reason, "successor": successor}
        place = {name: row[name] for name in ("estate", "terminal", "site", "region")}
        upsert(book.connection, retired, [place | gone | {"returned_ms": None}])
        rows = _take_out(book.connection, key, now_ms)
        said = f"the terminal was retired: {reason}" + (f"; its successor is {successor}" if successor else "")
        _end_cases(book, key, who.name, said)
        skipped = {"state": "skipped", "error": "retired", "not_before_ms": None, "updated_ms": now_ms}
        left = campaign_targets.c.state.not_in(_OVER)
        book.connection.execute(update(campaign_targets).where(_is(campaign_targets, key), left).values(skipped))
        record(book.connection)  # before all that is told in the feed
        if successor is not None:
            _hand_over(book.connection, key, successor, now_ms)
        feed.append(book.connection, rows, now_ms)


def _row(connection: Connection, who: Who, key: tuple[str, str]) -> dict[str, Any] | None:
    found = select(terminals).where(_is(terminals, key), who.scope.where(terminals)).with_for_update()
    row = connection.execute(found).mappings().first()
    return None if row is None else dict(row)


def _take_out(connection: Connection, key: tuple[str, str], now_ms: int) -> Feed:
    """Out of the fleet, with what stands because of it. Returns what the feed is to say."""
    estate, terminal = key
    known = connection.execute(select(faults.c.fault, faults.c.state).where(_is(faults, key))).all()
    standing = [row.fault for row in known if row.state != "cleared"]
    ended = {"state": "cleared", "last_ms": now_ms, "received_ms": now_ms}
    connection.execute(update(faults).where(_is(faults, key), faults.c.state != "cleared").values(ended))
    lasting = and_(_is(outages, key), outages.c.until_ms.is_(None))
    begun = connection.execute(select(outages.c.from_ms).where(lasting)).scalars().all()
    connection.execute(update(outages).where(lasting).values(until_ms=now_ms, review_ms=None))
    connection.execute(delete(case_waits).where(_is(case_waits, key)))
    connection.execute(delete(terminals).where(_is(terminals, key)))
    topics = [f"fault/{row.fault}" for row in known] + list(_RETAINED)
    clears = [
        posts.mqtt(f"retire:{estate}/{terminal}:{now_ms}:{topic}", Topics(*key).of(topic), b"", now_ms, retain=True)
        for topic in topics
    ]
    insert_ignore(connection, outbox, clears)
    told: Feed = [("terminal", estate, terminal, RETIRED)]
    told += [("fault", estate, terminal, fault) for fault in standing]
    return told + [("outage", estate, terminal, str(from_ms)) for from_ms in begun]


def _end_cases(book: Book, key: tuple[str, str], by: str, why: str) -> None:
    rows = book.connection.execute(select(cases.c.id).where(_is(cases, key), cases.c.state.in_(OPEN))).scalars().all()
    for case_id in rows:
        case = book.find(EVERYTHING, case_id)  # whoever sees the terminal sees its cases
        closing.close(book, case, "retired", by, why, f"{case_id}:retired:{book.now_ms}")


def _hand_over(connection: Connection, key: tuple[str, str], successor: str, now_ms: int) -> None:
    """The place of the old one to a successor that has none; tags of both, without the stock's."""
    rows = {
        name: dict(connection.execute(select(places).where(_is(places, (key[0], name)))).mappings().first() or {})
        for name in (key[1], successor)
    }
    old, new = rows[key[1]], rows[successor]
    if not old or new.get("site"):
        return
    tags = dict.fromkeys([*(new.get("tags") or ()), *(old.get("tags") or ())])
    tags.pop(SPARE, None)
    taken = {part: new.get(part) or old.get(part) for part in _TAKEN_OVER}
    row = {**new, "estate": key[0], "terminal": successor, **taken, "tags": list(tags) or None}
    set_places(connection, [row], now_ms)


def _is(table: Any, key: tuple[str, str]) -> Any:
    return and_(table.c.estate == key[0], table.c.terminal == key[1])


class Returns:
    """The engine: who speaks though it is retired is in the fleet again; what only the broker still said of it, not."""

    name = "retirement"

    def __init__(self, database: Database) -> None:
        self._database = database
        self._looked_ms = 0

    def step(self, now_ms: int) -> bool:
        """Look every LOOK_MS. Never more to do at once."""
        if 0 <= now_ms - self._looked_ms < LOOK_MS:
            return False
        self._looked_ms = now_ms
        same = and_(terminals.c.estate == retired.c.estate, terminals.c.terminal == retired.c.terminal)
        there = select(retired, terminals.c.last_contact_ms).select_from(retired.join(terminals, same))
        there = there.where(retired.c.returned_ms.is_(None)).order_by(retired.c.estate, retired.c.terminal)
        with self._database.read() as connection:
            if connection.execute(there.limit(1)).first() is None:
                return False
        with self._database.begin() as connection:
            rows: Feed = []
            for row in connection.execute(there).mappings().all():
                if (row["last_contact_ms"] or 0) > row["retired_ms"]:
                    rows += _welcome(connection, row, now_ms)
                else:  # a will, or what was retained and is not cleared yet
                    rows += _take_out(connection, (row["estate"], row["terminal"]), now_ms)
            feed.append(connection, rows, now_ms)
        return False


def _welcome(connection: Connection, row: Mapping[Any, Any], now_ms: int) -> Feed:
    key = row["estate"], row["terminal"]
    connection.execute(update(retired).where(_is(retired, key)).values(returned_ms=now_ms))
    name = "/".join(key)
    body = f"{name} was retired by {row['by']} ({row['reason']}), and speaks again."
    facts = {"estate": key[0], "terminal": key[1], "site": row["site"], "severity": "minor"}
    subject = f"Retired terminal {name} speaks again"
    notice = posts.notify(f"{EVENT}-{name}-{now_ms}", EVENT, now_ms, subject=subject, body=body, facts=facts)
    insert_ignore(connection, outbox, [notice])
    detail = {"retired_by": row["by"], "reason": row["reason"]}
    audit.append(connection, [audit.Entry(now_ms, ENGINE, "terminal.return", name, detail)])
    return [("terminal", *key, "returned")]
