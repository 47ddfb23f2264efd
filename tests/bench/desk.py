"""What a desk has made of a fleet after a while: rows of the lists and screens that tests/center/fleet_rows.py lacks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final

from sqlalchemy import select

from center.access import audit
from center.db import tables
from center.db.engine import Database, bulk_insert
from tests.center import fleet_rows
from tests.center.fleet_rows import NOW, REGIONS

TOKEN: Final = "merchant" * 4
"""Of the merchant's page of `case-00000000`."""
NOTICE: Final = "notified" * 4
"""Of the page of one site's copy of the broadcast."""
BROADCAST: Final = "bro-newest"
"""A message to every site."""
READINESS: Final = "cam-readiness"
"""A campaign that every terminal is a target of."""
SETTLED_MS: Final = 600_000
_MOST_AUDIT: Final = 50_000
_HOUR: Final = 3_600_000
_OPEN: Final = {7: "failed", 13: "unanswered", 19: "waiting"}
_WHATS: Final = (
    "printer/paper_near_end", "printer/cutter_error", "reader/read_errors", "modem/weak_signal", "settings",
    "printer.paper_days_left", "till-printer",
)  # fmt: skip
_METRICS: Final = ("modem.rsrp_dbm", "power.voltage_mv")
_SLICE: Final = 20_000


def fill(database: Database, size: int, now_ms: int = NOW) -> None:
    """All of a fleet of `size` terminals of the estate `e`, heard at `now_ms`, to be looked at `SETTLED_MS` later."""
    fleet_rows.fill(database, size, now_ms=now_ms)
    for table, rows in _rows(size, now_ms):
        left = iter(rows)
        while some := list(islice(left, _SLICE)):
            with database.begin() as connection:
                bulk_insert(connection, table, some)
    lines = [
        audit.Entry(now_ms - _HOUR + n, f"agent-{n % 40}", "read", f"GET /api/v1/cases/case-{n:08}")
        for n in range(min(size, _MOST_AUDIT))
    ]
    at = tables.terminals.c
    its = select(tables.sites.c.region).where(tables.sites.c.estate == at.estate, tables.sites.c.site == at.site)
    with database.begin() as connection:
        connection.execute(tables.terminals.update().values(region=its.scalar_subquery()))  # one for all at a site
        connection.execute(
            tables.cases.update().where(tables.cases.c.id == "case-00000000").values(merchant_token=TOKEN)
        )
        audit.append(connection, lines)


