"""What people do with an incident: say that they have it, hand it over, or give it back. The engine does the rest."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select, update

from center.access.scope import Scope
from center.db import feed
from center.db.tables import incidents
from center.domain.refusal import Refusal


def acknowledge(connection: Connection, scope: Scope, incident_id: str, who: str, now_ms: int) -> None:
    """It is theirs from now on. Again by the same it changes nothing. Raises Refusal."""
    row = _found(connection, scope, incident_id)
    if row.state == "acknowledged" and row.ack_by == who:
        return
    if row.state != "open":
        raise Refusal("conflict", f"{incident_id} is {row.state}" + (f" by {row.ack_by}" if row.ack_by else ""))
    _change(connection, row, now_ms, state="acknowledged", ack_by=who, ack_ms=now_ms, owner=row.owner or who)


def release(connection: Connection, scope: Scope, incident_id: str, now_ms: int) -> None:
    """Undo an acknowledgement; who has it is nobody's again. Raises Refusal."""
    row = _found(connection, scope, incident_id)
    if row.state != "acknowledged":
        raise Refusal("conflict", f"{incident_id} is {row.state}, not acknowledged")
    _change(connection, row, now_ms, state="open", ack_by=None, ack_ms=None, owner=None)


def assign(connection: Connection, scope: Scope, incident_id: str, owner: str | None, now_ms: int) -> None:
    """Hand it to somebody, or to nobody with None. Raises Refusal."""
    row = _found(connection, scope, incident_id)
    if row.state == "resolved":
        raise Refusal("conflict", f"{incident_id} is resolved")
    _change(connection, row, now_ms, owner=owner)


def _found(connection: Connection, scope: Scope, incident_id: str) -> Any:
    wanted = select(incidents).where(incidents.c.id == incident_id, scope.where(incidents)).with_for_update()
    row = connection.execute(wanted).first()
    if row is None:
        raise Refusal("not_found", f"there is no incident {incident_id}")
    return row


def _change(connection: Connection, row: Any, now_ms: int, **values: Any) -> None:
    connection.execute(update(incidents).where(incidents.c.id == row.id).values(values))
    terminal = row.scope_key if row.scope == "terminal" else None
    feed.append(connection, [("incident", row.estate, terminal, row.id)], now_ms)
