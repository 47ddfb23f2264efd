"""What the pages without JavaScript share: templates, language, times as people say them, and errors as a page."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import jinja2
from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.routing import APIRoute
from markupsafe import Markup, escape
from sqlalchemy.exc import DataError, DBAPIError

from agent import VERSION
from center.api.context import ApiError, center_of
from center.console.plain.pictures import drawing, picture_of
from center.console.words import LANGUAGES, say
from center.domain.hours import HoursError, zone
from center.domain.refusal import Refusal

_HERE: Final = Path(__file__).parent
_STYLES: Final = ("plain.css", "print.css")
_STATUS: Final = {"forbidden": 403, "not_found": 404, "invalid": 422, "conflict": 409, "unavailable": 503}
_NUMBER: Final = re.compile(r"\+?\d[\d-]*(?: \d[\d-]*)*")
_DIGITS_MIN: Final = 5
_DAYS_ZH: Final = "一二三四五六日"


class Elsewhere(Exception):
    """Whoever asks is sent to another page of ours first."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


class PlainRoute(APIRoute):
    """A route whose errors are a page that people can read, in their language, with the way to reach support."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await answer(request)
            except Elsewhere as error:
                return RedirectResponse(error.path, 303)
            except ApiError as error:
                return problem(request, error.status)
            except Refusal as error:
                return problem(request, _STATUS[error.why])
            except (RequestValidationError, DataError):
                return problem(request, 422)
            except DBAPIError:
                return problem(request, 503)

        return handle


router = APIRouter(route_class=PlainRoute)


@router.get("/plain/{name}")
def style(name: str) -> Response:
    """A style sheet, which may be kept: its address has the version in it."""
    if name not in _STYLES:
        raise Refusal("not_found", "there is no such file")
    return Response(_style(name), media_type="text/css", headers={"cache-control": "public, max-age=86400"})


@cache
def _style(name: str) -> bytes:
    return (_HERE / "static" / name).read_bytes()


@cache
def _templates() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(
    template: str, texts: str, language: str, request: Request, status: int = 200, *, path: str = "", **values: Any
) -> HTMLResponse:
    """A page. `t` gives its texts, those of `words/{texts}.toml`; `other` is itself in the other language.

    `path` is where it can be read, if that is not where it was asked for.
    """
    other = next(each for each in LANGUAGES if each != language)
    kept = {name: value for name, value in request.query_params.items() if name in {"next", "internal"}}
    switch = urlencode({"lang": other} | kept)
    text = (
        _templates()
        .get_template(template)
        .render(
            t=lambda phrase, **more: escape(say(language, f"{texts}.{phrase}")).format(**more),
            language=language,
            tag=tag(language),
            other={"name": LANGUAGES[other], "tag": tag(other), "url": f"{path or request.url.path}?{switch}"},
            drawing=drawing,
            picture_of=picture_of,
            version=VERSION,
            **values,
        )
    )
    return HTMLResponse(text, status, headers={"content-language": tag(language)})


def problem(request: Request, status: int) -> HTMLResponse:
    """One friendly sentence, and nothing about the inside."""
    language = language_asked(request)
    known = status if status in {403, 404, 422, 429, 503} else 404
    channel = center_of(request).policy.channel_in(language) if request.url.path.startswith(("/m/", "/n/")) else ""
    return render(
        "problem.html", "plain", language, request, status, sentence=f"error_{known}", channel=dialled(channel)
    )


def tag(language: str) -> str:
    """The language for HTML."""
    return {"zh": "zh-CN"}.get(language, language)


def language_told(request: Request) -> str | None:
    """The language that somebody chose by a link, None where they did not."""
    told = request.query_params.get("lang")
    return told if told in LANGUAGES else None


def language_asked(request: Request) -> str:
    """The language that somebody chose, else the first that their browser asks for."""
    for wish in request.headers.get("accept-language", "").split(","):
        begins = wish.strip()[:2].lower()
        if begins in LANGUAGES:
            return language_told(request) or begins
    return language_told(request) or "en"


def dialled(text: str) -> Markup:
    """A text, the telephone numbers in which can be tapped."""
    shown, end = Markup(), 0
    for found in _NUMBER.finditer(text):
        digits = re.sub(r"[^\d+]", "", found.group())
        if len(digits) < _DIGITS_MIN:
            continue
        link = Markup('<a href="tel:{}">{}</a>').format(digits, found.group())
        shown += escape(text[end : found.start()]) + link
        end = found.end()
    return shown + escape(text[end:])


# --- times -----------------------------------------------------------------------------------------------------------


def clock(timezone: str, language: str, now_ms: int) -> Mapping[str, Callable[..., Markup]]:
    """`moment(ms)` and `span(from_ms, until_ms)`, on the wall clock of the time zone; UTC for one nobody knows."""
    try:
        at: Any = zone(timezone)
    except HoursError:
        at = UTC
    today = datetime.fromtimestamp(now_ms / 1000, at)
    said = partial(_said, today=today, language=language)

    def moment(ms: int) -> Markup:
        when = datetime.fromtimestamp(ms / 1000, at)
        return Markup('<time datetime="{}">{}</time>').format(when.isoformat(timespec="minutes"), said(when))

    def span(from_ms: int, until_ms: int) -> Markup:
        until = datetime.fromtimestamp(until_ms / 1000, at)
        same = until.date() == datetime.fromtimestamp(from_ms / 1000, at).date()
        return moment(from_ms) + "–" + (f"{until:%H:%M}" if same else moment(until_ms))

    return {"moment": moment, "span": span}


def _said(when: datetime, today: datetime, language: str) -> str:
    """Such as `today 16:13` or `Mon 21 Sep, 16:13`."""
    for days, word in ((0, "today"), (1, "tomorrow"), (-1, "yesterday")):
        if when.date() == (today + timedelta(days=days)).date():
            return f"{say(language, f'plain.{word}')} {when:%H:%M}"
    year = when.year != today.year
    if language == "zh":
        day = f"{when.year}年{when.month}月{when.day}日" if year else f"{when.month}月{when.day}日"
        return f"{day} 周{_DAYS_ZH[when.weekday()]} {when:%H:%M}"
    return f"{when:%a} {when.day} {when:%b}{f' {when.year}' if year else ''}, {when:%H:%M}"
