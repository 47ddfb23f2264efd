"""The public page of how the service is: no login, no cookie, no script, and nothing of any merchant."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from center.access.limits import Rate
from center.api.context import ApiError, Center
from center.api.proof import TheCenter
from center.console.plain.page import PlainRoute, clock, dialled, language_asked, render
from center.domain.refusal import Refusal
from center.domain.status import Status, public

KEPT_MS: Final = 30_000
"""For so long nobody has it worked out anew: neither many visitors nor a storm cost the center anything."""

router = APIRouter(route_class=PlainRoute)


@dataclass(slots=True)
class _Kept:
    """Of one center the state that was shown last, and who asked how often."""

    rate: Rate = field(default_factory=lambda: Rate(per_s=20, burst=100))
    lock: threading.Lock = field(default_factory=threading.Lock)
    found: Status | None = None

    def status(self, center: Center) -> Status:
        now_ms = center.now_ms()
        with self.lock:
            if self.found is None or not 0 <= now_ms - self.found.at_ms < KEPT_MS:
                with center.database.read() as connection:
                    self.found = public(connection, now_ms)
            return self.found


@router.get("/status")
def show(request: Request, center: TheCenter) -> HTMLResponse:
    """Whether the service is disturbed, where, since when, and which maintenance is announced."""
    if not center.settings.status_page:
        raise Refusal("not_found", "there is no such page")
    kept: _Kept | None = getattr(request.app.state, "status_page", None)
    if kept is None:
        kept = request.app.state.status_page = _Kept()
    wait_s = kept.rate.take(request.client.host if request.client else "", center.now_ms())
    if wait_s:
        raise ApiError(429, "too many requests", retry_s=wait_s)
    status, language = kept.status(center), language_asked(request)
    timezone = center.policy.office_timezone
    values: dict[str, Any] = {
        "found": status,
        "word": status.word(),
        "channel": dialled(center.policy.channel_in(language)),
        "timezone": timezone,
        **clock(timezone, language, status.at_ms),
    }
    page = render("status.html", "status", language, request, **values)
    page.headers["cache-control"] = f"public, max-age={KEPT_MS // 1000}"
    page.headers["vary"] = "accept-language"
    return page
