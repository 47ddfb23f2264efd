"""Rows of a fleet, for tests and figures of the API."""

from __future__ import annotations

from typing import Any

from sqlalchemy import insert

from center.db import tables
from center.db.engine import Database, bulk_insert
from center.domain import campaigns_readiness

NOW = 1_790_000_000_000  # 2026-09-21
REGIONS = ("north", "south", "west", "east")


def terminal(number: int, estate: str = "e") -> dict[str, Any]:
    return {
        "estate": estate,
        "terminal": f"t{number:06}",
        "site": f"s{number // 3:06}",
        "operator": f"460{number % 3:02}",
        "region": REGIONS[number % 4],
        "model": "TM-T20",
        "status": "online" if number % 10 else "offline",
        "conn": 1,
        "reason": "running",
        "can_sell": "yes" if number % 5 else "no",
        "cause": None if number % 5 else "printer/paper_out",
        "act": "none" if number % 5 else "merchant",
        "since_ms": NOW,
        "poi": {},
        "boot": 1,
        "health": {"pss_kib": 21_000},
        "last_contact_ms": NOW - number,
        "created_ms": NOW,
    }


def fault(number: int, key: str = "printer/paper_out", state: str = "raised", estate: str = "e") -> dict[str, Any]:
    return {
        "estate": estate,
        "terminal": f"t{number:06}",
        "fault": key,
        "state": state,
        "severity": "major",
        "symptoms": [],
        "first_ms": NOW - number * 1000,
        "last_ms": NOW,
        "evidence": {"paper": "out"},
        "received_ms": NOW,
    }


def event(number: int, seq: int, estate: str = "e") -> dict[str, Any]:
    return {
        "estate": estate,
        "terminal": f"t{number:06}",
        "boot": 1,
        "seq": seq,
        "at_ms": NOW + seq,
        "up_ms": seq,
        "clock": "synced",
        "event": "fault.raised" if seq % 2 else "fault.cleared",
        "data": {"fault": "printer/paper_out"},
        "received_ms": NOW + seq,
    }


def telemetry(number: int, seq: int, estate: str = "e") -> dict[str, Any]:
    return {
        "estate": estate,
        "terminal": f"t{number:06}",
        "boot": 1,
        "seq": seq,
        "at_ms": NOW + seq,
        "samples": [[0, {"modem.rsrp_dbm": -97, "power.voltage_mv": 12_010}]],
        "received_ms": NOW + seq * 60_000 + number // 100,
    }


def incident(number: int, estate: str = "e") -> dict[str, Any]:
    return {
        "id": f"inc-{number:08}",
        "estate": estate,
        "scope": "terminal",
        "scope_key": f"t{number:06}",
        "fault": "printer/paper_out",
        "severity": "major",
        "state": "open",
        "title": "Paper out",
        "why": {"members": 1},
        "opened_ms": NOW + number,
        "last_ms": NOW + number,
    }


def member(number: int, estate: str = "e") -> dict[str, Any]:
    at = {"estate": estate, "terminal": f"t{number:06}", "fault": "printer/paper_out"}
    return {"incident_id": f"inc-{number:08}", **at, "joined_ms": NOW}


def case(number: int, estate: str = "e") -> dict[str, Any]:
    return {
        "id": f"case-{number:08}",
        "number": 1000 + number,
        "estate": estate,
        "terminal": f"t{number:06}",
        "kind": "fault",
        "title": "Paper out",
        "fault": "printer/paper_out",
        "severity": "major",
        "state": "new",
        "created_ms": NOW + number,
        "updated_ms": NOW + number,
    }


def command(number: int, estate: str = "e") -> dict[str, Any]:
    return {
        "id": f"cmd-{number:08}",
        "estate": estate,
        "terminal": f"t{number:06}",
        "cmd": "check",
        "args": {"device": "printer"},
        "tier": 0,
        "reason": "a test",
        "issued_by": "ann",
        "state": "succeeded",
        "created_ms": NOW + number,
        "updated_ms": NOW + number,
    }


def campaign(number: int) -> dict[str, Any]:
    return {
        "id": f"cam-{number:08}",
        "name": "Readiness",
        "kind": "check",
        "audience": {},
        "waves": [],
        "state": "done",
        "created_by": "max",
        "created_ms": NOW + number,
        "updated_ms": NOW + number,
    }


def target(number: int, estate: str = "e") -> dict[str, Any]:
    at = {"estate": estate, "terminal": f"t{number:06}"}
    return {"campaign_id": f"cam-{number:08}", **at, "wave": 0, "state": "done", "updated_ms": NOW}


def fill(database: Database, terminals: int, estate: str = "e", now_ms: int = NOW) -> None:
    """So many terminals; a fifth of them have a fault now, and all had one; some of everything else."""
    numbers = range(terminals)
    rows: list[tuple[Any, list[dict[str, Any]]]] = [
        (tables.terminals, [terminal(n, estate) for n in numbers]),
        (tables.faults, [fault(n, state="raised" if n % 5 == 0 else "cleared", estate=estate) for n in numbers]),
        (tables.faults, [fault(n, "modem/weak_signal", "cleared", estate) for n in numbers]),
        (tables.events, [event(n, seq, estate) for seq in (1, 2, 3, 4, 5) for n in numbers]),
        (tables.telemetry, [telemetry(n, seq, estate) for seq in (1, 2, 3) for n in numbers]),
        (tables.incidents, [incident(n, estate) for n in numbers if n % 5 == 0]),
        (tables.incident_members, [member(n, estate) for n in numbers if n % 5 == 0]),
        (tables.cases, [case(n, estate) for n in numbers if n % 5 == 0]),
        (tables.commands, [command(n, estate) for n in numbers if n % 5 == 0]),
        (tables.campaigns, [campaign(n) for n in numbers if n % 500 == 0]),
        (tables.campaign_targets, [target(n, estate) for n in numbers if n % 500 == 0]),
    ]
    for table, some in rows:
        for start in range(0, len(some), 20_000):
            with database.begin() as connection:
                bulk_insert(connection, table, [_moved(row, now_ms - NOW) for row in some[start : start + 20_000]])


def _moved(row: dict[str, Any], by_ms: int) -> dict[str, Any]:
    """The same at another time."""
    return {name: value + by_ms if name.endswith("_ms") and value else value for name, value in row.items()}


def put(database: Database, table: Any, **values: Any) -> None:
    with database.begin() as connection:
        connection.execute(insert(table).values(**values))


def put_checked(database: Database, campaign_id: str, rows: dict[int, tuple[str, Any]], estate: str = "e") -> None:
    """State and `data` of these terminals in a readiness campaign, with what the center keeps of that beside it."""
    told = [
        target(number, estate) | {"campaign_id": campaign_id, "state": state, "data": data}
        for number, (state, data) in rows.items()
    ]
    with database.begin() as connection:
        bulk_insert(
            connection,
            tables.campaign_targets,
            [row | {"verdict": campaigns_readiness.verdict(row["data"])} for row in told],
        )
        campaigns_readiness.keep_todo(connection, [row for row in told if row["data"]])


def readiness(score: int | None, *whats: str, ready: bool = False) -> dict[str, Any]:
    """`data` of a target that was checked."""
    todo = [{"what": what, "why": "it was found", "act": "merchant"} for what in whats]
    return {"score": score, "ready": ready, "todo": todo, "forecast": {}}
