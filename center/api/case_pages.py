"""What belongs to a case beside its time line: the written record, files, cases like it and what helped in them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Final
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query
from fastapi.responses import HTMLResponse, JSONResponse, Response
from pydantic import BaseModel

from center.access.roles import Who
from center.api import items
from center.api.case_actions import Acting
from center.api.filters import Language
from center.api.lookups import Name, case_row
from center.api.models import Page, example
from center.api.proof import Reader, TheCenter, allowed, record
from center.api.sites import Told
from center.console import case_record
from center.domain import cases_attachments, knowledge, remedies
from center.domain.cases_attachments import BEGINNINGS, Attachment

router = APIRouter(prefix="/api/v1/cases", tags=["cases"])

PRINTED: Final = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
}
"""The record brings its style with it, and nothing else."""
_BYTES: Final[dict[str, Any]] = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in BEGINNINGS}


class AttachmentItem(BaseModel):
    """A file on a case. `warning` is "" for a text, out of which card numbers were taken."""

    model_config = example(
        id="file-01m8q0zk6v",
        case="case-01m8q0zk6v",
        name="slip.png",
        media_type="image/png",
        sha256="9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        warning=cases_attachments.WARNING,
        by="ann",
        at="2026-11-21T09:30:00.000Z",
    )
    id: str
    case: str
    name: str
    media_type: str
    sha256: str
    warning: str
    by: str
    at: str


@router.get(
    "/{name}/record",
    response_class=Response,  # HTMLResponse would have its errors told as HTML too
    responses={200: {"content": {"text/html": {"schema": {"type": "string"}}}, "description": "A page to print"}},
)
def get_record(
    name: Name,
    center: TheCenter,
    who: Reader,
    language: Language = None,
    internal: Annotated[bool, Query(description="With what colleagues noted; without it for a merchant")] = True,
) -> HTMLResponse:
    """The written record, a page to print; on it stands the SHA-256 of the facts that it was made from."""
    with center.database.read() as connection:
        case = case_row(connection, who.scope, name)
        spoken = language or who.language
        made = case_record.record(connection, who.scope, case.id, spoken, center.now_ms(), internal=internal)
    return HTMLResponse(made.html, headers=PRINTED)


class MerchantLink(BaseModel):
    """Where the merchant follows a case, below the center's own address; null for a case that merchants do not see."""

    model_config = example(link="/m/3q2pXv0Zb8aQf1Yk6hT9sLwE7uRcJmNd")
    link: str | None


@router.get("/{name}/merchant-link", response_model=MerchantLink)
def get_merchant_link(
    name: Name, center: TheCenter, who: Annotated[Who, Depends(allowed("case.write"))]
) -> JSONResponse:
    """The merchant's page of a case. Whoever has the link can answer for the merchant, so audit knows who asked."""
    with center.database.begin() as connection:
        case = case_row(connection, who.scope, name)
        record(connection, center, who, "case.merchant_link", case.id)
    return JSONResponse({"link": f"/m/{case.merchant_token}" if case.merchant_token else None})


@router.get("/{name}/similar")
def list_similar(name: Name, center: TheCenter, who: Reader) -> JSONResponse:
    """Closed cases of the same trouble, most alike first: 3 same model and firmware, 2 same model, 1 same fault."""
    with center.database.read() as connection:
        case = case_row(connection, who.scope, name)
        found = knowledge.similar(connection, who.scope, items.columns(case))
    return JSONResponse({"items": [items.named(asdict(each)) for each in found], "next": None})


@router.get("/{name}/remedies")
def list_remedies(name: Name, center: TheCenter, who: Reader) -> JSONResponse:
    """What was done in cases like this one and how often it helped, best first.

    `low` and `high` bound the true share with 95 % confidence; `basis` says how alike the cases are.
    """
    with center.database.read() as connection:
        case = case_row(connection, who.scope, name)
        found = remedies.success(connection, who.scope, case.signature, case.firmware or "") if case.signature else []
    return JSONResponse({"items": [asdict(each) for each in found], "next": None})


@router.get("/{name}/attachments", response_model=Page[AttachmentItem])
def list_attachments(name: Name, center: TheCenter, who: Reader) -> JSONResponse:
    """The files of a case, oldest first."""
    with center.database.read() as connection:
        case = case_row(connection, who.scope, name)
        found = cases_attachments.listed(connection, who.scope, case.id)
    return JSONResponse({"items": [_item(each) for each in found], "next": None})


@router.post(
    "/{name}/attachments",
    response_model=AttachmentItem,
    status_code=201,
    openapi_extra={"requestBody": {"required": True, "content": _BYTES}},
)
def attach(
    name: Name,
    center: TheCenter,
    who: Annotated[Who, Depends(allowed("case.write"))],
    told: Told,
    file: Annotated[str, Query(min_length=1, max_length=100)],
) -> JSONResponse:
    """Attach the body as a file of this name, of 5 MiB at most. The same bytes again are the same attachment."""
    kind, body = told
    it = Acting(center, who, name)
    made = it.tried("attach", lambda act, case: center.attachments.add(act, case, file, kind, body))
    return JSONResponse(_item(made), 201)


@router.get(
    "/{name}/attachments/{file}",
    response_class=Response,
    responses={200: {"content": _BYTES, "description": "The file as it was attached"}},
)
def get_attachment(name: Name, file: Name, center: TheCenter, who: Reader) -> Response:
    """One file."""
    with center.database.read() as connection:
        case = case_row(connection, who.scope, name)
    found, body = center.attachments.body(who.scope, case.id, file)
    headers = {"content-disposition": f"attachment; filename*=utf-8''{quote(found.name)}"}
    return Response(body, media_type=found.media_type, headers=headers)


def _item(of: Attachment) -> items.Item:
    return items.named(asdict(of))
