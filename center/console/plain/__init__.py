"""Pages that work without JavaScript: the merchant's page, the public status, logging in, and records to print."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.responses import RedirectResponse

from center.console.plain.login import router as login
from center.console.plain.merchant import router as merchant
from center.console.plain.notice import router as notice
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
