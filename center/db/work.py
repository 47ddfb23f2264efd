"""Tables of what the center makes of it: incidents, commands, campaigns, and what it owes to others."""

from __future__ import annotations

from sqlalchemy import Index, Table, UniqueConstraint

from center.db.columns import flag, key, key_ms, metadata, ms, ms_or_null, must, real, serial, text, values, whole

incidents = Table(
    "incidents",
    metadata,
    key("id"),
    must("estate"),
    must("scope"),
    must("scope_key"),
    text("family", default=""),  # which faults count for a group, as center/domain/grouping.py names it
    text("fault"),  # of a group the one that most of its members have
    must("severity"),
    must("state"),
    text("parent_id"),
    text("suppression_id"),
    must("title"),
    values("why"),
    ms("opened_ms"),
    ms("last_ms"),
    ms_or_null("quiet_since_ms"),  # since when (almost) none of its members is left
    ms_or_null("resolved_ms"),
    whole("terminals_n", default=0),
    whole("peak_n", default=0),
    whole("cannot_sell_n", default=0),
    whole("unknown_n", default=0),  # terminals of which nobody knows whether they can sell
    real("impact", default=0),
    text("ack_by"),
    ms_or_null("ack_ms"),
    text("owner"),
    text("case_id"),
    Index(None, "state", "opened_ms"),
    Index(None, "state", "id"),
    Index(None, "estate", "scope", "scope_key", "state"),
    Index(None, "parent_id"),
)

outages = Table(
    "outages",  # when a terminal was not there, and what is known about why
    metadata,
    key("estate"),
    key("terminal"),
    key_ms("from_ms"),
    ms_or_null("until_ms"),
    must("kind"),  # center/domain/freshness.py: lost, stopped or silent
    text("reason", default=""),
    must("verdict"),
    must("basis"),
    values("evidence"),
    whole("boot"),
    ms_or_null("review_ms"),  # when to judge again; null once it is settled
    Index(None, "until_ms"),
    Index(None, "review_ms"),
)

incident_members = Table(
    "incident_members",
    metadata,
    key("incident_id"),
    key("estate"),
    key("terminal"),
    key("fault"),
    ms("joined_ms"),
    ms_or_null("left_ms"),
    Index(None, "estate", "terminal", "left_ms"),
)

regroupings = Table(
    "regroupings",  # what people did to the grouping by hand: one made a part of another, or terminals taken out
    metadata,
    key("id"),
    must("kind"),  # merge or split
    must("incident_id"),
    text("into_id"),
    values("members"),  # [estate, terminal, fault] of each that was taken out
    must("reason"),
    must("by"),
    ms("at_ms"),
    text("undone_by"),
    ms_or_null("undone_ms"),
    flag("waits"),  # for the engine, to do or undo it
    Index(None, "incident_id"),
    Index(None, "into_id"),
    Index(None, "waits"),
)

suppressions = Table(
    "suppressions",
    metadata,
    key("id"),
    must("kind"),  # maintenance or silence
    text("estate"),
    must("scope"),
    must("scope_key"),
    text("fault", default="*"),
    ms("from_ms"),
    ms("until_ms"),
    must("by"),
    text("reason", default=""),
    ms("created_ms"),
    Index(None, "until_ms"),
)

commands = Table(
    "commands",
    metadata,
    key("id"),
    must("estate"),
    must("terminal"),
    must("cmd"),
    values("args"),
    ms("tier"),
    text("reason", default=""),
    must("issued_by"),
    text("asked_by_account"),
    text("approved_by"),
    must("state"),
    ms_or_null("nbf_ms"),
    ms_or_null("exp_ms"),
    text("campaign_id"),
    text("case_id"),
    values("output"),
    text("error", default=""),
    ms("created_ms"),
    ms("updated_ms"),
    Index(None, "estate", "terminal", "created_ms"),
    Index(None, "state", "exp_ms"),
    Index(None, "state", "id"),
    Index(None, "campaign_id"),
)

campaigns = Table(
    "campaigns",
    metadata,
    key("id"),
    must("name"),
    must("kind"),
    values("audience"),
    values("waves"),
    values("args"),
    real("halt_share"),
    text("reason", default=""),
    values("scope"),  # of who made it: no target is outside
    must("state"),
    text("why", default=""),
    whole("targets_n", default=0),
    values("pace"),
    whole("wave", default=0),  # the one that is under way, from 1; 0 while its targets are being listed
    ms_or_null("wave_begun_ms"),
    ms_or_null("wave_done_ms"),  # when it was good enough to go on to the next
    must("created_by"),
    text("asked_by_account"),
    text("approved_by"),
    ms("created_ms"),
    ms("updated_ms"),
    ms_or_null("started_ms"),
    ms_or_null("ended_ms"),
    Index(None, "state"),
)

