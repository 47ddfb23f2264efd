"""Cases whose next deadline is near or over, the most pressing first. Rows of JSON values, moments in milliseconds."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Connection, and_, case, or_, select

from center.access.scope import Scope
from center.db.tables import cases, sites
from center.domain import sla
from center.domain.cases_book import number_text
from center.domain.cases_policy import Policy, deadlines_of
from center.domain.incident_texts import fault_name

_DUE: Final = (cases.c.first_response_due_ms, cases.c.update_due_ms, cases.c.solve_due_ms)
_NEVER_MS: Final = 1 << 62


def soon(
    connection: Connection, scope: Scope, language: str, policy: Policy, now_ms: int, *, within_ms: int, limit: int = 20
) -> list[dict[str, Any]]:
    """Open cases that are not paused and whose next deadline is over, or comes within so many milliseconds.

    `id`, `number`, `title` in plain words, `estate`, `terminal`, `site`, `site_name`, `severity`, `state`, `owner`,
    `team`, `incident_id` and `clock`: the one that is broken first, as sla.nearest has it.
    """
    near = or_(*(each <= now_ms + within_ms for each in _DUE))
    first = case(*((and_(*(_or_never(each) <= _or_never(other) for other in _DUE)), each) for each in _DUE))
    calendar = [sites.c[name].label(f"at_{name}") for name in ("name", "hours", "timezone", "contract")]
    at = and_(sites.c.estate == cases.c.estate, sites.c.site == cases.c.site)
    statement = (
        select(cases, *calendar)
        .select_from(cases.outerjoin(sites, at))
        .where(cases.c.state != "closed", cases.c.paused_since_ms.is_(None), near, scope.where(cases))
        .order_by(first, cases.c.id)
        .limit(limit)
    )
    return [_row(row, language, policy, now_ms) for row in connection.execute(statement).mappings()]


def _or_never(column: Any) -> Any:
    return case((column.is_(None), _NEVER_MS), else_=column)


def _row(row: Any, language: str, policy: Policy, now_ms: int) -> dict[str, Any]:
    plain = ("id", "estate", "terminal", "site", "severity", "state", "owner", "team", "incident_id")
    site = None if row["at_timezone"] is None else {"hours": row["at_hours"], "timezone": row["at_timezone"]}
    deadline = deadlines_of(policy, row["kind"], row["severity"], row["at_contract"])
    clocks = (row["data"] or {}).get("clocks", {})
    return {name: row[name] for name in plain} | {
        "number": number_text(row["number"]),
        "title": fault_name(row["fault"], language) if row["fault"] else row["title"],
        "site_name": row["at_name"],
        "clock": sla.nearest(clocks, sla.Calendar.of(deadline, policy, site), now_ms),
    }
