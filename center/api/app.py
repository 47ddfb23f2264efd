"""The web application of the center: who may ask, what is answered, and one line for whatever goes wrong."""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import APIKeyCookie, HTTPBearer
from sqlalchemy.exc import DataError, DBAPIError
from starlette.exceptions import HTTPException

from agent import VERSION
from center.access.recorder import Recorder
from center.api import (
    account_pages,
    actions,
    admin_pages,
    broadcast_pages,
    campaign_actions,
    campaign_pages,
    case_actions,
    case_pages,
    desk_pages,
    evidence_pages,
    knowledge_pages,
    metrics,
    monthly_pages,
    now_pages,
    problem_pages,
    readiness_pages,
    readings_pages,
    reads,
    registry,
    regroup_pages,
    report_pages,
    report_rows_pages,
    retirement_pages,
    settings_pages,
    sheet_pages,
    sites,
    stream,
    task_pages,
    terminal_pages,
    works,
)
from center.api.context import ApiError, Center, machine_ms
from center.api.guard import Guard
from center.api.models import Problem
from center.api.proof import COOKIE
from center.db.engine import Database, reason
from center.domain.refusal import Refusal
from center.settings import Settings

log = logging.getLogger("posdiag.center.api")

_STATUS: Final = {"forbidden": 403, "not_found": 404, "invalid": 422, "conflict": 409, "unavailable": 503}
_ERRORS: Final[dict[int | str, dict[str, Any]]] = {
    code: {"model": Problem, "description": text}
    for code, text in (
        (400, "Not a request of this API"),
        (401, "Nobody we know"),
        (403, "Not allowed"),
        (404, "Not there, or outside of the caller's scope"),
        (409, "Not so now"),
        (413, "Too large"),
        (422, "Something given is wrong"),
        (429, "Too often"),
        (503, "The database cannot be reached, or what is needed is not set up"),
    )
}
_PROOFS: Final = [  # for the description alone; center/api/proof.py asks for them
    Depends(HTTPBearer(auto_error=False, description="An API token")),
    Depends(APIKeyCookie(name=COOKIE, auto_error=False, description="A session, begun by POST /api/v1/session")),
]
_ABOUT: Final = """The support center of posdiag.

Lists answer `{"items": […], "next": cursor or null}`; give `next` back as `cursor` for the following page. Every item's
`id` is what `…/{id}` takes. Times are RFC 3339 in UTC. Whoever asks proves who they are by `Authorization: Bearer
TOKEN`, or by the session's cookie and, for what changes something, the header `x-csrf-token`. What lies outside of the
caller's scope is not there. Errors are `{"error": "one line"}`."""


def create_app(settings: Settings, database: Database, **more: Any) -> FastAPI:
    """The application over a database that is migrated; `more` are further fields of `Center`."""
    more.setdefault("now_ms", machine_ms)
    center = Center(settings, database, Recorder(database), **more)
    follower = stream.Follower(database, center.now_ms)

    @asynccontextmanager
    async def alive(_app: FastAPI) -> AsyncIterator[None]:
        try:
            async with follower.running():
                yield
        finally:
            center.close()

    app = FastAPI(
        title="posdiag center",
        version=VERSION,
        description=_ABOUT,
        lifespan=alive,
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        responses=_ERRORS,
    )
    app.state.center = center
    app.state.follower = follower
    for module in (
        reads,
        works,
        actions,
        admin_pages,
        broadcast_pages,
        campaign_actions,
        campaign_pages,
        case_actions,
        case_pages,
        desk_pages,
        knowledge_pages,
        problem_pages,
        readiness_pages,
        regroup_pages,
        monthly_pages,  # before the reports, whose names it would be one of
        report_pages,
        report_rows_pages,
        retirement_pages,
        settings_pages,
        sheet_pages,
        task_pages,
        terminal_pages,
        readings_pages,
        evidence_pages,
        now_pages,
        sites,
        registry,
        account_pages,
        stream,
        metrics,
    ):
        app.include_router(module.router, dependencies=None if module is metrics else _PROOFS)
    _handle_errors(app)
    app.add_middleware(Guard, center=center)
    return app


def _handle_errors(app: FastAPI) -> None:
    @app.exception_handler(ApiError)
    def refused(_request: Request, error: ApiError) -> JSONResponse:
        headers = {"retry-after": str(math.ceil(error.retry_s))} if error.retry_s else {}
        if error.status == 401:
            headers["www-authenticate"] = "Bearer"
        return _problem(error.status, str(error), headers)

    @app.exception_handler(Refusal)
    def not_done(_request: Request, error: Refusal) -> JSONResponse:
        return _problem(_STATUS[error.why], str(error))

    @app.exception_handler(RequestValidationError)
    def invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:]) or str(first["loc"][0])
        return _problem(422, f"{where}: {first['msg']}"[:300].replace("\n", " "))

    @app.exception_handler(HTTPException)
    def of_http(_request: Request, error: HTTPException) -> JSONResponse:
        return _problem(error.status_code, str(error.detail), dict(error.headers or {}))

    @app.exception_handler(DataError)
    def impossible(_request: Request, _error: DataError) -> JSONResponse:
        return _problem(422, "a value is given that no row can have")

    @app.exception_handler(DBAPIError)
    def database_away(_request: Request, error: DBAPIError) -> JSONResponse:
        log.error("the database: %s", reason(error))
        return _problem(503, "the database cannot be used now")

    @app.exception_handler(Exception)
    def broken(_request: Request, _error: Exception) -> JSONResponse:
        return _problem(500, "something broke here; the log of the center says what")


def _problem(status: int, text: str, headers: dict[str, str] | None = None) -> JSONResponse:
    text = text.encode("utf-8", "replace").decode()
    return JSONResponse({"error": text}, status, headers)
