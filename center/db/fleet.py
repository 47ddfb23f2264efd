"""Tables of what terminals said: the present by terminal and fault, the log, and what the log is short of."""

from __future__ import annotations

from sqlalchemy import Column, Index, LargeBinary, Table, UniqueConstraint
from sqlalchemy import text as text_sql

from center.db.columns import flag, key, key_ms, metadata, ms, ms_or_null, must, real, serial, text, values, whole

terminals = Table(
    "terminals",
    metadata,
    key("estate"),
    key("terminal"),
    # the place, as center/db/places.py says it: imported, or as its modem measures it; null where nobody said
    text("site"),
    text("operator"),
    text("cell"),
    text("region"),
    text("power_district"),
    text("host"),
    text("operator_basis"),  # imported or measured
    text("cell_basis"),
    text("measured_operator"),
    text("measured_cell"),
    ms_or_null("moved_ms"),  # when what it measures last made its operator or cell another
    # from the inventory
    text("model"),
    text("firmware"),
    text("language"),
    values("inventory"),
    # from the state: null until it was heard; `clock_ms` is when it was said, if its clock could be trusted
    text("status"),
    text("reason"),
    whole("conn"),
    text("can_sell"),
    text("cause"),
    text("act"),
    ms_or_null("since_ms"),
    values("poi"),
    whole("boot"),
    ms_or_null("clock_ms"),
    # from the other retained topics, each whole
    values("health"),
    values("config_reported"),
    values("digest"),
    # freshness: the last message that it sent itself, and the last one that the broker sent for it
    ms_or_null("last_contact_ms"),
    ms_or_null("will_at_ms"),
    ms_or_null("late_ms"),
    # which message each part is from, by center/ingest/order.py: what is older changes nothing
    text("state_version", default=""),
    text("inventory_version", default=""),
    text("health_version", default=""),
    text("config_version", default=""),
    text("digest_version", default=""),
    text("operator_version", default=""),
    text("cell_version", default=""),
    ms("created_ms"),
    Index(None, "status", "estate", "terminal"),
    Index(None, "can_sell", "estate", "terminal"),
    Index(None, "operator", "estate", "terminal"),
    Index(None, "last_contact_ms"),
    Index(None, "estate", "site", "region", "operator", "cell", "status", "can_sell"),  # counts, without the wide rows
)

retired = Table(
    "retired",  # terminals that were taken out of the fleet; center/domain/retirement.py
    metadata,
    key("estate"),
    key("terminal"),
    text("site"),
    text("region"),
    values("row"),  # of `terminals`, as it was
    ms("retired_ms"),
    must("by"),
    must("reason"),
    text("successor"),
    ms_or_null("returned_ms"),  # when it spoke again, and so was back in the fleet
    Index(None, "estate", "site"),
    Index(None, "estate", "successor"),
)

places = Table(
    "places",
    metadata,
    key("estate"),
    key("terminal"),
    text("site"),
    text("operator"),
    text("cell"),
    text("region"),
    text("power_district"),
    text("host"),
    ms("updated_ms"),
    values("tags"),
)

sites = Table(
    "sites",
    metadata,
    key("estate"),
    key("site"),
    text("name", default=""),
    text("address", default=""),
    real("lat"),
    real("lon"),
    text("region"),
    text("language", default="en"),
    text("timezone", default="UTC"),
    text("trade", default=""),
    values("hours"),
    values("contacts"),
    values("contract"),
    text("power_district"),
    text("operator"),
    ms("updated_ms"),
    values("tags"),
    Index(None, "region"),
)

faults = Table(
    "faults",
    metadata,
    key("estate"),
    key("terminal"),
    key("fault"),
    must("state"),
    must("severity"),
    text("cause"),
    values("symptoms"),
    ms("first_ms"),
    ms("last_ms"),
    whole("count", default=1),
    text("device", default=""),
    values("evidence"),
    text("advice", default=""),
    text("act", default="none"),
    text("basis", default="measured"),
    whole("boot", default=0),
    ms_or_null("clock_ms"),
    text("version", default=""),
    ms("received_ms"),
    text("incident_id"),
    Index(None, "state", "fault"),
    Index(None, "fault", "estate"),
    Index(None, "incident_id"),
    Index(  # those that are raised now, for the list of them
        "ix_faults_present",
        "first_ms",
        "estate",
        "terminal",
        "fault",
        sqlite_where=text_sql("state <> 'cleared'"),
        postgresql_where=text_sql("state <> 'cleared'"),
    ),
)

