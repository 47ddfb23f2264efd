"""The lists of what the center makes of it: incidents, cases, commands, campaigns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse
from sqlalchemy import Select, Table, func, select

from center.api import filters, items
from center.api import work_models as models
from center.api.filters import Conditions, Listing
from center.api.items import Item
from center.api.lookups import Name, case_row, one
from center.api.models import Page
from center.api.paging import Order, page
from center.api.proof import Reader, TheCenter
from center.db import tables
from center.domain import due
from center.domain.knowledge_problems import behind

router = APIRouter(prefix="/api/v1")

_MOST_MEMBERS: Final = 1000
_MOST_STEPS: Final = 1000

t = tables


def _listed(
    center: TheCenter,
    who: Reader,
    table: Table,
    query: Listing,
    conditions: Conditions,
    item: Callable[[Any], Item],
    rows: Select[Any] | None = None,
) -> JSONResponse:
    """A list of what has a sortable id, newest first; `rows` are the table's with more columns."""
    statement = (select(table) if rows is None else rows).where(who.scope.where(table), *conditions)
    with center.database.read() as connection:
        order = Order((table.c.id,), descending=True)
        return JSONResponse(page(connection, statement, order, query.cursor, query.limit, item))


@router.get("/incidents", response_model=Page[models.IncidentItem])
def list_incidents(query: Annotated[filters.Incidents, Query()], center: TheCenter, who: Reader) -> JSONResponse:
    """Incidents, newest first. `since` and `until` are of when they were opened."""
    table = t.incidents
    names = {name: table.c[name] for name in ("state", "severity", "scope")} | {"parent": table.c.parent_id}
    conditions = [
        *filters.of_incident(query),
        *filters.of_fault(table.c.fault, query),
        *filters.between(table.c.opened_ms, query),
        *filters.same(query, names),
    ]
    return _listed(center, who, table, query, conditions, items.incident)


@router.get("/incidents/{name}", response_model=models.IncidentDetail)
def get_incident(name: Name, center: TheCenter, who: Reader) -> JSONResponse:
    """One incident with its members."""
    members = t.incident_members
    with center.database.read() as connection:
        named = select(t.incidents).where(t.incidents.c.id == name, who.scope.where(t.incidents))
        row = one(connection, named, "incident")
        inside = select(members).where(members.c.incident_id == name, who.scope.where(members))
        order = [members.c[column] for column in ("estate", "terminal", "fault")]
        rows = connection.execute(inside.order_by(*order).limit(_MOST_MEMBERS))
        return JSONResponse(items.incident(row) | {"members": [items.member(each) for each in rows]})


@router.get("/incidents/{name}/members", response_model=Page[models.MemberItem])
def list_members(name: Name, query: Annotated[filters.Placed, Query()], center: TheCenter, who: Reader) -> JSONResponse:
    """All members of an incident. `since` and `until` are of when they joined."""
    members = t.incident_members
    order = Order((members.c.estate, members.c.terminal, members.c.fault))
    with center.database.read() as connection:
        one(
            connection,
            select(t.incidents.c.id).where(t.incidents.c.id == name, who.scope.where(t.incidents)),
            "incident",
        )
        conditions = [
            *filters.of_terminal(members, query),
            *filters.of_fault(members.c.fault, query),
            *filters.between(members.c.joined_ms, query),
        ]
        statement = select(members).where(members.c.incident_id == name, who.scope.where(members), *conditions)
        return JSONResponse(page(connection, statement, order, query.cursor, query.limit, items.member))


@router.get("/cases", response_model=Page[models.CaseRow])
def list_cases(query: Annotated[filters.Cases, Query()], center: TheCenter, who: Reader) -> JSONResponse:
    """Cases, newest first. `since` and `until` are of when they were opened."""
    table = t.cases
    names = {name: table.c[name] for name in ("severity", "owner", "team", "site", "number")}
    conditions = [
        *filters.of_terminal(table, query),
        *filters.of_fault(table.c.fault, query),
        *filters.between(table.c.created_ms, query),
        *filters.same(query, names | {"incident": table.c.incident_id}),
        *_in_state(table, query.state),
        *(behind(query.candidate, center.now_ms()) if query.candidate is not None else ()),
    ]
    return _listed(center, who, table, query, conditions, lambda row: _case(center, row), due.with_sites())


