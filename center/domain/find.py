"""The search box: terminals, sites, cases and incidents by part of a name, number or address. Only in scope."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, Select, Table, case, func, or_, select
from sqlalchemy.sql import ColumnElement

from center.access.scope import Scope
from center.db.engine import among, holds
from center.db.tables import cases, incidents, sites, terminals
from center.domain.cases_book import number_of, number_text, slip_number
from center.domain.grouping import OFFLINE
from center.domain.incident_texts import fault_name, title

EACH: Final = 8
"""So many of each kind are shown."""

_LAST: Final = "\U0010ffff"
"""Comes behind every other letter."""

Found = list[dict[str, Any]]


def find(connection: Connection, scope: Scope, words: str, language: str, each: int = EACH) -> dict[str, Found]:
    """`terminals`, `sites`, `cases`, `incidents`: what is named so exactly, then what begins so, then what holds it.

    A case is found by its number, as people say it or as the terminal printed it, too; an incident by its id.
    """
    words = words.strip()
    if not words:
        return {"terminals": [], "sites": [], "cases": [], "incidents": []}
    return {
        "terminals": _terminals(connection, scope, words, each),
        "sites": _sites(connection, scope, words, each),
        "cases": _cases(connection, scope, words, language, each),
        "incidents": _incidents(connection, scope, words, language, each),
    }


def _terminals(connection: Connection, scope: Scope, words: str, each: int) -> Found:
    estate, _, name = words.replace("/", ".").rpartition(".")
    name = name or words
    key = [terminals.c.estate, terminals.c.terminal]  # looked for in the index alone; rows are wide
    names = (terminals.c.terminal, terminals.c.estate)
    of_estate = [scope.where(terminals), terminals.c.estate.in_([estate.lower()] if estate else _estates())]
    keys = _rows(connection, terminals, key, [*of_estate, *_begins(terminals.c.terminal, name)], names, name, each)
    if len(keys) < each:
        where = [scope.where(terminals), holds(terminals.c.terminal, name)]
        where += [terminals.c.estate == estate.lower()] if estate else []
        keys = _rows(connection, terminals, key, where, names, name, each)
    columns = [terminals.c[column] for column in ("estate", "terminal", "site", "model", "status", "can_sell")]
    of = [(row["estate"], row["terminal"]) for row in keys]
    rows = connection.execute(select(*columns).where(among(key, of))).mappings() if of else ()
    return sorted(map(dict, rows), key=lambda row: of.index((row["estate"], row["terminal"])))


def _estates() -> Select[Any]:
    """The estates that have terminals, one step in the index for each."""
    first = select(func.min(terminals.c.estate).label("estate")).cte("estates", recursive=True)
    following = select(func.min(terminals.c.estate)).where(terminals.c.estate > first.c.estate).scalar_subquery()
    every = first.union_all(select(following).where(first.c.estate.is_not(None)))
    return select(every.c.estate).where(every.c.estate.is_not(None))


def _sites(connection: Connection, scope: Scope, words: str, each: int) -> Found:
    columns = [sites.c[column] for column in ("estate", "site", "name", "address", "region")]
    where = scope.where(sites), or_(*(holds(sites.c[column], words) for column in ("site", "name", "address")))
    return _rows(connection, sites, columns, where, (sites.c.name, sites.c.site), words, each)


def _cases(connection: Connection, scope: Scope, words: str, language: str, each: int) -> Found:
    number = number_of(words)
    named = [cases.c.local_number == (slip_number(words) or words), cases.c.id == words]
    if number is not None:
        named.append(cases.c.number == number)
    names = ("id", "number", "title", "fault", "state", "severity", "estate", "terminal", "site", "updated_ms")
    rows = select(*(cases.c[name] for name in names)).where(or_(*named), scope.where(cases))
    found = connection.execute(rows.order_by(cases.c.id.desc()).limit(each)).mappings().all()
    if not found:  # no number: words of the title of what is open
        about = or_(holds(cases.c.title, words), holds(cases.c.terminal, words))
        open_ones = select(*(cases.c[name] for name in names)).where(
            cases.c.state != "closed", about, scope.where(cases)
        )
        found = connection.execute(open_ones.order_by(cases.c.id.desc()).limit(each)).mappings().all()
    return [dict(row) | {"number": number_text(row["number"]), "title": _spoken(row, language)} for row in found]


def _spoken(row: Any, language: str) -> str:
    return fault_name(row["fault"], language) if row["fault"] else str(row["title"])


def _incidents(connection: Connection, scope: Scope, words: str, language: str, each: int) -> Found:
    names = ("id", "estate", "scope", "scope_key", "family", "fault", "severity", "state", "terminals_n", "opened_ms")
    table = incidents
    about = or_(table.c.id == words, holds(table.c.title, words), holds(table.c.scope_key, words))
    is_open = table.c.state.in_(("open", "acknowledged"))
    rows = select(*(table.c[name] for name in names)).where(
        or_(is_open, table.c.id == words), about, scope.where(table)
    )
    found = connection.execute(rows.order_by(table.c.impact.desc(), table.c.id).limit(each)).mappings()
    return [dict(row) | {"title": _titled(row, language)} for row in found]


def _titled(row: Any, language: str) -> str:
    return title(row["scope"], row["scope_key"], row["family"], row["fault"] or OFFLINE, language)


def _rows(
    connection: Connection,
    table: Table,
    columns: Sequence[ColumnElement[Any]],
    where: Sequence[ColumnElement[bool]],
    names: tuple[ColumnElement[Any], ColumnElement[Any]],
    words: str,
    each: int,
) -> Found:
    """Those that are named so first."""
    first, second = names
    exact = case((first == words, 0), (first.startswith(words, autoescape=True), 1), else_=2)
    rows = select(*columns).select_from(table).where(*where).order_by(exact, first, second).limit(each)
    return [dict(row) for row in connection.execute(rows).mappings()]


def _begins(column: ColumnElement[Any], words: str) -> tuple[ColumnElement[bool], ...]:
    """Begins so, as it is written; a span of an index."""
    return column >= words, column < f"{words}{_LAST}", column.startswith(words, autoescape=True)
