"""What terminals measure of their own place, which of them were taken out, and what may wait in the outbox."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0010"


def upgrade() -> None:
    for name in ("operator_basis", "cell_basis", "measured_operator", "measured_cell"):
        op.add_column("terminals", sa.Column(name, sa.Text(), nullable=True))
    op.add_column("terminals", sa.Column("moved_ms", sa.BigInteger(), nullable=True))
    for name in ("operator_version", "cell_version"):
        op.add_column("terminals", sa.Column(name, sa.Text(), server_default="", nullable=False))
    _places()
    op.add_column("outbox", sa.Column("bulk", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.create_table(
        "retired",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("estate", "terminal")),
        *(sa.Column(name, sa.Text(), nullable=True) for name in ("site", "region")),
        sa.Column("row", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("retired_ms", sa.BigInteger(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("by", "reason")),
        sa.Column("successor", sa.Text(), nullable=True),
        sa.Column("returned_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("estate", "terminal", name="pk_retired"),
    )
    op.create_index("ix_retired_estate_site", "retired", ["estate", "site"])
    op.create_index("ix_retired_estate_successor", "retired", ["estate", "successor"])


def _places() -> None:
    """Until now all places were imported, but what was said of a site did not reach its terminals."""
    for name in ("operator", "region", "power_district"):
        op.execute(
            f"UPDATE terminals SET {name} = (SELECT s.{name} FROM sites s WHERE s.estate = terminals.estate"  # noqa: S608 - names of ours
            f" AND s.site = terminals.site) WHERE {name} IS NULL AND site IS NOT NULL"
        )
    for name in ("operator", "cell"):
        op.execute(f"UPDATE terminals SET {name}_basis = 'imported' WHERE {name} IS NOT NULL")  # noqa: S608 - as above
