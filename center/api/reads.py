"""The lists of what terminals said: terminals, health, faults, events, telemetry."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query
from fastapi.responses import JSONResponse
from sqlalchemy import Connection, FromClause, and_, false, select
from sqlalchemy.sql import ColumnElement

from center.access.scope import Scope
from center.api import filters, items, models
from center.api.context import ApiError
from center.api.items import TERMINAL_COLUMNS, Item
from center.api.lookups import Name, one
from center.api.paging import Order, page
from center.api.proof import Reader, TheCenter
from center.api.windows import in_windows
from center.db import tables
from center.domain import tags
from center.domain.heard import as_it_was, retirement, retirements

router = APIRouter(prefix="/api/v1")

_WORD: Final = r"^[a-z0-9_-]{1,64}$"
Segment = Annotated[str, Path(pattern=_WORD)]

t = tables
_TERMINALS: Final = Order((t.terminals.c.estate, t.terminals.c.terminal))
_FAULTS: Final = Order((t.faults.c.first_ms, t.faults.c.estate, t.faults.c.terminal, t.faults.c.fault), descending=True)
_BATCHES: Final = Order(
    tuple(t.telemetry.c[name] for name in ("received_ms", "estate", "terminal", "boot", "seq")), descending=True
)
_BATCHES_OF_ONE: Final = Order(
    tuple(t.telemetry.c[name] for name in ("estate", "terminal", "boot", "seq")), descending=True
)


# --- terminals --------------------------------------------------------------------------------------------------------


@router.get("/terminals", response_model=models.Page[models.TerminalItem])
def list_terminals(query: Annotated[filters.Terminals, Query()], center: TheCenter, who: Reader) -> JSONResponse:
    """Terminals by estate and name. `since` and `until`: of the last contact; `unit` and `kind`: of its faults."""
    table = t.terminals
    names = {name: table.c[name] for name in ("status", "model", "firmware")}
    conditions = [
        *filters.of_terminal(table, query),
        *filters.between(table.c.last_contact_ms, query),
        *filters.of_sales(query),
        *filters.of_freshness(query, center.now_ms()),
        *filters.same(query, names),
        *filters.has_fault(query),
    ]
    statement = select(*TERMINAL_COLUMNS).where(who.scope.where(table), *conditions)
    with center.database.read() as connection:
        return JSONResponse(page(connection, statement, _TERMINALS, query.cursor, query.limit, items.terminal))


@router.get("/terminals/{name}", response_model=models.TerminalDetail)
def get_terminal(name: Name, center: TheCenter, who: Reader) -> JSONResponse:
    """One terminal, by `estate.terminal`, or by its name alone where no other estate has that too."""
    with center.database.read() as connection:
        return JSONResponse(_terminal(connection, who.scope, filters.terminal_named(name)))


@router.get("/terminals/{estate}/{terminal}", response_model=models.TerminalDetail)
def get_terminal_of(estate: Segment, terminal: Segment, center: TheCenter, who: Reader) -> JSONResponse:
    """The same, by estate and name."""
    with center.database.read() as connection:
        named = filters.terminal_named(f"{estate}.{terminal}")
        return JSONResponse(_terminal(connection, who.scope, named))


def _terminal(connection: Connection, scope: Scope, named: Callable[[FromClause], ColumnElement[bool]]) -> Item:
    here = named(t.terminals), scope.where(t.terminals)
    known = connection.execute(select(t.terminals.c.terminal).where(*here).limit(1)).first() is not None
    gone = None if known else as_it_was(connection, scope, named(t.retired))
    row: Any
    row = one(connection, select(t.terminals).where(*here), "terminal") if gone is None else SimpleNamespace(**gone)
    present = and_(t.faults.c.estate == row.estate, t.faults.c.terminal == row.terminal, filters.is_present())
    faults = connection.execute(select(t.faults).where(present).order_by(t.faults.c.first_ms.desc()))
    more = {name: getattr(row, name) for name in ("inventory", "health", "config_reported")}
    more["tags"] = tags.of(connection, row.estate, row.terminal, row.site)
    last = retirement(connection, row.estate, row.terminal)
    more["retired"] = None if last is None else items.named(last)
    before = (t.retired.c.estate == row.estate, t.retired.c.successor == row.terminal)
    more["predecessors"] = [items.named(each) for each in retirements(connection, scope, *before)]
    return items.terminal(row) | more | {"faults": [items.fault(each) for each in faults]}


@router.get("/health", response_model=models.Page[models.HealthItem])
def list_health(query: Annotated[filters.Placed, Query()], center: TheCenter, who: Reader) -> JSONResponse:
    """What the agents last said about themselves. How the center is: `/api/v1/center`."""
    table = t.terminals
    conditions = [
        table.c.health.is_not(None),
        *filters.of_terminal(table, query),
        *filters.between(table.c.last_contact_ms, query),
        *filters.has_fault(query),
    ]
    columns = [table.c[name] for name in ("estate", "terminal", "health", "status", "last_contact_ms")]
    statement = select(*columns).where(who.scope.where(table), *conditions)
    with center.database.read() as connection:
        return JSONResponse(page(connection, statement, _TERMINALS, query.cursor, query.limit, items.health))


@router.get("/health/{name}", response_model=models.HealthItem)
def get_health(name: Name, center: TheCenter, who: Reader) -> JSONResponse:
    """What the agent of one terminal last said about itself."""
    told = t.terminals.c.health.is_not(None)
    named = filters.terminal_named(name)(t.terminals)
    with center.database.read() as connection:
        statement = select(t.terminals).where(named, told, who.scope.where(t.terminals))
        return JSONResponse(items.health(one(connection, statement, "terminal")))


# --- what they said ---------------------------------------------------------------------------------------------------


@router.get("/faults", response_model=models.Page[models.FaultItem])
def list_faults(query: Annotated[filters.Faults, Query()], center: TheCenter, who: Reader) -> JSONResponse:
    """Faults that are raised now, those that came last first. `since` and `until`: of the first time."""
    table = t.faults
    conditions = [
        filters.is_present() if query.state is None else table.c.state == query.state,
        *filters.of_terminal(table, query),
        *filters.of_fault(table.c.fault, query),
        *filters.between(table.c.first_ms, query),
        *filters.same(query, {"severity": table.c.severity}),
    ]
    if query.roots:
        conditions.append(table.c.cause.is_(None))
    statement = select(table).where(who.scope.where(table), *conditions)
    with center.database.read() as connection:
        return JSONResponse(page(connection, statement, _FAULTS, query.cursor, query.limit, items.fault))


@router.get("/faults/{name}", response_model=models.FaultItem)
def get_fault(name: Name, center: TheCenter, who: Reader) -> JSONResponse:
    """One fault's present state, by `estate.terminal.unit.kind`."""
    parts = name.split(".")
    if len(parts) != 4:
        raise ApiError(404, "there is no such fault; its id is estate.terminal.unit.kind")
    values = zip(("estate", "terminal", "fault"), (parts[0], parts[1], f"{parts[2]}/{parts[3]}"), strict=True)
    named = [t.faults.c[column] == value for column, value in values]
    with center.database.read() as connection:
        row = one(connection, select(t.faults).where(*named, who.scope.where(t.faults)), "fault")
        return JSONResponse(items.fault(row))


