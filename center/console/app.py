"""Puts the console on a center's application, and screens on the console."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable
from copy import copy
from importlib import import_module
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse, Response
from nicegui import core, ui

from center.console import shell
from center.console.session import Refused, Visit

log = logging.getLogger("posdiag.center.console")

AT: Final = "/console"
_STATIC: Final = Path(__file__).parent / "static"
_RECONNECT_S: Final = 30.0
_BUILD_S: Final = 15.0

Build = Callable[..., Awaitable[None]]


class _Place:
    """The application that the screens ask: NiceGUI has one set of pages in a process, and so one center."""

    app: FastAPI | None = None


def mount(app: FastAPI) -> None:
    """Serve the console at /console/. Once in a process, before the application starts."""
    _Place.app = app
    for name in shell.SCREENS:
        import_module(f"center.console.{name}")
    core.app.add_static_files("/static", _STATIC, max_cache_age=3600)
    ui.add_head_html(
        f'<link rel="stylesheet" href="{AT}/static/console.css"><script src="{AT}/static/console.js"></script>',
        shared=True,
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)  # the console's own questions inside of this process
    ui.run_with(
        app,
        mount_path=AT,
        title="posdiag",
        favicon=_STATIC / "mark.svg",
        dark=None,
        tailwind=False,
        binding_refresh_interval=None,
        reconnect_timeout=_RECONNECT_S,
        show_welcome_message=False,
    )


def screen(path: str, name: str) -> Callable[[Build], Build]:
    """Register `async def build(visit, …)` as the page at /console{path}; further parameters come from the path.

    `name` is that of its texts and of its place in the menu. The page has the title that `{name}.title` says.
    """

    def register(build: Build) -> Build:
        async def page(request: Request, **parts: Any) -> Response | None:
            if _Place.app is None:
                raise RuntimeError("the console was not mounted")
            try:
                visit = await Visit.of(_Place.app, request, ui.context.client)
            except Refused as error:
                return Response(str(error), error.status, media_type="text/plain; charset=utf-8")
            if visit is None:
                asked = quote(f"{AT}{request.url.path.removeprefix(AT)}" + _query(request), safe="")
                return RedirectResponse(f"/login?next={asked}", 303)
            if visit.me["must_change"]:
                await visit.close()
                return RedirectResponse("/login/password", 303)
            _speak(visit)
            theme = request.cookies.get("posdiag_theme", "auto")
            await shell.show(visit, name, theme, lambda: build(visit, **parts))
            return None

        told = [each for each in inspect.signature(build).parameters.values() if each.name != "visit"]
        first = inspect.Parameter("request", inspect.Parameter.KEYWORD_ONLY, annotation=Request)
        kept = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=_kind(each)) for each in told]
        page.__signature__ = inspect.Signature([first, *kept])  # type: ignore[attr-defined] # what FastAPI reads
        ui.page(path, response_timeout=_BUILD_S)(page)
        return build

    return register


def _speak(visit: Visit) -> None:
    """What NiceGUI and Quasar say of themselves is in the visitor's language, too, English but for this."""
    if visit.language == "zh":
        visit.client.page = copy(visit.client.page)  # that of all visitors
        visit.client.page.language = "zh-CN"


def _kind(parameter: inspect.Parameter) -> Any:
    return {"int": int, "str": str}.get(str(parameter.annotation), str)


def _query(request: Request) -> str:
    return f"?{request.url.query}" if request.url.query else ""
