"""What is shown of a case, on its own page and on that of its incident: clocks, gate, promises, visit, time line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import segno
from nicegui import ui

from center.console import parts, sentences
from center.console.session import Visit
from center.domain.texts import fault_title

Case = Mapping[str, Any]
Row = Mapping[str, Any]

_CLOCK_LIGHT: Final = {"green": "ok", "amber": "warning", "breached": "no", "met": "ok", "missed": "no"}
_GATE: Final = {"working": 0, "watching": 1, "asking": 2, "closed": 3}
_SHOWN_STEPS: Final = 25
_ICONS: Final = {
    "opened": "flag", "reported": "flag", "acknowledged": "check", "assigned": "person_add",
    "handed_over": "swap_horiz", "note": "edit_note", "call": "call", "message": "chat", "eta": "schedule",
    "paused": "pause", "resumed": "play_arrow", "root_cause": "troubleshoot", "repaired": "build",
    "dispatched": "engineering", "visit_cancelled": "event_busy", "checked_in": "login", "checked_out": "logout",
    "fault_raised": "error", "fault_cleared": "check_circle", "fault_flapping": "sync_problem",
    "watching": "visibility", "watch_extended": "visibility", "asking": "help", "answered": "question_answer",
    "reopened": "replay", "recurred": "replay", "rated": "star", "clock": "alarm", "command": "terminal",
    "attachment": "attach_file", "tagged": "sell", "merged": "merge", "closed": "task_alt", "began": "bolt",
    "joined": "add", "left": "remove", "resolved": "check_circle", "undone": "undo",
    "adopted": "merge", "split": "call_split", "grouped": "hub", "problem": "bug_report",
    "link_withdrawn": "link_off", "link_made": "add_link", "inspected": "policy",
}  # fmt: skip


def clocks(visit: Visit, case: Case, zone: str) -> None:
    """Each clock with the share that is used; whether they stand still, and why."""
    if case["paused_since"]:
        reason = visit.say(f"case.waits_{case['pause_reason']}")
        with ui.element("p"):
            parts.light(visit, "maintenance", visit.say("case.paused", reason=reason))
            parts.moment(visit, case["paused_since"], zone)
    if not case["clocks"]:
        parts.text("p", visit.say("case.no_clocks")).classes("quiet")
    for clock in case["clocks"]:
        look = parts.LIGHTS[_CLOCK_LIGHT[clock["state"]]][0]
        with ui.element("div").classes("clock"):
            with ui.element("div").classes("clock-head"):
                parts.text("span", visit.say(f"case.{clock['kind']}"))
                parts.light(visit, _CLOCK_LIGHT[clock["state"]], visit.say(f"case.{clock['state']}"))
            used = visit.say("case.clock_used", percent=f"{max(0.0, clock['used']):.0%}")
            width = min(100, max(2, round(100 * clock["used"])))
            with ui.element("div").classes(f"used look-{look}").props(f'role="img" aria-label="{used}"'):
                ui.element("div").style(f"width: {width}%")
            with ui.element("div").classes("clock-foot"):
                parts.text("span", used)
                if clock["stopped_at"] is None:
                    parts.text("span", visit.say("case.clock_due"))
                    parts.moment(visit, clock["due_at"], zone)


def reasons(visit: Visit, case: Case, zone: str) -> list[str]:
    """What the lights at the head of a case rest on: its severity, what the terminal says, and each clock."""
    severity = visit.word(f"parts.{case['severity']}", case["severity"])
    fault = fault_title(case["fault"], visit.language) if case["fault"] else ""
    found = [visit.say(f"case.why_severity{'_of' if fault else ''}", severity=severity, fault=fault)]
    terminal = case["terminal_now"]
    if terminal is not None:
        sells = visit.word(f"parts.{terminal['can_sell'] or 'unknown'}", "")
        cause = fault_title(terminal["cause"], visit.language) if terminal["cause"] else visit.say("terminal.no_cause")
        at = parts.clock(terminal["last_contact_at"], zone) if terminal["last_contact_at"] else "–"
        found.append(visit.say("case.why_sales", state=sells, cause=cause, at=at))
        found.append(visit.say(f"terminal.why_{terminal['freshness']}"))
    for clock in case["clocks"]:
        facts = {"clock": visit.say(f"case.{clock['kind']}"), "state": visit.say(f"case.{clock['state']}")}
        used = visit.say("case.clock_used", percent=f"{max(0.0, clock['used']):.0%}")
        found.append(visit.say("case.why_clock", **facts, used=used, at=parts.clock(clock["due_at"], zone)))
    return found


def gate(visit: Visit, case: Case, zone: str) -> None:
    """The three steps of the closing gate, and what is missing in words."""
    told = case["gate"]
    at = _GATE.get(told["stage"], 0)
    with ui.element("ol").classes("gate"):
        for number, name in enumerate(("proof", "watch", "answer")):
            where = "done" if number < at else "now" if number == at else "next"
            with ui.element("li").classes(f"gate-{where}"):
                state = {"done": "done", "now": "maintenance", "next": "unsupported"}[where]
                parts.light(visit, state, visit.say(f"case.gate_{where}"))
                parts.text("span", visit.say(f"case.gate_{name}"))
    if told["stage"] == "working" and told["needs"]:
        parts.text("p", visit.say(f"case.needs_{told['needs']}")).classes("needs")
    elif told["stage"] == "watching" and case["watch_until"]:
        parts.text("p", visit.say("case.watch_until", at=parts.clock(case["watch_until"], zone)))
    elif told["stage"] == "asking" and told["ask_until_at"]:
        parts.text("p", visit.say("case.ask_until", at=parts.clock(told["ask_until_at"], zone)))
    elif told["stage"] == "closed":
        outcome = visit.word(f"case.outcome_{case['outcome']}", case["outcome"] or "")
        parts.text("p", visit.say("case.is_closed", outcome=outcome))


def promises(visit: Visit, case: Case, zone: str) -> None:
    """All times that were promised, the last one first."""
    if not case["promises"]:
        parts.empty(visit, "case.promises_empty")
        return
    with ui.element("ol").classes("steps-line"):
        for each in reversed(case["promises"]):
            with ui.element("li"):
                at = parts.clock(each["eta_at"], zone)
                if each["was_at"]:
                    words = visit.say("case.moved", at=at, was=parts.clock(each["was_at"], zone))
                else:
                    words = visit.say("case.promised", at=at)
                parts.text("div", words)
                _by(visit, each["by"], each["at"], zone)
                if each["reason"]:
                    parts.text("div", each["reason"])


def order(visit: Visit, case: Case, zone: str) -> None:
    """The visit that is announced, with its code; else what to send somebody with."""
    plan, told = case["plan"], case["visit"]
    if told is None:
        parts.text("p", visit.say("case.visit_none")).classes("quiet")
        seen = f" ({visit.say('case.part_seen', n=plan['part_seen'])})" if plan["part_seen"] else ""
        pairs = [
            (visit.say("case.diagnosis"), plan["diagnosis"]),
            (visit.say("case.likely_part"), plan["part"] + seen if plan["part"] else ""),
            (visit.say("case.skill"), visit.word(f"case.skill_{plan['skill']}", plan["skill"])),
        ]
        parts.facts(pairs)
        return
    parts.facts(
        [
            (visit.say("case.technician"), told["technician"]),
            (visit.say("case.visit_from"), parts.clock(told["from_at"], zone)),
            (visit.say("case.visit_until"), parts.clock(told["until_at"], zone)),
            (visit.say("case.diagnosis"), told["diagnosis"]),
            (visit.say("case.likely_part"), told["part"]),
            (visit.say("case.skill"), visit.word(f"case.skill_{told['skill']}", told["skill"] or "")),
            (visit.say("case.access"), told["access"]),
        ]
    )
    if told["code"]:
        about = visit.say("case.visit_code")
        picture = segno.make(told["code"], error="l").svg_data_uri(scale=3, border=3, light="#fff")
        ui.element("img").props(f'src="{picture}" alt="{about}" width="200" height="200"').classes("qr")
        parts.text("p", about).classes("quiet")
    elif told["no_code"]:
        parts.text(
            "p", visit.say("case.visit_no_code", why=sentences.refusal(visit.language, 503, told["no_code"]))
        ).classes("quiet")


def merchant(visit: Visit, told: Row, address: str | None, *, open_case: bool) -> None:
    """What the merchant reads: steps, warnings; and the way to the page."""
    if told["stop_now"]:
        parts.light(visit, "no", visit.say("case.stop_now"))
    if told["steps"]:
        parts.text("h3", visit.say("case.merchant_steps"))
        with ui.element("ol").classes("steps"):
            for step in told["steps"]:
                parts.text("li", step)
    if told["never"]:
        parts.text("h3", visit.say("case.merchant_never"))
        with ui.element("ul").classes("steps"):
            for each in told["never"]:
                parts.text("li", each)
    for name in ("stop_using", "sell_on"):
        if told[name]:
            parts.text("p", told[name])
    if address:
        _way(visit, address)
    elif not open_case:
        parts.text("p", visit.say("case.merchant_no_page")).classes("quiet")


def _way(visit: Visit, address: str) -> None:
    """The address of the merchant's page, to open, to copy, and as a code."""
    parts.link(address, visit.say("case.merchant_page")).props('target="_blank" rel="noopener"').mark("merchant-page")
    with ui.element("div").classes("copied"):
        parts.text("code", address).props(f'data-link aria-label="{visit.say("case.merchant_link")}"')
        copy_button(visit)
    path = address[address.index("/m/") :]
    with ui.element("details").classes("read") as code:
        parts.text("summary", visit.say("case.merchant_qr"))

    def show() -> None:
        if len(code.default_slot.children) > 1:
            return
        with code:
            picture = ui.element("img").props(f'src="{path}/qr.svg" width="180" height="180"').classes("qr")
            picture.props(f'alt="{visit.say("case.merchant_qr")}"')

    code.on("toggle", show)


