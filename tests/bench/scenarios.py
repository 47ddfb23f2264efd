"""How often and how soon the diagnosis is right: every scenario, and a year of terminal-months, by the agent's rules.

Virtual time: what a figure in seconds counts is what the merchant would wait, poll intervals and delays included.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path

from simulator.scenario import Scenario, read
from tests.scenarios.engine import Engine, Played
from tests.scenarios.months import months

Figure = tuple[str, float, str, str]
"""What, how much, its unit, and the goal in words ("" for none)."""

_FILES = sorted((Path(__file__).parents[1] / "scenarios").glob("*.toml"))
_SEEDS = 3
_MONTHS = 12


def figures() -> list[Figure]:
    """All figures; about a minute and a half."""
    right, total = 0, 0
    detected: list[float] = []
    rooted: list[float] = []
    for file in _FILES:
        scenario = read(file)
        for seed in range(_SEEDS):
            played = Engine(scenario, seed).play()
            total += 1
            right += not played.missed and played.raised <= scenario.named
            for detect_s, root_s in _times(scenario, played):
                detected.append(detect_s)
                rooted.append(root_s)
    healthy = noisy = 0
    for good, bad in months(_MONTHS):
        healthy += good.false.total()
        noisy += bad.false.total()
    return [
        ("scenarios", len(_FILES), "", "at least 120"),
        (f"plays with exactly the right roots ({_SEEDS} seeds each)", round(100 * right / total, 2), "%", "100"),
        (f"false roots per healthy terminal-month ({_MONTHS} months)", round(healthy / _MONTHS, 3), "", "0"),
        (f"false roots per noisy terminal-month ({_MONTHS} months)", round(noisy / _MONTHS, 3), "", "0"),
        ("time to detect, median", _median(detected), "s", ""),
        ("time to detect, 95th percentile", _p95(detected), "s", ""),
        ("time to the right root, median", _median(rooted), "s", ""),
        ("time to the right root, 95th percentile", _p95(rooted), "s", ""),
    ]


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


def _median(values: list[float]) -> float:
    return round(statistics.median(values), 2)


def _p95(values: list[float]) -> float:
    return round(statistics.quantiles(values, n=20)[-1], 2)
