"""The engines of the center, in turn, in the one process that holds the lease. One that fails does not stop others."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final, Protocol

from sqlalchemy.exc import DBAPIError

from center.db import lease
from center.db.aside import why
from center.db.engine import Database, is_poison, reason, upsert
from center.db.tables import heartbeat

log = logging.getLogger("posdiag.center.engines")

LEASE_MS: Final = 30_000
RENEW_MS: Final = 5_000
RETRY_MS: Final = 1_000
BEAT_MS: Final = 5_000
MOST_TURNS: Final = 50  # of one engine in one step, so that none waits long for the others
LEASE: Final = "engines"


class Engine(Protocol):
    """One engine. What it decides and its cursor are committed together, so a kill anywhere repeats safely."""

    @property
    def name(self) -> str:
        """Its row in `heartbeat` is `engine-{name}`."""

    def step(self, now_ms: int) -> bool:
        """Do a bounded piece of work. True if there may be more to do at once."""


class Engines:
    """All engines. `step` is called every second or so, and when there is news, by one thread."""

    def __init__(self, database: Database, engines: Sequence[Engine]) -> None:
        self._database = database
        self._engines = tuple(engines)
        self._problems: dict[str, str] = {}
        self._beat_ms: dict[str, int] = {}
        self._asked_ms = 0
        self._leads = False

    def step(self, now_ms: int) -> bool:
        """Give each engine its turns. False when another process holds the lease, and nothing was done."""
        if not self._holds(now_ms):
            return False
        for engine in self._engines:
            self._turns(engine, now_ms)
        return True

    def _holds(self, now_ms: int) -> bool:
        """Whether the lease is this process's. It is renewed long before anybody else may take it."""
        if not 0 <= now_ms - self._asked_ms < (RENEW_MS if self._leads else RETRY_MS):
            self._leads = False  # if the database cannot be asked
            self._leads = lease.hold(self._database, LEASE, LEASE_MS, now_ms)
            self._asked_ms = now_ms
        return self._leads

    def _turns(self, engine: Engine, now_ms: int) -> None:
        problem, behind = "", False
        try:
            for _ in range(MOST_TURNS):
                behind = engine.step(now_ms)
                if not behind:
                    break
        except Exception as error:  # the others go on; what is wrong is told where people look
            problem = why(error)
            if is_poison(error) and problem != self._problems.get(engine.name):
                log.exception("engine %s", engine.name)
        self._tell(engine.name, problem, behind, now_ms)

    def _tell(self, name: str, problem: str, behind: bool, now_ms: int) -> None:
        changed = problem != self._problems.get(name)
        if changed and problem:
            log.warning("engine %s: %s", name, problem)
        if not changed and now_ms - self._beat_ms.get(name, 0) < BEAT_MS:
            return
        row = {"name": f"engine-{name}", "at_ms": now_ms, "data": lease.me() | {"problem": problem, "behind": behind}}
        try:
            with self._database.begin() as connection:
                upsert(connection, heartbeat, [row])
        except DBAPIError as error:
            log.warning("engine %s is not heard: %s", name, reason(error))
            return
        self._problems[name], self._beat_ms[name] = problem, now_ms
