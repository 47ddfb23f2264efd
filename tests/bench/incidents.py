"""An operator's outage among 100,000 terminals: 20,000 wills and as many faults in a minute, to become one incident.

The messages go through the ingest's reader and writer; the engines follow second by second, as they do in the center.
Goals: one incident, no fault lost, no second of the outage takes the engines more than a second, and each question
about it is answered in 200 ms.
"""

from __future__ import annotations

import random
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from center.access.limits import Rate
from center.db.engine import Database, bulk_insert
from center.db.migrate import migrate
from center.db.tables import incident_members, incidents, outages, places, terminals
from center.domain.incidents import Incidents
from center.domain.outages import Outages
from center.ingest.batch import Batch
from center.ingest.reader import Reader
from center.ingest.writer import Writer
from tests.bench.api import timed
from tests.bench.figure import Effort, Figure, Series, Told, quantile
from tests.center import said
from tests.center.asking import asking

_OPERATORS = 5
_SECONDS = 60
_CELL, _SITE, _DISTRICT = 200, 3, 400
_ASKED = (
    *("queue?limit=200", "queue?ids={}", "queue?parent={}", "incidents/{}", "incidents/{}/sheet"),
    *("incidents/{}/affected", "incidents/{}/members", "incidents/{}/operator-text", "incidents/{}/owners"),
    *("overview", "overview/shares?by=operator", "overview/map", "faults", "terminals?freshness=offline"),
)


def run(effort: Effort) -> Told:
    """Figures for SQLite; with `effort.quick` a tenth of the fleet."""
    fleet = int(effort.of(100_000, 10_000))
    with tempfile.TemporaryDirectory() as directory:
        database = Database(f"sqlite:///{Path(directory) / 'center.db'}")
        migrate(database)
        _seed(database, fleet)
        yield from _outage(database, fleet)
        database.close()


def _place(number: int) -> dict[str, Any]:
    site = number // _SITE
    operator = f"op{site % _OPERATORS}"
    return {
        "site": f"s{site}",
        "operator": operator,
        "cell": f"{operator}-{number // (_CELL * _OPERATORS)}",
        "region": f"r{number // 5000}",
        "power_district": f"d{number // _DISTRICT}",
        "host": f"h{number % 3}",
    }


def _seed(database: Database, fleet: int) -> None:
    rows = [{"estate": "e", "terminal": f"t{number:06}", **_place(number)} for number in range(fleet)]
    with database.begin() as connection:
        bulk_insert(connection, places, [row | {"updated_ms": 1} for row in rows])
        state = {"status": "online", "can_sell": "yes", "conn": 1, "boot": 1, "last_contact_ms": said.AT_MS}
        # Versions as the ingest makes them order nothing here: the first message of each terminal is newer than "".
        bulk_insert(
            connection,
            terminals,
            [row | state | {"model": f"m{hash(row['site']) % 7}", "firmware": "1.0", "created_ms": 1} for row in rows],
        )


def _outage(database: Database, fleet: int) -> Told:
    lost = [f"t{number:06}" for number in range(fleet) if _place(number)["operator"] == "op1"]
    random.Random(5).shuffle(lost)
    engines = [Outages(database), Incidents(database)]
    began = time.monotonic()
    for engine in engines:
        engine.step(said.AT_MS)
    started = time.monotonic() - began
    reader, writer = Reader(), Writer(database)
    took: list[tuple[float, float]] = []
    now_ms = said.AT_MS
    for second in range(_SECONDS):
        now_ms = said.AT_MS + 1000 * (second + 1)
        batch = Batch()
        for name in lost[second::_SECONDS]:
            for topic, payload in _messages():
                batch.add(reader, f"pos/1/e/{name}/{topic}", payload, retained=False, now_ms=now_ms)
        writer.write(batch, lambda now=now_ms: now)  # type: ignore[misc]  # a default argument
        took.append(_follow(engines, now_ms))
    # What waits is opened, and what was judged is judged again.
    took += [_follow(engines, now_ms + 1000 * after) for after in range(10, 121, 10)]
    writer.close()
    yield from _figures(database, len(lost), started, took)
    yield from _asked(database, now_ms)


def _messages() -> Iterator[tuple[str, bytes]]:
    yield "fault/modem/no_data", said.fault("modem/no_data")
    yield "state", said.will()


def _follow(engines: list[Any], now_ms: int) -> tuple[float, float]:
    """Seconds by the clock, and of the processor."""
    began, used = time.monotonic(), time.process_time()
    for engine in engines:
        while engine.step(now_ms):
            pass
    return time.monotonic() - began, time.process_time() - used


def _figures(database: Database, lost: int, started: float, took: list[tuple[float, float]]) -> Told:
    with database.read() as connection:

        def count(table: Any, *where: Any) -> int:
            return int(connection.execute(select(func.count()).select_from(table).where(*where)).scalar_one())

        top = count(incidents, incidents.c.parent_id.is_(None))
        children = count(incidents, incidents.c.parent_id.is_not(None))
        joined = incident_members.join(incidents, incidents.c.id == incident_members.c.incident_id)
        members = count(joined, incidents.c.parent_id.is_(None), incident_members.c.left_ms.is_(None))
        gone = count(outages, outages.c.until_ms.is_(None))
    how = f"{lost:,} wills and as many faults in {_SECONDS} s, SQLite"
    yield Figure("incidents_n", "an operator's outage: incidents that it becomes", top, "", "≤ 1", how)
    yield Figure("incidents_children_n", "… and incidents within it", children, "", "", how)
    yield Figure(
        "incidents_lost", "… faults and outages that are not in it", 2 * lost - members + lost - gone, "", "≤ 0", how
    )
    yield Figure(
        "incidents_step_s",
        "… longest time of the engines for one second of it",
        max(wall for wall, _cpu in took),
        "s",
        "≤ 1",
        how,
    )
    yield Figure(
        "incidents_sum_s",
        "… time of the engines for all of it",
        sum(wall for wall, _cpu in took),
        "s",
        f"≤ {_SECONDS}",
        how,
    )
    cpu = sum(cpu for _wall, cpu in took)
    yield Figure("incidents_cpu_s", "  of which processor time", cpu, "s", "", how)
    yield Figure("incidents_start_s", "… start of the engines with the whole fleet", started, "s", "≤ 30", how)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    yield Figure("incidents_rss_mib", "… memory at most, ingest and bench included", peak, "MiB", "", how)


def _asked(database: Database, now_ms: int) -> Told:
    """What the desk asks about it meanwhile, each several times; the slowest of them."""
    with database.read() as connection:
        largest = select(incidents.c.id).order_by(incidents.c.terminals_n.desc()).limit(1)
        name = connection.execute(largest).scalar_one()
    with asking(database, rate=Rate(1e6, 1e6)) as api:
        api.clock_ms = now_ms
        asks = api.asks("admin")
        asks.get("me")
        took = {each: quantile(sorted(timed(asks, f"/api/v1/{each.format(name)}")), 0.95) for each in _ASKED}
    slow = max(took, key=took.__getitem__)
    how = f"{', '.join(_ASKED).replace('{}', '…')}; p95 of each, one after the other"
    yield Figure("incidents_asked_ms", f"… slowest answer about it, p95: {slow}", took[slow], "ms", "≤ 200", how)
    yield Series("incidents_asked_ms", {each: round(ms, 1) for each, ms in took.items()})


if __name__ == "__main__":
    for told in run(Effort()):
        if isinstance(told, Figure):
            print(f"{told.what:66} {told.shown:>16}  {told.goal}{'  MISSED' if told.misses else ''}")
