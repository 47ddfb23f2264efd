"""Campaigns: one action for many terminals, in waves, which stops by itself when it does harm.

Kinds: `check`, `collect`, `readiness` (a full check before a busy day, center/domain/campaigns_readiness.py), `config`
(settings), and `command` for any other command. A draft is started by somebody; what changes settings, reboots, or
goes to many needs a second person before that. center/domain/campaigns_engine.py carries it out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final, cast

from sqlalchemy import Connection, func, insert, select, update

from agent import wire
from center.access import audit
from center.access.audit import Entry
from center.access.roles import Permission, Who
from center.access.scope import Scope
from center.db import feed
from center.db.engine import Database
from center.db.tables import campaign_targets, campaigns
from center.domain import campaigns_audience, campaigns_plan, four_eyes
from center.domain.commands import FOUR_EYES_TERMINALS, FOUR_EYES_TIER, demand
from center.domain.commands_order import check_order, check_reason
from center.domain.desired_settings import check_patch
from center.domain.refusal import Refusal
from center.ids import new_id
from center.ingest import cards

KINDS: Final = ("check", "collect", "readiness", "config", "command")
CONFIG_TIER: Final = 3
HALT_SHARE: Final = 0.1
LIVE: Final = ("running", "paused", "halted")
_NAME_LENGTH: Final = 120
_EXAMPLE: Final = {"estate": "e", "terminal": "t", "id": "cmd-0"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a campaign shall be.

    `args` by kind: check, collect and command as commands have them (`url` may hold {estate}, {terminal} and {id}; kind
    command also has `cmd`), readiness `date` of the busy day and `level`, config `settings` by table and key, null for
    the terminal's own value.
    """

    name: str
    kind: str
    audience: Mapping[str, Any]
    reason: str
    args: Mapping[str, Any] = field(default_factory=dict)
    waves: Sequence[Mapping[str, Any]] = ()
    pace: Mapping[str, Any] = field(default_factory=dict)
    halt_share: float = HALT_SHARE


