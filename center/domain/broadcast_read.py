"""Whether a message to many was read: each site's copy has a link of its own, and opening it is the receipt.

It says that somebody opened the page, no more: some mail programs open every link before their reader does.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import and_, select, update

from center.db import feed
from center.db.engine import Database
from center.db.tables import broadcast_sites, broadcasts, outbox, sites
from center.domain import broadcast
from center.domain.cases_book import NoCase
from center.domain.cases_policy import DAY_MS
from center.domain.texts import language_of

LINK_DAYS = 90
"""For so long after it was written; then its link is none, as one that never was."""


@dataclass(frozen=True, slots=True)
class Notice:
    """What the page of one copy shows, in `language`. `cancelled` where nobody else is told any more."""

    language: str
    site: str
    timezone: str
    subject: str
    text: str
    at_ms: int
    cancelled: bool


def opened(database: Database, token: str, language: str | None, now_ms: int) -> Notice:
    """The copy that a link leads to, which is read from now on. Raises NoCase for a token that is none."""
    mine = and_(sites.c.estate == broadcast_sites.c.estate, sites.c.site == broadcast_sites.c.site)
    told = broadcast_sites.join(broadcasts, broadcasts.c.id == broadcast_sites.c.broadcast_id)
    told = told.join(outbox, outbox.c.key == broadcast_sites.c.post_key).outerjoin(sites, mine)
    columns = [broadcasts.c[name] for name in ("id", "kind", "texts", "created_ms", "cancelled_ms")]
    columns += [broadcast_sites.c.read_ms, outbox.c.payload, sites.c.name, sites.c.timezone, sites.c.language]
    named = broadcast_sites.c.token == token
    with database.read() as connection:
        row = connection.execute(select(*columns).select_from(told).where(named)).first()
    if row is None or now_ms - row.created_ms > LINK_DAYS * DAY_MS:
        raise NoCase("there is no such page")
    if row.read_ms is None:
        with database.begin() as connection:
            unread = broadcast_sites.c.read_ms.is_(None)
            if connection.execute(update(broadcast_sites).where(named, unread).values(read_ms=now_ms)).rowcount:
                feed.append(connection, [("broadcast", None, None, row.id)], now_ms)
    spoken = language_of(language or row.language)
    text = (row.texts or {}).get(spoken) or row.payload["text"]
    return Notice(
        spoken,
        row.name or "",
        row.timezone or "UTC",
        broadcast.SUBJECT[row.kind][spoken],
        text,
        row.created_ms,
        row.cancelled_ms is not None,
    )
