"""Cases, and what is beside them: steps, remedies, guides, surveys, problems, what is waited for and was told."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _cases()
    _case_steps()
    _remedies()
    _guides()
    _surveys()
    _waits()
    _messages()
    _tags()
    _problems()
    _attachments()


def _cases() -> None:
    op.create_table(
        "cases",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("estate", sa.Text(), nullable=False),
        sa.Column("terminal", sa.Text(), nullable=True),
        sa.Column("site", sa.Text(), nullable=True),
        sa.Column("incident_id", sa.Text(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("fault", sa.Text(), nullable=True),
        sa.Column("signature", sa.Text(), server_default="", nullable=False),
        sa.Column("model", sa.Text(), server_default="", nullable=False),
        sa.Column("firmware", sa.Text(), server_default="", nullable=False),
        sa.Column("operator", sa.Text(), nullable=True),
        sa.Column("local_number", sa.Text(), nullable=True),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("team", sa.Text(), nullable=True),
        sa.Column("channel", sa.Text(), server_default="", nullable=False),
        sa.Column("language", sa.Text(), server_default="en", nullable=False),
        sa.Column("root_cause", sa.Text(), nullable=True),
        sa.Column("problem_id", sa.Text(), nullable=True),
        sa.Column("part", sa.Text(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("reopened", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("visits", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("onset_ms", sa.BigInteger(), nullable=True),
        sa.Column("detected_ms", sa.BigInteger(), nullable=True),
        sa.Column("acked_ms", sa.BigInteger(), nullable=True),
        sa.Column("solved_ms", sa.BigInteger(), nullable=True),
        sa.Column("work_order_until_ms", sa.BigInteger(), nullable=True),
        sa.Column("next_ms", sa.BigInteger(), nullable=True),
        sa.Column("eta_ms", sa.BigInteger(), nullable=True),
        sa.Column("first_response_due_ms", sa.BigInteger(), nullable=True),
        sa.Column("update_due_ms", sa.BigInteger(), nullable=True),
        sa.Column("solve_due_ms", sa.BigInteger(), nullable=True),
        sa.Column("paused_since_ms", sa.BigInteger(), nullable=True),
        sa.Column("pause_reason", sa.Text(), nullable=True),
        sa.Column("watch_until_ms", sa.BigInteger(), nullable=True),
        sa.Column("merchant_token", sa.Text(), nullable=True),
        sa.Column("data", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.Column("closed_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_cases"),
        sa.UniqueConstraint("merchant_token", name="uq_cases_merchant_token"),
        sa.UniqueConstraint("number", name="uq_cases_number"),
    )
    op.create_index("ix_cases_estate_terminal_state", "cases", ["estate", "terminal", "state"], unique=False)
    op.create_index("ix_cases_estate_terminal_fault", "cases", ["estate", "terminal", "fault"], unique=False)
    op.create_index("ix_cases_estate_site", "cases", ["estate", "site"], unique=False)
    for name in ("incident_id", "fault", "next_ms", "local_number", "problem_id", "created_ms"):
        op.create_index(f"ix_cases_{name}", "cases", [name], unique=False)
    op.create_index("ix_cases_signature", "cases", ["signature"], unique=False)
    op.create_index("ix_cases_state_updated_ms", "cases", ["state", "updated_ms"], unique=False)
    op.create_index("ix_cases_state_id", "cases", ["state", "id"], unique=False)


def _case_steps() -> None:
    op.create_table(
        "case_steps",
        sa.Column("id", _BIG, autoincrement=True, nullable=False),
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("step_key", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), server_default="", nullable=False),
        sa.Column("data", sa.JSON(none_as_null=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_case_steps"),
        sa.UniqueConstraint("step_key", name="uq_case_steps_step_key"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_case_steps_case_id_id", "case_steps", ["case_id", "id"], unique=False)
    op.create_index("ix_case_steps_kind_at_ms", "case_steps", ["kind", "at_ms"], unique=False)


def _remedies() -> None:
    op.create_table(
        "remedies",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("case_id", sa.Text(), nullable=True),
        sa.Column("signature", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), server_default="", nullable=False),
        sa.Column("firmware", sa.Text(), server_default="", nullable=False),
        sa.Column("remedy", sa.Text(), nullable=False),
        sa.Column("worked", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_remedies"),
    )
    op.create_index("ix_remedies_signature_remedy", "remedies", ["signature", "remedy"], unique=False)


def _guides() -> None:
    op.create_table(
        "guides",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("fault", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), server_default="", nullable=False),
        sa.Column("firmware", sa.Text(), server_default="", nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("reviewed_ms", sa.BigInteger(), nullable=True),
        sa.Column("author", sa.Text(), server_default="", nullable=False),
        sa.Column("audience", sa.Text(), server_default="agent", nullable=False),
        sa.Column("state", sa.Text(), server_default="draft", nullable=False),
        sa.Column("reviewed_by", sa.Text(), nullable=True),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_guides"),
    )
    op.create_index("ix_guides_fault_language", "guides", ["fault", "language"], unique=False)


def _surveys() -> None:
    op.create_table(
        "surveys",
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("works", sa.Text(), nullable=False),
        sa.Column("score", sa.BigInteger(), nullable=True),
        sa.Column("text", sa.Text(), server_default="", nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("case_id", name="pk_surveys"),
    )
    op.create_index("ix_surveys_at_ms", "surveys", ["at_ms"], unique=False)


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
