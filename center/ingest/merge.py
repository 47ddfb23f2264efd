"""How rows get into the tables, the same for both databases: from a temporary table of each kind, in whole statements.

First goes what is not new: of queued kinds what is there, of retained kinds what is older than what is there. What is
left goes into the table, and its keys into the feed. Retained kinds are ordered by version, or by a clock that can be
trusted where a terminal was set up anew and counts its boots from the beginning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    Insert,
    MetaData,
    Table,
    Text,
    Update,
    and_,
    bindparam,
    case,
    cast,
    delete,
    exists,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql import ColumnElement, Executable

from center.db import tables
from center.db.places import BASES, IMPORTED, PARTS, imported, joined, shown
from center.ingest import measured
from center.ingest.reader import COLUMNS

STAGED: Final[Mapping[str, Sequence[str]]] = {
    "contact": ("estate", "terminal", "last_contact_ms", "late_ms", "created_ms"),
    **COLUMNS,
    "measured": measured.COLUMNS,
    "cleared_before": ("estate", "terminal", "version"),  # of each digest: a fault told of before this is gone …
    "named": ("estate", "terminal", "fault"),  # … unless it is among these
}
"""The columns of each temporary table."""
_INTO: Final[Mapping[str, Table]] = {
    "telemetry": tables.telemetry,
    "event": tables.events,
    "result": tables.results,
    "fault": tables.faults,
    "cleared_before": tables.faults,
    "named": tables.faults,
}
_PARTS: Final = ("inventory", "health", "config", "digest")
_MEASURED: Final = ("operator", "cell")
_PLACE: Final = (*PARTS, *BASES)


@dataclass(frozen=True, slots=True)
class Kind:
    """What is done with the rows of one kind, in this order; `merge` and `feed` take the parameter `now_ms`."""

    name: str
    stage: Table
    prune: Executable | None
    merge: Executable
    feed: Executable | None


def kinds(dialect: str) -> tuple[dict[str, Table], list[Kind]]:
    """The temporary tables by name, and the kinds in the order in which they are written."""
    metadata = MetaData()
    stages = {name: _stage(metadata, name, columns) for name, columns in STAGED.items()}
    names = ("contact", "state", *_PARTS, "measured", "fault", "telemetry", "event", "result")
    return stages, [_kind(name, stages[name], dialect) for name in names]


def clearing(stages: Mapping[str, Table]) -> tuple[Insert, Update]:
    """A fault that a newer digest does not name is cleared, though nobody heard it say so: the feed, and the update."""
    said, named, faults = stages["cleared_before"], stages["named"], tables.faults
    gone = and_(
        _same(faults, said, ("estate", "terminal")),
        faults.c.state != "cleared",
        faults.c.version < said.c.version,
        ~exists().where(_same(named, faults, ("estate", "terminal", "fault"))),
    )
    now = bindparam("now_ms", type_=BigInteger)
    rows = select(literal("fault"), faults.c.estate, faults.c.terminal, faults.c.fault, now).where(gone)
    feed = insert(tables.changes).from_select(["kind", "estate", "terminal", "key", "at_ms"], rows)
    values = {"state": "cleared", "version": said.c.version, "last_ms": now, "received_ms": now}
    return feed, update(faults).values(**values).where(gone)


def _stage(metadata: MetaData, name: str, columns: Sequence[str]) -> Table:
    into = _INTO.get(name, tables.terminals)
    copies: list[Column[Any]] = [Column(column, into.c[column].type) for column in columns]
    return Table(f"stage_{name}", metadata, *copies, prefixes=["TEMPORARY"], postgresql_on_commit="DELETE ROWS")


def _kind(name: str, stage: Table, dialect: str) -> Kind:
    into = _INTO.get(name, tables.terminals)
    merge = _merge(name, stage, into, dialect)
    if name in {"contact", "telemetry"}:  # not in the feed, so nobody has to know which of them were new
        return Kind(name, stage, None, merge, None)
    if name == "measured":
        return Kind(name, stage, None, merge, _moves(stage))
    if name in {"event", "result"}:
        key = ["estate", "terminal", "boot", "seq"]
        there = exists().where(_same(into, stage, key))
    else:
        key = [column.name for column in into.primary_key]
        there = exists().where(_same(into, stage, key), ~_newer(name, stage.c, into.c))
    return Kind(name, stage, delete(stage).where(there), merge, _feed(name, stage, into, key))


def _merge(name: str, stage: Table, into: Table, dialect: str) -> Executable:
    columns = list(STAGED[name])
    keys = [column.name for column in into.primary_key]
    source = select(*stage.c)
    if into is tables.terminals:
        source = select(*stage.c, *_place(stage)).select_from(joined(stage))
        columns += _PLACE
    if name == "measured":
        source = source.add_columns(bindparam("now_ms", type_=BigInteger))
        columns.append("moved_ms")
    if "received_ms" in into.c:
        source = source.add_columns(bindparam("now_ms", type_=BigInteger))
        columns.append("received_ms")
    order = [stage.c[column] for column in ("estate", "terminal", "fault", "boot", "seq") if column in stage.c]
    new = postgresql.insert(into) if dialect == "postgresql" else sqlite.insert(into)
    new = new.from_select(columns, source.order_by(*order))  # one order for all workers, or they block each other
    if name in {"telemetry", "event", "result"}:
        return new.on_conflict_do_nothing()
    changed: dict[str, Any] = {
        column: new.excluded[column] for column in columns if column not in {*keys, *_PLACE, "created_ms"}
    }
    if name == "measured":
        changed = _with_measured(new.excluded, into)
    if name == "contact":
        changed["late_ms"] = case((new.excluded.late_ms.is_(None), into.c.late_ms), else_=new.excluded.late_ms)
    if name == "state":
        changed |= _with_state(new.excluded, into)
    return new.on_conflict_do_update(index_elements=keys, set_=changed, where=_newer(name, new.excluded, into.c))


def _place(stage: Table) -> list[ColumnElement[Any]]:
    """`_PLACE` of a terminal that is new."""
    nothing = literal(None, Text)
    told = [stage.c[f"measured_{name}"] if stage.name == "stage_measured" else nothing for name in _MEASURED]
    said = imported()
    place = said | shown(said, *told)
    return [place[column] for column in _PLACE]


def _with_measured(new: Any, old: Table) -> dict[str, Any]:
    """What a terminal measured of its place does to its row: what was imported stays."""
    changed: dict[str, Any] = {}
    for name in _MEASURED:
        is_newer = new[f"{name}_version"] > old.c[f"{name}_version"]
        for column in (f"measured_{name}", f"{name}_version"):
            changed[column] = case((is_newer, new[column]), else_=old.c[column])
    said = {name: case((old.c[f"{name}_basis"] == IMPORTED, old.c[name])) for name in _MEASURED}
    place = shown(said, changed["measured_operator"], changed["measured_cell"])
    moves = or_(*(place[name].is_distinct_from(old.c[name]) for name in _MEASURED))
    return changed | place | {"moved_ms": case((moves, new.moved_ms), else_=old.c.moved_ms)}


def _moves(stage: Table) -> Insert:
    """In the feed are those whose place is another since just now."""
    now, of = bindparam("now_ms", type_=BigInteger), tables.terminals
    rows = select(literal("terminal"), of.c.estate, of.c.terminal, literal("place"), now)
    rows = rows.select_from(stage.join(of, _same(of, stage, ("estate", "terminal")))).where(of.c.moved_ms == now)
    return insert(tables.changes).from_select(["kind", "estate", "terminal", "key", "at_ms"], rows)


def _newer(name: str, new: Any, old: Any) -> ColumnElement[bool]:
    if name == "contact":
        return or_(old.last_contact_ms.is_(None), new.last_contact_ms > old.last_contact_ms)
    if name == "measured":
        return or_(*(new[f"{each}_version"] > old[f"{each}_version"] for each in _MEASURED))
    version = "version" if name == "fault" else f"{name}_version"
    newer: ColumnElement[bool] = new[version] > old[version]
    if name in _PARTS:
        return newer
    begun_anew = and_(
        *(each.is_not(None) for each in (old.boot, old.clock_ms, new.clock_ms)),
        new.boot < old.boot,
        new.clock_ms > old.clock_ms,
    )
    return or_(newer, begun_anew)


def _with_state(new: Any, old: Table) -> dict[str, Any]:
    """What a state does to the rest of the row: contact and will only grow; who counts anew tells each part anew."""
    later: dict[str, Any] = {
        name: case((new[name] > case((old.c[name].is_(None), 0), else_=old.c[name]), new[name]), else_=old.c[name])
        for name in ("last_contact_ms", "will_at_ms")
    }
    parts = [f"{part}_version" for part in (*_PARTS, *_MEASURED)]
    return later | {part: case((new.boot < old.c.boot, ""), else_=old.c[part]) for part in parts}


def _feed(name: str, stage: Table, into: Table, key: Sequence[str]) -> Insert:
    now = bindparam("now_ms", type_=BigInteger)
    where = (stage.c.estate, stage.c.terminal)
    if name == "event":
        rows = select(literal("event"), *where, cast(into.c.id, Text), now)
        rows = rows.select_from(stage.join(into, _same(into, stage, key))).order_by(into.c.id)
    elif name in {"fault", "result"}:
        rows = select(literal(name), *where, stage.c["fault" if name == "fault" else "command_id"], now)
    else:
        rows = select(literal("terminal"), *where, literal(name), now)
    return insert(tables.changes).from_select(["kind", "estate", "terminal", "key", "at_ms"], rows)


def _same(one: Table, other: Table, columns: Sequence[str]) -> ColumnElement[bool]:
    return and_(*(one.c[column] == other.c[column] for column in columns))
