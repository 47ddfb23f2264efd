"""Pages that work without JavaScript: the merchant's page, the public status, logging in, and records to print."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse
from starlette.exceptions import HTTPException

from center.console.plain.login import router as login
from center.console.plain.merchant import router as merchant
from center.console.plain.notice import router as notice
from center.console.plain.page import problem
from center.console.plain.page import router as page
from center.console.plain.records import router as records
from center.console.plain.status import router as status_page

HOME = "/console/"


def add_pages(app: FastAPI) -> None:
    """Serve them; before anything is mounted at /console, of which the records are a part."""
    for router in (page, merchant, notice, login, records, status_page):
        app.include_router(router, include_in_schema=False)

    @app.get("/", include_in_schema=False)
    def home() -> RedirectResponse:
        return RedirectResponse(HOME, 303)

    as_json = app.exception_handlers[HTTPException]

    @app.exception_handler(404)
    def nowhere(request: Request, error: HTTPException) -> Any:
        """A page for a browser that asked for a page; the API's own words for whatever else asks."""
        if request.url.path.startswith("/api/") or "text/html" not in request.headers.get("accept", ""):
            return as_json(request, error)
        return problem(request, 404)
