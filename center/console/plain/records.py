"""Records to print: a case with its time line, and a terminal with its devices for an inspection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse
from sqlalchemy import Connection, select

from center.access.roles import Who
from center.api.case_pages import PRINTED
from center.api.context import ApiError, Center
from center.api.lookups import Name, case_row
from center.api.proof import TheCenter, record
from center.console import case_record
from center.console.month_words import COLUMNS, figures, verdict
from center.console.plain.login import session_or_login
from center.console.plain.page import PlainRoute, language_told, render
from center.console.words import say, word_or
from center.db.tables import audit
from center.domain import inspection
from center.domain.cases_book import number_text
from center.domain.hours import HoursError, zone
from center.domain.monthly import month_of, monthly
from center.domain.texts import fault_title, local_time

router = APIRouter(prefix="/console/print", route_class=PlainRoute)

_HASH_SHOWN: Final = 16
_CHECKS: Final = ("seals", "slot", "cables", "place", "staff")


def reader(request: Request, center: TheCenter) -> Who:
    """Whoever may read; others are sent to log in first. Raises Elsewhere and ApiError 403."""
    who = session_or_login(request, center)
    if not who.may("read"):
        raise ApiError(403, "this needs the permission read")
    return who


Reader = Annotated[Who, Depends(reader)]


@router.get("/case/{name}")
def print_case(name: Name, request: Request, center: TheCenter, who: Reader, internal: bool = True) -> HTMLResponse:
    """The written record of a case, by id or a number of it; `internal=false` leaves out what colleagues noted."""
    language = language_told(request) or who.language
    with center.database.begin() as connection:
        case = case_row(connection, who.scope, name)
        detail = {"language": language, "internal": internal}
        about = _recorded(connection, center, who, number_text(case.number), detail)
        made = case_record.record(
            connection,
            who.scope,
            case.id,
            language,
            center.now_ms(),
            internal=internal,
            printed=lambda when: say(language, "print.printed", when=when, **about),
        )
    return HTMLResponse(made.html, headers=PRINTED)


@router.get("/terminal/{estate}/{terminal}")
def print_terminal(estate: Name, terminal: Name, request: Request, center: TheCenter, who: Reader) -> HTMLResponse:
    """The inspection record of a terminal: its devices, lines to fill in by hand, and its history."""
    language = language_told(request) or who.language
    with center.database.begin() as connection:
        sheet = inspection.sheet(connection, who.scope, estate, terminal)
        about = _recorded(connection, center, who, f"{estate}/{terminal}", {"language": language})
    timezone = _zone(sheet.site)

    def at(ms: int) -> str:
        return local_time(ms, timezone)

    values: dict[str, Any] = {
        "sheet": sheet,
        "place": ", ".join(filter(None, [sheet.site.get("name"), sheet.site.get("address")]))
        or sheet.terminal["site"]
        or "",
        "timezone": timezone,
        "at": at,
        "printed": say(language, "print.printed", when=at(center.now_ms()), **about),
        "checks": _CHECKS,
        "history": [(at(each["at_ms"]), *_told(each, language)) for each in sheet.history],
        "case_title": lambda case: fault_title(case["fault"], language) if case["fault"] else case["title"],
        "number_text": number_text,
        "most": inspection.MOST,
    }
    return render("terminal.html", "print", language, request, **values)


@router.get("/month/{month}")
def print_month(month: str, request: Request, center: TheCenter, who: Reader) -> HTMLResponse:
    """A month against its targets, of what the reader may see."""
    language, timezone = language_told(request) or who.language, center.policy.office_timezone
    try:
        found = month_of(month, timezone, center.now_ms())
    except ValueError as error:
        raise ApiError(422, str(error)) from None
    with center.database.begin() as connection:
        rows = monthly(connection, who.scope, center.policy, found.period)
        record(connection, center, who, "print", found.name, {"language": language})
    values: dict[str, Any] = {
        "month": found.name,
        "over": found.over,
        "who": who.name,
        "when": local_time(center.now_ms(), timezone),
        "timezone": timezone,
        "heads": [say(language, f"reports.{name}") for name in COLUMNS],
        "rows": [
            [say(language, f"reports.target_{row['name']}"), *figures(row), say(language, f"reports.{verdict(row)[1]}")]
            for row in rows
        ],
    }
    return render("month.html", "print", language, request, **values)


def _zone(site: Mapping[str, Any]) -> str:
    told = str(site.get("timezone") or "UTC")
    try:
        zone(told)
    except HoursError:
        return "UTC"
    return told


def _recorded(connection: Connection, center: Center, who: Who, target: str, detail: Any) -> dict[str, str]:
    """Write down that it was printed; `who`, and `entry` and `hash` of that line of the audit."""
    record(connection, center, who, "print", target, detail)
    newest = select(audit.c.id, audit.c.hash).order_by(audit.c.id.desc()).limit(1)
    row = connection.execute(newest).one()
    return {"who": who.name, "entry": str(row.id), "hash": row.hash[:_HASH_SHOWN]}


def _told(happened: Mapping[str, Any], language: str) -> tuple[str, str]:
    """What happened and its particulars, in words."""
    data: Mapping[str, Any] = happened["data"] or {}
    name = happened["event"]
    if name == "device.swapped":
        changed = data.get("changed")
        facts = [
            f"{word_or(language, f'terminal.part_{key}', str(key))} {_change(each)}"
            for key, each in (changed.items() if isinstance(changed, Mapping) else ())
        ]
        facts.append(say(language, "print.announced" if data.get("announced") else "print.unannounced"))
        return say(language, "print.event_swapped", device=data.get("device", "")), "; ".join(facts)
    if name in {"fault.raised", "fault.cleared"}:
        return say(language, f"print.event_{name[6:]}", fault=fault_title(str(data.get("fault")), language)), ""
    if name == "case.opened":
        return say(language, "print.event_case_opened"), say(
            language, "print.announced" if data.get("work_order") else "print.unannounced"
        )
    if name == "firmware.update":
        outcome = word_or(language, f"print.outcome_{data.get('outcome')}", str(data.get("outcome", "")))
        return say(language, "print.event_firmware", outcome=outcome), str(data.get("device") or "")
    known = {
        "inspection": "inspection",
        "work_order.opened": "order_opened",
        "work_order.closed": "order_closed",
    }
    return say(language, f"print.event_{known[name]}"), ""


def _change(told: Any) -> str:
    return f"{told.get('was') or '–'} → {told.get('is') or '–'}" if isinstance(told, Mapping) else str(told)
