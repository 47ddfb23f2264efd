"""A small fleet in a database, a clock that tests move, and what terminals say, without a broker."""

from __future__ import annotations

import itertools
from typing import Any

from sqlalchemy import select

from center.access import accounts
from center.access.roles import Role
from center.access.scope import EVERYTHING
from center.db import feed
from center.db.engine import Database, upsert
from center.db.tables import case_steps, cases, events, faults, outbox, sites, terminals
from center.domain.cases import Cases
from center.domain.cases_book import Act
from center.domain.cases_engine import CaseEngine
from center.domain.cases_messages import CaseMessages
from center.domain.cases_policy import Policy

START_MS = 1_790_000_000_000  # Monday 2026-09-21 14:13:20 UTC
MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
ESTATE = "north"
AGENT = Act(scope=EVERYTHING, by="ann")


def act(key: str | None = None, **more: Any) -> Act:
    usual: dict[str, Any] = {"scope": EVERYTHING, "by": "ann", "key": key}
    return Act(**(usual | more))


class World:
    """`now_ms` is the time; `run` lets the engines do what is due."""

    def __init__(self, database: Database, policy: Policy | None = None) -> None:
        self.database = database
        self.policy = policy or Policy(channel={"en": "Call 100", "zh": "请拨打100"})
        self.now_ms = START_MS
        self.cases = Cases(database, self.policy, lambda: self.now_ms)
        self.engine = CaseEngine(database, self.policy)
        self.messages = CaseMessages(database, self.policy)
        self._versions = itertools.count(1)

    def later(self, ms: int) -> None:
        """Time passes, and the engines are called."""
        self.now_ms += ms
        self.run()

    def run(self) -> None:
        for engine in (self.engine, self.messages):
            for _ in range(1000):
                if not engine.step(self.now_ms):
                    break
            else:
                raise AssertionError(f"{engine.name} never ends")

    def account(self, name: str, role: Role = "agent", **more: Any) -> None:
        with self.database.begin() as connection:
            accounts.create(connection, name, [role], self.now_ms, **more)

    def site(self, site: str = "s1", **more: Any) -> None:
        row = {
            "estate": ESTATE,
            "site": site,
            "name": "Corner shop",
            "region": "east",
            "updated_ms": self.now_ms,
        } | more
        with self.database.begin() as connection:
            upsert(connection, sites, [row])

    def terminal(self, terminal: str = "t1", **more: Any) -> None:
        printer = {"name": "printer", "unit": "printer", "model": "TM-T20", "serial": "P1", "firmware": "2.0"}
        row = {
            "estate": ESTATE,
            "terminal": terminal,
            "site": "s1",
            "region": "east",
            "operator": "46001",
            "model": "X990",
            "firmware": "1.4",
            "language": "zh",
            "status": "online",
            "can_sell": "yes",
            "inventory": {"agent": {"version": "1.0"}, "devices": [printer]},
            "last_contact_ms": self.now_ms,
            "created_ms": self.now_ms,
        } | more
        with self.database.begin() as connection:
            upsert(connection, terminals, [row])

    def fault(
        self, fault: str = "printer/mechanical_error", state: str = "raised", terminal: str = "t1", **more: Any
    ) -> None:
        row = {
            "estate": ESTATE,
            "terminal": terminal,
            "fault": fault,
            "state": state,
            "severity": "major",
            "cause": None,
            "act": "technician",
            "first_ms": self.now_ms - 1000,
            "last_ms": self.now_ms,
            "clock_ms": self.now_ms,
            "evidence": {"raw": "10"},
            "version": f"{next(self._versions):010}",
            "received_ms": self.now_ms,
        } | more
        with self.database.begin() as connection:
            upsert(connection, faults, [row])
            feed.append(connection, [("fault", ESTATE, terminal, fault)], self.now_ms)

    def event(self, event: str, data: Any = None, terminal: str = "t1") -> None:
        row = {
            "estate": ESTATE,
            "terminal": terminal,
            "boot": 1,
            "seq": next(self._versions),
            "at_ms": self.now_ms,
            "up_ms": 1,
            "clock": "synced",
            "event": event,
            "data": data or {},
            "received_ms": self.now_ms,
        }
        with self.database.begin() as connection:
            key = connection.execute(events.insert().values(**row).returning(events.c.id)).scalar_one()
            feed.append(connection, [("event", ESTATE, terminal, str(key))], self.now_ms)

    def rows(self, table: Any, *where: Any) -> list[dict[str, Any]]:
        order = next(iter(table.primary_key))
        with self.database.read() as connection:
            return [dict(row) for row in connection.execute(select(table).where(*where).order_by(order)).mappings()]

    def case(self, **where: Any) -> dict[str, Any]:
        """The only case with these values."""
        (found,) = self.rows(cases, *(cases.c[name] == value for name, value in where.items()))
        return found

    def steps(self, case_id: str) -> list[str]:
        return [row["kind"] for row in self.rows(case_steps, case_steps.c.case_id == case_id)]

    def posts(self, kind: str) -> list[dict[str, Any]]:
        return [row["payload"] for row in self.rows(outbox, outbox.c.kind == kind)]

    def told(self, event: str) -> list[dict[str, Any]]:
        return [payload for payload in self.posts("notify") if payload["event"] == event]
