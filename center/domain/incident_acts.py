"""What people do with incidents: say that they have seen one, and whose it is. The engine does the rest."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select, update

from center.access import audit
from center.access.audit import Entry
from center.access.roles import Who
from center.db import feed
from center.db.engine import Database
from center.db.tables import incidents
from center.domain.people import check_owner
from center.domain.refusal import Refusal


def acknowledge(database: Database, who: Who, incident_id: str, now_ms: int) -> None:
    """Take it on. Raises Refusal for one that is taken on already, or over."""
    _change(
        database, who, incident_id, "acknowledge", ("open",), now_ms, state="acknowledged", ack=True, owner=who.called
    )


def assign(database: Database, who: Who, incident_id: str, owner: str, now_ms: int, *, external: bool = False) -> None:
    """Give it to somebody, which acknowledges it. `external` is who has no account here.

    Raises Refusal for one that is over, or nobody's name.
    """
    if not owner.strip():
        raise Refusal("invalid", "say whom it is assigned to")
    name, lasting = owner.strip(), ("open", "acknowledged")
    _change(
        database,
        who,
        incident_id,
        "assign",
        lasting,
        now_ms,
        state="acknowledged",
        ack=True,
        owner=name,
        external=external,
    )


def release(database: Database, who: Who, incident_id: str, now_ms: int) -> None:
    """Nobody's again, as if it had not been acknowledged. Raises Refusal for one that is not."""
    _change(database, who, incident_id, "release", ("acknowledged",), now_ms, state="open", ack=False, owner=None)


def _change(
    database: Database,
    who: Who,
    incident_id: str,
    what: str,
    states: tuple[str, ...],
    now_ms: int,
    *,
    state: str,
    ack: bool,
    owner: str | None,
    external: bool = False,
) -> None:
    with database.begin() as connection:
        query = select(incidents).where(incidents.c.id == incident_id, who.scope.where(incidents))
        row = connection.execute(query.with_for_update()).first()
        if row is None:
            raise Refusal("not_found", "there is no such incident")
        if row.state not in states:
            raise Refusal("conflict", f"the incident is {row.state}")
        if owner is not None and not external:
            check_owner(connection, owner, who.called, incidents, incident_id)
        values: dict[str, Any] = {"state": state, "owner": owner, "ack_by": None, "ack_ms": None}
        if ack:
            values |= {"ack_by": row.ack_by or who.called, "ack_ms": row.ack_ms or now_ms}
        connection.execute(update(incidents).where(incidents.c.id == incident_id).values(values))
        audit.append(connection, [Entry(now_ms, who.name, f"incident.{what}", incident_id, {"owner": owner})])
        terminal = row.scope_key if row.scope == "terminal" else None
        feed.append(connection, [("incident", row.estate, terminal, incident_id)], now_ms)
