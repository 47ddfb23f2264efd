"""What people do with a case or an incident, as buttons and forms. The API decides whether it may be done."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from nicegui import ui

from center.console import case_owner, parts
from center.console.case_form import area, form, given
from center.console.parts import Field
from center.console.queue import promise
from center.console.session import Refused, Visit, lead_to

WORKING: Final = ("new", "acknowledged", "assigned", "dispatched", "reopened")
_WAITS: Final = ("merchant", "part", "operator")
_SHOWN: Final = 5
_MERGED_INTO: Final = 100
_ALL: Final = ""

Case = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Act:
    """One thing to do: its name in the texts (`case.do_{name}`), its icon, what happens."""

    name: str
    icon: str
    do: Callable[[], Any]


def bar(visit: Visit, acts: Sequence[Act]) -> None:
    """The first few as buttons, the first of all the main one; the rest in a menu."""
    with ui.element("div").classes("bar acts").props('role="group"'):
        for number, act in enumerate(acts[:_SHOWN]):
            parts.button(visit.say(f"case.do_{act.name}"), act.do, act.icon, main=number == 0, mark=f"do-{act.name}")
        rest = acts[_SHOWN:]
        if rest:
            more = ui.button(visit.say("case.more"), icon="more_horiz", color=None).props("no-caps outline")
            with more.mark("more"), ui.menu().props("auto-close"):
                for act in rest:
                    ui.menu_item(visit.say(f"case.do_{act.name}"), act.do).mark(f"do-{act.name}")


def of_case(visit: Visit, case: Case, zone: str) -> list[Act]:
    """What can be done with a case in its state, the most usual first."""
    if case["state"] == "closed":
        return [Act("note", "edit_note", lambda: note(visit, case))]
    working = case["state"] in WORKING
    mine = case["owner"] == visit.me["name"]
    at_place = bool(case["terminal"] or case["site"])
    found: list[tuple[bool, str, str, Callable[[], Any]]] = [
        (case["state"] in {"new", "reopened"}, "acknowledge", "check", lambda: acknowledge(visit, case)),
        (case["kind"] in {"question", "complaint"} and working, "answer", "reply", lambda: answer(visit, case)),
        (working, "eta", "schedule", lambda: promise(visit, case["id"], zone)),
        (at_place, "message", "chat", lambda: message(visit, case)),
        (
            working and at_place and case["state"] != "dispatched",
            "dispatch",
            "engineering",
            lambda: send(visit, case, zone),
        ),
        (case["state"] == "dispatched", "cancel_visit", "event_busy", lambda: cancel(visit, case)),
        (working and case["kind"] == "fault", "repaired", "build", lambda: repaired(visit, case)),
        (working and not mine and visit.may("case.assign"), "own", "person_add", lambda: own(visit, case)),
        (working and visit.may("case.assign"), "assign", "group_add", lambda: case_owner.assign(visit, case)),
        (working and not case["paused_since"], "pause", "pause", lambda: pause(visit, case)),
        (bool(case["paused_since"]), "resume", "play_arrow", lambda: resume(visit, case)),
        (True, "hand_over", "swap_horiz", lambda: case_owner.hand_over(visit, case)),
        (True, "note", "edit_note", lambda: note(visit, case)),
        (True, "call", "call", lambda: call(visit, case)),
        (True, "cause", "troubleshoot", lambda: cause(visit, case)),
        (True, "tag", "sell", lambda: tag(visit, case)),
        (visit.may("case.close"), "dismiss", "block", lambda: dismiss(visit, case)),
    ]
    if not visit.may("case.write"):
        return []
    return [Act(name, icon, do) for there, name, icon, do in found if there]


def of_incident(visit: Visit, told: Mapping[str, Any]) -> list[Act]:
    """What can be done with an incident that nobody has opened a case of."""
    if told["state"] == "resolved" or not visit.may("incident.write"):
        return []
    has_case = told["scope"] != "center" and told["parent"] is None
    found: list[tuple[bool, str, str, Callable[[], Any]]] = [
        (told["state"] == "open", "acknowledge", "check", lambda: _take(visit, told, None)),
        (visit.may("case.write") and has_case, "open", "note_add", lambda: open_case(visit, told["id"])),
        (told["owner"] != visit.me["name"], "own", "person_add", lambda: _take(visit, told, visit.me["name"])),
        (True, "assign", "group_add", lambda: case_owner.give(visit, told)),
        (told["state"] == "acknowledged", "release", "person_remove", lambda: _release(visit, told)),
    ]
    return [Act(name, icon, do) for there, name, icon, do in found if there]


async def _take(visit: Visit, told: Mapping[str, Any], owner: str | None) -> None:
    at, name = f"/incidents/{told['id']}", "own" if owner else "acknowledge"
    doing = visit.api.post(f"{at}/assign", {"owner": owner}) if owner else visit.api.post(f"{at}/acknowledge")
    await visit.act(doing, visit.say(f"case.done_{name}"), case_owner.back(visit, told))


async def _release(visit: Visit, told: Mapping[str, Any]) -> None:
    doing = visit.api.post(f"/incidents/{told['id']}/release")
    await visit.act(doing, visit.say("case.done_release"), case_owner.back(visit, told))


async def merge(visit: Visit, told: Mapping[str, Any]) -> None:
    """Make it a part of one of the heaviest open incidents."""
    at = f"/incidents/{told['id']}"
    page = await visit.act(visit.api.get("/queue", limit=_MERGED_INTO, language=visit.language))
    if page is None:
        return
    others = {
        each["id"]: f"{each['title']} · {each['scope_key']}" for each in page["items"] if each["id"] != told["id"]
    }
    if not others:
        visit.told(visit.say("incident.merge_none_title"))
        return

    async def do(given: dict[str, Any]) -> None:
        made = await visit.api.post(f"{at}/merge", given)
        visit.told(visit.say("incident.merged"), lambda: visit.api.post(f"{at}/regroupings/{made['id']}/undo"))

    fields = [
        Field("into", visit.say("incident.merge_into"), "choice", next(iter(others)), others, needed=True),
        Field("reason", visit.say("case.ask_reason"), needed=True),
    ]
    parts.ask(visit, visit.say("case.do_merge").rstrip("…"), fields, do)


def split(visit: Visit, incident: str, terminals: Sequence[str]) -> None:
    """Take terminals (`estate.terminal`) out of an incident."""
    at = f"/incidents/{incident}"

    async def do(given: dict[str, Any]) -> None:
        made = await visit.api.post(f"{at}/split", {"terminals": list(terminals), "reason": given["reason"]})
        done = visit.say("incident.split_done", n=len(terminals))
        visit.told(done, lambda: visit.api.post(f"{at}/regroupings/{made['id']}/undo"))

    reason = Field("reason", visit.say("case.ask_reason"), needed=True)
    parts.ask(visit, visit.say("incident.split").rstrip("…"), [reason], do)


async def open_case(visit: Visit, incident: str) -> None:
    """Open the case of an incident, and go there."""
    made = await visit.act(visit.api.post(f"/incidents/{incident}/case"))
    if made:
        lead_to(f"/console/case/{made['id']}")


# --- at once ----------------------------------------------------------------------------------------------------------


async def acknowledge(visit: Visit, case: Case) -> None:
    await _at_once(visit, case, "acknowledge", visit.say("case.done_acknowledge"), {}, undo=True)


async def own(visit: Visit, case: Case) -> None:
    await _at_once(visit, case, "assign", visit.say("case.done_own"), {"owner": visit.me["name"]}, undo=True)


async def resume(visit: Visit, case: Case) -> None:
    await _at_once(visit, case, "resume", visit.say("case.done_resume"), {})


async def _at_once(visit: Visit, case: Case, verb: str, done: str, body: Any, *, undo: bool = False) -> None:
    doing = visit.api.post(f"/cases/{case['id']}/{verb}", body)
    back = (lambda: visit.api.post(f"/cases/{case['id']}/undo")) if undo else None
    await visit.act(doing, done, back)


# --- with a form ------------------------------------------------------------------------------------------------------


def note(visit: Visit, case: Case) -> None:
    form(visit, case, "note", [area(visit, "ask_text", "note_hint")], given)


def message(visit: Visit, case: Case) -> None:
    form(visit, case, "message", [area(visit, "ask_text", "message_hint")], given)


def answer(visit: Visit, case: Case) -> None:
    form(visit, case, "answer", [area(visit, "ask_text", "message_hint")], given)


def cancel(visit: Visit, case: Case) -> None:
    form(visit, case, "cancel_visit", [area(visit, "ask_reason")], given)


def call(visit: Visit, case: Case) -> None:
    fields = [
        Field("with_whom", visit.say("case.ask_with"), needed=True),
        Field("incoming", visit.say("case.ask_incoming"), "check", value=True),
        area(visit, "ask_text"),
    ]
    form(visit, case, "call", fields, dict)


def pause(visit: Visit, case: Case) -> None:
    waits = {each: visit.say(f"case.waits_{each}") for each in _WAITS}
    fields = [
        Field("reason", visit.say("case.ask_waits"), "choice", "merchant", waits, needed=True),
        area(visit, "ask_what_for"),
    ]
    form(visit, case, "pause", fields, given)


def cause(visit: Visit, case: Case) -> None:
    words = {each: visit.word(f"cause.{each}", each) for each in case["choices"]["root_causes"]}
    fields = [
        Field("root_cause", visit.say("case.ask_cause"), "choice", case["root_cause"], words, needed=True),
        area(visit, "ask_text", needed=False),
    ]
    form(visit, case, "cause", fields, given)


def repaired(visit: Visit, case: Case) -> None:
    words = {each: visit.word(f"remedy.{each}", each) for each in case["choices"]["remedies"]}
    fields = [
        Field("remedy", visit.say("case.ask_remedy"), "choice", None, words, needed=True),
        area(visit, "ask_text", needed=False),
        *(Field(f"part_{name}", visit.say(f"case.ask_part_{name}")) for name in ("name", "old", "new")),
    ]

    def body(told: dict[str, Any]) -> dict[str, Any]:
        part = {name: told[f"part_{name}"] for name in ("name", "old", "new") if told[f"part_{name}"]}
        return {"remedy": told["remedy"], "text": told["text"]} | ({"part": part} if part else {})

    form(visit, case, "repaired", fields, body)


def tag(visit: Visit, case: Case) -> None:
    before = case["tags"]

    def body(told: dict[str, Any]) -> dict[str, Any]:
        now = {each.strip().lower() for each in told["tags"].replace("，", ",").split(",") if each.strip()}
        return {"add": sorted(now - set(before)), "remove": sorted(set(before) - now)}

    form(visit, case, "tag", [Field("tags", visit.say("case.ask_tags"), value=", ".join(before))], body)


def dismiss(visit: Visit, case: Case) -> None:
    words = {each: visit.say(f"case.outcome_{each}") for each in ("false_alarm", "duplicate")}
    fields = [
        Field("outcome", visit.say("case.ask_outcome"), "choice", "false_alarm", words, needed=True),
        Field("into", visit.say("case.ask_into")),
        Field("reason", visit.say("case.ask_reason"), "area", needed=True),
    ]

    async def do(told: dict[str, Any]) -> None:
        into = None
        if told["outcome"] == "duplicate" and told["into"]:
            number = told["into"].upper().removeprefix("C").lstrip("- ")
            into = (await visit.api.get(f"/cases/{number}"))["id"]
        body = {"outcome": told["outcome"], "reason": told["reason"], "into": into}
        await visit.api.post(f"/cases/{case['id']}/dismiss", body)
        visit.told(visit.say("case.done_dismiss"))

    parts.ask(visit, visit.say("case.do_dismiss").rstrip("…"), fields, do)


def send(visit: Visit, case: Case, zone: str) -> None:
    """Announce a visit, with what is known before somebody travels."""
    plan = case["plan"]
    begin = parts.local(datetime.now(UTC) + timedelta(hours=2), zone)
    skills = {each: visit.say(f"case.skill_{each}") for each in ("none", "basic", "device", "network", "security")}
    fields = [
        Field("technician", visit.say("case.technician"), needed=True),
        Field("from", visit.say("case.visit_from"), "time", f"{begin:%Y-%m-%dT%H:00}", needed=True, zone=zone),
        Field(
            "until",
            visit.say("case.visit_until"),
            "time",
            f"{begin + timedelta(hours=4):%Y-%m-%dT%H:00}",
            needed=True,
            zone=zone,
        ),
        Field("part", visit.say("case.likely_part"), value=plan["part"]),
        Field(
            "skill", visit.say("case.skill"), "choice", plan["skill"] if plan["skill"] in skills else "basic", skills
        ),
        Field("access", visit.say("case.access"), "area"),
    ]
    form(visit, case, "dispatch", fields, given)


def check(visit: Visit, terminals: Sequence[tuple[str, str]], devices: Sequence[str], case: str | None) -> None:
    """Have a terminal check itself now; what comes of it is shown where commands are shown."""
    words = {_ALL: visit.say("case.all_devices")} | {each: each for each in devices}
    where = {f"{estate}/{terminal}": terminal for estate, terminal in terminals}
    fields = [Field("device", visit.say("case.ask_device"), "choice", _ALL, words)] if devices else []
    if len(where) > 1:
        fields.insert(0, Field("at", visit.say("incident.run_on"), "choice", next(iter(where)), where, needed=True))
    fields.append(Field("reason", visit.say("case.ask_reason"), value=visit.say("case.check_reason"), needed=True))

    async def do(told: dict[str, Any]) -> None:
        estate, terminal = (told.get("at") or next(iter(where))).split("/")
        args = {"level": "internal"} | ({"device": told["device"]} if told.get("device") else {})
        wish = {
            "estate": estate,
            "terminal": terminal,
            "cmd": "check",
            "args": args,
            "reason": told["reason"],
            "case": case,
        }
        try:
            await visit.api.post("/commands", wish)
        except Refused as error:
            if error.status == 503:
                raise Refused(503, visit.say("case.key_hint")) from error
            raise
        visit.told(visit.say("case.done_check"))

    parts.ask(visit, visit.say("case.do_check"), fields, do)