@router.get("/events", response_model=models.Page[models.EventItem])
def list_events(query: Annotated[filters.Events, Query()], center: TheCenter, who: Reader) -> JSONResponse:
    """The log of all terminals, newest first as they came in. `since` and `until` are of when it happened.

    A page may hold fewer than `limit`, even none, though `next` says that there is more to look through.
    """
    table = t.events
    conditions = [
        *filters.of_terminal(table, query),
        *filters.between(table.c.at_ms, query),
        *filters.same(query, {"event": table.c.event}),
        *filters.of_fault(table.c.data["fault"].as_string(), query),
    ]
    statement = select(table).where(who.scope.where(table), *conditions)
    with center.database.read() as connection:
        return JSONResponse(in_windows(connection, statement, table, query, items.event))


@router.get("/events/{name}", response_model=models.EventItem)
def get_event(name: Annotated[int, Path(ge=1, lt=1 << 63)], center: TheCenter, who: Reader) -> JSONResponse:
    """One line of the log."""
    with center.database.read() as connection:
        statement = select(t.events).where(t.events.c.id == name, who.scope.where(t.events))
        return JSONResponse(items.event(one(connection, statement, "event")))


@router.get("/telemetry", response_model=models.Page[models.TelemetryItem])
def list_telemetry(query: Annotated[filters.Placed, Query()], center: TheCenter, who: Reader) -> JSONResponse:
    """Batches of samples, newest first: of one terminal by its own count, of many as they came in.

    `unit` keeps the metrics of one unit. `since` and `until` are of the batch's `at`.
    """
    table = t.telemetry
    conditions = [*filters.of_terminal(table, query), *filters.between(table.c.at_ms, query)]
    if query.kind is not None:
        conditions.append(false())  # samples are of no kind of fault
    statement = select(table).where(who.scope.where(table), *conditions)
    order = _BATCHES if None in query.named else _BATCHES_OF_ONE
    with center.database.read() as connection:
        found = page(connection, statement, order, query.cursor, query.limit, items.telemetry)
    if query.unit:
        found["items"] = [kept for each in found["items"] if (kept := _of_unit(each, query.unit))["samples"]]
    return JSONResponse(found)


def _of_unit(batch: Item, unit: str) -> Item:
    samples = []
    for dt_ms, values in batch["samples"]:
        kept = {metric: value for metric, value in values.items() if metric.partition(".")[0] == unit}
        if kept:
            samples.append([dt_ms, kept])
    return batch | {"samples": samples}


@router.get("/telemetry/{name}", response_model=models.TelemetryItem)
def get_telemetry(name: Name, center: TheCenter, who: Reader) -> JSONResponse:
    """One batch, by `estate.terminal.boot.seq`."""
    parts = name.split(".")
    if len(parts) != 4 or not all(part.isascii() and part.isdigit() and len(part) < 19 for part in parts[2:]):
        raise ApiError(404, "there is no such batch; its id is estate.terminal.boot.seq")
    table = t.telemetry
    named = [table.c.estate == parts[0], table.c.terminal == parts[1], table.c.boot == int(parts[2])]
    statement = select(table).where(*named, table.c.seq == int(parts[3]), who.scope.where(table))
    with center.database.read() as connection:
        return JSONResponse(items.telemetry(one(connection, statement, "batch")))
