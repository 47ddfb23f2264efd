"""All that the page of one incident, or of one case, needs at once."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query
from fastapi.responses import JSONResponse
from sqlalchemy import Connection, Table, select

from center.access.roles import Who
from center.api import filters, items
from center.api.context import Center
from center.api.desk_pages import row_item
from center.api.filters import Language, Listing
from center.api.lookups import Name, case_row, one
from center.api.paging import Order, page
from center.api.proof import Reader, TheCenter, allowed
from center.db.tables import cases, incident_members, incidents
from center.domain import case_sheet, incident_sheet, people
from center.domain.texts import fault_title, language_of

router = APIRouter(prefix="/api/v1")

_MEMBERS: Final = Order(tuple(incident_members.c[name] for name in ("estate", "terminal", "fault")))
_LISTS: Final = ("evidence", "parts", "similar", "commands", "steps")
_OF_CASE: Final = ("gate", "visit", "place", "terminal_now")
_ONES: Final = ("parent", "terminal", "outage", "guide")


class Affected(Listing):
    """Filters of an incident's members."""

    language: Language = None


@router.get("/incidents/{name}/sheet")
def get_incident_sheet(name: Name, center: TheCenter, who: Reader, language: Language = None) -> JSONResponse:
    """One incident as the desk sees it, whatever its state: its row of the queue, with evidence, relations, knowledge.

    `evidence` is what the first terminals said; all of them by `incidents/{id}/affected`. `steps` are what happened to
    the incident itself; what people did is in the steps of its case.
    """
    with center.database.read() as connection:
        spoken = language or who.language
        found = incident_sheet.sheet(connection, who.scope, name, spoken, center.policy, center.now_ms())
    lists = {each: [items.named(row) for row in found[each]] for each in _LISTS}
    ones = {each: None if found[each] is None else items.named(found[each]) for each in _ONES}
    return JSONResponse(row_item(found) | lists | ones)


@router.get("/incidents/{name}/affected")
def list_affected(name: Name, query: Annotated[Affected, Query()], center: TheCenter, who: Reader) -> JSONResponse:
    """Members of an incident with their terminals as they are now. `since` and `until` are of when they joined."""
    spoken = language_of(query.language or who.language)

    def item(row: Any) -> items.Item:
        shown = items.named(items.columns(row))
        del shown["incident"]
        id_ = f"{row.estate}.{row.terminal}.{row.fault.replace('/', '.')}"
        return {"id": id_, **shown, "title": fault_title(row.fault, spoken)}

    members = incident_members
    conditions = [
        *filters.of_terminal(members, query),
        *filters.of_fault(members.c.fault, query),
        *filters.between(members.c.joined_ms, query),
    ]
    with center.database.read() as connection:
        statement = incident_sheet.affected(who.scope, name).where(*conditions)
        return JSONResponse(page(connection, statement, _MEMBERS, query.cursor, query.limit, item))


@router.get("/cases/{name}/sheet")
def get_case_sheet(name: Name, center: TheCenter, who: Reader, language: Language = None) -> JSONResponse:
    """One case with its clocks, what the closing gate waits for, promises, visit, site and what may be chosen."""
    with center.database.read() as connection:
        row = case_row(connection, who.scope, name)
        case, spoken = dict(items.columns(row)), language or who.language
        found = case_sheet.sheet(connection, who.scope, case, spoken, center.policy, center.now_ms())
    lists = {each: [items.named(one) for one in found[each]] for each in ("clocks", "promises", "commands")}
    ones = {each: None if found[each] is None else items.named(found[each]) for each in _OF_CASE}
    return JSONResponse(
        items.case(row) | items.named(found) | lists | ones | {"merchant_page": _page_of(center, who, case)}
    )


@router.get("/cases/{name}/owners")
def list_case_owners(
    name: Name, center: TheCenter, who: Annotated[Who, Depends(allowed("case.write"))]
) -> JSONResponse:
    """Accounts that a case can be given to: those that may work on it, in whose scope it is."""
    with center.database.read() as connection:
        return _owners(connection, cases, case_row(connection, who.scope, name).id)


@router.get("/incidents/{name}/owners")
def list_incident_owners(
    name: Name, center: TheCenter, who: Annotated[Who, Depends(allowed("incident.write"))]
) -> JSONResponse:
    """The same for an incident."""
    with center.database.read() as connection:
        one(connection, select(incidents).where(incidents.c.id == name, who.scope.where(incidents)), "incident")
        return _owners(connection, incidents, name)


def _owners(connection: Connection, table: Table, name: str) -> JSONResponse:
    found = people.owners(connection, table, name)
    return JSONResponse({"items": [{"id": each, "name": each} for each in found], "next": None})


def _page_of(center: Center, who: Who, case: dict[str, Any]) -> str | None:
    """The address of the merchant's page, for those who may speak with the merchant: who knows it may answer there."""
    has_merchant = case["merchant_token"] and (case["terminal"] or case["site"])
    if not has_merchant or not who.may("case.write"):
        return None
    return f"{center.settings.public_url.rstrip('/')}/m/{case['merchant_token']}"
