"""The center as a whole, killed at random under load: no message or fault lost, nothing of a case done twice.

A simulated fleet with an outage of one operator speaks to `center run --role all` on SQLite, which gets SIGKILL again
and again, also while it starts; somebody at the desk writes notes meanwhile and sends again what was not answered.
`python -m tests.chaos.center` is the long form; exit status 1 when something was lost or doubled.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import httpx
from sqlalchemy import Connection, func, select

from center.access import audit
from center.db import feed
from center.db.engine import Database
from center.db.tables import (
    case_steps,
    case_waits,
    cases,
    events,
    faults,
    gaps,
    heartbeat,
    incidents,
    outbox,
    quarantine,
    results,
    telemetry,
)
from center.ingest.order import order
from simulator.fleet import Fleet, Options
from tests.chaos.bed import pause
from tests.mqtt.broker import Broker, Mosquitto, Observer, Rumqttd, free_port
from tests.wait import wait_until

ESTATE = "chaos"
QUEUED = {"event": events, "telemetry": telemetry, "result": results}
_POLICY = """
[open_s]
critical = 2
major = 2
minor = 2
merchant = 2
[watch_s]
critical = 3
major = 3
minor = 3
"""
_ONCE = ("opened", "fault_raised", "fault_cleared", "fault_flapping", "boot", "watching", "asking", "closed", "grouped")
"""Steps that say another thing each time, so that two alike are one that was done twice."""
_START_S = 240.0  # on a machine that others use, too


class Center:
    """`center run` in `folder`, for as long as it lives. A context manager."""

    def __init__(self, folder: Path, broker_port: int) -> None:
        self.folder = folder
        self.url = f"http://127.0.0.1:{free_port()}"
        self.deaths = 0
        self._log = folder / "center.log"
        (folder / "policy.toml").write_text(_POLICY)
        self._config = folder / "center.toml"
        self._config.write_text(
            f'mqtt = "mqtt://127.0.0.1:{broker_port}"\nhttp = "{self.url.removeprefix("http://")}"\nalone = true\n'
            f'estates = ["{ESTATE}"]\npolicy_file = "{folder / "policy.toml"}"\n'
        )
        self._environment = os.environ | {"POSDIAG_CENTER_DIR": str(folder)}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        try:
            self.wait()
        except AssertionError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "agent.cli", "center", *words, "--config", str(self._config)]

    def start(self) -> None:
        with self._log.open("ab") as log:
            words = self._command("run")
            self._process = subprocess.Popen(words, stdout=log, stderr=log, env=self._environment)

    def wait(self) -> None:
        """Until it answers."""
        wait_until(self._answers, _START_S, every_s=0.1)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"it ended by itself: {self._log.read_text()[-2000:]}"
        with suppress(httpx.HTTPError):
            return httpx.get(f"{self.url}/livez", timeout=2).status_code == 200
        return False

    def kill(self) -> None:
        """SIGKILL, and start again."""
        assert self._process is not None
        assert self._process.poll() is None, f"it ended by itself: {self._log.read_text()[-2000:]}"
        self._process.kill()
        self._process.wait()
        self.deaths += 1
        self.start()

    def token(self) -> str:
        """One that may do everything."""
        words = self._command("token", "--role", "admin", "--name", "chaos", "--json")
        done = subprocess.run(words, capture_output=True, check=True, env=self._environment)
        return str(json.loads(done.stdout)["token"])


class Desk:
    """Somebody who writes notes on cases, each until it is taken; and reads."""

    def __init__(self, center: Center, database: Database, chance: random.Random) -> None:
        self.written: set[str] = set()
        self._database = database
        self._chance = chance
        headers = {"authorization": f"Bearer {center.token()}"}
        self._client = httpx.Client(base_url=f"{center.url}/api/v1", headers=headers, timeout=10)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        self._client.close()

    def end(self) -> None:
        """Finish the note at hand."""
        self._ended.set()
        self._thread.join()

    def ask(self, method: str, path: str, body: object = None, key: str = "") -> int:
        """Until there is an answer; its status."""
        headers = {"idempotency-key": key} if key else {}
        while True:
            with suppress(httpx.HTTPError):
                status = self._client.request(method, path, json=body, headers=headers).status_code
                if status < 500 and status != 429:
                    return status
            pause(0.1)

    def _work(self) -> None:
        number = 0
        while not self._ended.wait(0.1):
            self.ask("GET", "cases?limit=5")
            with self._database.read() as connection:
                there = connection.execute(select(cases.c.id).where(cases.c.state != "closed")).scalars().all()
            if there:
                number += 1
                text = f"note {number}"
                if self.ask("POST", f"cases/{self._chance.choice(there)}/note", {"text": text}, f"n{number}") < 300:
                    self.written.add(text)


class Unbounded(Mosquitto):
    """As deploy/mosquitto has it: a second of ours away must not be more than it keeps for us."""

    more = "max_queued_messages 0\nmax_queued_bytes 0\nmax_inflight_messages 1000\n"


class Fight:
    """Broker, listener, fleet, center and desk. A context manager."""

    def __init__(self, folder: Path, seed: int, terminals: int, kind: type[Broker] = Rumqttd) -> None:
        self.folder = folder
        self.chance = random.Random(seed)
        self._terminals = terminals
        self._seed = seed
        self._broker = kind(folder)
        self._open = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as opened:
            self._broker.start()
            opened.callback(self._broker.kill)
            self._observer = opened.enter_context(Observer(self._broker.port))
            self.center = opened.enter_context(Center(self.folder, self._broker.port))
            self.database = Database(f"sqlite:///{self.folder / 'center.db'}")
            opened.callback(self.database.close)
            self.fleet = Fleet(
                Options(
                    url=f"mqtt://127.0.0.1:{self._broker.port}",
                    terminals=self._terminals,
                    estate=ESTATE,
                    seed=self._seed,
                    rate=60.0,
                    faults_per_hour=4.0,
                )
            )
            self.desk = Desk(self.center, self.database, self.chance)
            self.desk.ask("POST", "places/import", [asdict(place) for place in self.fleet.places])
            self.fleet.start()
            opened.callback(self.fleet.close)
            opened.enter_context(self.desk)
            self._open = opened.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def kills(self, times: int) -> None:
        """Kill it so often, once there are cases; in the middle of them an operator is down."""
        wait_until(lambda: self.desk.written, 120)
        for number in range(times):
            if number == times // 4:
                self.fleet.control.set({"operator.mobile": "down"})
            if number == times // 4 + max(1, times // 3):
                self.fleet.control.set({"operator.mobile": "up"})
            if self.chance.random() < 0.75:
                self.center.wait()
            pause(self.chance.uniform(0.1, 2.5))
            self.center.kill()
        self.center.wait()

    def settle(self, limit_s: float, *, gaps_too: bool = True) -> None:
        """Let the fleet come to rest; then all must be there, and once."""
        self.fleet.control.set({"operator.mobile": "up", "fleet.faults_per_hour": "0"})
        wait_until(lambda: self.fleet.tell()["waiting"] == 0 or None, limit_s)
        self.desk.end()
        self._wait_for_rest(limit_s, gaps_too=gaps_too)
        doubled = list(self._doubled())
        assert not doubled, "; ".join(doubled)

    def _wait_for_rest(self, limit_s: float, *, gaps_too: bool) -> None:
        end = time.monotonic() + limit_s
        while problems := [*self._lost(), *(self._gaps() if gaps_too else ())]:
            assert time.monotonic() < end, "; ".join(problems)
            pause(0.5)

    # --- what must hold

    def _heard(self) -> dict[str, set[tuple[str, int, int]]]:
        found: dict[str, set[tuple[str, int, int]]] = {name: set() for name in QUEUED}
        for heard in list(self._observer.heard):
            _pos, _version, _estate, terminal, kind, *_rest = (*heard.topic.split("/"), "", "")
            if kind in found and isinstance(heard.body, dict):
                found[kind].add((terminal, heard.body["boot"], heard.body["seq"]))
        return found

    def _lost(self) -> Iterator[str]:
        """What the broker handed out and the center has not, or has not worked on."""
        with self.database.read() as connection:
            yield from self._lost_messages(connection)
            yield from self._lost_faults(connection)
            yield from self._lost_work(connection)

    def _lost_messages(self, connection: Connection) -> Iterator[str]:
        heard = self._heard()
        for name, table in QUEUED.items():
            stored = {tuple(row) for row in connection.execute(select(table.c.terminal, table.c.boot, table.c.seq))}
            if missing := heard[name] - stored:
                yield f"{len(missing)} of {len(heard[name])} {name} messages, such as {min(missing)}"

    def _lost_faults(self, connection: Connection) -> Iterator[str]:
        """The last word on each fault is what the center has, unless a digest told it something newer."""
        stored = {(row.terminal, row.fault): row for row in connection.execute(select(faults))}
        last: dict[tuple[str, str], tuple[str, str]] = {}
        for each in list(self._observer.heard):
            _pos, _version, _estate, terminal, kind, *rest = each.topic.split("/")
            if kind == "fault" and isinstance(each.body, dict):
                told = (order(each.body["boot"], each.body["up_ms"]), each.body["state"])
                last[terminal, "/".join(rest)] = max(told, last.get((terminal, "/".join(rest)), told))
        wrong = [
            key
            for key, (version, state) in last.items()
            if key not in stored or (stored[key].version, stored[key].state) < (version, state)
        ]
        if wrong:
            yield f"{len(wrong)} of {len(last)} faults, such as {wrong[0]}"

    def _lost_work(self, connection: Connection) -> Iterator[str]:
        head = feed.head(connection)
        for row in connection.execute(select(heartbeat)):
            if set(row.data or ()) == {"id"} and row.data["id"] < head:
                yield f"{row.name} stands at {row.data['id']} of {head}"
        late = case_waits.c.due_ms < time.time() * 1000 - 5000
        if n := connection.execute(select(func.count()).select_from(case_waits).where(late)).scalar():
            yield f"{n} cases that should be open"
        notes = select(case_steps.c.text).where(case_steps.c.kind == "note")
        if unwritten := self.desk.written - set(connection.execute(notes).scalars()):
            yield f"{len(unwritten)} notes that were answered with yes"
        aside = connection.execute(select(quarantine.c.topic, quarantine.c.why).limit(3)).all()
        if aside:
            yield f"put aside: {aside}"

    def _gaps(self) -> Iterator[str]:
        with self.database.read() as connection:
            if n := connection.execute(select(func.count()).where(gaps.c.closed_ms.is_(None))).scalar():
                yield f"{n} gaps"

    def _doubled(self) -> Iterator[str]:
        with self.database.read() as connection:
            rows = connection.execute(select(cases)).mappings().all()
            steps = connection.execute(select(case_steps)).mappings().all()
            groups = connection.execute(select(incidents)).mappings().all()
            payloads = connection.execute(select(outbox.c.payload).where(outbox.c.kind == "notify")).scalars().all()
            chain = audit.verify(connection)
        yield from _twice("case numbers", (row["number"] for row in rows))
        open_now = [row for row in rows if row["state"] != "closed" and row["kind"] == "fault"]
        yield from _twice("open cases of", ((r["terminal"], r["fault"], r["incident_id"]) for r in open_now))
        told = (
            (step["case_id"], step["kind"], json.dumps(step["data"], sort_keys=True))
            for step in steps
            if step["kind"] in _ONCE
        )
        yield from _twice("steps", told)
        yield from _twice("notes", (step["text"] for step in steps if step["kind"] == "note"))
        opened = Counter(step["case_id"] for step in steps if step["kind"] == "opened")
        yield from (f"case {row['id']} was opened {opened[row['id']]} times" for row in rows if opened[row["id"]] != 1)
        yield from _twice("posts", (p["case_id"] for p in payloads if p["event"] == "case.opened"))
        standing = [row for row in groups if row["state"] != "resolved" and row["parent_id"] is None]
        yield from _twice("incidents", ((r["scope"], r["scope_key"], r["family"], r["fault"]) for r in standing))
        if chain.broken_id is not None or not chain.rows:
            yield f"the chain of the audit is broken at {chain.broken_id} of {chain.rows}"

    def figures(self) -> str:
        """What it was about."""
        with self.database.read() as connection:
            counts = {
                table.name: connection.execute(select(func.count()).select_from(table)).scalar()
                for table in (events, telemetry, faults, incidents, cases, case_steps)
            }
        told: dict[str, Any] = {**counts, "notes": len(self.desk.written)}
        return ", ".join(f"{n} {name}" for name, n in told.items())


def _twice(what: str, found: Iterator[Any]) -> Iterator[str]:
    again = [each for each, n in Counter(found).items() if n > 1]
    if again:
        yield f"{len(again)} {what} twice, such as {again[0]}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.center", description=__doc__)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--terminals", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--broker", choices=("rumqttd", "mosquitto"), default="rumqttd")
    args = parser.parse_args()
    kind = Unbounded if args.broker == "mosquitto" else Rumqttd
    with tempfile.TemporaryDirectory(prefix="posdiag-center-") as folder:
        began = time.monotonic()
        with Fight(Path(folder), args.seed, args.terminals, kind) as fight:
            verdict = "nothing lost, nothing doubled"
            try:
                fight.kills(args.times)
                fight.settle(180)
            except AssertionError as error:
                verdict = f"FAILED: {error}"
            print(f"{fight.center.deaths} deaths, {fight.figures()}, {time.monotonic() - began:.0f} s: {verdict}")
    return int(verdict.startswith("FAILED"))


if __name__ == "__main__":
    sys.exit(main())
