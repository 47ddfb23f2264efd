"""Which worker is which: each holds a numbered slot in `heartbeat`, and its slot names its session at the broker.

A worker that comes back after a crash takes the slot that it left, and with it what the broker kept for it meanwhile.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

from sqlalchemy import delete, select

from center.db.engine import Database, upsert
from center.db.lease import alive, me
from center.db.tables import heartbeat
from center.ingest.batch import Counts

STALE_MS: Final = 20_000
THROWN_OUT: Final = "thrown out"
"""The state of a worker that keeps out, because another center has its name."""
_PREFIX: Final = "ingest-"


@dataclass(frozen=True, slots=True)
class Slot:
    """A slot that is ours; `number` counts from 1."""

    number: int
    center: str

    @property
    def name(self) -> str:
        """Its row in `heartbeat`."""
        return f"{_PREFIX}{self.center}-{self.number}"


def take(database: Database, center: str, now_ms: int) -> Slot:
    """The lowest slot whose worker is gone: without a beat for `STALE_MS`, or dead on this machine."""
    with database.begin() as connection:
        rows = {row.name: row for row in connection.execute(select(heartbeat).with_for_update())}
        number = 1
        while alive(rows.get(Slot(number, center).name), now_ms, STALE_MS):
            number += 1
        slot = Slot(number, center)
        upsert(connection, heartbeat, [_row(slot, {"state": "starting"}, now_ms)])
    return slot


def beat(database: Database, slot: Slot, counts: Counts, told: dict[str, Any], now_ms: int) -> bool:
    """Say that we live, and how we are. Returns False when another worker has taken the slot."""
    row = _row(slot, asdict(counts) | told, now_ms)
    with database.begin() as connection:
        held = connection.execute(select(heartbeat.c.data).where(heartbeat.c.name == slot.name)).scalar()
        if held is not None and not _ours(held):
            return False
        upsert(connection, heartbeat, [row])
    return True


def leave(database: Database, slot: Slot) -> None:
    """Free the slot, if it is still ours."""
    with database.begin() as connection:
        held = connection.execute(select(heartbeat.c.data).where(heartbeat.c.name == slot.name)).scalar()
        if held is not None and _ours(held):
            connection.execute(delete(heartbeat).where(heartbeat.c.name == slot.name))


def _ours(data: dict[str, Any]) -> bool:
    return data.items() >= me().items()


def _row(slot: Slot, data: dict[str, Any], now_ms: int) -> dict[str, Any]:
    return {"name": slot.name, "at_ms": now_ms, "data": me() | data}
