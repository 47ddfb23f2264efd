"""Maintenance: for a while somebody works at the terminal, and nobody is to be sent because of what he takes apart.

Faults go on being raised and counted; the state says that it is under maintenance, and until when.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from agent.store import Store
from agent.wire import epoch, timestamp
from drivers.redact import redact_text

_KEPT: Final = "maintenance"
_LONGEST_S: Final = 7 * 86_400.0


class Maintenance:
    """`enter` is told the reason, "" for none any more; `event` writes the log. Survives restarts."""

    def __init__(
        self,
        store: Store,
        wall: Callable[[], float],
        enter: Callable[[str], None],
        event: Callable[[str, dict[str, Any]], None],
    ) -> None:
        self._store = store
        self._wall = wall
        self._enter = enter
        self._event = event
        self._until, self._reason = 0.0, ""
        try:
            kept = json.loads(store.get(_KEPT) or "{}")
            self._until, self._reason = float(kept["until"]), str(kept["reason"])
        except (ValueError, KeyError, TypeError):
            return
        self._enter(self._told())

    def _told(self) -> str:
        return f"maintenance until {timestamp(self._until)}" + (f": {self._reason}" if self._reason else "")

    def status(self) -> dict[str, str] | None:
        """Until when and why, None while there is none."""
        return {"until": timestamp(self._until), "reason": self._reason} if self._until else None

    def look(self) -> None:
        """End it when its time is over."""
        if self._until and self._wall() >= self._until:
            self._leave("time")

    def run(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """args: {"on": true, "until": RFC 3339 time, "reason": text} or {"on": false}. Raises ValueError."""
        if args.get("on") is False:
            self._leave("command")
            return {"on": False}
        if args.get("on") is not True or not isinstance(args.get("until"), str):
            raise ValueError("on is true with until, or false")
        until, reason = epoch(args["until"]), args.get("reason", "")
        if not isinstance(reason, str) or not 0 < until - self._wall() <= _LONGEST_S:
            raise ValueError("until lies in the next seven days; reason is a text")
        self._until, self._reason = until, redact_text(reason)[:120]
        self._store.keep("kv", {_KEPT: json.dumps({"until": until, "reason": self._reason})})
        self._enter(self._told())
        self._event("maintenance.entered", {"until": timestamp(until), "reason": self._reason})
        return {"on": True, "until": timestamp(until)}

    def _leave(self, why: str) -> None:
        if not self._until:
            return
        self._until, self._reason = 0.0, ""
        self._store.keep("kv", {_KEPT: None})
        self._enter("")
        self._event("maintenance.left", {"by": why})
