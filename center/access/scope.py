"""Which part of the fleet somebody may see and act on. Pure: it only writes conditions for queries.

Every query of the center takes a `Scope` first, so that what is foreign is not found, rather than hidden later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, Self

from sqlalchemy import FromClause, and_, exists, false, or_, select, true, tuple_, union_all
from sqlalchemy.sql import ColumnElement

from center.db.engine import either
from center.db.tables import campaign_targets, campaigns, cases, incident_members, incidents, retired, sites, terminals

Names = tuple[str, ...] | None
_LONGEST: Final = 1000


@dataclass(frozen=True, slots=True)
class Scope:
    """Estates, regions and sites by their names, each None for all; what is inside all three is inside the scope."""

    estates: Names = None
    regions: Names = None
    sites: Names = None

    @classmethod
    def of(cls, values: Mapping[str, Any] | None) -> Self:
        """From JSON, an absent or null key being all. Raises ValueError in one line."""
        told = dict(values or {})
        names = [each.name for each in fields(cls)]
        strange = sorted(set(told) - set(names))
        if strange:
            raise ValueError(f"a scope has no {strange[0]!r}, only {', '.join(names)}")
        return cls(**{name: _names(name, told.get(name)) for name in names})

    def to_json(self) -> dict[str, list[str] | None]:
        return {name: None if value is None else list(value) for name, value in asdict(self).items()}

    @property
    def is_everything(self) -> bool:
        return self == EVERYTHING

    def contains(self, other: Scope) -> bool:
        """Whether nothing in `other` is outside of this one."""
        pairs = zip(asdict(self).values(), asdict(other).values(), strict=True)
        return all(mine is None or (theirs is not None and set(theirs) <= set(mine)) for mine, theirs in pairs)

    def where(self, table: FromClause, *, many: bool = False) -> ColumnElement[bool]:
        """The condition that a row of this table, or of an alias of it, is inside. False where no rule tells.

        With `many` the same, for a query that looks at so many rows that SQLite had better list once who is inside.
        """
        if self.is_everything:
            return true()
        name = getattr(getattr(table, "element", table), "name", "")
        if name == campaigns.name:
            target = campaign_targets.alias()
            return exists().where(target.c.campaign_id == table.c.id, self.where(target))
        if "estate" not in table.c:
            return false()
        return and_(self._in_estates(table), self._in_places(name, table, many=many))

    def _in_estates(self, table: FromClause) -> ColumnElement[bool]:
        return true() if self.estates is None else table.c.estate.in_(self.estates)

    def _in_places(self, name: str, table: FromClause, *, many: bool = False) -> ColumnElement[bool]:
        if self.regions is None and self.sites is None:
            return true()
        if "site" in table.c and "region" in table.c:
            return self._placed(table)
        if name == incidents.name:
            return self._in_incident(table.c.id)
        if name == "changes":
            return self._in_change(table)
        if name == cases.name:
            return or_(self._at_terminal(table, many=many), and_(table.c.terminal.is_(None), self._at_site(table)))
        return self._at_terminal(table, many=many) if "terminal" in table.c else false()

    def _placed(self, table: FromClause) -> ColumnElement[bool]:
        conditions = [
            table.c[name].in_(names)
            for name, names in (("region", self.regions), ("site", self.sites))
            if names is not None
        ]
        return and_(true(), *conditions)

    def _at_terminal(self, table: FromClause, *, many: bool = False) -> ColumnElement[bool]:
        """Where it stands, or where it stood until it was retired."""
        at, gone = terminals.alias(), retired.alias()
        inside = (at, self._placed(at)), (gone, and_(gone.c.returned_ms.is_(None), self._placed(gone)))
        same = (
            exists().where(of.c.estate == table.c.estate, of.c.terminal == table.c.terminal, it) for of, it in inside
        )
        if not many:
            return or_(*same)
        listed = union_all(*(select(of.c.estate, of.c.terminal).where(it) for of, it in inside))
        return either(or_(*same), sqlite=tuple_(table.c.estate, table.c.terminal).in_(listed))

    def _at_site(self, table: FromClause) -> ColumnElement[bool]:
        at = sites.alias()
        return exists().where(at.c.estate == table.c.estate, at.c.site == table.c.site, self._placed(at))

    def _in_incident(self, incident: ColumnElement[Any]) -> ColumnElement[bool]:
        member = incident_members.alias()
        return exists().where(member.c.incident_id == incident, self._at_terminal(member))

    def _in_change(self, table: FromClause) -> ColumnElement[bool]:
        case = cases.alias()
        of_case = exists().where(case.c.id == table.c.key, self._in_places(cases.name, case))
        return or_(
            self._at_terminal(table),
            and_(table.c.terminal.is_(None), table.c.kind == "incident", self._in_incident(table.c.key)),
            and_(table.c.terminal.is_(None), table.c.kind == "case", of_case),
        )


EVERYTHING: Final = Scope()


def _names(name: str, value: object) -> Names:
    if value is None:
        return None
    if not isinstance(value, Sequence) or isinstance(value, str) or not all(isinstance(each, str) for each in value):
        raise ValueError(f"{name} of a scope is a list of names, or null for all")
    if len(value) > _LONGEST:
        raise ValueError(f"{name} of a scope holds at most {_LONGEST} names")
    return tuple(sorted(set(value)))