def copy_button(visit: Visit) -> None:
    """Copies the text beside it, in the browser."""
    button = ui.button(visit.say("case.copy"), icon="content_copy", color=None).props("no-caps outline dense")
    button.on("click", js_handler="(event) => posdiag.copy(event)")


# --- the time line ----------------------------------------------------------------------------------------------------


def timeline(visit: Visit, steps: Sequence[Row], zone: str) -> None:
    """Steps, the last one first. `steps` are of a case (`text`, `data`) or of an incident (`n`), oldest first."""
    shown = list(reversed(steps))
    box = ui.element("ol").classes("steps-line story")
    with box:
        for step in shown[:_SHOWN_STEPS]:
            _step(visit, step, zone)
    if len(shown) > _SHOWN_STEPS:

        def rest() -> None:
            with box:
                for step in shown[_SHOWN_STEPS:]:
                    _step(visit, step, zone)
            more.delete()

        more = parts.button(visit.say("incident.load_all", n=len(shown)), rest)


def _step(visit: Visit, step: Row, zone: str) -> None:
    with ui.element("li"):
        with ui.element("div").classes("story-head"):
            ui.icon(_ICONS.get(step["kind"], "circle")).props('aria-hidden="true"')
            parts.text("strong", _what(visit, step, zone))
        _by(visit, _who(visit, step), step["at"], zone)
        if step.get("text") and step["kind"] != "clock" and not _nothing_more(step):
            parts.text("div", _said(visit, step)).classes("said")