def _rows(size: int, now_ms: int) -> Iterator[tuple[Any, Iterable[dict[str, Any]]]]:
    sites, cases = range(size // 3 + 1), range(0, size, 5)
    yield tables.sites, (_site(n, now_ms) for n in sites)
    yield tables.outages, (_outage(n, now_ms) for n in range(0, size, 10))
    yield tables.retired, (_retired(n, now_ms) for n in range(size, size + size // 100 + 1))
    yield tables.cases, (_over(n, size, now_ms) for n in range(0, size, 2))
    yield tables.case_steps, (_step(n, kind, now_ms) for n in cases for kind in ("opened", "acknowledged", "note"))
    yield tables.case_tasks, (_task(n, now_ms) for n in cases if n % 100 == 0)
    yield tables.surveys, ({"case_id": _case(n), "works": "yes", "score": 1 + n % 5, "at_ms": now_ms} for n in cases)
    yield tables.remedies, (_remedy(n, now_ms) for n in cases)
    yield tables.problems, (_problem(n, now_ms) for n in range(50))
    yield tables.guides, (_guide(n, now_ms) for n in range(200))
    yield tables.campaigns, [_readiness(size, now_ms)]
    yield tables.campaign_targets, (_target(n, now_ms) for n in range(size))
    yield (
        tables.campaign_todo,
        (_at(n) | {"campaign_id": READINESS, "what": what} for n in range(size) for what in _whats(n)),
    )
    yield tables.desired_configs, (_desired(n, now_ms) for n in range(0, size, 10))
    yield tables.broadcasts, (_broadcast(n, size, now_ms) for n in range(50))
    told = [(0, site) for site in sites] + [(n, site) for n in range(1, 50) for site in sites[:100]]
    yield tables.outbox, (_post(*each, now_ms) for each in told)
    yield tables.broadcast_sites, (_copy(*each) for each in told)
    yield tables.notifications, (_notification(n, now_ms) for n in range(0, size, 5))
    yield tables.evidence, (_held(n, now_ms) for n in range(0, size, 100))
    yield (
        tables.metrics_hour,
        (_hour(n, hour, name, now_ms) for n in (0, 125) for hour in range(720) for name in _METRICS),
    )


def _case(number: int) -> str:
    return f"case-{number:08}"


def _at(number: int) -> dict[str, str]:
    return {"estate": "e", "terminal": f"t{number:06}"}


def _site(number: int, now_ms: int) -> dict[str, Any]:
    return {
        "estate": "e",
        "site": f"s{number:06}",
        "name": f"Shop {number}",
        "address": f"Road {number % 100}, {number}",
        "lat": 22 + number % 190 / 10,
        "lon": 100 + number // 190 % 200 / 10,
        "region": REGIONS[number % 4],
        "operator": f"460{number % 3:02}",
        "contacts": [{"name": "Li", "phone": f"+86 138{number:08}"}],
        "updated_ms": now_ms,
    }


def _outage(number: int, now_ms: int) -> dict[str, Any]:
    span = {"from_ms": now_ms - 2 * _HOUR, "until_ms": now_ms - _HOUR}
    return _at(number) | span | {"kind": "lost", "verdict": "power", "basis": "inferred"}


def _retired(number: int, now_ms: int) -> dict[str, Any]:
    row = fleet_rows.terminal(number)
    place = {name: row[name] for name in ("estate", "terminal", "site", "region")}
    return place | {"row": row, "retired_ms": now_ms, "by": "ann", "reason": "scrapped"}


def _over(number: int, size: int, now_ms: int) -> dict[str, Any]:
    """A case of the last month that ended well."""
    began_ms = now_ms - (1 + number % 700) * _HOUR
    times = {"created_ms": began_ms, "detected_ms": began_ms, "acked_ms": began_ms + _HOUR // 10}
    times |= dict.fromkeys(("solved_ms", "closed_ms", "updated_ms"), began_ms + _HOUR)
    ended = {"state": "closed", "outcome": "confirmed", "visits": number % 3, "model": "TM-T20", "part": "cutter"}
    return fleet_rows.case(size + number) | _at(number) | {"signature": "printer/paper_out|TM-T20"} | ended | times


def _step(number: int, kind: str, now_ms: int) -> dict[str, Any]:
    about = {"case_id": _case(number), "step_key": f"{_case(number)}:{kind}", "kind": kind, "text": "Looked at it"}
    return about | {"at_ms": now_ms, "by": f"agent-{number % 40}"}


def _task(number: int, now_ms: int) -> dict[str, Any]:
    about = {"id": f"task-{number:08}", "case_id": _case(number), "kind": "call_back", "text": "Call the shop"}
    return about | {"due_ms": now_ms + 24 * _HOUR, "by": "ann", "created_ms": now_ms}


def _remedy(number: int, now_ms: int) -> dict[str, Any]:
    about = {"id": f"rem-{number:08}", "case_id": _case(number), "signature": "printer/paper_out|TM-T20"}
    return about | {"remedy": "refilled", "worked": "yes" if number % 3 else "no", "at_ms": now_ms}


def _problem(number: int, now_ms: int) -> dict[str, Any]:
    about = {"id": f"prob-{number:08}", "title": "Rolls that are too thick", "state": "open", "owner": "ann"}
    return about | {"signature": "printer/paper_out|TM-T20", "created_ms": now_ms, "updated_ms": now_ms}


def _guide(number: int, now_ms: int) -> dict[str, Any]:
    about = {"id": f"guide-{number:08}", "fault": "printer/paper_out", "language": "en", "title": "A new roll"}
    return about | {"body": "Open the cover. " * 20, "state": "draft", "author": "ann", "updated_ms": now_ms}


def _readiness(size: int, now_ms: int) -> dict[str, Any]:
    about = {"id": READINESS, "name": "Golden week", "kind": "readiness", "audience": {}, "waves": [{"share": 1.0}]}
    about |= {"args": {"date": "2030-01-01"}, "state": "done", "targets_n": size, "created_by": "max"}
    return about | {"created_ms": now_ms, "updated_ms": now_ms}


def _target(number: int, now_ms: int) -> dict[str, Any]:
    """A fifth is not ready, of a tenth there is no answer, and a twentieth is still waited for."""
    about = {"campaign_id": READINESS, "wave": 1, "updated_ms": now_ms, "data": None, "verdict": None}
    about["site"] = fleet_rows.terminal(number)["site"]
    if number % 20 in _OPEN:
        return _at(number) | about | {"state": _OPEN[number % 20]}
    todo = [{"what": what, "why": "it was found", "act": "merchant"} for what in _whats(number)]
    installed = {"model": "TM-T20", "firmware": "1.4.2", "settings": {"version": "7", "hash": f"{number:064x}"}}
    left = {"printer.paper_days_left": 3.5 + number % 30, "power.battery_days_left": 300.0}
    data = {"score": 60 + number % 40, "ready": bool(number % 5), "todo": todo, "forecast": left}
    verdict = "ready" if data["ready"] else "not_ready"
    return _at(number) | about | {"state": "succeeded", "verdict": verdict, "data": data | {"installed": installed}}


def _whats(number: int) -> list[str]:
    """What is to do at a third of the terminals, some of it twice as often."""
    if number % 20 in _OPEN:
        return []
    found = {_WHATS[number % 7]} if number % 3 == 0 else set()
    return sorted(found | {_WHATS[number % 4]} if number % 5 == 0 else found)


def _desired(number: int, now_ms: int) -> dict[str, Any]:
    about = {"version": 1, "body": {"telemetry": {"batch_s": 300}}, "state": "drifted" if number % 50 else "applied"}
    return _at(number) | about | {"issued_by": "max", "at_ms": now_ms, "updated_ms": now_ms}


def _broadcast(number: int, size: int, now_ms: int) -> dict[str, Any]:
    about = {"id": _message(number), "kind": "message", "audience": {"estates": ["e"]}, "terminals_n": size}
    return about | {"texts": {"en": "The network is down."}, "by": "ann", "created_ms": now_ms - number * _HOUR}


def _message(number: int) -> str:
    return BROADCAST if number == 0 else f"bro-{number:08}"


def _copy(number: int, site: int) -> dict[str, Any]:
    about = {"broadcast_id": _message(number), "estate": "e", "site": f"s{site:06}"}
    token = None if number or site else NOTICE
    return about | {"post_key": f"notice-{number}-{site}", "token": token}


def _post(number: int, site: int, now_ms: int) -> dict[str, Any]:
    about = {"kind": "notify", "key": f"notice-{number}-{site}", "payload": {"text": "The network is down."}}
    return about | {"state": "done", "not_before_ms": now_ms, "created_ms": now_ms}


def _notification(number: int, now_ms: int) -> dict[str, Any]:
    about = {"id": f"note-{number:08}", "channel": "mail", "subject": "Paper out", "state": "sent"}
    return about | {"who": "ann", "at_ms": now_ms - number}


def _held(number: int, now_ms: int) -> dict[str, Any]:
    about = {"id": f"evid-{number:08}", "from_ms": now_ms - 48 * _HOUR, "until_ms": now_ms - 24 * _HOUR, "sha256": ""}
    about |= {"path": f"{number}.zip", "hold_until_ms": now_ms + 720 * _HOUR, "reason": "disputed", "made_by": "ann"}
    return _at(number) | about | {"at_ms": now_ms}


def _hour(number: int, hour: int, name: str, now_ms: int) -> dict[str, Any]:
    bucket_ms = (now_ms // _HOUR - hour) * _HOUR
    sums = {"n": 60, "min": -100.0, "max": -90.0, "sum": -5700.0, "last": -95.0, "last_ms": bucket_ms + _HOUR - 1}
    return _at(number) | {"metric": name, "bucket_ms": bucket_ms} | sums
