"""Commands to terminals: who may give them, who must agree, and what goes out.

Every command has a reason and lives for 300 s at most. What reboots, and what goes to many, needs the word of a second
person. The row, the line of the audit and the signed message are committed together; center/domain/commands_engine.py
follows what becomes of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from sqlalchemy import Connection, Row, func, insert, select, update

from agent import wire
from center.access import audit
from center.access.audit import Entry
from center.access.roles import Permission, Who
from center.access.scope import Scope
from center.db import feed
from center.db.engine import Database, insert_ignore
from center.db.tables import commands, outbox, terminals
from center.domain import four_eyes, posts
from center.domain.commands_key import Signer
from center.domain.commands_order import ALL, Order, check_order, check_reason
from center.domain.refusal import Refusal
from center.ids import new_id

FOUR_EYES_TIER: Final = 3
FOUR_EYES_TERMINALS: Final = 20
"""More terminals than this at once need a second person."""
LIFE_S: Final = 300
EARLY_S: Final = 10  # of its life lies in the past, for a terminal whose clock is slow
APPROVAL_MS: Final = 3_600_000  # nobody remembers later why it was wanted


class Commands:
    """Gives commands. `issuer` is this center's name, which terminals write down. All functions raise Refusal."""

    def __init__(self, database: Database, signer: Signer, issuer: str, many: int = FOUR_EYES_TERMINALS) -> None:
        self._database = database
        self._signer = signer
        self._issuer = issuer
        self._many = many

    @property
    def kid(self) -> str:
        """The id of the key that commands are signed with now."""
        return self._signer.kid

    def give(self, who: Who, order: Order, now_ms: int) -> str:
        """Send it, or have it wait for a second person; its id."""
        tier = check_order(order.cmd, order.args, broadcast=order.terminal == ALL)
        demand(who, cast("Permission", f"command.{tier}"))
        reason = check_reason(order.reason)
        command_id = new_id("cmd", now_ms)
        with self._database.begin() as connection:
            reach = self._reach(connection, who.scope, order)
            waits = tier >= FOUR_EYES_TIER or reach > self._many
            self._signer.check()  # now, and not when a second person has been found
            row = {
                "id": command_id,
                "estate": order.estate,
                "terminal": order.terminal,
                "cmd": order.cmd,
                "args": dict(order.args),
                "tier": tier,
                "reason": reason,
                "issued_by": who.name,
                "asked_by_account": four_eyes.first(who) if waits else who.account_id,
                "state": "waiting_approval" if waits else "queued",
                "exp_ms": now_ms + APPROVAL_MS,
                "case_id": order.case_id,
                "created_ms": now_ms,
                "updated_ms": now_ms,
            }
            message: list[dict[str, Any]] = []
            if not waits:
                times, post = sealed(self._signer, f"{self._issuer}/{who.name}", row, now_ms)
                row, message = row | times, [post]
            connection.execute(insert(commands).values(row))
            insert_ignore(connection, outbox, message)
            self._tell(connection, who, "command.give", row, now_ms, {"cmd": order.cmd, "tier": tier, "reason": reason})
        return command_id

    def approve(self, who: Who, command_id: str, now_ms: int) -> None:
        """The second person's yes: it goes out."""
        with self._database.begin() as connection:
            row = self._waiting(connection, who, command_id)
            four_eyes.check_second(who, row["asked_by_account"], "gave the command")
            times, post = sealed(self._signer, f"{self._issuer}/{row['issued_by']}+{who.name}", row, now_ms)
            changed = {**times, "approved_by": who.name, "state": "queued", "updated_ms": now_ms}
            connection.execute(update(commands).where(commands.c.id == command_id).values(changed))
            insert_ignore(connection, outbox, [post])
            self._tell(connection, who, "command.approve", row, now_ms, {"cmd": row["cmd"]})

    def decline(self, who: Who, command_id: str, why: str, now_ms: int) -> None:
        """The second person's no, or the first one's change of mind."""
        why = check_reason(why)
        with self._database.begin() as connection:
            row = self._waiting(connection, who, command_id)
            changed = {"state": "rejected", "error": f"{who.name} declined: {why}", "updated_ms": now_ms}
            connection.execute(update(commands).where(commands.c.id == command_id).values(changed))
            self._tell(connection, who, "command.decline", row, now_ms, {"why": why})

    def _waiting(self, connection: Connection, who: Who, command_id: str) -> dict[str, Any]:
        query = select(commands).where(commands.c.id == command_id, commands.c.state == "waiting_approval")
        row = connection.execute(query.with_for_update()).mappings().first()
        if row is None or not in_scope(connection, who.scope, row["estate"], row["terminal"]):
            raise Refusal("not_found", "no such command waits for a second person")
        if row["issued_by"] != who.name and row["asked_by_account"] != who.account_id:
            demand(who, "command.approve")
        return dict(row)

    def _reach(self, connection: Connection, scope: Scope, order: Order) -> int:
        """How many terminals it goes to; raises Refusal for one that is not there, or does not take it."""
        if order.terminal == ALL:
            if not in_scope(connection, scope, order.estate, ALL):
                raise Refusal("not_found", "no such estate, or not all of it is yours")
            many = select(terminals.c.terminal).where(terminals.c.estate == order.estate).limit(self._many + 1)
            reach = int(connection.execute(select(func.count()).select_from(many.subquery())).scalar_one())
            if not reach:
                raise Refusal("not_found", "no such estate, or not all of it is yours")
            return reach
        row = terminal_row(connection, scope, order.estate, order.terminal)
        takes = (row.inventory or {}).get("commands")
        if takes is not None and order.cmd not in takes:
            raise Refusal("conflict", f"this terminal takes {', '.join(takes) or 'no commands'}")
        return 1

    def _tell(
        self,
        connection: Connection,
        who: Who,
        what: str,
        row: Mapping[str, Any],
        now_ms: int,
        detail: Mapping[str, Any],
    ) -> None:
        where = f"{row['estate']}/{row['terminal']}"
        audit.append(connection, [Entry(now_ms, who.name, what, where, {"command": row["id"], **detail})])
        feed.append(connection, [("command", row["estate"], row["terminal"], row["id"])], now_ms)


