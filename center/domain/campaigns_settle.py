"""What answers mean for the targets of campaigns. Each function belongs into a transaction that also saves the cursor.

A terminal's word stands over what was assumed in its silence: a target that was given up is done if it was done.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, and_, bindparam, select, update

from center.db.engine import among
from center.db.tables import campaign_targets, campaigns, commands, desired_configs, terminals
from center.domain.campaigns_readiness import assess, keep_todo, verdict
from center.domain.commands_engine import FINAL

RETRY_MS: Final = 600_000
_SLICE: Final = 400
_FAILED: Final = frozenset({"failed", "rejected", "interrupted"})
_OPEN: Final = ("waiting", "offline", "sent", "unanswered")


def commands_ended(connection: Connection, ids: Collection[str], now_ms: int) -> set[str]:
    """Commands that ended; the campaigns that they were of."""
    found: list[dict[str, Any]] = []
    listed = sorted(ids)
    target = campaign_targets.c
    for start in range(0, len(listed), _SLICE):
        ended = and_(
            commands.c.id.in_(listed[start : start + _SLICE]),
            commands.c.campaign_id.is_not(None),
            commands.c.state.in_(sorted(FINAL)),
            target.state.in_(_OPEN),
        )
        of = and_(
            target.campaign_id == commands.c.campaign_id,
            target.estate == commands.c.estate,
            target.terminal == commands.c.terminal,
            target.command_id == commands.c.id,
        )
        joined = commands.join(campaign_targets, of).join(campaigns, campaigns.c.id == commands.c.campaign_id)
        query = select(
            *(commands.c[name] for name in ("campaign_id", "estate", "terminal", "state", "output", "error")),
            target.attempts,
            target.state.label("was"),
            *(campaigns.c[name] for name in ("kind", "args", "pace")),
        )
        query = query.select_from(joined).where(ended).with_for_update(of=campaign_targets)  # none ends meanwhile
        rows = connection.execute(query).mappings()
        found += [dict(row) for row in rows if row["state"] != "expired" or row["was"] == "sent"]
    checked = [row for row in found if row["kind"] == "readiness" and row["state"] == "succeeded"]
    assess(connection, checked, now_ms)
    keep_todo(connection, checked)
    return _settle(connection, [_after_command(row, now_ms) for row in found], now_ms)


def _after_command(row: Mapping[str, Any], now_ms: int) -> dict[str, Any]:
    """What a command's end makes of its target."""
    state, later = ("failed" if row["state"] in _FAILED else str(row["state"])), None
    if state == "expired":
        again = row["attempts"] < row["pace"]["attempts"]
        state, later = ("waiting", now_ms + RETRY_MS) if again else ("unanswered", None)
    told = {"b_error": row["error"], "b_data": row.get("data"), "b_verdict": verdict(row.get("data"))}
    return {**_key(row), "b_state": state, "b_not_before_ms": later, **told}


def settings_ended(connection: Connection, versions: Collection[tuple[str, str, int]], now_ms: int) -> set[str]:
    """Settings that were applied, or not; the campaigns that they were of."""
    ends = {"applied": "succeeded", "drifted": "succeeded", "rejected": "failed", "rolled_back": "failed"}
    found: list[dict[str, Any]] = []
    listed = sorted(versions)
    table = desired_configs.c
    for start in range(0, len(listed), _SLICE):
        which = among((table.estate, table.terminal, table.version), listed[start : start + _SLICE])
        query = select(table.campaign_id, table.estate, table.terminal, table.state, table.error)
        query = query.where(which, table.campaign_id.is_not(None), table.state.in_(sorted(ends)))
        found += [dict(row) for row in connection.execute(query).mappings()]
    rows = [
        {**_key(row), "b_state": ends[row["state"]], "b_not_before_ms": None, "b_error": row["error"]}
        | {"b_data": None, "b_verdict": None}
        for row in found
    ]
    return _settle(connection, rows, now_ms)


def wake(connection: Connection, keys: Collection[tuple[str, str]], now_ms: int) -> None:
    """Terminals whose state was told: those that are there again can be asked."""
    running = connection.execute(select(campaigns.c.id).where(campaigns.c.state.in_(("running", "paused", "halted"))))
    ids, listed = list(running.scalars()), sorted(keys)
    for start in range(0, len(listed), _SLICE) if ids else ():
        some = listed[start : start + _SLICE]
        here = select(terminals.c.estate, terminals.c.terminal).where(
            among((terminals.c.estate, terminals.c.terminal), some), terminals.c.status != "offline"
        )
        back = [tuple(row) for row in connection.execute(here)]
        target = campaign_targets.c
        for campaign_id in ids if back else ():
            which = and_(target.campaign_id == campaign_id, among((target.estate, target.terminal), back))
            waiting = update(campaign_targets).where(which, target.state == "offline")
            connection.execute(waiting.values(state="waiting", not_before_ms=None, updated_ms=now_ms))


def _key(row: Mapping[str, Any]) -> dict[str, Any]:
    return {f"b_{name}": row[name] for name in ("campaign_id", "estate", "terminal")}


def _settle(connection: Connection, rows: Sequence[Mapping[str, Any]], now_ms: int) -> set[str]:
    if not rows:
        return set()
    mine = and_(
        *(campaign_targets.c[name] == bindparam(f"b_{name}") for name in ("campaign_id", "estate", "terminal")),
        *(campaign_targets.c.state != done for done in ("succeeded", "failed", "skipped")),
    )
    names = ("state", "not_before_ms", "error", "data", "verdict")
    values: dict[str, Any] = {name: bindparam(f"b_{name}") for name in names}
    connection.execute(update(campaign_targets).where(mine).values(**values, updated_ms=now_ms), rows)
    return {row["b_campaign_id"] for row in rows}
