"""What a terminal last said of each of its metrics, words and failed readings included."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Connection, select

from center.access.scope import Scope
from center.db.tables import telemetry
from center.domain.heard import heard

MOST_BATCHES: Final = 100
"""A terminal repeats each of its metrics within 30 batches; what is older than these is of a part that is gone."""


def latest(connection: Connection, scope: Scope, estate: str, terminal: str) -> list[dict[str, Any]]:
    """By name: `metric`, `unit` ("" for none), `value`, null with the cause in `error`, `at_ms`. Raises Refusal."""
    told = (heard(connection, scope, estate, terminal)["inventory"] or {}).get("metrics")
    units = told if isinstance(told, dict) else {}
    batches = (
        select(telemetry.c.at_ms, telemetry.c.samples)
        .where(telemetry.c.estate == estate, telemetry.c.terminal == terminal)
        .order_by(telemetry.c.boot.desc(), telemetry.c.seq.desc())
        .limit(MOST_BATCHES)
    )
    found: dict[str, dict[str, Any]] = {}
    for batch in connection.execute(batches):
        for after_ms, values in reversed(batch.samples or ()):
            for name, value in values.items():
                if name not in found:
                    found[name] = _reading(name, value, units, batch.at_ms + int(after_ms))
        if units and units.keys() <= found.keys():
            break
    return sorted(found.values(), key=lambda each: str(each["metric"]))


def _reading(name: str, value: Any, units: dict[str, Any], at_ms: int) -> dict[str, Any]:
    error = value.get("error", "failed") if isinstance(value, dict) else None
    known = None if error is not None else value
    return {"metric": name, "unit": str(units.get(name, "")), "value": known, "error": error, "at_ms": at_ms}
