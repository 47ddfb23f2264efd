"""Tells people and programs what the outbox says, at least once each.

A row of kind `notify` is first shared out, in one transaction: a row of kind `channel` or `webhook` for each that
wants it. Those are claimed for a while, sent with no transaction open, and marked. A kill after the sending sends
again; the key that goes along says that it is the same.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from math import inf
from typing import Any, Final

from sqlalchemy import Connection, insert, select, update

from agent.wire import dumps
from center.db.engine import Database, insert_ignore
from center.db.tables import broadcasts, case_tasks, cases, channels, incidents, notifications, outbox, webhooks
from center.domain import contacts
from center.domain.posts import DONE, FAILED, WAITING
from center.ids import new_id
from center.notify import alertmanager, channel_urls, rules, webhook_urls

log = logging.getLogger("posdiag.center.notify")

CLAIM_MS: Final = 120_000
MOST_ATTEMPTS: Final = 10
SENDING: Final = "sending"
MOOT: Final = "moot"
"""Not sent: before it was due somebody had acknowledged, had done the task, or had stopped the broadcast."""
_TOLD_HERE: Final = (webhooks.c.state == "active", webhooks.c.format != alertmanager.FORMAT)
_BATCH: Final = 200
BULK_ROWS: Final = 20
BULK_S: Final = 5.0
"""So many of a broadcast's messages in one turn, and no new one after this time: an alarm waits for no more of them."""


