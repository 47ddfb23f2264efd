"""Asking the next targets of a campaign: a signed command, or signed settings, for each that is there and may be asked.

Everything is read and signed here; `Asked.store` and the engine write it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, and_, func, or_, select

from agent import wire
from center.db.engine import among, bulk_insert, insert_ignore
from center.db.tables import campaign_targets, commands, desired_configs, outbox, sites, terminals
from center.domain import desired, hours
from center.domain.campaigns import order_of
from center.domain.commands import sealed
from center.domain.commands_key import Signer
from center.domain.desired_settings import merged
from center.ids import new_id

BATCH: Final = 200
LOOK_AGAIN_MS: Final = 600_000
_NIGHT: Final = {day: [["02:00", "05:00"]] for day in hours.DAYS}
"""Of a shop whose hours nobody told."""

Told = tuple[str, str | None, str | None, str]


@dataclass(slots=True)
class Asked:
    """What one batch came to. `targets` are the new values of rows of campaign_targets."""

    targets: list[dict[str, Any]] = field(default_factory=list)
    commands: list[dict[str, Any]] = field(default_factory=list)
    settings: list[dict[str, Any]] = field(default_factory=list)
    posts: list[dict[str, Any]] = field(default_factory=list)
    more: bool = False

    def store(self, connection: Connection, now_ms: int) -> Iterable[Told]:
        """Write all but the targets; the lines for the feed."""
        desired.replace(connection, [(row["estate"], row["terminal"]) for row in self.settings], now_ms)
        bulk_insert(connection, commands, self.commands)
        bulk_insert(connection, desired_configs, self.settings)
        insert_ignore(connection, outbox, self.posts)
        return [
            *(("command", row["estate"], row["terminal"], row["id"]) for row in self.commands),
            *(("desired", row["estate"], row["terminal"], str(row["version"])) for row in self.settings),
        ]

    def mark(self, row: Mapping[str, Any], state: str, **values: Any) -> None:
        """A target's new state."""
        kept = {name: row[name] for name in ("estate", "terminal", "command_id", "attempts", "asked_ms")}
        self.targets.append({**kept, "state": state, "not_before_ms": None, "error": "", **values})


def ask(connection: Connection, signer: Signer, issuer: str, campaign: Mapping[str, Any], now_ms: int) -> Asked:
    """The next batch of those that are due, within what may be under way at a time. Raises Refusal without a key."""
    asked = Asked()
    room = campaign["pace"]["parallel"] - _under_way(connection, campaign["id"])
    rows = _due(connection, campaign, min(BATCH, room), now_ms) if room > 0 else []
    asked.more = len(rows) == BATCH
    ready = [row for row in rows if _may_be_asked(asked, row, campaign, now_ms)]
    by = campaign["created_by"] + (f"+{campaign['approved_by']}" if campaign["approved_by"] else "")
    if ready and campaign["kind"] == "config":
        _ask_settings(asked, connection, signer, f"{issuer}/{by}", campaign, ready, now_ms)
    elif ready:
        for row in ready:
            _ask_command(asked, signer, f"{issuer}/{by}", campaign, row, now_ms)
    return asked


def _under_way(connection: Connection, campaign_id: str) -> int:
    mine = and_(campaign_targets.c.campaign_id == campaign_id, campaign_targets.c.state == "sent")
    return int(connection.execute(select(func.count()).select_from(campaign_targets).where(mine)).scalar_one())


def _due(connection: Connection, campaign: Mapping[str, Any], most: int, now_ms: int) -> list[dict[str, Any]]:
    target = campaign_targets.c
    at = and_(terminals.c.estate == target.estate, terminals.c.terminal == target.terminal)
    site = and_(sites.c.estate == terminals.c.estate, sites.c.site == terminals.c.site)
    due = and_(
        target.campaign_id == campaign["id"],
        target.state == "waiting",
        target.wave <= campaign["wave"],
        or_(target.not_before_ms.is_(None), target.not_before_ms <= now_ms),
    )
    query = select(
        *(target[name] for name in ("estate", "terminal", "command_id", "attempts", "asked_ms")),
        terminals.c.status,
        terminals.c.inventory,
        sites.c.hours,
        sites.c.timezone,
    )
    joined = campaign_targets.outerjoin(terminals, at).outerjoin(sites, site)
    rows = connection.execute(query.select_from(joined).where(due).limit(most)).mappings()
    return [dict(row) for row in rows]


