"""A link in each site's copy of a message to many, and when it was opened."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.add_column("broadcast_sites", sa.Column("token", sa.Text(), nullable=True))
    op.add_column("broadcast_sites", sa.Column("read_ms", sa.BigInteger(), nullable=True))
    op.create_index("ix_broadcast_sites_token", "broadcast_sites", ["token"], unique=True)
