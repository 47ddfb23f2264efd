# ruff: noqa: FAST003 - `name` is in the signature of what `it` depends on
"""What people do with cases. Each is `POST /api/v1/cases/{id}/{verb}` and answers with the case as it is then."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, TypeVar

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import JSONResponse
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy import Connection

from center.access.roles import Permission, Who
from center.api import items
from center.api.context import Center
from center.api.filters import Place, Word, moment_ms
from center.api.lookups import Name, case_row
from center.api.proof import Somebody, TheCenter, allowed, record
from center.api.work_models import CaseItem
from center.domain.cases_book import Act
from center.domain.cases_opening import NewCase
from center.domain.refusal import Refusal

router = APIRouter(prefix="/api/v1/cases", tags=["cases"])

T = TypeVar("T")

Text = Annotated[str, Field(max_length=8000)]
Short = Annotated[str, Field(max_length=200)]
Key = Annotated[
    str | None, Header(max_length=100, pattern=r"^[\x21-\x7e]+$", description="The same again does nothing")
]
Seen = Annotated[
    AwareDatetime | None, Query(description="`updated_at` as you saw it; refused if the case changed since")
]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Opening(Body):
    """A case of a terminal, or of a site."""

    estate: Word
    terminal: Word | None = None
    site: Place | None = None
    kind: Literal["fault", "complaint", "question", "inspection"] = "fault"
    title: Short = ""
    said: Text = Field("", description="In the words of whoever reports it")
    fault: Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,64}/[a-z0-9_-]{1,64}$")] | None = None
    severity: Literal["critical", "major", "minor", "warning"] | None = None
    channel: Literal["agent", "slip", "api", "phone", "chat", "mail"] = "api"
    language: Literal["en", "zh"] | None = None
    local_number: Short | None = Field(None, description="What the terminal printed")


class Slip(Body):
    """What a camera read from the code on a slip."""

    code: Annotated[str, Field(min_length=1, max_length=8000)]
    said: Text = Field("", description="In the words of whoever sends it")


class Assignment(Body):
    owner: Short | None = Field(None, description="An account that may work on the case")
    team: Short | None = None
    external: bool = Field(False, description="The owner has no account here")


class HandOver(Body):
    team: Short
    reason: Text
    owner: Short | None = None


class Said(Body):
    text: Text


class Call(Body):
    text: Text
    with_whom: Short
    incoming: bool


class MerchantSaid(Body):
    """What the merchant answered by telephone."""

    works: bool
    with_whom: Short
    text: Text = ""


class Eta(Body):
    eta: AwareDatetime
    reason: Text = ""


class Pause(Body):
    reason: Literal["merchant", "part", "operator"]
    text: Text


class MaybeSaid(Body):
    text: Text = ""


class Cause(Body):
    root_cause: Short
    text: Text = ""
    evidence: dict[str, Any] = Field(default_factory=dict)


class Repair(Body):
    remedy: Short
    text: Text = ""
    part: dict[Literal["name", "old", "new"], Short] | None = None


class Dismissal(Body):
    outcome: Literal["false_alarm", "duplicate"]
    reason: Text
    into: Short | None = None


class Visit(Body):
    """When a technician comes, and with what."""

    technician: Short
    from_: AwareDatetime = Field(alias="from")
    until: AwareDatetime
    part: Short = ""
    skill: Short = ""
    access: Short = ""


class Tags(Body):
    add: list[Short] = Field(default_factory=list, max_length=20)
    remove: list[Short] = Field(default_factory=list, max_length=20)


THERE: Final[dict[int | str, dict[str, Any]]] = {200: {"model": CaseItem, "description": "It was there"}}


@dataclass(frozen=True, slots=True)
class Acting:
    """One request that does something with a case."""

    center: Center
    who: Who
    name: str
    key: str | None = None
    seen: int | None = None

    def do(self, what: str, act: Callable[[Act, str], Mapping[str, Any]]) -> JSONResponse:
        """Do it, and answer with the case."""
        case_id = self.tried(what, act)["id"]
        with self.center.database.read() as connection:
            return JSONResponse(items.case(case_row(connection, self.who.scope, case_id)))

    def tried(self, what: str, act: Callable[[Act, str], T]) -> T:
        """What comes of it; that it was tried is written down."""
        with self.center.database.read() as connection:
            case_id = case_row(connection, self.who.scope, self.name).id
        told = _told(self.center, self.who, f"case.{what}")
        try:
            return act(
                Act(scope=self.who.scope, by=self.who.called, key=self.key, seen=self.seen, record=told), case_id
            )
        except Refusal as error:
            with self.center.database.begin() as connection:
                told(connection, case_id, {"refused": str(error)})
            raise


def _told(center: Center, who: Who, what: str) -> Callable[[Connection, str, Mapping[str, Any] | None], None]:
    """What writes into the audit, in the transaction of whatever is done."""

    def tell(connection: Connection, case_id: str, detail: Mapping[str, Any] | None) -> None:
        record(connection, center, who, what, case_id, detail)

    return tell


def _acting(permission: Permission) -> Callable[..., Acting]:
    check = allowed(permission)

    def make(
        request: Request,
        name: Name,
        center: TheCenter,
        somebody: Somebody,
        idempotency_key: Key = None,
        seen: Seen = None,
    ) -> Acting:
        who = check(request, center, somebody)
        return Acting(center, who, name, idempotency_key, None if seen is None else moment_ms(seen))

    return make


Writing = Annotated[Acting, Depends(_acting("case.write"))]
Assigning = Annotated[Acting, Depends(_acting("case.assign"))]
Closing = Annotated[Acting, Depends(_acting("case.close"))]


@router.post("", response_model=CaseItem, status_code=201, responses=THERE)
def open_case(
    body: Opening,
    center: TheCenter,
    who: Annotated[Who, Depends(allowed("case.write"))],
    idempotency_key: Key = None,
) -> JSONResponse:
    """Open a case; 200 with the one that is there, if this trouble has one already."""
    case, is_new = center.cases.open(opener(center, who, "case.open", idempotency_key), NewCase(**body.model_dump()))
    return opened(center, who, case["id"], is_new)


@router.post(
    "/scan",
    response_model=CaseItem,
    status_code=201,
    responses=THERE,
)
def open_scanned_case(
    body: Slip,
    center: TheCenter,
    who: Annotated[Who, Depends(allowed("case.write"))],
    idempotency_key: Key = None,
) -> JSONResponse:
    """Open the case that the help code of a slip tells of. A code with a wrong signature is refused."""
    try:
        act = opener(center, who, "case.scan", idempotency_key)
        case, is_new = center.cases.open_scanned(act, body.code, body.said)
    except Refusal as error:
        with center.database.begin() as connection:
            record(connection, center, who, "case.scan", "", {"refused": str(error)})
        raise
    return opened(center, who, case["id"], is_new)


def opener(center: Center, who: Who, what: str, key: str | None) -> Act:
    """What opens a case: in whose name, once for a key, and written down."""
    once = None if key is None else f"api:{who.name}:{key}"
    return Act(scope=who.scope, by=who.called, key=once, record=_told(center, who, what))


def opened(center: Center, who: Who, case_id: str, is_new: bool) -> JSONResponse:
    """The answer to opening a case."""
    with center.database.read() as connection:
        return JSONResponse(items.case(case_row(connection, who.scope, case_id)), 201 if is_new else 200)


@router.post("/{name}/acknowledge", response_model=CaseItem)
def acknowledge(it: Writing) -> JSONResponse:
    """Take it on."""
    return it.do("acknowledge", it.center.cases.acknowledge)


@router.post("/{name}/assign", response_model=CaseItem)
def assign(body: Assignment, it: Assigning) -> JSONResponse:
    """Give it to somebody, or to a team."""
    assign = it.center.cases.assign
    return it.do("assign", lambda act, case: assign(act, case, body.owner, body.team, external=body.external))


@router.post("/{name}/undo", response_model=CaseItem)
def undo(it: Writing) -> JSONResponse:
    """Take back the acknowledgement or assignment that was just made."""
    return it.do("undo", it.center.cases.undo)


@router.post("/{name}/hand_over", response_model=CaseItem)
def hand_over(body: HandOver, it: Writing) -> JSONResponse:
    """To another team, with a reason; the clocks run on."""
    return it.do(
        "hand_over", lambda act, case: it.center.cases.hand_over(act, case, body.team, body.reason, body.owner)
    )


@router.post("/{name}/note", response_model=CaseItem)
def note(body: Said, it: Writing) -> JSONResponse:
    """For colleagues only."""
    return it.do("note", lambda act, case: it.center.cases.note(act, case, body.text))


@router.post("/{name}/call", response_model=CaseItem)
def call(body: Call, it: Writing) -> JSONResponse:
    """A telephone call and what was said."""

    def act(act: Act, case: str) -> Mapping[str, Any]:
        return it.center.cases.call(act, case, body.text, with_whom=body.with_whom, incoming=body.incoming)

    return it.do("call", act)


@router.post("/{name}/message", response_model=CaseItem)
def message(body: Said, it: Writing) -> JSONResponse:
    """To the merchant: on the page and at the terminal."""
    return it.do("message", lambda act, case: it.center.cases.message(act, case, body.text))


@router.post("/{name}/eta", response_model=CaseItem)
def set_eta(body: Eta, it: Writing) -> JSONResponse:
    """When it is expected to work again."""
    return it.do("eta", lambda act, case: it.center.cases.set_eta(act, case, moment_ms(body.eta), body.reason))


@router.post("/{name}/pause", response_model=CaseItem)
def pause(body: Pause, it: Writing) -> JSONResponse:
    """Stop the clocks while it waits for somebody else."""
    return it.do("pause", lambda act, case: it.center.cases.pause(act, case, body.reason, body.text))


@router.post("/{name}/resume", response_model=CaseItem)
def resume(body: MaybeSaid, it: Writing) -> JSONResponse:
    """Let the clocks run again."""
    return it.do("resume", lambda act, case: it.center.cases.resume(act, case, body.text))


@router.post("/{name}/cause", response_model=CaseItem)
def find_cause(body: Cause, it: Writing) -> JSONResponse:
    """Why it happened, and what shows it."""

    def act(act: Act, case: str) -> Mapping[str, Any]:
        return it.center.cases.find_cause(act, case, body.root_cause, body.text, body.evidence)

    return it.do("cause", act)


@router.post("/{name}/repaired", response_model=CaseItem)
def repaired(body: Repair, it: Writing) -> JSONResponse:
    """Something was done about it; whether it helped is found out before the case closes."""
    part = {str(name): value for name, value in body.part.items()} if body.part else None
    return it.do("repaired", lambda act, case: it.center.cases.repaired(act, case, body.remedy, body.text, part))


@router.post("/{name}/dispatch", response_model=CaseItem)
def dispatch(body: Visit, it: Writing) -> JSONResponse:
    """Announce a visit; its diagnosis, likely part and signed token are in the step that this writes."""

    def act(act: Act, case: str) -> Mapping[str, Any]:
        from_ms, until_ms = moment_ms(body.from_), moment_ms(body.until)
        send = it.center.dispatch.send
        changed, _code = send(
            act, case, body.technician, from_ms, until_ms, part=body.part, skill=body.skill, access=body.access
        )
        return changed

    return it.do("dispatch", act)


@router.post("/{name}/cancel_visit", response_model=CaseItem)
def cancel_visit(body: Said, it: Writing) -> JSONResponse:
    """The visit will not take place, with the reason."""
    return it.do("cancel_visit", lambda act, case: it.center.dispatch.cancel(act, case, body.text))


@router.post("/{name}/answer", response_model=CaseItem)
def answer(body: Said, it: Writing) -> JSONResponse:
    """Answer a question or a complaint."""
    return it.do("answer", lambda act, case: it.center.cases.answer(act, case, body.text))


@router.post("/{name}/merchant_answer", response_model=CaseItem)
def merchant_answer(body: MerchantSaid, it: Writing) -> JSONResponse:
    """The merchant said by telephone whether it works; the closing gate goes on as if it were said on the page."""

    def act(act: Act, case: str) -> Mapping[str, Any]:
        answered = it.center.merchant_line.answered
        return answered(act, case, works=body.works, with_whom=body.with_whom, said=body.text)

    return it.do("merchant_answer", act)


@router.post("/{name}/withdraw_link", response_model=CaseItem)
def withdraw_link(body: Said, it: Writing) -> JSONResponse:
    """The merchant's page is no more, with the reason; whoever opens its address finds none."""
    return it.do("withdraw_link", lambda act, case: it.center.merchant_line.withdraw_link(act, case, body.text))


@router.post("/{name}/new_link", response_model=CaseItem)
def new_link(it: Writing) -> JSONResponse:
    """A merchant's page again, at another address, once the old one is withdrawn."""
    return it.do("new_link", it.center.merchant_line.new_link)


@router.post("/{name}/dismiss", response_model=CaseItem)
def dismiss(body: Dismissal, it: Closing) -> JSONResponse:
    """Close what is no case."""
    return it.do("dismiss", lambda act, case: it.center.cases.dismiss(act, case, body.outcome, body.reason, body.into))


@router.post("/{name}/tag", response_model=CaseItem)
def tag(body: Tags, it: Writing) -> JSONResponse:
    """Words to count by."""
    return it.do("tag", lambda act, case: it.center.cases.tag(act, case, tuple(body.add), tuple(body.remove)))
