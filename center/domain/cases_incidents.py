"""Cases of incidents: one outage is one case, and a terminal that is gone is one although no fault tells of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import Table, and_, delete, select

from center.access.scope import Scope
from center.db.engine import among, insert_ignore
from center.db.tables import case_waits, cases, incident_members, incidents
from center.domain import closing
from center.domain.cases_book import ENGINE, OPEN, Book, Case, CaseError, NoCase
from center.domain.cases_opening import NewCase, open_case, reopen
from center.domain.grouping import OFFLINE

_SLICE: Final = 250  # keys in one query

Key = tuple[str, ...]


def incidents_of(book: Book, key: Key) -> tuple[Any, Any]:
    """The open incident of this trouble of a terminal, and the one above it that explains it; None for none."""
    members = and_(same(incident_members, key), incident_members.c.left_ms.is_(None))
    query = select(incidents).join(incident_members, incident_members.c.incident_id == incidents.c.id)
    rows = book.connection.execute(query.where(members, incidents.c.state != "resolved")).mappings().all()
    own = next((row for row in rows if row["scope"] == "terminal"), next(iter(rows), None))
    top = next((row for row in rows if row["scope"] != "terminal"), own)
    while top is not None and top["parent_id"] is not None:
        above = book.connection.execute(select(incidents).where(incidents.c.id == top["parent_id"])).mappings().first()
        if above is None or above["state"] == "resolved":
            break
        top = above
    return own, top


def follow_incidents(book: Book, ids: set[str]) -> None:
    for some in slices(sorted(ids)):
        rows = book.connection.execute(select(incidents).where(incidents.c.id.in_(some))).mappings().all()
        alone = [row for row in rows if row["state"] != "resolved" and row["parent_id"] is None]
        alone = [row for row in alone if row["suppression_id"] is None]
        _wait_for_return(book, [r for r in alone if r["scope"] == "terminal" and r["fault"] == OFFLINE])
        for row in alone:
            if row["scope"] != "terminal" and row["severity"] in {"critical", "major"}:
                group_case(book, row)
        known = {row["id"]: row for row in rows}
        where = (cases.c.incident_id.in_(some), cases.c.state.in_(OPEN))
        query = select(cases).where(*where).order_by(cases.c.id).with_for_update()
        for case in book.connection.execute(query).mappings().all():
            _of_incident(book, dict(case), known[case["incident_id"]])


def _of_incident(book: Book, case: Case, row: Any) -> None:
    """An open case's incident changed."""
    if row["state"] == "resolved":
        closing.consider(book, case, f"{case['id']}:incident:{row['id']}:{row['resolved_ms']}")
    elif case["state"] in {"watching", "asking"} and (case["terminal"] is None or case["fault"] == OFFLINE):
        reopen(book, case, ENGINE, "the incident is back", f"{case['id']}:again:{case['solved_ms']}")
    elif row["parent_id"] is not None:
        facts = {"incident_id": row["parent_id"]}
        book.step(case, "grouped", ENGINE, key=f"{case['id']}:grouped:{row['parent_id']}", facts=facts)


def _wait_for_return(book: Book, rows: Sequence[Any]) -> None:
    """A terminal that is gone has no fault row of its own; its incident stands for it."""
    after_ms = book.policy.open_after_ms("critical", "support")
    if after_ms is None or not rows:
        return
    opened = {row["id"]: row["opened_ms"] for row in rows}
    where = (incident_members.c.incident_id.in_(opened), incident_members.c.left_ms.is_(None))
    members = book.connection.execute(select(incident_members).where(*where)).all()
    waits = [wait_row(each.estate, each.terminal, OFFLINE, opened[each.incident_id], after_ms) for each in members]
    insert_ignore(book.connection, case_waits, waits)


def group_case(book: Book, incident: Any, by: str = ENGINE, key: str | None = None) -> tuple[Case, bool] | None:
    """One case for all the terminals of an incident, and whether it is new; the same again when the incident is back.

    None for what is wrong with the center itself.
    """
    held = select(cases).where(cases.c.id == incident["case_id"]).with_for_update()
    there = book.connection.execute(held).mappings().first()
    if there is not None and there["state"] == "closed":
        again = f"{there['id']}:again:{there['closed_ms']}"
        return reopen(book, dict(there), by, "the incident is back", again), False
    if there is not None:
        return dict(there), False
    if incident["scope"] == "center":
        return None
    new = NewCase(
        estate=incident["estate"],
        site=incident["scope_key"] if incident["scope"] == "site" else None,
        fault=incident["fault"],
        title=incident["title"],
        severity=incident["severity"],
        channel="device" if by == ENGINE else "agent",
        incident_id=incident["id"],
        detected_ms=incident["opened_ms"],
    )
    case, is_new = open_case(book, new, by, key or f"incident:{incident['id']}")
    link(book, incident["estate"], incident["id"], case["id"])
    return case, is_new


