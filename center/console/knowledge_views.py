"""What is known about a fault and what was found from afar: runbook, remedies and their success, cases, checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, Final
from urllib.parse import quote, urlencode

from nicegui import ui

from center.console import figures, parts, sentences
from center.console.session import Visit
from center.domain import check_output
from center.domain.texts import fault_title

Row = Mapping[str, Any]

_LIGHT: Final = {
    "waiting_approval": "warning", "queued": "maintenance", "sent": "maintenance", "accepted": "maintenance",
    "running": "maintenance", "succeeded": "ok", "failed": "failed", "rejected": "failed", "expired": "unknown",
    "interrupted": "unknown",
}  # fmt: skip
"""Look of each state of a command: no answer is not a failure, and is not good either."""
_MOST: Final = 50
"""Faults, devices and readings that are shown of one answer: a terminal may send anything."""


def signature_title(visit: Visit, signature: str) -> str:
    """A fault and the model that has it, in words."""
    fault, _, model = signature.partition("|")
    return " · ".join(filter(None, [fault_title(fault, visit.language), model]))


def runbook(visit: Visit, book: Row, guide: Row | None = None) -> None:
    """Where to look from here, when to send whom with what; and the guide that was written for it."""
    if not book["look"] and guide is None:
        parts.text("p", visit.say("case.no_runbook")).classes("quiet")
        parts.link("/console/knowledge", visit.say("case.to_knowledge"))
        return
    parts.facts(
        [
            (visit.say("case.look"), book["look"]),
            (visit.say("case.send"), book["send"]),
            (visit.say("case.skill"), visit.word(f"case.skill_{book['skill']}", book["skill"]) if book["look"] else ""),
            (visit.say("case.likely_part"), book["part"]),
        ]
    )
    if guide is not None:
        parts.text("h3", guide["title"])
        for paragraph in guide["body"].split("\n\n"):
            parts.text("p", paragraph).classes("said")
        parts.text("p", visit.say("case.guide_of", version=guide["version"], author=guide["author"])).classes("quiet")


def remedies(visit: Visit, found: Sequence[Row]) -> None:
    """Each remedy with how often it helped, and between which bounds the true share lies."""
    if not found:
        parts.empty(visit, "case.remedies_empty")
        return
    parts.text("p", visit.say(f"case.basis_{found[0]['basis']}")).classes("quiet")
    with ui.element("div").classes("wide-picture"), ui.element("table").classes("plain-table"):
        with ui.element("thead"), ui.element("tr"):
            for name in ("remedy", "helped", "interval"):
                parts.text("th", visit.say(f"case.{name}")).props('scope="col"')
        with ui.element("tbody"):
            for each in found:
                _remedy(visit, each)


def _remedy(visit: Visit, each: Row) -> None:
    tried = each["worked"] + each["failed"]
    with ui.element("tr"):
        parts.text("td", visit.word(f"remedy.{each['remedy']}", each["remedy"]))
        with ui.element("td"):
            if tried:
                facts = {"worked": each["worked"], "tried": tried, "share": f"{each['share']:.0%}"}
                parts.link(_tries(each), visit.say("case.helped_share", **facts)).classes("figures")
            else:
                parts.link(_tries(each, settled="no"), visit.say("case.helped_unknown", n=each["unknown"]))
        with ui.element("td"):
            words = f"{each['low']:.0%} – {each['high']:.0%}"
            if tried:
                left, wide = round(100 * each["low"]), max(2, round(100 * (each["high"] - each["low"])))
                with ui.element("div").classes("interval").props('aria-hidden="true"'):
                    ui.element("div").style(f"margin-left: {left}%; width: {wide}%")
            parts.text("span", words if tried else "–").classes("figures")


def _tries(each: Row, **more: str) -> str:
    """Where the tries are that a remedy's figure counts."""
    fault, _, model = each["signature"].partition("|")
    named = {"remedy": each["remedy"], "basis": each["basis"], "model": model, "firmware": each["firmware"]}
    return f"/console/knowledge/{quote(fault)}/tries?{urlencode(named | more)}"


