"""Tables of who may do what, and who did."""

from __future__ import annotations

from sqlalchemy import Index, Table, UniqueConstraint

from center.db.columns import flag, key, metadata, ms, ms_or_null, must, serial, text, values

accounts = Table(
    "accounts",
    metadata,
    key("id"),
    must("name"),
    text("password_hash"),
    values("roles"),
    values("scopes"),
    text("language", default="en"),
    flag("disabled"),
    flag("must_change"),
    text("oidc_issuer"),
    text("oidc_subject"),
    ms("created_ms"),
    ms_or_null("last_login_ms"),
    UniqueConstraint("name"),
    UniqueConstraint("oidc_issuer", "oidc_subject"),
)

tokens = Table(
    "tokens",
    metadata,
    key("id"),
    must("hash"),
    text("name", default=""),
    must("role"),
    values("scopes"),
    text("account_id"),
    ms("created_ms"),
    ms_or_null("expires_ms"),
    ms_or_null("last_used_ms"),
    ms_or_null("revoked_ms"),
    UniqueConstraint("hash"),
)

sessions = Table(
    "sessions",
    metadata,
    key("id"),  # the hash of what the browser holds
    must("account_id"),
    must("csrf"),
    ms("created_ms"),
    ms("expires_ms"),
    ms_or_null("last_used_ms"),
    Index(None, "expires_ms"),
    Index(None, "account_id"),
)

audit = Table(
    "audit",  # append-only; each row's hash covers the one before
    metadata,
    serial(),
    ms("at_ms"),
    must("who"),
    must("what"),
    text("target", default=""),
    values("detail"),
    must("prev"),
    must("hash"),
    Index(None, "at_ms"),
    Index(None, "who", "at_ms"),
    sqlite_autoincrement=True,
)
