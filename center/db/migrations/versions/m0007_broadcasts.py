"""Messages to the merchants of many sites."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "broadcasts",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("audience", sa.JSON(), nullable=True),
        sa.Column("texts", sa.JSON(), nullable=True),
        sa.Column("incident_id", sa.Text(), nullable=True),
        sa.Column("suppression_id", sa.Text(), nullable=True),
        sa.Column("terminals_n", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_broadcasts"),
    )
    op.create_index("ix_broadcasts_incident_id", "broadcasts", ["incident_id"])
    op.create_index("ix_broadcasts_suppression_id", "broadcasts", ["suppression_id"])
    op.create_table(
        "broadcast_sites",
        sa.Column("broadcast_id", sa.Text(), nullable=False),
        sa.Column("estate", sa.Text(), nullable=False),
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("post_key", sa.Text(), nullable=True),
        sa.Column("why", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("broadcast_id", "estate", "site", name="pk_broadcast_sites"),
    )
