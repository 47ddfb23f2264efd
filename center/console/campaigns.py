"""Campaigns: the list of them, and how a new one is drawn up with a count of whom it would reach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote, urlencode

from nicegui import ui

from center.console import parts
from center.console.app import screen
from center.console.campaign_form import Draft, Wrong
from center.console.pane import Pane
from center.console.plain_table import link, plain_table
from center.console.session import Refused, Visit, lead_to
from center.db.feed import Change

STATES: Final = ("waiting_approval", "draft", "running", "paused", "halted", "done", "cancelled")
LOOKS: Final = {
    "waiting_approval": "warning", "draft": "draft", "running": "maintenance", "paused": "warning", "halted": "no",
    "done": "done", "cancelled": "unsupported",
}  # fmt: skip
"""The light of each state."""
ENDED: Final = ("succeeded", "failed", "unanswered", "skipped")
_PAGE: Final = 50


@screen("/campaigns", "campaigns")
async def build(visit: Visit, state: str = "", cursor: str = "") -> None:
    asked = {"state": state or None, "cursor": cursor or None, "limit": _PAGE}

    async def read() -> tuple[list[dict[str, Any]], str | None]:
        page = await visit.api.get("/campaigns", **asked)
        ids = ",".join(each["id"] for each in page["items"])
        far = (await visit.api.get("/campaign-progress", ids=ids))["items"] if ids else []
        known = {each["id"]: each for each in far}
        return [each | {"far": known.get(each["id"])} for each in page["items"]], page["next"]

    first = await read()
    parts.heading(visit.say("campaigns.title"), visit.say("campaigns.about"))
    sections(visit, "campaigns")
    with ui.element("div").classes("bar"):
        options = {"": visit.say("campaigns.state_all")} | {
            each: visit.say(f"campaigns.state_{each}") for each in STATES
        }
        chosen = ui.select(
            options,
            value=state if state in options else "",
            label=visit.say("campaigns.state"),
            on_change=lambda event: lead_to(f"/console/campaigns{_query(state=event.value)}"),
        )
        chosen.props("outlined dense").classes("pick").mark("filter-state")
        if visit.may("campaign.write"):
            parts.link("/console/campaigns/new", visit.say("campaigns.new")).classes("main-link")
    pane = Pane(lambda found: _list(visit, found[0], found[1], state))
    pane.show(first)

    async def changed(_changes: Sequence[Change]) -> None:
        pane.show(await read())

    visit.follow({"campaign"}, changed)


def sections(visit: Visit, here: str) -> None:
    """The ways to the parts of this screen: campaigns, and messages to merchants."""
    with ui.element("nav").classes("parts-bar").props(f'aria-label="{visit.say("campaigns.menu")}"'):
        for name in ("campaigns", "broadcasts"):
            shown = parts.link(f"/console/{name}", visit.say(f"{name}.title"))
            if name == here:
                shown.classes("here").props('aria-current="page"')


def _query(**values: str) -> str:
    given = urlencode({name: value for name, value in values.items() if value})
    return f"?{given}" if given else ""


def _list(visit: Visit, rows: Sequence[Mapping[str, Any]], following: str | None, state: str) -> None:
    if not rows:
        parts.empty(visit, "campaigns.empty_filtered" if state else "campaigns.empty")
        return
    headers = [visit.say(f"campaigns.{each}") for each in ("name", "state", "progress", "kind", "by", "made")]
    cells = [
        (
            link(each["name"], f"/console/campaign/{quote(each['id'])}"),
            lambda each=each: state_light(visit, each["state"]),
            lambda each=each: _progress(visit, each["far"]),
            visit.word(f"campaigns.kind_{each['kind']}", each["kind"]),
            each["created_by"],
            lambda each=each: parts.moment(visit, each["created_at"]),
        )
        for each in rows
    ]
    with ui.element("section").classes("part"):
        plain_table(visit.say("campaigns.title"), headers, cells)
    if following is not None:
        parts.link(f"/console/campaigns{_query(state=state, cursor=following)}", visit.say("campaigns.older"))


def state_light(visit: Visit, state: str) -> None:
    parts.light(visit, LOOKS.get(state, state), visit.word(f"campaigns.state_{state}", state))


def _progress(visit: Visit, far: Mapping[str, Any] | None) -> None:
    states = far["states"] if far else {}
    of = sum(states.values())
    if not of:
        words = visit.say("campaigns.not_listed", n=far["targets_n"]) if far else "–"
        parts.text("span", words).classes("quiet")
        return
    stacked(states)
    ended = sum(states.get(each, 0) for each in ENDED)
    parts.text("span", visit.say("campaigns.ended_of", n=ended, of=of)).classes("quiet")


def stacked(states: Mapping[str, int]) -> None:
    """A bar of the shares of results; the words stand beside it."""
    of = sum(states.values())
    with ui.element("div").classes("stack").props('aria-hidden="true"'):
        for state in ("succeeded", "failed", "unanswered", "sent", "offline", "waiting", "skipped"):
            if states.get(state):
                ui.element("span").classes(f"stack-{state}").style(f"width: {100 * states[state] / of:.2f}%")


# --- a new one --------------------------------------------------------------------------------------------------------


@screen("/campaigns/new", "campaigns")
async def new(visit: Visit, kind: str = "check", estates: str = "", sites: str = "", models: str = "") -> None:
    if not visit.may("campaign.write"):
        raise Refused(403, visit.say("campaigns.not_yours"))
    parts.heading(visit.say("campaigns.new"), visit.say("campaigns.about"))
    draft = Draft(visit, kind, {"estates": estates or await usual_estates(visit), "sites": sites, "models": models})
    with parts.section(visit.say("campaigns.plan")):
        draft.about()
    with parts.section(visit.say("campaigns.audience")):
        draft.audience()
        reach = Pane(lambda told: _reach(visit, told))
    with parts.section(visit.say("campaigns.how")):
        draft.care()
    wrong = parts.text("p", "").classes("wrong").props('role="alert"')

    async def count() -> None:
        try:
            reach.show(await visit.api.post("/audience", draft.asked()) if draft.is_for_somebody() else None)
        except (Refused, Wrong) as error:
            reach.show(str(error))

    async def create() -> None:
        try:
            made = await visit.api.post("/campaigns", draft.whole())
        except (Refused, Wrong) as error:
            wrong.text = str(error)
            return
        lead_to(f"/console/campaign/{made['id']}")

    with ui.element("div").classes("bar"):
        parts.button(visit.say("campaigns.create"), create, "campaign", main=True, mark="create")
        parts.link("/console/campaigns", visit.say("shell.cancel"))
    draft.on_change(count)
    await count()


async def usual_estates(visit: Visit) -> str:
    """Those of the visitor, else the one there is; where there are more, somebody has to choose."""
    mine = (visit.me["scope"] or {}).get("estates")
    found = mine or [each["key"] for each in (await visit.api.get("/overview/shares", by="estate"))["items"]]
    return ",".join(found) if mine or len(found) == 1 else ""


def _reach(visit: Visit, told: Mapping[str, Any] | str | None) -> None:
    """How many terminals it would be for."""
    with ui.element("div").classes("reach").props('role="status"'):
        if told is None:
            parts.text("span", visit.say("campaigns.counting_first")).classes("quiet")
        elif isinstance(told, str):
            parts.text("span", told).classes("wrong")
        elif not told["terminals"]:
            parts.light(visit, "warning", visit.say("campaigns.count_none"))
        else:
            parts.text("strong", visit.say("campaigns.count", n=told["terminals"])).classes("sentence")
            if told["offline"]:
                parts.light(visit, "offline", visit.say("campaigns.count_away", n=told["offline"]))
            second = told["second_person"]
            words = visit.say("campaigns.count_second" if second else "campaigns.count_alone")
            parts.light(visit, "warning" if second else "ok", words)
