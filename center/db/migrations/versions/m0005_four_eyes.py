"""Which account asked for what a second person must agree to. What waits already is of the account with that name."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_ASKED = (("commands", "issued_by"), ("campaigns", "created_by"), ("guides", "author"))


def upgrade() -> None:
    for table, name in _ASKED:
        op.add_column(table, sa.Column("asked_by_account", sa.Text(), nullable=True))
        named = f"SELECT id FROM accounts WHERE accounts.name = {table}.{name}"  # noqa: S608 - names of this file
        op.execute(f"UPDATE {table} SET asked_by_account = ({named})")  # noqa: S608 - as above
