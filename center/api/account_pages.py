"""Logging in and out, and one's own account."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import update

from center.access import accounts, audit, credentials, oidc, passwords
from center.access.audit import Entry
from center.access.roles import Who, known_roles
from center.api.context import ApiError, Center
from center.api.proof import COOKIE, Somebody, TheCenter, record
from center.db import tables

router = APIRouter(prefix="/api/v1")

_OIDC_COOKIE: Final = "posdiag_oidc"
_ADDRESS_FAILURES: Final = "address "


class Login(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"name": "ann", "password": "…"}]})
    name: str = Field(min_length=1, max_length=64)
    password: str = Field(min_length=1, max_length=passwords.LONGEST)


class NewPassword(BaseModel):
    model_config = ConfigDict(extra="forbid")
    old: str = Field(min_length=1, max_length=passwords.LONGEST)
    new: str = Field(min_length=1, max_length=passwords.LONGEST)


class Wishes(BaseModel):
    """What people may change about their own account."""

    model_config = ConfigDict(extra="forbid")
    language: Literal["en", "zh"]


class Me(BaseModel):
    """Who is asking. `csrf` is null where no cookie is involved."""

    name: str
    roles: list[str]
    permissions: list[str]
    scope: dict[str, list[str] | None]
    language: str
    must_change: bool
    csrf: str | None


@router.post("/session", response_model=Me)
def log_in(body: Login, request: Request, center: TheCenter) -> Response:
    """Begin a session by name and password; the answer sets its cookie."""
    return with_session(center, let_in(center, body.name, body.password, request))


def let_in(center: Center, name: str, password: str, request: Request) -> Any:
    """The account's row. Raises ApiError 401 for a name or password that is wrong, 429 while too many were."""
    now_ms, name = center.now_ms(), name.lower()
    address = f"{_ADDRESS_FAILURES}{request.client.host if request.client else ''}"
    wait_s = max(center.lockout.wait_s(name, now_ms), center.address_lockout.wait_s(address, now_ms))
    if wait_s:
        raise ApiError(429, f"too many failed attempts; try again in {wait_s / 60:.0f} min", retry_s=wait_s)
    row = accounts.let_in(center.database, name, password)
    if row is None:
        center.lockout.failed(name, now_ms)
        center.address_lockout.failed(address, now_ms)
        with center.database.begin() as connection:
            audit.append(connection, [Entry(now_ms, "nobody", "login.failed", name, {"from": address[8:]})])
        raise ApiError(401, "name or password is wrong")
    center.lockout.passed(name)
    return row


@router.delete("/session", status_code=204)
def log_out(request: Request, center: TheCenter, who: Somebody) -> Response:
    """End the session."""
    return end_session(request, center, who, Response(status_code=204))


def end_session(request: Request, center: Center, who: Who, answer: Response) -> Response:
    """End the session of a request; the answer takes the cookie back."""
    with center.database.begin() as connection:
        credentials.close_sessions(connection, secret=request.cookies.get(COOKIE, ""))
        record(connection, center, who, "logout", who.name)
    answer.delete_cookie(COOKIE)
    return answer


@router.get("/me", response_model=Me)
def me(who: Somebody) -> JSONResponse:
    """Who is asking, and what they may."""
    return JSONResponse(_me(who))


@router.put("/me", response_model=Me)
def change_me(body: Wishes, center: TheCenter, who: Somebody) -> JSONResponse:
    """Change one's language."""
    account = _account(who)
    with center.database.begin() as connection:
        accounts.speak(connection, account, body.language)
        record(connection, center, who, "account.language", who.name, {"language": body.language})
    return JSONResponse(_me(who) | {"language": body.language})


@router.post("/me/password", status_code=204)
def change_password(body: NewPassword, center: TheCenter, who: Somebody) -> Response:
    """Change one's password. All sessions end, this one too."""
    choose_password(center, who, body.old, body.new)
    answer = Response(status_code=204)
    answer.delete_cookie(COOKIE)
    return answer


def choose_password(center: Center, who: Who, old: str | None, new: str) -> None:
    """Change it; all sessions end. Raises ApiError 403 for a wrong old one, 422 for a bad new one, 429.

    `old` may be None right after a one-time password: such a session can do nothing else.
    """
    account = _account(who)
    now_ms = center.now_ms()
    wait_s = center.lockout.wait_s(who.name, now_ms)
    if wait_s:
        raise ApiError(429, f"too many failed attempts; try again in {wait_s / 60:.0f} min", retry_s=wait_s)
    if not (old is None and who.must_change) and accounts.let_in(center.database, who.name, old or "") is None:
        center.lockout.failed(who.name, now_ms)
        raise ApiError(403, "the old password is wrong")
    if accounts.let_in(center.database, who.name, new) is not None:
        raise ApiError(422, "new: the same as the old one")
    try:
        with center.database.begin() as connection:
            accounts.set_password(connection, account, who.name, new)
            record(connection, center, who, "account.password", who.name)
    except passwords.BadPassword as error:
        raise ApiError(422, f"new: {error}") from None


