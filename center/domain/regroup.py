"""What people do about the grouping: make an incident a part of another, take terminals out, and undo either.

It is written down here at once and carried out by the engine of incidents within a moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, or_, select, update

from center.access import audit
from center.access.audit import Entry
from center.access.roles import Who
from center.access.scope import Scope
from center.db import feed
from center.db.engine import Database
from center.db.tables import incident_members, incidents, regroupings
from center.domain.refusal import Refusal
from center.ids import new_id
from center.ingest import cards

MOST_TERMINALS: Final = 1000
_DEPTH: Final = 10


def merge(database: Database, who: Who, incident_id: str, into_id: str, reason: str, now_ms: int) -> str:
    """Make an incident a part of another. Returns the regrouping's id. Raises Refusal."""
    with database.begin() as connection:
        part, whole = _open(connection, who.scope, incident_id), _open(connection, who.scope, into_id)
        if "center" in {part.scope, whole.scope}:
            raise Refusal("invalid", "the center's own troubles are not grouped")
        if part.estate != whole.estate:
            raise Refusal("invalid", "both must be of one estate")
        if part.parent_id is not None:
            raise Refusal("conflict", f"the incident is a part of {part.parent_id} already")
        if part.id in _above(connection, whole):
            raise Refusal("conflict", "an incident cannot be a part of itself")
        connection.execute(update(incidents).where(incidents.c.id == part.id).values(parent_id=whole.id))
        new = {"kind": "merge", "incident_id": part.id, "into_id": whole.id, "members": None}
        return _written(connection, who, part.estate, new, reason, now_ms)


def split(
    database: Database, who: Who, incident_id: str, terminals: Sequence[tuple[str, str]], reason: str, now_ms: int
) -> str:
    """Take (estate, terminal) out of an incident, into their own. Returns the regrouping's id. Raises Refusal."""
    wanted = set(terminals)
    if not 0 < len(wanted) <= MOST_TERMINALS:
        raise Refusal("invalid", f"take out at least one terminal, and {MOST_TERMINALS} at most")
    with database.begin() as connection:
        whole = _open(connection, who.scope, incident_id)
        if whole.parent_id is not None:
            raise Refusal("conflict", f"the incident is a part of {whole.parent_id}: take them out of that one")
        if whole.scope == "terminal" and (whole.estate, whole.scope_key) in wanted:
            raise Refusal("invalid", "an incident of one terminal cannot be without it")
        member = incident_members
        inside = member.c.incident_id == incident_id, member.c.left_ms.is_(None), who.scope.where(member)
        rows = connection.execute(select(member.c.estate, member.c.terminal, member.c.fault).where(*inside))
        keys = sorted([row.estate, row.terminal, row.fault] for row in rows if (row.estate, row.terminal) in wanted)
        missing = sorted(wanted - {(estate, terminal) for estate, terminal, _ in keys})
        if missing:
            raise Refusal("invalid", f"terminal {'.'.join(missing[0])} is not in the incident")
        new = {"kind": "split", "incident_id": incident_id, "into_id": None, "members": keys}
        return _written(connection, who, whole.estate, new, reason, now_ms)


def undo(database: Database, who: Who, incident_id: str, regrouping_id: str, now_ms: int) -> None:
    """Take back a merge or a split of this incident. Raises Refusal for one that is undone, or of one that is over."""
    with database.begin() as connection:
        row = _open(connection, who.scope, incident_id)
        named = regroupings.c.id == regrouping_id, regroupings.c.incident_id == incident_id
        act = connection.execute(select(regroupings).where(*named).with_for_update()).first()
        if act is None:
            raise Refusal("not_found", "there is no such regrouping")
        if act.undone_ms is not None:
            raise Refusal("conflict", f"it was undone by {act.undone_by}")
        if act.kind == "merge":
            if row.parent_id != act.into_id:
                raise Refusal("conflict", "the incident is no part of that other any more")
            connection.execute(update(incidents).where(incidents.c.id == incident_id).values(parent_id=None))
        values = {"undone_by": who.name, "undone_ms": now_ms, "waits": True}
        connection.execute(update(regroupings).where(*named).values(values))
        detail = {"regrouping": regrouping_id}
        audit.append(connection, [Entry(now_ms, who.name, f"incident.{act.kind}.undo", incident_id, detail)])
        _tell(connection, row.estate, [incident_id, act.into_id], now_ms)


