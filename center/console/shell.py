"""What surrounds every screen: menu, search, language, light and dark, keys, and the state of the connection."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from html import escape
from typing import Any, Final
from urllib.parse import quote

from nicegui import events, ui

from center.console import parts
from center.console.session import Refused, Visit, lead_to
from center.console.words import LANGUAGES

SCREENS: Final = (
    "now",
    "queue",
    "wallboard",
    "map",
    "terminal",
    "terminals",
    "incident",
    "case",
    "cases",
    "site",
    "sites",
    "campaigns",
    "campaign",
    "broadcasts",
    "broadcast_new",
    "readiness",
    "reports",
    "reports_rows",
    "knowledge",
    "remedy_tries",
    "evidence",
    "audit",
    "admin",
)
"""Modules of this package that hold screens."""

MENU: Final[tuple[tuple[str, str, str, str], ...]] = (
    ("now", "/console/", "home", "read"),
    ("queue", "/console/queue", "format_list_bulleted", "read"),
    ("case", "/console/cases", "assignment", "read"),
    ("terminal", "/console/terminals", "point_of_sale", "read"),
    ("site", "/console/sites", "storefront", "read"),
    ("map", "/console/map", "map", "read"),
    ("campaigns", "/console/campaigns", "campaign", "read"),
    ("readiness", "/console/readiness", "event_available", "read"),
    ("knowledge", "/console/knowledge", "menu_book", "read"),
    ("reports", "/console/reports", "bar_chart", "read"),
    ("wallboard", "/console/wallboard", "tv", "read"),
    ("evidence", "/console/evidence", "verified", "evidence"),
    ("audit", "/console/audit", "policy", "audit.read"),
    ("admin", "/console/admin", "settings", "suppress"),
)
_THEMES: Final = {"auto": None, "light": False, "dark": True}
_NEXT_THEME: Final = {"auto": "light", "light": "dark", "dark": "auto"}
_THEME_ICON: Final = {"auto": "brightness_auto", "light": "light_mode", "dark": "dark_mode"}
_OF_EACH: Final = 4
"""So many terminals, sites, cases and incidents are shown of those found."""
_LEAST_LETTERS: Final = 2

Build = Callable[[], Awaitable[None]]
log = logging.getLogger("posdiag.center.console")


async def show(visit: Visit, name: str, theme: str, build: Build) -> None:
    """The whole page, in the visitor's language; anew when they choose another one."""
    frame = ui.element("div").classes("frame")
    dark = ui.dark_mode(_THEMES.get(theme))
    bare = name == "wallboard"

    async def again() -> None:
        visit.forget()
        frame.clear()
        with visit.client:  # the button that was pressed is gone
            ui.page_title(f"{visit.say(f'{name}.title')} · posdiag")
            ui.run_javascript(f"document.documentElement.lang = {_tag(visit.language)!r}")
        with frame:
            if not bare:
                _top(visit, name, theme if theme in _THEMES else "auto", dark, again)
            with ui.element("div").classes("content").props('id="content" tabindex="-1"'):
                try:
                    await build()
                except Refused as error:
                    _refusal(visit, error)
                except Exception:  # whoever looks gets one sentence, and what is wrong stands in the log
                    log.exception("the screen %s cannot be shown", name)
                    _refusal(visit, Refused(500, visit.say("shell.failed")))

    ui.add_head_html(f"<script>document.documentElement.lang = {_tag(visit.language)!r}</script>")
    ui.add_body_html(_opening(visit, name, theme))
    if not bare:
        ui.keyboard(lambda key: _pressed(visit, key), ignore=["input", "select", "button", "textarea"])
    await again()


def _opening(visit: Visit, name: str, theme: str) -> str:
    """What can be seen while the browser still reads its scripts: which screen this will be, in its own colours."""
    title, loading, needs = (escape(visit.say(key)) for key in (f"{name}.title", "shell.loading", "shell.needs_script"))
    return (
        '<div class="opening"><div class="opening-top">'
        '<img src="/console/static/mark.svg" alt="" width="24" height="24">posdiag</div>'
        f'<p class="opening-title">{title}</p><p class="quiet">{loading}</p>'
        f'<p class="opening-needs">{needs}</p></div>'
        f"<script>posdiag.opening({json.dumps(_THEMES.get(theme))})</script>"
    )


def _tag(language: str) -> str:
    return {"zh": "zh-CN"}.get(language, language)


def _refusal(visit: Visit, error: Refused) -> None:
    """In place of a screen that may not be seen, or whose row is not there."""
    key = "shell.not_there" if error.status == 404 else "shell.refused"
    with ui.element("section").classes("empty").props('role="alert"'):
        ui.icon("search_off" if error.status == 404 else "block").props('aria-hidden="true"')
        ui.label(visit.say(key)).classes("empty-title")
        ui.label(str(error))
        parts.link("/console/", visit.say("shell.home"))


