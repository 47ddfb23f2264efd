"""What an administrator's page asks: settings in force, the command key, trials, lists before they are taken in."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import insert, select

from agent.wire import dumps
from center.access.roles import Who
from center.api import sites
from center.api.context import ApiError, Center
from center.api.lookups import Name, one
from center.api.proof import TheCenter, allowed, everywhere, record
from center.config import without_password
from center.db import tables
from center.domain.refusal import Refusal
from center.ids import new_id
from center.notify import alertmanager, channel_urls, webhook_urls
from center.settings import Settings

router = APIRouter(prefix="/api/v1", tags=["administration"])

Admin = Annotated[Who, Depends(everywhere("admin"))]
Writer = Annotated[Who, Depends(allowed("place.write"))]
_MOST_TEXT: Final = 5_000_000
_TRIAL: Final = "posdiag: trial message"
_TRIAL_BODY: Final = "Somebody at the support center tried whether this place can be told. Nothing is wrong."


class SettingItem(BaseModel):
    """One setting as it is in force. `own`: it was set here, by file, flag or environment; else it is as shipped."""

    name: str
    value: Any
    own: bool
    meaning: str


class Settled(BaseModel):
    items: list[SettingItem]
    next: None = None


class KeyState(BaseModel):
    """The key that signs commands: its id, or in `problem` why there is none."""

    kid: str | None
    problem: str


class Trial(BaseModel):
    """How a trial message went: `problem` is "" if it was taken."""

    problem: str


class RawList(BaseModel):
    """CSV with a head line, as a person has it."""

    model_config = ConfigDict(extra="forbid")
    what: Literal["sites", "places"]
    text: str = Field(max_length=_MOST_TEXT)


class LineProblem(BaseModel):
    """`line` is counted as editors do, the head line being 1; null for what is wrong with the whole."""

    line: int | None
    text: str


class ReadList(BaseModel):
    """What would be taken in, for `…/import`, and everything that is wrong with it."""

    rows: list[dict[str, Any]]
    problems: list[LineProblem]


@router.get("/center/settings", response_model=Settled)
def list_settings(center: TheCenter, _who: Admin) -> JSONResponse:
    """The center's settings in force, without passwords."""
    shipped = Settings()
    hidden = {"db": without_password(center.settings.database), "group": "***"}
    items = [
        {
            "name": spec.name,
            "value": hidden.get(spec.name, getattr(center.settings, spec.name)),
            "own": getattr(center.settings, spec.name) != getattr(shipped, spec.name),
            "meaning": spec.metadata["meaning"],
        }
        for spec in fields(Settings)
    ]
    return JSONResponse({"items": items, "next": None})


@router.get("/center/command-key", response_model=KeyState)
def get_command_key(center: TheCenter, _who: Admin) -> JSONResponse:
    """Whether commands can be signed, and with which key."""
    try:
        return JSONResponse({"kid": center.commands.kid, "problem": ""})
    except Refusal as error:
        return JSONResponse({"kid": None, "problem": str(error)})


@router.post("/channels/{name}/try", response_model=Trial)
def try_channel(name: Name, center: TheCenter, who: Admin) -> JSONResponse:
    """Send a trial message to a channel now, whatever its hours; it stands among the notifications then."""
    with center.database.read() as connection:
        row = one(connection, select(tables.channels).where(tables.channels.c.id == name), "channel")
    if channel_urls.TO in row.url:
        raise ApiError(409, "this channel writes to the contacts that a message names; there is nobody to try it with")
    problem = channel_urls.send_guarded(row.url, _TRIAL, _TRIAL_BODY)
    return _tried(center, who, "channel.try", name, row.name, problem)


@router.post("/webhooks/{name}/try", response_model=Trial)
def try_webhook(name: Name, center: TheCenter, who: Admin) -> JSONResponse:
    """Send a trial message, an event or alert `trial`, to a webhook now."""
    with center.database.read() as connection:
        row = one(connection, select(tables.webhooks).where(tables.webhooks.c.id == name), "webhook")
    now_ms = center.now_ms()
    if row.format == alertmanager.FORMAT:
        problem = alertmanager.send(row.url, [alertmanager.trial(now_ms)])
        return _tried(center, who, "webhook.try", name, name, problem)
    body = dumps({"event": "trial", "subject": _TRIAL, "body": _TRIAL_BODY})
    key = new_id("trial", now_ms)
    problem, _gone = webhook_urls.send(row.url, row.secret, "trial", key, body, now_ms // 1000)
    return _tried(center, who, "webhook.try", name, name, problem)


@router.post("/imports/read", response_model=ReadList)
def read_list(body: RawList, _who: Writer) -> JSONResponse:
    """Look at a list of sites or places before it is taken in: its rows as JSON, and what is wrong, line by line."""
    rows, problems = sites.look_through(body.what, body.text)
    return JSONResponse({"rows": rows, "problems": [{"line": line, "text": text} for line, text in problems]})


def _tried(center: Center, who: Who, what: str, target: str, told: str, problem: str) -> JSONResponse:
    now_ms = center.now_ms()
    note = {
        "id": new_id("note", now_ms),
        "who": who.name,
        "channel": told,
        "subject": _TRIAL,
        "body": _TRIAL_BODY,
        "state": "failed" if problem else "sent",
        "error": problem,
        "at_ms": now_ms,
    }
    with center.database.begin() as connection:
        connection.execute(insert(tables.notifications).values(note))
        record(connection, center, who, what, target, {"problem": problem})
    return JSONResponse({"problem": problem})
