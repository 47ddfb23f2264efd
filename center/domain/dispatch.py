"""Sending a technician: what is wrong, which part to take along, how to get in, and a token that says who they are.

The visit token is signed with the center's command key, but is no command: its audience is `visit:estate/terminal`.
Its text is what the merchant's QR code holds. Check-in and check-out are the terminal's own events.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import Connection, func, select

from center.access.scope import Scope
from center.db.engine import Database
from center.db.tables import cases, faults, sites
from center.domain.cases_book import WORKING, Act, Book, Case, CaseError, book_of, number_text
from center.domain.cases_policy import DAY_MS, HOUR_MS, Policy
from center.domain.commands_key import ALGORITHM, Signer
from center.domain.knowledge import part_in, runbook
from center.domain.refusal import Refusal
from center.domain.texts import LANGUAGES, TooLong, fault_title, local_time, short_message
from center.ids import new_id

QR_PREFIX: Final = "POSVISIT1:"
LONGEST_VISIT_MS: Final = 3 * DAY_MS
_MARGIN_S: Final = 300  # the technician may be early
_BASIS: Final = {"measured": "实测", "inferred": "推断", "unknown": "依据未知"}
_TECHNICIAN: Final = re.compile(r"[\w .·'-]{2,60}")


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send a technician with. `part_seen` is in how many closed cases like this one the part was replaced."""

    diagnosis: Mapping[str, str]
    """In each language, for whoever reads the visit later."""
    part: str
    part_seen: int
    skill: str
    look: str
    access: tuple[Mapping[str, Any], ...]
    """The site's contacts, whom to ask for."""


@dataclass(frozen=True, slots=True)
class Visit:
    """An announced visit as its token tells."""

    technician: str
    terminal: str
    number: str
    from_s: int
    until_s: int


class NotGenuine(Exception):
    """The visit code is not one of ours, or not for here and now; one line for the merchant."""


def plan(connection: Connection, scope: Scope, case: Case, language: str) -> Plan:
    """What is known before somebody travels."""
    told = runbook(case["fault"] or "", language)
    part, seen = _likely_part(connection, scope, case, language)
    where = (sites.c.estate == case["estate"], sites.c.site == case["site"])
    contacts = connection.execute(select(sites.c.contacts).where(*where)).scalar()
    return Plan(
        diagnosis=_diagnosis(connection, case),
        part=part or told.part,
        part_seen=seen,
        skill=told.skill,
        look=told.send,
        access=tuple(contacts or ()),
    )


def _diagnosis(connection: Connection, case: Case) -> dict[str, str]:
    if not case["fault"]:
        return dict.fromkeys(LANGUAGES, str(case["title"]))
    where = (faults.c.estate == case["estate"], faults.c.terminal == case["terminal"], faults.c.fault == case["fault"])
    named = (faults.c.evidence, faults.c.basis, faults.c.count.label("times"))
    row = connection.execute(select(*named).where(*where)).first()
    told = {language: fault_title(case["fault"], language) for language in LANGUAGES}
    if row is None:
        return told
    seen = "once" if row.times == 1 else f"{row.times} times"
    told["en"] += f" ({row.basis}, seen {seen})"
    told["zh"] += f"（{_BASIS.get(row.basis, row.basis)}，出现 {row.times} 次）"
    facts = ", ".join(f"{name} {value}" for name, value in (row.evidence or {}).items())
    return {"en": f"{told['en']}: {facts}", "zh": f"{told['zh']}：{facts}"} if facts else told


def _likely_part(connection: Connection, scope: Scope, case: Case, language: str) -> tuple[str, int]:
    """The part that was replaced most often where the same trouble ended for good, in whatever language it stands."""
    ended = cases.c.outcome.in_(("confirmed", "unanswered", "resolved"))
    where = (cases.c.signature == case["signature"], cases.c.signature != "", cases.c.part.is_not(None), ended)
    query = select(cases.c.part, func.count()).where(*where, scope.where(cases)).group_by(cases.c.part)
    seen: Counter[str] = Counter()
    for name, times in connection.execute(query):
        seen[part_in(language, str(name))] += int(times)
    return min(seen.items(), key=lambda each: (-each[1], each[0]), default=("", 0))


