"""Sites and the places of terminals: read, and taken in as CSV or JSON from whoever keeps them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from sqlalchemy import and_, select

from center.access.roles import Who
from center.access.scope import Scope
from center.api import filters, items
from center.api.context import ApiError
from center.api.filters import Place as Name
from center.api.filters import Placed, Word
from center.api.lookups import one
from center.api.models import Page
from center.api.paging import Order, page
from center.api.proof import Reader, TheCenter, allowed, record
from center.api.reads import Segment
from center.db.places import set_places, set_sites
from center.db.tables import sites
from center.domain import hours
from center.domain.contacts import Trouble, carried_over, doubtful

router = APIRouter(prefix="/api/v1")

MOST_ROWS: Final = 10_000
Text = Annotated[str, Field(max_length=500, pattern=r"^[^\x00]*$")]
Writer = Annotated[Who, Depends(allowed("place.write"))]
_OF_JSON: Final = frozenset({"hours", "contacts", "contract", "tags"})
Tags = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f,]+$")]], Field(max_length=50)
]


class Contact(BaseModel):
    """Somebody at a site; `phone` and `mail` are what channels with `{to}` use."""

    model_config = ConfigDict(extra="forbid")
    name: Text = ""
    role: Text = ""
    phone: Text = ""
    mail: Text = ""
    language: Text = ""
    verified_ms: int | None = Field(None, ge=0, lt=1 << 53, description="What the center learnt, if none is given")
    bounced_ms: int | None = Field(None, ge=0, lt=1 << 53, description="Likewise")


class Site(BaseModel):
    """A site. `hours` are trading hours as center/domain/hours.py has them, `contract` the terms of service."""

    model_config = ConfigDict(extra="forbid")
    estate: Word
    site: Text = Field(min_length=1)
    name: Text = ""
    address: Text = ""
    lat: float | None = Field(None, ge=-90, le=90)
    lon: float | None = Field(None, ge=-180, le=180)
    region: Text | None = None
    language: Text = "en"
    timezone: Text = "UTC"
    trade: Text = ""
    hours: dict[str, Any] | None = None
    contacts: list[Contact] | None = None
    contract: dict[str, Any] | None = None
    power_district: Text | None = None
    operator: Text | None = None
    tags: Tags | None = None


class Place(BaseModel):
    """Where a terminal stands, and what it depends on."""

    model_config = ConfigDict(extra="forbid")
    estate: Word
    terminal: Word
    site: Text | None = None
    operator: Text | None = None
    cell: Text | None = None
    region: Text | None = None
    power_district: Text | None = None
    host: Text | None = None
    tags: Tags | None = None


class DoubtfulContact(BaseModel):
    """A contact that may not be reached; `name` is "" where a site has none at all, or it has no name."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"estate": "cn-east", "site": "s-12", "name": "Li", "why": "bounced"}]}
    )
    estate: str
    site: str
    name: str
    why: Trouble


