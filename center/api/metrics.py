"""Figures for Prometheus: numbers only, no names of terminals or people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Connection, func, select
from sqlalchemy.exc import DBAPIError

from agent import VERSION
from center.api import filters, items
from center.api.context import Center
from center.api.proof import Reader, TheCenter, allowed, somebody
from center.db import feed, tables
from center.db.engine import reason
from center.domain import selfwatch

router = APIRouter()
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1"})
_COUNTS: Final = ("messages", "stored", "duplicates", "refused", "card_numbers")


@router.get("/metrics", response_class=PlainTextResponse)
def metrics(request: Request, center: TheCenter) -> PlainTextResponse:
    """Figures in Prometheus' text format. From this machine without a token; from elsewhere with one that may read."""
    if not _is_here(request):
        allowed("read")(request, center, somebody(request, center))
    registry = CollectorRegistry()
    registry.register(_Figures(center))
    text = generate_latest(registry).decode()
    return PlainTextResponse(text, media_type="text/plain; version=0.0.4; charset=utf-8")


@router.get("/api/v1/center")
def center_health(center: TheCenter, _who: Reader) -> JSONResponse:
    """How the center itself is: its workers, engines and leases with their last beat, and what waits to be sent."""
    now_ms = center.now_ms()
    with center.database.read() as connection:
        parts = connection.execute(select(tables.heartbeat).order_by(tables.heartbeat.c.name)).all()
        waiting = _by_state(connection)
        head = feed.head(connection)
    beats = [
        {"name": row.name, "at": items.at(row.at_ms), "age_s": max(0, now_ms - row.at_ms) / 1000, "data": row.data}
        for row in parts
    ]
    return JSONResponse({"version": VERSION, "parts": beats, "outbox": waiting, "feed_head": head})


@router.get("/livez", response_class=PlainTextResponse)
def livez() -> PlainTextResponse:
    """200 while this process answers; for a supervisor that starts it anew."""
    return PlainTextResponse("ok\n")


@router.get(
    "/healthz",
    response_class=PlainTextResponse,
    responses={503: {"content": {"text/plain": {}}, "description": "What is wrong, a line each"}},
)
def healthz(request: Request, center: TheCenter) -> PlainTextResponse:
    """200 while the database answers and no worker, engine, broker or disk is missing: what the center's watch found.

    Else 503, and what is wrong, a line each; from elsewhere than this machine without its values.
    """
    try:
        with center.database.read() as connection:
            found = selfwatch.health(connection, center.now_ms())
    except DBAPIError as error:
        return PlainTextResponse(f"the database: {reason(error)}\n" if _is_here(request) else "the database\n", 503)
    wrong = [each for each in found.wrong if each["severity"] == "critical"]
    lines = [_line(each) if _is_here(request) else each["key"] for each in wrong]
    return PlainTextResponse("\n".join(lines or ["ok"]) + "\n", 503 if wrong else 200)


def _line(told: Mapping[str, Any]) -> str:
    return f"{told['key']}: {told['value']:g} {told['unit']}".rstrip() + f", {told['text']}"


def _is_here(request: Request) -> bool:
    return request.client is not None and request.client.host in _LOOPBACK


def _by_state(connection: Connection) -> dict[str, int]:
    table = tables.outbox
    rows = connection.execute(
        select(table.c.state, func.count()).where(table.c.state != "done").group_by(table.c.state)
    )
    return {row[0]: row[1] for row in rows}


class _Figures(Collector):
    """Asked once, at the scrape."""

    def __init__(self, center: Center) -> None:
        self._center = center

    def collect(self) -> Iterator[Metric]:
        with self._center.database.read() as connection:
            yield from _fleet(connection)
            yield from _own(connection, self._center.now_ms())
        answers = CounterMetricFamily(
            "posdiag_http_requests", "Answers by method and status", labels=["method", "status"]
        )
        for (method, status), n in sorted(self._center.requests.copy().items()):
            answers.add_metric([method, str(status)], n)
        yield answers


