"""What happens to a fleet: troubles in shops by the hour, repairs, reboots, and outages that many terminals share."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from simulator.fleet_estate import Place
from simulator.fleet_faults import OUTAGES, TROUBLES, Trouble
from simulator.fleet_link import Link
from simulator.fleet_member import Member
from simulator.loop import Loop

HOUR_S: Final = 3600.0
UTC_OFFSET_S: Final = 8 * HOUR_S
# How busy shops are, hour by hour: shut at night, a peak at noon and one in the evening.
_BUSY: Final = (2, 1, 1, 1, 1, 2, 8, 20, 40, 55, 65, 85, 100, 85, 60, 55, 60, 80, 100, 95, 75, 50, 25, 8)
_REBOOTS: Final = {"clean": 60, "crash": 15, "unknown": 20, "power_loss": 5}
_REBOOT_SHARE: Final = 0.03  # of all that happens
_BATTERY_S: Final = 2 * HOUR_S
_HEALTH_FIRST_S, _HEALTH_S = 15.0, HOUR_S
_BATCH_S: Final = 60.0
_LOOK_S: Final = 2.0


def busy(epoch_s: float) -> float:
    """How busy shops are at this time, 0 to 1."""
    hour = (epoch_s + UTC_OFFSET_S) / HOUR_S % 24
    low, share = int(hour), hour % 1
    return (_BUSY[low] * (1 - share) + _BUSY[(low + 1) % 24] * share) / 100


@dataclass(slots=True)
class Terminal:
    """One terminal with its connection. `life` grows with each start, so that what was planned in another is void."""

    place: Place
    member: Member
    link: Link
    dice: random.Random
    life: int = 0
    batch_due: float = 0.0
    offline: set[str] = field(default_factory=set)
    dark: set[str] = field(default_factory=set)
    """Who keeps it without a network, and without any power."""
    marks: dict[str, int] = field(default_factory=dict)
    """What has struck it and lasts, each with a number of its own."""


class Day:
    """All terminals and what happens to them. Belongs to the loop's thread."""

    def __init__(
        self, loop: Loop, terminals: Iterable[Terminal], wall: Callable[[], float], *, rate: float, per_hour: float
    ) -> None:
        self.terminals = {each.place.terminal: each for each in terminals}
        self.per_hour = per_hour
        self.down: dict[tuple[str, str], None] = {}
        """Outages that last, by kind and name."""
        self._loop = loop
        self._wall = wall
        self._wall_began = wall()
        self._rate = rate
        self._strikes = 0
        self._groups: dict[tuple[str, str], list[Terminal]] = defaultdict(list)
        for each in self.terminals.values():
            for key in _memberships(each.place):
                self._groups[key].append(each)

    def names(self, kind: str) -> list[str]:
        """Of all operators, cells, sites, power districts, hosts or terminals."""
        return sorted(name for group, name in self._groups if group == kind)

    def begin(self, connects_per_s: float) -> None:
        """Switch all on, so many a second."""
        for number, terminal in enumerate(self.terminals.values()):
            self._loop.after(number / connects_per_s, partial(self._first_start, terminal))
        self._loop.after(_LOOK_S, self._look)

    def _first_start(self, terminal: Terminal) -> None:
        self._start(terminal, "unknown")
        self._plan_trouble(terminal)
        self._loop.after(terminal.dice.uniform(1, _BATCH_S / 2), lambda: self._measure(terminal))

    def end(self) -> None:
        """Every terminal that is on stops and says so."""
        for terminal in self.terminals.values():
            if terminal.member.on:
                terminal.link.leave(terminal.member.stop())

    def _look(self) -> None:
        self._loop.after(_LOOK_S, self._look)
        now = self._loop.now()
        for terminal in self.terminals.values():
            terminal.link.look(now)
            if terminal.member.on:
                terminal.member.tick()

    # --- one life of one terminal

    def _start(self, terminal: Terminal, reason: str, then: Callable[[], None] = lambda: None) -> None:
        if terminal.member.on or terminal.dark:
            return
        terminal.life += 1
        member = terminal.member
        member.start()
        if not terminal.offline:
            terminal.link.want()
        self._within(terminal, terminal.dice.uniform(0.15, 0.3), lambda: member.awake(reason))
        self._within(terminal, 0.35, member.report_settings)
        self._within(terminal, terminal.dice.uniform(0.4, 0.8), member.warm)
        self._within(terminal, terminal.dice.uniform(2, 3), member.tell_inventory)
        self._within(terminal, _HEALTH_FIRST_S, lambda: self._health(terminal))
        self._within(terminal, 1.0, then)
        if reason not in {"clean", "unknown"}:
            self._within(terminal, 1.0, lambda: member.hold("power/unclean_shutdown", "boot"))
            self._within(terminal, HOUR_S / self._rate, lambda: member.release("power/unclean_shutdown", "boot"))

    def _within(self, terminal: Terminal, seconds: float, act: Callable[[], None]) -> None:
        """Do something later unless the terminal has been switched off by then."""
        life = terminal.life

        def still() -> None:
            if terminal.life == life and terminal.member.on:
                act()

        self._loop.after(seconds, still)

    def _health(self, terminal: Terminal) -> None:
        terminal.member.tell_health({**terminal.link.bytes_sent, "total": sum(terminal.link.bytes_sent.values())})
        self._within(terminal, _HEALTH_S / self._rate, lambda: self._health(terminal))

    def _measure(self, terminal: Terminal) -> None:
        """Readings twice in a batch's time; the batch leaves when it is due."""
        self._loop.after(_BATCH_S / 2 / self._rate, lambda: self._measure(terminal))
        if not (terminal.member.on and terminal.member.known):
            return
        terminal.member.wander(self.load())
        if self._loop.now() >= terminal.batch_due:
            terminal.batch_due = self._loop.now() + _BATCH_S / self._rate
            terminal.member.tell_telemetry()

    def load(self) -> float:
        """How busy shops are now, by the fleet's own time."""
        return busy(self._wall_began + (self._wall() - self._wall_began) * self._rate)

    def reboot(self, terminal: Terminal, reason: str, then: Callable[[], None] = lambda: None) -> None:
        """Down and up again; `then` once it is up."""
        if not terminal.member.on:
            return
        if reason == "clean":
            terminal.link.leave(terminal.member.stop())
        else:
            terminal.member.die()
            terminal.link.cut()
        self._loop.after(terminal.dice.uniform(2, 8), lambda: self._restart(terminal, reason, then))

    def _restart(self, terminal: Terminal, reason: str, then: Callable[[], None] = lambda: None) -> None:
        if not terminal.member.on and not terminal.dark:
            terminal.link.cut()  # whatever its farewell still waited for
            terminal.member.boot += 1
            self._start(terminal, reason, then)

    # --- troubles

    def _plan_trouble(self, terminal: Terminal) -> None:
        """The next thing that happens there: hardly any at night."""
        hourly = self.per_hour * self._rate * (0.05 + 2 * self.load())
        wait_s = terminal.dice.expovariate(hourly / HOUR_S) if hourly > 0 else math.inf
        if wait_s > HOUR_S / self._rate:  # look again: by then it is another hour, or somebody has set another rate
            self._loop.after(HOUR_S / self._rate, lambda: self._plan_trouble(terminal))
        else:
            self._loop.after(wait_s, lambda: self._trouble(terminal))

    def _trouble(self, terminal: Terminal) -> None:
        self._plan_trouble(terminal)
        if terminal.dice.random() < _REBOOT_SHARE:
            reason = terminal.dice.choices(list(_REBOOTS), list(_REBOOTS.values()))[0]
            self.reboot(terminal, reason)
            return
        families = {device.family for device in terminal.member.parts.devices}
        possible = [
            each
            for each in TROUBLES
            if each.bearer in {"", terminal.place.bearer} and (not each.needs or each.needs in families)
        ]
        trouble = terminal.dice.choices(possible, [each.weight for each in possible])[0]
        if trouble.name == "plug_out" and not terminal.member.parts.battery:
            self.reboot(terminal, "power_loss")
            return
        self._strike(terminal, trouble, trouble.name)
        minutes = terminal.dice.lognormvariate(math.log(trouble.minutes), 0.7)
        self._loop.after(60 * minutes / self._rate, lambda: self._mend(terminal, trouble, trouble.name))

    def _strike(self, terminal: Terminal, trouble: Trouble, holder: str) -> None:
        """It begins. Each fault comes when its agent is sure of it."""
        if trouble.offline:
            terminal.offline.add(holder)
            terminal.link.cut()
        self._strikes += 1
        slow = terminal.dice.uniform(1, 1.2) / self._rate  # the same for all, so that they keep their order
        mark = terminal.marks[holder] = self._strikes
        for key, after_s in trouble.faults.items():

            def come(key: str = key) -> None:
                if terminal.marks.get(holder) == mark:
                    terminal.member.hold(key, holder)

            self._loop.after(after_s * slow, come)

    def _mend(self, terminal: Terminal, trouble: Trouble, holder: str) -> None:
        """It is over. The line comes first, and faults go as their agent sees it."""
        terminal.marks.pop(holder, None)
        terminal.offline.discard(holder)
        if trouble.offline and not terminal.offline and terminal.member.on:
            terminal.link.want(after_s=terminal.dice.uniform(0.5, 15))
        for key in trouble.faults:

            def go(key: str = key) -> None:
                if holder not in terminal.marks:
                    terminal.member.release(key, holder)

            last = 20 if key == "network/broker_unreachable" else 6
            self._loop.after(terminal.dice.uniform(1, last) / self._rate, go)

    # --- what many share

    def outage(self, kind: str, name: str, *, begins: bool) -> None:
        """One operator, cell, site, power district or host goes down or comes back; or one terminal's power."""
        if begins is ((kind, name) in self.down):
            return
        if begins:
            self.down[kind, name] = None
        else:
            del self.down[kind, name]
        for terminal in self._groups[kind, name]:
            if kind == "terminal" or (kind == "power" and not terminal.member.parts.battery):
                self._switch(terminal, f"{kind}.{name}", off=begins)
                continue
            trouble = OUTAGES.get((kind, terminal.place.bearer))
            if trouble is not None:
                (self._strike if begins else self._mend)(terminal, trouble, f"{kind}.{name}")
            if kind == "power":
                self._battery(terminal, f"{kind}.{name}", discharging=begins)

    def _switch(self, terminal: Terminal, holder: str, *, off: bool) -> None:
        if off:
            terminal.dark.add(holder)
            terminal.member.die()
            terminal.link.cut()
            return
        terminal.dark.discard(holder)
        self._loop.after(terminal.dice.uniform(1, 20), lambda: self._restart(terminal, "power_loss"))

    def _battery(self, terminal: Terminal, holder: str, *, discharging: bool) -> None:
        if not discharging:
            for key in ("power/battery_critical", "power/battery_low"):
                terminal.member.release(key, holder)
            self._switch(terminal, holder, off=False)
            return
        lasts_s = _BATTERY_S * terminal.dice.uniform(0.4, 1) / self._rate
        mark = terminal.marks.get(holder)

        def unless_back(act: Callable[[], None]) -> Callable[[], None]:
            return lambda: act() if terminal.marks.get(holder) == mark else None

        self._loop.after(lasts_s * 0.8, unless_back(lambda: terminal.member.hold("power/battery_low", holder)))
        self._loop.after(lasts_s * 0.95, unless_back(lambda: terminal.member.hold("power/battery_critical", holder)))
        self._loop.after(lasts_s, unless_back(lambda: self._switch(terminal, holder, off=True)))

    def fault(self, terminal: Terminal, key: str, *, raised: bool) -> None:
        """Raise or clear one fault of one terminal by hand."""
        (terminal.member.hold if raised else terminal.member.release)(key, "by hand")


def _memberships(place: Place) -> tuple[tuple[str, str], ...]:
    """The groups of which a terminal is one, itself included."""
    return (
        *((("operator", place.operator), ("cell", place.cell)) if place.operator else ()),
        *(("site", place.site), ("power", place.power_district), ("host", place.host)),
        ("terminal", place.terminal),
    )
