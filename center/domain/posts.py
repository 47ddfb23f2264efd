"""Rows of `outbox` that are MQTT messages: committed with the decision to send them, published after it.

The payload of such a row is JSON: `topic` · `payload` in base64 · `qos` · `retain` · `until_ms`, after which it is
not sent any more and which bounds the message's expiry, null for none · `response_topic` and `correlation` (base64),
null for none. Whoever publishes them may do so twice after a kill, never not at all.
"""

from __future__ import annotations

import base64
from typing import Any, Final

WAITING: Final = "waiting"
DONE: Final = "done"
"""The broker has it."""
FAILED: Final = "failed"
"""Given up; `error` says why."""


def mqtt(
    key: str,
    topic: str,
    payload: bytes,
    now_ms: int,
    *,
    retain: bool = False,
    until_ms: int | None = None,
    response_topic: str | None = None,
    correlation: bytes | None = None,
) -> dict[str, Any]:
    """A row of `outbox`. A second row with the same `key` is not taken, so a repeated decision sends nothing twice."""
    message = {
        "topic": topic,
        "payload": base64.b64encode(payload).decode(),
        "qos": 1,
        "retain": retain,
        "until_ms": until_ms,
        "response_topic": response_topic,
        "correlation": None if correlation is None else base64.b64encode(correlation).decode(),
    }
    return {
        "kind": "mqtt",
        "key": key,
        "payload": message,
        "not_before_ms": now_ms,
        "state": WAITING,
        "created_ms": now_ms,
    }
