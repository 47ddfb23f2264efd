"""A sign of life to a service outside that alarms when it stays away: only such a one can when this machine is dead.

It goes out each minute while everything that the center looks at of itself is right, from the process that leads.
"""

from __future__ import annotations

import logging
from typing import Final

import httpx

from center.db.engine import Database
from center.domain import selfwatch
from center.settings import Settings

log = logging.getLogger("posdiag.center.heartbeat")

EVERY_MS: Final = 60_000
TIMEOUT_S: Final = 10.0


class Heartbeat:
    """`step` is called every second or so, by one thread."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._url = settings.heartbeat_url
        self._sent_ms = 0
        self._problem = ""

    def step(self, now_ms: int) -> bool:
        """Send if it is time and all is well. Never has more to do at once."""
        if self._url and not 0 <= now_ms - self._sent_ms < EVERY_MS:
            with self._database.read() as connection:
                health = selfwatch.health(connection, now_ms)
            if health.looked and not health.wrong:
                self._sent_ms = now_ms
                self._tell(self._send())
        return False

    def _send(self) -> str:
        """What went wrong, "" for nothing."""
        try:
            answer = httpx.get(self._url, timeout=TIMEOUT_S, follow_redirects=False)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return f"nobody answers there: {type(error).__name__}"
        return "" if answer.is_success else f"answered {answer.status_code}"

    def _tell(self, problem: str) -> None:
        """The address itself is as good as a password, and is not told."""
        if problem and problem != self._problem:
            log.warning("heartbeat_url: %s", problem)
        self._problem = problem
