"""Logging in and out and choosing a password, by forms."""

from __future__ import annotations

import math
import secrets
from typing import Annotated, Any, Final
from urllib.parse import quote

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from center.access import accounts
from center.access.roles import Who
from center.api.account_pages import choose_password, end_session, is_own_path, let_in, set_cookie, with_session
from center.api.context import ApiError, Center
from center.api.proof import COOKIE, TheCenter, check_word, known
from center.console.plain.page import Elsewhere, PlainRoute, language_asked, language_told, render
from center.console.words import say

router = APIRouter(route_class=PlainRoute)

START: Final = "/console/"
_FORM_COOKIE: Final = "posdiag_form"
"""Beside the same word in the form: so that no other site can log somebody in as somebody else."""
_FORM_S: Final = 3600
_LONGEST_NAME: Final = 64
_LONGEST_PASSWORD: Final = 1000

Typed = Annotated[str, Form(max_length=_LONGEST_PASSWORD)]
Next = Annotated[str, Form(alias="next", max_length=2000)]


@router.get("/login")
def ask(request: Request, center: TheCenter) -> Response:
    """The form; whoever is logged in already goes on."""
    if request.cookies.get(COOKIE):
        try:
            who = known(request, center)
        except ApiError:
            pass  # the session is over, which is why they are here
        else:
            return RedirectResponse("/login/password" if who.must_change else _onward(request), 303)
    return _form(request, center, notice="left" if "left" in request.query_params else "")


@router.post("/login")
def enter(
    request: Request, center: TheCenter, name: Typed = "", password: Typed = "", word: Typed = "", onward: Next = ""
) -> Response:
    """A session, and on to where they wanted to go."""
    held = request.cookies.get(_FORM_COOKIE, "")
    if not held or not secrets.compare_digest(word.encode(), held.encode()):
        return _form(request, center, 403, name=name, onward=onward, error="stale")
    try:
        row = let_in(center, name.strip()[:_LONGEST_NAME], password, request)
    except ApiError as error:
        return _refused(request, center, error, name, onward)
    to = own_path(onward)
    if row.must_change:
        _take_language(request, center, row)
        to = _password_first(to)
    return with_session(center, row, RedirectResponse(to, 303))


@router.post("/logout")
def leave(request: Request, center: TheCenter, csrf: Typed = "") -> Response:
    """The session ends."""
    try:
        who = known(request, center)
    except ApiError:
        return RedirectResponse("/login", 303)
    check_word(request, center, who, csrf)
    return end_session(request, center, who, RedirectResponse("/login?left", 303))


@router.get("/login/password")
def ask_password(request: Request, center: TheCenter) -> HTMLResponse:
    """The form for a new password; after a one-time password it is the only page there is."""
    return _password_form(request, _session(request, center))


@router.post("/login/password")
def set_password(
    request: Request,
    center: TheCenter,
    new: Typed = "",
    again: Typed = "",
    old: Typed = "",
    csrf: Typed = "",
    onward: Next = "",
) -> Response:
    """A new password. All sessions end, and this browser gets a new one."""
    who = _session(request, center)
    check_word(request, center, who, csrf)
    if new != again:
        return _password_form(request, who, 422, error="unlike", onward=onward)
    try:
        choose_password(center, who, None if who.must_change else old, new)
    except ApiError as error:
        name = {403: "old_wrong", 429: "locked"}.get(error.status, "unfit")
        return _password_form(request, who, error.status, error=name, onward=onward, wait_s=error.retry_s)
    return with_session(
        center, accounts.let_in(center.database, who.name, new), RedirectResponse(own_path(onward), 303)
    )


def session_or_login(request: Request, center: Center) -> Who:
    """Whoever has a session that may do something. Raises Elsewhere to where they get one."""
    who = _session(request, center)
    if who.must_change:
        raise Elsewhere(_password_first(_asked(request)))
    return who


def own_path(told: str) -> str:
    """A path of this center, so that nobody is sent to another site; the start where it is none. Pure."""
    return told if is_own_path(told) else START


def _session(request: Request, center: Center) -> Who:
    try:
        return known(request, center)
    except ApiError as error:
        if error.status != 401:
            raise
        asked = _asked(request) if request.method == "GET" else START
        raise Elsewhere(f"/login?next={quote(asked, safe='')}") from None


def _take_language(request: Request, center: Center, row: Any) -> None:
    """At the first login the language of the form is the account's, unless somebody gave it another than the usual."""
    told = language_told(request)
    if told is not None and row.language == accounts.USUAL_LANGUAGE != told:
        with center.database.begin() as connection:
            accounts.speak(connection, row.id, told)


def _asked(request: Request) -> str:
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")


def _password_first(to: str) -> str:
    return f"/login/password?next={quote(to, safe='')}"


def _onward(request: Request) -> str:
    return own_path(request.query_params.get("next", START))


def _refused(request: Request, center: Center, error: ApiError, name: str, onward: str) -> HTMLResponse:
    """The same for a wrong name and a wrong password, so that nobody learns which names there are."""
    why = "locked" if error.status == 429 else "wrong"
    return _form(request, center, error.status, name=name, onward=onward, error=why, wait_s=error.retry_s)


def _form(
    request: Request,
    center: Center,
    status: int = 200,
    *,
    name: str = "",
    onward: str = "",
    error: str = "",
    wait_s: float = 0.0,
    notice: str = "",
) -> HTMLResponse:
    language, word = language_asked(request), secrets.token_urlsafe(24)
    values: dict[str, Any] = {
        "word": word,
        "name": name[:_LONGEST_NAME],
        "onward": own_path(onward) if onward else _onward(request),
        "error": _error(language, error, wait_s),
        "notice": notice,
        "oidc": center.provider is not None,
    }
    values["oidc_next"] = quote(values["onward"], safe="")
    page = render("login.html", "login", language, request, status, **values)
    set_cookie(center, page, _FORM_COOKIE, word, _FORM_S, "/login")
    return _patient(page, wait_s)


def _password_form(
    request: Request, who: Who, status: int = 200, *, onward: str = "", error: str = "", wait_s: float = 0.0
) -> HTMLResponse:
    language = language_told(request) or who.language
    values: dict[str, Any] = {
        "who": who,
        "onward": own_path(onward) if onward else _onward(request),
        "error": _error(language, error, wait_s),
    }
    return _patient(render("password.html", "login", language, request, status, **values), wait_s)


def _error(language: str, name: str, wait_s: float) -> str:
    return say(language, f"login.{name}", seconds=math.ceil(wait_s)) if name else ""


def _patient(page: HTMLResponse, wait_s: float) -> HTMLResponse:
    if wait_s:
        page.headers["retry-after"] = str(math.ceil(wait_s))
    return page
