"""The center watches itself: workers, broker, engines, lag, what waits to be sent, gaps, disk and certificates.

What is wrong is an incident of scope `center` in no estate, until it has been right for a while. Any process may watch,
several at once, too: the ingest watches the engines, and the engines the ingest, so that each is missed when it dies.
If all are dead the broker tells by their will on `center/{id}/state`.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from sqlalchemy import Connection, func, insert, select, update

from agent import wire
from center.db import feed
from center.db.aside import ASIDE
from center.db.engine import Database, insert_ignore, upsert
from center.db.tables import changes, gaps, heartbeat, incidents, outbox, quarantine
from center.domain import posts
from center.domain.incident_texts import title
from center.ids import new_id
from center.ingest import slots
from center.ingest.gaps import CLASSES
from center.settings import Settings, state_dir

ROW: Final = "selfwatch"
UPKEEP: Final = "upkeep"
"""The lease of whoever does what center/ingest/upkeep.py says, and how the rows begin that say how far it is."""
EVERY_MS: Final = 5_000
MISSING_MS: Final = 30_000
ABANDONED_MS: Final = 86_400_000
"""A worker that was not heard for so long was taken away for good."""
LAG_MS: Final = 60_000
OUTBOX_MS: Final = 300_000
GAP_TERMINALS: Final = 10
"""So many terminals of whom something is missing since within the hour: then it is not the terminals."""
DISK_SHARE: Final = 0.1
DISK_BYTES: Final = 1 << 30
CERTIFICATE_DAYS: Final = 30
HOLD_MS: Final = 60_000
_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class Reading:
    """One thing that was looked at. `value` is None where it could not be measured, and `text` says why."""

    key: str
    """What, and of whom: `worker:ingest-main-1`, `disk`, `certificate:FILE` …"""
    value: float | None
    unit: str
    wrong: bool
    severity: str
    text: str

    def to_json(self) -> dict[str, Any]:
        return {
            "key": self.key,
            "value": self.value,
            "unit": self.unit,
            "state": "unknown" if self.value is None else "wrong" if self.wrong else "right",
            "severity": self.severity,
            "text": self.text,
        }


class SelfWatch:
    """An engine that may also be stepped by any other process."""

    name = ROW

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        self._looked_ms = 0
        self._began_ms: int | None = None

    def step(self, now_ms: int) -> bool:
        """Look every few seconds. Never has more to do at once."""
        if now_ms - self._looked_ms < EVERY_MS:
            return False
        self._looked_ms = now_ms
        if self._began_ms is None:
            self._began_ms = now_ms
        settled = now_ms - self._began_ms >= MISSING_MS  # at a start the others may not have begun yet
        with self._database.read() as connection:
            found = readings(connection, now_ms)
        found += [*_disks(self._database), *_certificates(self._settings, now_ms)]
        with self._database.begin() as connection:
            _keep(connection, found, settled, now_ms)
        return False


@dataclass(frozen=True, slots=True)
class Health:
    """What the last look found, by the row that `SelfWatch` keeps."""

    looked: bool
    """Whether there was one at all."""
    wrong: tuple[Mapping[str, Any], ...]
    """Readings as Reading.to_json gives them; one of its own if the last look is too old."""


def health(connection: Connection, now_ms: int) -> Health:
    """How the center was when it last looked."""
    row = connection.execute(select(heartbeat).where(heartbeat.c.name == ROW)).first()
    if row is None:
        return Health(looked=False, wrong=())
    wrong = [each for each in (row.data or {}).get("readings", ()) if each["state"] == "wrong"]
    if now_ms - row.at_ms > 2 * MISSING_MS:
        wrong.append(_beat(f"worker:{ROW}", row, now_ms).to_json())
    return Health(looked=True, wrong=tuple(wrong))


def readings(connection: Connection, now_ms: int) -> list[Reading]:
    """What the database tells of the center's health."""
    rows = {row.name: row for row in connection.execute(select(heartbeat))}
    found = [*_workers(rows, now_ms), *_engines(rows, now_ms)]
    cursors = ((name, row.data["id"]) for name, row in rows.items() if set(row.data or ()) == {"id"})
    found += [_lag(connection, name.removeprefix("cursor-"), cursor, now_ms) for name, cursor in cursors]
    found += _upkeep(connection, rows, now_ms)
    return [*found, _outbox(connection, now_ms), _gaps(connection, now_ms), _aside(connection, now_ms)]


