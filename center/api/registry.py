"""What is set up rather than happens: accounts, tokens, channels, webhooks, sites and places; and the audit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Query
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy import Table, delete, insert, or_, select

from center.access import accounts, audit, credentials, passwords
from center.access.roles import Role, Who
from center.api import items
from center.api.context import ApiError, Center
from center.api.filters import moment_ms
from center.api.lookups import Name, checked_scope, one
from center.api.paging import DEFAULT_LIMIT, MOST, Order, page
from center.api.proof import TheCenter, everywhere, record
from center.db import tables
from center.ids import new_id
from center.notify import channel_urls, webhook_urls

router = APIRouter(prefix="/api/v1")

Admin = Annotated[Who, Depends(everywhere("admin"))]
Auditor = Annotated[Who, Depends(everywhere("audit.read"))]
Limit = Annotated[int, Query(ge=1, le=MOST)]
Cursor = Annotated[str | None, Query(max_length=500)]
ScopeBody = dict[str, Any]
_SECRETS: Final = frozenset({"password_hash", "hash", "secret", "url"})
_LINES: Final = 1000
"""Of the audit that are sent at once."""
_EVENTS: Final = r"^[a-z0-9_.*-]{1,64}$"
EventPattern = Annotated[str, Field(pattern=_EVENTS)]
Clock = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewAccount(Body):
    name: str = Field(max_length=64)
    roles: list[Role] = Field(min_length=1)
    scope: ScopeBody | None = None
    language: str = Field("en", pattern="^(en|zh)$")


class AccountChange(Body):
    roles: list[Role] | None = Field(None, min_length=1)
    scope: ScopeBody | None = None
    disabled: bool | None = None
    language: Literal["en", "zh"] | None = None


class NewToken(Body):
    role: Role
    name: str = Field("", max_length=100)
    scope: ScopeBody | None = None
    expires: AwareDatetime | None = None


class QuietHours(Body):
    """Not to be told within these, but for what is critical: it waits until they end."""

    from_: Clock = Field(alias="from")
    until: Clock
    timezone: str = Field("UTC", max_length=64)


class Escalation(Body):
    """Told only if nobody has acknowledged after so many minutes."""

    after_min: int = Field(ge=1, le=10_080)


class NewChannel(Body):
    """Where people are told. `url` is one of Apprise's; it may hold `{to}` for contacts that a message names."""

    name: str = Field(min_length=1, max_length=100)
    url: str = Field(max_length=2000)
    events: list[EventPattern] = Field(min_length=1, max_length=50)
    estates: list[str] | None = Field(None, max_length=1000)
    severities: list[str] | None = Field(None, max_length=4)
    group_s: int = Field(60, ge=0, le=3600)
    quiet_hours: QuietHours | None = None
    escalation: Escalation | None = None


class NewWebhook(Body):
    """Told by POST: `posdiag` each message as JSON, signed as docs of `center.notify.webhook_urls` say.

    `alertmanager` all open and just resolved incidents, every half a minute, as the list of alerts that Alertmanager
    takes at `…/api/v2/alerts`: groups for the event incident.opened, those of one terminal for case.opened, the
    center's own for center.alarm.
    """

    url: str = Field(max_length=2000)
    format: Literal["posdiag", "alertmanager"] = "posdiag"
    events: list[EventPattern] = Field(min_length=1, max_length=50)
    estates: list[str] | None = Field(None, max_length=1000)


# --- accounts and tokens ----------------------------------------------------------------------------------------------


