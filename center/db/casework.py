"""Tables of casework: cases and their steps, and what is beside them."""

from __future__ import annotations

from sqlalchemy import Column, Index, LargeBinary, Table, UniqueConstraint

from center.db.columns import key, metadata, ms, ms_or_null, must, serial, text, values, whole

cases = Table(
    "cases",
    metadata,
    key("id"),
    ms("number"),
    must("estate"),
    text("terminal"),
    text("site"),
    text("incident_id"),
    must("kind"),
    must("title"),
    text("fault"),
    text("signature", default=""),  # fault|model: what makes two cases alike
    text("model", default=""),
    text("firmware", default=""),
    text("operator"),
    text("local_number"),  # what the terminal printed before the center gave a number
    must("severity"),
    must("state"),
    text("owner"),
    text("team"),
    text("channel", default=""),
    text("language", default="en"),
    text("root_cause"),
    text("problem_id"),
    text("part"),
    text("outcome"),
    whole("reopened", default=0),
    whole("visits", default=0),
    ms_or_null("onset_ms"),  # when the trouble began, by the terminal's clock if that can be trusted
    ms_or_null("detected_ms"),
    ms_or_null("acked_ms"),
    ms_or_null("solved_ms"),
    ms_or_null("work_order_until_ms"),
    ms_or_null("next_ms"),  # when a clock, a watch or a question has its next moment
    ms_or_null("eta_ms"),
    ms_or_null("first_response_due_ms"),
    ms_or_null("update_due_ms"),
    ms_or_null("solve_due_ms"),
    ms_or_null("paused_since_ms"),
    text("pause_reason"),
    ms_or_null("watch_until_ms"),
    text("merchant_token"),
    values("data"),
    ms("created_ms"),
    ms("updated_ms"),
    ms_or_null("closed_ms"),
    UniqueConstraint("number"),
    UniqueConstraint("merchant_token"),
    Index(None, "state", "updated_ms"),
    Index(None, "state", "id"),
    Index(None, "estate", "terminal", "state"),
    Index(None, "estate", "terminal", "fault"),
    Index(None, "estate", "site"),
    Index(None, "incident_id"),
    Index(None, "signature"),
    Index(None, "fault"),
    Index(None, "next_ms"),
    Index(None, "local_number"),
    Index(None, "problem_id"),
    Index(None, "created_ms"),
    Index(None, "closed_ms"),
)

case_steps = Table(
    "case_steps",  # append-only; the key makes a repeated step one step
    metadata,
    serial(),
    must("case_id"),
    must("step_key"),
    ms("at_ms"),
    must("by"),
    must("kind"),
    text("text", default=""),
    values("data"),
    UniqueConstraint("step_key"),
    Index(None, "case_id", "id"),
    Index(None, "kind", "at_ms"),
    sqlite_autoincrement=True,
)

remedies = Table(
    "remedies",
    metadata,
    key("id"),
    text("case_id"),
    must("signature"),
    text("model", default=""),
    text("firmware", default=""),
    must("remedy"),
    must("worked"),
    ms("at_ms"),
    Index(None, "signature", "remedy"),
)

guides = Table(
    "guides",
    metadata,
    key("id"),
    must("fault"),
    text("model", default=""),
    text("firmware", default=""),
    must("language"),
    must("title"),
    must("body"),
    whole("version", default=1),
    ms_or_null("reviewed_ms"),
    text("author", default=""),
    text("asked_by_account"),
    text("audience", default="agent"),
    text("state", default="draft"),
    text("reviewed_by"),
    ms("updated_ms"),
    Index(None, "fault", "language"),
)

surveys = Table(
    "surveys",
    metadata,
    key("case_id"),
    must("works"),
    whole("score"),
    text("text", default=""),
    ms("at_ms"),
    Index(None, "at_ms"),
)

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

case_tasks = Table(
    "case_tasks",  # what is still to be done for a case, and when: to look again, or to call the merchant back
    metadata,
    key("id"),
    must("case_id"),
    must("kind"),  # follow_up or call_back
    must("text"),
    text("owner"),
    text("guide"),
    ms("due_ms"),
    must("by"),
    ms("created_ms"),
    text("done_by"),
    ms_or_null("done_ms"),
    Index(None, "case_id"),
    Index(None, "done_ms", "due_ms"),
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