def _workers(rows: dict[str, Any], now_ms: int) -> Iterable[Reading]:
    workers = {name: row for name, row in rows.items() if name.startswith("ingest-")}
    workers = {name: row for name, row in workers.items() if now_ms - row.at_ms < ABANDONED_MS}
    if not workers:
        yield Reading("worker:ingest", 0, "workers", True, "critical", "no worker takes in what terminals say")
    for name, row in workers.items():
        yield _beat(f"worker:{name}", row, now_ms)
        state, oldest_ms = row.data.get("state", ""), row.data.get("oldest_ms", 0)
        away = state not in {"listening", "starting"} and now_ms - row.at_ms <= MISSING_MS
        yield Reading(f"broker:{name}", float(not away), "", away, "critical", row.data.get("problem") or state)
        times, out = row.data.get("thrown_out", 0), state == slots.THROWN_OUT and now_ms - row.at_ms <= MISSING_MS
        yield Reading(f"name:{name}", times, "times", out, "critical", "thrown out by another center of its name")
        yield Reading(f"lag:{name}", oldest_ms / 1000, "s", oldest_ms > LAG_MS, "major", "age of the oldest batch")
    ends = [row.data["certificate_ends_ms"] for row in workers.values() if row.data.get("certificate_ends_ms")]
    if ends:
        yield _certificate("certificate:broker", min(ends), "until the broker's own expires", now_ms)


def _engines(rows: dict[str, Any], now_ms: int) -> Iterable[Reading]:
    if "engines" in rows:
        yield _beat("worker:engines", rows["engines"], now_ms)
    for name, row in rows.items():
        if name.startswith("engine-") and row.data is not None:
            problem = row.data.get("problem", "")
            yield Reading(f"engine:{name[7:]}", float(not problem), "", bool(problem), "critical", problem or "well")


def _beat(key: str, row: Any, now_ms: int) -> Reading:
    age_s = max(0, now_ms - row.at_ms) / 1000
    return Reading(key, age_s, "s", age_s > MISSING_MS / 1000, "critical", "since its last sign of life")


def _lag(connection: Connection, name: str, cursor: int, now_ms: int) -> Reading:
    next_one = select(changes.c.at_ms).where(changes.c.id > cursor).order_by(changes.c.id).limit(1)
    oldest_ms = connection.execute(next_one).scalar()
    lag_s = 0.0 if oldest_ms is None else max(0, now_ms - oldest_ms) / 1000
    return Reading(f"lag:{name}", lag_s, "s", lag_s > LAG_MS / 1000, "major", "age of what it has not read yet")


def _upkeep(connection: Connection, rows: dict[str, Any], now_ms: int) -> Iterable[Reading]:
    """Whoever looks after the store, and how old what it has not summed up is. It follows by time, a while behind."""
    if UPKEEP in rows:
        yield _beat(f"worker:{UPKEEP}", rows[UPKEEP], now_ms)
    for cls, table in CLASSES.items():
        stored = rows.get(f"{UPKEEP}-{cls}")
        if stored is not None:
            left = table.c.received_ms >= stored.data["received_ms"]
            oldest_ms = connection.execute(select(func.min(table.c.received_ms)).where(left)).scalar()
            lag_s = 0.0 if oldest_ms is None else max(0, now_ms - feed.SETTLED_MS - oldest_ms) / 1000
            yield Reading(
                f"lag:{UPKEEP}-{cls}", lag_s, "s", lag_s > LAG_MS / 1000, "major", "age of what is not summed"
            )


def _aside(connection: Connection, now_ms: int) -> Reading:
    lately = quarantine.c.at_ms > now_ms - _HOUR_MS, quarantine.c.topic.startswith(ASIDE)
    n = int(connection.execute(select(func.count()).select_from(quarantine).where(*lately)).scalar_one())
    return Reading("aside", n, "rows", n > 0, "major", "could not be dealt with and were put aside this hour")


def _outbox(connection: Connection, now_ms: int) -> Reading:
    overdue = outbox.c.state == posts.WAITING, outbox.c.not_before_ms < now_ms - OUTBOX_MS
    n = int(connection.execute(select(func.count()).select_from(outbox).where(*overdue)).scalar_one())
    return Reading("outbox", n, "rows", n > 0, "major", "should have been sent five minutes ago")


def _gaps(connection: Connection, now_ms: int) -> Reading:
    lately = gaps.c.closed_ms.is_(None), gaps.c.found_ms > now_ms - _HOUR_MS
    some = select(gaps.c.estate, gaps.c.terminal).where(*lately).distinct().subquery()
    n = int(connection.execute(select(func.count()).select_from(some)).scalar_one())
    return Reading(
        "gaps", n, "terminals", n >= GAP_TERMINALS, "major", "of which messages are missing, found this hour"
    )


