"""What a fleet's terminals do with what the center sends: commands and settings. Signatures are not verified here.

Everything else that an agent checks of a command is checked: whom it is for, its times, its tier, its response topic,
whether it was retained or came before.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import mqtt5

from agent import wire
from simulator.fleet_member import Member
from simulator.loop import Loop

_MOST_LIFE_S: Final = 300
_OF_DEVICES: Final = frozenset({"check", "identify", "statistics", "recover"})
_LEVELS: Final = ("internal", "external", "interactive")
_REMEMBERED: Final = 1000
_Body = TypeVar("_Body", wire.CommandBody, wire.SettingsBody)


class _Refused(Exception):
    """Why a command is not run, in one line."""


@dataclass(slots=True)
class Answers:
    """How commands end: `fail_share` of them fail, all after around `seconds`. `reboot` does it, then calls back."""

    loop: Loop
    wall: Callable[[], float]
    reboot: Callable[[Member, Callable[[], None]], None]
    fail_share: float = 0.05
    seconds: float = 2.0
    taken: int = 0
    _seen: dict[str, dict[str, None]] = field(default_factory=dict)

    def heard(self, member: Member, packet: mqtt5.PublishPacket) -> None:
        """One message from the center."""
        rest = packet.topic.removeprefix(f"{wire.PREFIX}/{member.topics.estate}/")
        if rest in {"all/command", f"{member.topics.terminal}/command"}:
            self._command(member, packet, to_all=rest == "all/command")
        elif rest == f"{member.topics.terminal}/config":
            self._settings(member, packet.payload)

    # --- commands

    def _command(self, member: Member, packet: mqtt5.PublishPacket, *, to_all: bool) -> None:
        try:
            body = _body(wire.CommandBody, packet.payload)
        except ValueError:
            return  # it has no id that an answer could name
        seen = self._seen.setdefault(member.topics.terminal, {})
        if packet.retain or body.jti in seen or not _is_for(member, body.aud, to_all=to_all):
            return
        seen[body.jti] = None
        if len(seen) > _REMEMBERED:
            del seen[next(iter(seen))]
        try:
            spread_s = self._judge(member, body, packet, to_all=to_all)
        except _Refused as error:
            _tell(member, body, "rejected", error=str(error))
            return
        self.taken += 1
        _tell(member, body, "accepted")
        self.loop.after(member.dice.uniform(0, spread_s), lambda: self._run(member, body))

    def _judge(self, member: Member, body: wire.CommandBody, packet: mqtt5.PublishPacket, *, to_all: bool) -> float:
        """Over how many seconds the start is spread."""
        now = self.wall()
        spread_s = body.args.get("spread_s", 0)
        if not 0 < body.exp - body.nbf <= _MOST_LIFE_S:
            raise _Refused(f"a command may live {_MOST_LIFE_S} s at most")
        if now > body.exp:
            raise _Refused("the command came too late")
        if now < body.nbf - 30:
            raise _Refused("the command is not valid yet by this terminal's clock")
        if packet.response_topic not in {None, member.topics.result(body.jti)}:
            raise _Refused("the response topic is not this terminal's own")
        if body.tier != wire.TIERS[body.cmd]:
            raise _Refused(f"{body.cmd} is of tier {wire.TIERS[body.cmd]}, the command says {body.tier}")
        if not to_all:
            return 0.0
        if body.tier or not isinstance(spread_s, int | float) or not 0 < spread_s <= _MOST_LIFE_S:
            raise _Refused("to all terminals only tier 0 may go, with args.spread_s")
        return float(spread_s)

    def _run(self, member: Member, body: wire.CommandBody) -> None:
        if not member.on:
            return
        started = self.loop.now()
        _tell(member, body, "running")

        def end() -> None:
            ms = round((self.loop.now() - started) * 1000)
            if not member.on:
                return
            wrong = _mistake(member, body)
            if wrong:
                _tell(member, body, "failed", ms=ms, error=wrong)
            elif member.dice.random() < self.fail_share:
                _tell(member, body, "failed", ms=ms, error="the device did not answer in time")
            else:
                _tell(member, body, "succeeded", ms=ms, output=_output(member, body, ms))

        if body.cmd == "reboot":
            self.reboot(member, end)
        else:
            self.loop.after(self.seconds * member.dice.uniform(0.5, 1.5), end)

    # --- settings

    @staticmethod
    def _settings(member: Member, payload: bytes) -> None:
        """Take newer settings, or refuse them, and tell so. An empty message withdraws what was wished."""
        settings = member.settings
        if not payload:
            settings.withdraw()
            member.report_settings()
            return
        try:
            body = _body(wire.SettingsBody, payload)
        except ValueError:
            return
        taken = settings.take(body) if _is_for(member, body.aud, to_all=False) else None
        if taken is None:
            return
        if taken:
            data = {"version": settings.named(), "hash": settings.hash(member.topics.terminal)}
            member.outbox.row("event", {"event": "config.applied", "data": data})
        member.report_settings()


def _body(kind: type[_Body], payload: bytes) -> _Body:
    """What was signed: the middle part of a JWS, or a plain body on a closed test network. Raises ValueError."""
    parts = payload.split(b".")
    if len(parts) == 3:
        try:
            payload = base64.b64decode(parts[1] + b"=" * (-len(parts[1]) % 4), b"-_", validate=True)
        except binascii.Error as error:
            raise ValueError("not a JWS") from error
    return wire.decode(kind, payload)


def _is_for(member: Member, audience: str, *, to_all: bool) -> bool:
    name = "all" if to_all else member.topics.terminal
    return audience == f"{member.topics.estate}/{name}"


def _tell(member: Member, body: wire.CommandBody, state: wire.ResultState, *, ms: int = 0, **more: Any) -> None:
    member.outbox.row("result", wire.result_body(body.jti, state, ms=ms, **more), f"result/{body.jti}")
    if state not in wire.UNENDED:
        member.outbox.row("event", wire.done_body(body.jti, body.cmd, state))
    member.wake()


def _mistake(member: Member, body: wire.CommandBody) -> str:
    """What a terminal says of arguments that it cannot follow; "" if it can."""
    names = [device.name for device in member.parts.devices]
    device = body.args.get("device")
    if body.cmd in _OF_DEVICES and device is not None and device not in names:
        return f"no such device; there are {', '.join(names)}"
    if body.cmd == "recover" and device is None:
        return f"device is one of {', '.join(names)}"
    if body.cmd == "check" and body.args.get("level", "internal") not in _LEVELS:
        return f"level is one of {', '.join(_LEVELS)}"
    return ""


def _output(member: Member, body: wire.CommandBody, ms: int) -> dict[str, Any]:
    cmd, chosen = body.cmd, body.args.get("device")
    devices = [device for device in member.parts.devices if chosen in {None, device.name}]
    if cmd == "check":
        return {
            "verdict": wire.to_json(member.verdict()),
            "faults": [{"fault": key} for key in sorted(member.raised)],
            "devices": {device.name: {"text": f"{device.model}: answered"} for device in devices},
            "answered": True,
            "took_ms": ms,
        }
    if cmd in {"identify", "statistics"}:
        return {device.name: {"ModelName": device.model, "FirmwareRevision": device.firmware} for device in devices}
    if cmd == "resync":
        return {"published": len(member.raised) + 3}
    return {}
