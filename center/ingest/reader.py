"""One message as rows for the database: validated by the wire's own types, without card numbers. Pure.

Rows are tuples in the order of the columns named beside them; JSON stands in them as text.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final, NamedTuple

from pydantic_core import to_json

from agent import wire
from agent.packing import plain
from center.ingest import cards, quick
from center.ingest.order import MOST_AFTER_MS, MOST_AT_MS, MOST_BOOTS, MOST_CONNECTIONS, MOST_UP_MS, order, state_order

QUEUED: Final[Mapping[str, type[wire.Queued]]] = {
    "telemetry": wire.TelemetryMessage,
    "event": wire.EventMessage,
    "result": wire.ResultMessage,
}
_LONGEST: Final = 2**62
_NAME_CHARACTERS: Final = 200  # of what is looked up by its name; an index of PostgreSQL takes 2,700 bytes
_ODD: Final = re.compile(rb"[0-9]{19}|[eE]\+?[0-9]{3}|NaN|Infinity")
_NUL: Final = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")
_REMEMBERED: Final = 500_000  # topics; a fleet of 100,000 has about as many
_PARTS: Final[Mapping[tuple[str, ...], str]] = {
    ("state",): "state",
    ("inventory",): "inventory",
    ("health",): "health",
    ("faults",): "digest",
    ("config", "reported"): "config",
    ("telemetry",): "telemetry",
    ("event",): "event",
}

COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "telemetry": ("estate", "terminal", "boot", "seq", "at_ms", "late", "samples"),
    "event": (*("estate", "terminal", "boot", "seq", "at_ms", "up_ms", "clock", "late", "event", "data"),),
    "result": (
        *("estate", "terminal", "boot", "seq", "command_id", "state", "code", "output", "error", "ms", "at_ms"),
        "late",
    ),
    "state": (
        *("estate", "terminal", "status", "reason", "conn", "can_sell", "cause", "act", "since_ms", "poi", "boot"),
        *("clock_ms", "last_contact_ms", "will_at_ms", "state_version", "created_ms"),
    ),
    "inventory": (
        *("estate", "terminal", "model", "firmware", "language", "inventory", "inventory_version", "created_ms"),
    ),
    "health": ("estate", "terminal", "health", "health_version", "created_ms"),
    "config": ("estate", "terminal", "config_reported", "config_version", "created_ms"),
    "digest": ("estate", "terminal", "digest", "digest_version", "created_ms"),
    "fault": (
        *("estate", "terminal", "fault", "state", "severity", "cause", "symptoms", "first_ms", "last_ms", "count"),
        *("device", "evidence", "advice", "act", "basis", "boot", "clock_ms", "version"),
    ),
}
"""The columns of each kind's rows. `state` to `digest` are parts of a terminal's row."""


class Target(NamedTuple):
    """What a topic is about; `about` is a fault's key or a command's id."""

    kind: str
    estate: str
    terminal: str
    about: str = ""


Read = tuple[Target, str, tuple[Any, ...], bool, bool, int]
"""A message that is of the contract: target; version, "" where every message counts and not only the newest; row;
whether it is late; whether it is a will; how many card numbers were taken out."""


class Reader:
    """Reads messages; remembers topics that it has taken apart."""

    def __init__(self) -> None:
        self._targets: dict[str, Target] = {}

    def quick(self, topic: str, payload: bytes) -> tuple[Any, ...] | None:
        """The row of telemetry on a topic that is known, as `read` has it; None for what `read` is to look at."""
        target = self._targets.get(topic)
        if target is None or target[0] != "telemetry":
            return None
        told = quick.telemetry(payload)
        return None if told is None else (target[1], target[2], *told)

    def read(self, topic: str, payload: bytes, *, retained: bool, now_ms: int) -> Read | None:
        """The message as a row; None for a retained message that was deleted, which says nothing. Raises WireError."""
        target = self._targets.get(topic)
        if target is None:
            target = self._remember(topic)
        if not payload:
            if target.kind in QUEUED:
                raise wire.WireError("an empty payload")
            return None
        text = plain(payload)
        if _ODD.search(text):
            _refuse_numbers(text)
        text, found = cards.clean(text)
        version, row, late, is_will = _MAKERS[target.kind](target, text, retained, now_ms)
        return target, version, row, late, is_will, found

    def _remember(self, topic: str) -> Target:
        if len(self._targets) >= _REMEMBERED:
            self._targets.clear()
        target = self._targets[topic] = target_of(topic)
        return target


def target_of(topic: str) -> Target:
    """Take apart a topic that the center listens to. Raises WireError."""
    parsed = wire.parse_topic(topic)
    if parsed.terminal in wire.RESERVED_TERMINALS:
        raise wire.WireError(f"no terminal is called {parsed.terminal}")
    part = _PARTS.get(parsed.rest)
    if part is not None:
        return Target(part, parsed.estate, parsed.terminal)
    if parsed.kind == "fault" and len(parsed.rest) == 3:
        return Target("fault", parsed.estate, parsed.terminal, "/".join(parsed.rest[1:]))
    if parsed.kind == "result" and len(parsed.rest) == 2:
        return Target("result", parsed.estate, parsed.terminal, parsed.rest[1])
    raise wire.WireError("not a topic that a terminal speaks on")


def _refuse_numbers(text: bytes) -> None:
    """Numbers that JSON has not, or that neither a database nor JavaScript can hold. Raises WireError."""
    try:
        json.loads(text, parse_int=_integer, parse_float=_real, parse_constant=_real)
    except wire.WireError:
        raise
    except (ValueError, RecursionError) as error:
        raise wire.WireError("not JSON in UTF-8") from error


def _integer(digits: str) -> None:
    if len(digits) > 20 or not -(2**63) <= int(digits) < 2**63:
        raise wire.WireError("a whole number of more than 64 bits")


def _real(digits: str) -> None:
    if not math.isfinite(float(digits)):
        raise wire.WireError("a number that is none, or larger than any")


_Made = tuple[str, tuple[Any, ...], bool, bool]


def _checked(message: wire.Uplink) -> int:
    """The message's time in milliseconds. Raises WireError for counters that no terminal reaches."""
    if not (0 <= message.boot <= MOST_BOOTS and 0 <= message.up_ms <= MOST_UP_MS):
        raise wire.WireError("a boot or up_ms that cannot be")
    return _ms(message.at)


