"""Tags: words of an estate's own for sites and terminals, from its import. A terminal has those of its site, too."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Text, and_, cast, exists, or_, select
from sqlalchemy.sql import ColumnElement

from center.db.tables import places, sites, terminals


def of_terminals(wanted: Iterable[str]) -> ColumnElement[bool]:
    """The condition for terminals that have one of these tags, or stand at a site that has."""
    some = list(wanted)
    itself = and_(places.c.estate == terminals.c.estate, places.c.terminal == terminals.c.terminal)
    site = and_(sites.c.estate == terminals.c.estate, sites.c.site == terminals.c.site)
    return or_(
        exists().where(itself, _has(places.c.tags, some)),
        exists().where(site, _has(sites.c.tags, some)),
    )


def _has(column: ColumnElement[Any], some: list[str]) -> ColumnElement[bool]:
    """Whether a list stored as JSON holds one of the words: as it is written there, in both databases."""
    written = cast(column, Text)
    return or_(*(written.contains(json.dumps(each), autoescape=True) for each in some))


def of(connection: Connection, estate: str, terminal: str, site: str | None) -> list[str]:
    """A terminal's tags and those of its site, sorted."""
    own = select(places.c.tags).where(places.c.estate == estate, places.c.terminal == terminal)
    its = select(sites.c.tags).where(sites.c.estate == estate, sites.c.site == site)
    lists = connection.execute(own.union_all(its)).scalars()
    return sorted({tag for some in lists for tag in some or ()})
