"""The daemon as a process over TLS: how soon it starts, how soon it tells, and what it costs at rest."""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

from simulator.terminal import Terminal
from tests.bench.figure import Effort, Figure, Series, Told, quantile, rest
from tests.bench.ground import Ground, daemon, field_intervals, ground, options, wait_for
from tests.bench.process import Memory, memory
from tests.bench.watch import Cost, Watch
from tests.mqtt.meter import Meter

_WARM_S = 30

# Key, value that breaks, value that heals, fault. More than six changes of one fault in two minutes would be flapping.
PUSHED = (
    ("printer.paper", "out", "ok", "printer/paper_out"),
    ("printer.paper", "near_end", "ok", "printer/paper_near_end"),
    ("printer.cover", "open", "closed", "printer/cover_open"),
    ("printer.cutter", "error", "ok", "printer/cutter_error"),
    ("printer.mechanism", "error", "ok", "printer/mechanical_error"),
)
_POLLED = (
    ("reader.card", "jammed", "absent", "reader/card_jam"),
    ("reader.shutter", "error", "ok", "reader/shutter_error"),
    ("keypad.keys", "missing", "loaded", "keypad/keys_missing"),
    ("keypad.battery", "low", "ok", "keypad/battery_low"),
)
ROUNDS = 3
_LATE_S = 1.0
_ASKED_S = 1.5  # a new printer is asked twice who it is, at length; that happens once


def run(effort: Effort) -> Told:
    """Start, delays, and rest with four devices."""
    with ground() as place:
        yield from _start(place, effort)
    with ground() as place:
        yield from _pushes(place, effort)
    with ground() as place:
        yield from _polled(place, effort)
    with ground() as place:
        yield from _at_rest(place, effort)


def _start(place: Ground, effort: Effort) -> Told:
    """A new and a known state directory alike."""
    times = []
    with place.terminal(1) as (terminal, config):
        for _ in range(int(effort.of(11, 3))):
            place.listener.first.clear()
            began = time.monotonic()
            with daemon(config):
                times.append(wait_for(lambda: place.listener.first.get(terminal.terminal_id)) - began)
    how = (
        f"from `posdiag run` until the broker has passed its first message, sent with QoS 1, to a subscriber; "
        f"modules byte-compiled, TLS handshake included; median of {len(times)}"
    )
    yield Figure("daemon.start", "start → first acknowledged message", statistics.median(times), "s", "≤ 0.30", how)
    yield Figure("daemon.start_most", "start → first acknowledged message, longest", max(times), "s")


class _Written:
    """When the simulated device's last byte went into its port."""

    def __init__(self, terminal: Terminal, unit: str) -> None:
        self.at = 0.0
        port = terminal._stations[unit]._port
        write = port.write

        def note(data: bytes) -> None:
            write(data)
            self.at = time.monotonic()

        port.write = note  # type: ignore[method-assign]


def _change(place: Ground, terminal: Terminal, key: str, value: str, told: tuple[str, str]) -> tuple[float, float]:
    """Set a key; when it was set, and when its fault message arrived."""
    place.listener.came.pop(told, None)
    began = time.monotonic()
    terminal.set({key: value})
    return began, wait_for(lambda: place.listener.came.get(told), 10)


def changes(keys: tuple[tuple[str, str, str, str], ...], rounds: int) -> Iterator[tuple[str, str, tuple[str, str]]]:
    for _ in range(rounds):
        for key, broken, whole, fault in keys:
            yield key, broken, (fault, "raised")
            yield key, whole, (fault, "cleared")


def _pushes(place: Ground, effort: Effort) -> Told:
    delays: list[float] = []
    number = late = 0
    while len(delays) < effort.of(500, 40):
        number += 1
        with place.terminal(number) as (terminal, config), daemon(config) as agent:
            agent.until_healthy()
            agent.until(lambda status: status["devices"]["printer"]["model"])
            rest(_ASKED_S)
            written = _Written(terminal, "printer")
            for key, value, told in changes(PUSHED, ROUNDS):
                try:
                    began, arrived = _change(place, terminal, key, value, told)
                except AssertionError:
                    late += 1
                    break  # what stands now is not what the next change assumes
                late += arrived - began > _LATE_S
                if arrived > written.at:  # else a poll's answer has come in since
                    delays.append((arrived - written.at) * 1000)
                rest(random.uniform(0.02, 0.15))
    delays.sort()
    how = (
        f"from the last byte of an automatic status packet at the printer's port to the fault at a subscriber, its row "
        f"durable in between; {len(delays)} changes, TLS to the broker; time on the wire is not in it; from {_ASKED_S:g} s "
        "after the printer first said who it is"
    )
    yield Figure("daemon.push", "port → durable → subscriber, median", statistics.median(delays), "ms", "≤ 2", how)
    yield Figure("daemon.push_p99", "port → durable → subscriber, p99", quantile(delays, 0.99), "ms", "≤ 10", how)
    yield Figure("daemon.push_most", "port → durable → subscriber, longest", delays[-1], "ms")
    how = f"the fault came more than {_LATE_S:g} s after the change, hence by a later poll, or not within ten seconds"
    yield Figure("daemon.push_late", "pushes that were not told when they came", late, "", "≤ 0", how)
    yield Series("push_ms", [round(delay, 3) for delay in delays])


