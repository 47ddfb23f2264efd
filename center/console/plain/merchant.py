"""The merchant's page, behind a link that nobody can guess: no login, no cookie, no script."""

from __future__ import annotations

import io
import re
import secrets
from collections.abc import Callable
from typing import Annotated, Any, Final, Literal

import segno
from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from center.api.context import Center
from center.api.proof import TheCenter
from center.console.plain.page import PlainRoute, clock, dialled, language_told, render
from center.console.words import LANGUAGES
from center.domain.cases_book import CaseError, NoCase
from center.domain.merchant import MerchantDesk, Page

router = APIRouter(prefix="/m", route_class=PlainRoute)

STAGES: Final = ("received", "looked", "visit", "trying", "done")
_STAGE: Final = {"new": 0, "acknowledged": 1, "assigned": 1, "reopened": 1, "dispatched": 2} | {
    "watching": 3,
    "asking": 3,
    "closed": 4,
}
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{1,100}")
_NOTICES: Final = frozenset({"answered_yes", "answered_no", "answered_closed", "wrote", "rated", "call_asked"})

Key = Annotated[str, Form(pattern="^[A-Za-z0-9_-]{1,64}$")]
Language = Annotated[str, Form(alias="lang", max_length=10)]
Said = Annotated[str, Form()]


@router.get("/{token}")
def show(token: str, request: Request, center: TheCenter) -> HTMLResponse:
    """What is wrong, what to do, how far it is."""
    page = _desk(center, token).page(token, language_told(request))
    done = request.query_params.get("done", "")
    return _shown(request, center, token, page, notice=done if done in _NOTICES else "")


@router.get("/{token}/qr.svg")
def code(token: str, request: Request, center: TheCenter) -> Response:
    """The page's address as a QR code."""
    _desk(center, token).page(token)
    picture = io.BytesIO()
    address = link(center, request, token)
    segno.make(address, error="m").save(picture, kind="svg", scale=4, border=4, light="#fff", xmldecl=False)
    return Response(picture.getvalue(), media_type="image/svg+xml")


@router.post("/{token}/answer")
def answer(
    token: str,
    request: Request,
    center: TheCenter,
    works: Annotated[Literal["yes", "no"], Form()],
    key: Key,
    lang: Language = "",
    said: Said = "",
) -> Response:
    """It works again, or it is still broken."""

    def do(desk: MerchantDesk, spoken: str | None) -> str:
        page = desk.answer(token, works=works == "yes", said=said, key=key, language=spoken)
        return "answered_closed" if page.state == "closed" else f"answered_{works}"

    return _posted(request, center, token, lang, do, said=said)


@router.post("/{token}/message")
def write(token: str, request: Request, center: TheCenter, key: Key, lang: Language = "", said: Said = "") -> Response:
    """A message to support."""

    def do(desk: MerchantDesk, spoken: str | None) -> str:
        desk.write(token, said, key, spoken)
        return "wrote"

    return _posted(request, center, token, lang, do, message=said)


@router.post("/{token}/call")
def call_me(
    token: str, request: Request, center: TheCenter, key: Key, lang: Language = "", said: Said = ""
) -> Response:
    """A wish to be called back."""

    def do(desk: MerchantDesk, spoken: str | None) -> str:
        desk.call_me(token, said, key, spoken)
        return "call_asked"

    return _posted(request, center, token, lang, do, when=said)


@router.post("/{token}/survey")
def survey(
    token: str,
    request: Request,
    center: TheCenter,
    solved: Annotated[Literal["yes", "no"], Form()],
    key: Key,
    score: Annotated[int, Form()] = 0,
    lang: Language = "",
    said: Said = "",
) -> Response:
    """After the end: whether the trouble is gone, and how well we helped. One that is not gone is no end."""

    def do(desk: MerchantDesk, spoken: str | None) -> str:
        if solved == "no":
            desk.answer(token, works=False, said=said, key=key, language=spoken)
            return "answered_no"
        desk.rate(token, score, said, key, spoken)
        return "rated"

    return _posted(request, center, token, lang, do, said=said)


def link(center: Center, request: Request, token: str) -> str:
    """The page's address for another device: under the public name, else under the one that was asked for."""
    base = center.settings.public_url or str(request.base_url)
    return f"{base.rstrip('/')}/m/{token}"


def stage(page: Page) -> int:
    """Which of STAGES it is in. Pure."""
    return 2 if page.waits_for in {"part", "operator"} else _STAGE[page.state]


def _desk(center: Center, token: str) -> MerchantDesk:
    if not _TOKEN.fullmatch(token):
        raise NoCase("there is no such page")
    return MerchantDesk(center.database, center.policy, center.now_ms)


def _posted(
    request: Request,
    center: Center,
    token: str,
    lang: str,
    do: Callable[[MerchantDesk, str | None], str],
    **typed: str,
) -> Response:
    """What was sent is done, and the browser is sent to the page; if refused, the page says why and keeps the text."""
    spoken = lang if lang in LANGUAGES else None
    desk = _desk(center, token)
    try:
        notice = do(desk, spoken)
    except CaseError as error:
        status = 409 if error.why == "conflict" else 422
        return _shown(request, center, token, desk.page(token, spoken), error=str(error), status=status, **typed)
    chosen = f"&lang={spoken}" if spoken else ""
    return RedirectResponse(f"/m/{token}?done={notice}{chosen}", 303)


def _shown(request: Request, center: Center, token: str, page: Page, status: int = 200, **told: Any) -> HTMLResponse:
    now_ms, at = center.now_ms(), stage(page)
    values: dict[str, Any] = {
        "page": page,
        "token": token,
        "key": secrets.token_urlsafe(12),
        "stages": [name for name in STAGES if name != "visit" or page.came or at <= STAGES.index(name)],
        "stage": STAGES[at],
        "now_ms": now_ms,
        "active": bool(page.can_sell),
        "late": page.eta_ms is not None and page.eta_ms < now_ms,
        "channel": dialled(page.channel),
        "phone": dialled(page.service_point.phone) if page.service_point else "",
        **clock(page.timezone, page.language, now_ms),
    }
    values |= {"notice": "", "error": "", "said": "", "message": "", "when": ""} | told
    return render("merchant.html", "merchant", page.language, request, status, path=f"/m/{token}", **values)
