"""Who stopped a message to many, when and why."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("broadcasts", sa.Column("cancelled_by", sa.Text(), nullable=True))
    op.add_column("broadcasts", sa.Column("cancelled_ms", sa.BigInteger(), nullable=True))
    op.add_column("broadcasts", sa.Column("cancel_reason", sa.Text(), nullable=True))
