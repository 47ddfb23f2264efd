"""From a command topic to a result: refuse what is not owed, run what is allowed, report each step.

Until commands are signed, the topic is taken only where the configuration says so (`mqtt.commands`).
"""

from __future__ import annotations

import contextlib
import json
import queue
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from agent import wire
from agent.uplink import Incoming

TIERS: Final[Mapping[str, int]] = {
    "check": 0,
    "identify": 0,
    "statistics": 0,
    "resync": 0,
    "collect": 0,
    "live": 1,
    "print_slip": 1,
    "recover": 2,
    "maintenance": 2,
    "reboot": 3,
}
_QUEUE = 8
_MAX_LIFE_S = 300
_SKEW_S = 30  # the center's clock and ours may differ by this much
MAX_OUTPUT_BYTES = 4096
_VALIDATE_S = 15.0


class Refusal(Exception):
    """Why a command is not run; `reason` is the word it is counted under, `id` is known where a result is owed."""

    def __init__(self, reason: str, text: str, command_id: str | None = None) -> None:
        super().__init__(text)
        self.reason = reason
        self.id = command_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What the command runner needs of the rest of the agent."""

    topics: wire.Topics
    protocol5: bool
    wall: Callable[[], float]
    put_result: Callable[[str, dict[str, Any]], None]
    seen: Callable[[str, int], bool]
    """(id, expiry) -> whether it was seen before; remembers it on disk."""
    actions: Mapping[str, Callable[[Mapping[str, Any]], Any]]
    """Command name to what it does; its return value is the output. Raises ValueError for bad arguments."""


class Commands(threading.Thread):
    """Runs commands one after the other in a thread of its own."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(name="commands", daemon=True)
        self._desk = desk
        self._queue: queue.Queue[Incoming | None] = queue.Queue(_QUEUE)
        self._stopping = threading.Event()
        self.refused: dict[str, int] = {}
        """Reason to count, for `health`."""
        self.busy_since = float("inf")
        """Monotonic time since when a command has been looked at; infinity while none is."""

    def incoming(self, message: Incoming) -> None:
        """Take one in; called from the MQTT thread, so it only enqueues. A flood is counted and dropped."""
        try:
            self._queue.put_nowait(message)
        except queue.Full:
            self._count("flood")

    def stop(self) -> None:
        self._stopping.set()
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait(None)

    def run(self) -> None:
        while not self._stopping.is_set():
            message = self._queue.get()
            if message is None:
                continue
            self.busy_since = time.monotonic()
            try:
                command = self._accept(message)
            except Refusal as refusal:
                self._count(refusal.reason)
                if refusal.id is not None:
                    self._desk.put_result(refusal.id, {"id": refusal.id, "state": "rejected", "error": str(refusal)})
            else:
                self._execute(command)
            self.busy_since = float("inf")

    def successor(self) -> Commands:
        """Another one, not started, with the counts of this; for when this has ended or hangs."""
        self.stop()
        other = Commands(self._desk)
        other.refused = self.refused
        return other

    def _count(self, reason: str) -> None:
        self.refused[reason] = self.refused.get(reason, 0) + 1

    # --- may it run?

    def _accept(self, message: Incoming) -> wire.CommandBody:
        if message.retain:
            raise Refusal("retained", "a retained command is never run")
        command = validate(message.payload)
        broadcast = message.suffix == "all/command"
        self._check_address(command, message, broadcast=broadcast)
        self._check_time(command)
        if command.cmd not in self._desk.actions:
            raise Refusal("unsupported", f"this agent has no command {command.cmd!r}", command.jti)
        tier = TIERS[command.cmd]
        if command.tier < tier:
            raise Refusal("tier", f"{command.cmd} is of tier {tier}, the command says {command.tier}", command.jti)
        if broadcast and (tier > 0 or command.spread_s is None):
            raise Refusal("broadcast", "to all terminals only tier 0 may go, with spread_s", command.jti)
        if self._desk.seen(command.jti, command.exp):
            raise Refusal("replayed", "this command was taken before")  # its own result stands; none is added
        return command

    def _check_address(self, command: wire.CommandBody, message: Incoming, *, broadcast: bool) -> None:
        topics = self._desk.topics
        wanted = f"{topics.estate}/{'all' if broadcast else topics.terminal}"
        if command.aud != wanted:
            raise Refusal("audience", "the command is for another terminal")
        if not self._desk.protocol5:
            return
        if message.response_topic != topics.result(command.jti) and not broadcast:
            raise Refusal("response_topic", "the response topic is not this terminal's own", command.jti)
        if message.correlation != command.jti.encode():
            raise Refusal("correlation", "the correlation data is not the command's id", command.jti)

    def _check_time(self, command: wire.CommandBody) -> None:
        now = self._desk.wall()
        if command.exp - command.nbf > _MAX_LIFE_S:
            raise Refusal("lifetime", f"a command may live {_MAX_LIFE_S} s at most", command.jti)
        if now < command.nbf - _SKEW_S:
            raise Refusal("early", "the command is not valid yet by this terminal's clock", command.jti)
        if now > command.exp:
            raise Refusal("expired", "the command came too late", command.jti)

    # --- run it

    def _execute(self, command: wire.CommandBody) -> None:
        started = time.monotonic()

        def tell(state: wire.ResultState, **more: Any) -> None:
            ms = round((time.monotonic() - started) * 1000)
            self._desk.put_result(command.jti, {"id": command.jti, "state": state, "ms": ms, **more})

        tell("accepted")
        if command.spread_s and self._stopping.wait(random.uniform(0, min(command.spread_s, _MAX_LIFE_S))):  # noqa: S311 - spreads load
            return
        tell("running")
        try:
            output = self._desk.actions[command.cmd](command.args)
        except Exception as error:  # noqa: BLE001 - the result carries it; the daemon goes on
            tell("failed", code=1, error=(str(error) or type(error).__name__)[:256])
        else:
            tell("succeeded", **_bounded(output))


def _bounded(output: Any) -> dict[str, Any]:
    """The output, or why it is not there: a result carries 4 KiB at most."""
    size = len(wire.dumps(output))
    if size <= MAX_OUTPUT_BYTES:
        return {"output": output}
    return {"output": {"too_large": size}, "error": f"the output of {size} bytes is more than a result carries"}


def validate(payload: bytes) -> wire.CommandBody:
    """Have a child validate the payload. Raises Refusal."""
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "agent.actions.validate"],
            input=payload[: wire.MAX_PACKET_BYTES + 1],
            capture_output=True,
            timeout=_VALIDATE_S,
            check=True,
        )
        answer = json.loads(done.stdout)
    except subprocess.TimeoutExpired as error:
        raise Refusal("overran", "the command could not be validated in time") from error
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise Refusal("unvalidated", "the command could not be validated") from error
    if "error" in answer:
        raise Refusal("malformed", str(answer["error"]))
    return wire.CommandBody(**answer["ok"])