async def _told(request: Request) -> tuple[str, bytes]:
    """Content type and body."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower(), await request.body()


Told = Annotated[tuple[str, bytes], Depends(_told)]
_SITES: Final = TypeAdapter(list[Site])
_PLACES: Final = TypeAdapter(list[Place])


def _taken_in(model: type[BaseModel]) -> dict[str, Any]:
    """How OpenAPI tells of a body that is read by hand, because it comes as CSV too."""
    whole = {"type": "array", "maxItems": MOST_ROWS, "items": model.model_json_schema()}
    kinds = {"application/json": {"schema": whole}, "text/csv": {"schema": {"type": "string"}}}
    return {"requestBody": {"required": True, "content": kinds}}


@router.get("/contacts/doubtful", response_model=Page[DoubtfulContact])
def list_doubtful(center: TheCenter, who: Reader, estate: Word | None = None, site: Name | None = None) -> JSONResponse:
    """Contacts of sites that may not be reached, and why; the first 500 by site.

    none: the site has no contact · no_number, not_a_number: no telephone · bounced: the last message was given up ·
    unverified: nobody was spoken to there yet · stale: not for a year.
    """
    with center.database.read() as connection:
        found = doubtful(connection, who.scope, center.now_ms(), estate, site)
    return JSONResponse({"items": [asdict(each) for each in found], "next": None})


@router.get("/sites")
def list_sites(query: Annotated[Placed, Query()], center: TheCenter, who: Reader) -> JSONResponse:
    """Sites by estate and name. `terminal`, `unit` and `kind`: those with such a terminal, or one with such a fault."""
    conditions = filters.of_site(query)
    statement = select(sites).where(who.scope.where(sites), *conditions)
    order = Order((sites.c.estate, sites.c.site))
    with center.database.read() as connection:
        shown = page(connection, statement, order, query.cursor, query.limit, lambda row: items.plain(sites, row))
        return JSONResponse(shown)


@router.get("/sites/{estate}/{site}")
def get_site(estate: Segment, site: str, center: TheCenter, who: Reader) -> JSONResponse:
    """One site."""
    named = and_(sites.c.estate == estate, sites.c.site == site.replace("\x00", ""))
    with center.database.read() as connection:
        row = one(connection, select(sites).where(named, who.scope.where(sites)), "site")
    return JSONResponse(items.plain(sites, row))


@router.post("/sites/import", openapi_extra=_taken_in(Site))
def import_sites(told: Told, center: TheCenter, who: Writer) -> JSONResponse:
    """Take sites in, each whole: as a JSON list, or as CSV with a head line. All are taken, or none."""
    rows = _read(_rows(*told), _SITES)
    for row in rows:
        try:
            hours.check(row["hours"], row["timezone"])
        except ValueError as error:
            raise ApiError(422, f"{row['estate']}/{row['site']}: {error}") from None
    now_ms = center.now_ms()
    unique = {(row["estate"], row["site"]): {**row, "updated_ms": now_ms} for row in rows}
    with center.database.begin() as connection:
        _require(who, unique.values())
        for row in unique.values():
            row["contacts"] = carried_over(connection, row)
        record(connection, center, who, "sites.import", "", {"rows": len(unique)})
        set_sites(connection, list(unique.values()), now_ms)
    return JSONResponse({"taken": len(unique)})


@router.post("/places/import", openapi_extra=_taken_in(Place))
def import_places(told: Told, center: TheCenter, who: Writer) -> JSONResponse:
    """Take places of terminals in, each whole: as a JSON list, or as CSV with a head line. All are taken, or none."""
    rows = _read(_rows(*told), _PLACES)
    now_ms = center.now_ms()
    unique = {(row["estate"], row["terminal"]): row for row in rows}
    with center.database.begin() as connection:
        _require(who, unique.values())
        record(connection, center, who, "places.import", "", {"rows": len(unique)})
        set_places(connection, unique.values(), now_ms)
    return JSONResponse({"taken": len(unique)})


def _require(who: Who, rows: Iterable[Mapping[str, Any]]) -> None:
    """Raises ApiError 403: who is bound to regions or sites cannot say where things are, or they could take more."""
    for estate in {row["estate"] for row in rows}:
        if not who.scope.contains(Scope(estates=(estate,))):
            raise ApiError(403, f"not all of estate {estate} is yours")


def look_through(what: str, text: str) -> tuple[list[dict[str, Any]], list[tuple[int | None, str]]]:
    """The rows of a CSV of `sites` or `places`, and what is wrong: line of the text, the head being 1, and one line."""
    try:
        rows = _rows("text/csv", text.encode())
    except ApiError as error:
        return [], [(None, str(error))]
    if len(rows) > MOST_ROWS:
        return [], [(None, f"{len(rows)} rows; at most {MOST_ROWS} at once")]
    kind: TypeAdapter[Any] = TypeAdapter(Site if what == "sites" else Place)
    taken: list[dict[str, Any]] = []
    problems: list[tuple[int | None, str]] = []
    for line, row in enumerate(rows, 2):
        try:
            read = kind.validate_python(row).model_dump()
            if what == "sites":
                hours.check(read["hours"], read["timezone"])
            taken.append(read)
        except ValidationError as error:
            found = error.errors(include_url=False, include_input=False)
            problems += [(line, f"{'.'.join(map(str, each['loc']))}: {each['msg']}"[:300]) for each in found]
        except ValueError as error:
            problems.append((line, str(error)))
    return taken, problems


def _rows(kind: str, data: bytes) -> list[Any]:
    try:
        if kind == "text/csv":
            return [_cells(row) for row in csv.DictReader(io.StringIO(data.decode("utf-8-sig")), strict=True)]
        if kind == "application/json":
            rows = json.loads(data)
            return rows if isinstance(rows, list) else [rows]
    except (ValueError, csv.Error, RecursionError) as error:
        raise ApiError(422, f"the body cannot be read: {error}"[:200]) from None
    raise ApiError(422, "content-type: application/json or text/csv")


def _cells(row: Mapping[str | Any, Any]) -> dict[str, Any]:
    """A line of CSV: an empty cell is one that is not there, and what is a list or table stands as JSON in its cell."""
    if None in row or None in row.values():
        raise ValueError("a line has more or fewer cells than the head line")
    return {
        name.strip(): json.loads(cell) if name.strip() in _OF_JSON else cell.strip()
        for name, cell in row.items()
        if cell.strip()
    }


def _read(rows: list[Any], kind: TypeAdapter[Any]) -> list[dict[str, Any]]:
    if len(rows) > MOST_ROWS:
        raise ApiError(422, f"{len(rows)} rows; at most {MOST_ROWS} at once")
    try:
        return [each.model_dump() for each in kind.validate_python(rows)]
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"][1:])
        raise ApiError(422, f"row {int(first['loc'][0]) + 1}: {where}: {first['msg']}"[:300]) from None
