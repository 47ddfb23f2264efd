"""The month against its targets: what share was good, and how much of what was allowed to go wrong is used up.

A target is the least share that has to be good. What it leaves is the budget: of 200 cases with a target of 95 %, ten
may miss. Months are those of the office's time zone; one that is under way is counted up to now.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Connection

from center.access.scope import Scope
from center.domain import reports
from center.domain.cases_policy import Policy
from center.domain.hours import zone
from center.domain.reports import Period, Share

_MONTH: Final = re.compile(r"(20\d\d)-(0[1-9]|1[0-2])")


@dataclass(frozen=True, slots=True)
class Month:
    """`name` such as 2026-11; `over` unless it is under way."""

    name: str
    period: Period
    over: bool


def month_of(name: str, timezone: str, now_ms: int) -> Month:
    """A month by its name, the present one for "". Raises ValueError for what is none or has not begun."""
    at = zone(timezone)
    if not name:
        name = f"{datetime.fromtimestamp(now_ms / 1000, at):%Y-%m}"
    found = _MONTH.fullmatch(name)
    if found is None:
        raise ValueError(f"{name!r} is no month such as 2026-11")
    year, month = int(found[1]), int(found[2])
    begin, end = (
        round(datetime(year + each // 12, each % 12 + 1, 1, tzinfo=at).astimezone(UTC).timestamp() * 1000)
        for each in (month - 1, month)
    )
    if begin >= now_ms:
        raise ValueError(f"{name} has not begun")
    return Month(name, Period(begin, min(end, now_ms)), end <= now_ms)


def monthly(connection: Connection, scope: Scope, policy: Policy, period: Period) -> list[dict[str, Any]]:
    """A row for each target of the policy, in its order.

    `name` · `target` and `share`, from 0 to 1 · `missed` of `of` · `allowed`, how many might miss · `used`, the share
    of the budget, above 1 once it is overdrawn · `kept`. `share`, `used` and `kept` are None where nothing was counted.
    """
    clocks = reports.deadlines(connection, scope, period)
    closed = reports.closed(connection, scope, period)
    bad: Mapping[str, Share] = clocks | {"no_return": closed["repeats"], "true_alarm": closed["false_alarms"]}
    good: Mapping[str, Share] = {
        "promise": reports.promises(connection, scope, period).last,
        "first_time_fix": closed["first_time_fix"],
    }
    missed = dict(bad) | {name: Share(each.of - each.n, each.of) for name, each in good.items()}
    return [_row(name, percent / 100, missed.get(name, Share(0, 0))) for name, percent in policy.targets.items()]


def _row(name: str, target: float, missed: Share) -> dict[str, Any]:
    allowed = missed.of * (1 - target)
    counted = missed.of > 0
    return {
        "name": name,
        "target": target,
        "share": 1 - missed.n / missed.of if counted else None,
        "missed": missed.n,
        "of": missed.of,
        "allowed": round(allowed, 2),
        "used": round(missed.n / allowed, 4) if counted else None,
        "kept": missed.n <= allowed + 1e-9 if counted else None,
    }
