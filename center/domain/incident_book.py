"""The open incidents in memory: which signals are raised, which incident holds them, and what follows. Without SQL.

A signal is a root fault that stands, or a terminal that is gone. It belongs to a group if one is open for what its
terminal shares, else to an incident of its own, once it has waited for others. The book collects what is to be written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from center.domain.fleet import Fleet, Who
from center.domain.grouping import OFFLINE, RANKS, RULES, WAIT_MS, WINDOW_MS, Group, Signal, family_of, key_of, propose
from center.domain.incident import Changes, Identity, Incident, Key, count, why
from center.domain.suppression import Suppression

HOLD_MS: Final = {"terminal": 120_000, "site": 300_000}
GROUP_HOLD_MS: Final = 600_000
"""How long trouble must be gone before an incident is resolved."""
REOPEN_MS: Final = 7_200_000
"""An incident that comes back within this is the same one."""
WIDELY_MS: Final = 10_000
"""How often it is asked whether a wider cause is behind groups that are wide themselves."""
LARGE: Final = 1000
LARGE_MS: Final = 5_000
"""How often the numbers of an incident of more members than LARGE are made anew."""
_WIDE_RANK: Final = 3
_TOP_RANK: Final = max(RANKS.values())
_RULES_WIDEST_FIRST: Final = sorted(RULES, key=lambda rule: -rule.rank)


class Book:
    """All signals and incidents. `changes` grows until it is taken."""

    def __init__(self, fleet: Fleet, new_id: Callable[[int], str]) -> None:
        self.fleet = fleet
        self.changes = Changes()
        self.incidents: dict[str, Incident] = {}
        self._new_id = new_id
        self._signals: dict[str, dict[Key, Signal]] = {}
        self._of_terminal: dict[Who, dict[Key, Signal]] = {}
        self._by_identity: dict[Identity, Incident] = {}
        self._resting: dict[Identity, Incident] = {}
        self._pending: dict[Key, Signal] = {}
        self._quiet: dict[str, Incident] = {}
        self._dirty: set[str] = set()
        self._dirty_widely: set[str] = set()
        self._widely_ms: dict[str, int] = {}
        self._uncounted: dict[str, Incident] = {}
        self._suppressions: list[Suppression] = []
        self.adopted: set[str] = set()
        """Incidents that people made the parent of another, whatever their scope."""

    # --- what is told -------------------------------------------------------------------------------------------------

    def load(self, incident: Incident) -> None:
        """An incident as it is stored, before its members."""
        if incident.resolved_ms is not None:
            self._resting[incident.identity] = incident
            return
        self.incidents[incident.id] = self._by_identity[incident.identity] = incident

    def load_member(self, incident_id: str, key: Key) -> None:
        """A member as it is stored, after its signal was raised. What cleared meanwhile is told to have left."""
        incident, signal = self.incidents.get(incident_id), self.signal(key)
        if incident is None:
            return
        if signal is None:
            incident.members.pop(key, None)
            self.changes.members[incident_id, key] = incident.last_ms
            self.mark(incident)
            return
        self._hold(incident, key, signal)

    def loaded(self, now_ms: int) -> None:
        """All incidents and members were told."""
        for incident in self.incidents.values():
            self._count(incident, now_ms)
            if incident.parent_id is not None:
                self.adopted.add(incident.parent_id)

    def signal(self, key: Key) -> Signal | None:
        return self._signals.get(key[0], {}).get(key)

    def keys(self) -> Iterable[Key]:
        """Of all signals."""
        return (key for some in self._signals.values() for key in some)

    def rise(self, key: Key, onset_ms: int, severity: str, verdict: str = "", *, join: bool = True) -> None:
        """A fault stands, or a terminal is gone; told again, it changes nothing but severity and verdict."""
        estate, terminal, fault = key
        signal = self.signal(key)
        if signal is not None:
            if (signal.severity, signal.verdict) != (severity, verdict):
                signal.severity, signal.verdict = severity, verdict
                self._touch(signal)
            return
        place = self.fleet.place((estate, terminal))
        expected = fault == OFFLINE and not self.fleet.trades(estate, place.site, onset_ms)
        signal = Signal(estate, terminal, fault, onset_ms, severity, place, expected, verdict)
        self._signals.setdefault(estate, {})[key] = signal
        self._of_terminal.setdefault((estate, terminal), {})[key] = signal
        home = self._home(signal) if join else None
        if home is not None:
            self.join(home, key, signal)
            return
        self._pending[key] = signal
        self._dirty.add(estate)

    def clear(self, key: Key, now_ms: int) -> None:
        """The fault is gone, or the terminal is back."""
        signal = self.signal(key)
        if signal is None:
            return
        del self._signals[key[0]][key]
        del self._of_terminal[key[:2]][key]
        if not self._of_terminal[key[:2]]:
            del self._of_terminal[key[:2]]
        self._pending.pop(key, None)
        for incident in list(signal.held):
            self.leave(incident, key, signal, now_ms)
        self.changes.links[key] = None

    def moved(self, who: Who) -> None:
        """The terminal's place is another."""
        for signal in self._of_terminal.get(who, {}).values():
            signal.place = self.fleet.place(who)
            self._touch(signal)

    def told(self, who: Who) -> None:
        """The terminal's state is another: whether it can sell, or is in maintenance."""
        for signal in self._of_terminal.get(who, {}).values():
            for incident in signal.held:
                self.mark(incident)

    def suppress(self, suppressions: list[Suppression]) -> None:
        """These are in force now."""
        if suppressions != self._suppressions:
            self._suppressions = suppressions
            for incident in self.incidents.values():
                self.mark(incident)

    # --- what follows -------------------------------------------------------------------------------------------------

    def judge(self, now_ms: int) -> None:
        """Find groups, open incidents for what has waited, and resolve what is over."""
        due = {estate for estate in self._dirty_widely if now_ms - self._widely_ms[estate] >= WIDELY_MS}
        self._dirty_widely -= due
        dirty, self._dirty = self._dirty | due, set()
        for estate in sorted(dirty):
            self._group(estate, now_ms)
        for key, signal in list(self._pending.items()):
            home = self._home(signal)
            if home is not None:
                self.join(home, key, signal)
            elif not self._waits(signal, now_ms):
                self.open_lone(key, signal, now_ms)
        for identity, incident in list(self._resting.items()):
            if now_ms - (incident.resolved_ms or 0) > REOPEN_MS:
                del self._resting[identity]
        self._count_changed(now_ms)
        for incident in list(self._quiet.values()):
            since_ms = incident.quiet_since_ms
            if since_ms is not None and now_ms - since_ms >= HOLD_MS.get(incident.scope, GROUP_HOLD_MS):
                self._resolve(incident, now_ms)
        self._count_changed(now_ms)

    def take(self) -> Changes:
        """What is to be written since it was taken last."""
        taken, self.changes = self.changes, Changes()
        return taken

    def _group(self, estate: str, now_ms: int) -> None:
        wide = now_ms - self._widely_ms.get(estate, 0) >= WIDELY_MS
        if wide:
            self._widely_ms[estate] = now_ms
        else:
            self._dirty_widely.add(estate)
        below = _TOP_RANK if wide else _WIDE_RANK
        fresh, gone = [], []
        for signal in self._signals.get(estate, {}).values():
            if now_ms - signal.onset_ms > WINDOW_MS:
                if signal.group is None:
                    gone.append(signal)
            elif signal.group is None or signal.group.rank < below:
                fresh.append(signal)
        for group in propose(fresh, self.fleet.population(estate), gone):
            if group.rule.within and group.rule.rank < _WIDE_RANK and _age_ms(group, now_ms) < WAIT_MS:
                self._dirty.add(estate)  # the site, or cell, may be the first of many
                continue
            self._open_group(estate, group, now_ms)

    def _open_group(self, estate: str, group: Group, now_ms: int) -> None:
        identity = (estate, group.rule.scope, group.key, group.family)
        known = self._by_identity.get(identity)
        signals = [signal for signal in group.signals if known is None or not self._is_apart(known, signal)]
        if not signals:
            return
        incident = known or self._open(identity, now_ms)
        incident.why = why(group)
        root = self.root(incident)
        for signal in signals:
            key = signal.key
            for narrower in signal.held:
                if narrower not in {incident, root} and narrower.parent_id is None:
                    narrower.parent_id = incident.id
                    self.mark(narrower)
            self.join(incident, key, signal)

    def open_lone(self, key: Key, signal: Signal, now_ms: int) -> None:
        """An incident of this signal alone."""
        estate, terminal, fault = key
        incident = self._open((estate, "terminal", terminal, fault), now_ms)
        incident.fault = fault
        incident.why = {"onset_ms": signal.onset_ms}
        self.join(incident, key, signal)

    def _open(self, identity: Identity, now_ms: int) -> Incident:
        """The same incident again if it rested only a while, else a new one."""
        incident = self._resting.pop(identity, None)
        if incident is not None:
            incident.resolved_ms = incident.quiet_since_ms = incident.parent_id = None
            self.changes.resolved.pop(incident.id, None)
            self.changes.reopened[incident.id] = incident
        else:
            estate, scope, key, about = identity
            family = "" if scope == "terminal" else about
            incident = Incident(self._new_id(now_ms), estate, scope, key, family, now_ms)
            self.changes.new[incident.id] = incident
        self.incidents[incident.id] = self._by_identity[identity] = incident
        return incident

    def _resolve(self, incident: Incident, now_ms: int) -> None:
        incident.resolved_ms, incident.parent_id = now_ms, None
        del self.incidents[incident.id], self._by_identity[incident.identity]
        self._quiet.pop(incident.id, None)
        self._resting[incident.identity] = incident
        self.changes.resolved[incident.id] = incident
        self.mark(incident)
        has_parts = incident.is_group or incident.id in self.adopted
        for child in self.incidents.values() if has_parts else ():
            if child.parent_id == incident.id:
                child.parent_id = None
                self.mark(child)
        for key, signal in list(incident.members.items()):
            self.leave(incident, key, signal, now_ms)
            self._settle(key, signal, now_ms)

    def _settle(self, key: Key, signal: Signal, now_ms: int) -> None:
        """A signal that its group let go of: to a narrower incident that held it, too, or to wait anew."""
        self.changes.links[key] = (signal.group or signal.held[0]).id if signal.held else None
        if not signal.held:
            signal.onset_ms = now_ms
            self._pending[key] = signal
            self._dirty.add(signal.estate)

    # --- members ------------------------------------------------------------------------------------------------------

    def _home(self, signal: Signal) -> Incident | None:
        """The widest open group for what its terminal shares, else its own incident if that still is open."""
        for rule in _RULES_WIDEST_FIRST:
            family = family_of(rule, signal)
            home = self._by_identity.get((signal.estate, rule.scope, key_of(rule, signal), family)) if family else None
            if home is not None and key_of(rule, signal) and not self._is_apart(home, signal):
                return self.root(home)
        return self._by_identity.get((signal.estate, "terminal", signal.terminal, signal.fault))

    def _is_apart(self, incident: Incident, signal: Signal) -> bool:
        who = signal.estate, signal.terminal
        return who in incident.apart or who in self.root(incident).apart

    def root(self, incident: Incident) -> Incident:
        """The one that it is, in the end, a part of; itself if of none."""
        while incident.parent_id is not None and incident.parent_id in self.incidents:
            incident = self.incidents[incident.parent_id]
        return incident

    def join(self, incident: Incident, key: Key, signal: Signal) -> None:
        """The incident holds the signal, which is no longer waiting."""
        self._hold(incident, key, signal)
        self.changes.members[incident.id, key] = None
        self.changes.links[key] = incident.id
        self.mark(incident)

    def _hold(self, incident: Incident, key: Key, signal: Signal) -> None:
        incident.members[key] = signal
        if incident not in signal.held:
            signal.held.append(incident)
        self._pending.pop(key, None)
        signal.group = _widest(signal)

    def leave(self, incident: Incident, key: Key, signal: Signal, now_ms: int) -> None:
        """It lets go of the signal."""
        incident.members.pop(key, None)
        signal.held.remove(incident)
        signal.group = _widest(signal)
        self.changes.members[incident.id, key] = now_ms
        self.mark(incident)

    def _touch(self, signal: Signal) -> None:
        self._dirty.add(signal.estate)
        for incident in signal.held:
            self.mark(incident)

    def mark(self, incident: Incident) -> None:
        """It is to be counted, and then written."""
        self._uncounted[incident.id] = incident

    def _waits(self, signal: Signal, now_ms: int) -> bool:
        if signal.expected:
            if not self.fleet.trades(signal.estate, signal.place.site, now_ms):
                return True
            signal.expected, signal.onset_ms = False, now_ms
            self._dirty.add(signal.estate)
        return signal.may_be_shared and now_ms - signal.onset_ms < WAIT_MS

    # --- numbers ------------------------------------------------------------------------------------------------------

    def _count_changed(self, now_ms: int) -> None:
        uncounted, self._uncounted = self._uncounted, {}
        for incident in uncounted.values():
            if len(incident.members) > LARGE and now_ms - incident.counted_ms < LARGE_MS:
                self._uncounted[incident.id] = incident
            else:
                self._count(incident, now_ms)
                self.changes.changed[incident.id] = incident

    def _count(self, incident: Incident, now_ms: int) -> None:
        incident.counted_ms = now_ms
        count(incident, self.fleet, self._suppressions, now_ms)
        if incident.quiet_since_ms is None:
            self._quiet.pop(incident.id, None)
        else:
            self._quiet[incident.id] = incident


def _widest(signal: Signal) -> Incident | None:
    return max((each for each in signal.held if each.is_group), key=lambda each: each.rank, default=None)


def _age_ms(group: Group, now_ms: int) -> int:
    return now_ms - min(signal.onset_ms for signal in group.signals)
