"""A fleet to act on, the key to do it with, and the terminals' side of it as the contract has it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sqlalchemy import insert, select, update

from agent import wire
from agent.pki import Authority
from agent.signed import verified
from center.access.roles import Role, Who
from center.access.scope import EVERYTHING, Scope
from center.db import feed
from center.db.engine import Database, bulk_insert
from center.db.tables import events, outbox, results, terminals

NOW = 1_790_000_000_000  # 2026-09-21 14:13:20 UTC


def person(name: str, *roles: Role, scope: Scope = EVERYTHING) -> Who:
    return Who(name, frozenset(roles), scope, account_id=f"acc-{name}")


def fleet(database: Database, names: Iterable[str], **more: Any) -> None:
    """Terminals of estate "e" that are online and take every command."""
    row = {
        "estate": "e",
        "status": "online",
        "can_sell": "yes",
        "inventory": {"commands": ["check", "identify", "print_slip", "recover", "reboot", "collect"]},
        "created_ms": NOW,
        **more,
    }
    with database.begin() as connection:
        bulk_insert(connection, terminals, [{**row, "terminal": name} for name in names])


def change(database: Database, name: str, key: str, now_ms: int = NOW, **values: Any) -> None:
    """What a worker does when a terminal's retained topic comes."""
    with database.begin() as connection:
        connection.execute(update(terminals).where(terminals.c.terminal == name).values(**values))
        feed.append(connection, [("terminal", "e", name, key)], now_ms)


class Line:
    """Between outbox and terminals: takes messages as the broker would, and answers as terminals do."""

    def __init__(self, database: Database, keys_file: Path) -> None:
        self._database = database
        self._keys_file = keys_file
        self._seq = 0

    def take(self, most: int = 100_000) -> list[dict[str, Any]]:
        """Deliver what waits: topic, claims, and what the message carries beside."""
        with self._database.begin() as connection:
            waiting = select(outbox).where(outbox.c.state == "waiting").order_by(outbox.c.id)
            rows = connection.execute(waiting.limit(most)).all()
            ids = [row.id for row in rows]
            for start in range(0, len(ids), 500):
                some = outbox.c.id.in_(ids[start : start + 500])
                connection.execute(update(outbox).where(some).values(state="done"))
        return [self._message(row.payload) for row in rows]

    def _message(self, message: dict[str, Any]) -> dict[str, Any]:
        _kid, payload = verified(base64.b64decode(message["payload"]), self._keys_file)
        return {**message, "claims": json.loads(payload), "kid": _kid}

    def answer(self, command_id: str, *states: str, terminal: str = "t1", estate: str = "e", **more: Any) -> None:
        """Results as the ingest stores them."""
        rows = []
        for state in states:
            self._seq += 1
            names = {"estate": estate, "terminal": terminal, "boot": 1, "seq": self._seq, "command_id": command_id}
            rows.append({**names, "state": state, "at_ms": NOW, "received_ms": NOW, **more})
        with self._database.begin() as connection:
            connection.execute(insert(results), rows)
            feed.append(connection, [("result", estate, terminal, command_id) for _ in rows], NOW)

    def event(self, terminal: str, event: str, data: dict[str, Any]) -> None:
        """A line of a terminal's log as the ingest stores it."""
        self._seq += 1
        row = {
            "estate": "e",
            "terminal": terminal,
            "boot": 1,
            "seq": self._seq,
            "at_ms": NOW,
            "up_ms": 1,
            "clock": "synced",
            "event": event,
            "data": data,
            "received_ms": NOW,
        }
        with self._database.begin() as connection:
            number = connection.execute(insert(events).values(row)).inserted_primary_key
            assert number is not None
            feed.append(connection, [("event", "e", terminal, str(number[0]))], NOW)


def new_key(folder: Path) -> tuple[Path, Path]:
    """One more command key: its private file, and the key set that terminals get."""
    private, public = Authority(folder).command_key()
    return private, public


def command_of(message: dict[str, Any]) -> wire.CommandBody:
    """What the terminal's validation makes of it."""
    return wire.decode(wire.CommandBody, wire.dumps(message["claims"]))