class Dispatch:
    """Work orders. `signer` None: no key is configured, and visits go without a token, which is said."""

    def __init__(
        self, database: Database, policy: Policy, now_ms: Callable[[], int], signer: Signer | None = None
    ) -> None:
        self._database = database
        self._policy = policy
        self._now_ms = now_ms
        self._signer = signer

    def send(
        self,
        act: Act,
        case_id: str,
        technician: str,
        from_ms: int,
        until_ms: int,
        *,
        part: str = "",
        skill: str = "",
        access: str = "",
    ) -> tuple[Case, str]:
        """Announce a visit. Returns the case and the text of the visit's QR code, "" without a key to sign it."""
        if not _TECHNICIAN.fullmatch(technician):
            raise CaseError("a technician's name has 2 to 60 letters")
        key = f"{case_id}:{act.key}" if act.key else new_id("step")
        with book_of(self._database, self._policy, self._now_ms()) as book:
            case = book.find(act.scope, case_id)
            if book.has_step(key):
                act.done(book.connection, case_id)
                return case, str((case["data"] or {}).get("dispatch", {}).get("code", ""))
            _check(book, case, from_ms, until_ms)
            known = plan(book.connection, act.scope, case, case["language"])
            said = known.diagnosis["en"]
            code, why_not = self._code(case, technician, from_ms, until_ms)
            order = {
                "technician": technician,
                "from_ms": from_ms,
                "until_ms": until_ms,
                "diagnosis": dict(known.diagnosis),
                "part": part or known.part,
                "skill": skill or known.skill,
                "access": access,
                "no_code": why_not,
            }
            data = {**(case["data"] or {}), "dispatch": order | {"code": code}}
            changes: dict[str, Any] = {
                "state": "dispatched",
                "work_order_until_ms": until_ms,
                "part": part or known.part or None,
            }
            changes["acked_ms"] = case["acked_ms"] or book.now_ms
            changed = book.step(case, "dispatched", act.by, said, key=key, facts=order, data=data, **changes)
            book.notify(changed, "case.dispatched", f"notify:{key}", f"visit for {case['title']}", said)
            _tell_merchant(book, changed, key, from_ms)
            act.done(book.connection, case_id)
            return changed, code

    def cancel(self, act: Act, case_id: str, reason: str) -> Case:
        """The visit will not take place."""
        if not reason.strip():
            raise CaseError("say a reason")
        with book_of(self._database, self._policy, self._now_ms()) as book:
            case = book.find(act.scope, case_id)
            if case["state"] != "dispatched":
                raise CaseError("no visit is announced", "conflict")
            data = {name: value for name, value in (case["data"] or {}).items() if name != "dispatch"}
            changes: dict[str, Any] = {"state": "assigned", "work_order_until_ms": None, "data": data}
            key = f"{case_id}:{act.key}" if act.key else None
            changed = book.step(case, "visit_cancelled", act.by, reason, key=key, **changes)
            act.done(book.connection, case_id)
            return changed

    def _code(self, case: Case, technician: str, from_ms: int, until_ms: int) -> tuple[str, str]:
        """The QR code's text, or why there is none."""
        if self._signer is None:
            return "", "no command key is configured"
        claims = {
            "aud": f"visit:{case['estate']}/{case['terminal'] or case['site']}",
            "sub": technician,
            "case": number_text(case["number"]),
            "nbf": from_ms // 1000 - _MARGIN_S,
            "exp": until_ms // 1000,
        }
        try:
            return QR_PREFIX + self._signer.sign(claims).decode(), ""
        except Refusal as error:
            return "", str(error)


def verify(code: str, key: Ed25519PublicKey, place: str, now_s: float) -> Visit:
    """Whether this is a technician of ours, expected here and now. `place` is estate/terminal. Raises NotGenuine."""
    token = code.strip().removeprefix(QR_PREFIX)
    try:
        claims = jwt.decode(
            token,
            key,
            algorithms=[ALGORITHM],
            audience=f"visit:{place}",
            options={"require": ["aud", "sub", "case", "nbf", "exp"], "verify_exp": False, "verify_nbf": False},
        )
        visit = Visit(str(claims["sub"]), place, str(claims["case"]), int(claims["nbf"]), int(claims["exp"]))
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        raise NotGenuine("this is not a visit code of ours for this terminal; let nobody touch it, and call") from error
    if now_s < visit.from_s:
        raise NotGenuine("this visit is not due yet")
    if now_s >= visit.until_s:
        raise NotGenuine("this visit code has expired")
    return visit


def _check(book: Book, case: Case, from_ms: int, until_ms: int) -> None:
    if case["state"] not in WORKING:
        raise CaseError(f"the case is {case['state']}", "conflict")
    if case["terminal"] is None and case["site"] is None:
        raise CaseError("a visit goes to a terminal or a site")
    if not book.now_ms - HOUR_MS < from_ms < until_ms or until_ms <= book.now_ms:
        raise CaseError("a visit begins from now on and ends after that")
    if until_ms - from_ms > LONGEST_VISIT_MS:
        raise CaseError("a visit lasts three days at most, for parts may be exchanged meanwhile")


def _tell_merchant(book: Book, case: Case, key: str, from_ms: int) -> None:
    site = book.site(case) or {}
    when = local_time(from_ms, str(site.get("timezone") or "UTC"))
    facts = {"number": number_text(case["number"]), "eta": when, "channel": book.policy.channel_in(case["language"])}
    try:
        short = short_message("visit", case["language"], **facts)
    except TooLong:
        short = short_message("visit", case["language"], **(facts | {"channel": ""}))
    to = {"to": site.get("contacts") or [], "short": short}
    book.notify(case, "case.visit", f"notify:{key}:merchant", f"{facts['number']}: visit {when}", short, **to)