def _may_be_asked(asked: Asked, row: Mapping[str, Any], campaign: Mapping[str, Any], now_ms: int) -> bool:
    if row["status"] not in {"online", "maintenance"}:
        asked.mark(row, "offline")
        return False
    takes = (row["inventory"] or {}).get("commands")
    if campaign["kind"] != "config" and takes is not None:
        cmd, _args = order_of(campaign["kind"], campaign["args"], {})
        if cmd not in takes:
            asked.mark(row, "skipped", error=f"it takes {', '.join(takes) or 'no commands'}")
            return False
    if campaign["pace"]["quiet"] and not _is_quiet(row["hours"], row["timezone"], now_ms):
        asked.mark(row, "waiting", not_before_ms=now_ms + LOOK_AGAIN_MS)
        return False
    return True


def _is_quiet(trading: Mapping[str, Any] | None, timezone: str | None, now_ms: int) -> bool:
    """Whether the shop is closed; at night where nobody told its hours."""
    if trading is None:
        return hours.is_open(_NIGHT, timezone or "UTC", now_ms)
    return not hours.is_open(trading, timezone or "UTC", now_ms)


def _ask_command(
    asked: Asked, signer: Signer, issuer: str, campaign: Mapping[str, Any], row: Mapping[str, Any], now_ms: int
) -> None:
    command_id = new_id("cmd", now_ms)
    about = {"estate": row["estate"], "terminal": row["terminal"], "id": command_id}
    cmd, args = order_of(campaign["kind"], campaign["args"], about)
    command = {
        "id": command_id,
        "estate": row["estate"],
        "terminal": row["terminal"],
        "cmd": cmd,
        "args": args,
        "tier": wire.TIERS[cmd],
        "reason": campaign["reason"],
        "issued_by": campaign["created_by"],
        "approved_by": campaign["approved_by"],
        "state": "queued",
        "campaign_id": campaign["id"],
        "created_ms": now_ms,
        "updated_ms": now_ms,
    }
    times, post = sealed(signer, issuer, command, now_ms)
    asked.commands.append(command | times)
    asked.posts.append(post)
    asked.mark(row, "sent", command_id=command_id, attempts=row["attempts"] + 1, asked_ms=now_ms)


def _ask_settings(
    asked: Asked,
    connection: Connection,
    signer: Signer,
    issuer: str,
    campaign: Mapping[str, Any],
    rows: list[dict[str, Any]],
    now_ms: int,
) -> None:
    keys = [(row["estate"], row["terminal"]) for row in rows]
    present = desired.newest(connection, keys)
    before = _before(connection, campaign, keys) if "rollback_of" in campaign["args"] else {}
    for row, key in zip(rows, keys, strict=True):
        now = present.get(key)
        if "rollback_of" in campaign["args"]:
            if now is None or now["campaign_id"] != campaign["args"]["rollback_of"]:
                asked.mark(row, "skipped", error="its settings were changed again since")
                continue
            body = before.get(key, {})
        else:
            body = merged(now["body"] if now else {}, campaign["args"]["settings"])
        if now is not None and now["state"] == "applied" and now["body"] == body:
            asked.mark(row, "succeeded", error="nothing to change")
            continue
        version = max(now_ms, now["version"] + 1 if now else 0)
        asked.posts.append(desired.sealed(signer, issuer, key, version, body, now_ms))
        asked.settings.append(
            {
                "estate": key[0],
                "terminal": key[1],
                "version": version,
                "body": body,
                "state": "sent",
                "issued_by": campaign["created_by"],
                "approved_by": campaign["approved_by"],
                "reason": campaign["reason"],
                "campaign_id": campaign["id"],
                "at_ms": now_ms,
                "updated_ms": now_ms,
            }
        )
        asked.mark(row, "sent", attempts=row["attempts"] + 1, asked_ms=now_ms)


def _before(
    connection: Connection, campaign: Mapping[str, Any], keys: list[tuple[str, str]]
) -> dict[tuple[str, str], Any]:
    """The settings that each terminal had before the campaign that is rolled back."""
    old = desired_configs.alias()
    table = desired_configs.c
    first = select(func.min(old.c.version)).where(
        old.c.estate == table.estate,
        old.c.terminal == table.terminal,
        old.c.campaign_id == campaign["args"]["rollback_of"],
    )
    query = select(table.estate, table.terminal, table.body).where(
        among((table.estate, table.terminal), keys), table.version < first.scalar_subquery()
    )
    return {(row.estate, row.terminal): row.body for row in connection.execute(query.order_by(table.version))}
