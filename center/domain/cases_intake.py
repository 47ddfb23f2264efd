"""What is known of a terminal when its case is opened, so that nobody has to ask for it. Only reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection, RowMapping, select

from center.db.tables import events, faults, metrics_hour
from center.domain.cases_policy import HOUR_MS

_SHOWN: Final = 20
_TIMELINE: Final = 100


def intake(connection: Connection, terminal: Mapping[str, Any], now_ms: int) -> dict[str, Any]:
    """Model, versions, verdict, faults, measurements and the last hour, as JSON; {} for a terminal nobody heard of."""
    if not terminal:
        return {}
    inventory = terminal["inventory"] or {}
    names = ("name", "unit", "model", "serial", "firmware")
    return {
        "model": terminal["model"],
        "firmware": terminal["firmware"],
        "agent": (inventory.get("agent") or {}).get("version"),
        "devices": [{name: each.get(name, "") for name in names} for each in inventory.get("devices") or ()],
        "language": terminal["language"],
        "operator": terminal["operator"],
        "status": terminal["status"],
        "last_contact_ms": terminal["last_contact_ms"],
        "verdict": {name: terminal[name] for name in ("can_sell", "cause", "act", "since_ms")},
        "faults": _faults(connection, terminal, raised=True),
        "last_faults": _faults(connection, terminal, raised=False),
        "measured": _measured(connection, terminal, now_ms),
        "last_hour": _last_hour(connection, terminal, now_ms),
    }


def _faults(connection: Connection, terminal: Mapping[str, Any], *, raised: bool) -> list[dict[str, Any]]:
    named = ("fault", "state", "severity", "cause", "first_ms", "last_ms", "count", "evidence", "basis")
    where = (
        faults.c.estate == terminal["estate"],
        faults.c.terminal == terminal["terminal"],
        faults.c.state != "cleared" if raised else faults.c.state == "cleared",
    )
    rows = connection.execute(
        select(*(faults.c[name] for name in named)).where(*where).order_by(faults.c.last_ms.desc()).limit(_SHOWN)
    )
    return [dict(row) for row in rows.mappings()]


def _measured(connection: Connection, terminal: Mapping[str, Any], now_ms: int) -> dict[str, Any]:
    """The last value of each metric within two hours, such as the signal, with its time."""
    where = (
        metrics_hour.c.estate == terminal["estate"],
        metrics_hour.c.terminal == terminal["terminal"],
        metrics_hour.c.bucket_ms > now_ms - 3 * HOUR_MS,
        metrics_hour.c.last_ms > now_ms - 2 * HOUR_MS,
    )
    rows = connection.execute(
        select(metrics_hour.c.metric, metrics_hour.c.last, metrics_hour.c.last_ms)
        .where(*where)
        .order_by(metrics_hour.c.last_ms)
    )
    return {metric: {"value": value, "at_ms": at_ms} for metric, value, at_ms in rows}


def _last_hour(connection: Connection, terminal: Mapping[str, Any], now_ms: int) -> list[dict[str, Any]]:
    where = (
        events.c.estate == terminal["estate"],
        events.c.terminal == terminal["terminal"],
        events.c.at_ms.between(now_ms - HOUR_MS, now_ms),
    )
    rows = connection.execute(
        select(events.c.at_ms, events.c.event, events.c.clock, events.c.data)
        .where(*where)
        .order_by(events.c.at_ms.desc())
        .limit(_TIMELINE)
    )
    return [
        {"at_ms": at_ms, "event": event, "clock": clock, "fault": (data or {}).get("fault")}
        for at_ms, event, clock, data in rows
    ]


def report_key(terminal: RowMapping | Mapping[str, Any]) -> bytes | None:
    """The key that a terminal signs its help codes with, by its inventory; None where it said none."""
    told = ((terminal.get("inventory") or {}).get("agent") or {}).get("report_key") or ""
    try:
        return bytes.fromhex(told) if len(told) == 64 else None
    except ValueError:
        return None
