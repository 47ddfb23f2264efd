"""Scenarios: a time line of what is set and what is then expected, played against a running terminal.

A file may say its `title`, its `kind` (a label), the `families` of the terminal it is meant for (device to family) and
what `may` come and go on the way (faults). It holds `[[step]]` tables with `at_s` (seconds from the start), `set` (keys
and values), `expect`:

    [[step]]
    at_s = 2
    set = { "printer.paper" = "out" }
    expect = { faults = ["printer/paper_out"], root = "printer/paper_out", within_s = 5 }

In `expect`, `faults` must be raised, `absent` must not be, `never` must not have been seen since the start, `root` must
be raised without a cause, `roots` are all that are, `symptoms` is a table of faults and their causes; `can_sell`,
`cause` and `act` are the verdict's. These come from DIR/run/status.json, which the agent writes; any other name is a
key of the terminal. All must hold at the same moment, at the latest `within_s` (5 when left out) after the step.
"""

from __future__ import annotations

import json
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from simulator.control import ask

_WITHIN_S: Final = 5.0
_ENDLESS_S: Final = 1e8
_EVERY_S: Final = 0.1
_LISTS: Final = ("faults", "absent", "never", "roots")
_OF_VERDICT: Final = ("can_sell", "cause", "act")
_OF_THE_AGENT: Final = (*_LISTS, *_OF_VERDICT, "root", "symptoms")


class BadScenario(ValueError):
    """The file is no scenario; the text says where and why."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step. `expect` is empty when nothing is expected."""

    at_s: float
    set: Mapping[str, str] = field(default_factory=dict)
    expect: Mapping[str, Any] = field(default_factory=dict)
    within_s: float = _WITHIN_S


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one step; `missed` says in words what did not hold, empty when all did."""

    at_s: float
    set: Mapping[str, str]
    expect: Mapping[str, Any]
    missed: tuple[str, ...]
    took_s: float

    @property
    def held(self) -> bool:
        return not self.missed

    def as_json(self) -> dict[str, Any]:
        return {
            "at_s": self.at_s,
            "set": dict(self.set),
            "expect": dict(self.expect),
            "held": self.held,
            "missed": list(self.missed),
            "took_s": round(self.took_s, 3),
        }


@dataclass(frozen=True, slots=True)
class Scenario:
    """A whole file. `families` maps device to family where it is not the default; `may` is in `named`, not expected."""

    steps: tuple[Step, ...]
    title: str = ""
    kind: str = ""
    families: Mapping[str, str] = field(default_factory=dict)
    may: tuple[str, ...] = ()

    @property
    def named(self) -> set[str]:
        """Every fault that the file names as one that will or may be raised; any other is a false one."""
        expected = [step.expect for step in self.steps]
        listed = {key for each in expected for name in ("faults", "roots") for key in each.get(name, ())}
        told = {key for each in expected for pair in each.get("symptoms", {}).items() for key in pair}
        return listed | told | {each["root"] for each in expected if "root" in each} | set(self.may)


class Target(Protocol):
    """A terminal to play against."""

    def set(self, values: Mapping[str, str], /) -> None:
        """Change keys."""

    def get(self) -> Mapping[str, str | int | float]:
        """All keys."""


class Running:
    """The terminal that runs in a directory, reached through its control socket."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def set(self, values: Mapping[str, str], /) -> None:
        ask(self._folder, {"do": "set", "values": dict(values)})

    def get(self) -> Mapping[str, str | int | float]:
        values: Mapping[str, str | int | float] = ask(self._folder, {"do": "get"})["values"]
        return values


def load(file: Path) -> tuple[Step, ...]:
    """The steps of a scenario in time. Raises BadScenario."""
    return read(file).steps


def read(file: Path) -> Scenario:
    """A whole scenario. Raises BadScenario."""
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadScenario(f"{file}: {(error.strerror or str(error)).lower()}") from error
    except UnicodeDecodeError as error:
        raise BadScenario(f"{file}: not UTF-8 at byte {error.start}") from error
    except ValueError as error:
        raise BadScenario(f"{file}: not TOML: {error}") from error
    steps = content.pop("step", None)
    if content.keys() - {"title", "kind", "families", "may"} or not isinstance(steps, list):
        raise BadScenario(f"{file}: a scenario has [[step]] tables and may have title, kind, families and may")
    title, kind, families = content.get("title", ""), content.get("kind", ""), content.get("families", {})
    if not isinstance(content.get("may", []), list):
        raise BadScenario(f"{file}: may is a list of unit/kind")
    if not isinstance(families, dict) or not all(isinstance(text, str) for text in (title, kind, *families.values())):
        raise BadScenario(f"{file}: title and kind are texts, families is a table of texts")
    line = sorted((_step(f"{file}: step {i}", table) for i, table in enumerate(steps, 1)), key=lambda step: step.at_s)
    return Scenario(tuple(line), title, kind, families, tuple(content.get("may", ())))


