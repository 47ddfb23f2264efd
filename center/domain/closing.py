"""The closing gate: the failing probe must pass, then it must last, then the merchant is asked. Nothing skips a step.

A case goes from working to `watching` when what was wrong is measured to be right, to `asking` when it stayed so, and
to `closed` when the merchant says yes or does not answer in time. Anything that speaks against it sends it back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import select

from center.db.tables import commands, faults, incidents
from center.domain import check_output, remedies, sla
from center.domain.cases_book import ENGINE, WORKING, Book, Case, CaseError, number_text
from center.domain.cases_opening import reopen
from center.domain.cases_policy import HOUR_MS
from center.domain.texts import TooLong, short_message


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known now about what was wrong."""

    trouble: Literal["gone", "stands", "unknown"]
    """What the failing probe says; unknown where no probe watches it."""
    check: Literal["none", "running", "passed", "failed"] = "none"
    """The newest check that somebody ordered for this case."""
    heard: bool = True
    """Whether the terminal is there to say so."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether the gate opens, and why or why not in one sentence."""

    passes: bool
    why: str
    against: bool = False
    """Not merely unknown: it still does not work."""


def judge(evidence: Evidence, *, said_repaired: bool) -> Judgement:
    """`said_repaired`: a person says that it is repaired, which counts where no probe can tell. Pure."""
    if evidence.trouble == "stands":
        return Judgement(False, "the fault still stands", against=True)
    if evidence.check == "failed":
        return Judgement(False, "the check that was ordered still finds it", against=True)
    if evidence.check == "running":
        return Judgement(False, "the check that was ordered has not answered yet")
    if not evidence.heard:
        return Judgement(False, "the terminal is not connected, so nobody knows")
    if evidence.trouble == "gone":
        checked = ", and the check that was ordered passed" if evidence.check == "passed" else ""
        return Judgement(True, f"the probe that failed passes{checked}")
    if evidence.check == "passed":
        return Judgement(True, "the check that was ordered passed")
    if said_repaired:
        return Judgement(True, "no probe watches this; a person says that it is repaired")
    return Judgement(False, "no probe watches this, and nobody has said that it is repaired")


def evidence_of(book: Book, case: Case) -> Evidence:
    """What the tables say."""
    if case["terminal"] is None:
        return Evidence(_incident_trouble(book, case["incident_id"]))
    terminal = book.terminal(case["estate"], case["terminal"])
    heard = terminal.get("status") in {"online", "maintenance"}
    return Evidence(_trouble(book, case, terminal), _check(book, case), heard or not terminal)


def _incident_trouble(book: Book, incident_id: str | None) -> Literal["gone", "stands", "unknown"]:
    state = book.connection.execute(select(incidents.c.state).where(incidents.c.id == incident_id)).scalar()
    if state is None:
        return "unknown"
    return "gone" if state == "resolved" else "stands"


def _trouble(book: Book, case: Case, terminal: Mapping[str, Any]) -> Literal["gone", "stands", "unknown"]:
    if case["kind"] != "fault":
        return "unknown"
    if case["fault"] is None:
        return {"yes": "gone", "no": "stands"}.get(str(terminal.get("can_sell")), "unknown")  # type: ignore[return-value]  # two of three words
    told = _fault(book, case)
    if told is None:
        return _incident_trouble(book, case["incident_id"])
    return "gone" if told["state"] == "cleared" else "stands"


def _fault(book: Book, case: Case) -> Mapping[str, Any] | None:
    where = (
        faults.c.estate == case["estate"],
        faults.c.terminal == case["terminal"],
        faults.c.fault == case["fault"],
    )
    row = book.connection.execute(select(faults.c.state, faults.c.received_ms).where(*where)).mappings().first()
    return None if row is None else dict(row)


def _check(book: Book, case: Case) -> Literal["none", "running", "passed", "failed"]:
    """By the newest check since the trouble began, was repaired or went away; what was found before says nothing."""
    data, told = case["data"] or {}, _fault(book, case)
    moments = [case["created_ms"], data.get("since_ms", 0), data.get("repaired_ms", 0)]
    if told is not None and told["state"] == "cleared":
        moments.append(told["received_ms"])
    newest = (
        select(commands.c.state, commands.c.output)
        .where(commands.c.case_id == case["id"], commands.c.cmd == "check")
        .where(commands.c.estate == case["estate"], commands.c.terminal == case["terminal"])
        .where(commands.c.created_ms >= max(moments))
        .order_by(commands.c.created_ms.desc(), commands.c.id.desc())
    )
    row = book.connection.execute(newest.limit(1)).first()
    if row is None or row.state in {"rejected", "expired", "interrupted"}:
        return "none"  # it never told anything about the device
    if row.state == "failed":
        return "failed"
    if row.state != "succeeded":
        return "running"
    found = check_output.faults(row.output)
    if found is None:
        return "none"
    return "failed" if case["fault"] in found else "passed"


def consider(book: Book, case: Case, key: str) -> Case:
    """Look at the gate of a case that people or the device work on, and begin to watch if it opens."""
    if case["state"] not in WORKING or case["kind"] not in {"fault", "inspection"}:
        return case
    said = bool((case["data"] or {}).get("repaired_ms"))
    judgement = judge(evidence_of(book, case), said_repaired=said)
    if not judgement.passes:
        return case
    length_ms = 1000 * book.policy.watch_s[case["severity"]]
    return book.step(
        case,
        "watching",
        ENGINE,
        judgement.why,
        key=key,
        facts={"until_ms": book.now_ms + length_ms},
        state="watching",
        watch_until_ms=book.now_ms + length_ms,
        solved_ms=book.now_ms,
        paused_since_ms=None,
        pause_reason=None,
        data=_with_clocks_stopped(case, book.now_ms),
    )


