"""How often and how soon the diagnosis is right: every scenario, and a year of terminal-months, by the agent's rules.

Virtual time: what a figure in seconds counts is what the merchant would wait, poll intervals and delays included.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path

from simulator.scenario import Scenario, read
from tests.bench.figure import Effort, Figure, Told, quantile
from tests.scenarios.engine import Engine, Played
from tests.scenarios.months import months

_FILES = sorted((Path(__file__).parents[1] / "scenarios").glob("*.toml"))
_SEEDS = 3
_MONTHS = 12


def run(effort: Effort) -> Told:
    """All figures; in a hurry, a tenth of the scenarios and no months."""
    right, total = 0, 0
    seeds = int(effort.of(_SEEDS, 1))
    detected: list[float] = []
    rooted: list[float] = []
    for file in _FILES[:: int(effort.of(1, 10))]:
        scenario = read(file)
        for seed in range(seeds):
            played = Engine(scenario, seed).play()
            total += 1
            right += not played.missed and played.raised <= scenario.named
            for detect_s, root_s in _times(scenario, played):
                detected.append(detect_s)
                rooted.append(root_s)
    yield Figure("scenarios.number", "scenarios", len(_FILES), "", "≥ 120")
    share = 100 * right / total
    yield Figure("scenarios.right", f"plays with exactly the right roots ({seeds} seeds each)", share, "%", "≥ 100")
    detected.sort()
    rooted.sort()
    for key, what, values in (("detect", "time to detect", detected), ("root", "time to the right root", rooted)):
        yield Figure(f"scenarios.{key}", f"{what}, median", statistics.median(values), "s")
        yield Figure(f"scenarios.{key}_p95", f"{what}, 95th percentile", quantile(values, 0.95), "s")
    if effort.quick:
        return
    healthy = noisy = 0
    for good, bad in months(_MONTHS):
        healthy += good.false.total()
        noisy += bad.false.total()
    for key, number in (("healthy", healthy), ("noisy", noisy)):
        what = f"false roots per {key} terminal-month ({_MONTHS} months)"
        yield Figure(f"scenarios.{key}", what, number / _MONTHS, "", "≤ 0")


def _times(scenario: Scenario, played: Played) -> Iterator[tuple[float, float]]:
    """For each step whose roots are new: seconds from what was set to the first fault of it, and to exactly its roots."""
    set_at = 0.0
    for step in scenario.steps:
        set_at = step.at_s if step.set else set_at
        roots = set(step.expect.get("roots", ()))
        before = next((set(faults) for at_s, faults in reversed(played.history) if at_s < set_at), set())
        if not roots - before:
            continue
        wanted = roots | step.expect.get("symptoms", {}).keys()
        after = [(at_s, faults) for at_s, faults in played.history if at_s >= set_at]
        first = [at_s for at_s, faults in after if wanted & faults.keys() - before]
        exact = [at_s for at_s, faults in after if {key for key, cause in faults.items() if cause is None} == roots]
        if first and exact:
            yield first[0] - set_at, exact[0] - set_at