@router.get("/oidc/login", response_class=RedirectResponse, status_code=303)
def oidc_login(
    center: TheCenter,
    onward: Annotated[str, Query(alias="next", max_length=1000, description="Where to go then, on this center")] = "/",
) -> Response:
    """Go to the OpenID Connect provider that is set up, to log in there."""
    provider = _provider(center)
    if not is_own_path(onward):
        raise ApiError(422, "next: not a path of this center")
    try:
        address, kept = provider.begin(onward)
    except oidc.OidcError as error:
        raise ApiError(503, str(error)) from None
    answer = RedirectResponse(address, 303)
    set_cookie(center, answer, _OIDC_COOKIE, kept, 600, "/api/v1/oidc")
    return answer


@router.get("/oidc/callback", response_class=RedirectResponse, status_code=303)
def oidc_callback(
    request: Request,
    center: TheCenter,
    code: Annotated[str, Query(max_length=2000)] = "",
    state: Annotated[str, Query(max_length=500)] = "",
) -> Response:
    """Where the provider sends people back to; begins a session."""
    provider, now_ms = _provider(center), center.now_ms()
    try:
        person = provider.finish(code, state, request.cookies.get(_OIDC_COOKIE, ""))
    except oidc.OidcError as error:
        raise _turned_away(center, str(error)) from None
    roles = known_roles(person.roles)
    if not roles:
        raise _turned_away(center, f"{person.name} has no role in this center")
    with center.database.begin() as connection:
        row = accounts.by_oidc(connection, person.issuer, person.subject)
        if row is None:
            name = accounts.free_name(connection, person.name)
            accounts.create(connection, name, sorted(roles), now_ms, oidc=(person.issuer, person.subject))
            audit.append(connection, [Entry(now_ms, name, "account.create", name, {"by": "oidc"})])
        elif set(row.roles or []) != roles:
            connection.execute(
                update(tables.accounts).where(tables.accounts.c.id == row.id).values(roles=sorted(roles))
            )
            audit.append(connection, [Entry(now_ms, row.name, "account.roles", row.name, {"roles": sorted(roles)})])
        row = accounts.by_oidc(connection, person.issuer, person.subject)
    if row is None or row.disabled:
        raise ApiError(403, "this account is disabled")
    answer = with_session(center, row, RedirectResponse(person.onward, 303))
    answer.delete_cookie(_OIDC_COOKIE, path="/api/v1/oidc")
    return answer


def is_own_path(told: str) -> bool:
    """Whether it leads to this center and nowhere else, whatever a browser makes of it. Pure."""
    odd = any(ord(letter) <= 32 or letter == "\\" for letter in told)
    return told.startswith("/") and not told.startswith("//") and not odd


def _turned_away(center: Center, why: str) -> ApiError:
    with center.database.begin() as connection:
        audit.append(connection, [Entry(center.now_ms(), "nobody", "login.failed", "oidc", {"why": why})])
    return ApiError(403, why)


def with_session(center: Center, row: Any, answer: Response | None = None) -> Response:
    """A session of this account, in the answer's cookie; without an answer in one that says who they are."""
    now_ms = center.now_ms()
    with center.database.begin() as connection:
        secret, csrf = credentials.open_session(connection, row.id, now_ms)
        connection.execute(update(tables.accounts).where(tables.accounts.c.id == row.id).values(last_login_ms=now_ms))
        audit.append(connection, [Entry(now_ms, row.name, "login", row.name)])
    answer = answer or JSONResponse(_me(credentials.who_of(row, csrf)))
    set_cookie(center, answer, COOKIE, secret, credentials.SESSION_MS // 1000, "/")
    return answer


def set_cookie(center: Center, answer: Response, name: str, value: str, age_s: int, path: str) -> None:
    secure = center.settings.public_url.startswith("https://")
    answer.set_cookie(name, value, max_age=age_s, path=path, httponly=True, samesite="lax", secure=secure)


def _me(who: Who) -> dict[str, Any]:
    return {
        "name": who.name,
        "roles": sorted(who.roles),
        "permissions": sorted(who.permissions),
        "scope": who.scope.to_json(),
        "language": who.language,
        "must_change": who.must_change,
        "csrf": who.csrf,
    }


def _account(who: Who) -> str:
    if who.account_id is None or who.token_id is not None:
        raise ApiError(403, "a token has no account that it could change")
    return who.account_id


def _provider(center: Center) -> oidc.Provider:
    provider = center.provider
    if provider is None:
        raise ApiError(404, "no OpenID Connect provider is set up")
    return provider
