"""All that one case's page shows beside its row and its time line: clocks, what the closing gate waits for, the visit.

Plain dicts of JSON values, moments in milliseconds.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

from sqlalchemy import Connection, or_, select

from center.access.scope import Scope
from center.db.tables import case_steps, case_tags, commands, incidents
from center.domain import closing, dispatch, knowledge, sla
from center.domain.cases import ROOT_CAUSES
from center.domain.cases_book import WORKING, Book, Case, number_text
from center.domain.cases_policy import CLOCKS, Policy
from center.domain.freshness import freshness
from center.domain.incident_texts import fault_name, title
from center.domain.remedies import REMEDIES
from center.domain.texts import guidance, language_of

_SHOWN_COMMANDS: Final = 10
_PLAIN: Final = (
    "model",
    "firmware",
    "operator",
    "local_number",
    "outcome",
    "reopened",
    "visits",
    "solved_ms",
    "acked_ms",
)
_SITE: Final = ("name", "address", "timezone", "contacts", "language", "contract", "updated_ms")
_ORDER: Final = ("technician", "from_ms", "until_ms", "diagnosis", "part", "skill", "access", "code", "no_code")


def sheet(
    connection: Connection, scope: Scope, case: Case, language: str, policy: Policy, now_ms: int
) -> dict[str, Any]:
    """What belongs to a case that is in scope.

    `clocks`: `kind`, `minutes`, `start_ms`, `due_ms`, `stopped_ms`, `used`, `state` · `gate`: `stage` (working,
    watching, asking, closed), `needs` (what is missing), `passes`, `trouble`, `check`, `heard`, `repaired_ms`,
    `ask_until_ms` · `promises`: `eta_ms`, `was_ms`, `by`, `at_ms`, `reason`, oldest first · `visit` null or the work
    order · `plan` what to send a technician with · `place` the site, `terminal_now` · `commands` ·
    `choices` of the forms.
    """
    book = Book(connection, policy, now_ms)
    site, terminal = book.site(case), book.terminal(case["estate"], case["terminal"])
    order = (case["data"] or {}).get("dispatch") if case["state"] == "dispatched" else None
    told = guidance(case["fault"], language) or {}
    plan = dispatch.plan(connection, scope, case, language)
    return {name: case[name] for name in _PLAIN} | {
        "number_text": number_text(case["number"]),
        "title": _title(connection, scope, case, language),
        "part": knowledge.part_in(language, case["part"]) if case["part"] else None,
        "clocks": _clocks(book, case),
        "gate": _gate(book, case),
        "promises": _promises(connection, case["id"]),
        "visit": None if order is None else _visit(order, language),
        "plan": asdict(plan) | {"diagnosis": plan.diagnosis[language_of(language)]},
        "place": None if site is None else {name: site[name] for name in _SITE},
        "terminal_now": _terminal(terminal, now_ms),
        "commands": commands_of(connection, case["estate"], case["terminal"], case["id"], case["created_ms"]),
        "tags": _tags(connection, case["id"]),
        "merchant": {name: told.get(name) for name in ("steps", "never", "stop_using", "sell_on", "stop_now")},
        "runbook": asdict(knowledge.runbook(case["fault"] or "", language)),
        "choices": {"root_causes": list(ROOT_CAUSES), "remedies": list(REMEDIES)},
    }


def _visit(order: dict[str, Any], language: str) -> dict[str, Any]:
    """The work order as a reader of this language has it."""
    told = order["diagnosis"]
    said = told[language_of(language)] if isinstance(told, dict) else told  # older ones have one text
    part = knowledge.part_in(language, order["part"])
    return {name: order.get(name) for name in _ORDER} | {"diagnosis": said, "part": part}


def _title(connection: Connection, scope: Scope, case: Case, language: str) -> str:
    """Of one terminal its fault; of many the title of the incident; else the words of whoever opened it."""
    if case["terminal"] is None and case["incident_id"]:
        held = select(incidents).where(incidents.c.id == case["incident_id"], scope.where(incidents))
        row = connection.execute(held).mappings().first()
        if row is not None:
            return title(row["scope"], row["scope_key"], row["family"], row["fault"] or "", language)
    named = case["kind"] == "fault" and case["fault"]
    return fault_name(case["fault"], language) if named else str(case["title"])


def _clocks(book: Book, case: Case) -> list[dict[str, Any]]:
    calendar, _ = book.calendar(case)
    at_ms = case["paused_since_ms"] or book.now_ms  # while it is paused no time goes by
    running = (case["data"] or {}).get("clocks", {})
    return [
        {
            "kind": name,
            "minutes": clock["minutes"],
            "start_ms": clock["start_ms"],
            "due_ms": clock["breach_ms"],
            "stopped_ms": clock["stopped_ms"],
            "used": sla.used(clock, calendar, at_ms),
            "state": sla.state(clock, at_ms),
        }
        for name in CLOCKS
        if (clock := running.get(name)) is not None
    ]


def _gate(book: Book, case: Case) -> dict[str, Any]:
    data = case["data"] or {}
    evidence = closing.evidence_of(book, case)
    judgement = closing.judge(evidence, said_repaired=bool(data.get("repaired_ms")))
    state = case["state"]
    return {
        "stage": "working" if state in WORKING else state,
        "passes": judgement.passes,
        "needs": _needs(evidence, judgement),
        "trouble": evidence.trouble,
        "check": evidence.check,
        "heard": evidence.heard,
        "repaired_ms": data.get("repaired_ms"),
        "ask_until_ms": data.get("ask_until_ms"),
    }


def _needs(evidence: closing.Evidence, judgement: closing.Judgement) -> str:
    """What keeps the gate shut, as a word; "" for nothing."""
    if judgement.passes:
        return ""
    if evidence.trouble == "stands":
        return "fault_stands"
    if evidence.check in {"failed", "running"}:
        return f"check_{evidence.check}"
    return "proof" if evidence.heard else "contact"


def _promises(connection: Connection, case_id: str) -> list[dict[str, Any]]:
    steps = case_steps
    told = select(steps).where(steps.c.case_id == case_id, steps.c.kind == "eta").order_by(steps.c.id)
    found = []
    for row in connection.execute(told).mappings():
        data = row["data"] or {}
        promise = {"eta_ms": data.get("eta_ms"), "was_ms": data.get("was_ms"), "by": row["by"], "at_ms": row["at_ms"]}
        found.append(promise | {"reason": row["text"]})
    return found


def _terminal(row: dict[str, Any], now_ms: int) -> dict[str, Any] | None:
    if not row:
        return None
    devices = [str(each.get("name", "")) for each in (row["inventory"] or {}).get("devices") or ()]
    fresh = freshness(row["status"], row["last_contact_ms"], now_ms)
    shown = {name: row[name] for name in ("status", "can_sell", "cause", "act", "last_contact_ms", "model", "firmware")}
    return shown | {"freshness": fresh, "devices": sorted(filter(None, devices))}


def commands_of(
    connection: Connection, estate: str, terminal: str | None, case_id: str | None, since_ms: int
) -> list[dict[str, Any]]:
    """What was asked of a terminal, or for a case, since it began; newest first."""
    meant = [commands.c.terminal == terminal, commands.c.case_id == case_id]
    told = [each for each, given in zip(meant, (terminal, case_id), strict=True) if given is not None]
    if not told:
        return []
    names = ("id", "estate", "terminal", "cmd", "args", "reason", "issued_by", "state", "output", "error")
    query = select(*(commands.c[name] for name in (*names, "created_ms", "updated_ms")))
    query = query.where(commands.c.estate == estate, commands.c.created_ms >= since_ms, or_(*told))
    rows = connection.execute(query.order_by(commands.c.created_ms.desc()).limit(_SHOWN_COMMANDS))
    return [dict(row) for row in rows.mappings()]


def _tags(connection: Connection, case_id: str) -> list[str]:
    rows = select(case_tags.c.tag).where(case_tags.c.case_id == case_id).order_by(case_tags.c.tag)
    return list(connection.execute(rows).scalars())
