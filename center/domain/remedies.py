"""Which remedy really works: tried in a case, settled by what came after, and counted with its interval."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from sqlalchemy import ColumnElement, Connection, Select, case, func, select, update

from center.access.scope import Scope
from center.db.tables import cases, remedies
from center.ids import new_id

if TYPE_CHECKING:
    from center.domain.cases_book import Book, Case

REMEDIES: Final = (
    *("guided", "restarted", "reseated", "cleaned", "refilled", "recovered", "reconfigured", "updated", "rolled_back"),
    *("part_replaced", "terminal_replaced", "sim_replaced", "cable_replaced", "power_restored", "bearer_changed"),
    *("operator_acted", "host_acted", "keys_loaded", "inspected", "nothing"),
)
"""The stable list. `nothing`: it passed by itself."""
Worked = Literal["yes", "no", "unknown"]
Basis = Literal["firmware", "signature", "fault"]
_Z: Final = 1.959963984540054  # 95 % of the normal distribution lie within


@dataclass(frozen=True, slots=True)
class Success:
    """How often a remedy helped. `low` and `high` bound the true share with 95 % confidence (Wilson's interval).

    `basis` says how alike the cases are: `firmware` the same fault, model and firmware, `signature` the same fault
    and model, `fault` only the same fault; with `signature` and `firmware` it names them for `tries`. `unknown` cases
    are not settled and count for nothing.
    """

    remedy: str
    worked: int
    failed: int
    unknown: int
    share: float | None
    low: float
    high: float
    basis: Basis
    signature: str
    firmware: str


def wilson(worked: int, tried: int) -> tuple[float, float]:
    """The interval of a share (Wilson 1927); 0 to 1 where nothing was tried."""
    if tried == 0:
        return 0.0, 1.0
    share, square = worked / tried, _Z * _Z
    middle = (share + square / (2 * tried)) / (1 + square / tried)
    half = _Z * math.sqrt(share * (1 - share) / tried + square / (4 * tried * tried)) / (1 + square / tried)
    return max(0.0, middle - half), min(1.0, middle + half)


def tried(book: Book, of: Case, remedy: str) -> None:
    """Note that a remedy was tried. What was tried before and did not end the case did not help."""
    settle(book, of["id"], worked="no")
    values = {
        "id": new_id("remedy", book.now_ms),
        "case_id": of["id"],
        "signature": of["signature"],
        "model": of["model"],
        "firmware": of["firmware"],
        "remedy": remedy,
        "worked": "unknown",
        "at_ms": book.now_ms,
    }
    book.connection.execute(remedies.insert().values(**values))


def settle(book: Book, case_id: str, *, worked: Worked) -> None:
    """Say of the remedies of a case whose effect was not known, and, when the fault is back, of what seemed to help."""
    judged = ("unknown",) if worked == "yes" else ("unknown", "yes")
    changed = update(remedies).where(remedies.c.case_id == case_id, remedies.c.worked.in_(judged))
    book.connection.execute(changed.values(worked=worked))


def success(connection: Connection, scope: Scope, signature: str, firmware: str = "") -> list[Success]:
    """Remedies for a signature, best first: by what is surely so, the lower bound. The closest basis that has any."""
    closest: tuple[Basis, ...] = ("firmware", "signature", "fault") if firmware else ("signature", "fault")
    for basis in closest:
        found = _counted(connection, scope, basis, signature, firmware)
        if found:
            return found
    return []


def tries(
    scope: Scope, basis: Basis, signature: str, firmware: str, remedy: str | None, *, settled: bool
) -> Select[Any]:
    """The tries that a `Success` counts as `worked` and `failed` where `settled`, else those that are `unknown`.

    Of all remedies without one. Each try has `id`, `case_id`, `remedy`, `worked`, `model`, `firmware` and `at_ms`, and
    of its case `number`, `estate`, `terminal`, `site`, `fault` and `title`: None once that is deleted, for what was
    learnt of it is kept.
    """
    shown = [remedies.c[name] for name in ("id", "case_id", "remedy", "worked", "model", "firmware", "at_ms")]
    shown += [cases.c[name] for name in ("number", "estate", "terminal", "site", "fault", "title")]
    known = remedies.c.worked.in_(("yes", "no")) if settled else remedies.c.worked == "unknown"
    found = select(*shown).select_from(remedies.outerjoin(cases, cases.c.id == remedies.c.case_id))
    found = found.where(*_alike(basis, signature, firmware), known, *_in(scope))
    return found if remedy is None else found.where(remedies.c.remedy == remedy)


def _alike(basis: Basis, signature: str, firmware: str) -> list[ColumnElement[bool]]:
    """What a try has in common with the case that is asked about."""
    if basis == "fault":
        return [remedies.c.signature.startswith(f"{signature.partition('|')[0]}|", autoescape=True)]
    same = [remedies.c.signature == signature]
    return [*same, remedies.c.firmware == firmware] if basis == "firmware" else same


def _in(scope: Scope) -> list[ColumnElement[bool]]:
    """Whoever may see everything sees what was learnt from deleted cases too."""
    return [] if scope.is_everything else [scope.where(cases)]


def _counted(connection: Connection, scope: Scope, basis: Basis, signature: str, firmware: str) -> list[Success]:
    count = {name: func.sum(case((remedies.c.worked == name, 1), else_=0)) for name in ("yes", "no", "unknown")}
    query = select(remedies.c.remedy, count["yes"], count["no"], count["unknown"])
    query = query.where(*_alike(basis, signature, firmware), *_in(scope))
    if not scope.is_everything:
        query = query.join(cases, cases.c.id == remedies.c.case_id)
    rows = connection.execute(query.group_by(remedies.c.remedy)).all()
    found = []
    for remedy, yes, no, unknown in rows:
        low, high = wilson(int(yes), int(yes + no))
        share = int(yes) / int(yes + no) if yes + no else None
        counts = (int(yes), int(no), int(unknown), share, low, high)
        found.append(Success(remedy, *counts, basis, signature, firmware))
    return sorted(found, key=lambda each: (-each.low, each.remedy))