def _polled(place: Ground, effort: Effort) -> Told:
    delays = []
    with place.terminal(1) as (terminal, config), daemon(config) as agent:
        agent.until_healthy()
        for key, value, told in changes(_POLLED, int(effort.of(ROUNDS, 1))):
            began, arrived = _change(place, terminal, key, value, told)
            delays.append(arrived - began)
            rest(random.uniform(0, 0.3))
    how = f"from the change inside the device to the fault at a subscriber, {len(delays)} changes, most of it the poll"
    yield Figure(
        "daemon.polled", "change in a device polled each 1 s → subscriber", statistics.median(delays), "s", "", how
    )
    yield Figure("daemon.polled_most", "change in a polled device → subscriber, longest", max(delays), "s")


_FLOOR = """
import socket, sqlite3, ssl, sys, threading
import paho.mqtt.client as paho, psutil, serial
client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
client.tls_set(*sys.argv[2:5])
client.connect("127.0.0.1", int(sys.argv[1]))
client.loop_start()
db = sqlite3.connect(":memory:")
ports = [serial.Serial(name, timeout=None) for name in sys.argv[5:]]
for port in ports:
    threading.Thread(target=port.read, daemon=True).start()
psutil.cpu_percent()
sys.stdin.read()
"""


def _at_rest(place: Ground, effort: Effort) -> Told:
    """Four devices polled each second, and a bare process with the same libraries for comparison."""
    lasts = effort.seconds(10, 0.3)
    with Meter(place.tls_port) as meter, place.terminal(1) as (terminal, config):
        text = config.read_text("utf-8").replace(f":{place.tls_port}", f":{meter.port}")
        config.write_text(field_intervals(text), "utf-8")
        with daemon(config) as agent:
            agent.until_healthy()
            watch = Watch({"posdiag": agent.pid}, min(_WARM_S, lasts / 4))
            before = meter.count()
            watch.through(lasts)
            tcp, headers = (now - then for now, then in zip(meter.count(), before, strict=True))
            yield from _cost(watch.cost("posdiag"), effort)
            how = f"counted by the proxy between daemon and broker over {watch.took_s:.0f} s, both ways, wired link"
            an_hour = (tcp + headers) / watch.took_s * 3600 / 1024
            yield Figure("rest.line", "on the line at rest, TLS and TCP/IP headers in", an_hour, "KiB/h", "", how)
            yield Series("rest", watch.series())
    with place.terminal(2) as (terminal, _):
        floor = _floor(place, terminal.terminal_id, [str(terminal.path(unit)) for unit in terminal.families])
    bare = "the same libraries imported, one TLS connection, four ports and a thread for each; does nothing"
    yield Figure("rest.floor", "PSS of a bare process with the same libraries", floor.pss / 1024, "MiB", "", bare)
    yield Figure("rest.floor_alone", "the bare process, were it the only Python", floor.alone / 1024, "MiB", "", bare)


def _cost(cost: Cost, effort: Effort) -> Told:
    how = (
        f"{cost.after_s:.0f} s after the start, four devices polled each second over serial lines, TLS on; "
        "smaps_rollup of the process and its children. The interpreter's pages are shared with the bench itself"
    )
    alone = "the same, interpreter and libraries that only the bench shares with it counted in full"
    yield Figure("rest.pss", "PSS at rest", cost.memory.pss / 1024, "MiB", "≤ 20", how)
    yield Figure("rest.alone", "PSS at rest, were it the only Python", cost.memory.alone / 1024, "MiB", "", alone)
    yield Figure("rest.private", "private memory at rest", cost.memory.private / 1024, "MiB")
    how = f"utime + stime of the daemon and its children over {cost.took_s:.0f} s, its start not included"
    yield Figure("rest.cpu", "CPU of one core at rest, four devices", cost.cpu_percent, "%", "≤ 0.15", how)
    how = f"write_bytes of /proc/PID/io over {cost.took_s:.0f} s, run_dir in memory, scaled to a day without faults"
    goal = "" if effort.quick else "≤ 20"
    yield Figure("rest.disk", "disk written at rest on a wired link", cost.written_day_mib, "MiB/day", goal, how)


def _floor(place: Ground, name: str, ports: list[str]) -> Memory:
    cert, key = place.authority.issue(name)
    words = [str(place.tls_port), str(place.authority.file), str(cert), str(key), *ports]
    with subprocess.Popen([sys.executable, *options(), "-P", "-c", _FLOOR, *words], stdin=subprocess.PIPE) as bare:
        rest(3)
        found = memory(bare.pid)
        assert bare.stdin is not None
        bare.stdin.close()
    return found
