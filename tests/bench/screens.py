"""Every screen of the console and every page without scripts, over the rows of tests/bench/desk.py.

The screens are those that the tests of the console find in its modules, so that none can be forgotten.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Final

from center.console.admin import PARTS
from tests.bench import desk
from tests.bench.browsed import ROW
from tests.peers.console.test_refused import path_of, screens

TILE: Final = ".tile .figure"
_LINE: Final = ".plain-table tbody tr"
_NONE: Final = ".empty-title"
SHOWS: Final = {
    "/": TILE,
    "/admin": ".parts-bar",
    "/admin/{part}": ".parts-bar",
    "/audit": _LINE,
    "/broadcast/{name}": ".tiles",
    "/broadcasts": _LINE,
    "/broadcasts/new": ".form",
    "/campaign/{name}": ".waves",
    "/campaigns": _LINE,
    "/campaigns/new": ".reach",
    "/case/{name}": ".sheet",
    "/cases": ROW,
    "/evidence": _LINE,
    "/incident/{name}": ".sentence",
    "/knowledge": ".rows li",
    "/knowledge/{unit}/{kind}": ".sheet",
    "/knowledge/{unit}/{kind}/tries": ROW,
    "/map": ".shares tbody tr",
    "/queue": ROW,
    "/readiness": f"{TILE}, {_NONE}",
    "/reports": ".card",
    "/reports/cases": ROW,
    "/site/{estate}/{name}": ".sentence",
    "/sites": ROW,
    "/terminal/{estate}/{name}": ".sentence",
    "/terminals": ROW,
    "/wallboard": f".wall {TILE}",
}
"""What a screen is about, by its address with its blanks: the first of these."""
_NAMES: Final = {
    "/broadcast/{name}": desk.BROADCAST,
    "/campaign/{name}": desk.READINESS,
    "/case/{name}": "case-00000125",
    "/incident/{name}": "inc-00000125",
    "/site/{estate}/{name}": "s000041",
    "/terminal/{estate}/{name}": "t000125",
}
_ASKS: Final = {"/knowledge/{unit}/{kind}/tries": "?remedy=refilled"}
_NARROWER: Final = (
    ("/console/queue?region=north", ROW),
    ("/console/queue?q=t000125", ROW),
    ("/console/terminals?freshness=offline", ROW),
    ("/console/map?by=operator&key=46001", _LINE),
    (f"/console/readiness?campaign={desk.READINESS}&state=not_ready", ROW),
)


def every() -> Iterator[tuple[str, str]]:
    """Address, and what shows that the page says what it is about."""
    for where in screens():
        for part in PARTS if "{part}" in where else ("",):
            named = path_of(where, estate="e", name=_NAMES.get(where, ""), part=part)
            yield named + _ASKS.get(where, ""), SHOWS[where]
    yield from _NARROWER
    last = dt.datetime.now(dt.UTC).replace(day=1) - dt.timedelta(days=1)
    for path in ("case/case-00000125", "terminal/e/t000125", f"month/{last:%Y-%m}"):
        yield f"/console/print/{path}", "h1"
    for path in (f"/m/{desk.TOKEN}", f"/n/{desk.NOTICE}", "/status", "/login/password"):
        yield path, "h1"
