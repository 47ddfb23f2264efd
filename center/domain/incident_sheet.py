"""All that one incident's page shows beside its row in the queue: evidence, relations, knowledge, what happened when.

Only what is in scope. Plain dicts of JSON values, moments in milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from sqlalchemy import Connection, Select, and_, func, select

from center.access.scope import Scope
from center.db.engine import among
from center.db.tables import faults, incident_members, incidents, outages, retired, sites, terminals
from center.domain import knowledge, queue, regroup, remedies
from center.domain.case_sheet import commands_of
from center.domain.cases_policy import Policy
from center.domain.freshness import freshness
from center.domain.grouping import OFFLINE
from center.domain.incident_texts import fault_name, title
from center.domain.refusal import Refusal
from center.domain.texts import guidance

SHOWN_EVIDENCE: Final = 6
SHOWN_PARTS: Final = 50
_SHOWN_TIMES: Final = 12
_MOST_TIMES: Final = 60
_MINUTE_MS: Final = 60_000
_FAULT: Final = (
    *("state", "severity", "cause", "symptoms", "first_ms", "last_ms", "count", "device", "evidence", "basis", "act"),
    "boot",
)
_PLACE: Final = ("site", "operator", "cell", "region", "power_district", "host", "model", "firmware", "language")


def sheet(
    connection: Connection, scope: Scope, incident_id: str, language: str, policy: Policy, now_ms: int
) -> dict[str, Any]:
    """The incident. Raises Refusal for one out of scope.

    A row as `center.domain.queue` has it, whatever the state, and: `why` whole · `parent` and `parts` · `terminal` of
    an incident of one · `outage` of a terminal that is gone · `evidence` · `meaning`, `runbook`, `merchant`, `guide`
    of the fault · `remedies`, `similar` where no case has them · `commands` · `steps`, oldest first.
    """
    row = queue.one(connection, scope, incident_id, language, policy, now_ms)
    found = connection.execute(select(incidents).where(incidents.c.id == incident_id)).mappings().first()
    if row is None or found is None:
        raise Refusal("not_found", "there is no such incident")
    terminal = _terminal(connection, scope, found, now_ms)
    fault = found["fault"] or ""
    book = knowledge.runbook(fault, language)
    model, firmware = (terminal or {}).get("model") or "", (terminal or {}).get("firmware") or ""
    guide = knowledge.guide_for(connection, fault, language, "agent", model=model, firmware=firmware)
    told = guidance(fault, language) or {}
    wanted = {"fault": fault, "signature": f"{fault}|{model}", "firmware": firmware, "id": ""}
    return row | {
        "why": found["why"] or {},
        "family": found["family"],
        "ack_ms": found["ack_ms"],
        "resolved_ms": found["resolved_ms"],
        "fault_title": fault_name(fault, language) if fault else "",
        "parent": _relative(connection, scope, found["parent_id"], language),
        "parts": _parts(connection, scope, incident_id, language),
        "terminal": terminal,
        "outage": _outage(connection, found),
        "evidence": _evidence(connection, scope, incident_id, language),
        "meaning": told.get("meaning", ""),
        "merchant": {name: told.get(name) for name in ("steps", "never", "stop_using", "sell_on", "stop_now")},
        "runbook": asdict(book),
        "guide": None if guide is None or not guide.version else asdict(guide),
        "remedies": [asdict(each) for each in remedies.success(connection, scope, wanted["signature"], firmware)],
        "similar": [asdict(each) for each in knowledge.similar(connection, scope, wanted)],
        "commands": _commands(connection, found, row["case"]),
        "steps": _steps(connection, scope, found),
    }


def affected(scope: Scope, incident_id: str) -> Select[Any]:
    """Members with what is known of their terminals now; by estate, terminal and fault, for whoever pages."""
    member = incident_members
    same = and_(terminals.c.estate == member.c.estate, terminals.c.terminal == member.c.terminal)
    at = and_(sites.c.estate == terminals.c.estate, sites.c.site == terminals.c.site)
    shown = [terminals.c[name] for name in ("site", "model", "status", "can_sell", "last_contact_ms")]
    return (
        select(member, *shown, sites.c.name.label("site_name"))
        .select_from(member.outerjoin(terminals, same).outerjoin(sites, at))
        .where(member.c.incident_id == incident_id, scope.where(member))
    )


def _terminal(connection: Connection, scope: Scope, found: Mapping[Any, Any], now_ms: int) -> dict[str, Any] | None:
    """The one terminal of a terminal's incident, with its site."""
    if found["scope"] != "terminal":
        return None
    here = terminals.c.estate == found["estate"], terminals.c.terminal == found["scope_key"], scope.where(terminals)
    at = and_(sites.c.estate == terminals.c.estate, sites.c.site == terminals.c.site)
    columns = [terminals.c[name] for name in (*_PLACE, "status", "can_sell", "last_contact_ms", "inventory")]
    query = select(*columns, sites.c.name.label("site_name"), sites.c.timezone).select_from(
        terminals.outerjoin(sites, at)
    )
    row = connection.execute(query.where(*here)).mappings().first()
    if row is None:
        return None
    devices = [str(each.get("name", "")) for each in (row["inventory"] or {}).get("devices") or ()]
    known = {name: value for name, value in row.items() if name != "inventory"}
    fresh = freshness(row["status"], row["last_contact_ms"], now_ms)
    return known | {"devices": sorted(filter(None, devices)), "freshness": fresh}


