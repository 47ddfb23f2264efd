"""A center's API on loopback, and people with tokens."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import uvicorn

from center.access.credentials import issue_token
from center.access.roles import Role
from center.access.scope import EVERYTHING, Scope
from center.api.app import create_app
from center.db.engine import Database
from center.settings import Settings
from center.web import listen
from tests.center.fleet_rows import NOW
from tests.wait import wait_until


class Api:
    """`clock_ms` is the center's time."""

    def __init__(self, database: Database, client: httpx.Client, port: int) -> None:
        self.database = database
        self.client = client
        self.port = port
        self.clock_ms = NOW

    def token(self, role: Role = "admin", scope: Scope = EVERYTHING, **more: Any) -> str:
        with self.database.begin() as connection:
            return issue_token(connection, role, NOW, scope=scope, **more)[1]

    def asks(self, role: Role = "admin", scope: Scope = EVERYTHING) -> Asker:
        return Asker(self.client, self.token(role, scope, name=role, account_id=f"acc-{role}"))


class Asker:
    """Asks as whoever holds a token."""

    def __init__(self, client: httpx.Client, token: str) -> None:
        self.client = client
        self.headers = {"authorization": f"Bearer {token}"}

    def __call__(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = self.headers | more.pop("headers", {})
        return self.client.request(method, f"/api/v1/{path}", headers=headers, **more)

    def get(self, path: str, **params: Any) -> Any:
        """What a list or item holds; it is there."""
        answer = self("GET", path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def ids(self, path: str, **params: Any) -> list[str]:
        return [each["id"] for each in self.get(path, **params)["items"]]


@contextmanager
def asking(database: Database, settings: Settings | None = None, **more: Any) -> Iterator[Api]:
    """The API over a database."""
    api: Api
    app = create_app(settings or Settings(), database, now_ms=lambda: api.clock_ms, **more)
    with served(app) as (client, port):
        api = Api(database, client, port)
        yield api


@contextmanager
def served(app: Any) -> Iterator[tuple[httpx.Client, int]]:
    """An application on loopback: a client that follows no redirects and keeps no cookies but its own, and the port."""
    with listen("127.0.0.1:0") as listening:
        port = listening.getsockname()[1]
        # The client leaves a connection that was idle for 5 s; if the server did so too, a request could meet its end.
        config = uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=1, timeout_keep_alive=600)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listening],))
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            thread.start()
            try:
                wait_until(lambda: server.started or not thread.is_alive())
                yield client, port
            finally:
                server.should_exit = True
                thread.join()
