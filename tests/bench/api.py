"""How long each list of the API takes to answer, at 1,000, 10,000 and 100,000 terminals: goal 200 ms."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

from center.access.limits import Rate
from center.access.scope import EVERYTHING, Scope
from center.db.engine import Database
from center.db.migrate import migrate
from tests.bench.figure import Effort, Figure, Told
from tests.bench.ground import scratch
from tests.center.asking import Asker, asking
from tests.center.fleet_rows import fill
from tests.center.postgres import PROGRAMS, Postgres

_SIZES: Final = (1_000, 10_000, 100_000)
_TURNS: Final = 7
_GOAL: Final = "≤ 200"
_ASKED: Final[tuple[tuple[str, str], ...]] = (
    ("terminals", ""),
    ("terminals, one that cannot sell", "terminals?can_sell=no&operator=46001"),
    ("terminals with a fault", "terminals?unit=printer&kind=paper_out"),
    ("faults raised now", "faults"),
    ("faults of a unit that has none", "faults?unit=reader"),
    ("faults of a region", "faults?region=north&unit=printer"),
    ("events", ""),
    ("events of a terminal", "events?terminal=e.t000123"),
    ("events of a kind that never came", "events?event=device.swapped"),
    ("telemetry", ""),
    ("telemetry of a terminal", "telemetry?terminal=e.t000123"),
    ("incidents", "incidents?state=open"),
    ("incidents of a terminal", "incidents?terminal=t000125"),
    ("cases", "cases?state=new"),
    ("commands", ""),
    ("campaigns", ""),
    ("health", ""),
    ("a terminal by its id", "terminals/e.t000123"),
)


def run(effort: Effort) -> Told:
    """All figures; about two minutes, most of them for filling the tables."""
    sizes = _SIZES[:2] if effort.quick else _SIZES
    with scratch() as folder:
        for size in sizes:
            yield from _figures(f"sqlite:///{folder}/{size}.db", "sqlite", size)
    if not PROGRAMS:
        yield Figure("api.postgresql", "lists over PostgreSQL", None, how="PostgreSQL is not installed")
        return
    server = Postgres(durable=True)
    try:
        yield from _figures(server.url(server.create()), "postgresql", sizes[-1])
    finally:
        server.stop()


def _figures(url: str, kind: str, size: int) -> Iterator[Figure]:
    database = Database(url)
    migrate(database)
    fill(database, size)
    with asking(database, rate=Rate(1e6, 1e6)) as api:
        for whose, scope in (("", EVERYTHING), (" (one region)", Scope(regions=("north",)))):
            asks = api.asks("viewer", scope)
            asks.get("me")  # what a process does once is not a list's
            figures = [(what, _slowest(asks, path or what)) for what, path in _ASKED]
            worst = max(figures, key=lambda figure: figure[1])
            how = f"{size:,} terminals; {kind}; the slowest of {_TURNS} asked one after the other, 100 items each"
            for what, ms in figures if size == _SIZES[-1] and kind == "sqlite" else ():
                yield Figure(f"api.{what}{whose}.{size}", f"  {what}{whose}", ms, "ms", _GOAL, how)
            told = f"slowest list{whose} at {size:,} terminals, {kind}: {worst[0]}"
            yield Figure(f"api.{kind}{whose}.{size}", told, worst[1], "ms", _GOAL, how)
    database.close()


def _slowest(asks: Asker, path: str) -> float:
    """Milliseconds; the first asking, which reads what no cache holds, counts too."""
    slowest = 0.0
    for _ in range(_TURNS):
        began = time.perf_counter()
        answer = asks("GET", path)
        slowest = max(slowest, time.perf_counter() - began)
        assert answer.status_code in {200, 404}, answer.text
    return slowest * 1000
