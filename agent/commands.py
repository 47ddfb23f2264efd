"""From a command topic to a result: refuse what is not owed, run what is allowed, report each step.

What nobody known has signed is counted and nothing else: a result would tell an outsider that he was heard. A signed
command is remembered on disk before anything is done, so that no power cut lets it run twice.
"""

from __future__ import annotations

import contextlib
import json
import logging
import queue
import random
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

from agent import wire
from agent.command_rate import Rate, RateMemory
from agent.config import CommandsConfig
from agent.uplink import Incoming
from drivers.redact import redact_text

log = logging.getLogger("posdiag.commands")

MAX_OUTPUT_BYTES: Final = 4096
DISRUPTS: Final = 2
_QUEUE: Final = 8
_MAX_LIFE_S: Final = 300
_SKEW_S: Final = 30  # the center's clock and ours may differ by this much
_VALIDATE_S: Final = 15.0
_PLACES: Final = 4  # more at a time would slow each other down on one port
_UNTOLD_S: Final = 600.0  # what outsiders send takes so few lines of the audit that it cannot push the others out


class Refusal(Exception):
    """Why a command is not run; `reason` is the word it is counted under, `id` is known where a result is owed.

    `cmd` is its name once it was taken, "" before.
    """

    def __init__(self, reason: str, text: str, command_id: str | None = None, cmd: str = "") -> None:
        super().__init__(text)
        self.reason = reason
        self.id = command_id
        self.cmd = cmd


class Memory(RateMemory, Protocol):
    """What is known of commands on disk."""

    def knows(self, command_id: str) -> bool:
        """Whether it was taken before."""

    def take(self, command_id: str, expires: int, cmd: str) -> bool:
        """Remember it as accepted now; False when the disk could not be made to."""

    def end(self, command_id: str, expires: int) -> None:
        """It has ended; goes to disk with the result that is put next."""

    def floor(self) -> float:
        """What ends before this may have been taken and forgotten."""


class Audit(Protocol):
    """Where decisions are written down."""

    def add(self, decision: str, *, why: str = "", **facts: str | int) -> bool:
        """On disk at return; whether the disk took it."""


@dataclass(slots=True, kw_only=True)
class Job:
    """One running command, as its action sees it. `end_s` is monotonic; `stopping` is set when the daemon stops."""

    id: str
    expires: int
    end_s: float
    stopping: threading.Event
    tell: Callable[[Any], None]
    """Tell how far it is: an output of the state `running`."""

    @property
    def left_s(self) -> float:
        """Seconds to its deadline, never negative."""
        return max(0.0, self.end_s - time.monotonic())


