"""What readings mean over time: debounce, hysteresis, staleness, flapping. Pure; the caller brings both clocks.

A delay is over only when a reading taken after it still says so, unless the reading is one that is told only when it
changes; and time for which nothing is known does not count.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from agent.condition import Condition
from agent.model import Fault, Transition
from agent.vocabulary import VOCABULARY
from agent.wire import Basis, timestamp
from drivers.reading import Reading, Value

SILENT = "silent"  # in evidence: the source itself gave no readings, not even unknown ones


@dataclass(slots=True, eq=False)
class _Watch:
    """One condition and where it stands. `since` is when the pending change began; `held_s` what counted before."""

    condition: Condition
    fault: _State
    raised: bool = False
    pending: bool = False
    since: float = 0.0
    held_s: float = 0.0
    paused: bool = False
    seen: int = 0
    window: deque[bool] = field(default_factory=deque)
    stale: bool = False
    latched: bool = False


@dataclass(slots=True, eq=False)
class _State:
    """One fault over all its watches. `changes` are the monotonic times of its latest raises and clears."""

    key: str
    watches: list[_Watch] = field(default_factory=list)
    fault: Fault | None = None
    count: int = 0
    changes: deque[float] = field(default_factory=deque)
    flapping: bool = False
    told_at: float = 0.0
    told_count: int = 0


@dataclass(slots=True, eq=False)
class _Source:
    """What one device or probe said last. `always` holds the readings that must be judged even when unchanged."""

    name: str
    last: dict[str, Reading] = field(default_factory=dict)
    unknown_since: dict[str, tuple[float, float]] = field(default_factory=dict)
    seen_at: tuple[float, float] | None = None
    watches: dict[str, list[_Watch]] = field(default_factory=dict)
    always: set[str] = field(default_factory=set)


class Rules:
    """All conditions at once. `baselines` is read and written in place; who owns it stores it when it changed."""

    def __init__(self, conditions: Sequence[Condition], baselines: dict[str, str] | None = None) -> None:
        self.baselines: dict[str, str] = {} if baselines is None else baselines
        self.finer: Callable[[str], str] = lambda _source: ""  # a family's own words; asked when evidence is taken
        self._sources: dict[str, _Source] = {}
        self._faults: dict[str, _State] = {}
        self._told: list[_Watch] = []
        for condition in conditions:
            state = self._faults.setdefault(condition.fault, _State(condition.fault))
            source = self._sources.setdefault(condition.source, _Source(condition.source))
            watch = _Watch(condition, state)
            state.watches.append(watch)
            if not condition.stale_s:
                self._told.append(watch)
            for name in (condition.reading, *((condition.unless,) if condition.unless else ())):
                source.watches.setdefault(name, []).append(watch)
            if condition.share is not None:
                watch.window = deque(maxlen=condition.share.polls)
                source.always.add(condition.reading)

    def observe(self, source: str, readings: Mapping[str, Reading], now: float, wall: float) -> list[Transition]:
        """Judge what a device or probe said. A name that is missing is as it was. `now` monotonic, `wall` epoch, s."""
        place = self._sources.get(source)
        if place is None:
            return []
        place.seen_at = (now, wall)
        last, always = place.last, place.always
        changed = [
            name
            for name, reading in readings.items()
            if name in always
            or (before := last.get(name)) is None
            or before.value != reading.value
            or before.unknown != reading.unknown
        ]
        last.update(readings)
        out: list[Transition] = []
        for name in changed:
            watches = place.watches.get(name)
            if watches is None:
                continue
            if last[name].unknown is None:
                place.unknown_since.pop(name, None)
            else:
                place.unknown_since.setdefault(name, (now, wall))
            for watch in watches:
                self._judge(place, watch, now, wall, out)
        return out

    def tick(self, now: float, wall: float) -> list[Transition]:
        """What time alone does: a raised fault becomes stale, one that flaps is told again or becomes quiet.

        The delay of a reading that is told only when it changes ends here too.
        """
        out: list[Transition] = []
        for watch in self._told:
            if watch.pending and not watch.paused:
                self._judge(self._sources[watch.condition.source], watch, now, wall, out)
        for state in self._faults.values():
            if state.flapping:
                self._tick_flapping(state, now, wall, out)
            if state.fault is not None:
                for watch in state.watches:
                    if watch.raised and not watch.stale:
                        self._tick_stale(watch, now, wall, out)
        return out

    def next_due(self) -> float | None:
        """The monotonic time at which `tick` has something to do, or None while nothing is planned."""
        due = [
            watch.since - watch.held_s + (watch.condition.off_delay_s if watch.raised else watch.condition.on_delay_s)
            for watch in self._told
            if watch.pending and not watch.paused
        ]
        for state in self._faults.values():
            if state.flapping:
                flap = state.watches[0].condition.flap
                due.append(state.changes[-1] + flap.window_s)
                if state.count != state.told_count:
                    due.append(state.told_at + flap.hold_off_s)
            if state.fault is not None:
                due += [
                    since[0] + watch.condition.stale_s
                    for watch in state.watches
                    if watch.raised and not watch.stale and watch.condition.stale_s and (since := self._dark(watch))
                ]
        return min(due, default=None)

    def raised(self) -> dict[str, Fault]:
        """Every fault that stands, also those that flap, by key."""
        return {key: state.fault for key, state in self._faults.items() if state.fault is not None}

    def restore(self, faults: Mapping[str, Fault]) -> list[Fault]:
        """Take over what stood before a restart, so that it clears by a reading and counts on.

        Returns the faults that no condition watches any more, for the caller to clear.
        """
        orphans = []
        for key, fault in faults.items():
            state = self._faults.get(key)
            watches = [w for w in state.watches if w.condition.subject == fault.device] if state is not None else []
            if state is None or not watches:
                orphans.append(fault)
                continue
            # The reading that decided stands in the evidence; a sibling that this device cannot know would never clear.
            watches = [w for w in watches if w.condition.reading in fault.evidence] or watches[:1]
            for watch in watches:
                watch.raised, watch.latched = True, watch.condition.latches
                if watch.condition.remembers:
                    self._sources[watch.condition.source].always.add(watch.condition.reading)
            state.fault = replace(fault, state="raised")
            state.count = fault.count
            self._reweigh(state)  # what was kept is inferred also where only its cause was
        return orphans

    def adopt(self, key: str) -> None:
        """Take the present value of a remembered reading as the right one: the change was meant."""
        state = self._faults.get(key)
        for watch in state.watches if state is not None else ():
            reading = self._sources[watch.condition.source].last.get(watch.condition.reading)
            if watch.condition.remembers and reading is not None and reading.value is not None:
                self.baselines[watch.condition.memory] = str(reading.value)

    def release(self, key: str) -> None:
        """Let a fault that latches be cleared by its next reading again."""
        state = self._faults.get(key)
        for watch in state.watches if state is not None else ():
            if watch.latched:
                watch.latched = False
                self._sources[watch.condition.source].always.add(watch.condition.reading)

    # --- one reading ---

    def _judge(self, place: _Source, watch: _Watch, now: float, wall: float, out: list[Transition]) -> None:
        condition = watch.condition
        reading = place.last.get(condition.reading)
        if condition.unless and (other := place.last.get(condition.unless)) is not None and other.value is not None:
            wants_raise, wants_clear = False, True
        elif reading is None:
            return
        elif reading.value is None:
            if watch.pending and not watch.paused:  # unknown time does not count; the pending change waits
                watch.held_s += now - watch.since
                watch.paused = True
            return
        else:
            wants_raise, wants_clear = self._wants(watch, reading.value, wall)
            watch.latched = watch.latched and not wants_raise
            wants_clear = wants_clear and not watch.latched
        wants = wants_clear if watch.raised else wants_raise
        if not wants:
            watch.pending = False
        elif self._ripe(watch, now):
            watch.pending = watch.stale = False
            watch.raised = not watch.raised
            self._turn(watch, place, now, wall, out)
        if watch.stale:
            watch.stale = False
            self._refresh(watch.fault, wall, out, self._evidence(place, condition))
        if condition.share is None:
            self._attend(place, condition.reading)

    def _wants(self, watch: _Watch, value: Value, wall: float) -> tuple[bool, bool]:
        condition = watch.condition
        if condition.remembers:
            return self._differs(watch, value, wall)
        raises = condition.raises(value)
        clears = condition.clears(value) if condition.clears is not None else not raises
        share = condition.share
        if share is None:
            return raises, clears
        if raises or clears:
            watch.window.append(raises)
        bad, full = sum(watch.window), len(watch.window) == share.polls
        return bad >= share.raise_at, full and bad <= share.clear_at

    def _differs(self, watch: _Watch, value: Value, wall: float) -> tuple[bool, bool]:
        condition, text, memory = watch.condition, str(value), watch.condition.memory
        known = self.baselines.setdefault(memory, text)
        fault = watch.fault.fault
        old_enough = condition.adopt_s and fault is not None and wall - fault.first_at >= condition.adopt_s
        if known != text and watch.raised and old_enough:
            self.baselines[memory] = known = text
        return known != text, known == text

    def _ripe(self, watch: _Watch, now: float) -> bool:
        """Whether the wish has lasted; begins or goes on counting."""
        condition = watch.condition
        if not watch.pending:
            watch.pending, watch.paused = True, False
            watch.since, watch.held_s, watch.seen = now, 0.0, 0
        elif watch.paused:
            watch.paused, watch.since = False, now
        watch.seen += 1
        if watch.raised:
            return watch.held_s + now - watch.since >= condition.off_delay_s
        return watch.seen >= condition.polls and watch.held_s + now - watch.since >= condition.on_delay_s

    @staticmethod
    def _attend(place: _Source, name: str) -> None:
        """Judge a reading at every poll as long as something counts polls or time on it."""
        for watch in place.watches[name]:
            condition = watch.condition
            if condition.reading == name and (
                watch.pending or condition.share is not None or (condition.remembers and watch.raised)
            ):
                place.always.add(name)
                return
        place.always.discard(name)

    # --- one fault ---

    def _turn(self, watch: _Watch, place: _Source, now: float, wall: float, out: list[Transition]) -> None:
        """A watch raised or cleared: what that is for its fault, to which other watches may belong."""
        state, condition = watch.fault, watch.condition
        heir = next((w.condition for w in state.watches if w.raised and w is not watch), None)
        if heir is not None and self._reweigh(state):
            source = condition.source if watch.raised else heir.source
            self._refresh(state, wall, out, self._evidence(self._sources[source], condition if watch.raised else heir))
        if heir is not None:
            if state.fault is not None and not watch.raised and state.fault.device == condition.subject != heir.subject:
                state.fault = replace(state.fault, device=heir.subject)
                self._refresh(state, wall, out, self._evidence(self._sources[heir.source], heir))
            return
        evidence = self._evidence(place, condition)
        if watch.raised:
            state.count += 1
            fault = Fault(
                key=state.key,
                state="raised",
                severity="warning" if condition.forecast else VOCABULARY[state.key].severity,
                basis=condition.basis,
                device=condition.subject,
                first_at=wall - watch.held_s - (now - watch.since),
                last_at=wall,
                count=state.count,
                evidence=evidence,
            )
            state.fault = fault
            self._tell(state, Transition("fault.raised", fault), now, out)
        elif state.fault is not None:
            gone = replace(state.fault, state="cleared", last_at=wall, evidence=evidence)
            state.fault = None
            self._tell(state, Transition("fault.cleared", gone), now, out)

    @staticmethod
    def _reweigh(state: _State) -> bool:
        """Let what is measured outweigh a forecast of the same fault. Returns whether that changed anything."""
        raised = [watch.condition for watch in state.watches if watch.raised]
        basis: Basis = "measured" if any(each.basis == "measured" for each in raised) else "inferred"
        severity = "warning" if all(each.forecast for each in raised) else VOCABULARY[state.key].severity
        if state.fault is None or (state.fault.basis, state.fault.severity) == (basis, severity):
            return False
        state.fault = replace(state.fault, basis=basis, severity=severity)
        return True

    @staticmethod
    def _refresh(state: _State, wall: float, out: list[Transition], evidence: Mapping[str, Value]) -> None:
        if state.fault is not None:
            state.fault = replace(state.fault, last_at=wall, evidence=evidence)
            if not state.flapping:
                out.append(Transition("fault.changed", state.fault))

    @staticmethod
    def _tell(state: _State, transition: Transition, now: float, out: list[Transition]) -> None:
        flap = state.watches[0].condition.flap
        changes = state.changes
        changes.append(now)
        while changes[0] < now - flap.window_s:
            changes.popleft()
        if state.flapping:
            # It stays a fault that stands until it is quiet, whichever way the last change went.
            state.fault = replace(transition.fault, state="flapping", count=state.count)
            return
        if len(changes) <= flap.changes:
            out.append(transition)
            return
        state.flapping, state.told_at, state.told_count = True, now, state.count
        state.fault = replace(transition.fault, state="flapping", count=state.count)
        out.append(Transition("fault.flapping", state.fault))

    def _tick_flapping(self, state: _State, now: float, wall: float, out: list[Transition]) -> None:
        flap = state.watches[0].condition.flap
        fault = state.fault
        if fault is None:
            return
        if now - state.changes[-1] >= flap.window_s:
            state.flapping = False
            state.changes.clear()
            stands = any(watch.raised for watch in state.watches)
            after = replace(fault, state="raised" if stands else "cleared", last_at=wall)
            state.fault = after if stands else None
            out.append(Transition("fault.raised" if stands else "fault.cleared", after))
        elif state.count != state.told_count and now - state.told_at >= flap.hold_off_s:
            state.told_at, state.told_count = now, state.count
            state.fault = replace(fault, last_at=wall)
            out.append(Transition("fault.flapping", state.fault))

    # --- staleness and evidence ---

    def _dark(self, watch: _Watch) -> tuple[float, float] | None:
        """Since when the watch's reading is not known, (monotonic, wall); None before its source ever spoke."""
        place = self._sources[watch.condition.source]
        return place.unknown_since.get(watch.condition.reading) or place.seen_at

    def _tick_stale(self, watch: _Watch, now: float, wall: float, out: list[Transition]) -> None:
        condition, state = watch.condition, watch.fault
        place = self._sources[condition.source]
        since = self._dark(watch)
        if since is None:  # restored at the start and never measured since: count from the first look at it
            place.seen_at = (now, wall)
            return
        if not condition.stale_s or now - since[0] < condition.stale_s or state.fault is None:
            return
        watch.stale = True
        place.always.add(condition.reading)  # so that the same value, seen again, ends it
        reading = place.last.get(condition.reading)
        why = reading.unknown if reading is not None and reading.unknown is not None else SILENT
        self._refresh(
            state, wall, out, {**state.fault.evidence, "stale_since": timestamp(since[1]), "stale_cause": why}
        )

    def _evidence(self, place: _Source, condition: Condition) -> dict[str, Value]:
        """What is known of the deciding reading, its raw bytes, and the named others; `specific` when there is one."""
        named = ((name, place.last.get(name)) for name in (condition.reading, *condition.evidence))
        found = {name: reading.value for name, reading in named if reading is not None and reading.value is not None}
        decider = place.last.get(condition.reading)
        if decider is not None and decider.raw:
            found["raw"] = decider.raw
        if condition.remembers:
            found["remembered"] = self.baselines.get(condition.memory, "")
        specific = self.finer(place.name)
        return {**found, "specific": specific} if specific else found