@router.get("/accounts")
def list_accounts(center: TheCenter, _who: Admin, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> JSONResponse:
    """Who has an account."""
    return _list(center, tables.accounts, limit, cursor)


@router.post("/accounts", status_code=201)
def create_account(body: NewAccount, center: TheCenter, who: Admin) -> JSONResponse:
    """A new account with a one-time password, which is shown this once."""
    password = passwords.one_time()
    scope = checked_scope(body.scope)
    try:
        with center.database.begin() as connection:
            new = accounts.create(
                connection,
                body.name,
                body.roles,
                center.now_ms(),
                password=password,
                scope=scope,
                language=body.language,
                must_change=True,
            )
            detail = {"roles": sorted(body.roles), "scope": scope.to_json()}
            record(connection, center, who, "account.create", body.name, detail)
    except accounts.AccountError as error:
        raise ApiError(422, str(error)) from None
    return JSONResponse({"id": new, "name": body.name, "password": password}, 201)


@router.patch("/accounts/{name}", status_code=204)
def change_account(name: Name, body: AccountChange, center: TheCenter, who: Admin) -> Response:
    """Change roles, scope or language, or disable it. Its sessions end."""
    changes = body.model_dump(exclude_unset=True)
    if not changes or any(value is None for key, value in changes.items() if key != "scope"):
        raise ApiError(422, "give roles, scope, language or disabled")
    shown = dict(changes)
    if "scope" in changes:
        changes["scope"] = checked_scope(body.scope)
    try:
        with center.database.begin() as connection:
            if not accounts.change(connection, name, changes):
                raise ApiError(404, "there is no such account")
            record(connection, center, who, "account.change", name, shown)
    except accounts.AccountError as error:
        raise ApiError(409, str(error)) from None
    return Response(status_code=204)


@router.post("/accounts/{name}/password")
def reset_password(name: Name, center: TheCenter, who: Admin) -> JSONResponse:
    """A new one-time password, which is shown this once."""
    password = passwords.one_time()
    with center.database.begin() as connection:
        row = one(connection, select(tables.accounts).where(tables.accounts.c.id == name), "account")
        accounts.set_password(connection, row.id, row.name, password, must_change=True)
        record(connection, center, who, "account.reset", row.name)
    return JSONResponse({"password": password})


@router.get("/tokens")
def list_tokens(center: TheCenter, _who: Admin, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> JSONResponse:
    """Tokens, without what they are."""
    return _list(center, tables.tokens, limit, cursor)


@router.post("/tokens", status_code=201)
def create_token(body: NewToken, center: TheCenter, who: Admin) -> JSONResponse:
    """A new token, which is shown this once. It belongs to who makes it: to four eyes both are one."""
    scope, now_ms = checked_scope(body.scope), center.now_ms()
    expires_ms = None if body.expires is None else moment_ms(body.expires)
    if expires_ms is not None and expires_ms <= now_ms:
        raise ApiError(422, "expires: lies in the past")
    with center.database.begin() as connection:
        new, secret = credentials.issue_token(
            connection,
            body.role,
            now_ms,
            name=body.name,
            scope=scope,
            account_id=who.account_id,
            expires_ms=expires_ms,
        )
        record(connection, center, who, "token.create", new, {"role": body.role, "scope": scope.to_json()})
    return JSONResponse({"id": new, "token": secret}, 201)


@router.delete("/tokens/{name}", status_code=204)
def revoke_token(name: Name, center: TheCenter, who: Admin) -> Response:
    """It is good for nothing from now on."""
    with center.database.begin() as connection:
        if not credentials.revoke_token(connection, name, center.now_ms()):
            raise ApiError(404, "there is no such token")
        record(connection, center, who, "token.revoke", name)
    return Response(status_code=204)


# --- who is told ------------------------------------------------------------------------------------------------------


@router.get("/channels")
def list_channels(center: TheCenter, _who: Admin, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> JSONResponse:
    """Where people are told, without addresses, which hold secrets."""
    return _list(center, tables.channels, limit, cursor)


@router.post("/channels", status_code=201)
def create_channel(body: NewChannel, center: TheCenter, who: Admin) -> JSONResponse:
    """A new channel for mail, SMS, WeCom, DingTalk, Feishu and whatever else Apprise speaks."""
    problem = channel_urls.problem(body.url) or (
        body.quiet_hours and channel_urls.zone_problem(body.quiet_hours.timezone)
    )
    if problem:
        raise ApiError(422, problem)
    new = new_id("chan", center.now_ms())
    values = {
        "id": new,
        "name": body.name,
        "url": body.url,
        "events": body.events,
        "filter": {"estates": body.estates, "severities": body.severities, "group_s": body.group_s},
        "quiet_hours": body.quiet_hours.model_dump(by_alias=True) if body.quiet_hours else None,
        "escalation": body.escalation.model_dump() if body.escalation else None,
        "created_ms": center.now_ms(),
    }
    with center.database.begin() as connection:
        connection.execute(insert(tables.channels).values(values))
        record(connection, center, who, "channel.create", new, {"name": body.name, "events": body.events})
    return JSONResponse({"id": new}, 201)


@router.delete("/channels/{name}", status_code=204)
def delete_channel(name: Name, center: TheCenter, who: Admin) -> Response:
    return _delete(center, who, tables.channels, name, "channel")


@router.get("/webhooks")
def list_webhooks(center: TheCenter, _who: Admin, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> JSONResponse:
    """Webhooks, without their secrets."""
    return _list(center, tables.webhooks, limit, cursor)


@router.post("/webhooks", status_code=201)
def create_webhook(body: NewWebhook, center: TheCenter, who: Admin) -> JSONResponse:
    """A new webhook; its secret is shown this once."""
    problem = webhook_urls.problem(body.url)
    if problem:
        raise ApiError(422, problem)
    new, secret = new_id("hook", center.now_ms()), webhook_urls.new_secret()
    values = {
        "id": new,
        "url": body.url,
        "secret": secret,
        "format": body.format,
        "filter": {"events": body.events, "estates": body.estates},
        "state": "active",
        "created_ms": center.now_ms(),
    }
    with center.database.begin() as connection:
        connection.execute(insert(tables.webhooks).values(values))
        record(connection, center, who, "webhook.create", new, {"events": body.events, "format": body.format})
    return JSONResponse({"id": new, "secret": secret}, 201)


@router.delete("/webhooks/{name}", status_code=204)
def delete_webhook(name: Name, center: TheCenter, who: Admin) -> Response:
    return _delete(center, who, tables.webhooks, name, "webhook")


@router.get("/notifications")
def list_notifications(
    center: TheCenter, _who: Admin, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> JSONResponse:
    """What people were told, newest first, and what failed."""
    return _list(center, tables.notifications, limit, cursor)


# --- the audit --------------------------------------------------------------------------------------------------------


@router.get("/audit")
def list_audit(
    center: TheCenter,
    _who: Auditor,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
    who: Annotated[str | None, Query(max_length=200, pattern=r"^[^\x00]+$")] = None,
    since: AwareDatetime | None = None,
    until: AwareDatetime | None = None,
    what: Annotated[str | None, Query(max_length=100, pattern=r"^[a-z0-9_.]+$")] = None,
    target: Annotated[str | None, Query(max_length=200, pattern=r"^[^\x00]+$")] = None,
) -> JSONResponse:
    """Who read and did what, newest first. `what` case is also case.eta; `target` is a part of what it was done to."""
    table = tables.audit
    query = select(table)
    if what is not None:
        query = query.where(or_(table.c.what == what, table.c.what.startswith(f"{what}.", autoescape=True)))
    if target is not None:
        query = query.where(table.c.target.contains(target, autoescape=True))
    if who is not None:
        query = query.where(table.c.who == who)
    if since is not None:
        query = query.where(table.c.at_ms >= moment_ms(since))
    if until is not None:
        query = query.where(table.c.at_ms < moment_ms(until))
    with center.database.read() as connection:
        order = Order((table.c.id,), descending=True)
        return JSONResponse(page(connection, query, order, cursor, limit, lambda row: items.plain(table, row)))


@router.get("/audit/verify")
def verify_audit(
    center: TheCenter, _who: Auditor, seen: Annotated[str, Query(pattern=r"^([0-9a-f]{64})?$")] = ""
) -> JSONResponse:
    """Recompute the chain: `broken_id` is the first row that does not fit. `seen` is a head that was kept earlier."""
    with center.database.read() as connection:
        found = audit.verify(connection, seen)
    return JSONResponse({"rows": found.rows, "head": found.head, "broken_id": found.broken_id, "seen": found.seen})


@router.get("/audit/export", response_class=StreamingResponse)
def export_audit(center: TheCenter, _who: Auditor) -> StreamingResponse:
    """All of it as JSON lines, oldest first, with the hashes."""

    def pieces() -> Iterator[str]:
        with center.database.read() as connection:
            told = (json.dumps(dict(items.columns(row)), ensure_ascii=False) for row in audit.every(connection))
            while some := list(islice(told, _LINES)):  # a hop between threads for each piece, not for each line
                yield "\n".join(some) + "\n"

    headers = {"content-disposition": 'attachment; filename="audit.jsonl"'}
    return StreamingResponse(pieces(), media_type="application/jsonl", headers=headers)


def _list(center: Center, table: Table, limit: int, cursor: str | None) -> JSONResponse:
    with center.database.read() as connection:
        order = Order((table.c.id,), descending=True)
        shown = page(connection, select(table), order, cursor, limit, lambda row: items.plain(table, row, _SECRETS))
        return JSONResponse(shown)


def _delete(center: Center, who: Who, table: Table, name: str, what: str) -> Response:
    with center.database.begin() as connection:
        if not connection.execute(delete(table).where(table.c.id == name)).rowcount:
            raise ApiError(404, f"there is no such {what}")
        record(connection, center, who, f"{what}.delete", name)
    return Response(status_code=204)
