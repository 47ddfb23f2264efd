"""`posdiag sim fleet`: N terminals that publish as agents do, each with a connection, a will and numbers of its own.

Behind them are no devices, only places, parts and what happens to them. One thread serves all, so that ten thousand
fit one process. Boot counters begin at the seconds since 2026: another run of the same fleet is later than this one.
"""

from __future__ import annotations

import json
import random
import resource
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from simulator import broker
from simulator.control import ControlServer
from simulator.fleet_answers import Answers
from simulator.fleet_control import Control
from simulator.fleet_day import Day, Terminal
from simulator.fleet_estate import Place, has_battery, make_places, write_places
from simulator.fleet_link import Link, Surroundings, Tally
from simulator.fleet_member import Clocks, Member
from simulator.fleet_parts import make_parts
from simulator.loop import Loop
from simulator.scenario import Outcome, Step, load, play
from simulator.stop import Stop

MOST: Final = 20_000
_BEGINNING_OF_2026: Final = 1_767_225_600
_GOODBYE_S: Final = 5.0
_OTHER_FILES: Final = 100
_LINE_EVERY_S: Final = 10.0  # where no terminal can overwrite it: a log should not fill up
DONE, FAILED, UNABLE = 0, 1, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a fleet is like. `rate` is how fast its shops' time runs; `faults_per_hour` is of each terminal, in it.

    `sites` 0 is as many as fit; `seconds` 0 is until stopped; `folder` is where the control socket is made.
    """

    url: str
    terminals: int
    estate: str = "demo"
    seed: int = 1
    sites: int = 0
    operators: tuple[str, ...] = ("mobile", "telecom", "unicom")
    rate: float = 1.0
    faults_per_hour: float = 0.2
    connects_per_s: float = 200.0
    fail_share: float = 0.05
    seconds: float = 0.0
    folder: Path | None = None
    scenario: Path | None = None
    places: Path | None = None


class Fleet:
    """A running fleet: `start`, then `control` from any thread, then `close`."""

    def __init__(self, options: Options) -> None:
        parts = urlsplit(options.url)
        self.places = make_places(
            options.terminals,
            estate=options.estate,
            seed=options.seed,
            sites=options.sites,
            operators=options.operators,
        )
        self.tally = Tally()
        self._options = options
        self._loop = Loop()
        self._clocks = Clocks(time.monotonic, _steady_wall())
        address = (socket.gethostbyname(parts.hostname or "127.0.0.1"), parts.port or 1883)
        self._answers = Answers(self._loop, self._clocks.wall, self._reboot, fail_share=options.fail_share)
        around = Surroundings(self._loop, address, self.tally, self._answers.heard)
        boot = int(time.time()) - _BEGINNING_OF_2026
        self._day = Day(
            self._loop,
            [self._terminal(place, boot, around) for place in self.places],
            self._clocks.wall,
            rate=options.rate,
            per_hour=options.faults_per_hour,
        )
        self.control = Control(self._loop, self._day, self._answers, self.figures)
        self._server: ControlServer | None = None

    def _terminal(self, place: Place, boot: int, around: Surroundings) -> Terminal:
        parts = make_parts(place, battery=has_battery(place))
        dice = random.Random(f"{self._options.seed}-{place.terminal}")
        member = Member(place, parts, self._clocks, dice, boot=boot, rate=self._options.rate)
        link = Link(member, around, dice)
        member.wake = link.wake
        return Terminal(place, member, link, dice)

    def _reboot(self, member: Member, then: Callable[[], None]) -> None:
        self._day.reboot(self._day.terminals[member.topics.terminal], "clean", then)

    def start(self) -> None:
        """Switch the terminals on, and listen for changes."""
        self._loop.start()
        self._loop.call(self._begin)

    def _begin(self) -> None:
        if self._options.folder is not None:
            self._server = ControlServer(self._loop, self._options.folder, self.control.verbs())
        self._day.begin(self._options.connects_per_s)

    def figures(self) -> dict[str, int]:
        """How many terminals, connections and messages; `waiting` are rows that the broker has not acknowledged."""
        tally = self.tally
        members = [terminal.member for terminal in self._day.terminals.values()]
        return {
            "terminals": len(members),
            "connected": tally.connected,
            "connects": tally.connects,
            "sent": tally.sent,
            "acknowledged": tally.acknowledged,
            "refused": tally.refused,
            "waiting": sum(member.outbox.waiting for member in members),
            "given_up": sum(member.outbox.given_up for member in members),
            "raised": sum(len(member.raised) for member in members),
            "commands": self._answers.taken,
        }

    def tell(self) -> dict[str, int]:
        """The figures, from any thread. Raises RuntimeError when the fleet has a defect."""
        if self._loop.error is not None:
            raise RuntimeError("the fleet has a defect") from self._loop.error
        return self._loop.call(self.figures)

    def close(self) -> None:
        """Every terminal says goodbye as a stopped agent does; those that find no broker are left."""
        self._loop.call(self._day.end)
        end = time.monotonic() + _GOODBYE_S
        pause = threading.Event()
        links = [terminal.link for terminal in self._day.terminals.values()]
        while time.monotonic() < end and not self._loop.call(lambda: all(link.gone for link in links)):
            pause.wait(0.05)
        self._loop.call(self._cut)
        self._loop.close()

    def _cut(self) -> None:
        if self._server is not None:
            self._server.close()
        for terminal in self._day.terminals.values():
            terminal.link.cut()


def _steady_wall() -> Callable[[], float]:
    """Epoch seconds that do not jump."""
    offset = time.time() - time.monotonic()
    return lambda: time.monotonic() + offset


def run_fleet(options: Options, *, as_json: bool, stop: Stop) -> int:
    """Publish until the time is up or it is stopped. 0 done, 1 a scenario's expectation failed, 2 it could not run."""
    try:
        steps = load(options.scenario) if options.scenario else ()
        broker.reach(options.url)
        _make_room(options.terminals)
        if options.folder is not None:
            options.folder.mkdir(parents=True, exist_ok=True)
        fleet = Fleet(options)
        if options.places is not None:
            write_places(options.places, fleet.places)
    except (OSError, ValueError) as error:
        why = str(error)
        if isinstance(error, OSError) and error.filename:
            why = f"{error.filename}: {(error.strerror or why).lower()}"
        sys.stderr.write(f"posdiag sim: {why}\n")
        return UNABLE
    fleet.start()
    try:
        outcome = _stay(fleet, steps, options.seconds, stop, as_json=as_json)
        figures = fleet.tell()
    finally:
        fleet.close()
    print(json.dumps(figures) if as_json else f"{options.terminals} terminals, {figures['sent']} messages sent")
    return outcome