def listed(connection: Connection, scope: Scope, incident_id: str) -> list[dict[str, Any]]:
    """What was done about the grouping of an incident, oldest first, also by making others a part of it.

    `members` are those inside of the scope. Raises Refusal.
    """
    if (
        connection.execute(select(incidents.c.id).where(incidents.c.id == incident_id, scope.where(incidents))).first()
        is None
    ):
        raise Refusal("not_found", "there is no such incident")
    about = or_(regroupings.c.incident_id == incident_id, regroupings.c.into_id == incident_id)
    rows = connection.execute(select(regroupings).where(about).order_by(regroupings.c.id)).mappings().all()
    member = incident_members
    seen: set[tuple[str, str, str]] = set()
    if any(row["members"] for row in rows):
        inside = member.c.incident_id == incident_id, scope.where(member)
        found = connection.execute(select(member.c.estate, member.c.terminal, member.c.fault).where(*inside))
        seen = {(row.estate, row.terminal, row.fault) for row in found}
    return [dict(row) | {"members": [key for key in row["members"] or () if tuple(key) in seen]} for row in rows]


def steps(connection: Connection, scope: Scope, incident_id: str) -> list[dict[str, Any]]:
    """The same as lines of a timeline: `kind` merged, adopted or split, also with `_undone`; `by`, `text`, `n`."""
    lines = []
    for each in listed(connection, scope, incident_id):
        is_part = each["incident_id"] == incident_id
        kind = "split" if each["kind"] == "split" else "merged" if is_part else "adopted"
        about = {"other": each["into_id"] if is_part else each["incident_id"]}
        about |= {"text": each["reason"], "n": len({tuple(key[:2]) for key in each["members"]})}
        lines.append({"kind": kind, "at_ms": each["at_ms"], "by": each["by"], **about})
        if each["undone_ms"] is not None:
            lines.append({"kind": f"{kind}_undone", "at_ms": each["undone_ms"], "by": each["undone_by"], **about})
    return lines


def _open(connection: Connection, scope: Scope, incident_id: str) -> Any:
    query = select(incidents).where(incidents.c.id == incident_id, scope.where(incidents))
    row = connection.execute(query.with_for_update()).first()
    if row is None:
        raise Refusal("not_found", "there is no such incident")
    if row.state == "resolved":
        raise Refusal("conflict", "the incident is resolved")
    return row


def _above(connection: Connection, row: Any) -> list[str]:
    """The incident and what it is a part of."""
    found, parent = [row.id], row.parent_id
    while parent is not None and len(found) < _DEPTH:
        found.append(parent)
        parent = connection.execute(select(incidents.c.parent_id).where(incidents.c.id == parent)).scalar()
    return found


def _written(connection: Connection, who: Who, estate: str, new: dict[str, Any], reason: str, now_ms: int) -> str:
    if not reason.strip():
        raise Refusal("invalid", "say a reason")
    row = {"id": new_id("regroup", now_ms), "reason": cards.redact(reason.strip()), "by": who.name, "at_ms": now_ms}
    connection.execute(regroupings.insert().values(**new, **row, waits=True))
    detail = {"into": new["into_id"], "members": len(new["members"] or ()), "reason": row["reason"]}
    audit.append(connection, [Entry(now_ms, who.name, f"incident.{new['kind']}", new["incident_id"], detail)])
    _tell(connection, estate, [new["incident_id"], new["into_id"]], now_ms)
    return str(row["id"])


def _tell(connection: Connection, estate: str, names: Sequence[str | None], now_ms: int) -> None:
    feed.append(connection, [("incident", estate, None, name) for name in names if name is not None], now_ms)
