"""Accounts, tokens and roles. What is shown once is shown in a dialog that stays until it is closed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from nicegui import ui

from center.access.roles import MAY, PERMISSIONS, ROLES, Permission, Role
from center.console import parts
from center.console.listing import FIRST, more
from center.console.parts import Field
from center.console.plain_table import Cell, plain_table
from center.console.session import Visit, lead_to

Row = Mapping[str, Any]
_SCOPE: Final = ("estates", "regions", "sites")


async def accounts(visit: Visit) -> None:
    """Who may log in, and as what."""
    page = await visit.api.get("/accounts", limit=FIRST)
    parts.button(visit.say("admin.new_account"), lambda: _account(visit, None), "person_add", main=True, mark="new")
    heads = [visit.say(f"admin.{name}") for name in ("name", "roles", "scope", "last_login", "state", "do")]
    add = plain_table(visit.say("admin.part_accounts"), heads, _rows(visit, _account_row, page["items"]))
    more(visit, "/accounts", {}, page["next"], lambda found: add(_rows(visit, _account_row, found)))


def _rows(visit: Visit, row: Callable[[Visit, Row], list[Cell]], found: Sequence[Row]) -> list[list[Cell]]:
    return [row(visit, each) for each in found]


def _account_row(visit: Visit, each: Row) -> list[Cell]:
    def state() -> None:
        name = "disabled" if each["disabled"] else "must_change" if each["must_change"] else "active"
        looks = {"disabled": "unsupported", "must_change": "warning", "active": "ok"}
        parts.light(visit, looks[name], visit.say(f"admin.{name}"))

    async def turn() -> None:
        change = {"disabled": not each["disabled"]}
        if await visit.act(visit.api.send("PATCH", f"/accounts/{each['id']}", change)):
            lead_to("/console/admin/accounts")

    async def reset() -> None:
        told = await visit.act(visit.api.post(f"/accounts/{each['id']}/password"))
        if told:
            once(visit, visit.say("admin.password_of", name=each["name"]), told["password"], "/console/admin/accounts")

    def do() -> None:
        with ui.element("div").classes("row-acts"):
            parts.button(visit.say("admin.change"), lambda: _account(visit, each), mark="change")
            parts.button(visit.say("admin.reset"), reset, mark="reset")
            parts.button(visit.say("admin.enable" if each["disabled"] else "admin.disable"), turn, mark="turn")

    roles = ", ".join(visit.word(f"admin.role_{role}", role) for role in each["roles"] or ())
    return [each["name"], roles, scope_words(visit, each["scopes"]),
            lambda: parts.moment(visit, each["last_login_at"]), state, do]  # fmt: skip


def _account(visit: Visit, old: Row | None) -> None:
    async def send(told: dict[str, Any]) -> None:
        body = {"roles": [role for role in ROLES if told[role]], "scope": _scope(told)}
        if old is not None:
            await visit.api.send("PATCH", f"/accounts/{old['id']}", body)
            lead_to("/console/admin/accounts")
            return
        made = await visit.api.post("/accounts", body | {"name": told["name"], "language": told["language"]})
        title = visit.say("admin.password_of", name=made["name"])
        once(visit, title, made["password"], "/console/admin/accounts")

    had = (old or {}).get("roles") or ()
    new = [
        Field("name", visit.say("admin.name"), needed=True),
        Field("language", visit.say("shell.language"), "choice", visit.language, {"en": "English", "zh": "中文"}),
    ]
    roles = [Field(role, visit.say(f"admin.role_{role}"), "check", role in had) for role in ROLES]
    title = visit.say("admin.new_account") if old is None else visit.say("admin.change_of", name=old["name"])
    fields = [*(new if old is None else []), *roles, *_scope_fields(visit, (old or {}).get("scopes"))]
    parts.ask(visit, title, fields, send, go=visit.say("shell.save"))


async def tokens(visit: Visit) -> None:
    """What programs come in with."""
    page = await visit.api.get("/tokens", limit=FIRST)
    parts.button(visit.say("admin.new_token"), lambda: _token(visit), "add", main=True, mark="new")
    if not page["items"]:
        parts.empty(visit, "admin.tokens_empty")
        return
    heads = [visit.say(f"admin.{name}") for name in ("name", "role", "scope", "last_used", "state", "do")]
    add = plain_table(visit.say("admin.part_tokens"), heads, _rows(visit, _token_row, page["items"]))
    more(visit, "/tokens", {}, page["next"], lambda found: add(_rows(visit, _token_row, found)))


def _token_row(visit: Visit, each: Row) -> list[Cell]:
    revoked = each["revoked_at"] is not None

    def state() -> None:
        if revoked:
            parts.light(visit, "unsupported", visit.say("admin.revoked"))
        elif each["expires_at"]:
            parts.light(visit, "warning", visit.say("admin.expires", at=parts.clock(each["expires_at"])))
        else:
            parts.light(visit, "ok", visit.say("admin.active"))

    async def revoke() -> None:
        if await visit.act(visit.api.send("DELETE", f"/tokens/{each['id']}")):
            lead_to("/console/admin/tokens")

    def do() -> None:
        if not revoked:
            parts.button(visit.say("admin.revoke"), revoke, mark="revoke")

    role = visit.word(f"admin.role_{each['role']}", each["role"])
    return [each["name"] or each["id"], role, scope_words(visit, each["scopes"]),
            lambda: parts.moment(visit, each["last_used_at"]), state, do]  # fmt: skip


def _token(visit: Visit) -> None:
    async def send(told: dict[str, Any]) -> None:
        body = {"role": told["role"], "name": told["name"], "scope": _scope(told), "expires": told["expires"] or None}
        made = await visit.api.post("/tokens", body)
        once(visit, visit.say("admin.token_once"), made["token"], "/console/admin/tokens")

    names: dict[str, str] = {role: visit.say(f"admin.role_{role}") for role in ROLES}
    fields = [
        Field("name", visit.say("admin.token_for"), needed=True),
        Field("role", visit.say("admin.role"), "choice", "viewer", names),
        Field("expires", visit.say("admin.expires_at"), "time"),
        *_scope_fields(visit, None),
    ]
    parts.ask(visit, visit.say("admin.new_token"), fields, send)


async def roles(visit: Visit) -> None:
    """Which role may do what."""

    def cell(role: Role, permission: Permission) -> Cell:
        may = permission in MAY[role]
        return lambda: parts.light(visit, "ok" if may else "unsupported", visit.say(f"admin.{'may' if may else 'not'}"))

    heads = [visit.say("admin.permission"), *(visit.say(f"admin.role_{role}") for role in ROLES)]
    rows = [
        [visit.say(f"admin.can_{permission.replace('.', '_')}"), *(cell(role, permission) for role in ROLES)]
        for permission in PERMISSIONS
    ]
    plain_table(visit.say("admin.part_roles"), heads, rows)


def once(visit: Visit, title: str, secret: str, then: str) -> None:
    """Show what will never be shown again; where to go when it was noted down."""
    with visit.client, ui.dialog() as dialog, ui.card().classes("asking"):
        dialog.props("persistent")
        parts.text("h2", title)
        parts.text("p", visit.say("admin.once"))
        with ui.element("div").classes("copied"):
            parts.text("code", secret).mark("secret")
            copy = ui.button(visit.say("admin.copy"), color=None).props("outline no-caps")
            copy.on("click", js_handler="posdiag.copy")
        parts.button(visit.say("admin.noted"), lambda: lead_to(then), main=True, mark="noted")
    dialog.open()


def scope_words(visit: Visit, scope: Row | None) -> str:
    """A part of the fleet in words."""
    told = [
        f"{visit.say(f'admin.{name}')}: {', '.join(values)}" for name in _SCOPE if (values := (scope or {}).get(name))
    ]
    return "; ".join(told) or visit.say("admin.everything")


def _scope_fields(visit: Visit, scope: Row | None) -> list[Field]:
    hint = visit.say("admin.scope_hint")
    return [
        Field(name, visit.say(f"admin.{name}"), value=", ".join((scope or {}).get(name) or ()), hint=hint)
        for name in _SCOPE
    ]


def _scope(told: Row) -> dict[str, list[str] | None]:
    """Names that are divided by commas; none is all."""
    lists = {name: [each.strip() for each in told[name].split(",") if each.strip()] for name in _SCOPE}
    return {name: values or None for name, values in lists.items()}