def _top(visit: Visit, name: str, theme: str, dark: ui.dark_mode, again: Build) -> None:
    parts.link("#content", visit.say("shell.skip")).classes("skip")
    with ui.element("header").classes("top"):
        menu = (
            ui.button(icon="menu", color=None)
            .props(f'flat round dense aria-label="{visit.say("shell.menu")}"')
            .classes("burger")
        )
        with parts.link("/console/").classes("brand").props('aria-label="posdiag"'):
            ui.html('<img src="/console/static/mark.svg" alt="" width="24" height="24">', sanitize=False)
            ui.label("posdiag")
        _search(visit)
        ui.element("div").classes("stretch")
        _language(visit, again)
        _theme(visit, theme, dark)
        account = ui.button(icon="account_circle", color=None)
        account.props(f'flat round dense aria-label="{visit.say("shell.account")}"').mark("account")
        with account, ui.menu():
            ui.menu_item(f"{visit.me['name']} · {', '.join(visit.me['roles'])}").props("disable")
            ui.menu_item(visit.say("shell.password"), lambda: lead_to("/login/password"))
            ui.menu_item(visit.say("shell.keys"), lambda: _help(visit))
            ui.menu_item(visit.say("shell.leave"), lambda: _leave(visit))
    bar = ui.element("nav").classes("side").props(f'aria-label="{visit.say("shell.menu")}"')
    menu.on_click(lambda: bar.classes(toggle="open"))
    with bar:
        for screen, where, icon, permission in MENU:
            if visit.may(permission):
                with parts.link(where).classes("entry"):
                    ui.icon(icon).props('aria-hidden="true"')
                    ui.label(visit.say(f"{screen}.menu"))
                if screen == name:
                    bar.default_slot.children[-1].classes("here").props('aria-current="page"')


def _search(visit: Visit) -> None:
    """Finds a terminal, a site, a case or an incident by a part of its name or number."""
    label = visit.say("shell.search")
    with ui.element("div").classes("search"):
        field = ui.input(placeholder=label).props(f'dense outlined clearable debounce=250 aria-label="{label}"')
        found = ui.element("div").classes("found").props('role="status"')
        found.set_visibility(False)

    async def look(event: events.ValueChangeEventArguments[Any]) -> None:
        text = (event.value or "").strip()
        hits: list[tuple[str, str, str]] = []
        if len(text) >= _LEAST_LETTERS:
            try:
                hits = _hits(await visit.api.get("/find", q=text))
            except Refused as error:
                visit.refused(error)
        found.clear()
        found.set_visibility(len(text) >= _LEAST_LETTERS)
        with found:
            for kind, where, title in hits:
                with parts.link(where).classes("hit"):
                    ui.label(visit.say(f"shell.a_{kind}")).classes("quiet")
                    ui.label(title)
            if not hits:
                ui.label(visit.say("shell.nothing_found")).classes("quiet hit")

    field.on_value_change(look)


def _hits(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[tuple[str, str, str]]:
    """Kind, address and title of what was found, the best of each kind."""
    hits = []
    for kind in ("terminal", "site"):
        for row in found[f"{kind}s"][:_OF_EACH]:
            where = f"/console/{kind}/{quote(row['estate'], safe='')}/{quote(row[kind], safe='')}"
            more = row["site"] if kind == "terminal" else row["name"]
            hits.append((kind, where, f"{row[kind]} · {more}" if more else row[kind]))
    for kind in ("case", "incident"):
        for row in found[f"{kind}s"][:_OF_EACH]:
            title = f"{row['number']} {row['title']}" if kind == "case" else row["title"]
            hits.append((kind, f"/console/{kind}/{quote(row['id'], safe='')}", title))
    return hits


def _language(visit: Visit, again: Build) -> None:
    async def choose(language: str) -> None:
        answer = await visit.act(visit.api.send("PUT", "/me", {"language": language}))
        if answer is not None:
            visit.language = language
            await again()

    with ui.element("div").classes("languages").props(f'role="group" aria-label="{visit.say("shell.language")}"'):
        for language, name in LANGUAGES.items():
            pressed = "true" if language == visit.language else "false"
            ui.button(name, on_click=lambda _, language=language: choose(language), color=None).props(
                f'flat dense no-caps lang="{_tag(language)}" aria-pressed="{pressed}"'
            ).mark(f"language-{language}")


def _theme(visit: Visit, theme: str, dark: ui.dark_mode) -> None:
    state = {"theme": theme}

    def change() -> None:
        state["theme"] = _NEXT_THEME[state["theme"]]
        dark.value = _THEMES[state["theme"]]
        ui.run_javascript(
            f"document.cookie = 'posdiag_theme={state['theme']};path=/console;max-age=31536000;samesite=lax'"
        )
        button.props(f"icon={_THEME_ICON[state['theme']]}")

    button = ui.button(icon=_THEME_ICON[theme], on_click=change, color=None)
    button.props(f'flat round dense aria-label="{visit.say("shell.theme")}"').mark("theme")


async def _leave(visit: Visit) -> None:
    if await visit.act(visit.api.send("DELETE", "/session")):
        lead_to("/login")


def _pressed(visit: Visit, key: events.KeyEventArguments) -> None:
    if not key.action.keydown or key.modifiers.ctrl or key.modifiers.alt or key.modifiers.meta:
        return
    if key.key == "/":
        ui.run_javascript("document.querySelector('.search input')?.focus()")
    elif key.key == "?":
        _help(visit)


def _help(visit: Visit) -> None:
    with visit.client, ui.dialog() as dialog, ui.card():
        ui.label(visit.say("shell.keys")).classes("dialog-title")
        with ui.element("dl").classes("keys"):
            for key, phrase in (
                ("/", "key_search"), ("?", "key_help"), ("j / k", "key_move"), ("Enter", "key_open"),
                ("a", "key_acknowledge"), ("e", "key_eta"), ("o", "key_own"),
            ):  # fmt: skip
                with ui.element("dt"):
                    ui.html(f"<kbd>{key}</kbd>", sanitize=False)
                with ui.element("dd"):
                    ui.label(visit.say(f"shell.{phrase}"))
        ui.button(visit.say("shell.close"), on_click=dialog.close, color=None).props("flat no-caps")
    dialog.open()
