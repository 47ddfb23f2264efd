"""API tokens and sessions of browsers: the database holds their hashes only."""

from __future__ import annotations

import hashlib
import secrets
from typing import Any, Final

from sqlalchemy import Connection, delete, insert, select, update

from center.access.roles import Role, Who, known_roles
from center.access.scope import EVERYTHING, Scope
from center.db.tables import accounts, sessions, tokens
from center.ids import new_id

TOKEN_PREFIX: Final = "pdt_"  # noqa: S105 - how each begins, so that leaked ones are found by searching
SESSION_MS: Final = 12 * 3600 * 1000
IDLE_MS: Final = 2 * 3600 * 1000


def digest(secret: str) -> str:
    """How a secret of 256 random bits is stored: no salt and no slow hash is needed against guessing those."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def issue_token(
    connection: Connection,
    role: Role,
    now_ms: int,
    *,
    name: str = "",
    scope: Scope = EVERYTHING,
    account_id: str | None = None,
    expires_ms: int | None = None,
) -> tuple[str, str]:
    """A new token: its id, and the secret, which nobody sees again."""
    secret, token_id = TOKEN_PREFIX + secrets.token_urlsafe(32), new_id("tok", now_ms)
    values = {
        "id": token_id,
        "hash": digest(secret),
        "name": name,
        "role": role,
        "scopes": scope.to_json(),
        "account_id": account_id,
        "created_ms": now_ms,
        "expires_ms": expires_ms,
    }
    connection.execute(insert(tokens).values(values))
    return token_id, secret


def revoke_token(connection: Connection, token_id: str, now_ms: int) -> bool:
    """Whether there was one to revoke."""
    there = (tokens.c.id == token_id) & tokens.c.revoked_ms.is_(None)
    return bool(connection.execute(update(tokens).where(there).values(revoked_ms=now_ms)).rowcount)


def by_token(connection: Connection, secret: str, now_ms: int) -> Who | None:
    """Whose token it is; None for one that is unknown, revoked, expired, or of an account that is disabled."""
    owner = accounts.alias()
    joined = tokens.outerjoin(owner, owner.c.id == tokens.c.account_id)
    query = (
        select(tokens, owner.c.disabled, owner.c.name.label("account"))
        .select_from(joined)
        .where(tokens.c.hash == digest(secret))
    )
    row = connection.execute(query).first()
    if row is None or row.revoked_ms is not None or row.disabled:
        return None
    if row.expires_ms is not None and row.expires_ms <= now_ms:
        return None
    scope = Scope.of(row.scopes)
    shown = " ".join(["token", *filter(None, [row.name]), *(["of", row.account] if row.account else [])])
    if not row.name and not row.account:
        shown = f"a token with the role {row.role}"
    name = f"token {row.name or row.id}"
    return Who(name, known_roles([row.role]), scope, row.account_id, row.id, shown=shown)


def open_session(connection: Connection, account_id: str, now_ms: int) -> tuple[str, str]:
    """A new session: what the browser holds, and the CSRF word it must send along with what changes something."""
    secret, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(24)
    connection.execute(delete(sessions).where(sessions.c.expires_ms <= now_ms))
    values = {
        "id": digest(secret),
        "account_id": account_id,
        "csrf": csrf,
        "created_ms": now_ms,
        "expires_ms": now_ms + SESSION_MS,
        "last_used_ms": now_ms,
    }
    connection.execute(insert(sessions).values(values))
    return secret, csrf


def by_session(connection: Connection, secret: str, now_ms: int) -> tuple[Who, str] | None:
    """Whose session it is, and its id; None for one that is over, idle for too long, or of a disabled account."""
    query = (
        select(sessions.c.id.label("session"), sessions.c.csrf, sessions.c.last_used_ms, accounts)
        .join(accounts, accounts.c.id == sessions.c.account_id)
        .where(sessions.c.id == digest(secret), sessions.c.expires_ms > now_ms)
    )
    row = connection.execute(query).first()
    if row is None or row.disabled or now_ms - (row.last_used_ms or 0) > IDLE_MS:
        return None
    return who_of(row, row.csrf), row.session


def who_of(row: Any, csrf: str | None = None) -> Who:
    """An account's row as somebody."""
    scope = Scope.of(row.scopes)
    return Who(
        row.name,
        known_roles(row.roles),
        scope,
        row.id,
        csrf=csrf,
        must_change=row.must_change,
        language=row.language,
    )


def close_sessions(connection: Connection, *, account_id: str = "", secret: str = "") -> None:
    """End one session, or all of an account."""
    which = sessions.c.account_id == account_id if account_id else sessions.c.id == digest(secret)
    connection.execute(delete(sessions).where(which))