def _make_room(terminals: int) -> None:
    """Let this process hold so many connections. Raises OSError, in one line, where the system does not."""
    wanted = terminals + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise OSError(f"{terminals} connections need {wanted} open files, and this system allows {hard}")
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _stay(fleet: Fleet, steps: tuple[Step, ...], seconds: float, stop: Stop, *, as_json: bool) -> int:
    """Tell figures until the time is up, while the scenario plays."""
    end = time.monotonic() + seconds if seconds else float("inf")
    every_s = 1.0 if as_json or sys.stderr.isatty() else _LINE_EVERY_S
    told = [0.0]

    def wait(pause_s: float) -> None:
        if stop.wait(min(pause_s, max(0.0, end - time.monotonic()))) or time.monotonic() >= end:
            raise _Over
        if time.monotonic() - told[0] >= every_s:
            told[0] = time.monotonic()
            _show(fleet.tell(), as_json=as_json)

    held = True
    with suppress(_Over):
        try:
            for outcome in play(steps, fleet.control, Path(), wait=wait):
                held &= outcome.held
                print(json.dumps(outcome.as_json()) if as_json else _line(outcome), flush=True)
        except ValueError as error:
            sys.stderr.write(f"posdiag sim: {error}\n")
            return UNABLE
        for pause_s in _often():
            wait(pause_s)
    return DONE if held else FAILED


class _Over(Exception):
    """The time is up, or somebody stopped it."""


def _often() -> Iterator[float]:
    while True:
        yield 0.2


def _line(outcome: Outcome) -> str:
    pairs = " ".join(f"{name}={value}" for name, value in outcome.set.items()) or "nothing set"
    return f"{outcome.at_s:7.1f} s  {pairs}{'  FAILED: ' + '; '.join(outcome.missed) if outcome.missed else ''}"


def _show(figures: dict[str, int], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(figures), flush=True)
        return
    told = f"{figures['connected']} of {figures['terminals']} connected, {figures['sent']} sent"
    sys.stderr.write(f"\r{told}" if sys.stderr.isatty() else f"{told}\n")
    sys.stderr.flush()
