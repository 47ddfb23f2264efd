"""Whom something can be given to: accounts that may work on it."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Connection, Table, select

from center.access.credentials import who_of
from center.db.tables import accounts
from center.domain.refusal import Refusal

_NAMED: Final = 20
_TRIED: Final = 200
"""Of so many accounts those are named that could be meant."""


def check_owner(connection: Connection, owner: str, by: str, table: Table, row_id: str) -> None:
    """Raises Refusal unless `owner` is who gives it, `by`, or an account that may work on this case or incident."""
    query = select(accounts).where(accounts.c.disabled.is_(False))
    account = connection.execute(query.where(accounts.c.name == owner)).first()
    if owner == by or (account is not None and _may_work_on(connection, account, table, row_id)):
        return
    known = owners(connection, table, row_id)
    there = ", ".join(known[:_NAMED]) or "no account that may"
    more = f" and {len(known) - _NAMED} more" if len(known) > _NAMED else ""
    raise Refusal(
        "invalid", f"no account {owner[:80]!r} may work on this; there is {there}{more}; anybody else is external"
    )


def owners(connection: Connection, table: Table, row_id: str) -> list[str]:
    """Names of accounts that may work on this case or incident, in order."""
    query = select(accounts).where(accounts.c.disabled.is_(False)).order_by(accounts.c.name).limit(_TRIED)
    return [str(row.name) for row in connection.execute(query) if _may_work_on(connection, row, table, row_id)]


def _may_work_on(connection: Connection, account: Any, table: Table, row_id: str) -> bool:
    who = who_of(account)
    inside = select(table.c.id).where(table.c.id == row_id, who.scope.where(table))
    return who.may("case.write") and connection.execute(inside).first() is not None
