"""The daemon as a process: how soon it tells, how soon it starts, what it costs at rest. Plain MQTT on loopback."""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from simulator.terminal import Terminal
from tests.mqtt.broker import Rumqttd
from tests.mqtt.meter import Meter
from tests.system.stage import Agent
from tests.wait import wait_until

Figure = tuple[str, float, str, str]
"""What, how much, its unit, and the goal in words ("" for none)."""

_PUSHES = 300
_STARTS = 7
_WARM_S = 15
_REST_S = 60

# Key, value that breaks, value that heals, fault. More than six changes of one fault in two minutes would be flapping.
_PUSHED = (
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
_ROUNDS = 3


class Listener:
    """A subscriber that notes when what arrived."""

    def __init__(self, port: int) -> None:
        self.came: dict[tuple[str, str], float] = {}
        self.first: dict[str, float] = {}
        self._ready = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        self._client.on_connect = lambda client, *_: client.subscribe("pos/#", qos=1)
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_message = self._hear
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert self._ready.wait(10)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _hear(self, _client: object, _userdata: object, message: paho.MQTTMessage) -> None:
        now = time.monotonic()
        terminal, _, rest = message.topic.removeprefix("pos/1/demo/").partition("/")
        self.first.setdefault(terminal, now)
        if rest.startswith("fault/"):
            self.came[rest.removeprefix("fault/"), json.loads(message.payload)["state"]] = now


@contextmanager
def _stage(folder: Path) -> Iterator[tuple[Rumqttd, Listener]]:
    broker = Rumqttd(folder)
    broker.start()
    listener = Listener(broker.port)
    try:
        yield broker, listener
    finally:
        listener.close()
        broker.kill()


@contextmanager
def _terminal(folder: Path, broker: Rumqttd, number: int) -> Iterator[tuple[Terminal, Path]]:
    url = f"mqtt://127.0.0.1:{broker.port}"
    with Terminal(folder / f"pos{number}", seed=number, mqtt=url) as terminal:
        (terminal.folder / "proc" / "stat").unlink()  # the load of this machine is no fault of the terminal
        config = terminal.folder / "agent.toml"
        yield terminal, config


class Written:
    """When the simulated device's last byte went into its port."""

    def __init__(self, terminal: Terminal, unit: str) -> None:
        self.at = 0.0
        port = terminal._stations[unit]._port
        write = port.write

        def note(data: bytes) -> None:
            write(data)
            self.at = time.monotonic()

        port.write = note  # type: ignore[method-assign]


def _change(terminal: Terminal, listener: Listener, key: str, value: str, told: tuple[str, str]) -> tuple[float, float]:
    """Set a key; when it was set, and when its fault message arrived."""
    listener.came.pop(told, None)
    began = time.monotonic()
    terminal.set({key: value})
    return began, wait_until(lambda: listener.came.get(told), 10, every_s=0.002)


def pushes(folder: Path) -> list[Figure]:
    """From the last byte of an automatic status packet at the port to the fault at the subscriber."""
    delays: list[float] = []
    with _stage(folder) as (broker, listener):
        for number in range(1, 100):
            if len(delays) >= _PUSHES:
                break
            with _terminal(folder, broker, number) as (terminal, config), Agent(config) as agent:
                agent.until_healthy()
                agent.until(lambda status: all(device["model"] for device in status["devices"].values()))
                written = Written(terminal, "printer")
                for _ in range(_ROUNDS):
                    for key, broken, whole, fault in _PUSHED:
                        for value, state in ((broken, "raised"), (whole, "cleared")):
                            _, arrived = _change(terminal, listener, key, value, (fault, state))
                            if arrived > written.at:  # else a poll's answer has come in since
                                delays.append((arrived - written.at) * 1000)
                            _rest(random.uniform(0.02, 0.15))
    delays.sort()
    return [
        (
            f"push at the port → fault at a subscriber, median of {len(delays)}",
            statistics.median(delays),
            "ms",
            "≤ 2 (5)",
        ),
        ("the same, p99", delays[int(len(delays) * 0.99) - 1], "ms", "≤ 10 (20)"),
        ("the same, most", delays[-1], "ms", ""),
    ]


def polled(folder: Path) -> list[Figure]:
    """From the change inside a polled device to the fault at the subscriber; the poll interval is in it."""
    delays = []
    with (
        _stage(folder) as (broker, listener),
        _terminal(folder, broker, 1) as (terminal, config),
        Agent(config) as agent,
    ):
        agent.until_healthy()
        for _ in range(_ROUNDS):
            for key, broken, whole, fault in _POLLED:
                for value, state in ((broken, "raised"), (whole, "cleared")):
                    began, arrived = _change(terminal, listener, key, value, (fault, state))
                    delays.append(arrived - began)
                    _rest(random.uniform(0, 0.3))
    delays.sort()
    return [
        (
            f"change in a device polled each 1 s → subscriber, median of {len(delays)}",
            statistics.median(delays),
            "s",
            "",
        ),
        ("the same, most", delays[-1], "s", "poll interval + 0.02"),
    ]


def start(folder: Path) -> list[Figure]:
    """From `posdiag run` to its first message at a subscriber; a new and a known state directory alike."""
    times = []
    with _stage(folder) as (broker, listener), _terminal(folder, broker, 1) as (terminal, config):
        for _ in range(_STARTS):
            listener.first.clear()
            began = time.monotonic()
            with Agent(config):
                times.append(wait_until(lambda: listener.first.get(terminal.terminal_id), 20, every_s=0.002) - began)
    return [
        (f"`posdiag run` → first message, median of {_STARTS}", statistics.median(times), "s", "≤ 0.30 (0.6)"),
        ("the same, most", max(times), "s", ""),
    ]


_FLOOR = """
import socket, sqlite3, ssl, sys, threading
import paho.mqtt.client as paho, psutil, serial
client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
client.connect("127.0.0.1", int(sys.argv[1]))
client.loop_start()
db = sqlite3.connect(":memory:")
ports = [serial.Serial(name, timeout=None) for name in sys.argv[2:]]
for port in ports:
    threading.Thread(target=port.read, daemon=True).start()
psutil.cpu_percent()
sys.stdin.read()
"""


def rest(folder: Path) -> list[Figure]:
    """Memory, processor and bytes with four devices polled each second, beside a bare process of the same libraries."""
    with _stage(folder) as (broker, _), Meter(broker.port) as meter:
        with _terminal(folder, broker, 1) as (_, config):
            text = config.read_text().replace(f":{broker.port}", f":{meter.port}")
            # The simulator's configuration looks at network and system more often than a terminal in the field does.
            config.write_text("".join(line for line in text.splitlines(True) if not line.startswith("poll_s")))
            with Agent(config) as agent:
                agent.until_healthy()
                _rest(_WARM_S)
                used, crossed, began = _used_s(agent.pid), meter.count(), time.monotonic()
                _rest(_REST_S)
                took = time.monotonic() - began
                cpu = 100 * (_used_s(agent.pid) - used) / took
                memory = _memory(agent.pid)
                tcp, headers = (now - then for now, then in zip(meter.count(), crossed, strict=True))
        with _terminal(folder, broker, 2) as (terminal, _):
            floor = _floor(broker.port, [str(terminal.path(unit)) for unit in ("printer", "reader", "modem", "keypad")])
    an_hour = 3600 / took / 1024
    return [
        (f"PSS at rest, after {_WARM_S + _REST_S} s", memory["Pss"] / 1024, "MiB", "≤ 20"),
        ("of it private", (memory["Private_Clean"] + memory["Private_Dirty"]) / 1024, "MiB", ""),
        ("PSS of a bare process with the same libraries", floor["Pss"] / 1024, "MiB", ""),
        (f"processor at rest, over {took:.0f} s", cpu, "% of a core", "≤ 0.15"),
        ("TCP payload at rest, both ways", tcp * an_hour, "KiB/h", ""),
        ("with TCP/IP headers", (tcp + headers) * an_hour, "KiB/h", ""),
    ]


def _floor(port: int, names: list[str]) -> dict[str, int]:
    command = [sys.executable, "-P", "-c", _FLOOR, str(port), *names]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as bare:
        _rest(3)
        memory = _memory(bare.pid)
        assert bare.stdin is not None
        bare.stdin.close()
    return memory


def _used_s(pid: int) -> float:
    """Seconds of processor time, to the nanosecond, of all threads that live."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def _memory(pid: int) -> dict[str, int]:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    return {line.partition(":")[0]: int(line.split()[1]) for line in lines}


def _rest(seconds: float) -> None:
    end = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() >= end, seconds + 5, every_s=min(0.2, seconds))


def figures() -> list[Figure]:
    """All figures; about four minutes."""
    out: list[Figure] = []
    parts: tuple[Callable[[Path], list[Figure]], ...] = (start, pushes, polled, rest)
    for part in parts:
        with tempfile.TemporaryDirectory(prefix="posdiag-bench-") as folder:
            out += part(Path(folder))
    return out