class Delivery:
    """Works in the one process that holds the lease of the engines, in a thread of its own."""

    name = "delivery"

    def __init__(self, database: Database) -> None:
        self._database = database

    def step(self, now_ms: int) -> bool:
        """Share out and send what is due. True if there may be more."""
        more = False
        for bulk, most, limit_s in ((False, _BATCH, inf), (True, BULK_ROWS, BULK_S)):
            more |= self._share_out(now_ms, bulk=bulk)
            claimed = self._claim(now_ms, bulk=bulk, most=most)
            self._send(claimed, now_ms, limit_s)
            more |= len(claimed) == most
        return more

    # --- who wants it -------------------------------------------------------------------------------------------------

    def _share_out(self, now_ms: int, *, bulk: bool = False) -> bool:
        due = (
            outbox.c.kind == "notify",
            outbox.c.state == WAITING,
            outbox.c.bulk.is_(bulk),
            outbox.c.not_before_ms <= now_ms,
        )
        with self._database.begin() as connection:
            rows = connection.execute(select(outbox).where(*due).order_by(outbox.c.id).limit(_BATCH)).all()
            if not rows:
                return False
            some = connection.execute(select(channels).where(channels.c.disabled.is_(False))).all()
            hooks = connection.execute(select(webhooks).where(*_TOLD_HERE)).all()
            for row in rows:
                insert_ignore(connection, outbox, _shares(row, some, hooks, now_ms))
            ids = [row.id for row in rows]
            connection.execute(update(outbox).where(outbox.c.id.in_(ids)).values(state=DONE))
        return len(rows) == _BATCH

    # --- sending ------------------------------------------------------------------------------------------------------

    def _claim(self, now_ms: int, *, bulk: bool = False, most: int = _BATCH) -> list[Any]:
        due = (
            outbox.c.kind.in_(("channel", "webhook")),
            outbox.c.state.in_((WAITING, SENDING)),
            outbox.c.bulk.is_(bulk),
            outbox.c.not_before_ms <= now_ms,
        )
        with self._database.begin() as connection:
            query = select(outbox).where(*due).order_by(outbox.c.not_before_ms, outbox.c.id).limit(most)
            rows = connection.execute(query.with_for_update(skip_locked=True)).all()
            called_off = _called_off(connection, rows)
            moot = [
                row for row in rows if row.payload.get("broadcast") in called_off or _is_moot(connection, row.payload)
            ]
            _mark(connection, moot, state=MOOT)
            taken = [row for row in rows if row not in moot]
            values = {"state": SENDING, "attempts": outbox.c.attempts + 1, "not_before_ms": now_ms + CLAIM_MS}
            connection.execute(update(outbox).where(outbox.c.id.in_([row.id for row in taken])).values(values))
        return sorted(taken, key=lambda row: (row.kind, row.payload["target"], row.id))

    def _send(self, rows: list[Any], now_ms: int, limit_s: float) -> None:
        """Send what was claimed; when the time is over the rest is let go of."""
        end, left = time.monotonic() + limit_s, list(rows)
        for (kind, target), group in groupby(rows, key=lambda row: (row.kind, row.payload["target"])):
            some = list(group)
            channel = self._row(channels, target) if kind == "channel" else None
            apart = channel is None or channel_urls.TO in channel.url  # merchants: none is told of another
            for parcel in [[row] for row in some] if apart else [some]:
                if time.monotonic() >= end:
                    self._let_go(left, now_ms)
                    return
                if kind == "webhook":
                    self._tell_webhook(target, parcel[0], now_ms)
                elif channel is None or channel.disabled:
                    self._end(parcel, "the channel is gone", now_ms, given_up=True)
                else:
                    self._tell(channel, parcel, now_ms)
                del left[: len(parcel)]

    def _let_go(self, rows: Sequence[Any], now_ms: int) -> None:
        values = {"state": WAITING, "attempts": outbox.c.attempts - 1, "not_before_ms": now_ms}
        with self._database.begin() as connection:
            _mark(connection, rows, **values)

    def _tell(self, channel: Any, rows: list[Any], now_ms: int) -> None:
        subject, body = rules.digest([row.payload for row in rows])
        named = [each for row in rows for each in row.payload.get("to") or ()]
        addresses = channel_urls.addresses(channel.url, named)
        problem = "nobody to tell: no contact has what this channel needs" if not addresses else ""
        given_up = bool(problem)
        arrived: dict[str, bool] = {}
        for address in dict.fromkeys(addresses):
            wrong = channel_urls.send_guarded(address, subject, body)
            problem, arrived[address] = wrong or problem, not wrong
        self._end(rows, problem, now_ms, given_up=given_up)
        if channel_urls.TO in channel.url:
            self._learn(channel, rows[0], arrived, now_ms)
        told = {
            "id": new_id("note", now_ms),
            "channel": channel.name,
            "subject": subject[:500],
            "body": body[:8000],
            "state": "failed" if problem else "sent",
            "error": problem,
            "data": {"keys": [row.key for row in rows][:100]},
            "at_ms": now_ms,
        }
        with self._database.begin() as connection:
            connection.execute(insert(notifications).values(told))

    def _learn(self, channel: Any, row: Any, arrived: Mapping[str, bool], now_ms: int) -> None:
        """Who did not get it at the last attempt, though others got theirs meanwhile; and who got it at last."""
        kind = channel_urls.contact_kind(channel.url)
        last = row.attempts + 1 >= MOST_ATTEMPTS
        bounced: dict[str, bool] = {}
        for each in row.payload.get("to") or ():
            there = arrived.get(channel.url.replace(channel_urls.TO, str(each.get(kind))))
            if (there is False and last) or (there and each.get("bounced_ms")):
                bounced[str(each[kind])] = not there
        if not bounced:
            return
        others = (notifications.c.channel == channel.name, notifications.c.state == "sent")
        meanwhile = select(notifications.c.id).where(*others, notifications.c.at_ms >= row.created_ms).limit(1)
        with self._database.begin() as connection:
            if all(bounced.values()) and connection.execute(meanwhile).first() is None:
                return  # it is the channel that does not work
            contacts.delivered(connection, row.payload, kind, bounced, now_ms)

    def _tell_webhook(self, target: str, row: Any, now_ms: int) -> None:
        hook = self._row(webhooks, target)
        if hook is None or hook.state != "active":
            self._end([row], "the webhook is gone", now_ms, given_up=True)
            return
        notice = {name: value for name, value in row.payload.items() if name not in {"target", "to"}}
        event = str(notice.get("event", ""))
        problem, gone = webhook_urls.send(hook.url, hook.secret, event, row.key, dumps(notice), now_ms // 1000)
        if gone:
            with self._database.begin() as connection:
                ended = {"state": "gone", "error": problem}
                connection.execute(update(webhooks).where(webhooks.c.id == target).values(ended))
        self._end([row], problem, now_ms, given_up=gone)

    def _row(self, table: Any, name: str) -> Any:
        with self._database.read() as connection:
            return connection.execute(select(table).where(table.c.id == name)).first()

    def _end(self, rows: Sequence[Any], problem: str, now_ms: int, *, given_up: bool = False) -> None:
        """Mark them done, to be tried again, or given up."""
        with self._database.begin() as connection:
            if not problem:
                _mark(connection, rows, state=DONE, error="")
                return
            log.warning("%s to %s: %s", rows[0].kind, rows[0].payload["target"], problem)
            for row in rows:
                attempts = row.attempts + 1
                over = given_up or attempts >= MOST_ATTEMPTS
                again_ms = now_ms + rules.retry_ms(attempts)
                _mark(connection, [row], state=FAILED if over else WAITING, error=problem, not_before_ms=again_ms)


def _shares(row: Any, some: Iterable[Any], hooks: Iterable[Any], now_ms: int) -> list[dict[str, Any]]:
    notice = row.payload
    found = []
    for channel in some:
        if channel_urls.TO in channel.url and not notice.get("to"):
            continue
        if rules.wants(channel.events, channel.filter, notice):
            at_ms = rules.due_ms(notice, channel.filter, channel.quiet_hours, channel.escalation, now_ms)
            more = {"escalation": True} if channel.escalation else {}
            found.append(_share(row, "channel", channel.id, more, at_ms, now_ms))
    wanting = [hook.id for hook in hooks if rules.wants(hook.filter["events"], hook.filter, notice)]
    return found + [_share(row, "webhook", target, {}, now_ms, now_ms) for target in wanting]


def _share(row: Any, kind: str, target: str, more: dict[str, Any], at_ms: int, now_ms: int) -> dict[str, Any]:
    return {
        "kind": kind,
        "key": f"{row.key}>{target}",
        "payload": {**row.payload, **more, "target": target},
        "not_before_ms": at_ms,
        "state": WAITING,
        "created_ms": now_ms,
        "bulk": row.bulk,
    }


def _is_moot(connection: Connection, notice: dict[str, Any]) -> bool:
    """Whether what is to be done was done; or an escalation is not needed, as somebody took on the case or incident."""
    if notice.get("task"):
        done = select(case_tasks.c.done_ms).where(case_tasks.c.id == notice["task"])
        return connection.execute(done).scalar() is not None
    if not notice.get("escalation"):
        return False
    for name, table, waiting in (("case_id", cases, ("new", "reopened")), ("incident", incidents, ("open",))):
        about = notice.get(name)
        if about:
            state = connection.execute(select(table.c.state).where(table.c.id == about)).scalar()
            return state not in waiting
    return False


def _called_off(connection: Connection, rows: Sequence[Any]) -> set[str]:
    """Those of the broadcasts that these rows are of which somebody has stopped."""
    named = {row.payload["broadcast"] for row in rows if row.payload.get("broadcast")}
    stopped = select(broadcasts.c.id).where(broadcasts.c.id.in_(named), broadcasts.c.cancelled_ms.is_not(None))
    return set(connection.execute(stopped).scalars()) if named else set()


def _mark(connection: Connection, rows: Sequence[Any], **values: Any) -> None:
    if rows:
        connection.execute(update(outbox).where(outbox.c.id.in_([row.id for row in rows])).values(values))
