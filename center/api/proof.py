"""Who is asking, by token or cookie, and whether they may; what was refused is written down."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Annotated, Any, Final

from fastapi import Depends, Request
from sqlalchemy import Connection

from center.access import audit, credentials
from center.access.audit import Entry
from center.access.roles import Permission, Who
from center.api.context import ApiError, Center, center_of

COOKIE: Final = "posdiag_session"
CSRF_HEADER: Final = "x-csrf-token"
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})

TheCenter = Annotated[Center, Depends(center_of)]


def somebody(request: Request, center: TheCenter) -> Who:
    """Whoever can prove who they are. Raises ApiError 401 or 403."""
    who = known(request, center)
    if request.method not in _SAFE:
        check_word(request, center, who, request.headers.get(CSRF_HEADER, ""))
    return who


def known(request: Request, center: Center) -> Who:
    """Whose token or session it is, whatever they want. Raises ApiError 401 or 429."""
    who = _found(request, center)
    if who is None:
        wait_s = center.refused.take(_address(request), center.now_ms())
        if wait_s:
            raise ApiError(429, f"too many failed attempts; try again in {wait_s:.0f} s", retry_s=wait_s)
        if "authorization" in request.headers or COOKIE in request.cookies:
            note(center, Entry(center.now_ms(), "nobody", "refused", _asked(request), {"from": _address(request)}))
        raise ApiError(401, "a token or a session is needed, and one that is still good")
    return who


def check_word(request: Request, center: Center, who: Who, told: str) -> None:
    """Whether the CSRF word that came along is the session's. Raises ApiError 403."""
    if who.csrf is None or secrets.compare_digest(told.encode("utf-8", "replace"), who.csrf.encode()):
        return
    _refused(request, center, who, "no CSRF word")
    raise ApiError(403, f"what changes something needs the session's word in the header {CSRF_HEADER}")


def allowed(permission: Permission) -> Callable[..., Who]:
    """A dependency: somebody who may do this. What they read is written down here, what they do by who does it."""

    def check(request: Request, center: TheCenter, who: Annotated[Who, Depends(somebody)]) -> Who:
        if who.must_change:
            raise ApiError(403, "this password is for one time; choose another by POST /api/v1/me/password")
        if not who.may(permission):
            _refused(request, center, who, permission)
            raise ApiError(403, f"this needs the permission {permission}, which {who.name} has not")
        if request.method in _SAFE:
            note(center, Entry(center.now_ms(), who.name, "read", _asked(request)))
        return who

    return check


def everywhere(permission: Permission) -> Callable[..., Who]:
    """As `allowed`, for what has no place in the fleet: whoever is bound to a part of it could otherwise step out."""
    check = allowed(permission)

    def check_reach(request: Request, center: TheCenter, who: Annotated[Who, Depends(somebody)]) -> Who:
        who = check(request, center, who)
        if not who.scope.is_everything:
            _refused(request, center, who, "a scope without bounds")
            raise ApiError(403, "this is for those whose scope is the whole fleet")
        return who

    return check_reach


def record(connection: Connection, center: Center, who: Who, what: str, target: str, detail: Any = None) -> None:
    """Write down what somebody did, in the transaction that does it: the last thing before the commit."""
    audit.append(connection, [Entry(center.now_ms(), who.name, what, target, detail)])


def note(center: Center, entry: Entry) -> None:
    """Have it written down soon. Raises ApiError 503 when it cannot be: nobody reads unseen."""
    try:
        center.recorder.note(entry)
    except OverflowError as error:
        raise ApiError(503, str(error)) from error


def _found(request: Request, center: Center) -> Who | None:
    now_ms = center.now_ms()
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        with center.database.read() as connection:
            who = credentials.by_token(connection, secret.strip(), now_ms)
        if who is not None and who.token_id is not None:
            center.recorder.used("token", who.token_id, now_ms)
        return who
    held = request.cookies.get(COOKIE)
    if not held:
        return None
    with center.database.read() as connection:
        found = credentials.by_session(connection, held, now_ms)
    if found is None:
        return None
    center.recorder.used("session", found[1], now_ms)
    return found[0]


def _refused(request: Request, center: Center, who: Who, needed: str) -> None:
    note(center, Entry(center.now_ms(), who.name, "refused", _asked(request), {"needed": needed}))


def _asked(request: Request) -> str:
    query = f"?{request.url.query}" if request.url.query else ""
    return f"{request.method} {request.url.path}{query}"[:500]


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


Reader = Annotated[Who, Depends(allowed("read"))]
Somebody = Annotated[Who, Depends(somebody)]
