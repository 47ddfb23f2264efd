"""Rows of `outbox`: committed with the decision that causes them, sent after it.

The payload of an MQTT message is JSON: `topic` · `payload` in base64 · `qos` · `retain` · `until_ms`, after which it is
not sent any more and which bounds the message's expiry, null for none · `response_topic` and `correlation` (base64),
null for none. Whoever publishes them may do so twice after a kill, never not at all.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
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


def notify(
    key: str, event: str, now_ms: int, *, subject: str, body: str, facts: Mapping[str, Any], bulk: bool = False
) -> dict[str, Any]:
    """A row of `outbox` that tells people. `event` is what channels filter by, such as `case.breach`.

    What is `bulk` goes out when nothing else waits.

    Its payload: `event` · `subject` · `body` · and the facts, among them those that it is about: `estate`, `terminal`,
    `site`, `severity`, and `to`, a list of contacts, where somebody outside of the center is told.
    """
    return {
        "kind": "notify",
        "key": key,
        "payload": {**facts, "event": event, "subject": subject, "body": body},
        "not_before_ms": now_ms,
        "state": WAITING,
        "created_ms": now_ms,
        "bulk": bulk,
    }