def _relative(connection: Connection, scope: Scope, incident_id: str | None, language: str) -> dict[str, Any] | None:
    if incident_id is None:
        return None
    row = connection.execute(_brief(scope).where(incidents.c.id == incident_id)).mappings().first()
    return None if row is None else _named(row, language)


def _parts(connection: Connection, scope: Scope, incident_id: str, language: str) -> list[dict[str, Any]]:
    rows = _brief(scope).where(incidents.c.parent_id == incident_id)
    order = incidents.c.terminals_n.desc(), incidents.c.id
    return [_named(row, language) for row in connection.execute(rows.order_by(*order).limit(SHOWN_PARTS)).mappings()]


def _brief(scope: Scope) -> Select[Any]:
    columns = ("id", "scope", "scope_key", "family", "fault", "state", "terminals_n", "peak_n", "opened_ms", "why")
    return select(*(incidents.c[name] for name in columns)).where(scope.where(incidents))


def _named(row: Mapping[Any, Any], language: str) -> dict[str, Any]:
    called = title(row["scope"], row["scope_key"], row["family"], row["fault"] or "", language)
    kept = ("id", "scope", "scope_key", "state", "terminals_n", "peak_n", "opened_ms", "why")
    return {name: row[name] for name in kept} | {"title": called}


def _outage(connection: Connection, found: Mapping[Any, Any]) -> dict[str, Any] | None:
    """The last time that the terminal was gone."""
    if found["scope"] != "terminal" or found["fault"] != OFFLINE:
        return None
    here = outages.c.estate == found["estate"], outages.c.terminal == found["scope_key"]
    last = select(outages).where(*here).order_by(outages.c.from_ms.desc()).limit(1)
    row = connection.execute(last).mappings().first()
    named = ("kind", "reason", "verdict", "basis", "evidence", "from_ms", "until_ms")
    return None if row is None else {name: row[name] for name in named}


