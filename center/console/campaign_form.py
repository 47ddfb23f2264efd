"""What somebody writes to draw up a campaign, and the plan that the API takes."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from nicegui import ui

from center.console import parts
from center.console.parts import Field
from center.console.session import Visit

KINDS: Final = ("check", "readiness", "config")
AUDIENCE: Final = (
    *("estates", "regions", "operators", "models", "firmwares", "sites", "trades", "tags", "faults", "terminals"),
)
_LEVELS: Final = ("internal", "external")
_USUAL_WAVES: Final = "5, 10%, 100%"
_USUAL_PAUSE_MIN: Final = 15
_USUAL_HALT_PERCENT: Final = 10


class Wrong(Exception):
    """What was written is no plan; its text is one line for whoever wrote it."""


class AudiencePicker:
    """Which terminals it is for: a field for each sort of names."""

    def __init__(self, visit: Visit, given: Mapping[str, str]) -> None:
        self._visit = visit
        self._given = given
        self._inputs: dict[str, Any] = {}

    def build(self) -> None:
        parts.text("p", self._visit.say("campaigns.audience_hint")).classes("quiet")
        with ui.element("div").classes("form"):
            for name in AUDIENCE:
                field = Field(name, self._visit.say(f"campaigns.{name}"), value=self._given.get(name, ""))
                self._inputs[name] = parts.entry(field).props("debounce=400")

    def on_change(self, do: Callable[[], Awaitable[None]]) -> None:
        """Call `do` when it has changed."""
        for made in self._inputs.values():
            made.on_value_change(do)

    def names(self) -> dict[str, list[str]]:
        """The audience as the API takes it; empty where nothing is filled in."""
        named = {name: _listed(str(made.value or "")) for name, made in self._inputs.items()}
        return {name: names for name, names in named.items() if names}


class Draft:
    """The form in three parts, each built where it is called."""

    def __init__(self, visit: Visit, kind: str, given: Mapping[str, str]) -> None:
        self._visit = visit
        self._kind = kind if kind in KINDS else KINDS[0]
        self._whom = AudiencePicker(visit, given)
        self._inputs: dict[str, Any] = {}
        self._more: dict[str, list[Any]] = {}

    def about(self) -> None:
        """Name, kind, what belongs to the kind, and the reason."""
        say = self._visit.say
        kinds = {each: say(f"campaigns.kind_{each}") for each in KINDS}
        levels = {each: say(f"campaigns.level_{each}") for each in _LEVELS}
        with ui.element("div").classes("form"):
            self._ask("name", needed=True)
            self._ask("kind", "choice", self._kind, kinds)
            day = self._ask("date")
            day.props('type="date" stack-label')
            level = self._ask("level", "choice", "internal", levels)
            settings = self._ask("settings", "area", hint=say("campaigns.settings_hint"))
            self._ask("reason", needed=True)
        self._more = {"readiness": [day, level], "check": [level], "config": [settings]}
        self._inputs["kind"].on_value_change(self._show)
        self._show()

    def audience(self) -> None:
        """For which terminals."""
        self._whom.build()

    def care(self) -> None:
        """Waves, and when to stop."""
        say = self._visit.say
        with ui.element("div").classes("form"):
            self._ask("waves", value=_USUAL_WAVES, hint=say("campaigns.waves_hint"))
            self._ask("pause", "number", _USUAL_PAUSE_MIN)
            self._ask("halt_share", "number", _USUAL_HALT_PERCENT)
            self._ask("quiet", "check", False)

    def on_change(self, do: Callable[[], Awaitable[None]]) -> None:
        """Call `do` when the audience, or what is done to it, has changed."""
        self._whom.on_change(do)
        self._inputs["kind"].on_value_change(do)

    def is_for_somebody(self) -> bool:
        return bool(self._whom.names())

    def asked(self) -> dict[str, Any]:
        """What is needed to count. Raises Wrong."""
        kind = self._inputs["kind"].value
        if kind == "readiness":  # counted before anybody chose the day
            return {"kind": "check", "audience": self._whom.names()}
        args = self._args(kind) if kind != "config" or self._text("settings") else {"settings": {"any": {"key": None}}}
        return {"kind": kind, "audience": self._whom.names(), "args": args}

    def whole(self) -> dict[str, Any]:
        """The plan for POST /campaigns. Raises Wrong."""
        kind = self._inputs["kind"].value
        needed = ["name", "reason", *({"readiness": ["date"], "config": ["settings"]}.get(kind, []))]
        missing = [self._visit.say(f"campaigns.{each}") for each in needed if not self._text(each)]
        if missing:
            raise Wrong(self._visit.say("campaigns.missing", what=", ".join(missing)))
        return {
            "name": self._text("name"),
            "kind": kind,
            "audience": self._whom.names(),
            "reason": self._text("reason"),
            "args": self._args(kind),
            "waves": self._waves(),
            "pace": {"quiet": bool(self._inputs["quiet"].value)},
            "halt_share": float(self._inputs["halt_share"].value or _USUAL_HALT_PERCENT) / 100,
        }

    def _ask(
        self,
        name: str,
        kind: Any = "text",
        value: Any = None,
        options: Any = None,
        hint: str = "",
        *,
        needed: bool = False,
    ) -> Any:
        label = self._visit.say(f"campaigns.{name}")
        made = parts.entry(Field(name, label, kind, value, options or {}, needed, hint))
        self._inputs[name] = made
        return made

    def _show(self) -> None:
        """Only what belongs to the kind."""
        here = self._more[self._inputs["kind"].value]
        for each in {id(each): each for some in self._more.values() for each in some}.values():
            each.set_visibility(each in here)

    def _text(self, name: str) -> str:
        return str(self._inputs[name].value or "").strip()

    def _args(self, kind: str) -> dict[str, Any]:
        if kind == "config":
            return {"settings": settings_of(self._text("settings"), self._visit)}
        level = {"level": self._inputs["level"].value}
        return level | {"date": self._text("date")} if kind == "readiness" else level

    def _waves(self) -> list[dict[str, Any]]:
        pause_s = round(60 * float(self._inputs["pause"].value or 0))
        return waves_of(self._text("waves"), pause_s, self._visit)


def _listed(text: str) -> list[str]:
    return [each.strip() for each in text.replace("，", ",").split(",") if each.strip()]


def waves_of(text: str, pause_s: int, visit: Visit) -> list[dict[str, Any]]:
    """`5, 10%, 100%` as waves; the last has no pause behind it. Raises Wrong."""
    found: list[dict[str, Any]] = []
    for part in _listed(text):
        number = part.removesuffix("%").strip()
        try:
            size = {"share": float(number) / 100} if part.endswith("%") else {"count": int(number)}
        except ValueError:
            raise Wrong(visit.say("campaigns.waves_wrong", part=part)) from None
        found.append(size | {"pause_s": pause_s})
    if found:
        found[-1]["pause_s"] = 0
    return found


def settings_of(text: str, visit: Visit) -> dict[str, dict[str, Any]]:
    """Lines `table.key = value` as tables of settings; values as JSON, else as text. Raises Wrong."""
    found: dict[str, dict[str, Any]] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        name, equals, value = (each.strip() for each in line.partition("="))
        table, dot, key = name.partition(".")
        if not (equals and dot and table and key):
            raise Wrong(visit.say("campaigns.settings_wrong", line=line))
        found.setdefault(table, {})[key] = _value(value)
    return found


def _value(text: str) -> Any:
    if not text:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return text


def shown_waves(visit: Visit, waves: Sequence[Mapping[str, Any]]) -> list[str]:
    """Each wave in words. The last takes whoever is left."""
    found = []
    for number, wave in enumerate(waves, 1):
        if number == len(waves):
            found.append(visit.say("campaigns.wave_rest"))
        elif "count" in wave:
            found.append(visit.say("campaigns.wave_count", n=wave["count"]))
        else:
            found.append(visit.say("campaigns.wave_share", share=f"{wave['share']:.0%}"))
    return found