def open_of_incident(book: Book, scope: Scope, incident_id: str, by: str, key: str | None) -> tuple[Case, bool]:
    """The case of an open incident, opened by hand, and whether it is new. Raises NoCase and CaseError."""
    held = select(incidents).where(incidents.c.id == incident_id, scope.where(incidents)).with_for_update()
    row = book.connection.execute(held).mappings().first()
    if row is None:
        raise NoCase("there is no such incident")
    if row["state"] == "resolved":
        raise CaseError("the incident is over")
    if row["parent_id"] is not None:
        raise CaseError("it is a part of another incident, whose case it belongs to")
    if row["scope"] == "terminal":
        new = NewCase(estate=row["estate"], terminal=row["scope_key"], fault=row["fault"], title=row["title"])
        return open_by_hand(book, new, by, key)
    made = group_case(book, row, by, key)
    if made is None:
        raise CaseError("what is wrong with the center itself has no case")
    case_id = made[0]["id"]
    if book.connection.execute(select(cases.c.id).where(cases.c.id == case_id, scope.where(cases))).first() is None:
        raise CaseError("this incident reaches further than what is yours")
    return made


def open_by_hand(book: Book, new: NewCase, by: str, key: str | None) -> tuple[Case, bool]:
    """As `open_case`, and it becomes the case of the open incident that is of this fault, if there is one."""
    own = None
    if new.terminal is not None and new.fault is not None:
        own, _ = incidents_of(book, (new.estate, new.terminal, new.fault))
    if own is not None:
        new = replace(new, incident_id=own["id"])
    case, is_new = open_case(book, new, by, key)
    if own is not None:
        link(book, new.estate, own["id"], case["id"])
    return case, is_new


def link(book: Book, estate: str, incident_id: str, case_id: str) -> None:
    changed = incidents.update().where(incidents.c.id == incident_id, incidents.c.case_id.is_(None))
    if book.connection.execute(changed.values(case_id=case_id)).rowcount:
        book.has_case(estate, incident_id)


def with_their_groups(book: Book, waits: Sequence[Any]) -> set[Key]:
    """What many terminals have in common is one case, and their waits are over: which these are."""
    done: set[Key] = set()
    for some in slices([(wait["estate"], wait["terminal"], wait["fault"]) for wait in waits]):
        named = (incident_members.c.estate, incident_members.c.terminal, incident_members.c.fault)
        groups = select(incidents, incident_members.c.terminal, incident_members.c.fault.label("of"))
        groups = groups.join(incident_members, incident_members.c.incident_id == incidents.c.id)
        stands = (incidents.c.state != "resolved", incidents.c.scope.not_in(("terminal", "center")))
        mine = (among(named, some), incident_members.c.left_ms.is_(None), incidents.c.suppression_id.is_(None))
        rows = book.connection.execute(groups.where(*stands, *mine, incidents.c.parent_id.is_(None))).mappings().all()
        for row in {row["id"]: row for row in rows}.values():
            group_case(book, row)
        over = [(row["estate"], row["terminal"], row["of"]) for row in rows]
        if over:
            where = among((case_waits.c.estate, case_waits.c.terminal, case_waits.c.fault), over)
            book.connection.execute(delete(case_waits).where(where))
        done.update(over)
    return done


def wait_row(estate: str, terminal: str, fault: str, since_ms: int, after_ms: int) -> dict[str, Any]:
    due_ms = since_ms + after_ms
    return {"estate": estate, "terminal": terminal, "fault": fault, "since_ms": since_ms, "due_ms": due_ms}


def same(table: Table, key: Key) -> Any:
    return and_(table.c.estate == key[0], table.c.terminal == key[1], table.c.fault == key[2])


def slices(items: Iterable[Any]) -> Iterator[list[Any]]:
    some = list(items)
    for start in range(0, len(some), _SLICE):
        yield some[start : start + _SLICE]
