"""What one member of a fleet has to send: present values, of which only the latest exists, and rows that wait.

Rows are kept until the broker has acknowledged them. What does not fit is given up with a receipt (`store.gap`).
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from agent import wire
from agent.packing import deflate

MOST_ROWS: Final = 400
_GIVEN_UP: Final = 40  # telemetry rows that go at once when there are too many
_CLASSES: Final = ("event", "result", "telemetry")


@dataclass(frozen=True, slots=True)
class Message:
    """One PUBLISH; `row` is the number of the row that it carries, 0 for a present value."""

    suffix: str
    payload: bytes
    retain: bool
    expiry_s: int | None
    content_type: str = wire.CONTENT_JSON
    row: int = 0


@dataclass(frozen=True, slots=True)
class _Row:
    number: int
    cls: wire.QueuedClass
    boot: int
    seq: int
    suffix: str
    payload: bytes


@dataclass(slots=True)
class _Value:
    payload: bytes
    kind: str
    since: float


@dataclass(slots=True)
class Outbox:
    """Everything that waits. `now` is monotonic seconds, `header` what every message of this moment carries."""

    now: Callable[[], float]
    header: Callable[[], dict[str, Any]]
    given_up: int = 0
    _values: dict[str, _Value] = field(default_factory=dict)
    _dirty: dict[str, None] = field(default_factory=dict)
    _rows: dict[int, _Row] = field(default_factory=dict)
    _fresh: deque[_Row] = field(default_factory=deque)
    _backlog: deque[_Row] = field(default_factory=deque)
    _end: int = 0
    _last: int = 0
    _seq: dict[str, int] = field(default_factory=dict)

    # --- in

    def value(self, suffix: str, payload: bytes, kind: str) -> None:
        """Replace a present value; `kind` is a key of `wire.DELIVERY`."""
        self._values[suffix] = _Value(payload, kind, self.now())
        self._dirty[suffix] = None

    def row(self, cls: wire.QueuedClass, body: Mapping[str, Any], suffix: str = "") -> None:
        """Add one message of a queued class; a body may bring its own `at` and `up_ms`."""
        if len(self._rows) >= MOST_ROWS:
            self._make_room()
        self._add(cls, body, suffix)

    def _add(self, cls: wire.QueuedClass, body: Mapping[str, Any], suffix: str) -> None:
        head = self.header()
        seq = self._seq[cls] = self._seq.get(cls, 0) + 1
        ordered = {"v": 1, **head, **body, "boot": head["boot"], "seq": seq}
        self._last += 1
        row = _Row(self._last, cls, head["boot"], seq, suffix or cls, wire.dumps(ordered))
        self._rows[row.number] = row
        self._fresh.append(row)

    def _make_room(self) -> None:
        """Give up the oldest telemetry, with one receipt for each boot."""
        gone = [row for row in self._rows.values() if row.cls == "telemetry"][:_GIVEN_UP]
        of_boots: dict[int, list[int]] = {}
        for row in gone:
            del self._rows[row.number]
            of_boots.setdefault(row.boot, []).append(row.seq)
        self.given_up += len(gone)
        for boot, seqs in of_boots.items():
            gap = {
                "class": "telemetry",
                "boot": boot,
                "first": seqs[0],
                "last": seqs[-1],
                "n": len(seqs),
                "why": "full",
            }
            self._add("event", {"event": "store.gap", "data": gap}, "")

    def new_boot(self) -> None:
        """Values and numbers begin anew; rows are on disk and stay."""
        self._values.clear()
        self._dirty.clear()
        self._seq.clear()

    # --- out

    def connected(self) -> None:
        """A connection begins: all values again, and what waited goes in its order, the newest telemetry first."""
        self._dirty.update(dict.fromkeys(self._values))
        self._end = self._last
        self._fresh.clear()
        waiting = {cls: [row for row in self._rows.values() if row.cls == cls] for cls in _CLASSES}
        waiting["telemetry"].reverse()
        self._backlog = deque(row for cls in _CLASSES for row in waiting[cls])

    def values(self, limit: int) -> Iterator[Message]:
        """Present values that the broker has not been given; those that have outlived their expiry are forgotten."""
        while self._dirty and limit > 0:
            suffix = next(iter(self._dirty))
            del self._dirty[suffix]
            value = self._values[suffix]
            expiry_s = wire.DELIVERY[value.kind].expiry_s
            if expiry_s is not None:
                expiry_s -= int(self.now() - value.since)
                if expiry_s <= 0:
                    del self._values[suffix]
                    continue
            limit -= 1
            yield Message(suffix, value.payload, True, expiry_s)

    def fresh(self) -> Message | None:
        """The next row of this connection's own time."""
        return self._next(self._fresh)

    def backlog(self) -> Message | None:
        """The next row of before this connection."""
        return self._next(self._backlog)

    def _next(self, rows: deque[_Row]) -> Message | None:
        while rows:
            row = rows.popleft()
            if row.number in self._rows:
                return self._message(row)
        return None

    def _message(self, row: _Row) -> Message:
        payload, content_type = row.payload, wire.CONTENT_JSON
        if row.number <= self._end:
            payload = payload[:-1] + b',"late":true}'
        if row.cls == "telemetry":
            payload, content_type = deflate(payload)
        return Message(row.suffix, payload, False, wire.DELIVERY[row.cls].expiry_s, content_type, row.number)

    def acknowledged(self, row: int) -> None:
        """The broker has it."""
        self._rows.pop(row, None)

    @property
    def waiting(self) -> int:
        """Rows that the broker has not acknowledged."""
        return len(self._rows)

    def depth(self) -> dict[str, int]:
        """The same by class."""
        return dict(Counter(row.cls for row in self._rows.values()))

    @property
    def draining(self) -> bool:
        """Whether something of before this connection waits to be sent."""
        return bool(self._backlog)
