"""Rows of `heartbeat` as leases: what one process does at a time, until it is done or dead."""

from __future__ import annotations

import os
import socket
from typing import Any

from sqlalchemy import select

from center.db.engine import Database, upsert
from center.db.tables import heartbeat


def me() -> dict[str, Any]:
    """This process, as rows of `heartbeat` name it: host and pid."""
    return {"host": socket.gethostname(), "pid": os.getpid()}


def hold(database: Database, name: str, lease_ms: int, now_ms: int) -> bool:
    """Take the lease, or renew it. False while another process that lives holds it."""
    with database.begin() as connection:
        held = connection.execute(select(heartbeat).where(heartbeat.c.name == name).with_for_update()).first()
        if alive(held, now_ms, lease_ms):
            return False
        upsert(connection, heartbeat, [{"name": name, "at_ms": now_ms, "data": me()}])
    return True


def alive(row: Any, now_ms: int, stale_ms: int) -> bool:
    """Whether another process than this one beats in this row: not silent for `stale_ms`, nor dead on this machine."""
    if row is None or now_ms - row.at_ms > stale_ms:
        return False
    if row.data["host"] != socket.gethostname():
        return True
    try:
        os.kill(row.data["pid"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # somebody else's, so it lives
    return bool(row.data["pid"] != os.getpid())
