"""The book of cases within one transaction: a change of a case and the step that says who did it and why are one.

A step has a key of its own. Whoever writes a step again, after a kill or by sending a request twice, changes nothing.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import Connection, select, text, update

from agent.wire import dumps, loads
from center.access.scope import Scope
from center.db import feed
from center.db.engine import Database, insert_ignore
from center.db.tables import case_steps, cases, outbox, sites, terminals
from center.domain import posts, sla
from center.domain.cases_policy import CLOCKS, Policy, deadlines_of
from center.domain.refusal import Refusal, Why
from center.ids import new_id
from center.ingest import cards

ENGINE: Final = "posdiag"
"""Who did what no person did."""
OPEN: Final = ("new", "acknowledged", "assigned", "dispatched", "reopened", "watching", "asking")
WORKING: Final = ("new", "acknowledged", "assigned", "dispatched", "reopened")
"""States in which the fault is not gone yet, or not known to be."""
LONGEST_TEXT: Final = 8000
_SLIP_DIGITS: Final = 9
_LOCK: Final = 0x63617365  # "case"

Case = Mapping[str, Any]
"""A row of `cases`. Its `data`: `clocks` as center/domain/sla.py has them · `intake` what was known at the beginning ·
`dispatch` the work order · `ask_until_ms` · `needs` what the closing gate waits for."""


class CaseError(Refusal):
    """Why this cannot be done with the case."""

    def __init__(self, text: str, why: Why = "invalid") -> None:
        super().__init__(why, text)


class NoCase(Refusal):
    """There is no such case, or it is outside of the scope."""

    def __init__(self, text: str) -> None:
        super().__init__("not_found", text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """Who does it, and how to know it again. `record` writes down in the same transaction that it was done."""

    scope: Scope
    by: str
    key: str | None = None
    seen: int | None = None
    record: Callable[[Connection, str, Mapping[str, Any] | None], None] | None = None

    def done(self, connection: Connection, case_id: str, detail: Mapping[str, Any] | None = None) -> None:
        """It was done, or had been done before: the last thing before the feed is told."""
        if self.record is not None:
            self.record(connection, case_id, detail)


StepKind = Literal[
    "opened", "reported", "reopened", "recurred", "grouped", "merged", "problem", "closed",
    "acknowledged", "assigned", "undone", "handed_over", "note", "call", "message", "tagged", "attachment",
    "eta", "paused", "resumed", "clock", "root_cause", "repaired", "command",
    "dispatched", "visit_cancelled", "visit_announced", "visit_ended", "checked_in", "checked_out", "inspected",
    "fault_raised", "fault_cleared", "fault_flapping", "watching", "watch_extended",
    "asking", "answered", "rated", "link_withdrawn", "link_made",
    "boot", "device_swapped", "config_applied", "clock_step", "store_gap", "store_reset",
]  # fmt: skip
"""What stands in timelines. Each has words in the console and in the printed record."""


class Book:
    """Not thread-safe; ends with its transaction."""

    def __init__(self, connection: Connection, policy: Policy, now_ms: int) -> None:
        self.connection = connection
        self.policy = policy
        self.now_ms = now_ms
        self._touched: dict[str, Case] = {}
        self._linked: list[tuple[str, str]] = []
        self._sites: list[tuple[str, str]] = []

    # --- reading

    def find(self, scope: Scope, case_id: str) -> Case:
        """The case, held until the end of the transaction. Raises NoCase."""
        rows = self.connection.execute(select(cases).where(cases.c.id == case_id, scope.where(cases)).with_for_update())
        row = rows.mappings().first()
        if row is None:
            raise NoCase(f"there is no case {case_id!r}")
        return dict(row)

    def site(self, case: Case) -> dict[str, Any] | None:
        """The site's row, None where it is not known."""
        if case["site"] is None:
            return None
        where = (sites.c.estate == case["estate"], sites.c.site == case["site"])
        row = self.connection.execute(select(sites).where(*where)).mappings().first()
        return None if row is None else dict(row)

    def terminal(self, estate: str, terminal: str | None) -> dict[str, Any]:
        """The terminal's row, {} where nothing was heard of it."""
        where = (terminals.c.estate == estate, terminals.c.terminal == terminal)
        row = self.connection.execute(select(terminals).where(*where)).mappings().first()
        return {} if row is None else dict(row)

    def calendar(self, case: Case) -> tuple[sla.Calendar, Any]:
        """The calendar that the case's clocks run on, and their deadlines."""
        site = self.site(case)
        contract = None if site is None else site["contract"]
        deadline = deadlines_of(self.policy, case["kind"], case["severity"], contract)
        return sla.Calendar.of(deadline, self.policy, site), deadline

    def has_step(self, key: str) -> bool:
        return self.connection.execute(select(case_steps.c.id).where(case_steps.c.step_key == key)).first() is not None

    # --- writing

    def lock_opening(self) -> None:
        """Take the turn to open cases until the commit, so that none is opened twice. In SQLite a writer has it."""
        if self.connection.dialect.name == "postgresql":
            self.connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})

    def step(
        self,
        case: Case,
        kind: StepKind,
        by: str,
        said: str = "",
        *,
        key: str | None = None,
        facts: Mapping[str, Any] | None = None,
        **changes: Any,
    ) -> Case:
        """Append to the timeline, with facts as JSON, and change the case. Returns the case as it is then.

        A step whose key is there already changes nothing. Card numbers are taken out of whatever was typed.
        """
        if len(said) > LONGEST_TEXT:
            raise CaseError(f"a text of {len(said)} characters; {LONGEST_TEXT} are the most")
        row = {
            "case_id": case["id"],
            "step_key": key or new_id("step", self.now_ms),
            "at_ms": self.now_ms,
            "by": by,
            "kind": kind,
            "text": cards.redact(said.replace("\0", "")),
            "data": None if facts is None else loads(cards.clean(dumps(dict(facts)))[0]),
        }
        if not insert_ignore(self.connection, case_steps, [row]):
            return case
        changed = {**case, **changes}
        changed["next_ms"] = next_moment(changed)
        changed["updated_ms"] = max(self.now_ms, case["updated_ms"] + 1)  # so that no two look alike
        for name in CLOCKS:
            clock = (changed["data"] or {}).get("clocks", {}).get(name)
            running = clock is not None and clock["stopped_ms"] is None
            changed[f"{name}_due_ms"] = clock["breach_ms"] if running and clock else None
        altered = {name: value for name, value in changed.items() if name != "id" and value != case[name]}
        if altered:
            self.connection.execute(update(cases).where(cases.c.id == case["id"]).values(**altered))
        self._touched[case["id"]] = changed
        return changed

    def insert(self, values: Mapping[str, Any]) -> Case:
        """A new row of `cases`, without a step yet."""
        row = dict.fromkeys((column.name for column in cases.c), None) | _DEFAULTS | dict(values)
        self.connection.execute(cases.insert().values(**row))
        return row

    def post(self, row: Mapping[str, Any]) -> None:
        """A side effect, carried out after the commit; once by its key."""
        insert_ignore(self.connection, outbox, [dict(row)])

    def notify(self, case: Case, event: str, key: str, subject: str, body: str, **more: Any) -> None:
        """Tell people about the case, by the channels that asked for this event."""
        about = {name: case[name] for name in ("estate", "terminal", "site", "severity", "owner", "team")}
        facts = {**about, "case_id": case["id"], "number": number_text(case["number"]), **more}
        safe = loads(cards.clean(dumps({"subject": subject, "body": body, "facts": facts}))[0])
        self.post(posts.notify(key, event, self.now_ms, **safe))

    def tell(self) -> None:
        """Append what changed to the feed; the last thing before the commit."""
        rows = [("case", case["estate"], case["terminal"], case["id"]) for case in self._touched.values()]
        linked = [("incident", estate, None, name) for estate, name in self._linked]
        learnt = [("site", estate, None, name) for estate, name in self._sites]
        feed.append(self.connection, rows + linked + learnt, self.now_ms)
        self._touched.clear()
        self._linked.clear()
        self._sites.clear()

    def has_case(self, estate: str, incident_id: str) -> None:
        """An incident has its case now, which whoever looks at it must hear."""
        self._linked.append((estate, incident_id))

    def has_news_of(self, estate: str, site: str) -> None:
        """Something was learnt of a site."""
        self._sites.append((estate, site))