def _ms(at: str) -> int:
    """Raises WireError for a moment that no clock shows."""
    at_ms = round(wire.epoch(at) * 1000)
    if not 0 <= at_ms <= MOST_AT_MS:
        raise wire.WireError("a time that cannot be")
    return at_ms


def _seq(message: wire.Queued) -> int:
    if not 1 <= message.seq <= _LONGEST:
        raise wire.WireError("a seq that cannot be")
    return message.seq


def _clock_ms(message: wire.Uplink, at_ms: int) -> int | None:
    return at_ms if message.clock in {"synced", "network"} else None


def _json(value: Any) -> str:
    """JSON whose texts a database takes out of it: PostgreSQL has no NUL."""
    text = to_json(value).decode()
    return _NUL.sub(r"\1\\ufffd", text) if "\\u0000" in text else text


def _text(value: str) -> str:
    """A text that a database takes: PostgreSQL has no NUL."""
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}") if "\0" in value else value


def _telemetry(target: Target, text: bytes, _retained: bool, _now_ms: int) -> _Made:
    message = wire.decode(wire.TelemetryMessage, text)
    at_ms = _checked(message)
    if not all(0 <= after_ms <= MOST_AFTER_MS for after_ms, _values in message.samples):
        raise wire.WireError("a sample that is not of the day after its message's time")
    row = (
        *(target.estate, target.terminal, message.boot, _seq(message), at_ms, message.late),
        _json(message.samples),
    )
    return "", row, message.late, False


def _event(target: Target, text: bytes, _retained: bool, _now_ms: int) -> _Made:
    message = wire.decode(wire.EventMessage, text)
    at_ms = _checked(message)
    if len(message.event) > _NAME_CHARACTERS:
        raise wire.WireError(f"an event's name of {len(message.event)} characters")
    row = (
        *(target.estate, target.terminal, message.boot, _seq(message), at_ms, message.up_ms, message.clock),
        *(message.late, _text(message.event), _json(message.data)),
    )
    return "", row, message.late, False


