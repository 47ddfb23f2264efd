"""How long rows are kept, and what goes with them: by the settings `keep_…_days`, and never what is held as evidence.

A case goes with all that was written, attached and answered in it; what was learnt from it (`remedies`) stays. What was
posted loses its text and its contacts long before anybody stops asking whether a broadcast arrived.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Table, and_, delete, exists, select, update

from center.db.tables import (
    attachments,
    broadcast_sites,
    broadcasts,
    case_steps,
    case_tags,
    case_tasks,
    cases,
    changes,
    commands,
    desired_configs,
    events,
    evidence,
    faults,
    gaps,
    incident_members,
    incidents,
    metrics_day,
    metrics_hour,
    notifications,
    outages,
    outbox,
    quarantine,
    receipts,
    remedies,
    results,
    streams,
    surveys,
    telemetry,
)
from center.domain.commands_engine import FINAL
from center.domain.posts import DONE, FAILED
from center.notify.delivery import MOOT
from center.settings import Settings

DAY_MS: Final = 86_400_000
_OF_CASE: Final = (case_steps, case_tags, case_tasks, attachments, surveys)
_LINKED: Final = (remedies, incidents)
_POSTED: Final = (DONE, FAILED, MOOT)
_CASES: Final = 200  # in one transaction: each has many rows


@dataclass(frozen=True, slots=True)
class Old:
    """Rows that go."""

    table: Table
    condition: ColumnElement[bool]


def old(settings: Settings, now_ms: int) -> Iterator[Old]:
    """All that is past its time, but for cases, in an order in which nothing points at what is gone."""

    def before(days: int) -> int:
        return now_ms - days * DAY_MS

    for table in (telemetry, events, results):
        days = settings.keep_telemetry_days if table is telemetry else settings.keep_events_days
        yield Old(table, and_(table.c.received_ms < before(days), ~_held(table, table.c.at_ms, table.c.at_ms, now_ms)))
    for table, by, days in (
        (metrics_hour, "bucket_ms", settings.keep_hours_days),
        (metrics_day, "bucket_ms", settings.keep_days_days),
        (changes, "at_ms", settings.keep_feed_days),
        (quarantine, "at_ms", settings.keep_quarantine_days),
        (gaps, "found_ms", settings.keep_events_days),
        (receipts, "at_ms", settings.keep_events_days),
        (streams, "updated_ms", settings.keep_events_days),
        (outages, "until_ms", settings.keep_events_days),
        (incident_members, "left_ms", settings.keep_events_days),
        (notifications, "at_ms", settings.keep_notifications_days),
    ):
        yield Old(table, table.c[by] < before(days))
    yield Old(faults, and_(faults.c.state == "cleared", faults.c.received_ms < before(settings.keep_events_days)))
    told = broadcasts.c.created_ms < before(settings.keep_notifications_days)
    yield Old(broadcast_sites, broadcast_sites.c.broadcast_id.in_(select(broadcasts.c.id).where(told)))
    yield Old(broadcasts, told)
    posted = outbox.c.state.in_(_POSTED)
    yield Old(outbox, and_(posted, ~outbox.c.bulk, outbox.c.created_ms < before(settings.keep_outbox_days)))
    yield Old(outbox, and_(posted, outbox.c.bulk, outbox.c.created_ms < before(settings.keep_notifications_days)))
    over = before(settings.keep_cases_days)
    ended = and_(commands.c.state.in_(sorted(FINAL)), commands.c.updated_ms < over)
    yield Old(commands, and_(ended, ~_held(commands, commands.c.created_ms, commands.c.updated_ms, now_ms)))
    replaced = and_(desired_configs.c.state == "replaced", desired_configs.c.updated_ms < over)
    yield Old(desired_configs, replaced)


def empty_posts(connection: Connection, settings: Settings, now_ms: int, most: int) -> int:
    """Take text and contacts out of what was posted to many; that it was posted stays. Returns how many rows."""
    late = outbox.c.created_ms < now_ms - settings.keep_outbox_days * DAY_MS
    full = and_(outbox.c.bulk, outbox.c.state.in_(_POSTED), late, outbox.c.payload.is_not(None))
    ids = connection.execute(select(outbox.c.id).where(full).limit(most)).scalars().all()
    connection.execute(update(outbox).where(outbox.c.id.in_(ids)).values(payload=None))
    return len(ids)


def forget_cases(connection: Connection, settings: Settings, now_ms: int) -> bool:
    """Delete some cases that are closed for long, with all that is in them. True if there may be more."""
    closed = and_(cases.c.state == "closed", cases.c.closed_ms < now_ms - settings.keep_cases_days * DAY_MS)
    free = and_(~_held(cases, cases.c.created_ms, cases.c.closed_ms, now_ms), ~_named(now_ms))
    ids: Sequence[Any] = connection.execute(select(cases.c.id).where(closed, free).limit(_CASES)).scalars().all()
    for table in _OF_CASE:
        connection.execute(delete(table).where(table.c.case_id.in_(ids)))
    for table in _LINKED:
        connection.execute(update(table).where(table.c.case_id.in_(ids)).values(case_id=None))
    connection.execute(delete(cases).where(cases.c.id.in_(ids)))
    return len(ids) == _CASES


def _held(table: Table, from_ms: Any, until_ms: Any, now_ms: int) -> ColumnElement[bool]:
    """Whether a row is of a terminal, and a time, that are held as evidence."""
    return exists().where(
        evidence.c.estate == table.c.estate,
        evidence.c.terminal == table.c.terminal,
        evidence.c.hold_until_ms > now_ms,
        evidence.c.from_ms <= until_ms,
        evidence.c.until_ms >= from_ms,
    )


def _named(now_ms: int) -> ColumnElement[bool]:
    """Whether evidence that is held was held for this case."""
    return exists().where(evidence.c.case_id == cases.c.id, evidence.c.hold_until_ms > now_ms)
