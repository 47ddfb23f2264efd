"""Records of reading, gathered in memory and written a few times a second.

Reading a list must not wait for a disk. What changes something is recorded by `audit.append` in its own transaction
instead; only the last moments of reading are lost when the process is killed.
"""

from __future__ import annotations

import logging
import threading

from sqlalchemy import update
from sqlalchemy.exc import DBAPIError

from center.access import audit
from center.access.audit import Entry
from center.db.engine import Database, reason
from center.db.tables import sessions, tokens

log = logging.getLogger("posdiag.center.audit")

FLUSH_S = 0.5
_MOST = 100_000


class Recorder:
    """Writes in a thread of its own until `stop`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._entries: list[Entry] = []
        self._used: dict[tuple[str, str], int] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._write_always, name="audit", daemon=True)
        self._thread.start()

    def note(self, entry: Entry) -> None:
        """Have it recorded soon. Raises OverflowError when the database has been away for too long to go on blindly."""
        with self._lock:
            if len(self._entries) >= _MOST:
                raise OverflowError("reading cannot be recorded now")
            self._entries.append(entry)

    def used(self, kind: str, name: str, at_ms: int) -> None:
        """Note when a `token` or `session` was last used."""
        with self._lock:
            self._used[kind, name] = at_ms

    def flush(self) -> None:
        """Write what is there now. Raises DBAPIError, with nothing lost."""
        with self._lock:
            entries, self._entries = self._entries, []
            used, self._used = self._used, {}
        if not entries and not used:
            return
        try:
            with self._database.begin() as connection:
                for (kind, name), at_ms in used.items():
                    table = tokens if kind == "token" else sessions
                    connection.execute(update(table).where(table.c.id == name).values(last_used_ms=at_ms))
                audit.append(connection, entries)
        except DBAPIError:
            with self._lock:
                self._entries = entries + self._entries
                self._used = used | self._used
            raise

    def stop(self) -> None:
        """Write the rest and end."""
        self._stopping.set()
        self._thread.join()

    def _write_always(self) -> None:
        ending = False
        while not ending:
            ending = self._stopping.wait(FLUSH_S)
            try:
                self.flush()
            except DBAPIError as error:
                log.warning("what was read could not be recorded yet: %s", reason(error))
