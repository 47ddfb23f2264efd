"""The casework that nobody does by hand: opening what stands for too long, the device's part of each timeline, clocks.

It follows the feed and the time. Each page of changes is one transaction with its cursor, and each step has a key made
of what caused it: a kill anywhere repeats safely and doubles nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, delete, or_, select, update

from center.db.aside import apart, put_aside
from center.db.engine import Database, among, insert_ignore
from center.db.tables import (
    case_waits,
    cases,
    commands,
    events,
    faults,
)
from center.domain import closing, follow, sla
from center.domain.cases_book import ENGINE, OPEN, Book, Case, StepKind, book_of, number_text
from center.domain.cases_incidents import (
    Key,
    follow_incidents,
    group_case,
    incidents_of,
    link,
    same,
    slices,
    wait_row,
    with_their_groups,
)
from center.domain.cases_opening import NewCase, open_case, reopen
from center.domain.cases_policy import MINUTE_MS, Policy

PAGE: Final = 500
_AT_ONCE: Final = 100
_LATER_MS: Final = 10 * MINUTE_MS
_TOLD: Final[Mapping[str, StepKind]] = {
    "boot": "boot",
    "device.swapped": "device_swapped",
    "config.applied": "config_applied",
    "clock.step": "clock_step",
    "store.gap": "store_gap",
    "store.reset": "store_reset",
    "inspection": "inspected",
    "work_order.opened": "checked_in",
    "work_order.closed": "checked_out",
}
"""Events of a terminal that belong into the timelines of its open cases."""
_FAULT: Final[Mapping[str, StepKind]] = {
    "raised": "fault_raised",
    "cleared": "fault_cleared",
    "flapping": "fault_flapping",
}
_CLOCK_TEXT: Final = {
    "amber": "75 % of the time is over",
    "escalated": "90 % of the time is over",
    "breach": "the deadline is missed",
}
_MANAGERS: Final = frozenset({"manager", "area_manager"})


class CaseEngine:
    """One of center/domain/engines.py."""

    name = "cases"

    def __init__(self, database: Database, policy: Policy) -> None:
        self._database = database
        self._policy = policy
        self._feed = follow.Follower(database, self.name, PAGE)

    def step(self, now_ms: int) -> bool:
        """A page of changes, then what is due. True if there may be more."""
        with self._feed.trying(now_ms), book_of(self._database, self._policy, now_ms) as book:
            page = self._feed.page(book.connection)
            _faults(book, {(c.estate or "", c.terminal or "", c.key) for c in page.changes if c.kind == "fault"})
            follow_incidents(book, page.keys("incident"))
            _events(book, sorted(int(key) for key in page.keys("event")))
            _commands(book, page.keys("command") | page.keys("result"))
            page.save(book.connection, now_ms)
        waited = self._waits(now_ms)
        timed = self._times(now_ms)
        return page.more or waited or timed

    def _times(self, now_ms: int) -> bool:
        with self._database.read() as connection:
            if not _due_cases(connection, now_ms):
                return False
        with book_of(self._database, self._policy, now_ms) as book:
            found = _due_cases(book.connection, now_ms)
            for case, why in apart(book.connection, found, _each(book, _time_has_come)):
                put_aside(book.connection, f"cases/time/{case['id']}", why, case["state"], now_ms)
                later = update(cases).where(cases.c.id == case["id"]).values(next_ms=now_ms + _LATER_MS)
                book.connection.execute(later)
        return len(found) == _AT_ONCE

    def _waits(self, now_ms: int) -> bool:
        with self._database.read() as connection:
            if not _due_waits(connection, now_ms):
                return False
        with book_of(self._database, self._policy, now_ms) as book:
            waits = _due_waits(book.connection, now_ms)
            grouped = with_their_groups(book, waits)
            alone = [wait for wait in waits if _key(wait) not in grouped]
            for wait, why in apart(book.connection, alone, _each(book, _wait_is_over)):
                put_aside(book.connection, f"cases/wait/{'/'.join(_key(wait))}", why, "", now_ms)
                _put_off(book, wait)
        return len(waits) == PAGE


def _each(book: Book, act: Callable[[Book, Any], None]) -> Callable[[Sequence[Any]], None]:
    def work(some: Sequence[Any]) -> None:
        for one in some:
            act(book, one)

    return work


# --- faults ----------------------------------------------------------------------------------------------------------


def _faults(book: Book, keys: set[Key]) -> None:
    columns = (faults.c.estate, faults.c.terminal, faults.c.fault)
    for some in slices(sorted(keys)):
        rows = book.connection.execute(select(faults).where(among(columns, some))).mappings().all()
        places = sorted({(row["estate"], row["terminal"]) for row in rows})
        there = {(case["estate"], case["terminal"], case["fault"]): case for case in _open_cases(book, places)}
        closed = _closed_cases(book, places)
        waiting, over = [], []
        for row in rows:
            key = (row["estate"], row["terminal"], row["fault"])
            stands = row["state"] != "cleared" and row["cause"] is None
            if key in there:
                _told(book, there[key], row)
            elif stands and key in closed:
                _back(book, row)
            elif stands:
                waiting.append(row)
            if not stands or key in there:
                over.append(key)
        _wait_for(book, waiting)
        if over:
            where = among((case_waits.c.estate, case_waits.c.terminal, case_waits.c.fault), over)
            book.connection.execute(delete(case_waits).where(where))


def _told(book: Book, case: Case, fault: Any) -> None:
    """A fault that has an open case changed."""
    key = f"{case['id']}:fault:{fault['version']}:{fault['state']}"
    if book.has_step(key):
        return
    facts = {name: fault[name] for name in ("fault", "state", "count", "evidence", "basis", "cause")}
    if fault["state"] != "cleared" and case["state"] in {"watching", "asking"}:
        reopen(book, case, ENGINE, "the fault is back", key)
        return
    linked = {"incident_id": case["incident_id"] or fault["incident_id"]}
    noted = book.step(case, _FAULT[fault["state"]], ENGINE, key=key, facts=facts, **linked)
    if fault["state"] == "cleared":
        closing.consider(book, noted, f"{key}:considered")


def _back(book: Book, fault: Any) -> None:
    """A fault whose case was closed not long ago is back."""
    new = _new(fault["estate"], fault["terminal"], fault["fault"], fault)
    open_case(book, new, ENGINE, f"back:{fault['estate']}/{fault['terminal']}:{fault['fault']}:{fault['version']}")


def _wait_for(book: Book, rows: Sequence[Any]) -> None:
    waits = []
    for row in rows:
        after_ms = book.policy.open_after_ms(row["severity"], row["act"])
        if after_ms is not None:
            waits.append(wait_row(row["estate"], row["terminal"], row["fault"], row["received_ms"], after_ms))
    insert_ignore(book.connection, case_waits, waits)


def _due_waits(connection: Connection, now_ms: int) -> list[Any]:
    query = select(case_waits).where(case_waits.c.due_ms <= now_ms).order_by(case_waits.c.due_ms)
    return list(connection.execute(query.limit(PAGE)).mappings())


def _put_off(book: Book, wait: Any) -> None:
    book.connection.execute(
        case_waits.update().where(same(case_waits, _key(wait))).values(due_ms=book.now_ms + _LATER_MS)
    )


def _wait_is_over(book: Book, wait: Any) -> None:
    """The fault has stood for long enough: a case of its own, or of the incident that explains it."""
    key = _key(wait)
    mine = same(case_waits, key)
    own, top = incidents_of(book, key)
    quiet = top is not None and top["suppression_id"] is not None
    if quiet or book.terminal(wait["estate"], wait["terminal"]).get("status") == "maintenance":
        _put_off(book, wait)
        return
    book.connection.execute(delete(case_waits).where(mine))
    row = book.connection.execute(select(faults).where(same(faults, key))).mappings().first()
    stands = own is not None if row is None else row["state"] != "cleared" and row["cause"] is None
    if not stands:
        return
    if top is not None and top["scope"] != "terminal":
        group_case(book, top)
        return
    new = _new(key[0], key[1], key[2], row, incident_id=None if own is None else own["id"], since_ms=wait["since_ms"])
    case, _ = open_case(book, new, ENGINE, f"stands:{'/'.join(key)}:{wait['since_ms']}")
    if own is not None:
        link(book, own["estate"], own["id"], case["id"])


def _new(
    estate: str, terminal: str, fault: str, row: Any, incident_id: str | None = None, since_ms: int = 0
) -> NewCase:
    severity = "critical" if row is None else row["severity"]
    detected_ms = since_ms if row is None else row["received_ms"]
    linked = incident_id or (None if row is None else row["incident_id"])
    facts: dict[str, Any] = {"severity": severity, "detected_ms": detected_ms, "incident_id": linked}
    facts["onset_ms"] = None if row is None or row["clock_ms"] is None else row["first_ms"]
    return NewCase(estate=estate, terminal=terminal, fault=fault, channel="device", **facts)


# --- events and commands ---------------------------------------------------------------------------------------------


def _events(book: Book, ids: Sequence[int]) -> None:
    for some in slices(ids):
        query = select(events).where(events.c.id.in_(some), events.c.event.in_(_TOLD)).order_by(events.c.id)
        rows = book.connection.execute(query).mappings().all()
        places = sorted({(row["estate"], row["terminal"]) for row in rows})
        there = {case["id"]: case for case in _open_cases(book, places)}
        for row in rows:
            for case in [each for each in there.values() if _place(each) == _place(row)]:
                there[case["id"]] = _event(book, case, row)


def _event(book: Book, case: Case, row: Any) -> Case:
    kind, data = _TOLD[row["event"]], row["data"] or {}
    if kind in {"checked_in", "checked_out"} and data.get("by") == "center":
        kind = "visit_announced" if kind == "checked_in" else "visit_ended"  # the terminal heard what the center told
    facts = {"event": row["event"], "data": data, "at_ms": row["at_ms"], "clock": row["clock"], "late": row["late"]}
    key = f"{case['id']}:event:{row['id']}"
    if kind == "checked_in" and case["state"] == "dispatched" and not book.has_step(key):
        return book.step(case, kind, ENGINE, key=key, facts=facts, visits=case["visits"] + 1)
    noted = book.step(case, kind, ENGINE, key=key, facts=facts)
    return closing.consider(book, noted, f"{key}:considered") if kind == "checked_out" else noted


def _commands(book: Book, ids: set[str]) -> None:
    for some in slices(sorted(ids)):
        query = select(commands).where(commands.c.id.in_(some), commands.c.case_id.is_not(None))
        for row in book.connection.execute(query).mappings().all():
            held = select(cases).where(cases.c.id == row["case_id"]).with_for_update()
            case = book.connection.execute(held).mappings().first()
            if case is not None:
                named = ("id", "cmd", "args", "state", "reason", "error", "output")
                facts = {name: row[name] for name in named}
                key = f"{case['id']}:command:{row['id']}:{row['state']}"
                noted = book.step(dict(case), "command", str(row["issued_by"]), key=key, facts=facts)
                closing.consider(book, noted, f"{key}:considered")


# --- time ------------------------------------------------------------------------------------------------------------


def _due_cases(connection: Connection, now_ms: int) -> list[Any]:
    query = select(cases).where(cases.c.next_ms <= now_ms, cases.c.state != "closed").order_by(cases.c.next_ms)
    return [dict(row) for row in connection.execute(query.limit(_AT_ONCE).with_for_update()).mappings()]


def _time_has_come(book: Book, case: Case) -> None:
    if case["state"] == "watching" and (case["watch_until_ms"] or 0) <= book.now_ms:
        case = closing.watched(book, case)
    elif case["state"] == "asking" and (case["data"] or {}).get("ask_until_ms", 0) <= book.now_ms:
        case = closing.unanswered(book, case)
    for name in (case["data"] or {}).get("clocks", {}):
        if case["paused_since_ms"] is None and case["state"] != "closed":
            case = _clock(book, case, name)


def _clock(book: Book, case: Case, name: str) -> Case:
    for level in sla.due(case["data"]["clocks"][name], book.now_ms):
        clock = case["data"]["clocks"][name]
        key = f"{case['id']}:{name}:{clock['start_ms']}:{level}"
        told = {**clock, "told": [*clock["told"], level]}
        data = {**case["data"], "clocks": {**case["data"]["clocks"], name: told}}
        said = f"{name.replace('_', ' ')}: {_CLOCK_TEXT[level]}"
        facts = {"clock": name, "level": level, "breach_ms": clock["breach_ms"]}
        case = book.step(case, "clock", ENGINE, said, key=key, facts=facts, data=data)
        subject = f"{number_text(case['number'])} {said}"
        book.notify(case, f"case.{level}", f"notify:{key}", subject, case["title"], to=_managers(book, case, level))
    return case


def _managers(book: Book, case: Case, level: str) -> list[Any]:
    """Who at the merchant's is told as well: managers, when something critical or a complaint is about to be late."""
    if level == "amber" or (case["severity"] != "critical" and case["kind"] != "complaint"):
        return []
    contacts = (book.site(case) or {}).get("contacts") or []
    return [each for each in contacts if each.get("role") in _MANAGERS]


