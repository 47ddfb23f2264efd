"""How long each question that the API answers takes, at 1,000, 10,000 and 100,000 terminals: goal 200 ms.

The questions are the application's own GET routes, so that none can be forgotten; `_NAMES` and `_ASKS` fill their blanks.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlencode

from center.access.limits import Rate
from center.access.scope import EVERYTHING, Scope
from center.db.engine import Database
from center.db.migrate import migrate
from center.run import collect_seldom
from tests.bench import desk
from tests.bench.figure import Effort, Figure, Series, Told, quantile
from tests.bench.ground import scratch
from tests.center.asking import Asker, asking
from tests.center.postgres import PROGRAMS, Postgres

_SIZES: Final = (1_000, 10_000, 100_000)
_TURNS: Final = 20
_LONG_S: Final = 5.0
"""What has been asked for so long together is asked no more."""
_LIMIT_S: Final = 300.0
_GOAL: Final = "≤ 200"
_AT: Final = "/api/v1/"
ELSEWHERE: Final = {
    "stream": "does not end by itself; part console_latency listens to it",
    "oidc/login": "leads to another server",
    "oidc/callback": "leads to another server",
    "evidence/{name}/verify": "reads a file of one terminal",
    "evidence/{name}/pack": "gives a file of one terminal",
    "cases/{name}/attachments/{file}": "gives a file of one case",
}
"""Routes that are not asked, and why."""
WHOLE: Final = frozenset({"audit/export", "audit/verify", "campaigns/{name}/export", "reports/{of}/export"})
"""Routes that read all there is, whatever that takes: they have no goal."""
_NAMES: Final = {
    "terminals": "e.t000125",
    "health": "e.t000125",
    "faults": "e.t000125.printer.paper_out",
    "events": "126",
    "telemetry": "e.t000125.1.1",
    "incidents": "inc-00000125",
    "cases": "case-00000125",
    "commands": "cmd-00000125",
    "campaigns": desk.READINESS,
    "broadcasts": desk.BROADCAST,
    "knowledge": "prob-00000001",
    "estate": "e",
    "terminal": "t000125",
    "site": "s000041",
    "unit": "printer",
    "kind": "paper_out",
}
"""What stands for a blank in a path; for {name} by what the path begins with."""
_ASKS: Final = {
    "campaign-progress": {"ids": desk.READINESS},
    "rhythm": {"fault": "printer/paper_out"},
    "knowledge/search": {"words": "paper"},
    "knowledge/tries": {"basis": "fault", "signature": "printer/paper_out|", "remedy": "refilled"},
    "terminals/{estate}/{terminal}/series": {"metric": "modem.rsrp_dbm"},
    "find": {"q": "t00012"},
}
"""What a route must be asked with."""
_ALSO: Final = (
    "terminals?can_sell=no&operator=46001",
    "terminals?unit=printer&kind=paper_out",
    "faults?unit=reader",
    "faults?region=north&unit=printer",
    "events?terminal=e.t000123",
    "events?event=device.swapped",
    "telemetry?terminal=e.t000123",
    "incidents?state=open",
    "incidents?terminal=t000125",
    "cases?state=new",
    "queue?region=north",
    "queue?q=t000125",
    "queue?ids=inc-00000125,inc-00000130",
    "overview/map?by=region",
    "overview/map?by=operator&key=46001",
    "sites?region=north",
    f"campaigns/{desk.READINESS}/stores?state=not_ready",
    f"campaigns/{desk.READINESS}/stores?state=unknown",
    f"campaigns/{desk.READINESS}/stores?what=settings",
    f"campaigns/{desk.READINESS}/stores?what=check",
    f"campaigns/{desk.READINESS}/readiness?what=settings",
)
"""Narrower questions that the console asks."""


def run(effort: Effort) -> Told:
    """All figures; about ten minutes, half of them for filling the tables."""
    sizes = _SIZES[:1] if effort.quick else _SIZES
    collect_seldom()  # as the center does
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


def questions(paths: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each route by its path behind /api/v1/, and a question to it; of a blank with a list of words, one for each."""
    for path, operations in paths.items():
        route = path.removeprefix(_AT)
        if "get" not in operations or route in ELSEWHERE:
            continue
        blanks = [each for each in operations["get"].get("parameters", ()) if each["in"] == "path"]
        words = [each["schema"].get("enum") or [_stands(route, each["name"])] for each in blanks]
        for chosen in itertools.product(*words):
            told = path.format(**dict(zip((each["name"] for each in blanks), chosen, strict=True)))
            yield route, told + (f"?{urlencode(_ASKS[route])}" if route in _ASKS else "")
    for narrower in _ALSO:
        yield narrower, f"{_AT}{narrower}"