def _nothing_more(step: Row) -> bool:
    """An answer without a word of the merchant's own, which its heading tells."""
    return step["kind"] == "answered" and str(step["text"]).startswith("the merchant says that it ")


def _who(visit: Visit, step: Row) -> str:
    data = step.get("data") or {}
    if data.get("by_phone"):
        return visit.say("step.by_phone", who=data.get("with_whom") or "–", name=step["by"])
    return step.get("by") or ""


def _said(visit: Visit, step: Row) -> str:
    """What somebody wrote, as it is; sentences of the center's own in the visitor's language."""
    diagnosis = (step.get("data") or {}).get("diagnosis")
    if isinstance(diagnosis, Mapping):  # of an announced visit, told in each language
        return str(diagnosis.get(visit.language, step["text"]))
    return sentences.told(visit.language, step["text"])


def _what(visit: Visit, step: Row, zone: str) -> str:
    kind, data = step["kind"], step.get("data") or {}
    if "data" not in step:
        return visit.say(f"incident.step_{kind}", n=step.get("n", 0))
    if kind == "message" and data.get("direction") == "in":
        kind = "call_asked" if data.get("call_me") else "message_in"
    if kind == "answered" and "works" in data:
        kind = "said_works" if data["works"] else "said_broken"
    to = data["to"] if isinstance(data.get("to"), Mapping) else data  # of one that is open again it is a state
    facts = {
        "name": to.get("owner") or to.get("team") or "",
        "at": parts.clock(_moment(data["eta_ms"]), zone) if data.get("eta_ms") else "",
    }
    if kind == "repaired":
        facts["name"] = visit.word(f"remedy.{data.get('remedy')}", str(data.get("remedy", "")))
    if kind == "root_cause":
        facts["name"] = visit.word(f"cause.{data.get('root_cause')}", str(data.get("root_cause", "")))
    said = visit.word(f"step.{kind}", kind).format(**facts)
    if kind == "command":
        state, cmd = str(data.get("state", "")), str(data.get("cmd", ""))
        did = visit.word(f"terminal.do_{cmd}", cmd)
        said += f": {did}, {visit.word(f'case.cmd_state_{state}', state)}"
    if kind == "clock":
        level = data.get("level") or data.get("state") or ""
        clock = visit.word(f"case.{data.get('clock')}", "")
        said += f": {clock} {visit.word('case.' + {'breach': 'breached'}.get(level, level), level)}"
    return said


def _moment(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat()


def _by(visit: Visit, by: str, at: str, zone: str) -> None:
    with ui.element("div").classes("quiet story-by"):
        parts.moment(visit, at, zone)
        if by:
            parts.text("span", f"· {by}")
