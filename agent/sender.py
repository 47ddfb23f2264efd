"""What goes out on one connection, and in which order: live rows, present values, then what waited.

Knows no MQTT library. A row is settled only by a PUBACK that says success. Present values are sent, never queued: only
the latest exists.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Protocol

from agent.clock import Clock
from agent.drain import Drain
from agent.outbox import Outbox
from agent.packing import deflate
from agent.rows import Row
from agent.wire import CONTENT_JSON, DELIVERY

WINDOW: Final = 20  # messages in flight; with hundreds the client library's rate falls by half
LIVE_ROOM: Final = 4  # of the window stay free of the backlog, so that a new event never waits for old ones
SETTLE_ROWS: Final = 16
SETTLE_S: Final = 1.0  # acknowledged rows leave the disk in groups; a crash in between sends them twice
RETRY_S: Final = 60.0  # a broker that refuses a message (its quota, its access list) is asked again
REFUSED: Final = 0x80  # reason codes from here on mean failure
NEVER: Final = frozenset({0x90, 0x99})  # topic name, payload format: the same message will be refused again
BURST_S: Final = 0.1  # how much of the drain's rate may go out at once after a pause


@dataclass(frozen=True, slots=True)
class Message:
    """One PUBLISH."""

    suffix: str
    payload: bytes
    qos: int
    retain: bool
    expiry_s: int | None
    content_type: str = CONTENT_JSON


@dataclass(slots=True)
class _Value:
    payload: bytes
    kind: str
    since: float
    delivered: bool = False


class Retained:
    """The present values by topic suffix, and which of them the broker has not been given. Thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._values: dict[str, _Value] = {}
        self._dirty: dict[str, None] = {}

    def set(self, suffix: str, payload: bytes, kind: str) -> None:
        """Replace a value; empty for one that the broker shall forget. `kind` is a key of `wire.DELIVERY`."""
        if not DELIVERY[kind].retain:
            raise ValueError(f"{kind} is not retained")
        with self._lock:
            self._values[suffix] = _Value(payload, kind, self._clock.up_s())
            self._dirty[suffix] = None

    def mark(self, suffix: str | None = None) -> None:
        """Give one value, or all, to the broker (again)."""
        with self._lock:
            self._dirty.update(dict.fromkeys(self._values if suffix is None else [suffix]))

    def mark_unheard(self) -> None:
        """Give to the broker what it has not acknowledged as it is, and the digest, by which the center checks it."""
        with self._lock:
            self._dirty.update({suffix: None for suffix, value in self._values.items() if not value.delivered})
            if "faults" in self._values:
                self._dirty["faults"] = None

    def take(self, limit: int) -> list[Message]:
        """Values to send now. What has outlived its expiry is forgotten instead."""
        with self._lock:
            messages: list[Message] = []
            while self._dirty and len(messages) < limit:
                suffix = next(iter(self._dirty))
                del self._dirty[suffix]
                message = self._message(suffix)
                if message is not None:
                    messages.append(message)
            return messages

    def _message(self, suffix: str) -> Message | None:
        value = self._values.get(suffix)
        if value is None:
            return None
        expiry_s = DELIVERY[value.kind].expiry_s
        if expiry_s is not None:
            # Sending a cleared fault again at each reconnect must not lengthen its life; a live state is made anew.
            expiry_s -= int(self._clock.up_s() - value.since)
            if expiry_s <= 0:
                del self._values[suffix]
                return None
        return Message(suffix, value.payload, 1, True, expiry_s)

    def delivered(self, message: Message) -> None:
        """The broker has it; what was to be cleared is gone then."""
        with self._lock:
            value = self._values.get(message.suffix)
            if value is None or value.payload is not message.payload:
                return
            value.delivered = True
            if not value.payload:
                del self._values[message.suffix]


class Toll(Protocol):
    """Who says what may leave on a line that is paid for. `eased` grows when what was held back may go."""

    eased: int

    def allows(self, suffix: str, payload: bytes) -> bool:
        """Whether a message on a topic with this ending may leave now."""


class Free:
    """Everything may leave."""

    eased = 0

    def allows(self, _suffix: str, _payload: bytes) -> bool:
        return True


@dataclass(slots=True)
class _Flying:
    message: Message
    row: Row | None
    sent_at: float


