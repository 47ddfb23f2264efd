"""Is each store ready for a busy day? A score, a to-do list for each store, and a file to hand out.

The terminal's own check gives score, faults and forecasts. The center adds what only it knows: whether something runs
out before the day, whether the settings are those that were wished, and a note of what is installed now. A terminal
that gave no answer is not ready; it is unknown.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, Final, Literal, get_args

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select, tuple_

from center.access.scope import Scope
from center.db.engine import among, insert_ignore
from center.db.tables import (
    campaign_targets,
    campaign_todo,
    campaigns,
    desired_configs,
    metrics_day,
    sites,
    terminals,
)
from center.domain import check_output
from center.domain.refusal import Refusal

READY: Final = 75
RUNS_OUT: Final = 15
"""What it costs of a hundred points that something will run out before the day, or that settings are not as wished."""
_DAY_MS: Final = 86_400_000
_FRESH_DAYS: Final = 3
_SLICE: Final = 400
_LEFT: Final = "_days_left"
_WAITS: Final = ("waiting", "offline", "sent")
_SILENT: Final = ("failed", "unanswered", "skipped")
_CHECK: Final = "check"
"""What is to do at a terminal that nobody knows anything of."""

Key = tuple[str, str]
State = Literal["ready", "not_ready", "unknown", "waiting"]


def judge(
    output: object,
    forecasts: Mapping[str, float],
    settings: str | None,
    days: int,
) -> dict[str, Any]:
    """Score (0-100, None for unknown), whether that is ready, to-do items and forecasts. Pure.

    `output` is what the check gave; `forecasts` are days left by metric as they came with telemetry, `settings` is
    how the settings stand that were wished, `days` how many there are until the busy one.
    """
    told = check_output.readiness(output)
    if told is None:
        too_large = isinstance(output, Mapping) and "too_large" in output
        why = "its answer was too large" if too_large else "it does not tell how ready it is"
        return {"score": None, "ready": False, "todo": [_item(_CHECK, why, "support")], "forecast": dict(forecasts)}
    left = {name.removeprefix("trend."): value for name, value in forecasts.items()}
    left |= {name.removeprefix("trend."): value for name, value in told.forecast.items() if name.endswith(_LEFT)}
    todo = [_item(*each) for each in told.todo]
    todo += [_item(name, "it could not be checked", "support") for name in told.unchecked]
    more = [
        _item(name, f"{value:.0f} days left, {days} to go", "merchant" if "paper" in name else "technician")
        for name, value in sorted(left.items())
        if value < days
    ]
    if settings in {"drifted", "rejected", "rolled_back"}:
        more.append(_item("settings", settings.replace("_", " "), "support"))
    score = max(0, round(told.score) - RUNS_OUT * len(more))
    return {"score": score, "ready": told.ready and score >= READY, "todo": todo + more, "forecast": left}


def _item(what: str, why: str, act: str) -> dict[str, str]:
    return {"what": what, "why": why, "act": act}


def assess(connection: Connection, rows: Sequence[dict[str, Any]], now_ms: int) -> None:
    """Give each row (estate, terminal, output, args of the campaign) its `data`."""
    today = datetime.fromtimestamp(now_ms / 1000, UTC).date()
    for start in range(0, len(rows), _SLICE):
        some = rows[start : start + _SLICE]
        keys = [(row["estate"], row["terminal"]) for row in some]
        left, settings, installed = (
            _forecasts(connection, keys, now_ms),
            _settings(connection, keys),
            _installed(connection, keys),
        )
        for row, key in zip(some, keys, strict=True):
            days = max(0, (date.fromisoformat(row["args"]["date"]) - today).days)
            row["data"] = judge(row["output"], left.get(key, {}), settings.get(key), days)
            row["data"]["installed"] = installed.get(key, {})


def _forecasts(connection: Connection, keys: Sequence[Key], now_ms: int) -> dict[Key, dict[str, float]]:
    """Days left by metric, the latest of the last days."""
    table = metrics_day.c
    recent = and_(table.bucket_ms > now_ms - (_FRESH_DAYS + 1) * _DAY_MS, table.metric.like(f"trend.%{_LEFT}"))
    query = select(table.estate, table.terminal, table.metric, table.last).where(
        among((table.estate, table.terminal), keys), recent, table.last.is_not(None)
    )
    found: dict[Key, dict[str, float]] = {}
    for row in connection.execute(query.order_by(table.bucket_ms)):
        found.setdefault((row.estate, row.terminal), {})[row.metric] = float(row.last)
    return found


def _settings(connection: Connection, keys: Sequence[Key]) -> dict[Key, str]:
    table = desired_configs.c
    query = select(table.estate, table.terminal, table.state).where(
        among((table.estate, table.terminal), keys), table.state != "replaced"
    )
    return {(row.estate, row.terminal): row.state for row in connection.execute(query.order_by(table.version))}


def _installed(connection: Connection, keys: Sequence[Key]) -> dict[Key, dict[str, Any]]:
    """What a terminal that is set up anew would have to get back."""
    table = terminals.c
    query = select(table.estate, table.terminal, table.model, table.firmware, table.config_reported)
    found = {}
    for row in connection.execute(query.where(among((table.estate, table.terminal), keys))):
        reported = row.config_reported or {}
        settings = {name: reported.get(name) for name in ("version", "hash")}
        found[row.estate, row.terminal] = {"model": row.model, "firmware": row.firmware, "settings": settings}
    return found


def verdict(data: Mapping[str, Any] | None) -> str | None:
    """`ready` or `not_ready`, None where that is not known: kept beside `data`, to be counted without reading it."""
    if not data or data["score"] is None:
        return None
    return "ready" if data["ready"] else "not_ready"


def keep_todo(connection: Connection, rows: Iterable[Mapping[str, Any]]) -> None:
    """Keep what is to do by what it is, of rows (campaign_id, estate, terminal, data) that have just been assessed.

    A target is assessed once: nothing of it is kept yet, and what is kept stays right.
    """
    named = ("campaign_id", "estate", "terminal")
    found = [
        {**{name: row[name] for name in named}, "what": what}
        for row in rows
        for what in sorted({item["what"] for item in row["data"]["todo"]})
    ]
    insert_ignore(connection, campaign_todo, found)


def summary(connection: Connection, scope: Scope, campaign_id: str, what: str | None = None) -> dict[State, int]:
    """Terminals that are `ready`, `not_ready`, `unknown` after all, and still `waiting` to answer.

    With `what` only those where this is to do.
    """
    target = campaign_targets.c
    query = select(target.verdict, target.state, func.count()).where(*_those(scope, campaign_id, None, what))
    counts: Counter[State] = Counter()
    for known, state, n in connection.execute(query.group_by(target.verdict, target.state)):
        counts[known or ("waiting" if state in _WAITS else "unknown")] += n
    return {each: counts[each] for each in get_args(State)}


def failing(connection: Connection, scope: Scope, campaign_id: str, most: int = 50) -> list[dict[str, Any]]:
    """What is to do, and at how many terminals: the `most` frequent, most frequent first. Raises Refusal."""
    _require(connection, campaign_id)
    todo, target = campaign_todo.c, campaign_targets.c
    n = func.count().label("n")
    query = select(todo.what, n).where(todo.campaign_id == campaign_id, scope.where(campaign_todo, many=True))
    frequent = (todo.what == _CHECK).desc(), n.desc(), todo.what  # that first, since more is added to it
    found = connection.execute(query.group_by(todo.what).order_by(*frequent).limit(most + 1))
    counts = Counter({row.what: row.n for row in found})
    unheard = target.campaign_id == campaign_id, *_unheard(target), scope.where(campaign_targets, many=True)
    counts[_CHECK] += connection.execute(select(func.count()).where(*unheard)).scalar_one()
    ordered = sorted((-terminals, what) for what, terminals in counts.items() if terminals)
    return [{"what": what, "terminals": -terminals} for terminals, what in ordered[:most]]


def _unheard(target: Any) -> tuple[ColumnElement[bool], ...]:
    """Targets that gave no answer: at each of them `check` is to do, which nobody wrote down."""
    return target.verdict.is_(None), target.state.in_(_SILENT)


def _those(scope: Scope, campaign_id: str, state: State | None, what: str | None) -> list[ColumnElement[bool]]:
    """Targets of the campaign that stand so and where this is to do; without either, all."""
    target = campaign_targets.c
    found = [target.campaign_id == campaign_id, scope.where(campaign_targets, many=True)]
    if state in {"ready", "not_ready"}:
        found.append(target.verdict == state)
    elif state is not None:
        waits = target.state.in_(_WAITS)
        found += [target.verdict.is_(None), waits if state == "waiting" else ~waits]
    if what is not None:
        todo = campaign_todo.c
        where = select(todo.estate, todo.terminal).where(todo.campaign_id == campaign_id, todo.what == what)
        there = tuple_(target.estate, target.terminal).in_(where)
        found.append(or_(there, and_(*_unheard(target))) if what == _CHECK else there)
    return found


def _require(connection: Connection, campaign_id: str) -> None:
    kind = connection.execute(select(campaigns.c.kind).where(campaigns.c.id == campaign_id)).scalar()
    if kind != "readiness":
        raise Refusal("not_found", "no such readiness campaign")


def stores(
    connection: Connection,
    scope: Scope,
    campaign_id: str,
    after: tuple[str, str, str] | None = None,
    limit: int = 1000,
    *,
    state: State | None = None,
    what: str | None = None,
) -> list[dict[str, Any]]:
    """Targets of a readiness campaign with their place, by (estate, site, terminal) after `after`. Raises Refusal.

    The place is where they stood when they were listed. Only those that are so, as `summary` counts them, and where
    this is to do, as `failing` counts it.
    """
    _require(connection, campaign_id)
    target = campaign_targets.c
    order = (target.estate, target.site, target.terminal)
    keys = select(*order).where(*_those(scope, campaign_id, state, what))  # without the wide rows
    if after is not None:
        keys = keys.where(tuple_(*order) > after)
    some = keys.order_by(*order).limit(limit).subquery()
    its = target.campaign_id == campaign_id, target.estate == some.c.estate, target.terminal == some.c.terminal
    at = and_(sites.c.estate == some.c.estate, sites.c.site == some.c.site)
    site = func.nullif(some.c.site, "").label("site")
    columns = (target.estate, site, target.terminal, sites.c.name, sites.c.address)
    whole = select(*columns, target.state, target.error, target.data)
    whole = whole.select_from(some.join(campaign_targets, and_(*its)).outerjoin(sites, at)).order_by(*some.c)
    return [dict(row) for row in connection.execute(whole).mappings()]


def export(rows: Iterable[Mapping[str, Any]]) -> str:
    """The to-do lists as CSV (RFC 4180): a line for each item, one for a terminal without any."""
    file = io.StringIO()
    out = csv.writer(file)
    out.writerow(("estate", "site", "store", "address", "terminal", "score", "ready", "what", "why", "who"))
    for row in rows:
        data = row["data"] or {}
        score = data.get("score")
        ready = "unknown" if score is None else "yes" if data["ready"] else "no"
        head = [row["estate"], row["site"], row["name"], row["address"], row["terminal"], score, ready]
        why = row["error"] or row["state"]
        items = data.get("todo", [_item(_CHECK, f"it was not checked: {why}", "support")])
        for item in items or [_item("", "", "")]:
            out.writerow([cell(value) for value in (*head, item["what"], item["why"], item["act"])])
    return file.getvalue()


def cell(value: object) -> object:
    """A text that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
