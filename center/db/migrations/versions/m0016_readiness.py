"""What readiness checks came to, where it is counted and found without reading the answers of the whole fleet."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"

_LONGEST: Final = 130  # as the center names what is to do
_KEPT: Final = {
    "sqlite": (
        "json_extract(data, '$.score')",
        "json_extract(data, '$.ready')",
        "json_extract(item.value, '$.what')",
        "json_each(data, '$.todo') AS item",
        "1 = 1",
    ),
    "postgresql": (
        "data ->> 'score'",
        "(data ->> 'ready')::boolean",
        "item.value ->> 'what'",
        "json_array_elements(data -> 'todo') AS item",
        r"data::text NOT LIKE '%\\u0000%'",  # with which PostgreSQL reads nothing of it
    ),
}


def upgrade() -> None:
    op.add_column("campaign_targets", sa.Column("verdict", sa.Text(), nullable=True))
    op.create_table(
        "campaign_todo",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("campaign_id", "what", "estate", "terminal")),
        sa.PrimaryKeyConstraint("campaign_id", "what", "estate", "terminal", name="pk_campaign_todo"),
    )
    from_answers()
    op.create_index(
        "ix_campaign_targets_campaign_id_verdict_state_estate_terminal",
        "campaign_targets",
        ["campaign_id", "verdict", "state", "estate", "terminal"],
    )


def from_answers() -> None:
    """What is kept of an answer from now on, of those that are there already."""
    score, ready, what, each, readable = _KEPT[op.get_bind().dialect.name]
    verdict = f"CASE WHEN {score} IS NULL THEN NULL WHEN {ready} THEN 'ready' ELSE 'not_ready' END"
    of = "campaign_id IN (SELECT id FROM campaigns WHERE kind = 'readiness')"
    answered = f"data IS NOT NULL AND {readable} AND {of}"
    op.execute(f"UPDATE campaign_targets SET verdict = {verdict} WHERE {answered}")  # noqa: S608 - words of ours
    op.execute(
        "INSERT INTO campaign_todo (campaign_id, what, estate, terminal)"  # noqa: S608 - as above
        f" SELECT DISTINCT campaign_id, substr({what}, 1, {_LONGEST}), estate, terminal"
        f" FROM campaign_targets, {each} WHERE {answered}"
    )
