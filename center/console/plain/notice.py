"""The page of a message to many merchants, behind the link in one site's copy: opening it says that it was read."""

from __future__ import annotations

import re
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from center.api.proof import TheCenter
from center.console.plain.page import PlainRoute, clock, dialled, language_told, render
from center.domain.broadcast_read import opened
from center.domain.cases_book import NoCase

router = APIRouter(prefix="/n", route_class=PlainRoute)

_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{16,100}")


@router.get("/{token}")
def show(token: str, request: Request, center: TheCenter) -> HTMLResponse:
    """The message, in the language of the site or the one that was chosen."""
    if not _TOKEN.fullmatch(token):
        raise NoCase("there is no such page")
    notice = opened(center.database, token, language_told(request), center.now_ms())
    values: dict[str, Any] = {
        "notice": notice,
        "text": dialled(notice.text),
        "channel": dialled(center.policy.channel_in(notice.language)),
        **clock(notice.timezone, notice.language, center.now_ms()),
    }
    return render("notice.html", "merchant", notice.language, request, **values)