def _case(center: TheCenter, row: Any) -> Item:
    told = items.columns(row)
    clock = due.clock(told, center.policy, center.now_ms())
    return items.case(row) | {"timezone": told["at_timezone"], "clock": clock and items.named(clock)}


def _in_state(table: Table, state: str | None) -> Conditions:
    if state is None:
        return []
    return [table.c.state != "closed" if state == "open" else table.c.state == state]


@router.get("/cases/{name}", response_model=models.CaseDetail)
def get_case(name: Name, center: TheCenter, who: Reader) -> JSONResponse:
    """One case with its time line, by its id or its number."""
    with center.database.read() as connection:
        found = case_row(connection, who.scope, name)
        row = connection.execute(due.with_sites().where(t.cases.c.id == found.id)).one()
        steps = t.case_steps
        told = select(steps).where(steps.c.case_id == row.id).order_by(steps.c.id).limit(_MOST_STEPS)
        return JSONResponse(_case(center, row) | {"steps": [items.step(each) for each in connection.execute(told)]})


@router.get("/commands", response_model=Page[models.CommandItem])
def list_commands(query: Annotated[filters.Commands, Query()], center: TheCenter, who: Reader) -> JSONResponse:
    """Commands, newest first. `since` and `until`: of when they were asked for; `unit`: of the device."""
    table = t.commands
    conditions = [
        *filters.of_terminal(table, query),
        *filters.between(table.c.created_ms, query),
        *filters.same(query, {"state": table.c.state, "cmd": table.c.cmd, "campaign": table.c.campaign_id}),
    ]
    conditions += filters.of_device(table.c.args, query)
    return _listed(center, who, table, query, conditions, items.command)


@router.get("/commands/{name}", response_model=models.CommandDetail)
def get_command(name: Name, center: TheCenter, who: Reader) -> JSONResponse:
    """One command with all that its terminal said about it."""
    with center.database.read() as connection:
        named = select(t.commands).where(t.commands.c.id == name, who.scope.where(t.commands))
        row = one(connection, named, "command")
        same = [t.results.c.command_id == name, t.results.c.estate == row.estate, t.results.c.terminal == row.terminal]
        told = connection.execute(select(t.results).where(*same).order_by(t.results.c.boot, t.results.c.seq).limit(100))
        return JSONResponse(items.command(row) | {"results": [items.result(each) for each in told]})


@router.get("/campaigns", response_model=Page[models.CampaignItem])
def list_campaigns(query: Annotated[filters.Campaigns, Query()], center: TheCenter, who: Reader) -> JSONResponse:
    """Campaigns, newest first. `since` and `until` are of when they were drawn up."""
    table = t.campaigns
    conditions = [
        *filters.of_campaign(query),
        *filters.between(table.c.created_ms, query),
        *filters.of_device(table.c.args, query),
        *filters.same(query, {"state": table.c.state}),
    ]
    return _listed(center, who, table, query, conditions, items.campaign)


@router.get("/campaigns/{name}", response_model=models.CampaignDetail)
def get_campaign(name: Name, center: TheCenter, who: Reader) -> JSONResponse:
    """One campaign and how far it is."""
    targets = t.campaign_targets
    with center.database.read() as connection:
        named = select(t.campaigns).where(t.campaigns.c.id == name, who.scope.where(t.campaigns))
        row = one(connection, named, "campaign")
        counted = select(targets.c.wave, targets.c.state, func.count().label("n"))
        counted = counted.where(targets.c.campaign_id == name, who.scope.where(targets, many=True))
        rows = connection.execute(counted.group_by(targets.c.wave, targets.c.state).order_by(targets.c.wave)).all()
        progress = [{"wave": each.wave, "state": each.state, "targets_n": each.n} for each in rows]
        return JSONResponse(items.campaign(row) | {"progress": progress})
