"""One case: how far it is, its clocks, what is missing until it may be closed, and all that was done and said."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from nicegui import events, ui

from center.console import case_acts, case_merchant, case_tasks, case_views, knowledge_views, parts
from center.console.app import screen
from center.console.case_acts import Act
from center.console.pane import Pane
from center.console.session import Visit
from center.db.feed import Change

_OF_MERCHANT: Final = ("id", "terminal", "site", "merchant", "merchant_page", "place")
_KINDS: Final = frozenset({"case", "command", "terminal", "fault"})
_STATE: Final = {"closed": "done", "watching": "ok", "asking": "maintenance", "new": "minor", "reopened": "raised"}


@screen("/case/{name}", "case")
async def build(visit: Visit, name: str) -> None:
    told = await _read(visit, name)
    page = _Page(visit, told["id"])
    page.show(told)

    async def changed(changes: Sequence[Change]) -> None:
        if any(page.concerns(each) for each in changes):
            page.show(await _read(visit, told["id"]))

    visit.follow(_KINDS, changed)


async def _read(visit: Visit, name: str) -> dict[str, Any]:
    """The case with its steps, files, and what helped in cases like it. A number may stand for its id."""
    number = name.upper().removeprefix("C-")
    at = f"/cases/{number if number.isdigit() else name}"
    whole, sheet, files, remedies, similar = await asyncio.gather(
        visit.api.get(at),
        visit.api.get(f"{at}/sheet", language=visit.language),
        visit.api.get(f"{at}/attachments"),
        visit.api.get(f"{at}/remedies"),
        visit.api.get(f"{at}/similar"),
    )
    lists = {"files": files["items"], "remedies": remedies["items"], "similar": similar["items"]}
    tasks = await visit.api.get("/tasks", case=whole["id"], language=visit.language)
    found: dict[str, Any] = sheet | {"steps": whole["steps"], "tasks": tasks["items"]} | lists
    return found


class _Page:
    """The parts of the page, each of which is drawn anew only when it has changed."""

    def __init__(self, visit: Visit, case_id: str) -> None:
        self._visit = visit
        self._id = case_id
        self._zone = "UTC"
        self._case: dict[str, Any] = {}
        self._place: tuple[str, str | None] = ("", None)
        self._head = Pane(self._draw_head)
        with ui.element("div").classes("sheet"):
            with ui.element("div"):
                self._tasks = Pane(lambda found: case_tasks.draw(visit, case_id, found, self._zone))
                self._gate = Pane(lambda case: self._part("gate", case_views.gate, case))
                self._story = Pane(self._draw_story)
                self._checks = Pane(self._draw_checks)
                self._runbook = Pane(self._draw_runbook)
                self._past = Pane(self._draw_past)
                self._files = Pane(self._draw_files)
            with ui.element("div"):
                self._clocks = Pane(lambda case: self._part("clocks", case_views.clocks, case))
                self._promises = Pane(lambda case: self._part("promises", case_views.promises, case))
                self._order = Pane(lambda case: self._part("visit", case_views.order, case))
                self._merchant = Pane(lambda case: self._part("merchant", case_merchant.draw, case))

    def concerns(self, change: Change) -> bool:
        """Whether what is shown may be another now."""
        if change.kind == "case":
            return change.key == self._id
        if change.kind == "terminal" and change.key != "state":
            return False
        return self._place[1] is not None and (change.estate, change.terminal) == self._place

    def show(self, case: dict[str, Any]) -> None:
        """Show it as it is now."""
        self._case = case
        self._place = case["estate"], case["terminal"]
        self._zone = (case["place"] or {}).get("timezone") or "UTC"
        self._head.show({name: value for name, value in case.items() if name not in _LIVELY})
        self._tasks.show(case["tasks"])
        self._gate.show({name: case[name] for name in ("gate", "watch_until", "outcome")})
        self._clocks.show({name: case[name] for name in ("clocks", "paused_since", "pause_reason")})
        self._promises.show({"promises": case["promises"]})
        self._order.show({"visit": case["visit"], "plan": case["plan"]})
        self._merchant.show({name: case[name] for name in _OF_MERCHANT})
        self._runbook.show(case["runbook"])
        self._past.show((case["remedies"], case["similar"]))
        self._checks.show(case["commands"])
        self._files.show(case["files"])
        self._story.show(case["steps"])

    def _part(self, name: str, draw: Any, case: dict[str, Any]) -> None:
        with parts.section(self._visit.say(f"case.{name}"), name):
            draw(self._visit, case, self._zone)

    # --- each part ----------------------------------------------------------------------------------------------------

    def _draw_head(self, case: dict[str, Any]) -> None:
        visit = self._visit
        with ui.element("section").classes("part head"):
            parts.heading(
                f"{case['number_text']} · {case['title']}", visit.word(f"case.kind_{case['kind']}", case["kind"])
            )
            with ui.element("div").classes("lights"):
                words = visit.word(f"case.{case['state']}", case["state"])
                parts.light(visit, _STATE.get(case["state"], "maintenance"), words)
                parts.light(visit, case["severity"])
                terminal = case["terminal_now"]
                if terminal is not None and case["state"] != "closed":
                    seen = terminal["freshness"] in {"online", "late"}
                    parts.light(visit, (terminal["can_sell"] if seen else "unknown") or "unknown")
                if case["paused_since"]:
                    parts.light(visit, "maintenance", visit.say("case.waiting"))
                parts.why(visit, lambda: case_views.reasons(visit, self._case, self._zone))
            self._facts(case)
            acts = case_acts.of_case(visit, case, self._zone)
            if visit.may("command.0") and case["terminal"] and case["state"] != "closed":
                where, devices = [(case["estate"], case["terminal"])], (terminal or {}).get("devices") or []
                run = Act("check", "troubleshoot", lambda: case_acts.check(visit, where, devices, case["id"]))
                acts.insert(min(2, len(acts)), run)
            if case_merchant.may_answer(visit, case):
                said = Act("merchant_answer", "record_voice_over", lambda: case_merchant.answer(visit, case))
                acts.insert(0 if case["state"] == "asking" else min(6, len(acts)), said)
            case_acts.bar(visit, acts)
            with ui.element("p").classes("links"):
                at = f"/console/print/case/{case['number']}?lang={visit.language}"
                for name, address in (("print", at), ("print_merchant", f"{at}&internal=false")):
                    link = parts.link(address, visit.say(f"case.{name}")).classes("gap")
                    link.props('target="_blank" rel="noopener"').mark(name)

    def _facts(self, case: dict[str, Any]) -> None:
        visit, zone, site = self._visit, self._zone, case["place"] or {}

        def at_terminal() -> None:
            parts.link(f"/console/terminal/{case['estate']}/{case['terminal']}", case["terminal"])

        def at_site() -> None:
            parts.link(f"/console/site/{case['estate']}/{case['site']}", site.get("name") or case["site"])

        def of_incident() -> None:
            parts.link(f"/console/incident/{case['incident']}", visit.say("case.to_incident")).mark("incident")

        device = " ".join(filter(None, [case["model"], case["firmware"]]))
        cause = visit.word(f"cause.{case['root_cause']}", case["root_cause"] or "")
        outcome = visit.word(f"case.outcome_{case['outcome']}", case["outcome"] or "")
        parts.facts(
            [
                (visit.say("incident.where"), at_terminal if case["terminal"] else None),
                (visit.say("incident.site"), at_site if case["site"] else None),
                (visit.say("incident.device"), device),
                (visit.say("case.incident"), of_incident if case["incident"] else None),
                (visit.say("incident.owner"), case["owner"] or visit.say("incident.nobody")),
                (visit.say("case.team"), case["team"]),
                (visit.say("incident.eta"), _at(visit, case["eta"], zone)),
                (visit.say("case.opened"), _at(visit, case["created_at"], zone)),
                (visit.say("case.channel"), visit.word(f"case.channel_{case['channel']}", case["channel"])),
                (visit.say("case.local_number"), case["local_number"]),
                (visit.say("case.reopened_n"), visit.say("case.times", n=case["reopened"]) if case["reopened"] else ""),
                (visit.say("case.root_cause"), cause),
                (visit.say("case.part"), case["part"]),
                (visit.say("case.outcome"), outcome),
                (visit.say("case.tags"), ", ".join(case["tags"])),
            ]
        )

    def _draw_story(self, steps: list[Any]) -> None:
        visit = self._visit
        with parts.section(visit.say("case.timeline"), "timeline"):
            case_views.timeline(visit, steps, self._zone)

    def _draw_checks(self, found: list[Any]) -> None:
        with parts.section(self._visit.say("case.checks"), "checks"):
            knowledge_views.commands(self._visit, found, self._zone)

    def _draw_files(self, found: list[Any]) -> None:
        visit = self._visit
        with parts.section(visit.say("case.files"), "files"):
            if not found:
                parts.empty(visit, "case.files_empty")
            with ui.element("ul").classes("rows"):
                for each in found:
                    with ui.element("li"):
                        parts.link(f"/api/v1/cases/{self._id}/attachments/{each['id']}", each["name"])
                        parts.text("span", each["by"]).classes("quiet")
                        parts.moment(visit, each["at"], self._zone)
                        if each["warning"]:
                            parts.light(visit, "warning", visit.say("case.file_warning")).classes("long")
            if visit.may("case.write"):
                self._upload()

    def _upload(self) -> None:
        """The browser sends the file to the API itself: what is sent to the console may not be so large."""
        visit = self._visit

        def sent(event: events.GenericEventArguments) -> None:
            problem = str(event.args or "")
            if problem:
                ui.notify(problem, type="negative", position="bottom", close_button=True)
            else:
                visit.told(visit.say("case.attached"))

        with ui.element("label").classes("upload"):
            ui.icon("attach_file").props('aria-hidden="true"')
            parts.text("span", visit.say("case.attach"))
            chosen = ui.element("input").props('type="file" accept=".jpg,.jpeg,.png,.webp,.pdf,.txt"').mark("attach")
            chosen.props["data-path"] = f"/api/v1/cases/{self._id}/attachments"
            chosen.props["data-csrf"] = visit.api.csrf
            chosen.props["data-too-large"] = visit.say("case.file_too_large")
            chosen.on("change", sent, js_handler="(event) => posdiag.attach(event, emit)")

    def _draw_runbook(self, book: Any) -> None:
        with parts.section(self._visit.say("case.runbook"), "runbook"):
            knowledge_views.runbook(self._visit, book)

    def _draw_past(self, told: tuple[list[Any], list[Any]]) -> None:
        with parts.section(self._visit.say("case.remedies"), "remedies"):
            knowledge_views.remedies(self._visit, told[0])
            parts.text("h3", self._visit.say("case.similar"))
            knowledge_views.similar(self._visit, told[1])


_LIVELY: Final = frozenset(
    {
        "steps",
        "tasks",
        "files",
        "remedies",
        "similar",
        "commands",
        "clocks",
        "gate",
        "promises",
        "runbook",
        "merchant",
        "updated_at",
    }
)
"""Parts of their own, which do not draw the head anew."""


def _at(visit: Visit, at: str | None, zone: str) -> Any:
    return None if at is None else lambda: parts.moment(visit, at, zone)
