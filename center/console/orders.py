"""Commands to one terminal: asked for with a reason, and watched while they run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Final

from nicegui import ui

from agent.wire import TIERS
from center.console import figures, parts, sentences
from center.console.parts import Field
from center.console.session import Refused, Visit
from center.domain import check_output
from center.domain.texts import fault_title

COMMANDS: Final = tuple(TIERS)
"""In the order of what they disturb, the harmless first."""
ENDED: Final = frozenset({"succeeded", "failed", "rejected", "expired", "interrupted"})
_OF_DEVICE: Final = frozenset({"check", "identify", "statistics", "live", "recover"})
_VERDICTS: Final = ("yes", "degraded", "no", "unknown")
_MOST_FAULTS: Final = 50
_MOST_DEVICES: Final = 40
_LEVELS: Final = ("internal", "external", "interactive")
_CANNOT: Final = 503
_DATABASE: Final = "database"
"""In the other refusal of the same status."""
_LOOKS: Final = {
    "succeeded": "succeeded",
    "running": "maintenance",
    "accepted": "maintenance",
    "sent": "maintenance",
    "queued": "maintenance",
    "waiting_approval": "warning",
    "interrupted": "unknown",
    "expired": "unknown",
}

Ran = Callable[[str], Awaitable[None]]


def takes(detail: Mapping[str, Any]) -> list[str]:
    """Commands that a terminal says it takes; all of them where it has not said."""
    told = (detail["inventory"] or {}).get("commands")
    return [cmd for cmd in COMMANDS if not isinstance(told, list) or cmd in told]


def state_light(visit: Visit, state: str) -> None:
    """How far a command is."""
    parts.light(visit, _LOOKS.get(state, "failed"), visit.word(f"terminal.command_{state}", state))


def name_of(visit: Visit, command: Mapping[str, Any]) -> str:
    """What a command is called, with the device that it is for."""
    words = visit.word(f"terminal.do_{command['cmd']}", command["cmd"])
    device = command["args"].get("device")
    return f"{words}: {device}" if isinstance(device, str) else words


def ask(visit: Visit, detail: Mapping[str, Any], cmd: str, ran: Ran, device: str = "", zone: str = "UTC") -> None:
    """Ask for what the command needs and for a reason, send it, and call `ran` with its id."""

    async def send(told: dict[str, Any]) -> None:
        body = {
            "estate": detail["estate"],
            "terminal": detail["terminal"],
            "cmd": cmd,
            "args": _args(cmd, told),
            "reason": told["reason"],
        }
        try:
            command = await visit.api.post("/commands", body)
        except Refused as error:
            if error.status == _CANNOT and _DATABASE not in error.said:
                raise Refused(error.status, f"{visit.say('terminal.no_key')} ({error})") from None
            raise
        await ran(command["id"])

    reason = Field(
        "reason",
        visit.say("terminal.reason"),
        needed=True,
        hint=f"{visit.say(f'terminal.tier_{TIERS[cmd]}')} {visit.say('terminal.expires')}",
    )
    parts.ask(visit, visit.say(f"terminal.do_{cmd}"), [*_fields(visit, detail, cmd, device, zone), reason], send)


def _fields(visit: Visit, detail: Mapping[str, Any], cmd: str, device: str, zone: str) -> list[Field]:
    found: list[Field] = []
    names = [str(each["name"]) for each in (detail["inventory"] or {}).get("devices") or ()]
    if cmd in _OF_DEVICE and names:
        every = {} if cmd == "recover" else {"": visit.say("terminal.every_device")}
        options = every | {each: each for each in names}
        given = device if device in options else next(iter(options))
        found.append(Field("device", visit.say("terminal.device"), "choice", given, options))
    if cmd == "check":
        levels = {each: visit.say(f"terminal.level_{each}") for each in _LEVELS}
        found.append(Field("level", visit.say("terminal.level"), "choice", "internal", levels))
    elif cmd == "live":
        found.append(Field("seconds", visit.say("terminal.seconds"), "number", 60))
    elif cmd == "collect":
        hint = visit.say("terminal.url_hint")
        found.append(Field("url", visit.say("terminal.url"), value="https://", needed=True, hint=hint))
    elif cmd == "maintenance":
        on = {"on": visit.say("terminal.maintenance_on"), "off": visit.say("terminal.maintenance_off")}
        until = parts.local(datetime.now(UTC) + timedelta(hours=1), zone)
        found.append(Field("on", visit.say("terminal.maintenance"), "choice", "on", on))
        found.append(Field("until", visit.say("terminal.until"), "time", f"{until:%Y-%m-%dT%H:%M}", zone=zone))
    return found


def _args(cmd: str, told: Mapping[str, Any]) -> dict[str, Any]:
    args = {name: told[name] for name in ("device", "level", "url") if told.get(name)}
    if cmd == "live":
        args["seconds"] = int(told["seconds"] or 60)
    if cmd == "maintenance":
        args["on"] = told["on"] == "on"
        if args["on"] and told["until"]:
            args["until"] = told["until"].replace("+00:00", "Z")
    return args


class Run:
    """One command while it runs, in a part of the page that is empty before."""

    def __init__(self, visit: Visit, zone: str = "UTC") -> None:
        self._visit = visit
        self._zone = zone
        self.command = ""
        self.box = ui.element("div").props('aria-live="polite"')

    async def show(self, command_id: str) -> None:
        """Watch this one from now on."""
        self.command = command_id
        await self.again()

    async def again(self) -> None:
        """Show how far it is now."""
        if not self.command:
            return
        found = await self._visit.api.get(f"/commands/{self.command}")
        self.box.clear()
        with self.box, parts.section(name_of(self._visit, found), "run"):
            self._told(found)

    def _told(self, command: Mapping[str, Any]) -> None:
        visit = self._visit
        with ui.element("div").classes("bar"):
            state_light(visit, command["state"])
            if command["state"] not in ENDED and command["state"] != "waiting_approval":
                ui.linear_progress(show_value=False, color=None).props(
                    f'indeterminate aria-label="{visit.say("terminal.running")}"'
                ).classes("run-bar")
            elif command["state"] == "waiting_approval":
                self._second(command)
        by = command["issued_by"] + (f" + {command['approved_by']}" if command["approved_by"] else "")
        expiry = command["exp"] if command["state"] not in ENDED else None
        parts.facts(
            [
                (visit.say("terminal.reason"), command["reason"]),
                (visit.say("terminal.asked_by"), by),
                (visit.say("terminal.tier"), visit.say(f"terminal.tier_{command['tier']}")),
                (visit.say("terminal.ends"), (lambda: parts.moment(visit, expiry, self._zone)) if expiry else None),
                (visit.say("terminal.error"), sentences.told(visit.language, command["error"] or "")),
            ]
        )
        self._steps(command)
        output = command["output"]
        if command["state"] == "succeeded" and isinstance(output, Mapping) and output:
            parts.text("h3", visit.say("terminal.result"))
            result(visit, output)

    def _steps(self, command: Mapping[str, Any]) -> None:
        with ui.element("ol").classes("steps-line"):
            told: list[tuple[str, str | None]] = [("asked", command["created_at"])]
            told += [(each["state"], each["at"]) for each in command["results"]]
            for state, at in told:
                with ui.element("li"):
                    words = self._visit.word(f"terminal.command_{state}", state)
                    parts.text("span", f"{words} · ")
                    when = f"{parts.local(at, self._zone):%Y-%m-%d %H:%M:%S %Z}" if at else "–"
                    parts.text("span", when).classes("quiet figures")

    def _second(self, command: Mapping[str, Any]) -> None:
        visit = self._visit
        parts.text("span", visit.say("terminal.needs_second")).classes("quiet")

        async def approve() -> None:
            if await visit.act(visit.api.post(f"/commands/{command['id']}/approve")):
                await self.again()

        def decline() -> None:
            async def send(told: dict[str, Any]) -> None:
                await visit.api.post(f"/commands/{command['id']}/decline", {"reason": told["reason"]})
                await self.again()

            parts.ask(visit, visit.say("terminal.decline"), [_reason(visit)], send)

        if visit.may("command.approve"):
            parts.button(visit.say("terminal.approve"), approve, "check", main=True, mark="approve")
        parts.button(visit.say("terminal.decline"), decline, "close", mark="decline")


def _reason(visit: Visit) -> Field:
    return Field("reason", visit.say("terminal.reason"), needed=True)


def result(visit: Visit, output: Mapping[str, Any]) -> None:
    """What a command brought, of a check with lights and words first. A terminal may have put anything there."""
    verdict = output.get("verdict")
    rest = dict(output)
    if isinstance(verdict, Mapping):
        rest = {name: value for name, value in output.items() if name not in {"verdict", "sentence", "faults"}}
        can_sell, sentence = verdict.get("can_sell"), output.get("sentence")
        with ui.element("p"):
            parts.light(visit, can_sell if can_sell in _VERDICTS else "unknown")
            if isinstance(sentence, str):
                parts.text("span", f" {figures.short(sentence)}")
        _faults(visit, check_output.listed(output))
        _devices(visit, rest.pop("devices", None))
        took_ms = rest.pop("took_ms", None)
        if isinstance(took_ms, int | float):
            parts.text("p", visit.say("terminal.took", n=took_ms)).classes("quiet")
        rest.pop("answered", None)
    figures.told(visit, rest, 4)


def _faults(visit: Visit, found: check_output.Listed | None) -> None:
    """What a check found; no list, or an entry that cannot be read, is not the same as no fault."""
    if found is None:
        parts.light(visit, "unknown", visit.say("terminal.faults_untold"))
        return
    with ui.element("ul"):
        for key in found.keys[:_MOST_FAULTS]:
            parts.text("li", fault_title(key, visit.language))
        if len(found.keys) > _MOST_FAULTS:
            parts.text("li", visit.say("terminal.not_shown", n=len(found.keys) - _MOST_FAULTS))
        if found.odd:
            with ui.element("li"):
                parts.light(visit, "unknown", visit.say("terminal.faults_odd", n=found.odd))
        elif not found.keys:
            parts.text("li", visit.say("terminal.no_faults"))


def _devices(visit: Visit, told: object) -> None:
    """What each device answered to a check."""
    with ui.element("div").classes("cards"):
        for name, device in islice(told.items(), _MOST_DEVICES) if isinstance(told, Mapping) else ():
            with ui.element("article").classes("card"):
                parts.text("h4", figures.short(str(name)))
                rest = dict(device) if isinstance(device, Mapping) else {"": device}
                if text := rest.pop("text", ""):
                    parts.text("p", figures.figure(visit, text))
                readings = rest.pop("readings", None)
                figures.told(visit, {**rest, **(readings if isinstance(readings, Mapping) else {})}, 2)
