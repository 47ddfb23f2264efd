"""Open and just resolved incidents as alerts of Alertmanager: a POST of a list to its /api/v2/alerts.

As Prometheus does it, all that is open is sent again and again with an end that lies a little ahead, so that neither a
restart there nor a kill here loses one; what is resolved is sent with its end for a while. If the center is gone,
Alertmanager takes its alerts for resolved after FRESH_MS: have it miss the center by a watchdog of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from itertools import islice
from typing import Any, Final

import httpx
from sqlalchemy import case, or_, select, update

from agent.wire import dumps, timestamp
from center.db.engine import Database
from center.db.tables import incidents, webhooks
from center.domain.incident_texts import title
from center.notify import rules, webhook_urls

log = logging.getLogger("posdiag.center.alerts")

FORMAT: Final = "alertmanager"
EVERY_MS: Final = 30_000
FRESH_MS: Final = 4 * EVERY_MS
RESOLVED_MS: Final = 15 * 60_000
"""For so long what is over is told again."""
MOST: Final = 5000
"""Alerts of one turn, those of the most impact first."""
_BATCH: Final = 500
_EVENTS: Final = {"terminal": "case.opened", "center": "center.alarm"}


class Alerts:
    """Pushes in the one process that holds the lease of the engines, in a thread of its own."""

    def __init__(self, database: Database, public_url: str = "") -> None:
        self._database = database
        self._public_url = public_url.rstrip("/")
        self._pushed_ms: int | None = None

    def step(self, now_ms: int) -> bool:
        """Push to each webhook of this format, every half a minute. Never has more to do at once."""
        if self._pushed_ms is not None and 0 <= now_ms - self._pushed_ms < EVERY_MS:
            return False
        self._pushed_ms = now_ms
        wanted = webhooks.c.state == "active", webhooks.c.format == FORMAT
        with self._database.read() as connection:
            hooks = connection.execute(select(webhooks).where(*wanted).order_by(webhooks.c.id)).all()
            rows = [dict(row) for row in connection.execute(_told(now_ms)).mappings()] if hooks else []
        for hook in hooks:
            some = islice((row for row in rows if _wants(hook.filter, row)), MOST)
            self._push(hook, [alert(row, self._public_url, now_ms) for row in some])
        return False

    def _push(self, hook: Any, alerts: list[dict[str, Any]]) -> None:
        problem = ""
        for start in range(0, len(alerts), _BATCH):
            problem = problem or send(hook.url, alerts[start : start + _BATCH])
        if problem != hook.error:
            if problem:
                log.warning("%s: %s", hook.id, problem)
            with self._database.begin() as connection:
                connection.execute(update(webhooks).where(webhooks.c.id == hook.id).values(error=problem))


def _told(now_ms: int) -> Any:
    """Incidents that people are told of: no part of another, not suppressed."""
    lasting = or_(incidents.c.state != "resolved", incidents.c.resolved_ms >= now_ms - RESOLVED_MS)
    told = incidents.c.parent_id.is_(None), incidents.c.suppression_id.is_(None)
    first = case((incidents.c.scope == "center", 0), else_=1)
    return select(incidents).where(lasting, *told).order_by(first, incidents.c.impact.desc(), incidents.c.id)


def _wants(choice: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    event = _EVENTS.get(row["scope"], "incident.opened")
    notice = {"event": event, "estate": row["estate"], "severity": row["severity"]}
    return rules.wants(choice["events"], choice, notice)


def alert(row: Mapping[str, Any], public_url: str, now_ms: int) -> dict[str, Any]:
    """One incident in the API's words (PostableAlert). What may change, but for the severity, is an annotation."""
    family, fault = row["family"] or "", row["fault"] or ""
    labels = {
        "alertname": fault if row["scope"] == "terminal" or not family else family,
        "incident": row["id"],
        "severity": row["severity"],
        "estate": row["estate"],
        "scope": row["scope"],
        "scope_key": row["scope_key"],
        "source": "posdiag",
    }
    labels["alertname"] = labels["alertname"] or row["scope_key"]
    spoken = {name: title(row["scope"], row["scope_key"], family, fault, name) for name in ("en", "zh")}
    annotations = {
        "summary": spoken["en"],
        "summary_zh": spoken["zh"],
        "terminals": str(row["terminals_n"]),
        "cannot_sell": str(row["cannot_sell_n"]),
        "acknowledged_by": row["ack_by"] or "",
        "owner": row["owner"] or "",
    }
    over = row["state"] == "resolved"
    found: dict[str, Any] = {
        "labels": {name: value for name, value in labels.items() if value},
        "annotations": {name: value for name, value in annotations.items() if value},
        "startsAt": timestamp(row["opened_ms"] / 1000),
        "endsAt": timestamp((row["resolved_ms"] if over else now_ms + FRESH_MS) / 1000),
    }
    return found | ({"generatorURL": f"{public_url}/console/incident/{row['id']}"} if public_url else {})


def trial(now_ms: int) -> dict[str, Any]:
    """An alert that is over a minute later."""
    labels = {"alertname": "trial", "severity": "warning", "source": "posdiag"}
    told = {"summary": "A trial of posdiag; nothing is wrong", "summary_zh": "posdiag 测试通知，没有故障"}
    ends = {"startsAt": timestamp(now_ms / 1000), "endsAt": timestamp(now_ms / 1000 + 60)}
    return {"labels": labels, "annotations": told, **ends}


def send(url: str, alerts: list[dict[str, Any]]) -> str:
    """Send some. Returns what went wrong, "" for nothing."""
    headers = {"content-type": "application/json"}
    try:
        answer = httpx.post(
            url, content=dumps(alerts), headers=headers, timeout=webhook_urls.TIMEOUT_S, follow_redirects=False
        )
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return f"nobody answers there: {type(error).__name__}"
    return "" if answer.is_success else f"answered {answer.status_code}"