campaign_targets = Table(
    "campaign_targets",
    metadata,
    key("campaign_id"),
    key("estate"),
    key("terminal"),
    text("site", default=""),  # where it stood when it was listed, "" where nobody knows
    ms("wave"),
    must("state"),
    text("command_id"),
    whole("attempts", default=0),
    ms_or_null("asked_ms"),
    ms_or_null("not_before_ms"),  # for a quiet hour, or after an attempt that nobody answered
    values("data"),
    text("verdict"),  # of `data` of a readiness check: ready, not_ready, null where nobody knows
    text("error", default=""),
    ms("updated_ms"),
    Index(None, "campaign_id", "wave", "state"),
    Index(None, "campaign_id", "state", "not_before_ms"),
    Index(None, "campaign_id", "verdict", "state", "estate", "terminal"),  # whole, so that counting reads no `data`
    Index(None, "campaign_id", "estate", "site", "terminal"),  # as they are listed by store
)

campaign_todo = Table(
    "campaign_todo",  # what `data` of a target says that has to be done there, once for each, by what it is
    metadata,
    key("campaign_id"),
    key("what"),
    key("estate"),
    key("terminal"),
)

desired_configs = Table(
    "desired_configs",
    metadata,
    key("estate"),
    key("terminal"),
    key_ms("version"),
    values("body"),
    must("state"),
    text("hash", default=""),  # of all settings in force once it was applied, as the terminal reports it
    text("error", default=""),
    must("issued_by"),
    text("approved_by"),
    text("reason", default=""),
    text("campaign_id"),
    ms("at_ms"),
    ms("updated_ms"),
    Index(None, "state", "estate", "terminal"),
    Index(None, "campaign_id"),
)

broadcasts = Table(
    "broadcasts",  # one message to the merchants of many sites
    metadata,
    key("id"),
    must("kind"),  # maintenance or message
    values("audience"),
    values("texts"),  # by language
    text("incident_id"),
    text("suppression_id"),
    whole("terminals_n", default=0),
    must("by"),
    ms("created_ms"),
    text("cancelled_by"),
    ms_or_null("cancelled_ms"),
    text("cancel_reason"),
    Index(None, "incident_id"),
    Index(None, "suppression_id"),
)

broadcast_sites = Table(
    "broadcast_sites",
    metadata,
    key("broadcast_id"),
    key("estate"),
    key("site"),
    text("post_key"),  # of its row in the outbox, null where there is nobody to tell
    text("why", default=""),  # nobody can be told
    text("token"),  # of the link in this site's copy, null where there is none
    ms_or_null("read_ms"),  # when it was first opened
    Index(None, "token", unique=True),
)

outbox = Table(
    "outbox",  # side effects, committed with the decision that causes them and carried out after it
    metadata,
    serial(),
    must("kind"),
    must("key"),
    values("payload"),
    ms("not_before_ms"),
    whole("attempts", default=0),
    must("state"),
    text("error", default=""),
    ms("created_ms"),
    flag("bulk"),  # one of many alike, which may wait for whatever else there is to tell
    UniqueConstraint("key"),
    Index(None, "state", "not_before_ms"),
    sqlite_autoincrement=True,
)

notifications = Table(
    "notifications",
    metadata,
    key("id"),
    text("who", default=""),
    must("channel"),
    must("subject"),
    text("body", default=""),
    must("state"),
    text("error", default=""),
    values("data"),
    ms("at_ms"),
    Index(None, "state", "at_ms"),
)

channels = Table(
    "channels",
    metadata,
    key("id"),
    must("name"),
    must("url"),
    values("events"),
    values("filter"),
    values("quiet_hours"),
    values("escalation"),
    flag("disabled"),
    ms("created_ms"),
)

webhooks = Table(
    "webhooks",
    metadata,
    key("id"),
    must("url"),
    must("secret"),
    values("filter"),
    must("state"),
    text("error", default=""),
    ms("created_ms"),
    text("format", default="posdiag"),  # or alertmanager
)

evidence = Table(
    "evidence",
    metadata,
    key("id"),
    must("estate"),
    must("terminal"),
    ms("from_ms"),
    ms("until_ms"),
    must("sha256"),
    must("path"),
    ms_or_null("hold_until_ms"),
    text("reason", default=""),
    text("previous", default=""),  # the SHA-256 of the manifest that was sealed before this one
    whole("number"),  # of the seal, counted from 1; null while the period is only held
    must("made_by"),
    text("case_id"),
    ms("at_ms"),
    UniqueConstraint("number"),
    Index(None, "estate", "terminal", "hold_until_ms"),
    Index(None, "at_ms"),
)