def play(
    steps: tuple[Step, ...],
    target: Target,
    status_file: Path,
    *,
    wait: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Outcome]:
    """Do the steps in time and tell what came of each. Raises what `target` raises for an illegal key or value."""
    begin = clock()
    agent = Agent(lambda: _status(status_file), str(status_file))
    for step in steps:
        while (delay := begin + step.at_s - clock()) > 0:
            wait(min(delay, _EVERY_S))
            agent.look()
        if step.set:
            target.set(step.set)
        started = clock()
        missed = _missed(step.expect, target, agent)
        while missed and clock() - started < step.within_s:
            wait(_EVERY_S)
            missed = _missed(step.expect, target, agent)
        yield Outcome(step.at_s, step.set, step.expect, missed, clock() - started)


class Agent:
    """What the agent says. `status` gives the content of its status file, None when there is none; `where` names it."""

    def __init__(self, status: Callable[[], Any], where: str) -> None:
        self._status = status
        self._where = where
        self.raised: dict[str, Mapping[str, Any]] = {}
        self.seen: set[str] = set()
        """Every fault that was raised at some look."""

    def look(self) -> Mapping[str, Any] | None:
        """Its verdict as it stands, with `raised` and `seen` brought up to now; None when it says nothing."""
        status = self._status()
        try:
            verdict: Mapping[str, Any] = status["verdict"]
            self.raised = {fault["fault"]: fault for fault in status["faults"] if fault["state"] != "cleared"}
            verdict["can_sell"]
        except (KeyError, TypeError):
            return None
        self.seen |= self.raised.keys()
        return verdict

    def missed(self, expect: Mapping[str, Any]) -> Iterator[str]:
        """In words, what of `expect` does not hold now."""
        verdict = self.look()
        if verdict is None:
            yield f"{self._where} does not say what the agent sees"
            return
        raised = self.raised
        yield from (f"{key} is not raised" for key in expect.get("faults", ()) if key not in raised)
        yield from (f"{key} is raised" for key in expect.get("absent", ()) if key in raised)
        yield from (f"{key} was raised" for key in expect.get("never", ()) if key in self.seen)
        symptoms: Mapping[str, str | None] = expect.get("symptoms", {})
        wanted = {**symptoms, **({expect["root"]: None} if "root" in expect else {})}
        for key, cause in wanted.items():
            if key not in raised:
                yield f"{key} is not raised"
            elif (found := raised[key].get("cause")) != cause:
                yield (
                    f"{key} is not a root: {found} explains it"
                    if cause is None
                    else f"{key} is explained by {found or 'nothing'}"
                )
        if "roots" in expect:
            roots = sorted(key for key, fault in raised.items() if fault.get("cause") is None)
            if roots != sorted(expect["roots"]):
                yield f"the roots are {', '.join(roots) or 'none'}"
        for name in _OF_VERDICT:
            if name in expect and verdict.get(name) != expect[name]:
                yield f"{name} is {verdict.get(name)}, not {expect[name]}"


def _step(where: str, table: object) -> Step:
    if not isinstance(table, dict) or table.keys() - {"at_s", "set", "expect"}:
        raise BadScenario(f"{where} may have at_s, set and expect")
    at_s, wanted, expect = table.get("at_s", 0), table.get("set", {}), table.get("expect", {})
    if not isinstance(wanted, dict) or not isinstance(expect, dict):
        raise BadScenario(f"{where}: set and expect are tables")
    symptoms = expect.get("symptoms", {})
    expect = dict(_flat({name: value for name, value in expect.items() if name != "symptoms"}))
    if symptoms:
        expect["symptoms"] = symptoms
    within_s = expect.pop("within_s", _WITHIN_S)
    if not all(isinstance(number, int | float) and 0 <= number < _ENDLESS_S for number in (at_s, within_s)):
        raise BadScenario(f"{where}: at_s and within_s are seconds")
    for name in _LISTS:
        if not isinstance(expect.get(name, []), list):
            raise BadScenario(f"{where}: {name} is a list of unit/kind")
    if not isinstance(symptoms, dict) or not all(isinstance(cause, str) for cause in symptoms.values()):
        raise BadScenario(f"{where}: symptoms is a table of unit/kind and the unit/kind that explains it")
    return Step(float(at_s), {name: str(value) for name, value in _flat(wanted)}, expect, float(within_s))


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """TOML reads `printer.paper = …` without quotes as a table in a table; both spellings mean the same key."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _missed(expect: Mapping[str, Any], target: Target, agent: Agent) -> tuple[str, ...]:
    missed = []
    keys = {name: value for name, value in expect.items() if name not in _OF_THE_AGENT}
    values = target.get() if keys else {}
    for name, value in keys.items():
        if name not in values:
            missed.append(f"{name} is not a key")
        elif str(values[name]) != str(value):
            missed.append(f"{name} is {values[name]}, not {value}")
    if len(keys) < len(expect):
        missed += agent.missed(expect)
    return tuple(missed)


def _status(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
