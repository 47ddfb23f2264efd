"""A visit that the center announces: parts may change during one, so where there are command keys it must be signed.

Without keys the case's own `work_order_until` is believed, as on a closed test network everything is.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any, Final

from agent import wire
from agent.commands import Refusal, ask_child
from agent.config import Config

log = logging.getLogger("posdiag.visits")

_NOTHING: Final[dict[str, Any]] = {}


class Announcements:
    """`announce` is given the visit's end, seconds since the epoch, or None for no visit; from a thread of its own."""

    def __init__(self, config: Config, announce: Callable[[float | None], None]) -> None:
        self._keys_file = config.commands.keys_file
        self._aud = f"{config.terminal.estate}/{config.terminal.id}"
        self._announce = announce
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._wanted = ""
        self._judged: str | None = None

    def take(self, payload: bytes) -> None:
        """What came on topic `case`; retained, so the same comes with each connection."""
        case = _case(payload)
        if not self._keys_file:
            self._announce(_end(case.get("work_order_until")))
            return
        visit = case.get("visit")
        if not visit and case.get("work_order_until"):
            log.warning("a visit is announced, and not believed: it is not signed")
        with self._lock:
            self._wanted = visit if isinstance(visit, str) else ""
            if self._thread is None and self._wanted != self._judged:
                self._thread = threading.Thread(target=self._judge, name="visit", daemon=True)
                self._thread.start()

    def _judge(self) -> None:
        """Only the newest counts; a child takes part of a second for each."""
        while True:
            with self._lock:
                visit = self._wanted
                if visit == self._judged:
                    self._thread = None
                    return
                self._judged = visit
            self._announce(self._signed_end(visit) if visit else None)

    def _signed_end(self, visit: str) -> float | None:
        try:
            answer = ask_child("visit", visit.encode(), self._keys_file)
        except Refusal as refusal:
            answer = {"error": str(refusal)}
        body = wire.VisitBody(**answer["ok"]) if "ok" in answer else None
        if body is not None and body.aud == self._aud:
            return float(body.until)
        log.warning("a visit is announced, and not believed: %s", answer.get("error", "it is for another terminal"))
        return None


def _case(payload: bytes) -> dict[str, Any]:
    if not payload or len(payload) > wire.MAX_PACKET_BYTES:
        return _NOTHING
    try:
        case = wire.loads(payload)
    except ValueError:
        return _NOTHING
    return case if isinstance(case, dict) else _NOTHING


def _end(told: object) -> float | None:
    try:
        return wire.epoch(told) if isinstance(told, str) else None
    except wire.WireError:
        return None