def watched(book: Book, case: Case) -> Case:
    """The watch is over: ask, go back, or go on watching while nobody knows."""
    key = f"{case['id']}:watched:{case['watch_until_ms']}"
    judgement = judge(evidence_of(book, case), said_repaired=True)
    if judgement.against:
        return reopen(book, case, ENGINE, judgement.why, key)
    if not judgement.passes:
        until_ms = book.now_ms + 1000 * book.policy.watch_s[case["severity"]]
        facts = {"until_ms": until_ms}
        return book.step(case, "watch_extended", ENGINE, judgement.why, key=key, facts=facts, watch_until_ms=until_ms)
    if case["terminal"] is None:
        return close(book, case, "resolved", ENGINE, "it is over, and no single merchant can be asked", key)
    return ask(book, case, ENGINE, "it stayed so for the whole watch", key)


def ask(book: Book, case: Case, by: str, why: str, key: str) -> Case:
    """Ask the merchant whether it works."""
    until_ms = book.now_ms + book.policy.ask_h * HOUR_MS
    data = _with_clocks_stopped(case, book.now_ms) | {"ask_until_ms": until_ms}
    changed = book.step(
        case,
        "asking",
        by,
        why,
        key=key,
        facts={"until_ms": until_ms},
        state="asking",
        watch_until_ms=None,
        solved_ms=case["solved_ms"] or book.now_ms,
        data=data,
    )
    link = book.policy.merchant_page(case["merchant_token"])
    number = number_text(case["number"])
    try:
        name = "ask" if link else "ask_number"
        short = short_message(name, case["language"], number=number, link=link)
    except TooLong:  # by how long the center's own name is; the question itself always fits
        short = short_message("ask_number", case["language"], number=number)
    contacts = (book.site(case) or {}).get("contacts") or []
    told = {"to": contacts, "short": short, "link": link, "language": case["language"]}
    book.notify(changed, "case.ask", f"notify:{key}", f"{number}: does it work again?", short, **told)
    return changed


def answered(
    book: Book, case: Case, *, works: bool, by: str, said: str, key: str, with_whom: str | None = None
) -> Case:
    """The merchant says whether it works, at whatever time. Raises CaseError for a case closed otherwise.

    `with_whom` said so by telephone, and `by` wrote it down, which is a step of its own.
    """
    if book.has_step(key):
        return case
    if works and case["state"] == "closed":
        raise CaseError("the case is closed already", "conflict")
    why = said or f"the merchant says that it {'works' if works else 'is still broken'}"
    # They may say so before the gate is open; the probes are asked all the same.
    early = works and case["state"] != "asking"
    if early or with_whom is not None:
        facts = {"works": works} | ({} if with_whom is None else {"by_phone": True, "with_whom": with_whom})
        data = {**(case["data"] or {}), "repaired_ms": book.now_ms} if early else case["data"]
        case = book.step(case, "answered", by, why, key=key, facts=facts, data=data)
        key = f"{key}:considered"
    if early:
        return consider(book, case, key)
    return close(book, case, "confirmed", by, why, key) if works else reopen(book, case, by, why, key)


def unanswered(book: Book, case: Case) -> Case:
    """Nobody answered in time, and nothing speaks against it: close, and say so."""
    key = f"{case['id']}:unanswered:{(case['data'] or {}).get('ask_until_ms')}"
    judgement = judge(evidence_of(book, case), said_repaired=True)
    if judgement.against:
        return reopen(book, case, ENGINE, judgement.why, key)
    why = f"the merchant did not answer within {book.policy.ask_h} hours, and nothing speaks against it"
    return close(book, case, "unanswered", ENGINE, why, key)


def close(book: Book, case: Case, outcome: str, by: str, why: str, key: str) -> Case:
    """The end, with who and why. `outcome`: confirmed, unanswered, resolved, answered, duplicate or false_alarm."""
    if case["state"] == "closed" or book.has_step(key):
        return case
    changed = book.step(
        case,
        "closed",
        by,
        why,
        key=key,
        facts={"outcome": outcome},
        state="closed",
        outcome=outcome,
        closed_ms=book.now_ms,
        solved_ms=case["solved_ms"] or book.now_ms,
        watch_until_ms=None,
        work_order_until_ms=None,
        paused_since_ms=None,
        pause_reason=None,
        data=_with_clocks_stopped(case, book.now_ms),
    )
    if outcome in {"confirmed", "unanswered", "resolved"}:
        remedies.settle(book, case["id"], worked="yes")
    book.notify(changed, "case.closed", f"notify:{key}", f"{number_text(case['number'])} is closed: {outcome}", why)
    return changed


def _with_clocks_stopped(case: Case, now_ms: int) -> dict[str, Any]:
    data = dict(case["data"] or {})
    data["clocks"] = {name: sla.stopped(clock, now_ms) for name, clock in data.get("clocks", {}).items()}
    data.pop("ask_until_ms", None)
    return data
