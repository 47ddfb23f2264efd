"""The data files of an evidence pack: each a table's rows as JSON lines, as they are, but for card numbers."""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Select, Table, and_, or_, select

from agent.wire import dumps
from center.db.tables import (
    audit,
    case_steps,
    cases,
    commands,
    desired_configs,
    events,
    faults,
    gaps,
    outages,
    receipts,
    results,
    telemetry,
    terminals,
)
from center.evidence_verify import AUDIT
from center.ingest import cards

_PAGE: Final = 2000
_SIGNED: Final = re.compile(rb"eyJ[\w-]{8,}\.[\w-]+\.[\w-]+")
"""A signed token, such as an announced visit's."""
README: Final = """\
Evidence of one terminal and one period, sealed by a posdiag support center.

manifest.json   what this is, who sealed it and why, and the SHA-256 of every file
seal.json       an Ed25519 signature over manifest.json
*.jsonl         one JSON object a line; times end in _ms: milliseconds since 1970 in UTC

An event, a result and a batch of telemetry are here when the terminal's own clock (at_ms) or the center's
(received_ms) puts them into the period. `clock` says what the terminal's clock was worth: synced, network, rtc or
unset. gaps.jsonl names messages that the center knows it has not got; receipts.jsonl what the terminal said it
dropped. Numbers that looked like card numbers were taken out; the manifest says how many.

Check it with center/evidence_verify.py of posdiag, which needs nothing but Python and the package cryptography,
or with `posdiag center verify-evidence PACK --key KEY`.
"""


@dataclass(frozen=True, slots=True)
class Period:
    """A part of a terminal's life."""

    estate: str
    terminal: str
    from_ms: int
    until_ms: int

    def of(self, table: Table) -> Any:
        """Rows of this terminal."""
        return and_(table.c.estate == self.estate, table.c.terminal == self.terminal)

    def within(self, table: Table, *columns: str) -> Any:
        """Rows of this terminal with one of these times in the period."""
        return and_(self.of(table), or_(*(table.c[name].between(self.from_ms, self.until_ms) for name in columns)))

    def touching(self, table: Table, first: str, last: str) -> Any:
        """Rows of this terminal that began before the period was over and had not ended before it began."""
        ended = or_(table.c[last].is_(None), table.c[last] >= self.from_ms)
        return and_(self.of(table), table.c[first] <= self.until_ms, ended)


def write_files(connection: Connection, period: Period, pack: zipfile.ZipFile) -> dict[str, Any]:
    """Write all of it; `files`, `clock`, `gaps` and `card_numbers_removed` for the manifest."""
    about: dict[str, Any] = {"files": [], "clock": {}, "gaps": 0, "card_numbers_removed": 0}
    with pack.open("README.txt", "w") as out:
        out.write(README.encode())
    digest = hashlib.sha256(README.encode()).hexdigest()
    size = len(README.encode())
    about["files"].append({"name": "README.txt", "sha256": digest, "bytes": size, "rows": README.count("\n")})
    for name, query in _queries(connection, period).items():
        about["files"].append(_write(connection, pack, name, query, about))
    about["clock"] = dict(sorted(about["clock"].items()))
    return about


def _queries(connection: Connection, period: Period) -> dict[str, Select[Any]]:
    case_ids = list(
        connection.execute(select(cases.c.id).where(period.touching(cases, "created_ms", "closed_ms"))).scalars()
    )
    targets = [f"{period.estate}/{period.terminal}", *case_ids]
    said = audit.c.at_ms.between(period.from_ms, period.until_ms) & audit.c.target.in_(targets)
    return {
        "terminal.jsonl": select(terminals).where(period.of(terminals)),
        "events.jsonl": _ordered(events, period.within(events, "at_ms", "received_ms")),
        "faults.jsonl": _ordered(faults, period.of(faults)),
        "telemetry.jsonl": _ordered(telemetry, period.within(telemetry, "at_ms", "received_ms")),
        "results.jsonl": _ordered(results, period.within(results, "at_ms", "received_ms")),
        "commands.jsonl": _ordered(commands, period.within(commands, "created_ms")),
        "settings.jsonl": _ordered(desired_configs, period.of(desired_configs)),
        "outages.jsonl": _ordered(outages, period.touching(outages, "from_ms", "until_ms")),
        "gaps.jsonl": _ordered(gaps, period.within(gaps, "found_ms", "closed_ms")),
        "receipts.jsonl": _ordered(receipts, period.within(receipts, "at_ms")),
        "cases.jsonl": _ordered(cases, cases.c.id.in_(case_ids)),
        "case_steps.jsonl": _ordered(case_steps, case_steps.c.case_id.in_(case_ids)),
        AUDIT: _ordered(audit, said),
    }


def _ordered(table: Table, condition: Any) -> Select[Any]:
    return select(table).where(condition).order_by(*table.primary_key)


def _write(
    connection: Connection, pack: zipfile.ZipFile, name: str, query: Select[Any], about: dict[str, Any]
) -> dict[str, Any]:
    digest, size, rows = hashlib.sha256(), 0, 0
    with pack.open(name, "w") as out:
        for row in map(_without_tokens, _rows(connection, query)):
            line, found = cards.clean(_SIGNED.sub(b"<taken out>", dumps(row)))
            if found and name == AUDIT:  # its hash does not fit any more
                line = dumps({**row, "redacted": True})
                line, found = cards.clean(_SIGNED.sub(b"<taken out>", line))
            about["card_numbers_removed"] += found
            _count(name, row, about)
            out.write(line + b"\n")
            digest.update(line + b"\n")
            size, rows = size + len(line) + 1, rows + 1
    return {"name": name, "sha256": digest.hexdigest(), "bytes": size, "rows": rows}


def _without_tokens(values: Any) -> Any:
    """Without what opens a door, such as a merchant's page or an announced visit."""
    if isinstance(values, Mapping):
        return {
            key: "<taken out>" if "token" in str(key) and value else _without_tokens(value)
            for key, value in values.items()
        }
    if isinstance(values, list):
        return [_without_tokens(each) for each in values]
    return values


def _count(name: str, row: Mapping[str, Any], about: dict[str, Any]) -> None:
    """How far the times can be trusted, and whether something is missing."""
    if name == "events.jsonl":
        about["clock"][row["clock"]] = about["clock"].get(row["clock"], 0) + 1
        if row["event"] == "clock.step":
            about["clock"]["steps"] = about["clock"].get("steps", 0) + 1
    elif name == "gaps.jsonl" and row["closed_ms"] is None:
        about["gaps"] += 1


def _rows(connection: Connection, query: Select[Any]) -> Iterator[dict[str, Any]]:
    for row in connection.execution_options(yield_per=_PAGE).execute(query).mappings():
        yield dict(row)
