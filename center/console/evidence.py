"""Evidence: periods of terminals that are held or sealed, by whom, and whether a pack is still what was sealed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from nicegui import ui

from center.console import parts
from center.console.app import screen
from center.console.pane import Pane
from center.console.parts import Field
from center.console.plain_table import Cell, plain_table
from center.console.session import Visit, lead_to
from center.db.feed import Change

Row = Mapping[str, Any]


@screen("/evidence", "evidence")
async def build(visit: Visit, terminal: str = "", cursor: str = "") -> None:
    asked = {"terminal": terminal or None, "cursor": cursor or None}
    page = await visit.api.get("/evidence", limit=50, **asked)
    parts.heading(visit.say("evidence.title"), visit.say("evidence.about"))
    with ui.element("div").classes("bar filters"):
        parts.button(visit.say("evidence.new"), lambda: _new(visit, terminal), "add", main=True, mark="new")
        field = ui.input(visit.say("evidence.terminal"), value=terminal).props("outlined dense clearable")
        field.classes("pick").mark("filter-terminal")
        field.on("keydown.enter", lambda: lead_to(f"/console/evidence?terminal={quote(field.value or '', safe='')}"))
        if terminal or cursor:
            parts.link("/console/evidence", visit.say("shell.all"))
    pane = Pane(lambda page: _list(visit, page, terminal))
    pane.show(page)

    async def changed(_changes: Sequence[Change]) -> None:
        pane.show(await visit.api.get("/evidence", limit=50, **asked))

    visit.follow({"evidence"}, changed)


def _list(visit: Visit, page: Mapping[str, Any], terminal: str) -> None:
    if not page["items"]:
        parts.empty(visit, "evidence.empty")
        return
    names = ("kind", "terminal", "period", "made", "reason", "hold", "pack", "do")
    rows = [_row(visit, each) for each in page["items"]]
    with ui.element("section").classes("part"):
        plain_table(visit.say("evidence.title"), [visit.say(f"evidence.{name}") for name in names], rows)
    if page["next"]:
        parts.link(
            f"/console/evidence?terminal={quote(terminal)}&cursor={quote(page['next'])}", visit.say("shell.more")
        )


def _row(visit: Visit, each: Row) -> list[Cell]:
    where = f"/console/terminal/{quote(each['estate'], safe='')}/{quote(each['terminal'], safe='')}"
    sealed = each["number"] is not None

    def kind() -> None:
        state, words = ("ok", "sealed") if sealed else ("maintenance", "held")
        parts.light(visit, state, visit.say(f"evidence.{words}", number=each["number"]))

    def made() -> None:
        parts.text("span", f"{each['made_by']} · ")
        parts.moment(visit, each["at"])

    def hold() -> None:
        if each["hold_until_at"] is None:
            parts.text("span", visit.say("evidence.no_hold")).classes("quiet")
        else:
            parts.text("span", parts.clock(each["hold_until_at"]))

    def pack() -> None:
        if not sealed:
            parts.text("span", "–").classes("quiet")
            return
        size = each["size"]
        parts.text("div", visit.say("evidence.gone") if size is None else visit.say("evidence.size", n=size))
        with ui.element("details"):
            parts.text("summary", "SHA-256")
            parts.text("code", each["sha256"]).classes("digest")

    def do() -> None:
        with ui.element("div").classes("row-acts"):
            if sealed:
                parts.link(f"/api/v1/evidence/{each['id']}/pack", visit.say("evidence.download")).props("download")
                parts.button(visit.say("evidence.verify"), lambda: _verify(visit, each, told), mark="verify")
            if each["hold_until_at"] is not None:
                parts.button(visit.say("evidence.release"), lambda: _release(visit, each["id"]), mark="release")
        told = ui.element("div").props('role="status"')

    period = f"{parts.clock(each['from_at'])} – {parts.clock(each['until_at'])}"
    return [kind, lambda: parts.link(where, each["terminal"]), period, made, each["reason"], hold, pack, do]


async def _verify(visit: Visit, each: Row, told: ui.element) -> None:
    found = await visit.act(visit.api.get(f"/evidence/{each['id']}/verify"))
    if found is None:
        return
    told.clear()
    with told:
        well = not found["problems"]
        parts.light(visit, "ok" if well else "failed", visit.say(f"evidence.{'whole' if well else 'broken'}"))
        for problem in found["problems"]:
            parts.text("div", problem).classes("wrong")
        if well:
            parts.text("div", visit.say("evidence.whole_means", signer=found["fingerprint"])).classes("quiet")


def _new(visit: Visit, terminal: str) -> None:
    now = datetime.now(UTC)

    async def make(told: dict[str, Any]) -> None:
        estate, _, name = told["terminal"].partition("/")
        body = {"what": told["what"], "estate": estate, "terminal": name, "from": told["from"], "until": told["until"]}
        more = {"hold_until": told["hold"] or None, "reason": told["reason"]}
        await visit.api.post("/evidence", body | more)
        lead_to("/console/evidence")

    whats = {"seal": visit.say("evidence.what_seal"), "hold": visit.say("evidence.what_hold")}
    parts.ask(
        visit,
        visit.say("evidence.new"),
        [
            Field("what", visit.say("evidence.what"), "choice", "seal", whats),
            Field("terminal", visit.say("evidence.estate_terminal"), value=terminal if "/" in terminal else "",
                  needed=True, hint=visit.say("evidence.estate_hint")),
            Field("from", visit.say("evidence.from"), "time", f"{now - timedelta(days=1):%Y-%m-%dT%H:%M}", needed=True),
            Field("until", visit.say("evidence.until"), "time", f"{now:%Y-%m-%dT%H:%M}", needed=True),
            Field("hold", visit.say("evidence.hold_until"), "time"),
            Field("reason", visit.say("evidence.reason"), "area", needed=True),
        ],
        make,
    )  # fmt: skip


def _release(visit: Visit, name: str) -> None:
    async def release(told: dict[str, Any]) -> None:
        await visit.api.post(f"/evidence/{name}/release", {"reason": told["reason"]})
        lead_to("/console/evidence")

    reason = Field("reason", visit.say("evidence.reason"), "area", needed=True)
    parts.ask(visit, visit.say("evidence.release"), [reason], release)
