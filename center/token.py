"""`posdiag center token`: an API token, made in the database itself, for there is nobody to ask yet."""

from __future__ import annotations

import argparse
import getpass
import json
import time

from sqlalchemy import Connection, select
from sqlalchemy.exc import DBAPIError

from center.access import audit
from center.access.accounts import AccountError
from center.access.audit import Entry
from center.access.credentials import issue_token
from center.access.roles import ROLES
from center.access.scope import Scope
from center.db.engine import Database, DatabaseError, reason
from center.db.migrate import there
from center.db.tables import accounts
from center.exits import DONE, unable
from center.settings import SettingsError, read

_DAY_MS = 86_400_000


def run_token(args: argparse.Namespace) -> int:
    """Print a new token. 0 done, 2 unable, with one line."""
    if args.role not in ROLES:
        return unable(f"{args.role!r} is no role; there are {', '.join(ROLES)}")
    if args.days is not None and not 0 < args.days <= 36_500:
        return unable("--days is a number above 0")
    try:
        settings, _origins = read(args)
        database = there(settings.database)
        try:
            token_id, secret = _issue(database, args)
        finally:
            database.close()
    except (SettingsError, DatabaseError, AccountError) as error:
        return unable(error)
    except DBAPIError as error:
        return unable(f"the database: {reason(error)}")
    print(json.dumps({"id": token_id, "token": secret}) if args.json else secret)
    return DONE


def _issue(database: Database, args: argparse.Namespace) -> tuple[str, str]:
    now_ms = time.time_ns() // 1_000_000
    scope = Scope(*(None if names is None else tuple(sorted(names)) for names in (args.estate, args.region, args.site)))
    expires_ms = None if args.days is None else now_ms + int(args.days * _DAY_MS)
    with database.begin() as connection:
        account_id = None if args.account is None else _account(connection, args.account)
        made = issue_token(
            connection,
            args.role,
            now_ms,
            name=args.name,
            scope=scope,
            account_id=account_id,
            expires_ms=expires_ms,
        )
        detail = {"role": args.role, "scope": scope.to_json(), "account": args.account}
        audit.append(connection, [Entry(now_ms, f"command line, {asked_by()}", "token.create", made[0], detail)])
    return made


def _account(connection: Connection, name: str) -> str:
    """The account's id. Raises AccountError with the names that there are."""
    rows = connection.execute(select(accounts.c.name, accounts.c.id).where(accounts.c.disabled.is_(False)))
    ids = {str(row.name): str(row.id) for row in rows}
    if name not in ids:
        raise AccountError(f"no account is called {name!r}; there are {', '.join(sorted(ids)) or 'none'}")
    return ids[name]


def asked_by() -> str:
    """Who runs a command, for the audit."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "an unnamed user"
