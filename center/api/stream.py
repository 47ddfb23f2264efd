"""Server-sent events: what changes, as it changes. One follower of the feed serves all who listen.

An event's id is the id of its line in the feed; whoever comes back with it as `Last-Event-ID` misses nothing that the
feed still has. A first event `reset` says that something may have been missed, so read the lists anew.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import StreamingResponse
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError

from center.access.scope import Scope
from center.api.context import ApiError
from center.api.items import at
from center.api.proof import Reader
from center.db import feed
from center.db.engine import Database, reason
from center.db.feed import Change
from center.db.tables import changes

log = logging.getLogger("posdiag.center.stream")
router = APIRouter(prefix="/api/v1")

LOOK_S: Final = 0.5
"""How often the feed is looked at when nobody tells that it has grown."""
_PAUSE_S: Final = 0.03
"""Between two looks in any case: what comes faster is read together."""
BEAT_S: Final = 15.0
RENEW_S: Final = 300.0
"""A stream ends after so long, and is begun again by the client: so who lost the right to it loses the stream."""
_KEPT: Final = 5000
_PAGE: Final = 1000
_MOST_LISTENERS: Final = 1000
_KIND: Final = r"^[a-z_]{1,32}(,[a-z_]{1,32}){0,19}$"


class Follower:
    """Follows the feed once for all listeners, and keeps the last few thousand lines for them. Belongs to one loop."""

    def __init__(self, database: Database, now_ms: Callable[[], int]) -> None:
        self.listeners = 0
        self._database = database
        self._now_ms = now_ms
        self._kept: list[Change] = []
        self._from = 0
        """All lines after this id are kept."""
        self._head = 0
        self._news = asyncio.Condition()
        self._visible: dict[tuple[Scope, int, int], frozenset[int]] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Follow inside of this block."""
        self._from = self._head = await asyncio.to_thread(self._find_head)
        task = asyncio.create_task(self._follow())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    @property
    def head(self) -> int:
        """The id of the last line that was seen."""
        return self._head

    async def reaches_back_to(self, told: int) -> bool:
        """Whether the feed still has each line after this id, one that it has given out; maybe not to us yet."""
        oldest, newest = await asyncio.to_thread(self._find_ends)
        return told <= max(newest, self._head) and (not oldest or told >= oldest - 1)

    async def after(self, cursor: int, scope: Scope, wait_s: float) -> tuple[int, list[Change]]:
        """The next lines inside a scope, maybe none when the time is up, and the id that they reach to."""
        if cursor >= self._head:
            async with self._news:
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await self._news.wait_for(lambda: cursor < self._head)
        if cursor >= self._head:
            return cursor, []
        if cursor >= self._from:
            found = [change for change in self._kept if change.id > cursor][:_PAGE]
        else:
            found = await asyncio.to_thread(self._read, cursor)
        if not found:
            return self._head, []
        return found[-1].id, await self._inside(scope, found)

    async def _inside(self, scope: Scope, found: list[Change]) -> list[Change]:
        if scope.is_everything:
            return found
        key = (scope, found[0].id, found[-1].id)
        if key not in self._visible:
            if len(self._visible) > 200:
                self._visible.clear()
            self._visible[key] = await asyncio.to_thread(self._find_visible, scope, found[0].id, found[-1].id)
        return [change for change in found if change.id in self._visible[key]]

    async def _follow(self) -> None:
        with self._database.fed.event() as grown:
            await self._follow_always(grown)

    async def _follow_always(self, grown: asyncio.Event) -> None:
        while True:
            grown.clear()
            try:
                found = await asyncio.to_thread(self._read, self._head)
            except DBAPIError as error:
                log.warning("the feed cannot be followed: %s", reason(error))
                found = []
                await asyncio.sleep(1)
            if found:
                self._kept += found
                if len(self._kept) > _KEPT:
                    self._kept = self._kept[-_KEPT // 2 :]
                    self._from = self._kept[0].id - 1
                async with self._news:
                    self._head = found[-1].id
                    self._news.notify_all()
            if len(found) < _PAGE:
                await asyncio.sleep(_PAUSE_S)
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_S):
                        await grown.wait()

    def _find_head(self) -> int:
        with self._database.read() as connection:
            return feed.head(connection)

    def _find_ends(self) -> tuple[int, int]:
        with self._database.read() as connection:
            oldest = int(connection.execute(select(func.coalesce(func.min(changes.c.id), 0))).scalar_one())
            return oldest, feed.head(connection)

    def _read(self, cursor: int) -> list[Change]:
        with self._database.read() as connection:
            return feed.after(connection, cursor, _PAGE)

    def _find_visible(self, scope: Scope, first: int, last: int) -> frozenset[int]:
        with self._database.read() as connection:
            inside = select(changes.c.id).where(changes.c.id.between(first, last), scope.where(changes))
            return frozenset(connection.execute(inside).scalars())


@router.get(
    "/stream",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}, "description": "Events"}},
)
async def stream(
    request: Request,
    who: Reader,
    last_event_id: Annotated[str | None, Header(pattern=r"^\d{1,18}$")] = None,
    after: Annotated[int | None, Query(ge=0, lt=1 << 62, description="As Last-Event-ID, for a first request")] = None,
    kinds: Annotated[str | None, Query(pattern=_KIND, description="Only these: fault,incident,case,…")] = None,
) -> StreamingResponse:
    """What changes, from now on or from an id on: `event` is its kind, `data` says which row to read."""
    follower: Follower = request.app.state.follower
    if follower.listeners >= _MOST_LISTENERS:
        raise ApiError(503, "too many are listening")
    told = int(last_event_id) if last_event_id else after
    wanted = frozenset(kinds.split(",")) if kinds else None
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(
        _events(follower, who.scope, told, wanted), media_type="text/event-stream", headers=headers
    )


async def _events(
    follower: Follower, scope: Scope, told: int | None, wanted: frozenset[str] | None
) -> AsyncIterator[str]:
    follower.listeners += 1
    loop = asyncio.get_running_loop()
    end = loop.time() + RENEW_S
    try:
        cursor = follower.head if told is None else told
        yield f"retry: 2000\nid: {min(cursor, follower.head)}\n\n"
        if told is not None and not await follower.reaches_back_to(told):
            cursor = follower.head
            yield f"event: reset\nid: {cursor}\ndata: {{}}\n\n"
        while loop.time() < end:
            before = cursor
            cursor, found = await follower.after(cursor, scope, BEAT_S)
            lines = [_line(change) for change in found if wanted is None or change.kind in wanted]
            if lines:
                yield "".join(lines)
            elif cursor == before:
                yield ": still here\n\n"
    finally:
        follower.listeners -= 1


def _line(change: Change) -> str:
    data: dict[str, Any] = {
        "kind": change.kind,
        "estate": change.estate,
        "terminal": change.terminal,
        "key": change.key,
        "at": at(change.at_ms),
    }
    if change.kind == "fault":
        data["fault"] = change.key
        data["id"] = f"{change.estate}.{change.terminal}.{change.key.replace('/', '.')}"
    elif change.kind == "terminal":
        data["id"] = f"{change.estate}.{change.terminal}"
    else:
        data["id"] = change.key
    return f"id: {change.id}\nevent: {change.kind}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n"