class Campaigns:
    """What people do with campaigns. All functions raise Refusal."""

    def __init__(self, database: Database, many: int = FOUR_EYES_TERMINALS) -> None:
        self._database = database
        self._many = many

    def create(self, who: Who, plan: Plan, now_ms: int) -> str:
        """A draft, or one that waits for a second person; its id."""
        demand(who, "campaign.write")
        row = self._row(who, plan, now_ms)
        with self._database.begin() as connection:
            found = campaigns_audience.members(who.scope, row["audience"]).subquery()
            row["targets_n"] = connection.execute(select(func.count()).select_from(found)).scalar_one()
            if not row["targets_n"]:
                raise Refusal("invalid", "no terminal of yours is like that")
            self._add(connection, who, row)
        return str(row["id"])

    def roll_back(self, who: Who, campaign_id: str, reason: str, now_ms: int) -> str:
        """A draft that gives each terminal of a config campaign the settings back that it had before; its id.

        It needs no second person: two have agreed on those settings before.
        """
        demand(who, "campaign.write")
        with self._database.begin() as connection:
            old = self._find(connection, who.scope, campaign_id, ("running", "paused", "halted", "done", "cancelled"))
            if old["kind"] != "config" or "rollback_of" in old["args"]:
                raise Refusal("conflict", "only a campaign that changed settings can be rolled back")
            if old["state"] == "running":
                raise Refusal("conflict", "pause or cancel the campaign first")
            row = {name: old[name] for name in ("audience", "halt_share", "targets_n")} | {
                "id": new_id("camp", now_ms),
                "name": f"back: {old['name']}"[:_NAME_LENGTH],
                "kind": "config",
                "args": {"rollback_of": campaign_id},
                "waves": [{"share": 1.0, "pause_s": 0}],
                "pace": {**old["pace"], "quiet": False},
                "reason": check_reason(reason),
                "scope": who.scope.to_json(),
                "state": "draft",
                "created_by": who.name,
                "asked_by_account": who.account_id,
                "approved_by": old["approved_by"],
                "created_ms": now_ms,
                "updated_ms": now_ms,
            }
            self._add(connection, who, row)
        return str(row["id"])

    def approve(self, who: Who, campaign_id: str, now_ms: int) -> None:
        """The second person's yes: it may be started."""
        demand(who, "campaign.approve")
        with self._database.begin() as connection:
            row = self._find(connection, who.scope, campaign_id, ("waiting_approval",))
            four_eyes.check_second(who, row["asked_by_account"], "made the campaign")
            self._move(connection, who, row, "draft", now_ms, approved_by=who.name, why="")

    def start(self, who: Who, campaign_id: str, now_ms: int) -> None:
        """From a draft to its first wave."""
        self._step(who, campaign_id, ("draft",), "running", now_ms, started_ms=now_ms, why="")

    def pause(self, who: Who, campaign_id: str, reason: str, now_ms: int) -> None:
        """No further terminal is asked; those that were go on."""
        self._step(who, campaign_id, ("running",), "paused", now_ms, why=f"{who.name}: {check_reason(reason)}")

    def resume(self, who: Who, campaign_id: str, now_ms: int) -> None:
        """Go on. After a halt, earlier failures have been looked at and count no more."""
        self._step(who, campaign_id, ("paused", "halted"), "running", now_ms, started_ms=now_ms, why="")

    def cancel(self, who: Who, campaign_id: str, reason: str, now_ms: int) -> None:
        """For good. What is done stays done; see `roll_back`."""
        states = ("waiting_approval", "draft", *LIVE)
        why = f"{who.name}: {check_reason(reason)}"
        self._step(who, campaign_id, states, "cancelled", now_ms, ended_ms=now_ms, why=why)

    def _step(self, who: Who, campaign_id: str, states: Sequence[str], state: str, now_ms: int, **values: Any) -> None:
        demand(who, "campaign.write")
        with self._database.begin() as connection:
            row = self._find(connection, who.scope, campaign_id, states)
            self._move(connection, who, row, state, now_ms, **values)

    def _find(self, connection: Connection, scope: Scope, campaign_id: str, states: Sequence[str]) -> dict[str, Any]:
        query = select(campaigns).where(campaigns.c.id == campaign_id).with_for_update()
        row = connection.execute(query).mappings().first()
        if row is None or not visible(connection, scope, dict(row)):
            raise Refusal("not_found", "no such campaign")
        if not scope.contains(Scope.of(row["scope"])):
            raise Refusal("forbidden", "the campaign reaches further than your scope")
        if row["state"] not in states:
            raise Refusal("conflict", f"the campaign is {row['state'].replace('_', ' ')}")
        return dict(row)

    def _move(
        self, connection: Connection, who: Who, row: Mapping[str, Any], state: str, now_ms: int, **values: Any
    ) -> None:
        changed = {"state": state, "updated_ms": now_ms, **values}
        connection.execute(update(campaigns).where(campaigns.c.id == row["id"]).values(changed))
        detail = {"from": row["state"], "to": state, "why": values.get("why", "")}
        audit.append(connection, [Entry(now_ms, who.name, "campaign.move", row["id"], detail)])
        feed.append(connection, [("campaign", None, None, row["id"])], now_ms)

    def needs_second(self, kind: str, args: Mapping[str, Any], targets_n: int) -> bool:
        """Whether a second person has to agree. Pure, for arguments that `check_args` gave."""
        return _tier(kind, args) >= FOUR_EYES_TIER or targets_n > self._many

    def _add(self, connection: Connection, who: Who, row: dict[str, Any]) -> None:
        if "state" not in row:
            risky = self.needs_second(row["kind"], row["args"], row["targets_n"])
            row["state"] = "waiting_approval" if risky else "draft"
        if row["state"] == "waiting_approval":
            four_eyes.first(who)
        connection.execute(insert(campaigns).values(row))
        told = ("name", "kind", "audience", "args", "waves", "pace", "halt_share", "reason", "targets_n")
        detail = {name: row[name] for name in told}
        audit.append(connection, [Entry(row["created_ms"], who.name, "campaign.create", row["id"], detail)])
        feed.append(connection, [("campaign", None, None, row["id"])], row["created_ms"])

    def _row(self, who: Who, plan: Plan, now_ms: int) -> dict[str, Any]:
        name = cards.redact(" ".join(plan.name.split()))
        if not 0 < len(name) <= _NAME_LENGTH:
            raise Refusal("invalid", f"a campaign has a name of {_NAME_LENGTH} characters at most")
        if isinstance(plan.halt_share, bool) or not 0 < plan.halt_share <= 1:
            raise Refusal("invalid", "halt_share lies above 0 and is 1 at most")
        args = check_args(plan.kind, plan.args)
        demand(who, cast("Permission", f"command.{_tier(plan.kind, args)}"))
        return {
            "id": new_id("camp", now_ms),
            "name": name,
            "kind": plan.kind,
            "audience": campaigns_audience.check(plan.audience),
            "waves": campaigns_plan.check_waves(plan.waves),
            "pace": campaigns_plan.check_pace(plan.pace),
            "args": args,
            "halt_share": float(plan.halt_share),
            "reason": check_reason(plan.reason),
            "scope": who.scope.to_json(),
            "created_by": who.name,
            "asked_by_account": who.account_id,
            "created_ms": now_ms,
            "updated_ms": now_ms,
        }


