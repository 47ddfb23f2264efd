"""What the core needs of those that deliver."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from agent import wire


class Queue(Protocol):
    """What the core needs of the outbox."""

    def put_all(
        self,
        messages: Sequence[tuple[wire.QueuedClass, Mapping[str, Any], str]],
        *,
        faults: Mapping[str, str | None] | None = None,
        wake: bool = True,
    ) -> list[int]:
        """Keep (class, body without header, topic suffix or "") and faults' texts; on disk at return."""


class Publisher(Protocol):
    """What the core needs of the uplink."""

    def publish_retained(self, suffix: str, payload: bytes, kind: str) -> None:
        """Send the value now if connected, and again after each connect. `kind` is a row of wire.DELIVERY."""

    def refresh_state(self) -> None:
        """The verdict changed: ask for the state message again and send it."""

    def resend(self) -> None:
        """Give all present values to the broker again, the state too."""
