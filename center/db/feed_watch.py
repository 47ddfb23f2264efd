"""Wakes this process when another one has appended to the feed of changes.

PostgreSQL notifies. Of SQLite's file it is asked at short intervals whether anybody has committed, which costs no more
than to read a counter in shared memory.
"""

from __future__ import annotations

import threading
from contextlib import closing, suppress
from typing import Any, Final

from sqlalchemy.exc import DBAPIError

from center.db.engine import Database
from center.db.feed import CHANNEL

_LOOK_S: Final = 0.05
_WAIT_S: Final = 0.5
"""How long it takes at most to notice that it is to stop."""
_AGAIN_S: Final = 1.0


class FeedWatch:
    """Tells `database.fed` of what other processes append to the feed, from a thread of its own, until `close`.

    While the database cannot be reached nobody is told; who follows the feed looks now and then all the same.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="feed-watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Returns within a second."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        watch = self._listen if self._database.dialect == "postgresql" else self._look
        broken = self._database.engine.dialect.loaded_dbapi.Error
        while not self._stopping.is_set():
            with suppress(DBAPIError, broken), closing(self._database.engine.raw_connection()) as pooled:
                connection = pooled.dbapi_connection
                pooled.detach()  # it is of no use to others any more
                self._database.fed.tell()  # of whatever came while nobody watched
                watch(connection)
            self._stopping.wait(_AGAIN_S)

    def _listen(self, connection: Any) -> None:
        connection.rollback()
        connection.autocommit = True
        connection.execute(f"LISTEN {CHANNEL}")
        while not self._stopping.is_set():
            if [*connection.notifies(timeout=_WAIT_S, stop_after=1)]:
                self._database.fed.tell()

    def _look(self, connection: Any) -> None:
        version = head = -1
        while not self._stopping.wait(_LOOK_S):
            before, (version,) = version, connection.execute("PRAGMA data_version").fetchone()
            if version == before:
                continue
            known, (head,) = head, connection.execute("SELECT max(id) FROM changes").fetchone()
            if head != known:
                self._database.fed.tell()