def check_args(kind: str, args: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a kind as they are kept. Raises Refusal."""
    if kind == "config":
        if set(args) != {"settings"}:
            raise Refusal("invalid", "a config campaign has settings")
        return {"settings": check_patch(args["settings"])}
    if kind == "readiness":
        if set(args) - {"date", "level"}:
            raise Refusal("invalid", "a readiness campaign has date and level")
        try:
            date.fromisoformat(str(args.get("date")))
        except ValueError:
            raise Refusal("invalid", "date is the day to be ready for, such as 2026-12-24") from None
    elif kind not in KINDS:
        raise Refusal("invalid", f"the kinds are {', '.join(KINDS)}")
    cmd, given = order_of(kind, args, _EXAMPLE)
    check_order(cmd, given)
    return dict(args)


def order_of(kind: str, args: Mapping[str, Any], about: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    """The command that a terminal gets, and its arguments. `about` is estate, terminal and id."""
    if kind == "readiness":
        return "check", {"report": True, "level": args.get("level", "internal")}
    given = {name: value for name, value in args.items() if kind != "command" or name != "cmd"}
    if isinstance(given.get("url"), str):
        for name, value in about.items():
            given["url"] = given["url"].replace(f"{{{name}}}", value)
    return (str(args.get("cmd")) if kind == "command" else kind), given


def _tier(kind: str, args: Mapping[str, Any]) -> int:
    return CONFIG_TIER if kind == "config" else wire.TIERS[order_of(kind, args, {})[0]]


def visible(connection: Connection, scope: Scope, row: Mapping[str, Any]) -> bool:
    """Whether a campaign is inside of a scope: all of what it was made for, or, once listed, some of its targets."""
    if scope.contains(Scope.of(row["scope"])):
        return True
    target = select(campaign_targets.c.terminal).where(
        campaign_targets.c.campaign_id == row["id"], scope.where(campaign_targets)
    )
    return connection.execute(target.limit(1)).first() is not None


def progress(connection: Connection, scope: Scope, campaign_id: str) -> dict[str, Any]:
    """Targets by state, in all and by wave, of the part inside of the scope. Raises Refusal."""
    row = connection.execute(select(campaigns).where(campaigns.c.id == campaign_id)).mappings().first()
    if row is None or not visible(connection, scope, dict(row)):
        raise Refusal("not_found", "no such campaign")
    target = campaign_targets.c
    query = select(target.wave, target.state, func.count()).where(
        target.campaign_id == campaign_id, scope.where(campaign_targets, many=True)
    )
    waves: dict[int, dict[str, int]] = {}
    total: dict[str, int] = {}
    for wave, state, n in connection.execute(query.group_by(target.wave, target.state)):
        waves.setdefault(int(wave), {})[str(state)] = int(n)
        total[state] = total.get(state, 0) + int(n)
    listed = [{"wave": wave, "states": waves[wave]} for wave in sorted(waves)]
    return {"state": row["state"], "why": row["why"], "wave": row["wave"], "states": total, "waves": listed}
