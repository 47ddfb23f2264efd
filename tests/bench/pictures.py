"""Pictures of what was measured, by matplotlib. A part that was not run has none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt

from tests.bench.kept import PEERS, Kept

_OURS = "#1b6ca8"
_OTHERS = ("#c9883a", "#7a7a7a", "#8a5aa8", "#4d9a6a")
_BARE = "posdiag,\nno devices"
_CPU_GOALS = {"posdiag": 0.15, _BARE: 0.03}
_LEGIBLE: Any = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.dpi": 130,
    "svg.hashsalt": "x",
}


def draw(kept: Kept, out: Path) -> list[tuple[str, str]]:
    """File name and title of each picture that could be drawn."""
    drawn = []
    mpl.use("Agg")
    with mpl.rc_context(_LEGIBLE):
        for name, title, make in _PICTURES:
            figure = plt.figure(figsize=(7, 3.6), layout="constrained")
            if make(kept, figure):
                figure.suptitle(title, fontsize=10)
                figure.savefig(out / f"bench-{name}.png", metadata={"Software": None})
                drawn.append((f"bench-{name}.png", title))
            plt.close(figure)
    return drawn


def _memory(kept: Kept, figure: Any) -> bool:
    ours, others = kept.series("rest"), kept.series("peers") or {}
    if not ours:
        return False
    axes = figure.subplots()
    for (name, data), color in zip({**ours, **others}.items(), (_OURS, *_OTHERS), strict=False):
        minutes = [at / 60 for at in data["s"]]
        axes.plot(minutes, [kib / 1024 for kib in data["pss_kib"]], color=color, label=name)
    bare = kept.figure("rest.floor")
    if bare is not None and bare.value is not None:
        axes.axhline(bare.value, color=_OURS, linestyle=":", label="bare process, same libraries")
    axes.axhline(20, color="black", linewidth=0.8, linestyle="--", label="goal")
    axes.set(xlabel="minutes", ylabel="PSS in MiB", ylim=(0, None))
    figure.legend(loc="outside right upper", fontsize=7)
    return True


def _cpu(kept: Kept, figure: Any) -> bool:
    keys = {"posdiag": "rest.cpu", _BARE: "bare.cpu"}
    keys |= {name: f"{name}.cpu" for name in PEERS}
    values = {name: one.value for name, key in keys.items() if (one := kept.figure(key)) and one.value}
    if not values:
        return False
    axes = figure.subplots()
    colors = [_OURS if name.startswith("posdiag") else _OTHERS[1] for name in values]
    axes.bar_label(axes.bar(list(values), list(values.values()), color=colors), fmt="%.3g")
    for place, name in enumerate(values):
        if name in _CPU_GOALS:
            axes.hlines(_CPU_GOALS[name], place - 0.45, place + 0.45, color="black", linestyle="--")
    axes.set(ylabel="% of one core; goals dashed", yscale="log", ylim=(0.01, None))
    return True


def _latency(kept: Kept, figure: Any) -> bool:
    delays = kept.series("push_ms")
    if not delays:
        return False
    axes = figure.subplots()
    shares = [100 * (number + 1) / len(delays) for number in range(len(delays))]
    axes.step(delays, shares, where="post", color=_OURS)
    for limit, share in ((2, 50), (10, 99)):
        axes.plot([limit], [share], marker="x", color="black")
        axes.annotate(f"goal: {share} % within {limit} ms", (limit, share), xytext=(6, -10), textcoords="offset points")
    axes.set(xlabel="ms from the port to a subscriber, row durable in between", ylabel="% of changes", xscale="log")
    axes.grid(alpha=0.3)
    return True


def _metered(kept: Kept, figure: Any) -> bool:
    days: Mapping[str, Mapping[str, int]] | None = kept.series("metered")
    if not days:
        return False
    names = sorted({name for day in days.values() for name in day}, key=lambda name: -days["typical"].get(name, 0))
    colors: Any = plt.get_cmap("tab20")
    axes = figure.subplots()
    starts = dict.fromkeys(days, 0.0)
    for number, name in enumerate(names):
        sizes = {day: data.get(name, 0) / 1024 for day, data in days.items()}
        axes.barh(list(sizes), list(sizes.values()), left=list(starts.values()), color=colors(number % 20), label=name)
        starts = {day: starts[day] + size for day, size in sizes.items()}
    for row, goal in enumerate((60, 140)):
        axes.plot([goal, goal], [row - 0.45, row + 0.45], color="black", linestyle="--", linewidth=0.8)
    axes.set(xlabel="KiB of the day; goals dashed")
    figure.legend(loc="outside right upper", fontsize=7)
    return True


def _outage(kept: Kept, figure: Any) -> bool:
    hours, drain = kept.series("outage"), kept.series("drain") or []
    if not hours:
        return False
    rows, sizes, left = figure.subplots(1, 3)
    at = [line["hour"] for line in hours]
    minutes = [line["drain_s"] / 60 for line in drain]
    for cls, color in zip(("event", "telemetry"), (_OURS, _OTHERS[0]), strict=True):
        rows.plot(at, [line["rows"].get(cls, 0) for line in hours], color=color, label=cls)
        left.plot(minutes, [line["rows"].get(cls, 0) for line in drain], color=color, label=cls)
    sizes.plot(at, [line["disk"] / 2**20 for line in hours], color=_OTHERS[1], label="disk")
    sizes.plot(at, [line["pss_kib"] / 1024 for line in hours], color=_OTHERS[2], label="PSS")
    rows.set(xlabel="hours without a broker", ylabel="rows that wait")
    sizes.set(xlabel="hours without a broker", ylabel="MiB")
    left.set(xlabel="minutes of the drain", ylabel="rows that still wait")
    for axes in (rows, sizes, left):
        axes.set_ylim(0, None)
        axes.legend(fontsize=7)
    return True


def _soak(key: str, unit: str) -> Callable[[Kept, Any], bool]:
    def make(kept: Kept, figure: Any) -> bool:
        data = kept.series(key)
        if not data:
            return False
        axes = figure.subplots()
        axes.plot(data["at"], [kib / 1024 for kib in data["pss_kib"]], color=_OURS, label="PSS, MiB")
        axes.plot(data["at"], data["descriptors"], color=_OTHERS[0], label="file descriptors")
        axes.plot(data["at"], data["threads"], color=_OTHERS[1], label="threads")
        axes.set(xlabel=unit, ylim=(0, None))
        figure.legend(loc="outside right upper", fontsize=7)
        return True

    return make


_PICTURES: tuple[tuple[str, str, Callable[[Kept, Any], bool]], ...] = (
    ("memory", "Memory at rest", _memory),
    ("cpu", "Processor time at rest", _cpu),
    ("latency", "From the port to a subscriber", _latency),
    ("metered", "A day on a metered SIM, by what the bytes were for", _metered),
    ("outage", "An outage at full fault rate, and its drain", _outage),
    ("soak-real", "Soak of the daemon", _soak("soak_real", "minutes")),
    ("soak-week", "Soak of the core through simulated days", _soak("soak_week", "hours")),
)
