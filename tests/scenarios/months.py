"""Months of a shop in seconds: what a terminal's devices and probes read while nothing, or one line, is wrong.

Only what changes is observed, and what a delay or a count is waiting for: a reading that says the same again, with
nothing pending, changes nothing by the rules' own contract. What a healthy device reads is `tests.matrix.truth`.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from agent.causes import Topology, explain
from agent.conditions import conditions
from agent.config import Config, DeviceConfig, MqttConfig, NetworkConfig, TerminalConfig
from agent.rules import Rules
from drivers import catalog
from drivers.reading import Reading, Value, known, unknown
from simulator.devices import DEVICES
from tests.matrix.truth import truth

DAY_S = 86_400.0
MONTH_S = 30 * DAY_S
WALL_S = 1_795_000_000.0
FAMILIES = {"printer": "escpos", "reader": "crt571", "keypad": "zt588", "modem": "quectel"}
_SAME_S = 1e-6  # what counting in floating point may be off
_PUSHES = {"printer"}
_LINE = {"bad": "bad_reply", "none": "no_reply"}

Values = Mapping[str, Value | None]
"""Reading to value; None is a reading that the state masks."""


@dataclass(slots=True)
class Source:
    """One device or probe: how often it looks, what is so from when on, and when its line spoils one look."""

    poll_s: float
    now: dict[str, Value | None]
    changes: list[tuple[float, Values]] = field(default_factory=list)
    spoiled: list[tuple[float, str]] = field(default_factory=list)

    def during(self, at_s: float, for_s: float, values: Values) -> None:
        """For a while something else is so; then what was so at the start of all."""
        self.changes.append((at_s, values))
        self.changes.append((at_s + for_s, {name: self.now[name] for name in values}))


@dataclass(slots=True)
class Month:
    """What a month raised: every root with how often it was raised, and the roots that nothing justified."""

    roots: Counter[str] = field(default_factory=Counter)
    false: Counter[str] = field(default_factory=Counter)
    told: list[tuple[float, str, str]] = field(default_factory=list)
    observed: int = 0


TRUE_IN_A_SHOP = {"printer/paper_near_end", "printer/paper_out", "printer/cover_open"}
"""Roots that a month of good operation has: the merchant changes rolls."""


def healthy(seed: int) -> dict[str, Source]:
    """A shop that is open for twelve hours a day: sales, keys, rolls, short dips, a flipped bit now and then."""
    chance = random.Random(f"shop:{seed}")
    sources = _fresh()
    for day in range(30):
        opens = day * DAY_S + 8 * 3600
        _sales(chance, sources, opens)
        _host(chance, sources, opens)
        for _ in range(4):  # somebody stands in the way
            sources["modem"].during(opens + chance.uniform(0, 40_000), chance.uniform(3, 25), {"rsrp_dbm": -119})
        for _ in range(2):
            at_s, for_s = opens + chance.uniform(0, 40_000), chance.uniform(1, 8)
            sources["modem"].during(at_s, for_s, {"registration": "searching", "data": "down"})
            sources["network"].during(at_s, min(for_s, 4.0), {"link": "down", "address": None, "dns": None})
        for _ in range(3):  # a question or a connection is lost
            rung = chance.choice(["dns", "acquirer", "gateway"])
            sources["network"].during(opens + chance.uniform(0, 40_000), 0.9, {rung: "failed"})
        for _ in range(3):
            sources["network"].during(opens + chance.uniform(0, 40_000), chance.uniform(0.5, 3.5), {"link": "down"})
    _rolls(chance, sources["printer"])
    for name in FAMILIES:
        _spoil(chance, sources[name], {"bad": 3600.0, "none": 3 * 3600.0})
    return sources


def noisy(seed: int) -> tuple[dict[str, Source], str]:
    """The same shop where a motor spoils one device's line for two hours a day; the device is named.

    Then one look in 30 is unreadable and one in 60 unanswered.
    """
    chance = random.Random(f"noisy:{seed}")
    sources = healthy(seed)
    unit = chance.choice(sorted(FAMILIES))
    for day in range(30):
        begins = day * DAY_S + chance.uniform(8, 18) * 3600
        _spoil(chance, sources[unit], {"bad": 30.0, "none": 60.0}, begins, begins + 7200)
    return sources, unit


def run(
    sources: Mapping[str, Source],
    true: frozenset[str],
    seed: int,
    *,
    until_s: float = MONTH_S,
    skip: bool = True,
    hasty: bool = False,
) -> Month:
    """Let the month pass by the agent's rules and causes. Roots that are not `true` are false.

    Without `skip` every single look is observed; `hasty` takes all delays and repetitions out of the rules.
    """
    rules = _rules(hasty=hasty)
    reboots = sorted(random.Random(f"boots:{seed}").uniform(0, MONTH_S) for _ in range(4))
    month = Month()
    queue = [(0.0, name) for name in sources]
    stood: set[str] = set()
    feeds = {name: _Feed(source, f"{seed}:{name}") for name, source in sources.items()}
    while queue:
        at_s, name = heapq.heappop(queue)
        if at_s >= until_s:
            continue
        if reboots and reboots[0] <= at_s:
            reboots.pop(0)
            kept = rules.raised()
            rules = _rules(rules.baselines, hasty=hasty)
            rules.restore(kept)
        month.observed += 1
        feed = feeds[name]
        moved = rules.observe(name, feed.look(at_s), 1000 + at_s, WALL_S + at_s)
        due = rules.next_due()
        if due is not None and due <= 1000 + at_s:
            moved += rules.tick(1000 + at_s, WALL_S + at_s)
        if moved:
            month.told += [(round(at_s, 3), each.event, each.fault.key) for each in moved]
            found = explain(rules.raised().values(), TOPOLOGY)
            roots = {key for key, fault in found.items() if fault.cause is None}
            month.roots.update(roots - stood)
            month.false.update(roots - stood - true)
            stood = roots
        following = feed.next(at_s, _wanted(rules, name, at_s) if skip else at_s)
        if following is not None:
            heapq.heappush(queue, (following, name))
    return month


class _Feed:
    """Plays one source: which look comes next and what it reads."""

    def __init__(self, source: Source, seed: str) -> None:
        self.source = source
        self._phase = random.Random(seed).uniform(0, source.poll_s)
        self._push = seed.partition(":")[2] in _PUSHES
        self._changes = sorted(source.changes, key=lambda change: change[0])
        self._spoiled = sorted(source.spoiled)
        self._at = self._bad = 0

    def look(self, at_s: float) -> dict[str, Reading]:
        """The readings of the look at that second."""
        source = self.source
        while self._at < len(self._changes) and self._changes[self._at][0] <= at_s:
            source.now |= self._changes[self._at][1]
            self._at += 1
        spoiled = ""
        while self._bad < len(self._spoiled) and self._spoiled[self._bad][0] <= at_s:
            spoiled = self._spoiled[self._bad][1]
            self._bad += 1
        if spoiled:
            silent = {name: unknown(_LINE[spoiled]) for name in source.now}
            return silent | {"port": known("ok"), "reply": known(spoiled)}
        return {name: unknown("masked") if value is None else known(value) for name, value in source.now.items()}

    def next(self, at_s: float, wanted_s: float | None) -> float | None:
        """When the next look matters; `wanted_s` is when the rules wait for one."""
        coming = [] if wanted_s is None else [self._poll(at_s, wanted_s)]
        if self._at < len(self._changes):
            change_s = self._changes[self._at][0]
            coming.append(max(at_s, change_s) if self._push else self._poll(at_s, change_s))
        if self._bad < len(self._spoiled):
            coming.append(self._poll(at_s, self._spoiled[self._bad][0]))
        return min(coming, default=None)

    def _poll(self, at_s: float, from_s: float) -> float:
        """The first poll after this one that is not before `from_s`."""
        poll_s = self.source.poll_s
        after = int((at_s - self._phase + _SAME_S) // poll_s) + 1
        return self._phase + max(after, -int(-(from_s - self._phase - _SAME_S) // poll_s)) * poll_s


def _wanted(rules: Rules, name: str, at_s: float) -> float | None:
    """When the same reading again would change something: a delay ends, a count goes on, a share is not clean yet."""
    wanted: list[float] = []
    for watches in rules._sources[name].watches.values():
        for watch in watches:
            condition = watch.condition
            if any(watch.window):
                return at_s
            if watch.raised and condition.stale_s:
                wanted.append(at_s + condition.stale_s / 2)
            if watch.pending and not watch.paused:
                if not watch.raised and watch.seen < condition.polls:
                    return at_s
                delay_s = condition.off_delay_s if watch.raised else condition.on_delay_s
                wanted.append(watch.since - 1000 + delay_s - watch.held_s)
    return min(wanted, default=None)


# --- the shop ---------------------------------------------------------------------------------------------------------


def _fresh() -> dict[str, Source]:
    sources = {}
    for name, family in FAMILIES.items():
        state = {key: each.default for key, each in DEVICES[family].keys.items()}
        sources[name] = Source(1.0, {**truth(family, state), "port": "ok", "reply": "ok"})
    sources["keypad"].now["held"] = "none"
    sources["reader"].now["read_failure_percent"] = 5.0
    sources["modem"].now |= {"rsrp_dbm": -96, "temperature_c": 41}
    sources["network"] = Source(
        2.0,
        {
            "link": "up",
            "address": "ok",
            "gateway": "ok",
            "dns": "ok",
            "acquirer": "ok",
            "tls": "ok",
            "portal": "no",
            "broker": "ok",
            "latency_ms": 140.0,
            "loss_percent": 1,
            "changes": 0,
        },
    )
    sources["power"] = Source(
        2.0,
        {
            "mains": "on",
            "supply": "ok",
            "battery_percent": 97.0,
            "battery_health": "Good",
            "charger": "ok",
            "battery_health_percent": 91.0,
            "temperature_c": 33.0,
            "voltage_mv": 8200,
        },
    )
    sources["system"] = Source(
        10.0,
        {
            "cpu_percent": 22.0,
            "memory_available_percent": 48.0,
            "disk": "ok",
            "disk_free_percent": 61.0,
            "temperature_c": 52.0,
            "payment_app": "up",
            "screen": "on",
            "clock_offset_s": 0.2,
        },
    )
    return sources


def _sales(chance: random.Random, sources: Mapping[str, Source], opens: float) -> None:
    """Without the lock that would keep the agent away: the harder case."""
    at_s = opens
    while at_s < opens + 12 * 3600:
        at_s += chance.expovariate(1 / 500) + 60
        inside = chance.uniform(5, 40) if chance.random() < 0.97 else chance.uniform(60, 400)
        reader = sources["reader"]
        reader.changes += [(at_s, {"card": "present"}), (at_s + inside, {"card": "gate"})]
        reader.changes.append((at_s + inside + chance.uniform(0.5, 9), {"card": "absent"}))
        if chance.random() < 0.2:
            sources["keypad"].during(at_s + 3, chance.uniform(0.2, 4), {"held": "some"})
        at_s += inside + 10
    if chance.random() < 0.4:  # an elbow
        sources["keypad"].during(opens + 43_000, chance.uniform(1, 9), {"held": "7"})


def _host(chance: random.Random, sources: Mapping[str, Source], opens: float) -> None:
    def when() -> float:
        return opens + chance.uniform(0, 43_000)

    system, power = sources["system"], sources["power"]
    for n in range(8):  # never two in a row: a minute and more is an overload
        at_s = opens + (n + chance.uniform(0, 0.9)) * 5000
        system.during(at_s, chance.uniform(5, 45), {"cpu_percent": chance.uniform(91, 100)})
    system.during(when(), chance.uniform(5, 45), {"memory_available_percent": 6.0})
    system.during(when(), chance.uniform(1, 8), {"payment_app": "down"})
    system.during(when(), chance.uniform(60, 280), {"screen": "off"})
    system.during(when(), 600, {"clock_offset_s": chance.uniform(-50, 50)})
    system.during(when(), 900, {"temperature_c": chance.uniform(60, 79)})
    power.during(when(), 1.5, {"battery_percent": 17.0})
    power.during(when(), 1.5, {"voltage_mv": 6600})
    power.during(when(), 3000, {"temperature_c": chance.uniform(38, 52)})
    power.during(when(), chance.uniform(20, 200), {"charger": "not_charging"})


def _rolls(chance: random.Random, printer: Source) -> None:
    """A roll lasts two or three days: it nears its end, is empty, and is changed under an open cover."""
    at_s = chance.uniform(1, 3) * DAY_S
    while at_s < MONTH_S - DAY_S:
        near_s, empty_s = chance.uniform(1800, 9000), chance.uniform(5, 600)
        open_s = chance.uniform(8, 60)
        printer.changes += [
            (at_s, {"paper": "near_end"}),
            (at_s + near_s, {"paper": "out", "online": False}),
            (at_s + near_s + empty_s, {"paper": None, "cover": "open"}),
            (at_s + near_s + empty_s + open_s, {"paper": "ok", "cover": "closed", "online": True}),
        ]
        at_s += near_s + chance.uniform(1.5, 3) * DAY_S
    for _ in range(3):  # somebody looks inside
        printer.changes += [
            (cleaned := chance.uniform(0, MONTH_S - 100), {"cover": "open", "paper": None, "online": False}),
            (cleaned + chance.uniform(3, 40), {"cover": "closed", "paper": "ok", "online": True}),
        ]


def _spoil(
    chance: random.Random, source: Source, every_s: Mapping[str, float], begins: float = 0.0, ends: float = MONTH_S
) -> None:
    for what, mean_s in every_s.items():
        at_s = begins + chance.expovariate(1 / mean_s)
        while at_s < ends:
            source.spoiled.append((at_s, what))
            at_s += chance.expovariate(1 / mean_s)


CONFIG = Config(
    terminal=TerminalConfig(id="shop", estate="months"),
    mqtt=MqttConfig(url="mqtt://127.0.0.1"),
    device=tuple(
        DeviceConfig(name=name, family=family, port=f"/nonexistent/{name}") for name, family in FAMILIES.items()
    ),
    network=NetworkConfig(bearer="modem", acquirer="acquirer.test:443"),
)
TOPOLOGY = Topology(powered_by={"printer": "mains"}, bearer="modem")


def _rules(baselines: dict[str, str] | None = None, *, hasty: bool = False) -> Rules:
    units = {device.name: catalog.family(device.family).unit for device in CONFIG.device}
    found = conditions(CONFIG, units)
    if hasty:
        found = tuple(replace(each, on_delay_s=0.0, polls=1, share=None) for each in found)
    return Rules(found, baselines)


def months(count: int) -> Iterator[tuple[Month, Month]]:
    """Terminal-months, one healthy and one with a bad line for each seed."""
    for seed in range(count):
        good = run(healthy(seed), frozenset(TRUE_IN_A_SHOP), seed)
        sources, unit = noisy(seed)
        line = {f"{unit}/bad_reply", f"{unit}/no_reply"}
        yield good, run(sources, frozenset(TRUE_IN_A_SHOP | line), seed)
