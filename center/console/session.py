"""One open page of somebody who is logged in: who they are, what they may ask the center, and how they are told.

The console has no rights of its own. It asks the API, in the same process, with the session of whoever looks at the
page: so roles, scopes, limits and the audit are those of the API.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable, Collection
from functools import partial
from typing import Any, Final

import httpx
from fastapi import FastAPI, Request
from nicegui import background_tasks, ui
from nicegui.client import Client

from center.access.scope import Scope
from center.api.proof import COOKIE, CSRF_HEADER
from center.api.stream import Follower
from center.console import sentences
from center.console.words import say, word_or
from center.settings import Settings

LEAST_S: Final = 0.5
"""Between two refreshings of a page; a change that comes alone is shown at once."""
_BEAT_S: Final = 20.0
_RENEW_S: Final = 60.0
_SNACK_S: Final = 12.0

Work = Callable[[], Awaitable[None]]
WorkOnChanges = Callable[[list[Any]], Awaitable[None]]


class Refused(Exception):
    """The API said no: `status` of HTTP, one line for the visitor, and in `said` what the API said in its own words."""

    def __init__(self, status: int, text: str, said: str = "") -> None:
        super().__init__(text)
        self.status = status
        self.said = said


class Api:
    """The API as one session may use it. Paths begin behind /api/v1."""

    def __init__(self, app: FastAPI, cookie: str, address: str) -> None:
        transport = httpx.ASGITransport(app=app, client=(address, 0), raise_app_exceptions=False)
        self._http = httpx.AsyncClient(
            transport=transport, base_url="http://localhost/api/v1", cookies={COOKIE: cookie}, timeout=60
        )
        self.csrf = ""
        self.language = "en"
        """Of its refusals."""

    async def get(self, path: str, **params: Any) -> Any:
        """JSON. Parameters that are None are left out. Raises Refused."""
        return await self._ask("GET", path, params=_some(params))

    async def post(self, path: str, body: Any = None, **params: Any) -> Any:
        """JSON, None for an empty answer. Raises Refused."""
        return await self._ask("POST", path, json={} if body is None else body, params=_some(params))

    async def send(self, method: str, path: str, body: Any = None) -> Any:
        """As `post`, by PUT, PATCH or DELETE."""
        return await self._ask(method, path, json=body)

    async def all(self, path: str, most: int = 5000, **params: Any) -> list[Any]:
        """The items of all pages of a list, up to `most`."""
        found: list[Any] = []
        cursor: str | None = None
        while len(found) < most:
            page = await self.get(path, **({"limit": 200} | params), cursor=cursor)
            found += page["items"]
            cursor = page["next"]
            if cursor is None:
                break
        return found[:most]

    async def _ask(self, method: str, path: str, **more: Any) -> Any:
        headers = {} if method == "GET" else {CSRF_HEADER: self.csrf}
        answer = await self._http.request(method, path.lstrip("/"), headers=headers, **more)
        if answer.is_success:
            return answer.json() if answer.content else None
        try:
            text = str(answer.json()["error"])
        except (ValueError, KeyError, TypeError):
            text = f"the center answered {answer.status_code}"
        raise Refused(answer.status_code, sentences.refusal(self.language, answer.status_code, text), text)

    async def close(self) -> None:
        await self._http.aclose()


class Visit:
    """What a screen is given."""

    def __init__(self, app: FastAPI, api: Api, me: dict[str, Any], client: Client) -> None:
        self.api = api
        self.me = me
        self.language = me["language"]
        self.client = client
        self.snack = ui.element("div").props('role="status" aria-live="polite"')
        """Where `told` writes."""
        self.settings: Settings = app.state.center.settings
        self._follower: Follower = app.state.follower
        self._since = self._follower.head
        self._scope = Scope.of(me["scope"])
        self._following: set[asyncio.Task[Any]] = set()

    @classmethod
    async def of(cls, app: FastAPI, request: Request, client: Client) -> Visit | None:
        """The visit that a request begins; None for nobody we know. Raises Refused."""
        cookie = request.cookies.get(COOKIE, "")
        if not cookie:
            return None
        api = Api(app, cookie, request.client.host if request.client else "")
        try:
            me = await api.get("/me")
        except Refused as error:
            await api.close()
            if error.status == 401:
                return None
            raise
        api.csrf = me["csrf"] or ""
        visit = cls(app, api, me, client)
        client.on_delete(visit.close)
        return visit

    @property
    def language(self) -> str:
        """The visitor's; it may change while the page is open, and everything is built anew then."""
        return self.api.language

    @language.setter
    def language(self, language: str) -> None:
        self.api.language = language

    @property
    def scope(self) -> Scope:
        """Which part of the fleet they may see; asked for anew each minute."""
        return self._scope

    def say(self, key: str, **values: Any) -> str:
        """A text of the console in the visitor's language."""
        return say(self.language, key, **values)

    def word(self, key: str, otherwise: str) -> str:
        """A text for a word that may be unknown here."""
        return word_or(self.language, key, otherwise)

    def may(self, permission: str) -> bool:
        """Whether to offer it; the API decides when it is asked."""
        return permission in self.me["permissions"]

    def follow(self, kinds: Collection[str], do: WorkOnChanges) -> None:
        """Call `do` with the changes (`Change` of the feed) of these kinds while the page is open.

        From the page's beginning on, so that what changes after it was read is not missed; at once for the first, then
        at most every `LEAST_S`.
        """
        self._start(self._follow(frozenset(kinds), do))

    def once(self, do: Work) -> None:
        """Call `do` behind the page's back, once."""
        self._start(self._safely(do))

    def every(self, seconds: float, do: Work) -> None:
        """Call `do` again and again while the page is open."""

        async def again() -> None:
            while True:
                await asyncio.sleep(seconds)
                await self._safely(do)

        self._start(again())

    async def act(self, doing: Awaitable[Any], done: str = "", undo: Work | None = None) -> Any:
        """Do what a person asked for, and say how it ended; what it answered, or None when it was refused."""
        try:
            answer = await doing
        except Refused as error:
            self.refused(error)
            return None
        if done:
            self.told(done, undo)
        return answer if answer is not None else True

    def refused(self, error: Refused) -> None:
        """Tell a refusal, or lead to the door when the session is over."""
        with self.client:
            if error.status == 401:
                here = "encodeURIComponent(window.location.pathname + window.location.search)"
                ui.run_javascript(f"window.location.assign('/login?next=' + {here})")
            else:
                ui.notify(str(error), type="negative", position="bottom", timeout=8000, close_button=True)

    def told(self, text: str, undo: Work | None = None) -> None:
        """A line at the bottom that goes by itself, with a way back if there is one."""
        self.snack.clear()
        with self.snack:
            line = ui.element("div").classes("snack")
            with line:
                ui.label(text)
                if undo is not None:

                    async def back() -> None:
                        self.snack.clear()
                        await self.act(undo(), self.say("shell.undone"))

                    ui.button(self.say("shell.undo"), on_click=back, color=None).props("flat dense no-caps").mark(
                        "undo"
                    )
            ui.timer(_SNACK_S if undo else _SNACK_S / 2, lambda: line.set_visibility(False), once=True)

    def forget(self) -> None:
        """End what follows and repeats: the page is built anew, or gone."""
        for task in self._following:
            task.cancel()
        self._following.clear()
        self._since = self._follower.head

    async def close(self) -> None:
        """The page is gone."""
        self.forget()
        await self.api.close()

    def _start(self, work: Any) -> None:
        task = background_tasks.create(work, name="console")
        self._following.add(task)
        task.add_done_callback(self._following.discard)

    async def _follow(self, kinds: frozenset[str], do: WorkOnChanges) -> None:
        cursor = self._since
        renewed = time.monotonic()
        while True:
            cursor, found = await self._follower.after(cursor, self._scope, _BEAT_S)
            wanted = [change for change in found if change.kind in kinds]
            if wanted:
                began = time.monotonic()
                await self._safely(partial(do, wanted))
                await asyncio.sleep(max(LEAST_S, 4 * (time.monotonic() - began)))
            if time.monotonic() - renewed > _RENEW_S:
                renewed = time.monotonic()
                await self._safely(self._renew)

    async def _renew(self) -> None:
        """Whoever lost the session or a part of the fleet loses the page."""
        me = await self.api.get("/me")
        self._scope = Scope.of(me["scope"])

    async def _safely(self, do: Work) -> None:
        try:
            with self.client:
                await do()
        except Refused as error:
            with contextlib.suppress(RuntimeError):  # the page went meanwhile
                self.refused(error)


def lead_to(where: str) -> None:
    """Lead the page to an address of this host, `/console/…` among them; NiceGUI's own would put that before it."""
    ui.run_javascript(f"window.location.assign({json.dumps(where)})")


def _some(params: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in params.items() if value is not None}