Action = Callable[[Mapping[str, Any], Job], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What one command does: its return value is the output. Raises ValueError for bad arguments.

    After `deadline_s` the command has failed, whatever its thread does.
    """

    run: Action
    deadline_s: float = 60.0


class Leave(Exception):
    """Raised by an action whose result is told after the next start; its state is in the store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What the command runner needs of the rest of the agent."""

    topics: wire.Topics
    protocol5: bool
    wall: Callable[[], float]
    put_result: Callable[[str, dict[str, Any]], None]
    """A step in the life of a command: its name, "" for one that was never taken, and the body of the result."""
    memory: Memory
    audit: Audit
    config: CommandsConfig
    tasks: Mapping[str, Task]
    take_settings: Callable[[bytes], None]
    """What came on topic `config`. Raises Refusal."""


class Commands(threading.Thread):
    """Judges commands one after the other in a thread of its own; each that is accepted then has one, too."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(name="commands", daemon=True)
        self._desk = desk
        self._queue: queue.Queue[Incoming | None] = queue.Queue(_QUEUE)
        self._stopping = threading.Event()
        self._replaced = False
        self._places = threading.BoundedSemaphore(_PLACES)
        self._rate = Rate(desk.memory, desk.wall)
        self._untold = 0
        self._told_at = float("-inf")
        self.refused: dict[str, int] = {}
        """Reason to count, for `health`."""
        self.busy_since = float("inf")
        """Monotonic time since when a command has been looked at; infinity while none is."""

    def incoming(self, message: Incoming) -> None:
        """Take one in; called from the MQTT thread, so it only enqueues. A flood is counted and dropped."""
        try:
            self._queue.put_nowait(message)
        except queue.Full:
            self.count("flood")

    def stop(self) -> None:
        """End the thread, and have every command that runs stop."""
        self._stopping.set()
        self._turn()

    def _turn(self) -> None:
        with contextlib.suppress(queue.Full):  # then there is something to wake for already
            self._queue.put_nowait(None)

    def run(self) -> None:
        while not (self._stopping.is_set() or self._replaced):
            message = self._queue.get()
            if message is None:
                continue
            self.busy_since = time.monotonic()
            try:
                if message.suffix == "config":
                    self._desk.take_settings(message.payload)
                else:
                    self._begin(self._accept(message))
            except Refusal as refusal:
                self._refuse(refusal)
            self.busy_since = float("inf")

    def successor(self) -> Commands:
        """Another one, not started, with the queue and the running commands of this, which has ended or hangs."""
        self._replaced = True
        self._turn()
        other = Commands(self._desk)
        other._queue, other._stopping, other._places = self._queue, self._stopping, self._places
        other.refused, other._rate = self.refused, self._rate
        return other

    def count(self, reason: str) -> None:
        """One more was refused."""
        self.refused[reason] = self.refused.get(reason, 0) + 1

    def _refuse(self, refusal: Refusal) -> None:
        self.count(refusal.reason)
        if refusal.id is not None:
            self._desk.audit.add("rejected", jti=refusal.id, why=f"{refusal.reason}: {refusal}")
            body = wire.result_body(refusal.id, "rejected", ms=_ms_since(self.busy_since), error=str(refusal))
            self._desk.put_result(refusal.cmd, body)
            return
        self._untold += 1
        if time.monotonic() - self._told_at >= _UNTOLD_S:
            self._told_at = time.monotonic()
            log.warning("not taken: %s", refusal)
            self._desk.audit.add("ignored", why=f"{refusal.reason}: {refusal}", count=self._untold)
            self._untold = 0

    # --- may it run?

    def _accept(self, message: Incoming) -> Signed:
        if message.retain:
            raise Refusal("retained", "a retained command is never run")
        if len(message.payload) > wire.MAX_PACKET_BYTES:
            raise Refusal("oversized", "larger than a message may be")
        signed = validate(message.payload, self._desk.config.keys_file)
        command = signed.command
        broadcast = message.suffix == "all/command"
        self._check_audience(command, broadcast=broadcast)
        if self._desk.memory.knows(command.jti):
            raise Refusal("replayed", "this command was taken before")  # its own result stands; none is added
        self._check_end(command)
        if not self._desk.memory.take(command.jti, command.exp, command.cmd):
            raise Refusal("unkept", "this terminal's disk takes nothing, so it cannot take commands", command.jti)
        try:
            self._check(command, message, broadcast=broadcast)
        except Refusal as refusal:
            self._desk.memory.end(command.jti, command.exp)
            refusal.cmd = command.cmd
            raise
        return signed

    def _check_audience(self, command: wire.CommandBody, *, broadcast: bool) -> None:
        topics = self._desk.topics
        if command.aud != f"{topics.estate}/{'all' if broadcast else topics.terminal}":
            raise Refusal("audience", "the command is for another terminal")
        if redact_text(command.jti) != command.jti:  # it would be stored, and be part of a topic
            raise Refusal("card_data", "the command's id looks like card data")

    def _check_end(self, command: wire.CommandBody) -> None:
        if command.exp - command.nbf > _MAX_LIFE_S:
            raise Refusal("lifetime", f"a command may live {_MAX_LIFE_S} s at most", command.jti)
        if self._desk.wall() > command.exp:
            raise Refusal("expired", "the command came too late", command.jti)
        if command.exp <= self._desk.memory.floor():
            raise Refusal("forgotten", "what was taken at that time is not known any more", command.jti)

    def _check(self, command: wire.CommandBody, message: Incoming, *, broadcast: bool) -> None:
        if self._desk.wall() < command.nbf - _SKEW_S:
            raise Refusal("early", "the command is not valid yet by this terminal's clock", command.jti)
        if self._desk.protocol5:
            if message.response_topic != self._desk.topics.result(command.jti) and not broadcast:
                raise Refusal("response_topic", "the response topic is not this terminal's own", command.jti)
            if message.correlation != command.jti.encode():
                raise Refusal("correlation", "the correlation data is not the command's id", command.jti)
        if command.cmd not in self._desk.tasks:
            raise Refusal("unsupported", f"this agent has no command {command.cmd!r}", command.jti)
        tier = wire.TIERS[command.cmd]
        if command.tier != tier:
            raise Refusal("tier", f"{command.cmd} is of tier {tier}, the command says {command.tier}", command.jti)
        if broadcast and (tier > 0 or _spread(command) is None):
            raise Refusal("broadcast", "to all terminals only tier 0 may go, with args.spread_s", command.jti)
        if too_many := self._rate.take(self._desk.config, disruptive=tier >= DISRUPTS):
            raise Refusal("rate", too_many, command.jti)

    # --- run it

    def _begin(self, signed: Signed) -> None:
        """Raises Refusal when the decision cannot be written down."""
        command = signed.command
        facts = {"jti": command.jti, "cmd": command.cmd, "kid": signed.kid, "iss": command.iss[:64]}
        if not self._desk.audit.add("accepted", **facts):
            self._desk.memory.end(command.jti, command.exp)
            why = "this terminal cannot write down what it does, so it does nothing"
            raise Refusal("unkept", why, command.jti, command.cmd)
        self._tell(command, "accepted", time.monotonic())
        name = f"command-{command.jti[:8]}"
        try:
            threading.Thread(target=self._live_through, args=(command,), name=name, daemon=True).start()
        except RuntimeError as error:  # the service has as many threads as it may have
            self._end(command, "failed", time.monotonic(), error=str(error))

    def _tell(self, command: wire.CommandBody, state: wire.ResultState, started: float, **more: Any) -> None:
        self._desk.put_result(command.cmd, wire.result_body(command.jti, state, ms=_ms_since(started), **more))

    def _live_through(self, command: wire.CommandBody) -> None:
        """From accepted to its end; what a stop cuts short is told as interrupted after the next start."""
        started = time.monotonic()
        spread_s = _spread(command) or 0.0
        if spread_s and self._stopping.wait(random.uniform(0, min(spread_s, _MAX_LIFE_S))):  # noqa: S311 - spreads load
            return
        if not self._places.acquire(timeout=max(0.0, spread_s + command.exp - self._desk.wall())):
            self._end(command, "expired", started, error="others before it took too long")
            return
        try:
            self._run_task(command, started)
        finally:
            self._places.release()

    def _run_task(self, command: wire.CommandBody, started: float) -> None:
        """In a thread of its own, which nobody waits for beyond its deadline: what it may still do is told no more."""
        task = self._desk.tasks[command.cmd]
        telling, over = threading.Lock(), threading.Event()

        def tell(output: Any) -> None:
            with telling:  # the disk may be slow, and nothing may come after the end
                if not over.is_set():
                    self._tell(command, "running", started, **bounded(output))

        end_s = time.monotonic() + task.deadline_s
        job = Job(id=command.jti, expires=command.exp, end_s=end_s, stopping=self._stopping, tell=tell)
        self._tell(command, "running", started)
        ends: queue.SimpleQueue[_End | None] = queue.SimpleQueue()
        name = f"task-{command.jti[:8]}"
        try:
            threading.Thread(target=lambda: ends.put(_end_of(task, command, job)), name=name, daemon=True).start()
            end = ends.get(timeout=job.left_s)
        except RuntimeError as error:  # as above
            end = "failed", {"error": str(error)}
        except queue.Empty:
            end = "failed", {"error": f"it overran the {task.deadline_s:g} s that it may take"}
        with telling:
            over.set()
        if end is not None and not (end[0] == "failed" and self._stopping.is_set()):
            self._end(command, end[0], started, **end[1])

    def _end(self, command: wire.CommandBody, state: _Ended, started: float, **more: Any) -> None:
        self._desk.audit.add(state, jti=command.jti, cmd=command.cmd, why=str(more.get("error", "")))
        self._desk.memory.end(command.jti, command.exp)
        self._tell(command, state, started, **more)


_Ended = Literal["succeeded", "failed", "expired"]
_End = tuple[_Ended, dict[str, Any]]


def _end_of(task: Task, command: wire.CommandBody, job: Job) -> _End | None:
    """How a task ended; None where that is told after the next start."""
    try:
        return "succeeded", bounded(task.run(command.args, job))
    except Leave:
        return None
    except Exception as error:  # noqa: BLE001 - the result carries it; the daemon goes on
        return "failed", {"error": (str(error) or type(error).__name__)[:256]}


def _ms_since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)


