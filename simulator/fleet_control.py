"""What can be changed of a running fleet, and read: `posdiag sim set DIR operator.mobile=down`.

Keys: `operator.NAME`, `cell.NAME`, `site.NAME`, `host.NAME` up or down; `power.DISTRICT`, `terminal.NAME` on or off;
`terminal.NAME.UNIT/KIND` raised or cleared; `commands.fail_share` 0 to 1, `commands.seconds`; `fleet.faults_per_hour`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from simulator.device import Illegal
from simulator.fleet_answers import Answers
from simulator.fleet_day import Day
from simulator.fleet_faults import SIGNS
from simulator.loop import Loop

_WORDS: Final = {
    "operator": ("up", "down"),
    "cell": ("up", "down"),
    "site": ("up", "down"),
    "host": ("up", "down"),
    "power": ("on", "off"),
    "terminal": ("on", "off"),
}
_FEW: Final = ("operator", "host", "power")
_MOST_SHOWN: Final = 200


class Control:
    """Keys of one fleet. `figures` are the numbers that `get` adds. For any thread."""

    def __init__(self, loop: Loop, day: Day, answers: Answers, figures: Callable[[], Mapping[str, int]]) -> None:
        self._loop = loop
        self._day = day
        self._answers = answers
        self._figures = figures
        self._numbers: dict[str, tuple[object, str, float]] = {
            "commands.fail_share": (answers, "fail_share", 1.0),
            "commands.seconds": (answers, "seconds", 300.0),
            "fleet.faults_per_hour": (day, "per_hour", 3600.0),
        }

    def verbs(self) -> dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]]:
        """For the control socket."""
        return {"set": self._asked_to_set, "get": lambda _request: {"values": self.get()}}

    def _asked_to_set(self, request: Mapping[str, Any]) -> dict[str, Any]:
        try:
            self.set({str(name): str(value) for name, value in dict(request["values"]).items()})
        except (Illegal, KeyError, ValueError, TypeError) as error:
            return {"error": str(error)}
        return {}

    def set(self, values: Mapping[str, str], /) -> None:
        """Change keys, all or none. Raises Illegal, which names the legal ones."""
        deeds = [self._deed(name, value) for name, value in values.items()]
        self._loop.call(lambda: [deed() for deed in deeds])

    def _deed(self, name: str, value: str) -> Callable[[], None]:
        if name in self._numbers:
            owner, field, most = self._numbers[name]
            number = _number(name, value, most)
            return lambda: setattr(owner, field, number)
        kind, _, rest = name.partition(".")
        if kind not in _WORDS:
            raise Illegal(
                f"{name} is no key; there are {', '.join((*(f'{each}.NAME' for each in _WORDS), *self._numbers))}"
            )
        of, _, key = rest.partition(".")
        names = self._day.names(kind)
        if of not in names or (key and kind != "terminal"):
            raise Illegal(f"{name}: no {kind} is called {rest}; there are {_few(names)}")
        if key:
            return self._fault_deed(of, key, value)
        good, bad = _WORDS[kind]
        if value not in {good, bad}:
            raise Illegal(f"{name} is {good} or {bad}, not {value}")
        return lambda: self._day.outage(kind, of, begins=value == bad)

    def _fault_deed(self, terminal: str, key: str, value: str) -> Callable[[], None]:
        if key not in SIGNS:
            raise Illegal(f"{key} is no fault of a fleet; there are {', '.join(SIGNS)}")
        if value not in {"raised", "cleared"}:
            raise Illegal(f"{key} is raised or cleared, not {value}")
        return lambda: self._day.fault(self._day.terminals[terminal], key, raised=value == "raised")

    def get(self) -> dict[str, str | int | float]:
        """Everything of which there are few, what is down of the rest, and figures."""
        return self._loop.call(self._get)

    def _get(self) -> dict[str, str | int | float]:
        down = self._day.down
        shown = [(kind, name) for kind in _FEW for name in self._day.names(kind)]
        shown += [each for each in list(down)[:_MOST_SHOWN] if each[0] not in _FEW]
        values: dict[str, str | int | float] = {
            f"{kind}.{name}": _WORDS[kind][(kind, name) in down] for kind, name in shown
        }
        values |= {name: getattr(owner, field) for name, (owner, field, _most) in self._numbers.items()}
        return values | {f"fleet.{name}": number for name, number in self._figures().items()}


def _number(name: str, value: str, most: float) -> float:
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0 <= number <= most:
        raise Illegal(f"{name} is a number from 0 to {most:g}, not {value}")
    return number


def _few(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= 6 else f"{names[0]} to {names[-1]}"
