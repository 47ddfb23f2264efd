"""Publishes what the outbox holds for the broker: commands, settings, and what merchants are told. At least once."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import random
import time
from collections.abc import Callable
from typing import Any, Final

from sqlalchemy import select, update
from sqlalchemy.exc import DBAPIError

from center.db.engine import Database, reason
from center.db.tables import heartbeat, outbox
from center.domain.posts import DONE, FAILED, WAITING
from center.ingest import slots
from center.ingest.link import Access, Cut, Link, LinkError
from center.ingest.worker import AWAY_S
from center.settings import Settings

log = logging.getLogger("posdiag.center.publisher")

LOOK_S: Final = 0.1
_RETRY_S: Final = (0.5, 15.0)
_STEADY_S: Final = 10.0  # a connection that ends sooner was none: pauses grow, and nothing is told again
_MOST: Final = 100
_LATE: Final = "its time was over before the broker could be reached"


class Publisher:
    """One connection that only publishes; `run` is its task. Belongs to the process that runs the engines."""

    def __init__(
        self, settings: Settings, database: Database, now_ms: Callable[[], int], leads: Callable[[], bool]
    ) -> None:
        self.connected = False
        self._access = Access.of(settings)
        self._client_id = f"center-{settings.name}-publisher"
        self._database = database
        self._now_ms = now_ms
        self._leads = leads
        self._problem = ""

    async def run(self) -> None:
        """Work until cancelled."""
        pause_s = _RETRY_S[0]
        while True:
            while not self._leads():  # noqa: ASYNC110 - a row of the database says so, nothing of this loop
                await asyncio.sleep(LOOK_S)  # another process does it: two with one name would throw each other out
            link, began = Link(self._access, self._client_id), time.monotonic()
            try:
                await link.open()
                self.connected = True
                await self._publish_always(link)
            except (LinkError, DBAPIError) as error:
                if self.connected and time.monotonic() - began > _STEADY_S:
                    pause_s, self._problem = _RETRY_S[0], ""
                self._tell(f"the database: {reason(error)}" if isinstance(error, DBAPIError) else str(error))
                if isinstance(error, Cut):
                    await self._keep_out()
            finally:
                self.connected = False
                await link.close()
            await asyncio.sleep(random.uniform(pause_s / 2, pause_s))  # noqa: S311 - only spread, not secret
            pause_s = min(2 * pause_s, _RETRY_S[1])

    async def _keep_out(self) -> None:
        """While another center of our name keeps our workers out, it would keep throwing us out, too."""
        self.connected = False
        while await asyncio.to_thread(self._are_out):  # noqa: ASYNC110 - a row of the database says so
            await asyncio.sleep(AWAY_S)

    def _are_out(self) -> bool:
        workers = select(heartbeat.c.data).where(heartbeat.c.name.startswith("ingest-"))
        try:
            with self._database.read() as connection:
                rows = connection.execute(workers).scalars().all()
        except DBAPIError:
            return False  # what is wrong is told when it is asked what is due
        return any(data.get("state") == slots.THROWN_OUT for data in rows)

    def _tell(self, problem: str) -> None:
        if problem != self._problem:
            log.warning("%s", problem)
        self._problem = problem

    async def _publish_always(self, link: Link) -> None:
        while self._leads():
            rows = await asyncio.to_thread(self._due, min(link.window, _MOST))
            if rows:
                await self._publish(link, rows)
            else:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_S):
                        await link.receive()  # notices at once when the connection is lost

    async def _publish(self, link: Link, rows: list[Any]) -> None:
        sent = [(row, self._post(link, row.payload)) for row in rows]
        ended = [(row.id, _LATE if number is None else await link.taken(number)) for row, number in sent]
        await asyncio.to_thread(self._mark, ended)

    def _post(self, link: Link, message: dict[str, Any]) -> int | None:
        """Send it; its number, or None when its time is over."""
        until_ms, correlation = message["until_ms"], message["correlation"]
        left_s = None if until_ms is None else (until_ms - self._now_ms()) // 1000
        if left_s is not None and left_s < 1:
            return None
        return link.post(
            message["topic"],
            base64.b64decode(message["payload"]),
            retain=message["retain"],
            expiry_s=left_s,
            response_topic=message["response_topic"],
            correlation=None if correlation is None else base64.b64decode(correlation),
        )

    def _due(self, most: int) -> list[Any]:
        due = (outbox.c.kind == "mqtt", outbox.c.state == WAITING, outbox.c.not_before_ms <= self._now_ms())
        with self._database.read() as connection:
            return list(connection.execute(select(outbox).where(*due).order_by(outbox.c.id).limit(most)))

    def _mark(self, ended: list[tuple[int, str]]) -> None:
        taken = [row_id for row_id, problem in ended if not problem]
        with self._database.begin() as connection:
            connection.execute(update(outbox).where(outbox.c.id.in_(taken)).values(state=DONE, error=""))
            for row_id, problem in ended:
                if problem:
                    values = {"state": FAILED, "error": problem}
                    connection.execute(update(outbox).where(outbox.c.id == row_id).values(values))