def _spread(command: wire.CommandBody) -> float | None:
    """Seconds over which terminals begin at random; None where the command names none."""
    value = command.args.get("spread_s")
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= _MAX_LIFE_S:
        return None
    return float(value)


def bounded(output: Any) -> dict[str, Any]:
    """The output, or why it is not there: a result carries 4 KiB at most."""
    size = len(wire.dumps(output))
    if size <= MAX_OUTPUT_BYTES:
        return {"output": output}
    return {"output": {"too_large": size}, "error": f"the output of {size} bytes is more than a result carries"}


@dataclass(frozen=True, slots=True)
class Signed:
    """A command and the `kid` of the key that signed it, "" on a closed test network."""

    command: wire.CommandBody
    kid: str


def validate(payload: bytes, keys_file: str) -> Signed:
    """Have a child say who signed the payload and what is in it. Raises Refusal."""
    answer = ask_child("command", payload, keys_file)
    if "ok" not in answer:
        raise Refusal(str(answer["reason"]), str(answer["error"]), answer.get("id") or None)
    return Signed(wire.CommandBody(**answer["ok"]), answer["kid"])


def ask_child(
    kind: Literal["command", "settings", "visit"], payload: bytes, keys_file: str, config_file: str = ""
) -> dict[str, Any]:
    """One answer of `agent.actions.validate`. Raises Refusal when there is none."""
    import subprocess  # noqa: PLC0415 - nearly half a MiB that a resting daemon does not hold

    asked = json.dumps({"kind": kind, "keys_file": keys_file, "config_file": config_file}).encode()
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-m", "agent.actions.validate"],
            input=asked + b"\n" + payload[: wire.MAX_PACKET_BYTES],
            capture_output=True,
            timeout=_VALIDATE_S,
            check=True,
            env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
        )
        answer: dict[str, Any] = json.loads(done.stdout)
    except subprocess.TimeoutExpired as error:
        raise Refusal("overran", "the command could not be validated in time") from error
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise Refusal("unvalidated", "the command could not be validated") from error
    return answer