def sealed(signer: Signer, issuer: str, row: Mapping[str, Any], now_ms: int) -> tuple[dict[str, int], dict[str, Any]]:
    """Sign a command: `nbf_ms` and `exp_ms` for its row, and the row of `outbox` that carries it."""
    nbf = now_ms // 1000 - EARLY_S
    topics = wire.Topics(row["estate"], row["terminal"])
    claims = wire.CommandBody(
        iss=issuer[:64],
        aud=f"{row['estate']}/{row['terminal']}",
        jti=row["id"],
        nbf=nbf,
        exp=nbf + LIFE_S,
        cmd=row["cmd"],
        args=row["args"],
        tier=row["tier"],
    )
    exp_ms = claims.exp * 1000
    post = posts.mqtt(
        f"command/{row['id']}",
        topics.of("command"),
        signer.sign(wire.to_json_whole(claims)),
        now_ms,
        until_ms=exp_ms,
        response_topic=topics.result(row["id"]),
        correlation=row["id"].encode(),
    )
    return {"nbf_ms": nbf * 1000, "exp_ms": exp_ms}, post


def demand(who: Who, permission: Permission) -> None:
    """Raises Refusal unless this person has the permission."""
    if not who.may(permission):
        raise Refusal("forbidden", f"this needs the permission {permission}")


def terminal_row(connection: Connection, scope: Scope, estate: str, terminal: str) -> Row[Any]:
    """The terminal's row. Raises Refusal for one that is not there, or outside of the scope."""
    here = (terminals.c.estate == estate) & (terminals.c.terminal == terminal)
    row = connection.execute(select(terminals).where(here, scope.where(terminals))).first()
    if row is None:
        raise Refusal("not_found", "no such terminal")
    return row


def in_scope(connection: Connection, scope: Scope, estate: str, terminal: str) -> bool:
    """Whether a terminal, or with "all" the whole estate, is inside of the scope."""
    if terminal == ALL:
        return scope.contains(Scope(estates=(estate,)))
    here = (terminals.c.estate == estate) & (terminals.c.terminal == terminal)
    return connection.execute(select(terminals.c.terminal).where(here, scope.where(terminals))).first() is not None
