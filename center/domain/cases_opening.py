"""Opening a case, from wherever it comes: onto the open case of the same trouble, a closed one again, or a new one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import func, select

from agent.vocabulary import VOCABULARY
from center.db.tables import case_steps, cases, faults
from center.domain import remedies, sla
from center.domain.cases_book import ENGINE, OPEN, Book, Case, CaseError, new_token
from center.domain.cases_intake import intake
from center.domain.texts import fault_title
from center.ids import new_id

KINDS: Final = ("fault", "complaint", "question", "inspection")
CHANNELS: Final = ("device", "agent", "slip", "merchant", "api", "phone", "chat", "mail")
FIRST_NUMBER: Final = 1001


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCase:
    """What somebody reports. A fault case without a `fault` is about what the terminal itself says is the cause."""

    estate: str
    terminal: str | None = None
    site: str | None = None
    kind: str = "fault"
    title: str = ""
    said: str = ""
    """In the words of whoever reports it."""
    fault: str | None = None
    severity: str | None = None
    channel: str = "agent"
    language: str | None = None
    local_number: str | None = None
    incident_id: str | None = None
    onset_ms: int | None = None
    detected_ms: int | None = None
    report: Mapping[str, Any] | None = None
    """What a scanned help code said, and whether its signature is right."""


def open_case(book: Book, new: NewCase, by: str, key: str | None = None) -> tuple[Case, bool]:
    """The case of this trouble, and whether it is new; the same `key` again gives the same case. Raises CaseError."""
    _check(new)
    book.lock_opening()
    key = key or new_id("open", book.now_ms)
    again = select(cases).join(case_steps, case_steps.c.case_id == cases.c.id).where(case_steps.c.step_key == key)
    repeated = book.connection.execute(again).mappings().first()
    if repeated is not None:
        return dict(repeated), False
    terminal = book.terminal(new.estate, new.terminal)
    fault = _root(book, new, terminal)
    there = _same(book, new, fault)
    if there is None:
        return _opened(book, new, fault, terminal, by, key), True
    if there["state"] == "closed":
        why = f"reported again: {new.said}" if new.said else "the fault is back"
        return reopen(book, there, by, why, key, new.incident_id), False
    facts = {"channel": new.channel, "local_number": new.local_number, "report": new.report}
    number = there["local_number"] or new.local_number
    changes = {"local_number": number, "incident_id": new.incident_id or there["incident_id"]}
    return book.step(there, "reported", by, new.said, key=key, facts=facts, **changes), False


def reopen(book: Book, case: Case, by: str, why: str, key: str, incident_id: str | None = None) -> Case:
    """The same trouble is back: the remedies that were tried did not last, and the clocks run again."""
    if book.has_step(key):
        return case
    state = "reopened" if case["state"] == "closed" else _working_state(case)
    remedies.settle(book, case["id"], worked="no")
    calendar, deadline = book.calendar(case)
    data = dict(case["data"] or {})
    if case["state"] == "closed":
        data["clocks"] = sla.started(deadline, calendar, book.now_ms)
    else:
        data["clocks"] = {
            name: sla.resumed(clock, calendar, book.now_ms) if name == "solve" else clock
            for name, clock in data.get("clocks", {}).items()
        }
    for name in ("ask_until_ms", "repaired_ms"):
        data.pop(name, None)
    data["since_ms"] = book.now_ms
    changed = book.step(
        case,
        "reopened" if case["state"] in {"closed", "asking"} else "recurred",
        by,
        why,
        key=key,
        facts={"from": case["state"], "to": state},
        state=state,
        incident_id=incident_id or case["incident_id"],
        reopened=case["reopened"] + 1,
        closed_ms=None,
        solved_ms=None,
        outcome=None,
        watch_until_ms=None,
        paused_since_ms=None,
        pause_reason=None,
        data=data,
    )
    book.notify(
        changed,
        "case.reopened",
        f"notify:{key}",
        f"{changed['title']} is back",
        why or "The fault is back.",
    )
    return changed


def _working_state(case: Case) -> str:
    return "assigned" if case["owner"] else "reopened"


def _check(new: NewCase) -> None:
    if new.kind not in KINDS:
        raise CaseError(f"a case is one of {', '.join(KINDS)}")
    if new.channel not in CHANNELS:
        raise CaseError(f"channel is one of {', '.join(CHANNELS)}")
    if new.severity is not None and new.severity not in {"critical", "major", "minor", "warning"}:
        raise CaseError("severity is critical, major, minor or warning")
    if new.fault is not None and new.fault.count("/") != 1:
        raise CaseError(f"{new.fault[:80]!r} is no fault: one is unit/kind")
    if new.terminal is None and new.site is None and new.incident_id is None:
        raise CaseError("a case is about a terminal or a site")


def _root(book: Book, new: NewCase, terminal: Mapping[str, Any]) -> str | None:
    """The fault at the root: symptoms belong to the case of their cause."""
    fault = new.fault or (terminal.get("cause") if new.kind == "fault" and new.incident_id is None else None)
    for _ in range(8):  # no chain of causes is longer
        if fault is None or new.terminal is None:
            return fault
        where = (faults.c.estate == new.estate, faults.c.terminal == new.terminal, faults.c.fault == fault)
        cause = book.connection.execute(select(faults.c.cause).where(*where, faults.c.state != "cleared")).scalar()
        if cause is None:
            return fault
        fault = str(cause)
    return fault


def _same(book: Book, new: NewCase, fault: str | None) -> Case | None:
    """The open case of the same trouble, else one that was closed not long ago."""
    about = [cases.c.estate == new.estate, cases.c.kind == new.kind]
    if new.incident_id is not None and new.terminal is None:
        about.append(cases.c.incident_id == new.incident_id)
        about.append(cases.c.terminal.is_(None))
    else:
        about.append(cases.c.terminal == new.terminal)
        if new.kind != "fault":
            if not new.local_number:
                return None
            about.append(cases.c.local_number == new.local_number)
        else:
            about.append(cases.c.fault.is_(None) if fault is None else cases.c.fault == fault)
    newest = select(cases).where(*about).order_by(cases.c.id.desc())
    row = book.connection.execute(newest.where(cases.c.state.in_(OPEN)).limit(1).with_for_update()).mappings().first()
    if row is None and fault is not None and new.kind == "fault":
        late = cases.c.closed_ms > book.now_ms - book.policy.reopen_ms(fault)
        closed = newest.where(cases.c.state == "closed", late, cases.c.outcome.not_in(("duplicate", "false_alarm")))
        row = book.connection.execute(closed.limit(1).with_for_update()).mappings().first()
    return None if row is None else dict(row)


def _opened(book: Book, new: NewCase, fault: str | None, terminal: Mapping[str, Any], by: str, key: str) -> Case:
    known = intake(book.connection, terminal, book.now_ms)
    model = device_model(terminal, fault)
    severity = new.severity or _severity(new, fault, terminal)
    language = new.language or str(terminal.get("language") or "en")
    numbers = book.connection.execute(select(func.coalesce(func.max(cases.c.number), FIRST_NUMBER - 1))).scalar_one()
    values = {
        "id": new_id("case", book.now_ms),
        "number": numbers + 1,
        "estate": new.estate,
        "terminal": new.terminal,
        "site": new.site or terminal.get("site"),
        "incident_id": new.incident_id,
        "kind": new.kind,
        "title": new.title or (fault_title(fault, "en") if fault else _plain_title(new)),
        "fault": fault,
        "signature": f"{fault}|{model}" if fault else "",
        "model": model,
        "firmware": str(terminal.get("firmware") or ""),
        "operator": terminal.get("operator"),
        "local_number": new.local_number,
        "severity": severity,
        "state": "new",
        "channel": new.channel,
        "language": language,
        "merchant_token": new_token(),
        "onset_ms": new.onset_ms,
        "detected_ms": new.detected_ms or book.now_ms,
        "created_ms": book.now_ms,
        "updated_ms": book.now_ms,
    }
    case = book.insert(values)
    calendar, deadline = book.calendar(case)
    data = {"clocks": sla.started(deadline, calendar, book.now_ms), "intake": known}
    facts = {"channel": new.channel, "intake": known, "report": new.report}
    opened = book.step(case, "opened", by, new.said, key=key, facts=facts, data=data)
    where = new.terminal or new.site or "many terminals"
    if by != ENGINE or severity in {"critical", "major"}:
        subject = f"{severity}: {opened['title']} at {where}"
        book.notify(opened, "case.opened", f"notify:{key}", subject, new.said or opened["title"])
    return opened


def device_model(terminal: Mapping[str, Any], fault: str | None) -> str:
    """The model of the device that a fault is about; the terminal's where it is about none."""
    unit = (fault or "").partition("/")[0]
    devices = (terminal.get("inventory") or {}).get("devices") or ()
    found = next((str(device.get("model") or "") for device in devices if device.get("unit") == unit), "")
    return found or str(terminal.get("model") or "")


def _severity(new: NewCase, fault: str | None, terminal: Mapping[str, Any]) -> str:
    if new.kind == "fault" and terminal.get("can_sell") == "no":
        return "critical"
    if fault in VOCABULARY:
        return VOCABULARY[fault].severity
    return {"question": "minor", "inspection": "warning"}.get(new.kind, "major")


def _plain_title(new: NewCase) -> str:
    names = {"fault": "Trouble that no probe has named", "complaint": "Complaint", "question": "Question"}
    return names.get(new.kind, "Inspection")
