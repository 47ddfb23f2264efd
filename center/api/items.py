"""Rows of the database as the API shows them: names of the contract, times of RFC 3339. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Row, Table

from agent.wire import timestamp
from center.db import tables

Item = dict[str, Any]

# fmt: off
_BRIEF: Final = [
    "estate", "terminal", "site", "operator", "operator_basis", "cell", "cell_basis", "region", "power_district",
    "host", "model", "firmware", "language",
    "status", "conn", "reason", "can_sell", "cause", "act", "since_ms", "poi", "boot", "last_contact_ms",
    "will_at_ms",
]
# fmt: on
TERMINAL_COLUMNS: Final = [tables.terminals.c[name] for name in _BRIEF]
"""Without the parts that are large."""


def at(moment_ms: int | None) -> str | None:
    """RFC 3339, null for null."""
    return None if moment_ms is None else timestamp(moment_ms / 1000)


def columns(row: Row[Any]) -> Any:
    """A mapping of a row's values by its columns or their names, whatever these are: `row.count` would be a method."""
    return row._mapping  # noqa: SLF001 - by design so named


def terminal(row: Any) -> Item:
    place = ("site", "operator", "operator_basis", "cell", "cell_basis", "region", "power_district", "host")
    plain = (*place, "model", "firmware", "language")
    verdict = {"can_sell": row.can_sell, "cause": row.cause, "act": row.act, "since": at(row.since_ms)}
    return {
        "id": f"{row.estate}.{row.terminal}",
        "estate": row.estate,
        "terminal": row.terminal,
        **{name: getattr(row, name) for name in plain},
        "status": row.status,
        "conn": row.conn,
        "reason": row.reason,
        "verdict": verdict if row.can_sell is not None else None,
        "poi": row.poi,
        "boot": row.boot,
        "last_contact_at": at(row.last_contact_ms),
        "will_at": at(row.will_at_ms),
    }


def fault(row: Any) -> Item:
    plain = ("fault", "state", "severity", "cause", "count", "device", "advice", "act", "basis", "boot")
    return {
        "id": f"{row.estate}.{row.terminal}.{row.fault.replace('/', '.')}",
        "estate": row.estate,
        "terminal": row.terminal,
        **{name: columns(row)[name] for name in plain},
        "symptoms": row.symptoms or [],
        "evidence": row.evidence or {},
        "first_at": at(row.first_ms),
        "last_at": at(row.last_ms),
        "received_at": at(row.received_ms),
        "incident": row.incident_id,
    }


def event(row: Any) -> Item:
    plain = ("estate", "terminal", "boot", "seq", "up_ms", "clock", "late", "event")
    return {
        "id": str(row.id),
        **{name: getattr(row, name) for name in plain},
        "at": at(row.at_ms),
        "data": row.data or {},
        "received_at": at(row.received_ms),
    }


def telemetry(row: Any) -> Item:
    return {
        "id": f"{row.estate}.{row.terminal}.{row.boot}.{row.seq}",
        "estate": row.estate,
        "terminal": row.terminal,
        "boot": row.boot,
        "seq": row.seq,
        "at": at(row.at_ms),
        "late": row.late,
        "samples": row.samples or [],
        "received_at": at(row.received_ms),
    }


def health(row: Any) -> Item:
    return {
        "id": f"{row.estate}.{row.terminal}",
        "estate": row.estate,
        "terminal": row.terminal,
        "health": row.health,
        "status": row.status,
        "last_contact_at": at(row.last_contact_ms),
    }


def incident(row: Any) -> Item:
    plain = ("id", "estate", "scope", "scope_key", "fault", "severity", "state", "title", "why", "terminals_n")
    return {
        **{name: getattr(row, name) for name in plain},
        "cannot_sell_n": row.cannot_sell_n,
        "parent": row.parent_id,
        "opened_at": at(row.opened_ms),
        "last_at": at(row.last_ms),
        "resolved_at": at(row.resolved_ms),
        "ack_by": row.ack_by,
        "ack_at": at(row.ack_ms),
        "owner": row.owner,
        "case": row.case_id,
    }


