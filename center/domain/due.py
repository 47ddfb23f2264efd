"""The clock of each case of a list, and cases whose next deadline is near. JSON values, moments in milliseconds."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Connection, RowMapping, Select, and_, case, or_, select

from center.access.scope import Scope
from center.db.tables import cases, sites
from center.domain import sla
from center.domain.cases_book import OPEN, number_text
from center.domain.cases_policy import Policy, deadlines_of
from center.domain.incident_texts import fault_name

_DUE: Final = (cases.c.first_response_due_ms, cases.c.update_due_ms, cases.c.solve_due_ms)
_NEVER_MS: Final = 1 << 62


def with_sites() -> Select[Any]:
    """Cases, and of the site of each what `clock` needs, and its `at_name` and `at_timezone`."""
    calendar = [sites.c[name].label(f"at_{name}") for name in ("name", "hours", "timezone", "contract")]
    at = and_(sites.c.estate == cases.c.estate, sites.c.site == cases.c.site)
    return select(cases, *calendar).select_from(cases.outerjoin(sites, at))


def clock(row: RowMapping, policy: Policy, now_ms: int) -> dict[str, Any] | None:
    """Of a row of `with_sites` the clock that is broken first, as sla.nearest has it; None once it is closed."""
    site = None if row["at_timezone"] is None else {"hours": row["at_hours"], "timezone": row["at_timezone"]}
    deadline = deadlines_of(policy, row["kind"], row["severity"], row["at_contract"])
    clocks = (row["data"] or {}).get("clocks", {}) if row["state"] != "closed" else {}
    at_ms = row["paused_since_ms"] or now_ms  # while it is paused no time goes by
    return sla.nearest(clocks, sla.Calendar.of(deadline, policy, site), at_ms)


def soon(
    connection: Connection, scope: Scope, language: str, policy: Policy, now_ms: int, *, within_ms: int, limit: int = 20
) -> list[dict[str, Any]]:
    """Open cases that are not paused and whose next deadline is over, or comes within so many milliseconds.

    `id`, `number`, `title` in plain words, `estate`, `terminal`, `site`, `site_name`, `severity`, `state`, `owner`,
    `team`, `incident_id` and `clock`.
    """
    near = or_(*(each <= now_ms + within_ms for each in _DUE))
    first = case(*((and_(*(_or_never(each) <= _or_never(other) for other in _DUE)), each) for each in _DUE))
    statement = (
        with_sites()
        .where(cases.c.state.in_(OPEN), cases.c.paused_since_ms.is_(None), near, scope.where(cases))
        .order_by(first, cases.c.id)
        .limit(limit)
    )
    return [_row(row, language, policy, now_ms) for row in connection.execute(statement).mappings()]


def _or_never(column: Any) -> Any:
    return case((column.is_(None), _NEVER_MS), else_=column)


def _row(row: RowMapping, language: str, policy: Policy, now_ms: int) -> dict[str, Any]:
    plain = ("id", "estate", "terminal", "site", "severity", "state", "owner", "team", "incident_id")
    return {name: row[name] for name in plain} | {
        "number": number_text(row["number"]),
        "title": fault_name(row["fault"], language) if row["fault"] else row["title"],
        "site_name": row["at_name"],
        "clock": clock(row, policy, now_ms),
    }