events = Table(
    "events",
    metadata,
    serial(),
    must("estate"),
    must("terminal"),
    ms("boot"),
    ms("seq"),
    ms("at_ms"),
    ms("up_ms"),
    must("clock"),
    flag("late"),
    must("event"),
    values("data"),
    ms("received_ms"),
    UniqueConstraint("estate", "terminal", "boot", "seq"),
    Index(None, "received_ms"),
    Index(None, "estate", "terminal", "at_ms"),
    Index(None, "event", "at_ms"),
    sqlite_autoincrement=True,
)

results = Table(
    "results",
    metadata,
    serial(),
    must("estate"),
    must("terminal"),
    ms("boot"),
    ms("seq"),
    must("command_id"),
    must("state"),
    whole("code", default=0),
    values("output"),
    text("error", default=""),
    whole("ms", default=0),
    ms("at_ms"),
    flag("late"),
    ms("received_ms"),
    UniqueConstraint("estate", "terminal", "boot", "seq"),
    Index(None, "command_id"),
    Index(None, "received_ms"),
    sqlite_autoincrement=True,
)

telemetry = Table(
    "telemetry",
    metadata,
    key("estate"),
    key("terminal"),
    key_ms("boot"),
    key_ms("seq"),
    key_ms("at_ms"),  # of the key only because PostgreSQL's partitions, one a day, ask for it
    flag("late"),
    values("samples"),
    ms("received_ms"),
    Index(None, "received_ms"),
    postgresql_partition_by="RANGE (at_ms)",
)


def _bucket_table(name: str) -> Table:
    return Table(
        name,
        metadata,
        key("estate"),
        key("terminal"),
        key("metric"),
        key_ms("bucket_ms"),
        ms("n"),
        real("min"),
        real("max"),
        real("sum"),
        real("last"),
        ms("last_ms"),
        Index(None, "bucket_ms"),
    )


metrics_hour = _bucket_table("metrics_hour")
metrics_day = _bucket_table("metrics_day")

streams = Table(
    "streams",  # one class within one boot of a terminal: how far its numbers were looked at
    metadata,
    key("estate"),
    key("terminal"),
    key_ms("boot"),
    key("class"),
    ms("first"),
    ms("last"),
    ms("updated_ms"),
)

receipts = Table(
    "receipts",  # what a terminal said it dropped, by `store.gap` and `store.reset`
    metadata,
    key("estate"),
    key("terminal"),
    key_ms("boot"),
    key("class"),
    key_ms("first"),
    key_ms("last"),
    ms("n"),
    must("why"),
    ms("at_ms"),
)

gaps = Table(
    "gaps",  # numbers that did not come; `closed_ms` once they came or a receipt explains them
    metadata,
    key("estate"),
    key("terminal"),
    key_ms("boot"),
    key("class"),
    key_ms("first"),
    ms("last"),
    text("why", default=""),
    ms("found_ms"),
    ms_or_null("closed_ms"),
    Index(None, "closed_ms"),
)

changes = Table(
    "changes",  # the one ordered feed; see center.db.feed
    metadata,
    serial(),
    must("kind"),
    text("estate"),
    text("terminal"),
    must("key"),
    ms("at_ms"),
    Index(None, "at_ms"),
    sqlite_autoincrement=True,
)

quarantine = Table(
    "quarantine",  # messages that are not of the contract: why, and how they begin
    metadata,
    serial(),
    must("topic"),
    must("why"),
    Column("head", LargeBinary, nullable=False),
    ms("size"),
    ms("at_ms"),
    Index(None, "at_ms"),
    sqlite_autoincrement=True,
)

heartbeat = Table(
    "heartbeat",  # one row for each worker, lease and cursor
    metadata,
    key("name"),
    ms("at_ms"),
    values("data"),
)