def _fleet(connection: Connection) -> Iterator[Metric]:
    terminals, faults = tables.terminals, tables.faults
    for name, help_text, column in (
        ("status", "Terminals by what they last said of themselves", terminals.c.status),
        ("can_sell", "Terminals by whether they can sell", terminals.c.can_sell),
    ):
        gauge = GaugeMetricFamily(f"posdiag_terminals_by_{name}", help_text, labels=[name])
        for value, n in connection.execute(select(column, func.count()).group_by(column)):
            gauge.add_metric([value or "unknown"], n)
        yield gauge
    raised = GaugeMetricFamily("posdiag_faults_raised", "Faults that are raised now", labels=["fault", "severity"])
    counted = select(faults.c.fault, faults.c.severity, func.count()).where(filters.is_present())
    # By severity first: SQLite would go through all faults ever, along the index that begins with the fault.
    for fault, severity, n in connection.execute(counted.group_by(faults.c.severity, faults.c.fault)):
        raised.add_metric([fault, severity], n)
    yield raised


def _own(connection: Connection, now_ms: int) -> Iterator[Metric]:
    for name, help_text, table, column in (
        ("posdiag_incidents", "Incidents by state", tables.incidents, tables.incidents.c.state),
        ("posdiag_cases", "Cases by state", tables.cases, tables.cases.c.state),
        ("posdiag_commands", "Commands by state", tables.commands, tables.commands.c.state),
    ):
        gauge = GaugeMetricFamily(name, help_text, labels=["state"])
        for value, n in connection.execute(select(column, func.count()).select_from(table).group_by(column)):
            gauge.add_metric([value], n)
        yield gauge
    waiting = GaugeMetricFamily("posdiag_outbox", "Side effects that are not done", labels=["state"])
    for state, n in _by_state(connection).items():
        waiting.add_metric([state], n)
    yield waiting
    open_gaps = select(func.count()).where(tables.gaps.c.closed_ms.is_(None)).select_from(tables.gaps)
    yield GaugeMetricFamily(
        "posdiag_gaps_open", "Ranges of numbers that did not come", connection.execute(open_gaps).scalar_one()
    )
    quarantined = connection.execute(select(func.count()).select_from(tables.quarantine)).scalar_one()
    yield GaugeMetricFamily("posdiag_quarantine", "Messages that were put aside", quarantined)
    yield GaugeMetricFamily("posdiag_feed_head", "Number of the last line of the feed", feed.head(connection))
    yield from _parts(connection, now_ms)


def _parts(connection: Connection, now_ms: int) -> Iterator[Metric]:
    age = GaugeMetricFamily("posdiag_heartbeat_age_seconds", "Since a part of the center last beat", labels=["part"])
    counts = {
        name: CounterMetricFamily(f"posdiag_ingest_{name}", f"Of messages taken in: {name}", labels=["worker"])
        for name in _COUNTS
    }
    watched = GaugeMetricFamily(
        "posdiag_selfwatch",
        "What the center found when it last looked at itself: lags, disk, certificates …; what is unknown is left out",
        labels=["key", "unit"],
    )
    wrong = GaugeMetricFamily("posdiag_selfwatch_wrong", "Whether that is an alarm, 0 or 1", labels=["key"])
    for row in connection.execute(select(tables.heartbeat)):
        age.add_metric([row.name], max(0, now_ms - row.at_ms) / 1000)
        data = row.data or {}
        for name in _COUNTS:
            if row.name.startswith("ingest-") and name in data:
                counts[name].add_metric([row.name], data[name])
        for told in data.get("readings", ()) if row.name == selfwatch.ROW else ():
            if told["value"] is not None:
                watched.add_metric([told["key"], told["unit"]], told["value"])
            wrong.add_metric([told["key"]], told["state"] == "wrong")
    yield age
    yield watched
    yield wrong
    yield from counts.values()
