"""An open page: what it is told of."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from nicegui import Client, core
from nicegui.page import page

from center.console.session import Visit
from center.db.feed import Change

ME = {"language": "en", "scope": {}}


class _Feed:
    """A follower of a feed that grows when a test says so."""

    def __init__(self) -> None:
        self._lines: list[Change] = []
        self._grown = asyncio.Event()

    @property
    def head(self) -> int:
        return len(self._lines)

    def grow(self, key: str) -> None:
        self._lines.append(Change(self.head + 1, "incident", "north", "t1", key, 0))
        self._grown.set()

    async def after(self, cursor: int, _scope: object, _wait_s: float) -> tuple[int, list[Change]]:
        while cursor >= self.head:
            self._grown.clear()
            await self._grown.wait()
        return self.head, self._lines[cursor:]


async def _told() -> list[str]:
    """What a page is told that was being built while the feed grew, and after it."""
    feed = _Feed()
    feed.grow("before")
    told: list[str] = []
    both = asyncio.Event()

    async def changed(changes: Sequence[Change]) -> None:
        told.extend(each.key for each in changes)
        if len(told) == 2:
            both.set()

    state = SimpleNamespace(center=SimpleNamespace(settings=None), follower=feed)
    api: Any = SimpleNamespace(language="en")
    app: Any = SimpleNamespace(state=state)
    with Client(page("/visit")) as client:
        visit = Visit(app, api, ME, client)
        feed.grow("after it was read")
        visit.follow({"incident"}, changed)
        await asyncio.sleep(0)
        feed.grow("while it is open")
        try:
            async with asyncio.timeout(30):
                await both.wait()
        finally:
            visit.forget()
            client.delete()
    return told


def test_nothing_is_missed_between_the_reading_of_a_page_and_its_following(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> list[str]:
        monkeypatch.setattr(core, "loop", asyncio.get_running_loop())
        return await _told()

    assert asyncio.run(run()) == ["after it was read", "while it is open"]
