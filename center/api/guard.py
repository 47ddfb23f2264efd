"""What every request passes before anything reads it: its host, its size, its pace; and what every answer carries."""

from __future__ import annotations

import ipaddress
import json
import re
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from center.api.context import Center
from center.domain.cases_attachments import LARGEST
from center.settings import tile_server

MOST_BYTES: Final = 1 << 20
_ATTACHING: Final = re.compile(r"/api/v1/cases/[^/]+/attachments")
_POLICY: Final = (
    "default-src 'self'; img-src 'self' data:; style-src 'self'; script-src 'self'; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_CONSOLE: Final = "/console/"
_CONSOLE_POLICY: Final = (  # what NiceGUI needs: its templates are compiled in the browser, its styles set by script
    "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; font-src 'self' data:; "
    "script-src 'self' 'unsafe-inline' 'unsafe-eval'; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
_MAP: Final = "/console/map"
_PRINTED: Final = "/console/print/"
_SCRIPTS: Final = re.compile(r"/console/_nicegui/[0-9][^/]*/(esm|components|libraries|resources)/")
_LASTING: Final = b"public, max-age=31536000, immutable"
"""For what has NiceGUI's version in its address; without it a browser would compile a megabyte anew for each page."""
_HEADERS: Final = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(self), geolocation=(), microphone=()"),
]


class Guard:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, center: Center) -> None:
        self._app = app
        self._center = center
        settings = center.settings
        public = urlsplit(settings.public_url).hostname or ""
        self._names = {"localhost", public, *(name.lower() for name in settings.hosts)} - {""}
        self._map_policy = _CONSOLE_POLICY.replace("img-src", f"img-src {tile_server(settings.map_tiles)}".rstrip(), 1)
        self._headers = list(_HEADERS)
        if settings.public_url.startswith("https://"):
            self._headers.append((b"strict-transport-security", b"max-age=31536000"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                key = (scope["method"], message["status"])
                self._center.requests[key] = self._center.requests.get(key, 0) + 1
                there = {name for name, _ in message["headers"]}
                more = [header for header in self._headers if header[0] not in there]
                if b"content-security-policy" not in there:
                    more.append((b"content-security-policy", self._policy(scope["path"]).encode()))
                if b"cache-control" not in there:
                    lasts = message["status"] == HTTPStatus.OK and _SCRIPTS.match(scope["path"])
                    more.append((b"cache-control", _LASTING if lasts else b"no-store"))
                message = {**message, "headers": [*message["headers"], *more]}
            await send(message)

        refused = self._refusal(scope)
        if refused is not None:
            await _refuse(answer, *refused)
            return
        await self._app(scope, _limited(receive, _most(scope)), answer)

    def _policy(self, path: str) -> str:
        if path == _MAP:
            return self._map_policy
        return _CONSOLE_POLICY if _is_console(path) else _POLICY

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = dict(scope["headers"])
        if not self._is_ours(headers.get(b"host", b"").decode("latin-1")):
            return 400, "this is not a host name of this center; see the setting hosts"
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > (most := _most(scope)):
            return 413, _too_large(most)
        client = scope["client"][0] if scope.get("client") else ""
        wait_s = self._center.rate.take(client, self._center.now_ms())
        return (429, f"too many requests; try again in {wait_s:.1f} s") if wait_s else None

    def _is_ours(self, host: str) -> bool:
        """A name of ours, or an address: what another site's name was bent to is neither."""
        name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
        if name.lower() in self._names:
            return True
        try:
            ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return False
        return True


def _is_console(path: str) -> bool:
    return path.startswith(_CONSOLE) and not path.startswith(_PRINTED)


def _most(scope: Scope) -> int:
    return LARGEST if scope["method"] == "POST" and _ATTACHING.fullmatch(scope["path"]) else MOST_BYTES


def _too_large(most: int) -> str:
    return f"a request like this has at most {most} bytes"


def _limited(receive: Receive, most: int) -> Receive:
    taken = 0

    async def count() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > most:
            raise HTTPException(413, _too_large(most))
        return message

    return count


async def _refuse(send: Send, status: int, text: str) -> None:
    body = json.dumps({"error": text}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status == 429:
        headers.append((b"retry-after", b"1"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
