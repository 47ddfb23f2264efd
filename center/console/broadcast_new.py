"""A new message to the merchants of many sites: whom it would reach, and what they read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import quote

from nicegui import ui

from center.console import parts
from center.console.app import screen
from center.console.campaign_form import AudiencePicker
from center.console.campaigns import usual_estates
from center.console.pane import Pane
from center.console.parts import Field
from center.console.session import Refused, Visit, lead_to
from center.console.words import LANGUAGES
from center.domain import broadcast
from center.domain.cases_policy import Policy
from center.domain.texts import sms_parts


@screen("/broadcasts/new", "campaigns")
async def build(visit: Visit, estates: str = "", sites: str = "", tags: str = "", incident: str = "") -> None:
    """Of an `incident`, or else of an audience that is chosen here."""
    if not visit.may("suppress"):
        raise Refused(403, visit.say("broadcasts.not_yours"))
    parts.heading(visit.say("broadcasts.new"), visit.say("broadcasts.about"))
    if incident:
        about = await visit.api.get(f"/incidents/{quote(incident, safe='')}/sheet", language=visit.language)
        whom: _OfIncident | _Chosen = _OfIncident(visit, about)
    else:
        given = {"estates": estates or await usual_estates(visit), "sites": sites, "tags": tags}
        whom = _Chosen(AudiencePicker(visit, given))
    with parts.section(visit.say("broadcasts.whom")):
        whom.build()
        reach = Pane(partial(_reach, visit))
    with parts.section(visit.say("broadcasts.text")):
        texts = _texts(visit)
    wrong = parts.text("p", "").classes("wrong").props('role="alert"')

    async def count() -> None:
        asked = whom.asked()
        try:
            reach.show(await visit.api.post("/broadcasts/reach", asked) if asked else None)
        except Refused as error:
            reach.show(str(error))

    async def send() -> None:
        said = {each: made.value.strip() for each, made in texts.items()}
        missing = [visit.say(f"broadcasts.text_{each}") for each, text in said.items() if not text]
        missing += [] if whom.asked() else [visit.say("broadcasts.whom")]
        wrong.text = visit.say("campaigns.missing", what=visit.say("broadcasts.comma").join(missing)) if missing else ""
        if not missing:
            try:
                wrong.text = await _sure(visit, whom.asked(), said)
            except Refused as error:
                wrong.text = str(error)

    with ui.element("div").classes("bar"):
        parts.button(visit.say("broadcasts.send"), send, "send", main=True, mark="write")
        parts.link("/console/broadcasts", visit.say("shell.cancel"))
    whom.on_change(count)
    await count()


class _OfIncident:
    """All merchants whose terminals are in an incident."""

    def __init__(self, visit: Visit, told: Mapping[str, Any]) -> None:
        self._visit = visit
        self._told = told

    def build(self) -> None:
        with ui.element("p"):
            parts.text("span", self._visit.say("broadcasts.of_incident")).classes("quiet gap")
            parts.link(f"/console/incident/{quote(self._told['id'], safe='')}", self._told["title"])

    def asked(self) -> dict[str, Any]:
        """Whom it is for, as the API takes it."""
        return {"incident": self._told["id"]}

    def on_change(self, do: Callable[[], Awaitable[None]]) -> None:
        """It stays as it is."""


class _Chosen:
    """An audience that is chosen on the page."""

    def __init__(self, picker: AudiencePicker) -> None:
        self.build = picker.build
        self.on_change = picker.on_change
        self._names = picker.names

    def asked(self) -> dict[str, Any]:
        """Whom it is for, as the API takes it; empty before anything is filled in."""
        named = self._names()
        return {"audience": named} if named else {}


async def _sure(visit: Visit, whom: Mapping[str, Any], texts: Mapping[str, str]) -> str:
    """Ask once more with the number of sites that it is for now; what is wrong, if anything. Raises Refused."""
    told = await visit.api.post("/broadcasts/reach", whom)
    if not told["sites"]:
        return visit.say("broadcasts.reach_none")

    async def go(_given: dict[str, Any]) -> None:
        made = await visit.api.post("/broadcasts", {**whom, "texts": texts})
        lead_to(f"/console/broadcast/{quote(made['id'], safe='')}")

    parts.ask(visit, visit.say("broadcasts.sure", n=told["sites"]), [], go, go=visit.say("broadcasts.send"))
    return ""


def _texts(visit: Visit) -> dict[str, Any]:
    """A field for each language, and below it how long the text is."""
    parts.text("p", visit.say("broadcasts.text_hint")).classes("quiet")
    found = {}
    page = Policy(public_url=visit.settings.public_url).notice_page
    with ui.element("div").classes("form"):
        for language in LANGUAGES:
            with ui.element("div"):
                field = Field(f"text_{language}", visit.say(f"broadcasts.text_{language}"), "area", needed=True)
                made = parts.entry(field).props(f"debounce=300 autogrow maxlength={broadcast.LONGEST}")
                long = parts.text("p", "").classes("quiet").props(f'role="status" lang="{visit.language}"')
                long.mark(f"length-{language}")

            def tell(_event: object = None, made: Any = made, long: Any = long, language: str = language) -> None:
                long.text = length(visit, made.value or "", language, page)

            made.on_value_change(tell)
            tell()
            found[language] = made
    return found


def length(visit: Visit, text: str, language: str, page: broadcast.Address) -> str:
    """How many characters a text has, and how many SMS it takes with the subject before it and the link behind it."""
    text = text.strip()
    if not text:
        return visit.say("broadcasts.length_none")
    return visit.say("broadcasts.length", letters=f"{len(text):,}", n=sms_parts(broadcast.as_sms(text, language, page)))


def _reach(visit: Visit, told: Mapping[str, Any] | str | None) -> None:
    """How many sites it would be for."""
    with ui.element("div").classes("reach").props('role="status"'):
        if told is None:
            parts.text("span", visit.say("broadcasts.reach_first")).classes("quiet")
        elif isinstance(told, str):
            parts.text("span", told).classes("wrong")
        elif not told["sites"]:
            parts.light(visit, "warning", visit.say("broadcasts.reach_none")).classes("long")
        else:
            words = visit.say("broadcasts.reach", n=told["sites"], terminals=told["terminals"])
            parts.text("strong", words).classes("sentence")
            if told["without_contact"]:
                without = visit.say("broadcasts.reach_without", n=told["without_contact"])
                parts.light(visit, "warning", without).classes("long")
