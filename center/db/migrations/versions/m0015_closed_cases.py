"""Cases by when they were closed, for reports of a period and for what is kept no longer."""

from __future__ import annotations

from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.create_index("ix_cases_closed_ms", "cases", ["closed_ms"])