def _stands(route: str, blank: str) -> str:
    return _NAMES[route.partition("/")[0] if blank == "name" else blank]


def _figures(url: str, kind: str, size: int) -> Told:
    database = Database(url)
    migrate(database)
    desk.fill(database, size)
    with asking(database, rate=Rate(1e6, 1e6)) as api:
        api.clock_ms += desk.SETTLED_MS
        api.client.timeout = _LIMIT_S
        asked = list(questions(api.client.get(f"{_AT}openapi.json").json()["paths"]))
        for whose, scope in (("", EVERYTHING), (" (one region)", Scope(regions=("north",)))):
            asks = api.asks("admin", scope)
            asks.get("me")  # what a process does once is not a list's
            theirs = asked if scope is EVERYTHING else [each for each in asked if _is_answered(asks, each[1])]
            took = {question: sorted(timed(asks, question)) for _, question in theirs}
            goal = {question: "" if route in WHOLE else _GOAL for route, question in asked}
            yield from _told(took, goal, whose, kind, size, each=scope is EVERYTHING and size == _SIZES[-1])
    database.close()


def _told(
    took: Mapping[str, list[float]], goal: Mapping[str, str], whose: str, kind: str, size: int, *, each: bool
) -> Told:
    how = f"{size:,} terminals; {kind}; asked up to {_TURNS} times one after the other, a page of 100 items"
    for question in took if each else ():
        what, times = question.removeprefix(_AT), took[question]
        key = f"api.{kind}.{what}"
        yield Figure(key, f"  {what}, median", statistics.median(times), "ms", "", how)
        yield Figure(f"{key}.p95", f"  {what}, p95", quantile(times, 0.95), "ms", goal[question], how)
    p95 = {question: quantile(times, 0.95) for question, times in took.items() if goal[question]}
    worst = max(p95, key=p95.__getitem__)
    late = sum(value > float(_GOAL.removeprefix("≤ ")) for value in p95.values())
    key, of = f"api.{kind}.slowest{whose}.{size}", f"{whose} at {size:,} terminals, {kind}"
    yield Figure(key, f"slowest answer{of}, p95: {worst.removeprefix(_AT)}", p95[worst], "ms", _GOAL, how)
    yield Figure(f"{key}.late", f"  answers over the goal{of}, of {len(p95)}", late, "", "≤ 0", how)
    yield Series(
        f"api.{kind}{whose}.{size}.ms", {name: [round(each, 1) for each in times] for name, times in took.items()}
    )


def _is_answered(asks: Asker, question: str) -> bool:
    """Whether it may be asked by who has a part of the fleet, and of something within it."""
    return asks.client.get(question, headers=asks.headers).is_success


def timed(asks: Asker, question: str, turns: int = _TURNS) -> Iterable[float]:
    """Milliseconds of each asking; the first, which reads what no cache holds, counts too."""
    spent = 0.0
    for _ in range(turns):
        began = time.perf_counter()
        answer = asks.client.get(question, headers=asks.headers)
        took = time.perf_counter() - began
        assert answer.is_success, f"{question}: {answer.text}"
        yield took * 1000
        spent += took
        if spent > _LONG_S:
            return
