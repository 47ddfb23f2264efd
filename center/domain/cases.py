"""What people do with cases: take them on, plan them, talk about them, hand them over. Each act is one step.

Every act takes the scope of whoever acts, the case's id and `by`, their name; `key` makes it safe to send twice, and
`seen` (the case's `updated_ms` as they saw it) refuses it if somebody else changed the case since. They return the
case as it is then and raise NoCase or CaseError.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from sqlalchemy import Connection, delete, exists, select

from center import scan
from center.access.scope import Scope
from center.db.engine import Database, insert_ignore
from center.db.tables import case_steps, case_tags, cases, sites, terminals
from center.domain import closing, contacts, remedies, sla
from center.domain.cases_book import OPEN, WORKING, Act, Book, Case, CaseError, NoCase, book_of, carry_out
from center.domain.cases_incidents import open_by_hand, open_of_incident
from center.domain.cases_intake import report_key
from center.domain.cases_opening import NewCase
from center.domain.cases_policy import MINUTE_MS, Policy
from center.domain.people import check_owner
from center.domain.texts import PAUSES

UNDO_MS: Final = 15 * MINUTE_MS
ROOT_CAUSES: Final = (
    *(
        "wear",
        "consumable",
        "cable",
        "power_supply",
        "battery",
        "sim",
        "environment",
        "misuse",
        "tamper",
        "part_failed",
    ),
    *("configuration", "software", "firmware", "operator_outage", "host_outage", "power_outage", "site_network"),
    *("false_alarm", "unknown"),
)
_UNDONE: Final = ("owner", "team", "state", "acked_ms")


class Cases:
    """The desk's side of the book of cases. For any thread."""

    def __init__(self, database: Database, policy: Policy, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._policy = policy
        self._now_ms = now_ms

    def open(self, act: Act, new: NewCase) -> tuple[Case, bool]:
        """The case of this trouble and whether it is new."""
        with book_of(self._database, self._policy, self._now_ms()) as book:
            _require_place(book.connection, act.scope, new)
            case, is_new = open_by_hand(book, new, act.by, act.key)
            act.done(book.connection, case["id"], {"new": is_new})
            return case, is_new

    def open_of(self, act: Act, incident_id: str) -> tuple[Case, bool]:
        """The case of an open incident, with all terminals that are in it, and whether it is new."""
        with book_of(self._database, self._policy, self._now_ms()) as book:
            case, is_new = open_of_incident(book, act.scope, incident_id, act.by, act.key)
            act.done(book.connection, case["id"], {"new": is_new, "incident": incident_id})
            return case, is_new

    def open_scanned(self, act: Act, code: str, said: str = "") -> tuple[Case, bool]:
        """The case that the help code of a slip tells of, which also holds the number that the terminal printed."""
        try:
            report = scan.decode(code)
        except scan.NoReport as error:
            raise CaseError(str(error)) from error
        estate, _, terminal = report.terminal.partition("/")
        with self._database.read() as connection:
            where = (terminals.c.estate == estate, terminals.c.terminal == terminal, act.scope.where(terminals))
            row = connection.execute(select(terminals).where(*where)).mappings().first()
        if row is None:
            raise NoCase(f"there is no terminal {report.terminal!r}")
        signature = scan.verify(report, report_key(row))
        if signature == "wrong":
            raise CaseError("the signature is wrong: another terminal made it, or somebody changed it")
        new = NewCase(
            estate=estate,
            terminal=terminal,
            said=said,
            fault=report.fields["verdict"]["cause"],
            channel="slip",
            local_number=report.fields["case"] or None,
            report={**report.fields, "signature": signature},
        )
        return self.open(act, new)

    # --- who works on it

    def acknowledge(self, act: Act, case_id: str) -> Case:
        """Somebody has seen it and takes it on."""

        def do(book: Book, case: Case, key: str) -> Case:
            _require(case, ("new", "reopened"), "it is acknowledged already")
            return _taken(book, case, act.by, key, "acknowledged", owner=act.by, state="acknowledged")

        return self._do(act, case_id, do)

    def assign(
        self, act: Act, case_id: str, owner: str | None, team: str | None = None, *, external: bool = False
    ) -> Case:
        """Give it to somebody, or to a team. `external` is who has no account here."""
        if not owner and not team:
            raise CaseError("assign it to somebody or to a team")

        def do(book: Book, case: Case, key: str) -> Case:
            _require(case, WORKING, "it is not being worked on")
            if owner and not external:
                check_owner(book.connection, owner, act.by, cases, case["id"])
            state = "dispatched" if case["state"] == "dispatched" else "assigned"
            return _taken(book, case, act.by, key, "assigned", owner=owner, team=team or case["team"], state=state)

        return self._do(act, case_id, do)

    def undo(self, act: Act, case_id: str) -> Case:
        """Take back an acknowledgement or assignment, if it was the last act and not long ago."""

        def do(book: Book, case: Case, key: str) -> Case:
            query = select(case_steps).where(case_steps.c.case_id == case["id"]).order_by(case_steps.c.id.desc())
            last = book.connection.execute(query.limit(1)).mappings().one()
            if last["kind"] not in {"acknowledged", "assigned"} or last["at_ms"] < book.now_ms - UNDO_MS:
                raise CaseError(
                    "only an acknowledgement or assignment can be undone, as the last act, for 15 minutes", "conflict"
                )
            before = last["data"]["before"]
            said = f"{last['kind']} by {last['by']} is undone"
            data = {**(case["data"] or {}), "clocks": before["clocks"]}
            return book.step(
                case, "undone", act.by, said, key=key, data=data, **{name: before[name] for name in _UNDONE}
            )

        return self._do(act, case_id, do)

    def hand_over(self, act: Act, case_id: str, team: str, reason: str, owner: str | None = None) -> Case:
        """To another team, with a reason; the clocks run on."""
        _say("a reason", reason)

        def do(book: Book, case: Case, key: str) -> Case:
            _require(case, OPEN, "it is closed")
            if owner:
                check_owner(book.connection, owner, act.by, cases, case["id"])
            facts = {"from": {"owner": case["owner"], "team": case["team"]}, "to": {"owner": owner, "team": team}}
            moved = book.step(case, "handed_over", act.by, reason, key=key, facts=facts, owner=owner, team=team)
            book.notify(moved, "case.handed_over", f"notify:{key}", f"for {team}: {case['title']}", reason)
            return moved

        return self._do(act, case_id, do)

    # --- what is said and planned

    def note(self, act: Act, case_id: str, said: str) -> Case:
        """For colleagues only; closed cases take notes too."""
        _say("a note", said)
        return self._do(act, case_id, lambda book, case, key: book.step(case, "note", act.by, said, key=key))

    def call(self, act: Act, case_id: str, said: str, *, with_whom: str, incoming: bool) -> Case:
        """A telephone call and what was said."""
        _say("what was said", said)

        def do(book: Book, case: Case, key: str) -> Case:
            facts = {"with": with_whom, "direction": "in" if incoming else "out"}
            contacts.spoke(book, case, with_whom)
            return book.step(case, "call", act.by, said, key=key, facts=facts, data=_heard(book, case))

        return self._do(act, case_id, do)

    def message(self, act: Act, case_id: str, said: str) -> Case:
        """To the merchant: shown on the page and at the terminal."""
        _say("a message", said)

        def do(book: Book, case: Case, key: str) -> Case:
            _require(case, OPEN, "it is closed")
            data = _heard(book, case) | {"said": said[:240]}
            sent = book.step(case, "message", act.by, said, key=key, facts={"direction": "out"}, data=data)
            reached = (book.site(case) or {}).get("contacts") or []
            book.notify(sent, "case.message", f"notify:{key}", case["title"], said, to=reached)
            return sent

        return self._do(act, case_id, do)

    def set_eta(self, act: Act, case_id: str, eta_ms: int, reason: str = "") -> Case:
        """When it is expected to work again; every earlier promise stays in the timeline."""

        def do(book: Book, case: Case, key: str) -> Case:
            _require(case, WORKING, "it is not being worked on")
            if eta_ms <= book.now_ms:
                raise CaseError("an expected time lies in the future")
            if case["eta_ms"] is not None and not reason.strip():
                raise CaseError("say why the expected time changes")
            facts = {"eta_ms": eta_ms, "was_ms": case["eta_ms"]}
            return book.step(case, "eta", act.by, reason, key=key, facts=facts, eta_ms=eta_ms, data=_heard(book, case))

        return self._do(act, case_id, do)

    def pause(self, act: Act, case_id: str, reason: str, said: str) -> Case:
        """Stop the clocks while it waits for the `merchant`, a `part` or the `operator`."""
        _say("what it waits for", said)
        if reason not in PAUSES:
            raise CaseError(f"a case waits for {', '.join(PAUSES)}")

        def do(book: Book, case: Case, key: str) -> Case:
            _require(case, WORKING, "it is not being worked on")
            if case["paused_since_ms"] is not None:
                raise CaseError("it waits already", "conflict")
            changes = {"paused_since_ms": book.now_ms, "pause_reason": reason}
            return book.step(case, "paused", act.by, said, key=key, facts={"reason": reason}, **changes)

        return self._do(act, case_id, do)

    def resume(self, act: Act, case_id: str, said: str = "") -> Case:
        """Let the clocks run again, later by the time that they stood still."""
        return self._do(act, case_id, lambda book, case, key: resumed(book, case, act.by, said, key))

    # --- what was found and done

    def find_cause(self, act: Act, case_id: str, root_cause: str, said: str, evidence: Mapping[str, Any]) -> Case:
        """Why it happened, one of ROOT_CAUSES, and what shows it: ids of events, commands, faults or attachments."""
        if root_cause not in ROOT_CAUSES:
            raise CaseError(f"a root cause is one of {', '.join(ROOT_CAUSES)}")
        facts = {"root_cause": root_cause, "evidence": dict(evidence)}

        def do(book: Book, case: Case, key: str) -> Case:
            return book.step(case, "root_cause", act.by, said, key=key, facts=facts, root_cause=root_cause)

        return self._do(act, case_id, do)

    def repaired(
        self, act: Act, case_id: str, remedy: str, said: str = "", part: Mapping[str, str] | None = None
    ) -> Case:
        """Something was done about it; the gate decides whether it helped. `part`: `name`, `old`, `new` serials."""
        if remedy not in remedies.REMEDIES:
            raise CaseError(f"a remedy is one of {', '.join(remedies.REMEDIES)}")

        def do(book: Book, case: Case, key: str) -> Case:
            _require(case, WORKING, "it is not being worked on")
            running = resumed(book, case, act.by, "", f"{key}:resumed") if case["paused_since_ms"] is not None else case
            remedies.tried(book, running, remedy)
            facts = {"remedy": remedy, "part": dict(part) if part else None}
            data = {**(running["data"] or {}), "repaired_ms": book.now_ms}
            named = (part or {}).get("name") or running["part"]
            done = book.step(running, "repaired", act.by, said, key=key, facts=facts, data=data, part=named)
            return closing.consider(book, done, f"{key}:considered")

        return self._do(act, case_id, do)

    def answer(self, act: Act, case_id: str, said: str) -> Case:
        """Answer a question or a complaint; the merchant is asked whether that settles it."""
        _say("an answer", said)

        def do(book: Book, case: Case, key: str) -> Case:
            _require(case, WORKING, "it is not being worked on")
            if case["kind"] not in {"question", "complaint"}:
                raise CaseError("a fault is repaired, not answered")
            data = _heard(book, case) | {"said": said[:240]}
            sent = book.step(case, "message", act.by, said, key=key, facts={"direction": "out"}, data=data)
            return closing.ask(book, sent, act.by, "an answer was given", f"{key}:asked")

        return self._do(act, case_id, do)

    def dismiss(self, act: Act, case_id: str, outcome: str, reason: str, into: str | None = None) -> Case:
        """Close what is no case: a `false_alarm`, or a `duplicate` of the case `into`."""
        _say("a reason", reason)
        if outcome not in {"false_alarm", "duplicate"} or (outcome == "duplicate") != (into is not None):
            raise CaseError("dismiss it as false_alarm, or as duplicate of another case")

        def do(book: Book, case: Case, key: str) -> Case:
            _require(case, OPEN, "it is closed")
            if into is not None:
                other = book.find(act.scope, into)
                if other["id"] == case["id"]:
                    raise CaseError("a case is no duplicate of itself")
                book.step(other, "merged", act.by, reason, key=f"{key}:into", facts={"from": case["id"]})
            return closing.close(book, case, outcome, act.by, reason, key)

        return self._do(act, case_id, do)

    def tag(self, act: Act, case_id: str, add: tuple[str, ...] = (), remove: tuple[str, ...] = ()) -> Case:
        """Words to count by, such as `suggestion`."""
        words = [word.strip().lower() for word in (*add, *remove)]
        if not words or any(not word or len(word) > 40 for word in words):
            raise CaseError("a tag is a word of at most 40 letters")

        def do(book: Book, case: Case, key: str) -> Case:
            named = case_tags.c.tag.in_([word.strip().lower() for word in remove])
            book.connection.execute(delete(case_tags).where(case_tags.c.case_id == case["id"], named))
            rows = [
                {"case_id": case["id"], "tag": word.strip().lower(), "by": act.by, "at_ms": book.now_ms} for word in add
            ]
            insert_ignore(book.connection, case_tags, rows)
            return book.step(case, "tagged", act.by, key=key, facts={"add": list(add), "remove": list(remove)})

        return self._do(act, case_id, do)

    # --- inside

    def _do(self, act: Act, case_id: str, do: Callable[[Book, Case, str], Case]) -> Case:
        return carry_out(self._database, self._policy, self._now_ms(), act, case_id, do)


def resumed(book: Book, case: Case, by: str, said: str, key: str) -> Case:
    """The clocks run again."""
    if case["paused_since_ms"] is None:
        raise CaseError("it does not wait", "conflict")
    calendar, _ = book.calendar(case)
    data = dict(case["data"] or {})
    clocks = data.get("clocks", {})
    data["clocks"] = {
        name: sla.resumed(sla.stopped(clock, case["paused_since_ms"]), calendar, book.now_ms)
        if clock["stopped_ms"] is None
        else clock
        for name, clock in clocks.items()
    }
    facts = {"paused_ms": book.now_ms - case["paused_since_ms"], "reason": case["pause_reason"]}
    changes = {"paused_since_ms": None, "pause_reason": None, "data": data}
    return book.step(case, "resumed", by, said, key=key, facts=facts, **changes)


def _taken(
    book: Book, case: Case, by: str, key: str, kind: Literal["acknowledged", "assigned"], **changes: Any
) -> Case:
    clocks = dict((case["data"] or {}).get("clocks", {}))
    before = {name: case[name] for name in _UNDONE} | {"clocks": dict(clocks)}
    if "first_response" in clocks:
        clocks["first_response"] = sla.stopped(clocks["first_response"], book.now_ms)
    facts = {"before": before, "owner": changes.get("owner"), "team": changes.get("team")}
    data = {**(case["data"] or {}), "clocks": clocks}
    changes.setdefault("acked_ms", case["acked_ms"] or book.now_ms)
    return book.step(case, kind, by, key=key, facts=facts, data=data, **changes)


def _heard(book: Book, case: Case) -> dict[str, Any]:
    """The case's data when the merchant hears something: the first answer is given, and the next news is due later."""
    data = dict(case["data"] or {})
    clocks = dict(data.get("clocks", {}))
    if "first_response" in clocks:
        clocks["first_response"] = sla.stopped(clocks["first_response"], book.now_ms)
    if "update" in clocks and case["state"] in WORKING:
        calendar, _ = book.calendar(case)
        clocks["update"] = sla.start(clocks["update"]["minutes"], calendar, book.now_ms) or clocks["update"]
    return {**data, "clocks": clocks}


def _require(case: Case, states: tuple[str, ...], otherwise: str) -> None:
    if case["state"] not in states:
        raise CaseError(f"the case is {case['state']}: {otherwise}", "conflict")


def _say(what: str, said: str) -> None:
    if not said.strip():
        raise CaseError(f"say {what}")


def _require_place(connection: Connection, scope: Scope, new: NewCase) -> None:
    """Raises NoCase for a terminal or site outside of the scope."""
    if scope.is_everything:
        return
    at, named = (terminals, new.terminal) if new.terminal is not None else (sites, new.site)
    column = at.c.terminal if new.terminal is not None else at.c.site
    inside = exists().where(at.c.estate == new.estate, column == named, scope.where(at))
    if not connection.execute(select(inside)).scalar():
        raise NoCase(f"there is no terminal or site {named!r}")


# --- reading ---------------------------------------------------------------------------------------------------------


def timeline(
    connection: Connection, scope: Scope, case_id: str, after: int = 0, limit: int = 500
) -> list[dict[str, Any]]:
    """Steps of a case in order, after the step `after`. Raises NoCase."""
    if connection.execute(select(cases.c.id).where(cases.c.id == case_id, scope.where(cases))).first() is None:
        raise NoCase(f"there is no case {case_id!r}")
    query = select(case_steps).where(case_steps.c.case_id == case_id, case_steps.c.id > after)
    return [dict(row) for row in connection.execute(query.order_by(case_steps.c.id).limit(limit)).mappings()]
