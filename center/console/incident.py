"""One incident: the verdict in a sentence, what it rests on, who is hit, what helped before, and what to do now."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final
from urllib.parse import urlencode

from nicegui import ui

from center.console import case_acts, case_views, knowledge_views, parts
from center.console.app import screen
from center.console.case_acts import Act
from center.console.glance import sales
from center.console.incident_views import evidence, finding, reasons, relations, sentence
from center.console.pane import Pane
from center.console.parts import Column, Table
from center.console.session import Visit, lead_to
from center.db.feed import Change

_PAGE: Final = 200
_KINDS: Final = frozenset({"incident", "case", "command", "fault", "outage"})


@screen("/incident/{name}", "incident")
async def build(visit: Visit, name: str) -> None:
    told = await _read(visit, name)
    page = _Page(visit, name)
    await page.show(told)

    async def changed(changes: Sequence[Change]) -> None:
        if any(page.concerns(each) for each in changes):
            await page.show(await _read(visit, name))

    visit.follow(_KINDS, changed)


async def _read(visit: Visit, name: str) -> dict[str, Any]:
    """The incident with its case, each by one request."""
    found: dict[str, Any] = await visit.api.get(f"/incidents/{name}/sheet", language=visit.language)
    case = found["case"]
    if case is not None:
        sheet, whole = await asyncio.gather(
            visit.api.get(f"/cases/{case['id']}/sheet", language=visit.language), visit.api.get(f"/cases/{case['id']}")
        )
        case = sheet | {"steps": whole["steps"]}
    return found | {"case": case}


class _Page:
    """The parts of the page, each of which is drawn anew only when it has changed."""

    def __init__(self, visit: Visit, name: str) -> None:
        self._visit = visit
        self._name = name
        self._told: dict[str, Any] = {}
        self._zone = "UTC"
        self._terminals: _Affected | None = None
        self._head = Pane(self._draw_head)
        with ui.element("div").classes("sheet"):
            with ui.element("div"):
                self._evidence = Pane(self._draw_evidence)
                self._affected = ui.element("div")
                self._runbook = Pane(self._draw_runbook)
                self._checks = Pane(self._draw_checks)
                self._past = Pane(self._draw_past)
                self._story = Pane(self._draw_story)
            with ui.element("div"):
                self._clocks = Pane(self._draw_clocks)
                self._relations = Pane(self._draw_relations)
                self._operator = Pane(self._draw_operator)
                self._merchant = Pane(self._draw_merchant)

    def concerns(self, change: Change) -> bool:
        """Whether what is shown may be another now."""
        told = self._told
        if change.kind == "incident":
            return change.key == self._name or change.key in {each["id"] for each in told["parts"]}
        if change.kind == "case" and told["case"] is not None:
            return bool(change.key == told["case"]["id"])
        if change.kind == "case" and change.terminal is None:  # one of many terminals, perhaps of these
            return bool(told["scope"] != "terminal")
        shown = {(each["estate"], each["terminal"]) for each in told["evidence"]}
        return (change.estate, change.terminal) in shown

    async def show(self, told: dict[str, Any]) -> None:
        """Show it as it is now. What is wrong with the center itself concerns no terminal and no merchant."""
        visit, case = self._visit, told["case"]
        self._told = told
        self._zone = ((case or {}).get("place") or told["terminal"] or {}).get("timezone") or "UTC"
        calm = None if case is None else {name: value for name, value in case.items() if name not in _LIVELY}
        self._head.show({name: value for name, value in told.items() if name not in _LIVELY} | {"case": calm})
        own = told["scope"] == "center"
        self._evidence.show((told["evidence"], told["outage"], told["terminals_n"], told["why"] if own else None))
        self._checks.show(None if own else told["commands"])
        self._story.show((told["steps"], (case or {}).get("steps") or []))
        self._clocks.show(None if case is None else {name: case[name] for name in _CLOCKS})
        self._relations.show((told["parent"], told["parts"], told["state"]))
        self._runbook.show(None if own else (told["runbook"], told["guide"]))
        self._past.show(None if own else (told["remedies"], told["similar"]))
        self._operator.show(not own and (told["scope"] != "terminal" or told["act"] == "operator"))
        self._merchant.show(None if own else (told["merchant"], (case or {}).get("merchant_page"), case is not None))
        if not own and (told["scope"] != "terminal" or told["peak_n"] > 1):
            if self._terminals is None:
                with self._affected:
                    self._terminals = _Affected(visit, self._name)
            await self._terminals.refresh()

    # --- each part ----------------------------------------------------------------------------------------------------

    def _draw_head(self, told: dict[str, Any]) -> None:
        visit = self._visit
        with ui.element("section").classes("part head"):
            parts.heading(told["title"], told["fault_title"] if told["fault_title"] != told["title"] else "")
            parts.text("p", sentence(visit, told)).classes("sentence").props('role="status"')
            with ui.element("div").classes("lights"):
                if told["state"] != "resolved" and told["scope"] != "center":
                    parts.light(visit, sales(told, "unknown"))
                parts.light(visit, told["severity"])
                state = told["state"] if told["state"] == "resolved" or not told["acknowledged_by"] else "acknowledged"
                look = {"resolved": "cleared", "acknowledged": "maintenance"}.get(state, "minor")
                parts.light(visit, look, visit.say(f"incident.{state}"))
                basis = {"measured": "done", "inferred": "inferred"}.get(told["basis"], "unknown")
                parts.light(visit, basis, visit.word(f"incident.basis_{told['basis']}", told["basis"]))
                if told["suppression"]:
                    parts.light(visit, "maintenance", visit.say("incident.suppressed"))
                parts.why(visit, reasons(visit, self._told, self._zone), visit.say("incident.why_title"))
            if told["meaning"]:
                parts.text("p", told["meaning"]).classes("quiet")
            self._facts(told)
            case_acts.bar(visit, self._acts(told))

    def _facts(self, told: dict[str, Any]) -> None:
        visit, case, terminal, zone = self._visit, told["case"], told["terminal"], self._zone

        def at_terminal() -> None:
            parts.link(f"/console/terminal/{told['estate']}/{told['scope_key']}", told["scope_key"])

        def at_sites() -> None:
            for each in told["sites"]:
                parts.link(f"/console/site/{each['estate']}/{each['site']}", each["name"] or each["site"]).classes(
                    "gap"
                )
            more = told["sites_n"] - len(told["sites"])
            if more > 0:
                parts.link("#affected", f"+{more}")

        def of_case() -> None:
            parts.link(f"/console/case/{case['id']}", case["number_text"])
            parts.text("span", f" · {visit.word('case.' + case['state'], case['state'])}")

        def counts() -> None:
            shown = [each for each in _COUNTS if told[each[0]] or each[1] == "terminals_now"]
            words = [visit.say(f"incident.{name}", n=told[column]) for column, name in shown]
            parts.link("#affected", " · ".join(words))

        one = told["scope"] == "terminal"
        device = " ".join(filter(None, [(terminal or {}).get("model"), (terminal or {}).get("firmware")]))
        network = ", ".join(filter(None, [(terminal or {}).get("operator"), (terminal or {}).get("cell")]))
        eta = (case or {}).get("eta")
        parts.facts(
            [
                (
                    visit.say("incident.where" if one else "incident.affected"),
                    at_terminal if one else None if told["scope"] == "center" else counts,
                ),
                (visit.say("incident.site"), at_sites if told["sites"] else None),
                (visit.say("incident.device"), device),
                (visit.say("incident.operator"), network),
                (visit.say("incident.who_acts"), visit.word(f"queue.act_{told['act']}", told["act"])),
                (visit.say("incident.since"), lambda: parts.moment(visit, told["first_at"], zone)),
                (visit.say("incident.ended"), _if(told["resolved_at"], visit, zone)),
                (visit.say("incident.owner"), told["owner"] or visit.say("incident.nobody")),
                (visit.say("incident.case"), of_case if case is not None else visit.say("incident.no_case")),
                (visit.say("incident.eta"), _if(eta, visit, zone) or (visit.say("incident.no_eta") if case else None)),
            ]
        )

    def _acts(self, told: dict[str, Any]) -> list[Act]:
        visit, case = self._visit, told["case"]
        found = case_acts.of_case(visit, case, self._zone) if case is not None else case_acts.of_incident(visit, told)
        where = [(each["estate"], each["terminal"]) for each in self._told["evidence"] if not each["left_at"]]
        if visit.may("command.0") and where:
            devices = (told["terminal"] or {}).get("devices") or []
            case_id = None if case is None else case["id"]
            run = Act("check", "troubleshoot", lambda: case_acts.check(visit, where, devices, case_id))
            found.insert(min(2, len(found)), run)
        if visit.may("suppress") and told["scope"] not in {"terminal", "center"} and told["state"] != "resolved":
            at = f"/console/broadcasts/new?{urlencode({'incident': told['id']})}"
            found.insert(min(3, len(found)), Act("broadcast", "campaign", lambda: lead_to(at)))
        if visit.may("incident.write") and told["state"] != "resolved" and told["parent"] is None:
            found.append(Act("merge", "merge", lambda: case_acts.merge(visit, told)))
        return found

    def _draw_evidence(self, told: tuple[list[Any], Any, int, Any]) -> None:
        with parts.section(self._visit.say("incident.evidence"), "evidence"):
            if told[3]:
                finding(self._visit, told[3])
            else:
                evidence(self._visit, told[0], told[1], told[2], self._zone)

    def _draw_checks(self, found: list[Any] | None) -> None:
        if found is None:
            return
        with parts.section(self._visit.say("case.checks"), "checks"):
            knowledge_views.commands(self._visit, found, self._zone)

    def _draw_story(self, told: tuple[list[Any], list[Any]]) -> None:
        steps = sorted([*told[0], *told[1]], key=lambda each: each["at"])
        with parts.section(self._visit.say("incident.timeline"), "timeline"):
            case_views.timeline(self._visit, steps, self._zone)

    def _draw_clocks(self, case: Any) -> None:
        if case is not None:
            with parts.section(self._visit.say("case.clocks"), "clocks"):
                case_views.clocks(self._visit, case, self._zone)
            with parts.section(self._visit.say("case.gate"), "gate"):
                case_views.gate(self._visit, case, self._zone)

    def _draw_relations(self, told: tuple[Any, list[Any], str]) -> None:
        with parts.section(self._visit.say("incident.relations"), "relations"):
            relations(self._visit, told[0], told[1], self._zone)

    def _draw_runbook(self, told: tuple[Any, Any] | None) -> None:
        if told is None:
            return
        with parts.section(self._visit.say("case.runbook"), "runbook"):
            knowledge_views.runbook(self._visit, told[0], told[1])

    def _draw_past(self, told: tuple[list[Any], list[Any]] | None) -> None:
        if told is None:
            return
        with parts.section(self._visit.say("case.remedies"), "remedies"):
            knowledge_views.remedies(self._visit, told[0])
            parts.text("h3", self._visit.say("case.similar"))
            knowledge_views.similar(self._visit, told[1])

    def _draw_operator(self, there: bool) -> None:
        visit = self._visit
        if not there or not visit.may("incident.write"):
            return
        with parts.section(visit.say("incident.operator_text"), "operator-text"):
            parts.text("p", visit.say("incident.operator_about")).classes("quiet")
            box = ui.element("div")

            async def write() -> None:
                asked = visit.api.get(f"/incidents/{self._name}/operator-text", language=visit.language)
                told = await visit.act(asked)
                if told is None:
                    return
                box.clear()
                with box, ui.element("div").classes("copied"):
                    parts.text("pre", f"{told['subject']}\n\n{told['text']}").props('tabindex="0"').mark(
                        "operator-text"
                    )
                    case_views.copy_button(visit)

            parts.button(visit.say("incident.operator_make"), write, "description", mark="operator")

    def _draw_merchant(self, told: tuple[Any, str | None, bool] | None) -> None:
        if told is None:
            return
        with parts.section(self._visit.say("case.merchant"), "merchant"):
            case_views.merchant(self._visit, told[0], told[1], open_case=told[2])


_LIVELY: Final = frozenset(
    {"steps", "commands", "evidence", "remedies", "similar", "runbook", "guide", "merchant", "clocks", "gate"}
    | {"promises", "impact", "last_at", "updated_at", "terminal_now"}
)
"""Parts of their own, or nothing that is shown: these do not draw the head anew."""
_CLOCKS: Final = ("clocks", "paused_since", "pause_reason", "gate", "watch_until", "outcome")
_COUNTS: Final = (
    ("terminals_n", "terminals_now"),
    ("peak_n", "terminals_peak"),
    ("cannot_sell_n", "cannot_sell"),
    ("unknown_n", "unknown_n"),
)


def _if(at: str | None, visit: Visit, zone: str) -> Any:
    return None if at is None else lambda: parts.moment(visit, at, zone)


class _Affected:
    """The table of affected terminals; more of them as somebody asks for them."""

    def __init__(self, visit: Visit, name: str) -> None:
        self._visit = visit
        self._name = name
        self._path = f"/incidents/{name}/affected"
        self._picked: list[str] = []
        self._most = _PAGE
        with parts.section(visit.say("incident.affected"), "affected"):
            if visit.may("incident.write"):
                with ui.element("div").classes("split-head"):
                    parts.text("span", visit.say("incident.split_hint")).classes("quiet")
                    self._split = parts.button(visit.say("incident.split"), self._take_out, "call_split", mark="split")
                    self._split.disable()
            self._box = ui.element("div")
        self._table: Table | None = None
        self._more: ui.button | None = None

    async def refresh(self) -> None:
        """Read again as many as are shown."""
        visit = self._visit
        rows: list[dict[str, Any]] = []
        cursor: str | None = None
        while len(rows) < self._most:
            page = await visit.api.get(self._path, limit=min(1000, self._most), cursor=cursor, language=visit.language)
            rows += [_row(visit, each) for each in page["items"]]
            cursor = page["next"]
            if cursor is None:
                break
        if self._table is None:
            with self._box:
                self._table = _table(visit, rows, self._pick if visit.may("incident.write") else None)
        else:
            self._table.put(rows)
        if self._more is not None:
            self._more.delete()
            self._more = None
        if cursor is not None:
            with self._box:
                self._more = parts.button(visit.say("incident.load_more", n=_PAGE), self._load)

    def _pick(self, ids: list[str]) -> None:
        self._picked = list(dict.fromkeys(".".join(each.split(".")[:2]) for each in ids))
        self._split.set_enabled(bool(self._picked))

    def _take_out(self) -> None:
        case_acts.split(self._visit, self._name, self._picked)

    async def _load(self) -> None:
        self._most += _PAGE
        await self.refresh()


def _row(visit: Visit, each: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": each["id"],
        "where": f"/console/terminal/{each['estate']}/{each['terminal']}",
        "terminal": each["terminal"],
        "fault": each["title"],
        "can_sell": each["can_sell"] or "unknown",
        "can_sell_words": visit.word(f"parts.{each['can_sell'] or 'unknown'}", ""),
        "status": each["status"] or "unknown",
        "status_words": visit.word(f"parts.{each['status'] or 'unknown'}", ""),
        "site": each["site_name"] or each["site"] or "",
        "model": each["model"] or "",
        "joined": each["joined_at"],
        "left": each["left_at"],
    }


def _table(visit: Visit, rows: list[dict[str, Any]], pick: Callable[[list[str]], None] | None) -> Table:
    def title(name: str) -> str:
        return visit.say(f"incident.col_{name}")

    return Table(
        visit,
        [
            Column("terminal", title("terminal"), width=130, flex=1),
            Column("fault", title("fault"), width=140, flex=2),
            Column("can_sell", title("sales"), "light", 150),
            Column("status", title("status"), "light", 120, yields=3),
            Column("site", title("site"), width=120, flex=1, yields=2),
            Column("joined", title("joined"), "age", 105, yields=1),
            Column("left", title("left"), "age", 105, yields=4),
        ],
        rows,
        title=visit.say("incident.affected"),
        height="22rem" if len(rows) > 8 else "",
        pick=pick,
    )