def _disks(database: Database) -> Iterable[Reading]:
    if database.dialect == "sqlite":
        yield _disk("disk", Path(database.url.database or ".").parent)
        return
    yield _disk("disk:state", state_dir())
    server = database.url.host or "this machine"
    yield Reading("disk:database", None, "bytes", False, "major", f"it is PostgreSQL's at {server}; watch it there")


def _disk(key: str, where: Path) -> Reading:
    try:
        usage = shutil.disk_usage(where)
    except OSError as error:
        return Reading(key, None, "bytes", False, "major", f"{where}: {error.strerror}")
    wrong = usage.free < DISK_BYTES or usage.free < DISK_SHARE * usage.total
    return Reading(key, usage.free, "bytes", wrong, "critical", f"free at {where}")


def _certificates(settings: Settings, now_ms: int) -> Iterable[Reading]:
    for file in (settings.mqtt_ca_file, settings.mqtt_certificate_file):
        if not file:
            continue
        key = f"certificate:{Path(file).name}"
        try:
            several = x509.load_pem_x509_certificates(Path(file).read_bytes())
        except (OSError, ValueError) as error:
            yield Reading(key, None, "days", False, "major", f"{file}: {str(error).splitlines()[0]}")
            continue
        ends_ms = min(each.not_valid_after_utc.timestamp() for each in several) * 1000
        yield _certificate(key, ends_ms, f"until {file} expires", now_ms)


def _certificate(key: str, ends_ms: float, text: str, now_ms: int) -> Reading:
    days = (ends_ms - now_ms) / _DAY_MS
    severity = "critical" if days < 7 else "major"
    return Reading(key, round(days, 1), "days", days < CERTIFICATE_DAYS, severity, text)


# --- as incidents -----------------------------------------------------------------------------------------------------


def _keep(connection: Connection, found: list[Reading], settled: bool, now_ms: int) -> None:
    """Write the readings, open incidents for what is wrong, and resolve what has been right for a while."""
    feed.lock(connection)  # whoever else watches takes turns with us
    upsert(
        connection,
        heartbeat,
        [{"name": ROW, "at_ms": now_ms, "data": {"readings": [each.to_json() for each in found]}}],
    )
    mine = select(incidents).where(incidents.c.estate == "", incidents.c.scope == "center")
    known = {row.scope_key: row for row in connection.execute(mine.where(incidents.c.state != "resolved"))}
    wrong = {each.key: each for each in found if each.wrong}
    unsure = {each.key for each in found if each.value is None}
    told = [_open(connection, each, now_ms) for key, each in wrong.items() if settled and key not in known]
    for key, row in known.items():
        if key in wrong:
            _update(connection, row, last_ms=now_ms, quiet_since_ms=None, why=wrong[key].to_json())
        elif key not in unsure and row.quiet_since_ms is None:
            _update(connection, row, quiet_since_ms=now_ms)
        elif key not in unsure and now_ms - row.quiet_since_ms >= HOLD_MS:
            _update(connection, row, state="resolved", resolved_ms=now_ms)
            insert_ignore(connection, outbox, [_over(row, now_ms)])
            told.append(row.id)
    feed.append(connection, [("incident", "", None, each) for each in told], now_ms)


def _update(connection: Connection, row: Any, **values: Any) -> None:
    connection.execute(update(incidents).where(incidents.c.id == row.id).values(values))


def _open(connection: Connection, reading: Reading, now_ms: int) -> str:
    incident_id = new_id("inc", now_ms)
    named = title("center", reading.key, "", "", "en")
    new = {
        "id": incident_id,
        "estate": "",
        "scope": "center",
        "scope_key": reading.key,
        "severity": reading.severity,
        "state": "open",
        "title": named,
        "why": reading.to_json(),
        "opened_ms": now_ms,
        "last_ms": now_ms,
    }
    connection.execute(insert(incidents).values(new))
    body = (
        f"{reading.key}: {reading.text}" if reading.value is None else f"{reading.key}: {reading.value} {reading.text}"
    )
    insert_ignore(connection, outbox, [_notice("center.alarm", incident_id, reading.severity, named, body, now_ms)])
    return incident_id


def _over(row: Any, now_ms: int) -> dict[str, Any]:
    """The end of an alarm, to whoever hears of alarms."""
    body = f"{row.scope_key}: right again since {wire.timestamp(row.quiet_since_ms / 1000)}"
    return _notice("center.alarm.over", row.id, row.severity, f"over: {row.title}", body, now_ms)


def _notice(event: str, incident_id: str, severity: str, subject: str, body: str, now_ms: int) -> dict[str, Any]:
    facts = {"estate": "", "incident": incident_id, "severity": severity, "scope": "center"}
    return posts.notify(f"{event}-{incident_id}", event, now_ms, subject=subject, body=body, facts=facts)
