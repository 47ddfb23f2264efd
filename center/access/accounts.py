"""Accounts of people: made, changed, and let in."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from sqlalchemy import Connection, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from center.access import audit, passwords
from center.access.audit import Entry
from center.access.credentials import close_sessions
from center.access.roles import ROLES, Role
from center.access.scope import EVERYTHING, Scope
from center.db.engine import Database
from center.db.tables import accounts
from center.ids import new_id

FIRST: Final = "admin"
USUAL_LANGUAGE: Final = "en"
"""Of an account of which nobody said another."""
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._@-]{1,63}")


class AccountError(ValueError):
    """What is wrong with an account, in one line."""


def first_administrator(database: Database, now_ms: int) -> str | None:
    """Where there is no account at all: one administrator, whose one-time password is returned."""
    with database.begin() as connection:
        if connection.execute(select(func.count()).select_from(accounts)).scalar_one():
            return None
        password = passwords.one_time()
        create(connection, FIRST, ["admin"], now_ms, password=password, must_change=True)
        audit.append(connection, [Entry(now_ms, "first start", "account.create", FIRST, {"roles": ["admin"]})])
    return password


def create(
    connection: Connection,
    name: str,
    roles: Iterable[Role],
    now_ms: int,
    *,
    password: str | None = None,
    scope: Scope = EVERYTHING,
    language: str = USUAL_LANGUAGE,
    must_change: bool = False,
    oidc: tuple[str, str] | None = None,
) -> str:
    """A new account; its id. `oidc` is the issuer and subject it logs in by. Raises AccountError and BadPassword."""
    if not _NAME.fullmatch(name):
        raise AccountError("an account's name has 2 to 64 of a-z, 0-9, dot, @, - and _")
    values = {
        "id": new_id("acc", now_ms),
        "name": name,
        "password_hash": None if password is None else passwords.hashed(password, name),
        "roles": _checked(roles),
        "scopes": scope.to_json(),
        "language": language,
        "must_change": must_change,
        "oidc_issuer": oidc[0] if oidc else None,
        "oidc_subject": oidc[1] if oidc else None,
        "created_ms": now_ms,
    }
    try:
        with connection.begin_nested():
            connection.execute(insert(accounts).values(values))
    except IntegrityError:
        raise AccountError(f"there is an account called {name}") from None
    return str(values["id"])


def change(connection: Connection, account_id: str, changes: dict[str, Any]) -> bool:
    """Change roles, scope, language or disabled. Sessions end. Whether there is such an account.

    Raises AccountError: the last administrator stays one.
    """
    values = dict(changes)
    if "roles" in values:
        values["roles"] = _checked(values["roles"])
    if "scope" in values:
        values["scopes"] = values.pop("scope").to_json()
    if not connection.execute(update(accounts).where(accounts.c.id == account_id).values(values)).rowcount:
        return False
    rows = connection.execute(select(accounts.c.roles).where(accounts.c.disabled.is_(False))).scalars()
    if not any("admin" in (roles or []) for roles in rows):
        raise AccountError("somebody must remain an administrator")
    close_sessions(connection, account_id=account_id)
    return True


def speak(connection: Connection, account_id: str, language: str) -> None:
    """The account's language; sessions go on."""
    connection.execute(update(accounts).where(accounts.c.id == account_id).values(language=language))


def set_password(
    connection: Connection, account_id: str, name: str, password: str, *, must_change: bool = False
) -> None:
    """A new password; all sessions end. Raises BadPassword."""
    values = {"password_hash": passwords.hashed(password, name), "must_change": must_change}
    connection.execute(update(accounts).where(accounts.c.id == account_id).values(values))
    close_sessions(connection, account_id=account_id)


def let_in(database: Database, name: str, password: str) -> Any | None:
    """The account's row if name and password fit and it is not disabled."""
    with database.read() as connection:
        row = connection.execute(select(accounts).where(accounts.c.name == name)).first()
    fitting = passwords.fits(row.password_hash if row else None, password)  # with no transaction open: it takes a while
    return row if fitting and row is not None and not row.disabled else None


def free_name(connection: Connection, wished: str) -> str:
    """A name that is allowed and that no account has, like the one wished for."""
    plain = re.sub(r"[^a-z0-9._@-]", "-", wished.lower()).lstrip(".-_@")[:50]
    plain = plain if len(plain) > 1 else f"user-{plain}"
    name, number = plain, 1
    while connection.execute(select(accounts.c.id).where(accounts.c.name == name)).first():
        number += 1
        name = f"{plain}-{number}"
    return name


def by_oidc(connection: Connection, issuer: str, subject: str) -> Any | None:
    """The account that logs in by this issuer and subject."""
    same = (accounts.c.oidc_issuer == issuer) & (accounts.c.oidc_subject == subject)
    return connection.execute(select(accounts).where(same)).first()


def _checked(roles: Iterable[str]) -> list[str]:
    given = sorted(set(roles))
    strange = [role for role in given if role not in ROLES]
    if strange or not given:
        raise AccountError(f"{strange[0]!r} is no role" if strange else f"a role is needed: {', '.join(ROLES)}")
    return given
