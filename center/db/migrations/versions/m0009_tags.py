"""Words of an estate's own for its sites and terminals."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    for table in ("places", "sites"):
        op.add_column(table, sa.Column("tags", sa.JSON(none_as_null=True), nullable=True))
