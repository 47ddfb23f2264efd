"""In which form a webhook is told."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.add_column("webhooks", sa.Column("format", sa.Text(), server_default="posdiag", nullable=False))
