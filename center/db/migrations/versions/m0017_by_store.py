"""Targets of campaigns by store, and what the map counts, each in the order of one index."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"

_COUNTED = ("region", "operator", "cell", "status", "can_sell")


def upgrade() -> None:
    op.add_column("campaign_targets", sa.Column("site", sa.Text(), server_default="", nullable=False))
    from_terminals()
    op.create_index(
        "ix_campaign_targets_campaign_id_estate_site_terminal",
        "campaign_targets",
        ["campaign_id", "estate", "site", "terminal"],
    )
    op.create_index(
        "ix_terminals_estate_site_region_operator_cell_status_can_sell", "terminals", ["estate", "site", *_COUNTED]
    )
    op.drop_index("ix_terminals_estate_region_operator_cell_status_can_sell", "terminals")
    op.drop_index("ix_terminals_estate_site", "terminals")


def from_terminals() -> None:
    """Of targets that are there already, where they stand now."""
    op.execute(
        "UPDATE campaign_targets SET site = stands.site FROM terminals AS stands WHERE stands.site IS NOT NULL"
        " AND stands.estate = campaign_targets.estate AND stands.terminal = campaign_targets.terminal"
    )
