"""Finds the one cause behind many troubled terminals: site, cell, operator, power district, host or release. Pure.

Each rule says what terminals may share, and which faults count. A group passes when its share of troubled terminals is
large beside those outside of it. Which of the rules explains best is told by likelihood: how much less surprising the
trouble becomes, in nats, less a price for each group that is named; so one operator wins over its hundred cells, and
one cell over its operator. What is explained is taken away, and the rest is looked at again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import log
from typing import Any, Final

OFFLINE: Final = "terminal/offline"
"""The center's own name, in incidents, for a terminal that is gone without a goodbye."""
WINDOW_MS: Final = 1_800_000
"""What began within this time may have begun together: a broker notices after 1.5 keep-alives of up to 900 s, and
holds a will back for another 120 s."""
WAIT_MS: Final = 30_000
"""So long a trouble that others may share waits for them, before it becomes an incident of its own."""
FLOOR: Final = 0.002
"""The share of terminals that is in trouble on any day."""
PRICE: Final = 20.0  # nats for naming one more group: one false group in 10⁸ looks
PROMOTED: Final = 0.5  # a wider scope that explains half as much is believed to be the cause of the narrower ones
DIRECT_SHARE: Final = 0.2
"""Of those without power so many must have said so."""
EVEN: Final = 0.75
"""An estate as a whole is in trouble if operators, or hosts, of so many of its terminals have about the same share."""

_REACH: Final = frozenset(
    {"modem/no_network", "modem/registration_denied", "modem/no_data", "modem/weak_signal"}
    | {f"network/{kind}" for kind in ("link_down", "no_address", "gateway_unreachable", "dns_failed")}
    | {f"network/{kind}" for kind in ("broker_unreachable", "slow", "lossy", "flapping")}
)
_HOST: Final = frozenset({"network/acquirer_unreachable", "network/tls_failed"})
_MAINS: Final = "power/mains_lost"
_SHARED: Final = _REACH | _HOST | {OFFLINE, _MAINS}


@dataclass(frozen=True, slots=True)
class Place:
    """What a terminal shares with others; "" for what is not known."""

    site: str = ""
    cell: str = ""
    operator: str = ""
    power: str = ""
    host: str = ""
    release: str = ""
    """`model|firmware`."""


