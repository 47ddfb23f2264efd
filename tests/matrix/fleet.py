"""All families at once, each behind a real pseudo terminal with the agent's own worker on it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from agent.config import DeviceConfig
from agent.probes.port import PortWorker
from drivers import catalog
from drivers.reading import Identity, Reading, Value
from simulator.terminal import Terminal
from tests.matrix.truth import lies

POLL_S = 0.3


@dataclass(slots=True)
class Place:
    """One family in its terminal, and what its worker said since the last `forget`."""

    family: str
    unit: str
    terminal: Terminal
    said: list[Mapping[str, Reading]] = field(default_factory=list)
    lies: list[dict[str, Value]] = field(default_factory=list)
    judged: bool = True
    worker: PortWorker | None = None

    @property
    def is_serial(self) -> bool:
        return catalog.family(self.family).link == "serial"

    def state(self) -> dict[str, str]:
        return dict(self.terminal._stations[self.unit].device.state)

    def set(self, **values: str) -> None:
        self.terminal.set({f"{self.unit}.{name}": value for name, value in values.items()})

    def known(self) -> dict[str, Reading]:
        """Everything by its latest word; a push tells only what changed by it."""
        found: dict[str, Reading] = {}
        for readings in list(self.said):
            found |= readings
        return found

    # What the worker reports to; it calls from its own thread.

    def observe(self, source: str, readings: Mapping[str, Reading]) -> None:
        assert source == self.unit
        self.said.append(readings)
        if self.judged and (found := lies(self.family, readings, [self.state()])):
            self.lies.append(found)

    def identified(self, device: str, identity: Identity) -> None:
        pass

    def counted(self, device: str, statistics: Mapping[str, Value]) -> None:
        pass

    def outcome(self) -> str:
        """The latest word, as `word_of` has it."""
        return word_of(self.said[-1]) if self.said else "nothing"


def word_of(readings: Mapping[str, Reading]) -> str:
    """What a worker's word comes to: ok, or what is wrong with the port, else with the answering."""
    port, reply = (str(readings[name].value) for name in ("port", "reply"))
    return port if port != "ok" else reply


class Fleet:
    """As many terminals as the unit with the most families needs. A context manager; workers run while it is open."""

    def __init__(self, folder: Path) -> None:
        self.places: list[Place] = []
        self._folder = folder
        self._open = ExitStack()

    def __enter__(self) -> Self:
        by_unit: dict[str, list[str]] = {}
        for family in catalog.families():
            by_unit.setdefault(family.unit, []).append(family.word)
        for number in range(max(map(len, by_unit.values()))):
            own = {unit: words[number] for unit, words in by_unit.items() if number < len(words)}
            terminal = Terminal(self._folder / f"pos{number}", families=own, seed=number)
            self._open.enter_context(terminal)
            self.places += [Place(word, unit, terminal) for unit, word in own.items()]
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._open.close()

    def start(self) -> None:
        for place in self.places:
            device = DeviceConfig(
                name=place.unit, family=place.family, port=str(place.terminal.path(place.unit)), poll_s=POLL_S
            )
            place.worker = PortWorker(device, place)
            place.worker.start()

    def stop(self) -> None:
        workers = [place.worker for place in self.places if place.worker is not None]
        for worker in workers:
            worker.stop()
        for worker in workers:
            worker.join(60)
            assert not worker.is_alive()

    def set(self, **values: str) -> None:
        """Set keys of every place, and forget what was said before."""
        for place in self.places:
            if place.is_serial or values.keys() <= {"cable", "power"}:
                place.set(**values)
            place.said.clear()

    def all_said(self, expected: Callable[[Place], frozenset[str]]) -> dict[str, str]:
        """Families whose latest word is not among the expected, with that word; {} when all are."""
        return {p.family: word for p in self.places if (word := p.outcome()) not in expected(p)}


def workers_alive() -> int:
    return sum(thread.name.startswith("port-") for thread in threading.enumerate())