def _result(target: Target, text: bytes, _retained: bool, _now_ms: int) -> _Made:
    message = wire.decode(wire.ResultMessage, text)
    if message.id != target.about:
        raise wire.WireError("a result of another command than its topic says")
    if not (abs(message.code) < _LONGEST and abs(message.ms) < _LONGEST):
        raise wire.WireError("a code or ms that cannot be")
    at_ms = _checked(message)
    row = (
        *(target.estate, target.terminal, message.boot, _seq(message), message.id, message.state, message.code),
        *(None if message.output is None else _json(message.output), _text(message.error), message.ms, at_ms),
        message.late,
    )
    return "", row, message.late, False


def _state(target: Target, text: bytes, retained: bool, now_ms: int) -> _Made:
    message = wire.decode(wire.StateMessage, text)
    at_ms = _checked(message)
    if not 0 <= message.conn <= MOST_CONNECTIONS:
        raise wire.WireError("a conn that cannot be")
    is_will = message.status == "offline" and message.reason == "connection_lost"
    clock_ms = _clock_ms(message, at_ms)
    verdict = message.verdict
    # A retained message was said at its own time, and a will by the broker: neither is a sign of life from now.
    contact_ms = None if is_will else min(clock_ms or 0, now_ms) or None if retained else now_ms
    row = (
        *(target.estate, target.terminal, message.status, _text(message.reason), message.conn),
        *((verdict.can_sell, verdict.cause, verdict.act, _ms(verdict.since)) if verdict else (None,) * 4),
        *(_json(message.poi), message.boot, clock_ms, contact_ms, now_ms if is_will and not retained else None),
        *(state_order(message.boot, message.conn, is_will=is_will, up_ms=message.up_ms), now_ms),
    )
    return row[-2], row, False, is_will


def _inventory(target: Target, text: bytes, _retained: bool, now_ms: int) -> _Made:
    message = wire.decode(wire.InventoryMessage, text)
    _checked(message)
    version = order(message.boot, message.up_ms)
    models = dict.fromkeys(device.model for device in message.devices if device.model)
    model = _text(message.agent.get("model") or " + ".join(models))
    firmware = _text(message.agent.get("firmware") or message.agent.get("version", ""))
    row = (
        *(target.estate, target.terminal, model, firmware, _text(message.language), _body(message), version, now_ms),
    )
    return version, row, False, False


def _whole(kind: type[wire.Uplink]) -> Any:
    """A maker of rows that keep the message as it is."""

    def make(target: Target, text: bytes, _retained: bool, now_ms: int) -> _Made:
        message = wire.decode(kind, text)
        _checked(message)
        version = order(message.boot, message.up_ms)
        return version, (target.estate, target.terminal, _body(message), version, now_ms), False, False

    return make


def _fault(target: Target, text: bytes, _retained: bool, _now_ms: int) -> _Made:
    message = wire.decode(wire.FaultMessage, text)
    if message.fault != target.about:
        raise wire.WireError("another fault than its topic says")
    if not 0 <= message.count < _LONGEST:
        raise wire.WireError("a count that cannot be")
    at_ms = _checked(message)
    version = order(message.boot, message.up_ms)
    row = (
        *(target.estate, target.terminal, message.fault, message.state, message.severity, message.cause),
        *(_json(message.symptoms), _ms(message.first_at), _ms(message.last_at), message.count),
        *(_text(message.device), _json(message.evidence), _text(message.advice), message.act, message.basis),
        *(message.boot, _clock_ms(message, at_ms), version),
    )
    return version, row, False, False


_HEADER: Final = frozenset(spec.name for spec in fields(wire.Uplink)) - {"at", "clock"}


def _body(message: object) -> str:
    """The message without what only orders it."""
    return _json({name: value for name, value in wire.to_json_whole(message).items() if name not in _HEADER})


_MAKERS: Final[Mapping[str, Any]] = {
    "telemetry": _telemetry,
    "event": _event,
    "result": _result,
    "state": _state,
    "inventory": _inventory,
    "health": _whole(wire.HealthMessage),
    "config": _whole(wire.ConfigReportedMessage),
    "digest": _whole(wire.DigestMessage),
    "fault": _fault,
}