_DEFAULTS: Final = {column.name: "" for column in cases.c if not column.nullable} | {"reopened": 0, "visits": 0}


@contextmanager
def book_of(database: Database, policy: Policy, now_ms: int) -> Iterator[Book]:
    """A transaction on the book of cases."""
    with database.begin() as connection:
        book = Book(connection, policy, now_ms)
        yield book
        book.tell()


def carry_out(
    database: Database,
    policy: Policy,
    now_ms: int,
    act: Act,
    case_id: str,
    do: Callable[[Book, Case, str], Case],
) -> Case:
    """One act on a case, once by its key; `do` gets the key of its step. Raises NoCase and CaseError."""
    with book_of(database, policy, now_ms) as book:
        case = book.find(act.scope, case_id)
        key = f"{case_id}:{act.key}" if act.key else new_id("step", now_ms)
        if not (act.key and book.has_step(key)):
            if act.seen is not None and act.seen != case["updated_ms"]:
                raise CaseError("somebody changed the case meanwhile; look at it again", "conflict")
            case = do(book, case, key)
        act.done(book.connection, case_id)
        return case


def next_moment(case: Case) -> int | None:
    """When time alone has something to say about the case; None for never."""
    if case["state"] == "closed":
        return None
    data = case["data"] or {}
    moments = [case["watch_until_ms"] if case["state"] == "watching" else None]
    moments.append(data.get("ask_until_ms") if case["state"] == "asking" else None)
    if case["paused_since_ms"] is None:
        moments.append(sla.next_ms(data.get("clocks", {})))
    return min((moment for moment in moments if moment is not None), default=None)


def new_token() -> str:
    """What a merchant's page is found by: 128 random bits, in the fewest letters, since it goes out in an SMS."""
    return secrets.token_urlsafe(16)


def number_text(number: int) -> str:
    """A case's number as people say it."""
    return f"C-{number}"


def number_of(said: str) -> int | None:
    """The number that somebody typed, None where it is none: `C-1042`, `c1042`, `1042`."""
    digits = said.strip().upper().removeprefix("C").lstrip("- ")
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 15 else None


def slip_number(said: str) -> str | None:
    """The number on a terminal's slip that somebody typed, as it is kept: `482-719-365`, however it is divided."""
    digits = "".join(said.replace("-", " ").split())
    known = digits.isascii() and digits.isdigit() and len(digits) == _SLIP_DIGITS
    return "-".join((digits[:3], digits[3:6], digits[6:])) if known else None