@dataclass(slots=True, eq=False)
class Signal:
    """A root fault that stands, or a terminal that is gone."""

    estate: str
    terminal: str
    fault: str
    onset_ms: int
    severity: str
    place: Place
    expected: bool = False
    """Whether it went while its site does not trade: then it may just have been switched off."""
    verdict: str = ""
    """Of a terminal that is gone, as center/domain/freshness.py has it."""
    group: Any = None
    """The widest group that holds it, and its `rank`; None for none. The engine's."""
    held: list[Any] = field(default_factory=list)
    """All incidents that hold it: its own, and groups of which one may be a part of another. The engine's."""

    @property
    def key(self) -> tuple[str, str, str]:
        return self.estate, self.terminal, self.fault

    @property
    def families(self) -> tuple[str, ...]:
        """Which rules it counts for. Whether a terminal went for want of power or of network is often not known."""
        if self.fault == OFFLINE:
            if self.verdict == "no_power":
                return ("power",)
            return ("reach",) if self.verdict == "no_network" else ("reach", "power")
        if self.fault == _MAINS:
            return ("power",)
        if self.fault in _HOST:
            return ("host",)
        same = f"same:{self.fault}"
        return ("reach", same) if self.fault in _REACH else (same,)

    @property
    def is_direct(self) -> bool:
        """Whether it speaks for a loss of power by itself."""
        return self.fault == _MAINS or self.verdict == "no_power"

    @property
    def may_be_shared(self) -> bool:
        """Whether it is worth a wait for others."""
        return self.fault in _SHARED


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One way to group. `share` is the least share of terminals affected, `contrast` how many times that outside."""

    scope: str
    family: str
    rank: int
    """Groups of a higher rank take over those of a lower one."""
    within: tuple[str, ...] = ()
    """Wider scopes of the same family that this one may only be a part of."""
    least: int
    sites: int
    share: float
    contrast: float
    gain: float = PRICE
    even: str = ""
    """It must be much the same for all of these: for all operators, or all hosts."""


RULES: Final[tuple[Rule, ...]] = (
    Rule(scope="site", family="reach", rank=1, within=("cell", "operator", "estate"),
         least=2, sites=1, share=0.6, contrast=1.5, gain=8.0),
    Rule(scope="cell", family="reach", rank=2, within=("operator", "estate"),
         least=4, sites=2, share=0.1, contrast=3.0),
    Rule(scope="operator", family="reach", rank=3, within=("estate",), least=10, sites=5, share=0.01, contrast=1.3),
    Rule(scope="estate", family="reach", rank=4, least=20, sites=10, share=0.02, contrast=0.0,
         even="operator"),
    Rule(scope="site", family="power", rank=1, within=("power",),
         least=2, sites=1, share=0.6, contrast=1.5, gain=8.0),
    Rule(scope="power", family="power", rank=3, least=4, sites=2, share=0.1, contrast=3.0),
    Rule(scope="site", family="host", rank=1, least=2, sites=1, share=0.6, contrast=3.0, gain=8.0),
    Rule(scope="cell", family="host", rank=2, within=("operator",), least=4, sites=2, share=0.1, contrast=3.0),
    Rule(scope="operator", family="host", rank=3, least=10, sites=5, share=0.01, contrast=3.0),
    Rule(scope="host", family="host", rank=3, within=("estate",), least=5, sites=3, share=0.01, contrast=1.3),
    Rule(scope="estate", family="host", rank=4, least=20, sites=10, share=0.02, contrast=0.0, even="host"),
    Rule(scope="release", family="same", rank=2, least=10, sites=5, share=0.02, contrast=5.0),
)  # fmt: skip
RANKS: Final = {(rule.scope, rule.family): rule.rank for rule in RULES}


def family_of(rule: Rule, signal: Signal) -> str:
    """The family in which the rule counts the signal, or "" for none."""
    if rule.family == "same":
        return next((family for family in signal.families if family.startswith("same:")), "")
    return rule.family if rule.family in signal.families else ""


def key_of(rule: Rule, signal: Signal) -> str:
    """What the signal's terminal shares by this rule, or "" where it is not known."""
    return signal.estate if rule.scope == "estate" else getattr(signal.place, rule.scope)


@dataclass(slots=True)
class Group:
    """A group that passed, and why."""

    rule: Rule
    family: str
    key: str
    signals: list[Signal]
    affected: int
    population: int
    sites: int
    outside: float
    """The share outside of it, or FLOOR if that is more."""
    gain: float
    alternatives: list[str] = field(default_factory=list)
    """Other groups that explain nearly as much, `scope key`."""

    @property
    def share(self) -> float:
        return self.affected / self.population


class Population:
    """How many terminals share what, within one estate."""

    def __init__(self) -> None:
        self.total = 0
        self.by: dict[str, Counter[str]] = {
            scope: Counter() for scope in ("site", "cell", "operator", "power", "host", "release")
        }

    def add(self, place: Place, n: int = 1) -> None:
        """Count a terminal in, or out with -1."""
        self.total += n
        for scope, counter in self.by.items():
            counter[getattr(place, scope)] += n

    def of(self, scope: str, key: str) -> int:
        return self.total if scope == "estate" else self.by[scope][key]

    def undivided(self, scope: str) -> bool:
        """Whether all have the same."""
        return len(+self.by[scope]) == 1


def propose(
    signals: Iterable[Signal], population: Population, gone: Iterable[Signal] = (), rules: Sequence[Rule] = RULES
) -> list[Group]:
    """Groups behind the fresh `signals` of one estate, the best first; `gone` were in trouble before the window.

    A signal that a group holds counts only for rules of a higher rank.
    """
    left, before = list(signals), list(gone)
    found: list[Group] = []
    while True:
        best = _best(left, before, population, rules)
        if not best:
            return found
        found += best
        taken = {id(signal) for group in best for signal in group.signals}
        left = [signal for signal in left if id(signal) not in taken]


def surprise(affected: int, population: int, usual: float) -> float:
    """By how many nats the share seen is likelier under itself than under the usual share; 0 when it is not more."""
    share = affected / population
    if share <= usual:
        return 0.0
    rest = population - affected
    return affected * log(share / usual) + (rest * log((1 - share) / (1 - usual)) if rest else 0.0)


@dataclass(slots=True)
class _Tally:
    signals: list[Signal] = field(default_factory=list)
    terminals: set[str] = field(default_factory=set)
    sites: set[str] = field(default_factory=set)
    direct: set[str] = field(default_factory=set)


