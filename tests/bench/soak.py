"""Long runs: what memory, file descriptors and threads do over half an hour of a daemon, and over seven days of its core."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from simulator.terminal import Terminal
from tests.bench.figure import Effort, Figure, Series, Told, Trend
from tests.bench.ground import daemon, field_intervals, ground
from tests.bench.metered import TYPICAL, play, share_of
from tests.bench.process import descriptors, pss_kib, threads
from tests.bench.watch import Sample, Watch
from tests.mqtt.meter import Meter

_LEVERS = (("printer.paper", "out", "ok"), ("reader.card", "jammed", "absent"), ("keypad.battery", "low", "ok"))
_CUT_EVERY = 10  # samples
_WARM_SHARE = 1 / 3  # caches fill; what grows after that is a leak


def run(effort: Effort) -> Told:
    yield from _daemon(effort)
    yield from _week(effort)


def _daemon(effort: Effort) -> Told:
    """The real daemon over TLS; at each sample something breaks or is mended, and now and then the line is cut."""
    lasts = effort.seconds(30, 0.3)
    with ground() as place, Meter(place.tls_port) as meter, place.terminal(1) as (terminal, config):
        text = config.read_text("utf-8").replace(f":{place.tls_port}", f":{meter.port}")
        config.write_text(field_intervals(text), "utf-8")
        with daemon(config) as agent:
            agent.until_healthy()
            watch = Watch({"daemon": agent.pid}, lasts * _WARM_SHARE)
            disturb = _Disturber(terminal, meter)
            watch.through(lasts, disturb)
            samples = watch.samples["daemon"]
            what = f"soak, {lasts / 60:.3g} real minutes"
            how = f"the daemon over TLS, {disturb.done} changes and {disturb.cuts} cuts of the line, samples"
            yield from _figures("soak.real", what, samples, 3600, "h", how, _goal(effort))
            yield Series("soak_real", _columns(samples, 60))


class _Disturber:
    def __init__(self, terminal: Terminal, meter: Meter) -> None:
        self.done = self.cuts = 0
        self._terminal = terminal
        self._meter = meter

    def __call__(self, _at_s: float) -> None:
        key, broken, whole = _LEVERS[self.done % len(_LEVERS)]
        self._terminal.set({key: whole if self.done // len(_LEVERS) % 2 else broken})
        self.done += 1
        if self.done % _CUT_EVERY == 0:
            self._meter.cut()
            self.cuts += 1


def _week(effort: Effort) -> Told:
    """The core, store and uplink of a daemon through typical days of a metered line, in a process of their own."""
    hours = effort.of(168, 2)
    words = (sys.executable, "-m", "tests.bench.soak", str(hours))
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    samples = [Sample(**json.loads(line)) for line in done.stdout.splitlines()]
    late = [sample for sample in samples if sample.at_s >= hours * 3600 * _WARM_SHARE]
    how = (
        f"{hours:g} h of typical metered days on a clock moved by hand, in one process with the proxy and its clients; "
        "hourly samples"
    )
    yield from _figures("soak.week", f"soak, {hours / 24:.3g} simulated days", late, 86_400, "day", how, _goal(effort))
    yield Series("soak_week", _columns(samples, 3600))


def _figures(key: str, what: str, samples: Sequence[Sample], per_s: float, unit: str, how: str, goal: str) -> Told:
    """Of samples after the warm-up."""
    trend = Trend([sample.at_s for sample in samples], [sample.pss for sample in samples])
    slope, error = (value * per_s for value in trend.slope())
    rise = slope / per_s * (samples[-1].at_s - samples[0].at_s)
    missed = slope - 2 * error > 0 and rise > 0.01 * samples[0].pss
    told = f"{how} of the last two thirds, least squares ± {error:.2f}; missed when surely above 0 and above 1 % in all"
    yield Figure(f"{key}.pss", f"{what}: PSS slope", slope, f"KiB/{unit}", goal, told, missed and bool(goal))
    for name, values in (
        ("file descriptors", [sample.descriptors for sample in samples]),
        ("threads", [sample.threads for sample in samples]),
    ):
        # A reconnect or a probe's child holds one or two for a moment; a leak shows in the least that is ever held.
        half = len(values) // 2
        grown = min(values[half:]) - min(values[:half]) if half else 0
        told = f"least of the second half less least of the first; {min(values)} to {max(values)}"
        yield Figure(f"{key}.{name.split()[-1]}", f"{what}: {name} grown", grown, "", "≤ 0", told)


def _goal(effort: Effort) -> str:
    """A slope over seconds is none."""
    return "" if effort.quick else "0"


def _columns(samples: Sequence[Sample], unit_s: float) -> dict[str, Any]:
    return {
        "at": [round(sample.at_s / unit_s, 3) for sample in samples],
        "pss_kib": [sample.pss for sample in samples],
        "descriptors": [sample.descriptors for sample in samples],
        "threads": [sample.threads for sample in samples],
    }


def _play_hours(hours: float) -> None:
    """In a process of its own: one line of JSON an hour."""
    pid = os.getpid()

    def say(hour: float) -> None:
        sample = Sample(hour * 3600, pss_kib(pid), descriptors(pid), threads(pid))
        print(json.dumps({name: getattr(sample, name) for name in Sample.__slots__}), flush=True)

    play(share_of(TYPICAL, hours / 24), each_hour=say)


if __name__ == "__main__":
    _play_hours(float(sys.argv[1]))
