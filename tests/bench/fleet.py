"""What a fleet of 1,000 and of 10,000 live connections costs the machine, and how it comes back when a broker dies.

The broker is Mosquitto where it is installed, else the embedded one. Nobody subscribes: the terminals alone are
measured, and the broker beside them.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

import psutil
from sqlalchemy import Table, func, select
from sqlalchemy.exc import DBAPIError

from center.db.engine import Database
from center.db.tables import events, heartbeat, results, telemetry
from simulator import broker as embedded
from tests.bench.figure import Effort, Figure, Told
from tests.bench.ground import scratch
from tests.mqtt.broker import Mosquitto
from tests.wait import wait_until

_SIZES: Final = {1_000: 20.0, 10_000: 5.0}
"""How many terminals, and how fast their time runs in the second measurement, that of many messages."""
_CONNECTS_PER_S: Final = 500
_STEADY_S: Final = 30.0


class _Broker:
    """One that can be killed and started again on its port."""

    def __init__(self, folder: Path) -> None:
        self.port = embedded.free_port()
        self._folder = folder
        self.name = "Mosquitto" if Mosquitto.installed() else "rumqttd"
        self._mosquitto = Mosquitto(folder)
        self._mosquitto.port = self.port
        self._process: subprocess.Popen[bytes] | None = None

    def take_all(self) -> None:
        """Keep whatever waits for somebody, however much; the embedded one does."""
        self._mosquitto.more = "max_inflight_messages 0\nmax_queued_messages 0\n"

    def start(self) -> None:
        if self.name == "Mosquitto":
            self._mosquitto.start()
            self._process = self._mosquitto._process
        else:
            self._process = embedded.start(self._folder, self.port, self._folder / "broker.log")
            wait_until(lambda: embedded.free_port(self.port) != self.port, 15)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid


class _Fleet:
    """`posdiag sim fleet` as a process; `figures` is its latest line."""

    def __init__(self, port: int, terminals: int, rate: float) -> None:
        words = ["sim", "fleet", "--mqtt", f"mqtt://127.0.0.1:{port}", "--terminals", str(terminals), "--json"]
        words += ["--rate", str(rate), "--faults-per-hour", "0.2", "--connects-per-s", str(_CONNECTS_PER_S)]
        self.figures: dict[str, Any] = {}
        self._process = subprocess.Popen([sys.executable, "-m", "agent.cli", *words], stdout=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.pid = self._process.pid

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self.figures = json.loads(line)

    def close(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(60)
        self._reader.join()


def run(effort: Effort) -> Told:
    """All figures; about six minutes, and with little effort those of 1,000 alone."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # the broker inherits it
    for size, fast in list(_SIZES.items())[: int(effort.of(2, 1))]:
        with _running(size, 1.0) as (broker, fleet):
            yield from _steady(size, broker, fleet, effort.of(_STEADY_S, 10), 1.0)
            yield from _storm(size, broker, fleet)
        with _running(size, fast) as (broker, fleet):
            yield from _steady(size, broker, fleet, effort.of(_STEADY_S, 10), fast)
        yield from _accounted(size, fast, effort.of(_STEADY_S, 10))


@contextmanager
def _running(size: int, rate: float) -> Iterator[tuple[_Broker, _Fleet]]:
    with scratch() as folder:
        broker = _Broker(folder)
        broker.start()
        fleet = _Fleet(broker.port, size, rate)
        try:
            wait_until(lambda: fleet.figures.get("connected", 0) >= size * 0.98, size / _CONNECTS_PER_S * 5 + 30)
            yield broker, fleet
        finally:
            fleet.close()
            broker.kill()


def _steady(size: int, broker: _Broker, fleet: _Fleet, seconds: float, rate: float) -> Iterator[Figure]:
    """Costs over a while in which nothing is asked of them."""
    pause = threading.Event()
    pause.wait(20)  # inventories and first health have gone out
    ours, theirs = psutil.Process(fleet.pid), psutil.Process(broker.pid)
    used, served, sent, began = _cpu(ours), _cpu(theirs), fleet.figures["acknowledged"], time.monotonic()
    pause.wait(seconds)
    took = time.monotonic() - began
    messages = fleet.figures["acknowledged"] - sent
    how = f"{seconds:.0f} s of `sim fleet --rate {rate:g}`, {broker.name}"
    name = f"fleet.{size}" if rate == 1 else f"fleet.{size}.x{rate:.0f}"
    yield Figure(f"{name}.connected", f"{size:,} terminals: connected", fleet.figures["connected"], "", "", how)
    yield Figure(f"{name}.rate", "  acknowledged messages", messages / took, "msg/s", "", how)
    yield Figure(f"{name}.cpu", "  processor, of one core", 100 * (_cpu(ours) - used) / took, "%", "", how)
    yield Figure(f"{name}.rss", "  memory", ours.memory_info().rss / 2**20, "MiB", "", how)
    yield Figure(f"{name}.broker", "  the broker's processor", 100 * (_cpu(theirs) - served) / took, "%", "", how)


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _storm(size: int, broker: _Broker, fleet: _Fleet) -> Iterator[Figure]:
    """The broker is killed and comes back at once; all terminals come back with it, each after its own jitter."""
    broker.kill()
    wait_until(lambda: fleet.figures["connected"] == 0, 30)
    broker.start()
    began = time.monotonic()
    wait_until(lambda: fleet.figures["connected"] >= size * 0.98, 180)
    took = time.monotonic() - began
    wait_until(lambda: fleet.figures["waiting"] <= size * 0.02, 120)
    how = f"the broker was killed; until 98 % were back, {broker.name}"
    yield Figure(f"fleet.{size}.storm", "  back after the broker died", took, "s", "", how)
    yield Figure(f"fleet.{size}.drained", "  and all that waited is out", time.monotonic() - began, "s", "", how)