def _evidence(connection: Connection, scope: Scope, incident_id: str, language: str) -> list[dict[str, Any]]:
    """What the first members said, those that still say so before those that have left."""
    member = incident_members
    order = member.c.left_ms.is_not(None), member.c.joined_ms, member.c.estate, member.c.terminal, member.c.fault
    first = select(member).where(member.c.incident_id == incident_id, scope.where(member)).order_by(*order)
    rows = connection.execute(first.limit(SHOWN_EVIDENCE)).mappings().all()
    key = (faults.c.estate, faults.c.terminal, faults.c.fault)
    keys = [(row["estate"], row["terminal"], row["fault"]) for row in rows]
    known = connection.execute(select(faults).where(among(key, keys))).mappings() if keys else ()
    said = {(each["estate"], each["terminal"], each["fault"]): each for each in known}
    found = []
    for row, name in zip(rows, keys, strict=True):
        about = said.get(name)
        shown = {} if about is None else {column: about[column] for column in _FAULT}
        called = fault_name(row["fault"], language)
        found.append({"estate": name[0], "terminal": name[1], "fault": name[2], "title": called} | shown)
        found[-1] |= {"joined_ms": row["joined_ms"], "left_ms": row["left_ms"]}
    return found


def _commands(connection: Connection, found: Mapping[Any, Any], case: Any) -> list[dict[str, Any]]:
    terminal = found["scope_key"] if found["scope"] == "terminal" else None
    case_id = None if case is None else case["id"]
    return commands_of(connection, found["estate"], terminal, case_id, found["opened_ms"])


def _steps(connection: Connection, scope: Scope, found: Mapping[Any, Any]) -> list[dict[str, Any]]:
    """What happened, oldest first: `kind`, `at_ms`, `by`, `n` terminals. Comings and goings are counted together."""
    begun = (found["why"] or {}).get("from_ms") or (found["why"] or {}).get("onset_ms")
    steps = [{"kind": "began", "at_ms": begun}] if begun else []
    steps.append({"kind": "opened", "at_ms": found["opened_ms"]})
    if found["ack_ms"]:
        steps.append({"kind": "acknowledged", "at_ms": found["ack_ms"], "by": found["ack_by"]})
    if found["resolved_ms"]:
        steps.append({"kind": "resolved", "at_ms": found["resolved_ms"]})
    lasted_ms = (found["resolved_ms"] or found["last_ms"]) - found["opened_ms"]
    for kind, moment in (("joined", "joined_ms"), ("left", "left_ms")) if found["scope"] != "terminal" else ():
        steps += _counted(connection, scope, found["id"], kind, moment, max(_MINUTE_MS, lasted_ms // _SHOWN_TIMES))
    steps += regroup.steps(connection, scope, found["id"])
    steps += _retired(connection, scope, found["id"])
    return sorted(steps, key=lambda each: each["at_ms"])


def _retired(connection: Connection, scope: Scope, incident_id: str) -> Iterable[dict[str, Any]]:
    """Members that left because they were taken out of the fleet."""
    member = incident_members
    same = and_(retired.c.estate == member.c.estate, retired.c.terminal == member.c.terminal)
    inside = member.c.incident_id == incident_id, scope.where(member)
    meanwhile = member.c.joined_ms <= retired.c.retired_ms, member.c.left_ms >= retired.c.retired_ms
    rows = select(retired.c.retired_ms, retired.c.by, retired.c.terminal, retired.c.reason).distinct()
    rows = rows.select_from(member.join(retired, same)).where(*inside, *meanwhile).order_by(retired.c.retired_ms)
    for row in connection.execute(rows.limit(_MOST_TIMES)):
        said = f"{row.terminal}: {row.reason}"
        yield {"kind": "retired", "at_ms": row.retired_ms, "by": row.by, "n": 1, "text": said}


def _counted(
    connection: Connection, scope: Scope, incident_id: str, kind: str, moment: str, span_ms: int
) -> Sequence[dict[str, Any]]:
    member, column = incident_members, incident_members.c[moment]
    time = (column // span_ms).label("time")
    inside = member.c.incident_id == incident_id, column.is_not(None), scope.where(member)
    counted = select(func.min(column).label("at_ms"), func.count().label("n"), time).where(*inside)
    rows = connection.execute(counted.group_by(time).order_by(time).limit(_MOST_TIMES))
    return [{"kind": kind, "at_ms": row.at_ms, "n": row.n} for row in rows]
