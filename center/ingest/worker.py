"""A worker of the ingest: messages from the broker into the database, acknowledged once they are on the disk.

One task reads and validates, one writes: while a batch is written the next one is gathered. When the database is slow,
reading stops, and what waits does so at the broker.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

import mqtt5
from sqlalchemy.exc import DBAPIError

from agent import wire
from center.db.engine import Database, is_poison, reason
from center.ingest import slots
from center.ingest.batch import Batch
from center.ingest.link import Access, Cut, Link, LinkError, Mute, TakenOver
from center.ingest.reader import Reader
from center.ingest.writer import Writer, now_ms
from center.settings import Settings

log = logging.getLogger("posdiag.center.ingest")

SESSION_S: Final = 600
"""How long the broker keeps what is for a worker that died. It is back in seconds, by whoever supervises it."""
BEAT_S: Final = 5.0
AWAY_S: Final = 60.0
"""How long a worker keeps out that another center of its name threw out, until it looks whether that one has gone."""
_RETRY_S: Final = (0.2, 5.0)
_RECONNECT_S: Final = (0.5, 15.0)
_MUTE: Final = 2
"""So often a broker may not answer in the session that it kept for us: rumqttd never does again after some deaths."""
_SHARED: Final = ("event", "telemetry", "result/+")
_PLAIN: Final = ("state", "inventory", "health", "fault/+/+", "faults", "config/reported")


async def _nobody() -> bool:
    return False


@dataclass(slots=True)
class Gathered:
    """Messages as they came, and as rows."""

    batch: Batch = field(default_factory=Batch)
    messages: list[mqtt5.PublishPacket] = field(default_factory=list)
    since: float = field(default_factory=time.monotonic)


class Worker:
    """One worker. `run` is its task; the rest may be looked at from the same loop. Raises nothing but cancellation."""

    def __init__(self, settings: Settings, database: Database, clock_ms: Callable[[], int] = now_ms) -> None:
        self.connected = False
        """Whether all subscriptions are in force."""
        self.problem = ""
        """What stands in the way, in one line."""
        self.slot = slots.take(database, settings.name, clock_ms())
        self.thrown_out = 0
        """How often another center of our name did that."""
        self.has_rival: Callable[[], Awaitable[bool]] = _nobody
        """Whether there is such a center."""
        self._keeps_out = False
        self._settings = settings
        self._access = Access.of(settings)
        self._database = database
        self._clock_ms = clock_ms
        self._reader = Reader()
        self._writer = Writer(database)
        self._pool = ThreadPoolExecutor(1, "writer")
        self._gathered = Gathered()
        self._changed = asyncio.Condition()
        self._link: Link | None = None
        self._stray = False
        self._certificate_ends_ms: int | None = None
        self._news = asyncio.Event()

    async def run(self) -> None:
        """Work until cancelled; then finish what has been taken, and leave politely."""
        async with asyncio.TaskGroup() as tasks:
            writing = tasks.create_task(self._write_always())
            beating = tasks.create_task(self._beat_always())
            try:
                await self._connect_always()
            finally:
                await asyncio.shield(self._leave(writing, beating))

    async def _leave(self, *others: asyncio.Task[None]) -> None:
        self.connected = False
        for other in others:
            other.cancel()
        await asyncio.wait(others)
        self.close()
        if self._link is not None:
            await self._link.close()
        try:
            slots.leave(self._database, self.slot)
        except DBAPIError as error:
            log.warning("the slot stays taken: %s", reason(error))

    # --- the broker ---------------------------------------------------------------------------------------------------

    async def _connect_always(self) -> None:
        pause_s, mute = _RECONNECT_S[0], 0
        while True:
            anew = mute >= _MUTE
            if anew:
                log.warning(
                    "the broker does not answer in our old session; what it kept there is lost, as gaps will say"
                )
            self._link = Link(self._access, self._client_id, session_s=SESSION_S, anew=anew)
            try:
                await self._take_in(self._link)
            except LinkError as error:
                mute = 0 if anew or self.connected else mute + isinstance(error, Mute)
                was_cut = error if self.connected and isinstance(error, Cut) else None
                if self.connected:
                    pause_s = _RECONNECT_S[0]
                self.connected = False
                self._tell(str(error))
            await self._link.close(politely=False)
            if was_cut is not None:
                await self._give_way(was_cut)
            await asyncio.sleep(random.uniform(0, pause_s))  # noqa: S311 - only spread, not secret
            pause_s = min(2 * pause_s, _RECONNECT_S[1])

    async def _give_way(self, error: Cut) -> None:
        """Stay away while another center has our name: two that throw each other out would each get half of it all."""
        with contextlib.suppress(DBAPIError):
            await self._in_writer(self._beat, self._told())
        if self._stray:  # another worker of this center has our slot, and we have a new one
            self._stray = False
            return
        rival = isinstance(error, TakenOver) or await self.has_rival()
        while rival:
            if not self._keeps_out:
                self._keeps_out = True
                self.thrown_out += 1
                named = f"another center at this broker has the name {self._settings.name!r}, too"
                self._tell(f"{named}, and has thrown this one out; give one of them another in its settings")
            await asyncio.sleep(AWAY_S)
            rival = await self.has_rival()
        self._keeps_out = False

    @property
    def _client_id(self) -> str:
        return f"center-{self.slot.name}"

    def _filters(self) -> list[str]:
        every = f"{wire.PREFIX}/+/+"
        share = "" if self._settings.alone else f"$share/{self._settings.group}/"
        return [*(f"{share}{every}/{rest}" for rest in _SHARED), *(f"{every}/{rest}" for rest in _PLAIN)]

    async def _take_in(self, link: Link) -> None:
        await link.open()
        refused = await link.subscribe(self._filters())
        if refused:
            raise LinkError(f"the broker refuses a subscription: {refused[0]}")
        self.connected, self.problem, self._certificate_ends_ms = True, "", link.certificate_ends_ms
        self._news.set()
        log.info("listening as %s", self._client_id)
        while True:
            messages = await link.receive()
            if self._stray:
                self._stray = False
                raise LinkError("the session is another worker's now")
            if messages:
                await self._gather(messages)

    async def _gather(self, messages: list[mqtt5.PublishPacket]) -> None:
        gathered, at_ms = self._gathered, self._clock_ms()
        if not gathered.messages:
            gathered.since = time.monotonic()
        gathered.batch.take(self._reader, messages, at_ms)
        gathered.messages += messages
        async with self._changed:
            self._changed.notify_all()
            await self._changed.wait_for(lambda: len(self._gathered.messages) < self._settings.batch)

    # --- the database -------------------------------------------------------------------------------------------------

    async def _write_always(self) -> None:
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: bool(self._gathered.messages))
                gathered, self._gathered = self._gathered, Gathered()
                self._changed.notify_all()
            link = self._link
            await self._write(gathered)
            if link is not None and link is self._link:  # numbers of a connection that is gone mean nothing
                link.acknowledge([each.packet_id for each in gathered.messages if each.packet_id is not None])

    async def _write(self, gathered: Gathered) -> None:
        """Until it is written."""
        pause_s = _RETRY_S[0]
        while True:
            try:
                await self._in_writer(self.store, gathered)
            except DBAPIError as error:
                self._tell(f"the database: {reason(error)}")
                await asyncio.sleep(random.uniform(pause_s / 2, pause_s))  # noqa: S311 - as above
                pause_s = min(2 * pause_s, _RETRY_S[1])
            else:
                return

    async def _in_writer(self, work: Callable[..., None], *args: Any) -> None:
        await asyncio.get_running_loop().run_in_executor(self._pool, work, *args)

    def store(self, gathered: Gathered) -> None:
        """Store it, less what the database refuses. Belongs to the writer's thread."""
        try:
            self._writer.write(gathered.batch, self._clock_ms)
        except DBAPIError as error:
            if not is_poison(error):
                raise
            if len(gathered.messages) > 1:
                self._store_in_halves(gathered.messages)
                return
            (message,) = gathered.messages
            aside = Batch(messages=1)
            aside.refuse(message.topic, message.payload, f"the database refuses it: {reason(error)}", self._clock_ms())
            self._writer.write(aside, self._clock_ms)

    def _store_in_halves(self, messages: list[mqtt5.PublishPacket]) -> None:
        """Find what the database refuses, so that the rest is stored."""
        middle = len(messages) // 2
        for half in (messages[:middle], messages[middle:]):
            gathered = Gathered(messages=half)
            self.rebuild(gathered)
            self.store(gathered)

    def rebuild(self, gathered: Gathered) -> None:
        """Read its messages into its batch."""
        at_ms, gathered.batch = self._clock_ms(), Batch()
        gathered.batch.take(self._reader, gathered.messages, at_ms)

    def close(self) -> None:
        """Let go of what a worker holds that does not run, or no longer."""
        self._pool.shutdown()  # what is being written is finished; it comes again, and is not stored twice
        self._writer.close()

    # --- how it goes --------------------------------------------------------------------------------------------------

    async def _beat_always(self) -> None:
        while True:
            self._news.clear()
            try:
                await self._in_writer(self._beat, self._told())
            except DBAPIError as error:
                self._tell(f"the database: {reason(error)}")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(BEAT_S):
                    await self._news.wait()

    def _told(self) -> dict[str, Any]:
        waiting, away = self._gathered, slots.THROWN_OUT if self._keeps_out else "away from the broker"
        return {
            "state": "listening" if self.connected else away,
            "problem": self.problem,
            "waiting": len(waiting.messages),
            "oldest_ms": round((time.monotonic() - waiting.since) * 1000) if waiting.messages else 0,
            "thrown_out": self.thrown_out,
            "certificate_ends_ms": self._certificate_ends_ms,
        }

    def _beat(self, told: dict[str, Any]) -> None:
        if not slots.beat(self._database, self.slot, self._writer.counts, told, self._clock_ms()):
            log.warning("another worker took slot %d while this one could not be heard", self.slot.number)
            self.slot = slots.take(self._database, self._settings.name, self._clock_ms())
            self._stray = True

    def _tell(self, problem: str) -> None:
        if problem != self.problem:
            log.warning("%s", problem)
            self._news.set()
        self.problem = problem
