"""The order in which what waited through an outage leaves, beside what is new."""

from __future__ import annotations

from agent.outbox import Outbox
from agent.rows import CLASSES, Row
from agent.wire import QueuedClass


class Drain:
    """One connection's way through the outbox: what is new at once, what waited in the drain's order.

    Made when a connection begins; that moment is the outage's end.
    """

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._end = outbox.last_id()
        self._live = self._end
        self._bounds: dict[QueuedClass, tuple[int, int]] = dict.fromkeys(CLASSES, (0, self._end))
        self.done = False

    def is_late(self, row: Row) -> bool:
        """Whether the row is older than the outage's end."""
        return row.id <= self._end

    def live(self, limit: int) -> list[Row]:
        """Rows that came since the connection began, oldest first; each is given once."""
        rows = self._outbox.after(self._live, limit)
        if rows:
            self._live = rows[-1].id
        return rows

    def backlog(self, limit: int) -> list[Row]:
        """Rows from before: events in order, then results, then telemetry newest first; each is given once."""
        for cls in CLASSES:
            newest_first = cls == "telemetry"
            low, high = self._bounds[cls]
            rows = self._outbox.between(cls, low, high, limit, newest_first=newest_first)
            if rows:
                self._bounds[cls] = (low, rows[-1].id - 1) if newest_first else (rows[-1].id, high)
                return rows
        self.done = True
        return []
