"""One row that cannot be dealt with must not stop all that come after it: it is put into quarantine, and told."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from sqlalchemy import Connection, insert
from sqlalchemy.exc import DBAPIError

from center.db.engine import is_poison, reason
from center.db.tables import quarantine

log = logging.getLogger("posdiag.center.aside")

ASIDE: Final = "aside/"
"""How the topics of such rows begin, among those of messages that the ingest refused."""
PATIENCE: Final = 3
"""So often something may fail before it is looked for what is to blame: it may have been something passing."""
T = TypeVar("T")


def apart(connection: Connection, some: Sequence[T], work: Callable[[Sequence[T]], object]) -> list[tuple[T, str]]:
    """Do the work with all of them, by halves where it fails. Returns those that it fails with, each with why.

    What was begun with those is undone. Raises DBAPIError where the database itself is to blame.
    """
    if not some:
        return []
    try:
        with connection.begin_nested():
            work(some)
    except Exception as error:  # of one of them, which is looked for: the others must not wait for it for ever
        if not is_poison(error):
            raise
        if len(some) == 1:
            if not isinstance(error, DBAPIError):  # of ours: whoever mends it needs to know where it was
                log.exception("one of many cannot be dealt with")
            return [(some[0], why(error))]
        middle = len(some) // 2
        return [*apart(connection, some[:middle], work), *apart(connection, some[middle:], work)]
    return []


def why(error: Exception) -> str:
    """What failed, in one line."""
    if isinstance(error, DBAPIError):
        return f"the database: {reason(error)}"
    return f"{type(error).__name__}: {error}".splitlines()[0][:300]


def put_aside(connection: Connection, topic: str, why: str, head: str, at_ms: int) -> None:
    """Into quarantine: `topic` says what it was, `head` how it is found."""
    topic = ASIDE + topic
    log.error("put aside: %s (%s): %s", topic, head, why)
    values = {"topic": topic, "why": why.replace("\0", ""), "head": head.encode(), "size": 0, "at_ms": at_ms}
    connection.execute(insert(quarantine).values(values))
