"""From a fault at a simulated port to those who have a page open: terminal, daemon, broker and center as processes.

Goals: what a page hears of a fault comes in 300 ms in the median, and in a second in 95 of 100 cases.
"""

from __future__ import annotations

import json
import random
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import httpx

from center.access.credentials import issue_token
from center.access.scope import EVERYTHING
from center.db.engine import Database
from center.db.migrate import migrate
from simulator.terminal import Terminal
from tests.bench.daemon import PUSHED, ROUNDS, changes
from tests.bench.figure import Effort, Figure, Told, quantile, rest
from tests.bench.ground import Ground, ground, wait_for
from tests.bench.process import cpu_s
from tests.center.postgres import PROGRAMS, Postgres
from tests.mqtt.broker import free_port
from tests.system.stage import Agent, Process
from tests.wait import wait_until

_KINDS = ("fault", "incident")
_LATE_S = 10.0
_IDLE_S = 30.0


def run(effort: Effort) -> Told:
    """Figures of one process with everything, and of a process for each role; about four minutes."""
    count = int(effort.of(100, 20))
    with ground() as place:
        yield from _figures(place, f"sqlite:///{place.folder}/one.db", ("all",), "one process, SQLite", count, effort)
    with ground() as place:
        roles = ("ingest", "web")
        yield from _figures(place, f"sqlite:///{place.folder}/two.db", roles, "two processes, SQLite", count, effort)
    if not PROGRAMS:
        yield Figure("latency.postgresql", "fault → page over PostgreSQL", None, how="PostgreSQL is not installed")
        return
    server = Postgres(durable=True)
    try:
        with ground() as place:
            url = server.url(server.create())
            yield from _figures(place, url, roles, "two processes, PostgreSQL", count, effort)
    finally:
        server.stop()


class _Page:
    """Listens to the stream as an open page does; `first` is when each kind of change came since it was cleared."""

    def __init__(self, address: str, token: str) -> None:
        self.first: dict[str, float] = {}
        self._client = httpx.Client(base_url=address, timeout=60, headers={"authorization": f"Bearer {token}"})
        self._open = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()
        assert self._open.wait(30)

    def _listen(self) -> None:
        with suppress(httpx.HTTPError), self._client.stream("GET", "/api/v1/stream") as answer:  # until the center ends
            for line in answer.iter_lines():
                self._open.set()
                if line.startswith("data: "):
                    self.first.setdefault(json.loads(line.removeprefix("data: "))["kind"], time.monotonic())


@contextmanager
def _center(place: Ground, url: str, roles: tuple[str, ...]) -> Iterator[tuple[list[Process], _Page]]:
    database = Database(url)
    migrate(database)
    with database.begin() as connection:
        token = issue_token(connection, "viewer", int(time.time() * 1000), scope=EVERYTHING, name="page")[1]
    database.close()
    config = place.folder / "center.toml"
    address = f"127.0.0.1:{free_port()}"
    settings = {"db": url, "mqtt": f"mqtt://127.0.0.1:{place.broker.port}", "http": address, "group": "bench"}
    config.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items()), "utf-8")
    with ExitStack() as stack:
        running = []
        for role in roles:
            words = ("center", "run", "--config", str(config), "--role", role)
            running.append(stack.enter_context(Process(place.folder / f"center-{role}.log", *words)))
        wait_until(lambda: "listening at" in running[-1].said(), 60)
        wait_until(lambda: "listening as" in running[0].said(), 60)
        yield running, _Page(f"http://{address}", token)


def _figures(place: Ground, url: str, roles: tuple[str, ...], name: str, count: int, effort: Effort) -> Told:
    delays: dict[str, list[float]] = {kind: [] for kind in _KINDS}
    lost = 0
    with _center(place, url, roles) as (running, page):
        number = 0
        while len(delays["fault"]) < count:
            number += 1
            with place.terminal(number) as (terminal, config), Agent(config) as agent:
                agent.until_healthy()
                agent.until(lambda status: status["devices"]["printer"]["model"])
                try:
                    _measure(terminal, page, delays, count)
                except AssertionError:
                    lost += 1  # what stands now is not what the next change assumes: another terminal goes on
        rest(5)
        used, began, seconds = sum(map(_cpu, running)), time.monotonic(), effort.of(_IDLE_S, 10)
        rest(seconds)
        idle = 100 * (sum(map(_cpu, running)) - used) / (time.monotonic() - began)
    key = f"latency.{'one' if len(roles) == 1 else 'two'}.{url.partition(':')[0]}"
    how = (
        f"{name}; from the change inside of the simulated printer to the event at a listener of the stream, line at its "
        f"real speed, TLS to the broker, durable in daemon and center; {count} changes"
    )
    for kind in _KINDS:
        some = sorted(delays[kind])
        what = f"{kind} at the port → page, {name}"
        yield Figure(f"{key}.{kind}", f"{what}, median", statistics.median(some), "ms", "≤ 300", how)
        yield Figure(f"{key}.{kind}_p95", f"{what}, p95", quantile(some, 0.95), "ms", "≤ 1,000", how)
    yield Figure(f"{key}.lost", f"changes of which no page heard in {_LATE_S:g} s, {name}", lost, "", "≤ 0", how)
    how = f"{name}; utime + stime over {seconds:.0f} s in which no terminal says anything, one page open"
    yield Figure(f"{key}.idle", f"center at rest, {name}: CPU of one core", idle, "%", "", how)


def _measure(terminal: Terminal, page: _Page, delays: dict[str, list[float]], count: int) -> None:
    for key, value, _told in changes(PUSHED, ROUNDS):
        if len(delays["fault"]) >= count:
            return
        rest(0.5)  # what the change before has caused has come
        rest(random.uniform(0.01, 0.2))  # and nothing that looks at times is in step with what follows
        page.first.clear()
        began = time.monotonic()
        terminal.set({key: value})
        for kind in _KINDS:
            came = wait_for(lambda kind=kind: page.first.get(kind), _LATE_S)  # type: ignore[misc]  # a default argument
            delays[kind].append((came - began) * 1000)


def _cpu(process: Process) -> float:
    return cpu_s(process.pid)


if __name__ == "__main__":
    for told in run(Effort()):
        if isinstance(told, Figure):
            print(f"{told.what:70} {told.shown:>12}  {told.goal}{'  MISSED' if told.misses else ''}", flush=True)
