"""What is known about a fault: guides by model, firmware and language, cases like it, problems behind many of them.

Texts for support agents that ship with the product are data files beside this module; what people write themselves is
in the table `guides`, is approved by somebody else than its author, and wins.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal

from sqlalchemy import Connection, RowMapping, case, func, or_, select, update

from agent.vocabulary import VOCABULARY
from center.access.roles import Who
from center.access.scope import Scope
from center.db.engine import Database
from center.db.tables import cases, faults, guides, terminals
from center.domain import four_eyes
from center.domain.cases_book import Case, CaseError, NoCase
from center.domain.grouping import OFFLINE
from center.domain.texts import LANGUAGES, guidance, language_of
from center.ids import new_id
from center.ingest import cards

_HERE: Final = Path(__file__).parent / "guides"
_LONGEST: Final = 20_000
_UNITS: Final[Mapping[str, Mapping[str, str]]] = {
    "printer": {"en": "printer", "zh": "打印机"},
    "reader": {"en": "card reader", "zh": "读卡器"},
    "keypad": {"en": "keypad", "zh": "密码键盘"},
    "modem": {"en": "modem", "zh": "通信模块"},
}
"""The units on a port, which share texts with `{unit}` in them."""
Audience = Literal["agent", "merchant"]
WARNED: Final = frozenset(
    {
        *("power/battery_worn", "power/charger_fault", "printer/head_worn", "printer/paper_near_end"),
        *("printer/head_hot", "reader/read_errors", "modem/weak_signal", "network/slow", "network/lossy"),
        *("system/disk_full", "system/memory_low", "security/certificate_expiring", "security/default_password"),
        *("firmware/outdated", "firmware/known_bad"),
    }
)
"""Faults that foretell another one, so that something can be done before."""


@dataclass(frozen=True, slots=True)
class Runbook:
    """For the support agent: what to look at from afar, when somebody has to go, with which skill and part."""

    look: str
    send: str
    skill: str
    part: str


@lru_cache(maxsize=16)
def _runbooks(name: str) -> dict[str, Any]:
    path = _HERE / f"{name}.toml"
    return tomllib.loads(path.read_text("utf-8")) if path.exists() else {}


def runbook(fault: str, language: str) -> Runbook:
    """What ships for a fault; empty texts for one that this version does not know."""
    unit, _, kind = fault.partition("/")
    known = fault in VOCABULARY or fault == OFFLINE
    table = (_runbooks(unit).get(kind) or _runbooks("device").get(kind)) if known else None
    if table is None:
        return Runbook("", "", "basic", "")
    spoken = language_of(language)
    part = table.get("part", {}).get(spoken, "")
    named = _UNITS.get(unit, {}).get(spoken, unit)
    return Runbook(table["look"][spoken], table["send"][spoken], table["skill"], part.format(unit=named))


@lru_cache(maxsize=1)
def _parts() -> dict[str, dict[str, str]]:
    """Each name of a part that ships, in any language, to its names in all of them."""
    found: dict[str, dict[str, str]] = {}
    for fault in (*VOCABULARY, OFFLINE):
        names = {language: runbook(fault, language).part for language in LANGUAGES}
        found |= {name: names for name in names.values() if name}
    return found


def part_in(language: str, name: str) -> str:
    """A part as it was written down, in this language where it is one of those that ship; else as it is."""
    return _parts().get(name, {}).get(language_of(language), name)


@dataclass(frozen=True, slots=True)
class Guide:
    """A text about a fault. `version` 0 ships with the product; `model` and `firmware` "" are for all."""

    id: str
    fault: str
    model: str
    firmware: str
    language: str
    audience: str
    title: str
    body: str
    version: int
    reviewed_ms: int | None
    author: str


def guide_for(
    connection: Connection, fault: str, language: str, audience: Audience, *, model: str = "", firmware: str = ""
) -> Guide | None:
    """The closest guide that the reader can read: the approved one, else the one that ships with the product.

    Of approved ones the closest is that of this model and firmware, then of this model, then of all. Only where there
    is neither in the language, one in the other is given. None for a fault that nobody has written about.
    """
    spoken = language_of(language)
    where = [guides.c.fault == fault, guides.c.audience == audience, guides.c.state == "approved"]
    where += [guides.c.model.in_({model, ""}), guides.c.firmware.in_({firmware, ""})]
    close = (guides.c.firmware == "", guides.c.model == "")
    for each in sorted(LANGUAGES, key=lambda other: other != spoken):
        named = (*where, guides.c.language == each)
        row = connection.execute(select(guides).where(*named).order_by(*close).limit(1)).mappings().first()
        found = _shipped(fault, each, audience) if row is None else _guide(row)
        if found is not None:
            return found
    return None


def _guide(row: RowMapping) -> Guide:
    return Guide(**{name: row[name] for name in Guide.__slots__})


def _shipped(fault: str, language: str, audience: Audience) -> Guide | None:
    told = guidance(fault, language)
    if told is None:
        return None
    if audience == "merchant":
        steps = "\n".join(f"{number}. {step}" for number, step in enumerate(told["steps"], 1))
        body = "\n\n".join(filter(None, [told["meaning"], steps, *told["never"], told["stop_using"], told["sell_on"]]))
    else:
        book = runbook(fault, language)
        body = "\n\n".join(filter(None, [book.look, book.send]))
    return Guide("", fault, "", "", language, audience, str(told["title"]), body, 0, None, "posdiag")


def search(connection: Connection, words: str, language: str, limit: int = 20) -> list[Guide]:
    """Guides for agents whose title, text or fault holds the words: own ones first."""
    wanted, spoken = words.strip().lower(), language_of(language)
    if not wanted:
        return []
    held = or_(
        *(
            func.lower(column).contains(wanted, autoescape=True)
            for column in (guides.c.title, guides.c.body, guides.c.fault)
        )
    )
    where = (guides.c.state == "approved", guides.c.audience == "agent", guides.c.language == spoken, held)
    own = [_guide(row) for row in connection.execute(select(guides).where(*where).limit(limit)).mappings()]
    shipped = [_shipped(fault, spoken, "agent") for fault in (*VOCABULARY, OFFLINE)]
    more = [each for each in shipped if each and wanted in f"{each.fault} {each.title} {each.body}".lower()]
    return (own + more)[:limit]


def propose(
    database: Database,
    *,
    who: Who,
    now_ms: int,
    fault: str,
    language: str,
    title: str,
    body: str,
    audience: Audience = "agent",
    model: str = "",
    firmware: str = "",
) -> str:
    """A draft, or the draft of a next version. Returns its id. Raises Refusal."""
    if fault not in VOCABULARY and fault != OFFLINE:
        raise CaseError(f"{fault[:80]!r} is no fault that posdiag knows")
    if language_of(language) != language or audience not in {"agent", "merchant"}:
        raise CaseError("a guide is in zh or en, for an agent or a merchant")
    if not title.strip() or not body.strip() or len(title) + len(body) > _LONGEST:
        raise CaseError(f"a guide has a title and a text, of {_LONGEST} letters at most")
    same = (
        *(guides.c.fault == fault, guides.c.language == language, guides.c.audience == audience),
        *(guides.c.model == model, guides.c.firmware == firmware),
    )
    with database.begin() as connection:
        last = connection.execute(select(func.coalesce(func.max(guides.c.version), 0)).where(*same)).scalar_one()
        row = {
            "id": new_id("guide", now_ms),
            "fault": fault,
            "model": model,
            "firmware": firmware,
            "language": language,
            "audience": audience,
            "title": cards.redact(title),
            "body": cards.redact(body),
            "version": last + 1,
            "author": who.name,
            "asked_by_account": four_eyes.first(who),
            "state": "draft",
            "updated_ms": now_ms,
        }
        connection.execute(guides.insert().values(**row))
    return str(row["id"])


def approve(database: Database, guide_id: str, *, who: Who, now_ms: int) -> None:
    """Put a draft into force in place of the version before it. Raises Refusal."""
    with database.begin() as connection:
        row = connection.execute(select(guides).where(guides.c.id == guide_id).with_for_update()).mappings().first()
        if row is None:
            raise NoCase(f"there is no guide {guide_id!r}")
        if row["state"] != "draft":
            raise CaseError(f"the guide is {row['state']} already", "conflict")
        four_eyes.check_second(who, row["asked_by_account"], "wrote the guide")
        named = ("fault", "language", "audience", "model", "firmware")
        older = [guides.c[name] == row[name] for name in named] + [guides.c.state == "approved"]
        connection.execute(update(guides).where(*older).values(state="retired", updated_ms=now_ms))
        approved = {"state": "approved", "reviewed_ms": now_ms, "reviewed_by": who.name, "updated_ms": now_ms}
        connection.execute(update(guides).where(guides.c.id == guide_id).values(**approved))


# --- cases like this one ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Similar:
    """A closed case like this one. `alike`: 3 with the same signature and firmware, 2 signature, 1 only fault."""

    id: str
    number: int
    alike: int
    outcome: str
    root_cause: str | None
    part: str | None
    closed_ms: int


def similar(connection: Connection, scope: Scope, of: Case, limit: int = 10) -> list[Similar]:
    """Closed cases of the same trouble, the most alike first, then the newest."""
    if not of["fault"]:
        return []
    same = case((cases.c.signature == of["signature"], 2), else_=1)
    alike = same + case(((cases.c.signature == of["signature"]) & (cases.c.firmware == of["firmware"]), 1), else_=0)
    where = (cases.c.fault == of["fault"], cases.c.state == "closed", cases.c.id != of["id"])
    useful = cases.c.outcome.not_in(("duplicate",))
    named = (cases.c.id, cases.c.number, alike.label("alike"), cases.c.outcome, cases.c.root_cause, cases.c.part)
    query = select(*named, cases.c.closed_ms).where(*where, useful, scope.where(cases))
    rows = connection.execute(query.order_by(alike.desc(), cases.c.closed_ms.desc()).limit(limit))
    return [Similar(**row) for row in rows.mappings()]


# --- before it fails -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Advice:
    """Something to do before it fails, and the measurements that say so."""

    estate: str
    terminal: str
    site: str | None
    fault: str
    title: str
    do: str
    reason: Mapping[str, Any]
    since_ms: int


def preventive(
    connection: Connection, scope: Scope, language: str, *, site: str | None = None, limit: int = 200
) -> list[Advice]:
    """What raised warnings foretell, the oldest first."""
    place = (terminals.c.estate == faults.c.estate) & (terminals.c.terminal == faults.c.terminal)
    query = select(faults, terminals.c.site).join(terminals, place)
    query = query.where(faults.c.fault.in_(WARNED), faults.c.state != "cleared", scope.where(terminals))
    if site is not None:
        query = query.where(terminals.c.site == site)
    advice = []
    for row in connection.execute(query.order_by(faults.c.first_ms).limit(limit)).mappings():
        told = guidance(row["fault"], language)
        if told is not None:
            facts = {**(row["evidence"] or {}), "basis": row["basis"], "count": row["count"]}
            place_of = (row["estate"], row["terminal"], row["site"])
            advice.append(Advice(*place_of, row["fault"], told["title"], told["steps"][0], facts, row["first_ms"]))
    return advice
