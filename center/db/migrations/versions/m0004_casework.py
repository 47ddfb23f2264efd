"""Casework beside the cases: what is waited for, what was told, tags, problems, attachments."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    _waits()
    _messages()
    _tags()
    _problems()
    _attachments()


def _waits() -> None:
    op.create_table(
        "case_waits",
        sa.Column("estate", sa.Text(), nullable=False),
        sa.Column("terminal", sa.Text(), nullable=False),
        sa.Column("fault", sa.Text(), nullable=False),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
        sa.Column("due_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("estate", "terminal", "fault", name="pk_case_waits"),
    )
    op.create_index("ix_case_waits_due_ms", "case_waits", ["due_ms"], unique=False)


def _messages() -> None:
    op.create_table(
        "case_messages",
        sa.Column("estate", sa.Text(), nullable=False),
        sa.Column("terminal", sa.Text(), nullable=False),
        sa.Column("case_id", sa.Text(), nullable=True),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("renew_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("estate", "terminal", name="pk_case_messages"),
    )
    op.create_index("ix_case_messages_renew_ms", "case_messages", ["renew_ms"], unique=False)


def _tags() -> None:
    op.create_table(
        "case_tags",
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("tag", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("case_id", "tag", name="pk_case_tags"),
    )
    op.create_index("ix_case_tags_tag", "case_tags", ["tag"], unique=False)


def _problems() -> None:
    op.create_table(
        "problems",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("signature", sa.Text(), server_default="", nullable=False),
        sa.Column("root_cause", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("workaround", sa.Text(), server_default="", nullable=False),
        sa.Column("review", sa.Text(), server_default="", nullable=False),
        sa.Column("incidents", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.Column("solved_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_problems"),
    )
    op.create_index("ix_problems_state_updated_ms", "problems", ["state", "updated_ms"], unique=False)
    op.create_index("ix_problems_signature", "problems", ["signature"], unique=False)


def _attachments() -> None:
    op.create_table(
        "attachments",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("warning", sa.Text(), server_default="", nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_attachments"),
    )
    op.create_index("ix_attachments_case_id", "attachments", ["case_id"], unique=False)
