"""Consent at the terminal: what nobody may do from afar alone waits here until somebody on the spot says yes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from agent.wire import timestamp


class NoConsent(Exception):
    """It was refused, or nobody said anything; one line."""


@dataclass(slots=True)
class _Question:
    cmd: str
    until: float
    decided: threading.Event = field(default_factory=threading.Event)
    given: bool = False


class Consents:
    """Questions that are open. `changed` is called whenever one comes or goes. Thread-safe."""

    def __init__(self, wall: Callable[[], float], changed: Callable[[], None]) -> None:
        self._wall = wall
        self._changed = changed
        self._lock = threading.Lock()
        self._open: dict[str, _Question] = {}

    def ask(self, command_id: str, cmd: str, wait_s: float, stopping: threading.Event) -> None:
        """Return once somebody gave consent. Raises NoConsent when it is refused or `wait_s` is over."""
        question = _Question(cmd, self._wall() + wait_s)
        with self._lock:
            self._open[command_id] = question
        self._changed()
        end = time.monotonic() + wait_s
        try:
            while not question.decided.wait(min(1.0, max(0.0, end - time.monotonic()))):
                if time.monotonic() >= end or stopping.is_set():
                    break
        finally:
            with self._lock:
                del self._open[command_id]
            self._changed()
        if not question.decided.is_set():  # only now can nobody decide any more
            raise NoConsent("nobody at the terminal gave consent in time")
        if not question.given:
            raise NoConsent("refused at the terminal")

    def waiting(self) -> list[dict[str, str]]:
        """Open questions, oldest first: id, cmd and until when."""
        with self._lock:
            return [{"id": i, "cmd": q.cmd, "until": timestamp(q.until)} for i, q in self._open.items()]

    def control(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """{"what": "list"}, or "give" or "refuse" with the id of one. Raises ValueError."""
        what, command_id = args.get("what"), args.get("id")
        if what == "list":
            return {"waiting": self.waiting()}
        if what not in {"give", "refuse"}:
            raise ValueError("what is list, give or refuse")
        with self._lock:
            question = self._open.get(str(command_id))
            if question is None or question.decided.is_set():
                raise ValueError("nothing with this id waits for consent")
            question.given = what == "give"
            question.decided.set()
        return {"id": command_id, "cmd": question.cmd, "consent": "given" if question.given else "refused"}