# --- nothing lost, nothing doubled ------------------------------------------------------------------------------------


def _accounted(size: int, rate: float, seconds: float) -> Iterator[Figure]:
    """Two workers share what a fleet says, one is killed while it connects, and `center audit` listens beside them."""
    with scratch() as folder, contextlib.ExitStack() as stack:
        broker = _Broker(folder)
        broker.take_all()
        broker.start()
        stack.callback(broker.kill)
        url = f"sqlite:///{folder}/center.db"
        workers = [_center(stack, folder, "run", "--role", "ingest", "--db", url, port=broker.port) for _ in range(2)]
        database = stack.enter_context(contextlib.closing(Database(url)))
        wait_until(lambda: _listening(database) == 2, 60)
        report = folder / "report.json"
        with report.open("wb") as out:
            audit = _center(stack, folder, "audit", "--json", "--from-start", port=broker.port, out=out)
        wait_until(lambda: "listening" in (folder / "audit.log").read_text(), 30)
        fleet = _Fleet(broker.port, size, rate)
        try:
            wait_until(lambda: fleet.figures.get("connected", 0) >= size / 2, size / _CONNECTS_PER_S * 5 + 30)
            workers[0].kill()
            workers[0].wait()
            wait_until(lambda: fleet.figures["connected"] >= size * 0.98, size / _CONNECTS_PER_S * 5 + 30)
            _center(stack, folder, "run", "--role", "ingest", "--db", url, port=broker.port)
            threading.Event().wait(seconds)
        finally:
            fleet.close()
        _until_quiet(database)
        audit.send_signal(signal.SIGINT)
        audit.wait(300)
        told = json.loads(report.read_bytes())
        streams = [stream for each in told["terminals"].values() for stream in each["streams"]]
        holes = sum(last - first + 1 for stream in streams for first, last in stream["missing"])
        heard = Counter[str]()
        for stream in streams:
            heard[stream["class"]] += stream["arrived"]
        stored = {name: _stored(database, table) for name, table in _QUEUED.items()}
    assert min(heard["event"], heard["telemetry"]) >= size, heard
    lost = sum(max(0, heard[name] - once) for name, (_, once) in stored.items())
    doubled = sum(rows - once for rows, once in stored.values())
    how = (
        f"{sum(heard.values()):,} events, telemetry batches and results of `sim fleet --rate {rate:g}`; two workers on a "
        f"shared subscription at {broker.name} into one SQLite, one killed while the fleet connected, and started again"
    )
    name = f"fleet.{size}.audit"
    yield Figure(f"{name}.holes", f"{size:,} terminals: holes that `center audit` found", holes, "", "≤ 0", how)
    yield Figure(f"{name}.lost", "  heard by the audit, and not stored", lost, "", "≤ 0", how)
    yield Figure(f"{name}.doubled", "  stored twice", doubled, "", "≤ 0", how)


_QUEUED: Final = {"event": events, "telemetry": telemetry, "result": results}


def _center(
    stack: contextlib.ExitStack, folder: Path, verb: str, *words: str, port: int, out: IO[bytes] | None = None
) -> subprocess.Popen[bytes]:
    """A process of the center, ended with the stack; its words go to a file of its verb."""
    command = [sys.executable, "-m", "agent.cli", "center", verb, "--mqtt", f"mqtt://127.0.0.1:{port}", *words]
    with (folder / f"{verb}.log").open("ab") as log:
        env = os.environ | {"POSDIAG_CENTER_DIR": str(folder / "state")}
        process = subprocess.Popen(command, stdout=out or subprocess.DEVNULL, stderr=log, env=env)
    stack.callback(process.wait)
    stack.callback(process.kill)
    return process


def _listening(database: Database) -> int:
    workers = select(heartbeat.c.data).where(heartbeat.c.name.startswith("ingest-"))
    try:
        with database.read() as connection:
            return sum(row.get("state") == "listening" for row in connection.execute(workers).scalars())
    except DBAPIError:  # the first of them is still making its tables
        return 0


def _stored(database: Database, table: Table) -> tuple[int, int]:
    """Rows, and how many different messages they are."""
    with database.read() as connection:
        key = select(*(table.c[name] for name in ("estate", "terminal", "boot", "seq"))).distinct().subquery()
        rows = connection.execute(select(func.count()).select_from(table)).scalar_one()
        return rows, connection.execute(select(func.count()).select_from(key)).scalar_one()


def _until_quiet(database: Database) -> None:
    """Until nothing more has been stored for ten seconds."""
    pause, before = threading.Event(), -1
    while before != (now := sum(_stored(database, table)[0] for table in _QUEUED.values())):
        before = now
        pause.wait(10)
