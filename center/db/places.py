"""Where terminals stand, which is what incidents are grouped by, and whose word that is.

A place is imported: from the terminal's own row of `places`, else from its site's row. What no import says of the
operator and the cell, its modem measures. Site and region are never a terminal's own word: they decide who may see it.
The acquirer's host is imported, too: no message of a terminal names it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, FromClause, Text, and_, bindparam, case, func, or_, select, update

from center.db import feed
from center.db.engine import upsert
from center.db.tables import places, sites, terminals

PARTS: Final = ("site", "operator", "cell", "region", "power_district", "host")
BASES: Final = ("operator_basis", "cell_basis")
IMPORTED: Final = "imported"
MEASURED: Final = "measured"
_OF_SITE: Final = frozenset({"operator", "region", "power_district"})

Part = ColumnElement[Any]


def joined(of: FromClause) -> FromClause:
    """The rows of `of`, each with its row of `places` and its site's, where there are such."""
    place = and_(places.c.estate == of.c.estate, places.c.terminal == of.c.terminal)
    site = and_(sites.c.estate == places.c.estate, sites.c.site == places.c.site)
    return of.outerjoin(places, place).outerjoin(sites, site)


def imported() -> dict[str, Part]:
    """`PARTS` as imports say them of a row that is `joined`."""
    return {
        part: func.coalesce(places.c[part], sites.c[part]) if part in _OF_SITE else places.c[part] for part in PARTS
    }


def shown(said: Mapping[str, Part], operator: Part, cell: Part) -> dict[str, Part]:
    """`operator`, `cell` and `BASES`, from what was imported and what was measured.

    A cell's number means something beside its operator only, so what is measured is called OPERATOR-CELL.
    """
    measured = {"operator": operator, "cell": func.coalesce(operator + "-", "") + cell}
    found: dict[str, Part] = {}
    for name, value in measured.items():
        found[name] = func.coalesce(said[name], value)
        found[f"{name}_basis"] = case((said[name].is_not(None), IMPORTED), (value.is_not(None), MEASURED))
    return found


def set_places(connection: Connection, rows: Iterable[Mapping[str, Any]], now_ms: int) -> None:
    """Say where terminals stand, known already or not. A row: `estate`, `terminal`, any of `PARTS` and `tags`.

    What a row does not name becomes null. No terminal twice. Each appears in the feed as `terminal` with key `place`.
    """
    names = ("estate", "terminal", *PARTS, "tags")
    whole: list[dict[str, Any]] = [{name: row.get(name) for name in names} | {"updated_ms": now_ms} for row in rows]
    upsert(connection, places, whole)
    keys = [(row["estate"], row["terminal"]) for row in whole]
    _settle(connection, ("estate", "terminal"), keys)
    feed.append(connection, [("terminal", *key, "place") for key in keys], now_ms)


def set_sites(connection: Connection, rows: Sequence[Mapping[str, Any]], now_ms: int) -> None:
    """Take in whole rows of `sites`, none twice; the places of their terminals follow, and both are in the feed."""
    upsert(connection, sites, rows)
    keys = [(row["estate"], row["site"]) for row in rows]
    moved = _settle(connection, ("estate", "site"), keys)
    told: list[tuple[str, str, str | None, str]] = [("site", estate, None, site) for estate, site in keys]
    feed.append(connection, told + [("terminal", *key, "place") for key in moved], now_ms)


def _settle(connection: Connection, by: tuple[str, str], keys: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Bring the rows of `terminals` with these values into line with the imports. Returns those that are changed."""
    here = joined(own := terminals.alias("own"))
    same = and_(own.c.estate == terminals.c.estate, own.c.terminal == terminals.c.terminal)
    said = {
        part: select(value).select_from(here).where(same).correlate(terminals).scalar_subquery()
        for part, value in imported().items()
    }
    values = said | shown(said, terminals.c.measured_operator, terminals.c.measured_cell)
    changed = or_(*(terminals.c[name].is_distinct_from(value) for name, value in values.items()))
    which = [terminals.c[name] == bindparam(f"its_{name}", type_=Text) for name in by]
    statement = update(terminals).where(*which, changed).values(values)
    statement = statement.returning(terminals.c.estate, terminals.c.terminal)
    names = [f"its_{name}" for name in by]
    return [
        (row.estate, row.terminal)
        for key in keys
        for row in connection.execute(statement, dict(zip(names, key, strict=True)))
    ]