class Sender:
    """One connection's sending side. Used by one thread.

    `publish` sends a message and returns its packet id, or None when the connection is gone. `may_deflate` is whether
    the receiver will learn the content type (MQTT 5). What `toll` does not allow waits until it has eased.
    """

    def __init__(
        self,
        outbox: Outbox,
        retained: Retained,
        clock: Clock,
        publish: Callable[[Message], int | None],
        *,
        window: int = WINDOW,
        max_bytes: int = 0,
        drain_per_s: float,
        may_deflate: bool,
        toll: Toll | None = None,
    ) -> None:
        self.refused = 0
        self.dictionary = b""
        """With it everything is deflated, and telemetry better; see `agent.packing`."""
        self._outbox = outbox
        self._retained = retained
        self._clock = clock
        self._publish = publish
        self._window = max(1, min(window, WINDOW))
        self._max_bytes = max_bytes
        self._gap_s = 1 / drain_per_s
        self._may_deflate = may_deflate
        self._toll = toll or Free()
        self._eased = self._toll.eased
        self._drain = Drain(outbox)
        self._drain_at = clock.monotonic()
        self._retry_at: float | None = None
        self._held_values: set[str] = set()
        self._flying: dict[int, _Flying] = {}
        self._acked: list[Row] = []
        self._settle_at = 0.0

    @property
    def in_flight(self) -> int:
        """Messages without PUBACK."""
        return len(self._flying)

    @property
    def draining(self) -> bool:
        """Whether something of before this connection may still wait."""
        return not self._drain.done

    def pump(self) -> None:
        """Send what may go out now. Cheap when there is nothing."""
        now = self._clock.monotonic()
        if self._toll.eased != self._eased or (self._retry_at is not None and now >= self._retry_at):
            self._eased = self._toll.eased
            self._retry_at = None
            self.close()  # what was acknowledged is not to be met again
            self._drain = Drain(self._outbox)
            while self._held_values:
                self._retained.mark(self._held_values.pop())
        for message in self._retained.take(self._free()):
            if self._toll.allows(message.suffix, message.payload):
                self._send(message, None, now)
            else:
                self._held_values.add(message.suffix)
        for row in self._drain.live(self._free()) if self._free() else ():
            self._send_row(row, now)
        self._drain_at = max(self._drain_at, now - BURST_S)
        while not self._drain.done and now >= self._drain_at and self._free() > min(LIVE_ROOM, self._window - 1):
            sent = [self._send_row(row, now) for row in self._drain.backlog(1)]
            self._drain_at += self._gap_s if any(sent) else self._gap_s / 50
        self._settle(now)

    def _free(self) -> int:
        return max(0, self._window - len(self._flying))

    def _send_row(self, row: Row, now: float) -> bool:
        if any(flying.row is not None and flying.row.id == row.id for flying in self._flying.values()):
            return False
        if not self._toll.allows(row.suffix, row.payload):
            return False
        delivery = DELIVERY[row.cls]
        payload, content_type = row.body(late=self._drain.is_late(row)), CONTENT_JSON
        if row.cls == "telemetry" and self._may_deflate:
            payload, content_type = deflate(payload, self.dictionary)
        if self._max_bytes and len(payload) + 256 > self._max_bytes:
            self._outbox.drop(row, "too_large")
            return False
        self._send(Message(row.suffix, payload, delivery.qos, False, delivery.expiry_s, content_type), row, now)
        return True

    def send(self, message: Message) -> None:
        """Send one more message now."""
        self._send(message, None, self._clock.monotonic())

    def stop_draining(self) -> None:
        """From now on only what is new goes out."""
        self._drain.done = True
        self._retry_at = None

    def _send(self, message: Message, row: Row | None, now: float) -> None:
        mid = self._publish(self._packed(message))
        if mid is not None:
            self._flying[mid] = _Flying(message, row, now)

    def _packed(self, message: Message) -> Message:
        """The inventory stays readable for those who lack the dictionary, because they find it there."""
        if not self.dictionary or message.content_type != CONTENT_JSON or message.suffix == "inventory":
            return message
        payload, content_type = deflate(message.payload, self.dictionary)
        return replace(message, payload=payload, content_type=content_type)

    def acknowledged(self, mid: int, reason_code: int) -> None:
        """A PUBACK came."""
        flying = self._flying.pop(mid, None)
        if flying is None:
            return
        now = self._clock.monotonic()
        if reason_code >= REFUSED:
            self.refused += 1
            if flying.row is None:
                self._held_values.add(flying.message.suffix)
            elif reason_code in NEVER:
                self._outbox.drop(flying.row, "refused")
            self._retry_at = self._retry_at or now + RETRY_S
        elif flying.row is None:
            self._retained.delivered(flying.message)
        else:
            if not self._acked:
                self._settle_at = now + SETTLE_S
            self._acked.append(flying.row)

    def _settle(self, now: float) -> None:
        if self._acked and (not self._flying or len(self._acked) >= SETTLE_ROWS or now >= self._settle_at):
            acked, self._acked = self._acked, []
            self._outbox.settle(acked)

    def close(self) -> None:
        """Settle what was acknowledged, as when the connection is over; the rest stays in the outbox."""
        acked, self._acked = self._acked, []
        self._outbox.settle(acked)

    def waited_s(self) -> float:
        """How long the oldest message in flight has waited for its PUBACK."""
        oldest = next(iter(self._flying.values()), None)
        return 0.0 if oldest is None else self._clock.monotonic() - oldest.sent_at

    def due_at(self) -> float:
        """When `pump` should run again without being woken (monotonic s); infinity for never."""
        due = self._retry_at or float("inf")
        if self._acked:
            due = min(due, self._settle_at)
        if not self._drain.done and self._free() > min(LIVE_ROOM, self._window - 1):
            due = min(due, self._drain_at)
        return due