def _best(left: list[Signal], before: list[Signal], population: Population, rules: Sequence[Rule]) -> list[Group]:
    """All groups of the rule and family that together explain most."""
    passed: dict[tuple[str, str], list[Group]] = {}
    free = {
        rank: [signal for signal in left if signal.group is None or signal.group.rank < rank]
        for rank in {rule.rank for rule in rules}
    }
    for rule in rules:
        for group in _passing(rule, free[rule.rank], before, population):
            passed.setdefault((rule.scope, group.family), []).append(group)
    if not passed:
        return []
    total = {name: sum(group.gain - min(PRICE, group.rule.gain) for group in some) for name, some in passed.items()}
    chosen = max(total, key=lambda name: (total[name], passed[name][0].rule.rank))
    family = chosen[1]
    for wider in passed[chosen][0].rule.within:
        if total.get((wider, family), 0.0) >= PROMOTED * total[chosen]:
            chosen = (wider, family)
    others = [name for name in total if name != chosen and total[name] >= PROMOTED * total[chosen]]
    for group in passed[chosen]:
        group.alternatives = [f"{other.rule.scope} {other.key}" for name in others for other in passed[name][:5]][:10]
    return sorted(passed[chosen], key=lambda group: -group.gain)


def _passing(rule: Rule, left: list[Signal], before: list[Signal], population: Population) -> list[Group]:
    if rule.scope in {"site", "estate"}:  # which look in trouble when they close for the night
        left = [signal for signal in left if not signal.expected]
    tallies = _tally(rule, left)
    if not any(len(tally.terminals) >= rule.least for tally in tallies.values()):
        return []
    if rule.even and not all(_even(rule.even, tally, population) for tally in tallies.values()):
        return []
    out = {name: len(tally.terminals) for name, tally in _tally(rule, before).items()}
    whole, out_whole = _wholes(tallies), _wholes_of(out)
    found = []
    for (family, key), tally in tallies.items():
        affected = len(tally.terminals)
        if not key or affected < rule.least or len(tally.sites) < rule.sites:
            continue
        if family == "power" and len(tally.direct) < DIRECT_SHARE * affected:
            continue
        n = max(affected, population.of(rule.scope, key) - out.get((family, key), 0))
        others = max(1, population.total - out_whole[family] - n)
        outside = (whole[family] - affected) / others
        usual = max(FLOOR, outside if rule.contrast >= 3 else 0.0)
        gain = surprise(affected, n, usual)
        if affected / n < max(rule.share, rule.contrast * outside) or gain < rule.gain:
            continue
        found.append(
            Group(rule, family, key, tally.signals, affected, n, len(tally.sites), max(FLOOR, outside), round(gain, 1))
        )
    return found


def _even(scope: str, tally: _Tally, population: Population) -> bool:
    """Whether most terminals, by what they share, are in the same trouble. If all share one, that says more."""
    if population.undivided(scope) and not population.of(scope, ""):
        return False
    affected = Counter(
        key for _terminal, key in {(each.terminal, getattr(each.place, scope)) for each in tally.signals}
    )
    share = len(tally.terminals) / max(1, population.total)
    alike = (n for key, n in population.by[scope].items() if n and affected[key] / n >= share / 2)
    return sum(alike) >= EVEN * population.total


def _tally(rule: Rule, signals: Iterable[Signal]) -> dict[tuple[str, str], _Tally]:
    tallies: dict[tuple[str, str], _Tally] = {}
    for signal in signals:
        family = family_of(rule, signal)
        if not family:
            continue
        tally = tallies.setdefault((family, key_of(rule, signal)), _Tally())
        tally.signals.append(signal)
        tally.terminals.add(signal.terminal)
        tally.sites.add(signal.place.site or signal.terminal)
        if signal.is_direct:
            tally.direct.add(signal.terminal)
    return tallies


def _wholes(tallies: Mapping[tuple[str, str], _Tally]) -> Counter[str]:
    return _wholes_of({name: len(tally.terminals) for name, tally in tallies.items()})


def _wholes_of(counts: Mapping[tuple[str, str], int]) -> Counter[str]:
    whole: Counter[str] = Counter()
    for (family, _key), n in counts.items():
        whole[family] += n
    return whole
