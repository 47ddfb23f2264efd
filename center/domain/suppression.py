"""Maintenance windows and silences: what people asked not to be told of, until when, and why.

A suppressed incident opens no case and tells nobody; it is counted and shown all the same. Once the suppression ends
and the trouble stands, it is told.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final, Literal, get_args

from sqlalchemy import Connection, select

from center.db import feed
from center.db.tables import suppressions
from center.domain.grouping import Place
from center.domain.refusal import Refusal
from center.ids import new_id

Kind = Literal["maintenance", "silence"]
SCOPES: Final = ("all", "estate", "terminal", "site", "operator", "cell", "host", "power", "release")
AT_TERMINAL: Final = "terminal-maintenance"
"""The suppression of an incident of a terminal that is itself in maintenance."""
MOST_MS: Final = 90 * 86_400_000
MOST_MEMBERS: Final = 0.9
"""A group is suppressed if so many of its terminals are."""


@dataclass(frozen=True, slots=True)
class Suppression:
    """One window. `estate` is "" for all; `fault` is a pattern such as `printer/*`."""

    id: str
    estate: str
    scope: str
    scope_key: str
    fault: str

    def covers(self, estate: str, terminal: str, place: Place, fault: str) -> bool:
        """Whether a fault of a terminal is meant."""
        if (self.estate and self.estate != estate) or not fnmatchcase(fault, self.fault):
            return False
        if self.scope in {"all", "estate"}:
            return self.scope == "all" or self.scope_key == estate
        return self.scope_key == (terminal if self.scope == "terminal" else getattr(place, self.scope))


def active(connection: Connection, now_ms: int) -> list[Suppression]:
    """Those in force now."""
    rows = select(suppressions).where(suppressions.c.until_ms > now_ms, suppressions.c.from_ms <= now_ms)
    return [
        Suppression(row.id, row.estate or "", row.scope, row.scope_key, row.fault)
        for row in connection.execute(rows.order_by(suppressions.c.id))
    ]


def suppress(
    connection: Connection,
    *,
    kind: Kind,
    estate: str | None,
    scope: str,
    scope_key: str,
    from_ms: int,
    until_ms: int,
    by: str,
    reason: str,
    now_ms: int,
    fault: str = "*",
) -> str:
    """Begin or plan one; its id. Raises Refusal for one without a reason or an end, or that is nonsense."""
    if kind not in get_args(Kind) or scope not in SCOPES:
        raise Refusal("invalid", f"a suppression is {' or '.join(get_args(Kind))} of {', '.join(SCOPES)}")
    if not reason.strip() or (scope != "all" and not scope_key):
        raise Refusal("invalid", "a suppression needs a reason, and what it is for")
    if not from_ms < until_ms <= from_ms + MOST_MS or until_ms <= now_ms:
        raise Refusal("invalid", "a suppression ends after it begins, in the future, within 90 days")
    new: dict[str, Any] = {
        "id": new_id("sup", now_ms),
        "kind": kind,
        "estate": estate,
        "scope": scope,
        "scope_key": scope_key,
        "fault": fault,
        "from_ms": from_ms,
        "until_ms": until_ms,
        "by": by,
        "reason": reason.strip(),
        "created_ms": now_ms,
    }
    connection.execute(suppressions.insert().values(new))
    feed.append(connection, [("suppression", estate, None, new["id"])], now_ms)
    return str(new["id"])


def end(connection: Connection, suppression_id: str, now_ms: int) -> None:
    """End one now. The row stays, as a record. Raises Refusal if there is none that lasts."""
    lasting = suppressions.c.id == suppression_id, suppressions.c.until_ms > now_ms
    done = connection.execute(suppressions.update().where(*lasting).values(until_ms=now_ms))
    if done.rowcount != 1:
        raise Refusal("not_found", f"no suppression {suppression_id} is in force or planned")
    feed.append(connection, [("suppression", None, None, suppression_id)], now_ms)
