"""Scenarios: a time line of what is set and what is then expected, played against a running terminal.

A file holds `[[step]]` tables with `at_s` (seconds from the start), `set` (keys and values), `expect`:

    [[step]]
    at_s = 2
    set = { "printer.paper" = "out" }
    expect = { faults = ["printer/paper_out"], root = "printer/paper_out", within_s = 5 }

In `expect`, `faults` must be raised, `absent` must not be, `root` must be raised without a cause, and `can_sell` is the
verdict's. These come from DIR/run/status.json, which the agent writes; any other name is a key of the terminal. All
must hold at the same moment, at the latest `within_s` (5 when left out) after the step.
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
_EVERY_S: Final = 0.1
_OF_THE_AGENT: Final = ("faults", "absent", "root", "can_sell")


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
    """Read a scenario. Raises BadScenario."""
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadScenario(f"{file}: {error}") from error
    unknown = content.keys() - {"step", "title"}
    if unknown or not isinstance(content.get("step"), list):
        raise BadScenario(f"{file}: a scenario has [[step]] tables and may have a title")
    steps = tuple(_step(f"{file}: step {i}", table) for i, table in enumerate(content["step"], 1))
    return tuple(sorted(steps, key=lambda step: step.at_s))


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
    for step in steps:
        delay = begin + step.at_s - clock()
        if delay > 0:
            wait(delay)
        if step.set:
            target.set(step.set)
        started = clock()
        missed = _missed(step.expect, target, status_file)
        while missed and clock() - started < step.within_s:
            wait(_EVERY_S)
            missed = _missed(step.expect, target, status_file)
        yield Outcome(step.at_s, step.set, step.expect, missed, clock() - started)


def _step(where: str, table: object) -> Step:
    if not isinstance(table, dict) or table.keys() - {"at_s", "set", "expect"}:
        raise BadScenario(f"{where} may have at_s, set and expect")
    at_s, wanted, expect = table.get("at_s", 0), table.get("set", {}), table.get("expect", {})
    if not isinstance(wanted, dict) or not isinstance(expect, dict):
        raise BadScenario(f"{where}: set and expect are tables")
    expect = dict(_flat(expect))
    within_s = expect.pop("within_s", _WITHIN_S)
    if not all(isinstance(number, int | float) and number >= 0 for number in (at_s, within_s)):
        raise BadScenario(f"{where}: at_s and within_s are seconds")
    for name in ("faults", "absent"):
        if not isinstance(expect.get(name, []), list):
            raise BadScenario(f"{where}: {name} is a list of unit/kind")
    return Step(float(at_s), {name: str(value) for name, value in _flat(wanted)}, expect, float(within_s))


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """TOML reads `printer.paper = …` without quotes as a table in a table; both spellings mean the same key."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _missed(expect: Mapping[str, Any], target: Target, status_file: Path) -> tuple[str, ...]:
    missed = []
    keys = {name: value for name, value in expect.items() if name not in _OF_THE_AGENT}
    values = target.get() if keys else {}
    for name, value in keys.items():
        if name not in values:
            missed.append(f"{name} is not a key")
        elif str(values[name]) != str(value):
            missed.append(f"{name} is {values[name]}, not {value}")
    if len(keys) < len(expect):
        missed += _missed_by_agent(expect, status_file)
    return tuple(missed)


def _missed_by_agent(expect: Mapping[str, Any], status_file: Path) -> Iterator[str]:
    try:
        status = json.loads(status_file.read_text(encoding="utf-8"))
        raised = {fault["fault"]: fault for fault in status["faults"] if fault["state"] != "cleared"}
        can_sell = status["verdict"]["can_sell"]
    except (OSError, ValueError, KeyError, TypeError):
        yield f"{status_file} does not say what the agent sees"
        return
    for key in expect.get("faults", ()):
        if key not in raised:
            yield f"{key} is not raised"
    for key in expect.get("absent", ()):
        if key in raised:
            yield f"{key} is raised"
    root = expect.get("root")
    if root is not None and root not in raised:
        yield f"{root} is not raised"
    elif root is not None and raised[root].get("cause") is not None:
        yield f"{root} is not a root: {raised[root]['cause']} explains it"
    if expect.get("can_sell", can_sell) != can_sell:
        yield f"can_sell is {can_sell}, not {expect['can_sell']}"
