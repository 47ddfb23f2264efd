"""What a list may be asked for, and the conditions that this makes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal

from fastapi import Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy import FromClause, and_, exists, false, literal_column, or_, select
from sqlalchemy.sql import ColumnElement

from center.api.context import ApiError
from center.api.paging import DEFAULT_LIMIT, MOST
from center.db import tables
from center.db.engine import among
from center.domain.freshness import LATE_MS, SILENT_MS

Conditions = list[ColumnElement[bool]]

_WORD: Final = r"^[a-z0-9_-]{1,64}$"
_TERMINAL: Final = re.compile(r"(?:([a-z0-9_-]{1,64})[./])?([a-z0-9_-]{1,64})")
Word = Annotated[str, Field(pattern=_WORD)]
Language = Annotated[Literal["en", "zh"] | None, Query(description="Your own without it")]
Place = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")]


class Listing(BaseModel):
    """Filters that every list takes."""

    model_config = ConfigDict(extra="forbid")
    limit: int = Field(DEFAULT_LIMIT, ge=1, le=MOST, description="Items on a page at most")
    cursor: Annotated[str, Field(max_length=500)] | None = Field(None, description="`next` of the page before")
    terminal: str | None = Field(
        None, pattern=rf"^{_TERMINAL.pattern}$", description="A terminal's name, or `estate.terminal`"
    )
    estate: Word | None = None
    unit: Word | None = Field(None, description="Of faults: printer, modem …")
    kind: Word | None = Field(None, description="Of faults: paper_out, no_network …")
    since: AwareDatetime | None = Field(None, description="RFC 3339; from here on")
    until: AwareDatetime | None = Field(None, description="RFC 3339; up to here, itself left out")

    @property
    def named(self) -> tuple[str | None, str | None]:
        """Estate and terminal that are asked for."""
        found = _TERMINAL.fullmatch(self.terminal or "")
        if found is None:
            return self.estate, None
        if found[1] and self.estate and found[1] != self.estate:
            raise ApiError(422, "terminal: is not of the estate that is asked for")
        return found[1] or self.estate, found[2]


class Placed(Listing):
    """And by place."""

    site: Place | None = None
    region: Place | None = None
    operator: Place | None = None


class Terminals(Placed):
    status: Literal["online", "offline", "maintenance"] | None = None
    can_sell: Literal["yes", "degraded", "no", "unknown"] | None = Field(
        None, description="unknown: also those that never said"
    )
    freshness: Literal["online", "late", "offline", "unknown"] | None = Field(
        None, description="By the last contact, as the overview counts them"
    )
    ids: (
        Annotated[str, Field(max_length=30_000, pattern=r"^[a-z0-9_-]+\.[a-z0-9_-]+(,[a-z0-9_-]+\.[a-z0-9_-]+)*$")]
        | None
    ) = Field(None, description="Only these, by commas: what a page reads anew when the stream told of them")
    model: Place | None = None
    firmware: Place | None = None


class Faults(Placed):
    state: Literal["raised", "flapping", "cleared"] | None = Field(
        None, description="Without it those that are raised now, flapping ones included"
    )
    severity: Literal["critical", "major", "minor", "warning"] | None = None
    roots: bool = Field(False, description="Only those that no other fault explains")


class Events(Placed):
    event: Annotated[str, Field(pattern=r"^[a-z0-9_.-]{1,64}$")] | None = Field(
        None, description="Such as fault.raised"
    )


class Incidents(Listing):
    state: Literal["open", "acknowledged", "resolved"] | None = None
    severity: Literal["critical", "major", "minor", "warning"] | None = None
    scope: Literal["terminal", "site", "cell", "operator", "power", "host", "release", "estate", "center"] | None = None
    parent: Place | None = None


class Cases(Listing):
    state: (
        Literal["open", "new", "acknowledged", "assigned", "dispatched", "reopened", "watching", "asking", "closed"]
        | None
    ) = Field(None, description="`open` for all that are not closed")
    severity: Literal["critical", "major", "minor", "warning"] | None = None
    owner: Place | None = None
    team: Place | None = None
    site: Place | None = None
    number: int | None = Field(None, ge=0, lt=1 << 63)
    incident: Place | None = None
    candidate: Place | None = Field(None, description="Those behind this signature of `knowledge/problems/candidates`")


class Commands(Listing):
    state: Word | None = None
    cmd: Word | None = None
    campaign: Place | None = None


class Campaigns(Listing):
    state: Word | None = None


def moment_ms(moment: Any) -> int:
    """Milliseconds since the epoch of a time with its zone."""
    return int(moment.timestamp() * 1000)


def of_terminal(table: FromClause, query: Listing) -> Conditions:
    """The named terminal, and its place."""
    estate, terminal = query.named
    found = []
    if estate is not None:
        found.append(table.c.estate == estate)
    if terminal is not None:
        found.append(table.c.terminal == terminal)
    if isinstance(query, Placed):
        found += _placed(table, query)
    return found


def _placed(table: FromClause, query: Placed) -> Conditions:
    wanted = {name: getattr(query, name) for name in ("site", "region", "operator")}
    wanted = {name: value for name, value in wanted.items() if value is not None}
    if not wanted:
        return []
    at: FromClause = table if table is tables.terminals else tables.terminals.alias()
    conditions = [at.c[name] == value for name, value in wanted.items()]
    if at is table:
        return conditions
    same = and_(at.c.estate == table.c.estate, at.c.terminal == table.c.terminal)
    return [exists().where(same, *conditions)]


def between(column: ColumnElement[Any], query: Listing) -> Conditions:
    """Since and until."""
    found = []
    if query.since is not None:
        found.append(column >= moment_ms(query.since))
    if query.until is not None:
        found.append(column < moment_ms(query.until))
    return found


def of_fault(column: ColumnElement[Any], query: Listing) -> Conditions:
    """Unit and kind of a column that holds `unit/kind`."""
    if query.unit and query.kind:
        return [column == f"{query.unit}/{query.kind}"]
    if query.unit:
        return [column.startswith(f"{query.unit}/", autoescape=True)]
    return [column.endswith(f"/{query.kind}", autoescape=True)] if query.kind else []


def of_site(query: Placed) -> Conditions:
    """Of sites: one that is named, or that has such a terminal."""
    sites, at = tables.sites, tables.terminals.alias()
    names = {name: sites.c[name] for name in ("estate", "site", "region", "operator")}
    found = [*same(query, names), *between(sites.c.updated_ms, query)]
    inside: Conditions = []
    estate, terminal = query.named
    if terminal is not None:
        inside += [at.c.terminal == terminal, *([] if estate is None else [at.c.estate == estate])]
    if query.unit or query.kind:
        faults = tables.faults.alias()
        here = and_(faults.c.estate == at.c.estate, faults.c.terminal == at.c.terminal)
        inside.append(exists().where(here, is_present(faults), *of_fault(faults.c.fault, query)))
    if inside:
        found.append(exists().where(at.c.estate == sites.c.estate, at.c.site == sites.c.site, *inside))
    return found


def of_device(args: ColumnElement[Any], query: Listing) -> Conditions:
    """Of commands and campaigns: the device that their arguments name. None is of a kind of fault."""
    if query.kind:
        return [false()]
    return [args["device"].as_string() == query.unit] if query.unit else []


def same(query: BaseModel, names: Mapping[str, ColumnElement[Any]]) -> Conditions:
    """Equality for each of these filters that is given."""
    given = {name: getattr(query, name) for name in names}
    return [names[name] == value for name, value in given.items() if value is not None]


def is_present(table: FromClause = tables.faults) -> ColumnElement[bool]:
    """A fault that is raised now. Written out, so that both databases see that their partial index fits."""
    condition: ColumnElement[bool] = table.c.state != literal_column("'cleared'")
    return condition


def has_fault(query: Listing) -> Conditions:
    """Of terminals: one with such a fault now."""
    if not query.unit and not query.kind:
        return []
    at, terminals = tables.faults.alias(), tables.terminals
    here = and_(at.c.estate == terminals.c.estate, at.c.terminal == terminals.c.terminal)
    return [exists().where(here, is_present(at), *of_fault(at.c.fault, query))]


def of_incident(query: Listing) -> Conditions:
    """Of incidents: one that has, or had, this terminal in it; or is at it."""
    estate, terminal = query.named
    incidents, members = tables.incidents, tables.incident_members
    found = [] if estate is None else [incidents.c.estate == estate]
    if terminal is not None:
        estates = select(tables.terminals.c.estate).distinct() if estate is None else [estate]  # the index begins so
        here = select(members.c.incident_id).where(members.c.estate.in_(estates), members.c.terminal == terminal)
        found.append(incidents.c.id.in_(here))
    return found


def of_sales(query: Terminals) -> Conditions:
    """Of terminals: those of which this is known, or for unknown is not."""
    column = tables.terminals.c.can_sell
    if query.can_sell == "unknown":
        return [or_(column == "unknown", column.is_(None))]
    return [] if query.can_sell is None else [column == query.can_sell]


def of_freshness(query: Terminals, now_ms: int) -> Conditions:
    """Of terminals: those that the overview counts as heard so long ago; and those that are named."""
    table = tables.terminals
    heard = table.c.last_contact_ms
    there = or_(table.c.status.is_(None), table.c.status != "offline")
    late, silent = now_ms - LATE_MS, now_ms - SILENT_MS
    wanted: Mapping[str, Conditions] = {
        "online": [table.c.status.is_not(None), there, heard >= late],
        "late": [table.c.status.is_not(None), there, heard < late, heard >= silent],
        "offline": [table.c.status == "offline"],
        "unknown": [there, or_(table.c.status.is_(None), heard.is_(None), heard < silent)],
    }
    found = [] if query.freshness is None else [*wanted[query.freshness]]
    if query.ids is not None:
        named = [tuple(each.split(".")) for each in query.ids.split(",")]
        found.append(among((table.c.estate, table.c.terminal), named))
    return found


def of_campaign(query: Listing) -> Conditions:
    """Of campaigns: one with this terminal, or a terminal of this estate, among its targets."""
    conditions = of_terminal(at := tables.campaign_targets.alias(), query)
    return [exists().where(at.c.campaign_id == tables.campaigns.c.id, *conditions)] if conditions else []


def terminal_named(name: str) -> Callable[[FromClause], ColumnElement[bool]]:
    """The condition for `estate.terminal`, or for a terminal's name alone. Raises ApiError 404."""
    found = _TERMINAL.fullmatch(name)
    if found is None:
        raise ApiError(404, "there is no such terminal")

    def condition(table: FromClause) -> ColumnElement[bool]:
        whole = table.c.terminal == found[2]
        return and_(whole, table.c.estate == found[1]) if found[1] else whole

    return condition
