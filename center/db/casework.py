"""Tables of casework beside the cases themselves: what is waited for, what was told, tags, problems, attachments."""

from __future__ import annotations

from sqlalchemy import Column, Index, LargeBinary, Table

from center.db.columns import key, metadata, ms, ms_or_null, must, text, values

case_waits = Table(
    "case_waits",  # faults that may become cases when they stand for long enough
    metadata,
    key("estate"),
    key("terminal"),
    key("fault"),
    ms("since_ms"),
    ms("due_ms"),
    Index(None, "due_ms"),
)

case_messages = Table(
    "case_messages",  # what a terminal was last told on `case`, and until when the broker keeps it
    metadata,
    key("estate"),
    key("terminal"),
    text("case_id"),
    must("payload"),  # "" where there is no case any more
    ms("at_ms"),
    ms_or_null("renew_ms"),
    Index(None, "renew_ms"),
)

case_tags = Table("case_tags", metadata, key("case_id"), key("tag"), must("by"), ms("at_ms"), Index(None, "tag"))

problems = Table(
    "problems",  # the one cause behind many cases, and what was learnt from it
    metadata,
    key("id"),
    must("title"),
    text("signature", default=""),
    text("root_cause"),
    must("state"),  # open, known (with a workaround) or solved
    text("workaround", default=""),
    text("review", default=""),
    values("incidents"),
    must("owner"),
    ms("created_ms"),
    ms("updated_ms"),
    ms_or_null("solved_ms"),
    Index(None, "state", "updated_ms"),
    Index(None, "signature"),
)

attachments = Table(
    "attachments",
    metadata,
    key("id"),
    must("case_id"),
    must("name"),
    must("media_type"),
    must("sha256"),
    Column("body", LargeBinary, nullable=False),
    text("warning", default=""),
    must("by"),
    ms("at_ms"),
    Index(None, "case_id"),
)
