"""What terminals said."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _terminals()
    _places()
    _sites()
    _faults()
    _events()
    _results()
    _telemetry()
    _metrics_hour()
    _metrics_day()
    _streams()
    _receipts()
    _gaps()
    _changes()
    _quarantine()
    _heartbeat()


def _terminals() -> None:
    op.create_table(
        "terminals",
        sa.Column("estate", sa.Text(), nullable=False),
        sa.Column("terminal", sa.Text(), nullable=False),
        sa.Column("site", sa.Text(), nullable=True),
        sa.Column("operator", sa.Text(), nullable=True),
        sa.Column("cell", sa.Text(), nullable=True),
        sa.Column("region", sa.Text(), nullable=True),
        sa.Column("power_district", sa.Text(), nullable=True),
        sa.Column("host", sa.Text(), nullable=True),
        sa.Column("model", sa.Text(), nullable=True),
        sa.Column("firmware", sa.Text(), nullable=True),
        sa.Column("language", sa.Text(), nullable=True),
        sa.Column("inventory", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("conn", sa.BigInteger(), nullable=True),
        sa.Column("can_sell", sa.Text(), nullable=True),
        sa.Column("cause", sa.Text(), nullable=True),
        sa.Column("act", sa.Text(), nullable=True),
        sa.Column("since_ms", sa.BigInteger(), nullable=True),
        sa.Column("poi", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("boot", sa.BigInteger(), nullable=True),
        sa.Column("clock_ms", sa.BigInteger(), nullable=True),
        sa.Column("health", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("config_reported", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("digest", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("last_contact_ms", sa.BigInteger(), nullable=True),
        sa.Column("will_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("late_ms", sa.BigInteger(), nullable=True),
        sa.Column("state_version", sa.Text(), server_default="", nullable=False),
        sa.Column("inventory_version", sa.Text(), server_default="", nullable=False),
        sa.Column("health_version", sa.Text(), server_default="", nullable=False),
        sa.Column("config_version", sa.Text(), server_default="", nullable=False),
        sa.Column("digest_version", sa.Text(), server_default="", nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("estate", "terminal", name="pk_terminals"),
    )
    op.create_index(
        "ix_terminals_can_sell_estate_terminal", "terminals", ["can_sell", "estate", "terminal"], unique=False
    )
    op.create_index("ix_terminals_estate_site", "terminals", ["estate", "site"], unique=False)
    op.create_index(
        "ix_terminals_estate_region_operator_cell_status_can_sell",
        "terminals",
        ["estate", "region", "operator", "cell", "status", "can_sell"],
        unique=False,
    )
    op.create_index("ix_terminals_last_contact_ms", "terminals", ["last_contact_ms"], unique=False)
    op.create_index(
        "ix_terminals_operator_estate_terminal", "terminals", ["operator", "estate", "terminal"], unique=False
    )
    op.create_index("ix_terminals_status_estate_terminal", "terminals", ["status", "estate", "terminal"], unique=False)


def _places() -> None:
    op.create_table(
        "places",
        sa.Column("estate", sa.Text(), nullable=False),
        sa.Column("terminal", sa.Text(), nullable=False),
        sa.Column("site", sa.Text(), nullable=True),
        sa.Column("operator", sa.Text(), nullable=True),
        sa.Column("cell", sa.Text(), nullable=True),
        sa.Column("region", sa.Text(), nullable=True),
        sa.Column("power_district", sa.Text(), nullable=True),
        sa.Column("host", sa.Text(), nullable=True),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("estate", "terminal", name="pk_places"),
    )


def _sites() -> None:
    op.create_table(
        "sites",
        sa.Column("estate", sa.Text(), nullable=False),
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("address", sa.Text(), server_default="", nullable=False),
        sa.Column("lat", sa.Float(precision=53), nullable=True),
        sa.Column("lon", sa.Float(precision=53), nullable=True),
        sa.Column("region", sa.Text(), nullable=True),
        sa.Column("language", sa.Text(), server_default="en", nullable=False),
        sa.Column("timezone", sa.Text(), server_default="UTC", nullable=False),
        sa.Column("trade", sa.Text(), server_default="", nullable=False),
        sa.Column("hours", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("contacts", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("contract", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("power_district", sa.Text(), nullable=True),
        sa.Column("operator", sa.Text(), nullable=True),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("estate", "site", name="pk_sites"),
    )
    op.create_index("ix_sites_region", "sites", ["region"], unique=False)


def _faults() -> None:
    op.create_table(
        "faults",
        sa.Column("estate", sa.Text(), nullable=False),
        sa.Column("terminal", sa.Text(), nullable=False),
        sa.Column("fault", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=True),
        sa.Column("symptoms", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("first_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_ms", sa.BigInteger(), nullable=False),
        sa.Column("count", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("device", sa.Text(), server_default="", nullable=False),
        sa.Column("evidence", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("advice", sa.Text(), server_default="", nullable=False),
        sa.Column("act", sa.Text(), server_default="none", nullable=False),
        sa.Column("basis", sa.Text(), server_default="measured", nullable=False),
        sa.Column("boot", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("clock_ms", sa.BigInteger(), nullable=True),
        sa.Column("version", sa.Text(), server_default="", nullable=False),
        sa.Column("received_ms", sa.BigInteger(), nullable=False),
        sa.Column("incident_id", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("estate", "terminal", "fault", name="pk_faults"),
    )
    op.create_index("ix_faults_fault_estate", "faults", ["fault", "estate"], unique=False)
    op.create_index("ix_faults_incident_id", "faults", ["incident_id"], unique=False)
    op.create_index("ix_faults_state_fault", "faults", ["state", "fault"], unique=False)
    op.create_index(
        "ix_faults_present",
        "faults",
        ["first_ms", "estate", "terminal", "fault"],
        unique=False,
        sqlite_where=sa.text("state <> 'cleared'"),
        postgresql_where=sa.text("state <> 'cleared'"),
    )


def _events() -> None:
    op.create_table(
        "events",
        sa.Column("id", _BIG, autoincrement=True, nullable=False),
        sa.Column("estate", sa.Text(), nullable=False),
        sa.Column("terminal", sa.Text(), nullable=False),
        sa.Column("boot", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("up_ms", sa.BigInteger(), nullable=False),
        sa.Column("clock", sa.Text(), nullable=False),
        sa.Column("late", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("data", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("received_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_events"),
        sa.UniqueConstraint("estate", "terminal", "boot", "seq", name="uq_events_estate_terminal_boot_seq"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_events_estate_terminal_at_ms", "events", ["estate", "terminal", "at_ms"], unique=False)
    op.create_index("ix_events_event_at_ms", "events", ["event", "at_ms"], unique=False)
    op.create_index("ix_events_received_ms", "events", ["received_ms"], unique=False)


def _results() -> None:
    op.create_table(
        "results",
        sa.Column("id", _BIG, autoincrement=True, nullable=False),
        sa.Column("estate", sa.Text(), nullable=False),
        sa.Column("terminal", sa.Text(), nullable=False),
        sa.Column("boot", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("command_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("code", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("output", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("error", sa.Text(), server_default="", nullable=False),
        sa.Column("ms", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("late", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("received_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_results"),
        sa.UniqueConstraint("estate", "terminal", "boot", "seq", name="uq_results_estate_terminal_boot_seq"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_results_command_id", "results", ["command_id"], unique=False)
    op.create_index("ix_results_received_ms", "results", ["received_ms"], unique=False)


def _telemetry() -> None:
    op.create_table(
        "telemetry",
        sa.Column("estate", sa.Text(), nullable=False),
        sa.Column("terminal", sa.Text(), nullable=False),
        sa.Column("boot", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at_ms", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("late", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("samples", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("received_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("estate", "terminal", "boot", "seq", "at_ms", name="pk_telemetry"),
        postgresql_partition_by="RANGE (at_ms)",
    )
    op.create_index("ix_telemetry_received_ms", "telemetry", ["received_ms"], unique=False)

    if op.get_context().dialect.name == "postgresql":
        op.execute("CREATE TABLE telemetry_rest PARTITION OF telemetry DEFAULT")


def _metrics_hour() -> None:
    op.create_table(
        "metrics_hour",
        sa.Column("estate", sa.Text(), nullable=False),
        sa.Column("terminal", sa.Text(), nullable=False),
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("bucket_ms", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("min", sa.Float(precision=53), nullable=True),
        sa.Column("max", sa.Float(precision=53), nullable=True),
        sa.Column("sum", sa.Float(precision=53), nullable=True),
        sa.Column("last", sa.Float(precision=53), nullable=True),
        sa.Column("last_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("estate", "terminal", "metric", "bucket_ms", name="pk_metrics_hour"),
    )
    op.create_index("ix_metrics_hour_bucket_ms", "metrics_hour", ["bucket_ms"], unique=False)


def _metrics_day() -> None:
    op.create_table(
        "metrics_day",
        sa.Column("estate", sa.Text(), nullable=False),
        sa.Column("terminal", sa.Text(), nullable=False),
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("bucket_ms", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("min", sa.Float(precision=53), nullable=True),
        sa.Column("max", sa.Float(precision=53), nullable=True),
        sa.Column("sum", sa.Float(precision=53), nullable=True),
        sa.Column("last", sa.Float(precision=53), nullable=True),
        sa.Column("last_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("estate", "terminal", "metric", "bucket_ms", name="pk_metrics_day"),
    )
    op.create_index("ix_metrics_day_bucket_ms", "metrics_day", ["bucket_ms"], unique=False)


def _streams() -> None:
    op.create_table(
        "streams",
        sa.Column("estate", sa.Text(), nullable=False),
        sa.Column("terminal", sa.Text(), nullable=False),
        sa.Column("boot", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("class", sa.Text(), nullable=False),
        sa.Column("first", sa.BigInteger(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("estate", "terminal", "boot", "class", name="pk_streams"),
    )


def _receipts() -> None:
    op.create_table(
        "receipts",
        sa.Column("estate", sa.Text(), nullable=False),
        sa.Column("terminal", sa.Text(), nullable=False),
        sa.Column("boot", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("class", sa.Text(), nullable=False),
        sa.Column("first", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("last", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("estate", "terminal", "boot", "class", "first", "last", name="pk_receipts"),
    )


def _gaps() -> None:
    op.create_table(
        "gaps",
        sa.Column("estate", sa.Text(), nullable=False),
        sa.Column("terminal", sa.Text(), nullable=False),
        sa.Column("boot", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("class", sa.Text(), nullable=False),
        sa.Column("first", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.Column("why", sa.Text(), server_default="", nullable=False),
        sa.Column("found_ms", sa.BigInteger(), nullable=False),
        sa.Column("closed_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("estate", "terminal", "boot", "class", "first", name="pk_gaps"),
    )
    op.create_index("ix_gaps_closed_ms", "gaps", ["closed_ms"], unique=False)


def _changes() -> None:
    op.create_table(
        "changes",
        sa.Column("id", _BIG, autoincrement=True, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("estate", sa.Text(), nullable=True),
        sa.Column("terminal", sa.Text(), nullable=True),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_changes"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_changes_at_ms", "changes", ["at_ms"], unique=False)


def _quarantine() -> None:
    op.create_table(
        "quarantine",
        sa.Column("id", _BIG, autoincrement=True, nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("head", sa.LargeBinary(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_quarantine"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_quarantine_at_ms", "quarantine", ["at_ms"], unique=False)


def _heartbeat() -> None:
    op.create_table(
        "heartbeat",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.JSON(none_as_null=True), nullable=True),
        sa.PrimaryKeyConstraint("name", name="pk_heartbeat"),
    )