def member(row: Any) -> Item:
    return {
        "estate": row.estate,
        "terminal": row.terminal,
        "fault": row.fault,
        "joined_at": at(row.joined_ms),
        "left_at": at(row.left_ms),
    }


# fmt: off
_CASE_PLAIN: Final = [
    "id", "number", "estate", "terminal", "site", "kind", "title", "fault", "signature", "severity", "state",
    "owner", "team", "channel", "language", "root_cause", "part", "pause_reason",
]
# fmt: on
_CASE_TIMES: Final = {
    "eta": "eta_ms",
    "first_response_due_at": "first_response_due_ms",
    "update_due_at": "update_due_ms",
    "solve_due_at": "solve_due_ms",
    "paused_since": "paused_since_ms",
    "watch_until": "watch_until_ms",
    "created_at": "created_ms",
    "updated_at": "updated_ms",
    "closed_at": "closed_ms",
}


def case(row: Any) -> Item:
    return {
        **{name: getattr(row, name) for name in _CASE_PLAIN},
        "incident": row.incident_id,
        **{name: at(getattr(row, column)) for name, column in _CASE_TIMES.items()},
    }


def step(row: Any) -> Item:
    return {"id": row.id, "at": at(row.at_ms), "by": row.by, "kind": row.kind, "text": row.text, "data": row.data}


def command(row: Any) -> Item:
    plain = ("id", "estate", "terminal", "cmd", "tier", "reason", "issued_by", "approved_by", "state", "output")
    return {
        **{name: getattr(row, name) for name in plain},
        "args": row.args or {},
        "nbf": at(row.nbf_ms),
        "exp": at(row.exp_ms),
        "campaign": row.campaign_id,
        "case": row.case_id,
        "error": row.error,
        "created_at": at(row.created_ms),
        "updated_at": at(row.updated_ms),
    }


def result(row: Any) -> Item:
    plain = ("state", "code", "output", "error", "ms")
    return {**{name: getattr(row, name) for name in plain}, "at": at(row.at_ms), "received_at": at(row.received_ms)}


def campaign(row: Any) -> Item:
    plain = ("id", "name", "kind", "audience", "waves", "args", "halt_share", "state", "why", "created_by")
    return {
        **{name: getattr(row, name) for name in plain},
        "approved_by": row.approved_by,
        "created_at": at(row.created_ms),
        "updated_at": at(row.updated_ms),
        "started_at": at(row.started_ms),
        "ended_at": at(row.ended_ms),
    }


def in_words(values: Any) -> Any:
    """JSON values of the domain with each moment `…_ms` as a time `…_at`, and `at_ms` as `at`."""
    if isinstance(values, list | tuple):
        return [in_words(each) for each in values]
    if not isinstance(values, Mapping):
        return values
    return {
        _moment_name(name) if str(name).endswith("_ms") else name: at(each)
        if str(name).endswith("_ms")
        else in_words(each)
        for name, each in values.items()
    }


def _moment_name(column: str) -> str:
    return "at" if column == "at_ms" else f"{column[:-3]}_at"


def plain(table: Table, row: Any, leave_out: frozenset[str] = frozenset()) -> Item:
    """A row of the center's own as it is: a column `…_ms` as a time `…_at`, the rest by its name."""
    values = columns(row)
    return named({column.name: values[column] for column in table.c if column.name not in leave_out})


def named(values: Mapping[str, Any]) -> Item:
    """The same of columns by their names; what JSON inside of them holds stays as it is."""
    shown: Item = {}
    for name, value in values.items():
        if name.endswith("_ms"):
            shown[_moment_name(name)] = at(value)
        else:
            shown[name.removesuffix("_id") if name != "id" else "id"] = value
    return shown