def similar(visit: Visit, found: Sequence[Row]) -> None:
    """Closed cases of the same trouble."""
    if not found:
        parts.text("p", visit.say("case.similar_none")).classes("quiet")
        return
    with ui.element("ul").classes("rows"):
        for each in found:
            with ui.element("li"):
                parts.link(f"/console/case/{each['id']}", f"C-{each['number']}")
                outcome = visit.word(f"case.outcome_{each['outcome']}", each["outcome"] or "")
                cause = visit.word(f"cause.{each['root_cause']}", each["root_cause"] or "")
                told = " · ".join(
                    filter(None, [visit.say(f"case.alike_{each['alike']}"), outcome, cause, each["part"]])
                )
                parts.text("span", told)
                parts.moment(visit, each["closed_at"])


# --- checks -----------------------------------------------------------------------------------------------------------


def commands(visit: Visit, found: Sequence[Row], zone: str) -> None:
    """What was asked of terminals from afar and how far it is, the last one first."""
    if not found:
        parts.empty(visit, "case.checks_empty")
        return
    with ui.element("ul").classes("rows commands"):
        for each in found:
            with ui.element("li").props(f'data-state="{each["state"]}"'):
                _command(visit, each, zone)


def _command(visit: Visit, each: Row, zone: str) -> None:
    with ui.element("div").classes("story-head"):
        parts.text("strong", visit.word(f"terminal.do_{each['cmd']}", each["cmd"]))
        if (each["args"] or {}).get("device"):
            parts.text("span", str(each["args"]["device"]))
        parts.link(f"/console/terminal/{each['estate']}/{each['terminal']}", each["terminal"])
        state = each["state"]
        parts.light(visit, _LIGHT.get(state, "unknown"), visit.word(f"case.cmd_state_{state}", state))
    with ui.element("div").classes("quiet story-by"):
        parts.moment(visit, each["created_at"], zone)
        parts.text("span", f"· {each['issued_by']} · {each['reason']}")
    if each["error"]:
        parts.text("div", sentences.told(visit.language, each["error"])).classes("wrong")
    if isinstance(each["output"], Mapping):
        answer(visit, each["output"])


def answer(visit: Visit, output: Row) -> None:
    """What a check found; of other commands nothing is known here but their values."""
    found = check_output.listed(output)
    if found is not None:
        names = [fault_title(key, visit.language) for key in found.keys[:_MOST]]
        names += [visit.say("terminal.not_shown", n=len(found.keys) - _MOST)] if len(found.keys) > _MOST else []
        if names:
            parts.light(visit, "no", visit.say("case.found_faults", list=", ".join(names))).classes("long")
        if found.odd:
            parts.light(visit, "unknown", visit.say("terminal.faults_odd", n=found.odd)).classes("long")
        elif not names:
            parts.light(visit, "ok", visit.say("case.found_nothing")).classes("long")
    devices = output.get("devices")
    if not isinstance(devices, Mapping) or not devices:
        return
    with ui.element("details").classes("read"):
        parts.text("summary", visit.say("case.readings"))
        for name, device in islice(devices.items(), _MOST):
            parts.text("h3", figures.short(str(name)))
            if isinstance(device, Mapping):
                parts.facts(readings(visit, device.get("readings")))


def readings(visit: Visit, values: Any) -> list[tuple[str, str]]:
    """Names and values as text; one that could not be read says why."""
    if not isinstance(values, Mapping):
        return []
    found = []
    for name, value in islice(values.items(), _MOST):
        if isinstance(value, Mapping) and "error" in value:
            said = visit.say("case.not_known", why=figures.cause(visit, str(value["error"])))
        else:
            said = "–" if value is None else figures.short(str(value))
        found.append((figures.short(str(name)), said))
    return found
