"""Messages gathered for one transaction: every queued one, and the newest of each retained topic. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from agent.wire import WireError
from center.ingest import cards, measured
from center.ingest.reader import COLUMNS, QUEUED, Reader

HEAD_BYTES: Final = 256  # of a refused message, kept to tell what it was
CONTACT_MS: Final = 10_000  # how exact `last_contact_ms` is; a row is not written for each message


_LATE: Final = COLUMNS["telemetry"].index("late")
_SAMPLES: Final = COLUMNS["telemetry"].index("samples")


class Message(Protocol):
    """What a broker sent."""

    @property
    def topic(self) -> str: ...
    @property
    def payload(self) -> bytes: ...
    @property
    def retain(self) -> bool: ...


@dataclass(slots=True)
class Counts:
    """What a worker has done since it started."""

    messages: int = 0
    stored: int = 0
    duplicates: int = 0
    refused: int = 0
    card_numbers: int = 0
    deleted: int = 0


@dataclass(slots=True)
class Batch:
    """Rows by kind as `reader.COLUMNS` has them, ready for the writer."""

    queued: dict[str, list[tuple[Any, ...]]] = field(default_factory=lambda: {kind: [] for kind in QUEUED})
    newest: dict[str, dict[tuple[str, ...], tuple[str, tuple[Any, ...]]]] = field(
        default_factory=lambda: {kind: {} for kind in COLUMNS if kind not in QUEUED}
    )
    """Of each retained kind, by (estate, terminal) or (estate, terminal, fault): version and row."""
    contacts: dict[tuple[str, str], bool] = field(default_factory=dict)
    """Who spoke itself, and whether any of it was late."""
    measured: measured.Told = field(default_factory=dict)
    refused: list[dict[str, Any]] = field(default_factory=list)
    """Rows of `quarantine`."""
    messages: int = 0
    card_numbers: int = 0
    deleted: int = 0

    def take(self, reader: Reader, messages: Iterable[Message], now_ms: int) -> None:
        """Take messages in, as `add` does."""
        telemetry, contacts = self.queued["telemetry"], self.contacts
        for message in messages:
            topic, payload, retained = message.topic, message.payload, message.retain
            row = None if retained else reader.quick(topic, payload)
            if row is None:
                self.add(reader, topic, payload, retained=retained, now_ms=now_ms)
                continue
            self.messages += 1
            telemetry.append(row)
            samples = row[_SAMPLES]
            if measured.OPERATOR in samples or measured.CELL in samples:
                measured.note(self.measured, row)
            where = row[:2]
            if row[_LATE] or where not in contacts:
                contacts[where] = row[_LATE]

    def add(self, reader: Reader, topic: str, payload: bytes, *, retained: bool, now_ms: int) -> None:
        """Take one message in. What is not of the contract becomes a row of `quarantine`; nothing is raised."""
        self.messages += 1
        try:
            read = reader.read(topic, payload, retained=retained, now_ms=now_ms)
        except WireError as error:
            self.refuse(topic, payload, str(error), now_ms)
            return
        if read is None:
            self.deleted += 1
            return
        (kind, estate, terminal, about), version, row, late, is_will, card_numbers = read
        self.card_numbers += card_numbers
        where = (estate, terminal)
        queued = self.queued.get(kind)
        if queued is not None:
            queued.append(row)
            if kind == "telemetry":
                measured.note(self.measured, row)
        else:
            newest = self.newest[kind]
            key = (estate, terminal, about) if about else where
            known = newest.get(key)
            if known is None or known[0] < version:
                newest[key] = (version, row)
        if not retained and not is_will:
            self.contacts[where] = late or self.contacts.get(where, False)

    def refuse(self, topic: str, payload: bytes, why: str, now_ms: int) -> None:
        """Keep how it begins, without card numbers."""
        head = cards.redact(payload[: HEAD_BYTES + 32].decode("utf-8", "replace")).encode()[:HEAD_BYTES]
        topic = cards.redact(topic.replace("\0", ""))[:HEAD_BYTES]
        self.refused.append({"topic": topic, "why": why, "head": head, "size": len(payload), "at_ms": now_ms})


class Contacts:
    """Whose sign of life is worth a row: a terminal's is written at most every `CONTACT_MS`."""

    def __init__(self) -> None:
        self._told_ms: dict[tuple[str, str], int] = {}

    def due(self, contacts: Mapping[tuple[str, str], bool], now_ms: int) -> list[tuple[Any, ...]]:
        """Rows (estate, terminal, last_contact_ms, late_ms, created_ms) to write now."""
        return [
            (*where, now_ms, now_ms if late else None, now_ms)
            for where, late in contacts.items()
            if now_ms - self._told_ms.get(where, 0) >= CONTACT_MS
        ]

    def told(self, rows: list[tuple[Any, ...]]) -> None:
        """They are committed."""
        self._told_ms.update(((row[0], row[1]), row[2]) for row in rows)
