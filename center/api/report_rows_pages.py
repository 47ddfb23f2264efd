"""The cases behind the numbers of the reports, as a list and as a file."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy import Connection

from center.access.scope import Scope
from center.api import items
from center.api.filters import Place
from center.api.models import At, Page, example
from center.api.paging import DEFAULT_LIMIT, MOST, cut, decoded
from center.api.proof import Reader, TheCenter
from center.api.report_pages import period_of
from center.domain import reports_rows
from center.domain.campaigns_readiness import cell
from center.domain.reports import Group, Period
from center.domain.reports_rows import Of

router = APIRouter(prefix="/api/v1", tags=["reports"])

_CSV: Final = "text/csv"
_MOST_ROWS: Final = 100_000
_COLUMNS: Final = (
    "number", "estate", "terminal", "site", "fault", "title", "state", "created_at", "closed_at", "length_s", "met",
    "score",
)  # fmt: skip


class RowItem(BaseModel):
    """A case, and what it adds to the number: `length_s` of a time, `met` of a share, `score` of satisfaction."""

    model_config = example(
        id="case-01m8q0zk6v",
        number=1042,
        estate="cn-east",
        terminal="t0001",
        site="s-12",
        fault="printer/paper_out",
        title="Printer: paper out",
        state="closed",
        created_at="2026-11-21T09:30:00.000Z",
        closed_at="2026-11-21T10:30:00.000Z",
        length_s=1800.0,
        met=None,
        score=None,
    )
    id: str
    number: int
    estate: str
    terminal: str | None
    site: str | None
    fault: str | None
    title: str
    state: str
    created_at: At
    closed_at: At | None
    length_s: float | None
    met: bool | None
    score: int | None


class Asked(BaseModel):
    """Which cases."""

    model_config = ConfigDict(extra="forbid")
    since: AwareDatetime | None = Field(None, description="30 days before `until` without it")
    until: AwareDatetime | None = Field(None, description="Itself left out; now without it")
    by: Group = Field("fault", description="What `group` is one of")
    group: Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f]*$")] | None = Field(
        None, description="Only cases of this group; empty for those whose group nobody knows"
    )
    fault: Place | None = None
    met: bool | None = Field(None, description="Of a share only the cases that count into it, or only the others")


class AskedPage(Asked):
    limit: int = Field(DEFAULT_LIMIT, ge=1, le=MOST)
    cursor: Annotated[str, Field(max_length=500)] | None = None


@router.get("/reports/{of}/cases", response_model=Page[RowItem])
def list_report_cases(of: Of, asked: Annotated[AskedPage, Query()], center: TheCenter, who: Reader) -> JSONResponse:
    """The cases that a number of the reports is made of, newest first."""
    before = decoded(asked.cursor, [str])[0] if asked.cursor else None
    period = period_of(asked.since, asked.until, center.now_ms())
    with center.database.read() as connection:
        rows = _rows(connection, who.scope, period, of, asked, before, asked.limit + 1)
    return JSONResponse(cut(rows, asked.limit, lambda row: (row["id"],), _item))


@router.get(
    "/reports/{of}/export",
    response_class=Response,
    responses={200: {"content": {_CSV: {"schema": {"type": "string"}}}, "description": "A line for each case"}},
)
def export_report_cases(of: Of, asked: Annotated[Asked, Query()], center: TheCenter, who: Reader) -> Response:
    """The same as CSV, the newest 100,000."""
    period = period_of(asked.since, asked.until, center.now_ms())
    file = io.StringIO()
    out = csv.writer(file)
    out.writerow(_COLUMNS)
    with center.database.read() as connection:
        for row in _all(connection, who.scope, period, of, asked):
            shown = _item(row)
            out.writerow([cell(shown[name]) for name in _COLUMNS])
    headers = {"content-disposition": f'attachment; filename="{of}.csv"'}
    return Response(file.getvalue(), media_type=_CSV, headers=headers)


def _all(connection: Connection, scope: Scope, period: Period, of: Of, asked: Asked) -> Iterator[dict[str, Any]]:
    before: str | None = None
    n = 0
    while n < _MOST_ROWS and (rows := _rows(connection, scope, period, of, asked, before, MOST)):
        yield from rows
        n, before = n + len(rows), rows[-1]["id"]


def _rows(
    connection: Connection, scope: Scope, period: Period, of: Of, asked: Asked, before: str | None, limit: int
) -> list[dict[str, Any]]:
    narrowed = {name: getattr(asked, name) for name in ("by", "group", "fault", "met")}
    return reports_rows.rows(connection, scope, period, of, before=before, limit=limit, **narrowed)


def _item(row: dict[str, Any]) -> items.Item:
    length_ms = row["length_ms"]
    shown = items.named({name: value for name, value in row.items() if name != "length_ms"})
    return shown | {"length_s": None if length_ms is None else max(0, length_ms) / 1000}
