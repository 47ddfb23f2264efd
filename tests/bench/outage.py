"""Three days without a broker while every fault comes and goes as fast as it may; then the drain.

The terminal is a process of its own, so that its memory is its alone. Its clock is moved by hand; store, outbox, rules,
uplink and paho are the real ones. Broker and subscriber live in the bench.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from agent.clock import ManualClock
from agent.config_file import load_trusted
from agent.session import TIMINGS
from agent.wire import QueuedClass
from drivers.reading import Reading, known
from tests.bench.figure import Effort, Figure, Series, Told, Trend
from tests.bench.ground import scratch
from tests.bench.process import pss_kib
from tests.bench.still import STEP_S, Still
from tests.bench.virtual import CONFIG, Terminal, virtual_time
from tests.mqtt.broker import Rumqttd
from tests.wait import wait_until

_TOGGLE_S = 30  # four changes in two minutes; more than six would be told as flapping, which is less
_LOOK_S = 3600
_BEAT_S = 0.1  # of the drain; the sender's own burst
_RATE = TIMINGS["wired"].drain_per_s
_FAULTS: tuple[tuple[str, str, str], ...] = (
    ("printer", "paper", "out"),
    ("printer", "cover", "open"),
    ("printer", "cutter", "error"),
    ("printer", "mechanism", "error"),
    ("reader", "card", "jammed"),
    ("reader", "shutter", "error"),
    ("keypad", "keys", "missing"),
    ("keypad", "battery", "low"),
    ("reader", "sensor", "error"),
    ("reader", "stacker", "error"),
    ("reader", "bin", "full"),
    ("modem", "sim", "absent"),
    ("power", "battery", "absent"),
    ("power", "battery_health", "Dead"),
    ("network", "tls", "failed"),
)


# --- in the terminal's process ----------------------------------------------------------------------------------------


def _say(**what: object) -> None:
    print(json.dumps(what), flush=True)


def _wrong(now: int) -> Mapping[str, Mapping[str, Reading]]:
    """Each fault half of the time, one after the other."""
    wrong: dict[str, dict[str, Reading]] = {}
    for number, (source, reading, value) in enumerate(_FAULTS):
        if (now + STEP_S * number) // _TOGGLE_S % 2:
            wrong.setdefault(source, {})[reading] = known(value)
    return wrong


def _sizes(folder: Path) -> int:
    return sum(file.stat().st_size for file in (folder / "state").iterdir())


def _terminal(folder: Path, port: int, hours: float) -> None:
    """Play the outage, wait for a line on standard input, drain."""
    config = load_trusted(str(folder / "agent.toml"))
    clock = ManualClock(wall=1_795_046_400.0)
    with virtual_time(clock):
        terminal = Terminal(folder, config, clock)
        terminal.start()
        terminal.uplink.start()
        still = Still(random.Random(1), config.ladder_s)
        for now in range(STEP_S, int(hours * 3600) + 1, STEP_S):
            clock.advance(STEP_S)
            for source, readings in still.readings(now, clock.wall(), _wrong(now)):
                terminal.core.observe(source, readings)
            terminal.core.tick()
            due = terminal.core.telemetry_due()
            if due is not None and clock.monotonic() >= due:
                batch = terminal.core.take_telemetry()
                assert batch is not None
                terminal.outbox.put("telemetry", batch)
            terminal.outbox.tick()
            if now % _LOOK_S == 0:
                _look(terminal, folder, now / 3600)
        _say(over=True, limit=config.store.max_bytes)
        sys.stdin.readline()
        _drain(terminal, clock)
        terminal.close()


def _look(terminal: Terminal, folder: Path, hour: float) -> None:
    depth = terminal.outbox.depth()
    _say(hour=hour, pss_kib=pss_kib(os.getpid()), disk=_sizes(folder), rows=depth["rows"], drops=depth["drops"])


def _drain(terminal: Terminal, clock: ManualClock) -> None:
    uplink, outbox = terminal.uplink, terminal.outbox
    uplink.hurry()
    wait_until(lambda: uplink.connected, 20)
    began, beat = clock.monotonic(), 0
    while any(outbox.depth()["rows"].values()) if beat % 50 == 0 else True:
        beat += 1
        clock.advance(_BEAT_S)
        uplink.kick()
        wait_until(lambda: uplink.turned_at >= clock.monotonic(), 20, 0.001)
        if beat % 100 == 0:
            _say(drain_s=clock.monotonic() - began, pss_kib=pss_kib(os.getpid()), rows=outbox.depth()["rows"])
    _say(drained_s=clock.monotonic() - began)


# --- in the bench -----------------------------------------------------------------------------------------------------


class _Classes:
    """Notes in which order old rows of which class arrive."""

    def __init__(self, port: int) -> None:
        self.order: list[str] = []
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        self._client.on_connect = lambda client, *_: client.subscribe("pos/#", qos=1)
        self._client.on_message = self._hear
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _hear(self, _client: object, _userdata: object, message: paho.MQTTMessage) -> None:
        kind = message.topic.split("/")[4]
        if kind in {"event", "result", "telemetry"}:
            self.order.append(kind)


def run(effort: Effort) -> Told:
    """About ten minutes."""
    hours = effort.of(72, 3)
    with scratch() as folder:
        broker = Rumqttd(folder)
        (folder / "agent.toml").write_text(_config(folder, broker.port, effort))
        words = (sys.executable, "-m", "tests.bench.outage", str(folder), str(broker.port), str(hours))
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as terminal:
            assert terminal.stdin is not None
            lines = _lines(terminal)
            hourly = [line for line in lines if "hour" in line or "over" in line]
            limit = int(hourly.pop()["limit"])
            yield from _outage_figures(hourly, limit, hours, "" if effort.quick else "flat")
            broker.start()
            classes = _Classes(broker.port)
            try:
                began = time.monotonic()
                terminal.stdin.write("\n")
                terminal.stdin.flush()
                drained = list(_lines(terminal))
                yield from _drain_figures(hourly, drained, classes.order, time.monotonic() - began)
            finally:
                classes.close()
                broker.kill()


def _lines(terminal: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    """What it says up to the end of a stretch."""
    assert terminal.stdout is not None
    for text in terminal.stdout:
        line: dict[str, Any] = json.loads(text)
        yield line
        if "over" in line or "drained_s" in line:
            return
    raise AssertionError(f"the terminal ended with {terminal.wait()}")


def _config(folder: Path, port: int, effort: Effort) -> str:
    """The wired link of a till, plain MQTT; a short outage fills a small store as a long one fills the usual."""
    lines = CONFIG.format(port=port, ca="", cert="", key="", folder=folder).splitlines()
    text = "\n".join(line for line in lines if not line.startswith(("ca_file", "cert_file", "key_file", "link")))
    store = f"\n[store]\nmax_bytes = {11 << 18}\n" if effort.quick else "\n"
    return text.replace("mqtts://", "mqtt://") + store


def _outage_figures(hourly: list[dict[str, Any]], limit: int, hours: float, goal: str) -> Told:
    how = (
        f"{hours:g} h on a clock moved by hand, {len(_FAULTS)} faults each raised and cleared once a minute, telemetry as on a "
        "wired link, default quotas, no broker"
    )
    most = max(line["disk"] for line in hourly)
    share = 100 * most / limit
    quota = f"{how}; the most that state_dir held, of store.max_bytes = {limit >> 20} MiB"
    yield Figure("outage.disk", f"{hours:g} h outage, disk used of its quota", share, "%", "≤ 100", quota)
    # The first hours fill the page cache of the store and the rules' memory.
    late = hourly[len(hourly) // 4 :]
    trend = Trend([line["hour"] for line in late], [line["pss_kib"] for line in late])
    slope, error = trend.slope()
    rise = slope * hours
    missed = slope - 2 * error > 0 and rise > 0.01 * late[0]["pss_kib"]
    flat = (
        f"least squares over the last three quarters, ± {error:.2f}; missed when surely above 0 and 1 % of PSS in all"
    )
    yield Figure("outage.pss", f"{hours:g} h outage, PSS slope", slope, "KiB/h", goal, flat, missed and bool(goal))
    drops = ", ".join(f"{number:,} {why}" for why, number in sorted(hourly[-1]["drops"].items())) or "none"
    told = f"at the end, beside rows dropped with a receipt: {drops}"
    yield Figure(
        "outage.rows",
        f"{hours:g} h outage, rows waiting at its end",
        sum(hourly[-1]["rows"].values()),
        "rows",
        "",
        told,
    )
    yield Series("outage", hourly)


def _drain_figures(hourly: list[dict[str, Any]], drained: list[dict[str, Any]], order: list[str], took: float) -> Told:
    took_s = drained[-1]["drained_s"]
    rate = len(order) / took_s
    how = f"{len(order):,} rows in {took_s:.0f} s of the terminal's clock, {took:.0f} s of ours; set to {_RATE:g} a second"
    yield Figure(
        "outage.rate",
        "rate of the drain after it",
        rate,
        "rows/s",
        f"{_RATE:g} ± 10 %",
        how,
        abs(rate / _RATE - 1) > 0.1,
    )
    first_telemetry = order.index("telemetry") if "telemetry" in order else len(order)
    early = Counter(order[:first_telemetry])
    events: QueuedClass = "event"
    waited = hourly[-1]["rows"].get(events, 0)
    share = 100 * min(1.0, early[events] / waited) if waited else 100.0
    how = f"{early[events]:,} of {waited:,} old events had arrived before the first row of telemetry"
    yield Figure("outage.order", "drain: old events before any telemetry", share, "%", "≥ 100", how)
    yield Series("drain", [line for line in drained if "drain_s" in line])


if __name__ == "__main__":
    _terminal(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
