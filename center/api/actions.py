"""What people do to terminals and with incidents: commands, suppressions."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy import select

from center.access.roles import Who
from center.access.scope import Scope
from center.api import items
from center.api.context import ApiError, Center
from center.api.filters import Place, Word, moment_ms
from center.api.lookups import Name, one
from center.api.proof import Reader, TheCenter, allowed, record
from center.api.work_models import CommandItem
from center.db import tables
from center.domain import suppression
from center.domain.commands_order import Order

router = APIRouter(prefix="/api/v1")


class Wish(BaseModel):
    """A command to one terminal, or with "all" to a whole estate."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "estate": "cn-east",
                    "terminal": "t0001",
                    "cmd": "check",
                    "args": {"device": "printer", "level": "internal"},
                    "reason": "merchant says that nothing prints",
                }
            ]
        },
    )
    estate: Word
    terminal: Word
    cmd: Word
    args: dict[str, Any] = Field(default_factory=dict)
    reason: str = Field(max_length=2000)
    case: Place | None = None


class Reason(BaseModel):
    model_config = ConfigDict(extra="forbid")
    reason: str = Field(max_length=2000)


class Window(BaseModel):
    """A maintenance window or a silence."""

    model_config = ConfigDict(extra="forbid")
    kind: Literal["maintenance", "silence"]
    estate: Word | None = None
    scope: Word
    scope_key: str = Field("", max_length=200)
    fault: Annotated[str, Field(pattern=r"^[a-z0-9_*?/-]{1,130}$")] = "*"
    from_: AwareDatetime = Field(alias="from")
    until: AwareDatetime
    reason: str = Field(max_length=2000)


@router.post("/commands", response_model=CommandItem, status_code=202)
def give_command(body: Wish, center: TheCenter, who: Annotated[Who, Depends(allowed("command.0"))]) -> JSONResponse:
    """Sign a command and send it; what disrupts much, or many, waits for a second person first."""
    order = Order(
        estate=body.estate,
        terminal=body.terminal,
        cmd=body.cmd,
        args=body.args,
        reason=body.reason,
        case_id=body.case,
    )
    return _command(center, center.commands.give(who, order, center.now_ms()), 202)


@router.post("/commands/{name}/approve", response_model=CommandItem)
def approve_command(
    name: Name, center: TheCenter, who: Annotated[Who, Depends(allowed("command.approve"))]
) -> JSONResponse:
    """The second person's yes."""
    center.commands.approve(who, name, center.now_ms())
    return _command(center, name)


@router.post("/commands/{name}/decline", response_model=CommandItem)
def decline_command(name: Name, body: Reason, center: TheCenter, who: Reader) -> JSONResponse:
    """The second person's no, or the first one's change of mind."""
    center.commands.decline(who, name, body.reason, center.now_ms())
    return _command(center, name)


def _command(center: Center, name: str, status: int = 200) -> JSONResponse:
    table = tables.commands
    with center.database.read() as connection:
        row = one(connection, select(table).where(table.c.id == name), "command")
    return JSONResponse(items.command(row), status)


@router.get("/suppressions")
def list_suppressions(center: TheCenter, who: Reader) -> JSONResponse:
    """Maintenance windows and silences that are in force or planned."""
    table = tables.suppressions
    lasting = select(table).where(table.c.until_ms > center.now_ms(), who.scope.where(table))
    with center.database.read() as connection:
        rows = connection.execute(lasting.order_by(table.c.id).limit(1000)).all()
    return JSONResponse({"items": [items.plain(table, row) for row in rows], "next": None})


@router.post("/suppressions", status_code=201)
def suppress(body: Window, center: TheCenter, who: Annotated[Who, Depends(allowed("suppress"))]) -> JSONResponse:
    """Begin or plan a maintenance window or a silence."""
    _within(who, body)
    with center.database.begin() as connection:
        new = suppression.suppress(
            connection,
            kind=body.kind,
            estate=body.estate,
            scope=body.scope,
            scope_key=body.scope_key,
            from_ms=moment_ms(body.from_),
            until_ms=moment_ms(body.until),
            by=who.name,
            reason=body.reason,
            now_ms=center.now_ms(),
            fault=body.fault,
        )
        record(connection, center, who, "suppress", new, body.model_dump(mode="json"))
    return JSONResponse({"id": new}, 201)


@router.delete("/suppressions/{name}", status_code=204)
def end_suppression(name: Name, center: TheCenter, who: Annotated[Who, Depends(allowed("suppress"))]) -> Response:
    """End one now."""
    table = tables.suppressions
    with center.database.begin() as connection:
        one(connection, select(table.c.id).where(table.c.id == name, who.scope.where(table)), "suppression")
        suppression.end(connection, name, center.now_ms())
        record(connection, center, who, "suppress.end", name)
    return Response(status_code=204)


def _within(who: Who, body: Window) -> None:
    """Raises ApiError 403 for a window over what is not theirs."""
    if who.scope.is_everything:
        return
    sites = (body.scope_key,) if body.scope == "site" else None
    reach = Scope(estates=None if body.estate is None else (body.estate,), sites=sites)
    if body.scope in {"all", "estate"} and body.estate != body.scope_key:
        reach = Scope()
    if not who.scope.contains(reach):
        raise ApiError(403, "this reaches further than what is yours")