# --- rows ------------------------------------------------------------------------------------------------------------


def _open_cases(book: Book, places: Sequence[Key]) -> list[Case]:
    if not places:
        return []
    where = among((cases.c.estate, cases.c.terminal), places)
    query = select(cases).where(where, cases.c.state.in_(OPEN)).order_by(cases.c.id).with_for_update()
    return [dict(row) for row in book.connection.execute(query).mappings()]


def _closed_cases(book: Book, places: Sequence[Key]) -> set[Key]:
    """Trouble whose case was closed so lately that it would be the same case again."""
    if not places:
        return set()
    named = (cases.c.estate, cases.c.terminal, cases.c.fault)
    lately = cases.c.closed_ms > book.now_ms - book.policy.reopen_ms(None)
    lasting = or_(cases.c.outcome.is_(None), cases.c.outcome.not_in(("duplicate", "false_alarm")))
    where = (among((cases.c.estate, cases.c.terminal), places), cases.c.state == "closed", lately, lasting)
    rows = book.connection.execute(select(*named, cases.c.closed_ms).where(*where))
    return {
        (row.estate, row.terminal, row.fault)
        for row in rows
        if row.closed_ms > book.now_ms - book.policy.reopen_ms(row.fault)
    }


def _key(wait: Any) -> Key:
    return (wait["estate"], wait["terminal"], wait["fault"])


def _place(row: Any) -> Key:
    return (row["estate"], row["terminal"])
