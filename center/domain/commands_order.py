"""What a command may be: its name, its tier, its arguments. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from agent import wire
from agent.wire import TIERS
from center.domain.refusal import Refusal
from center.ingest import cards

ALL: Final = "all"
"""The terminal of a command to a whole estate."""
_REASON: Final = (3, 500)
_ONE_TIME: Final = frozenset({"collect"})  # an address for one upload is not for many
_MOST_SECONDS: Final = 300

_NAME: Final = re.compile(r"[a-z0-9_-]{1,64}")
_UTC: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")


def _is_name(value: object) -> bool:
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


def _is_address(value: object) -> bool:
    return isinstance(value, str) and value.startswith("https://") and len(value) <= 2048 and value.isprintable()


def _is_seconds(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _MOST_SECONDS


_DEVICE: Final = (_is_name, "the name of a device")
_ARGS: Final[Mapping[str, Mapping[str, tuple[Callable[[Any], bool], str]]]] = {
    "check": {
        "device": _DEVICE,
        "level": (lambda value: value in ("internal", "external", "interactive"), "internal, external or interactive"),
        "report": (_is_flag, "true or false"),
    },
    "identify": {"device": _DEVICE},
    "statistics": {"device": _DEVICE},
    "collect": {"url": (_is_address, "an https:// address for one upload")},
    "live": {"device": _DEVICE, "seconds": (_is_seconds, f"a whole number from 1 to {_MOST_SECONDS}")},
    "recover": {"device": _DEVICE},
    "maintenance": {
        "on": (_is_flag, "true or false"),
        "until": (lambda value: isinstance(value, str) and _UTC.fullmatch(value) is not None, "a time in UTC"),
        "reason": (lambda value: isinstance(value, str) and len(value) <= 120, "a text of 120 characters at most"),
    },
}
_NEEDED: Final[Mapping[str, tuple[str, ...]]] = {"collect": ("url",), "recover": ("device",), "maintenance": ("on",)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What somebody wants done. `terminal` may be "all": then `args` holds `spread_s`, over which they begin."""

    estate: str
    terminal: str
    cmd: str
    reason: str
    args: Mapping[str, Any] = field(default_factory=dict)
    case_id: str | None = None


def check_reason(text: str) -> str:
    """The reason as it is kept. Raises Refusal for none, or a whole novel."""
    clean = cards.redact(" ".join(text.split()))
    if not _REASON[0] <= len(clean) <= _REASON[1]:
        raise Refusal("invalid", f"a reason of {_REASON[0]} to {_REASON[1]} characters is needed")
    return clean


def check_order(cmd: str, args: Mapping[str, Any], *, broadcast: bool = False) -> int:
    """The tier of a command whose arguments are right. Raises Refusal."""
    if cmd not in TIERS:
        raise Refusal("invalid", f"the commands are {', '.join(TIERS)}")
    _check_args(cmd, args, {"spread_s"} if broadcast else set())
    if cards.clean(wire.dumps(dict(args)))[1]:
        raise Refusal("invalid", "an argument looks like a card number")
    if broadcast:
        _check_broadcast(cmd, args)
    return TIERS[cmd]


def _check_args(cmd: str, args: Mapping[str, Any], more: set[str]) -> None:
    known = _ARGS.get(cmd, {})
    for name, value in args.items():
        if name in more:
            continue
        if name not in known:
            raise Refusal("invalid", f"{cmd} takes {', '.join(known) or 'no arguments'}, not {name[:40]!r}")
        fits, told = known[name]
        if not fits(value):
            raise Refusal("invalid", f"{name} is {told}")
    needed = _NEEDED.get(cmd, ()) + (("until",) if args.get("on") is True else ())
    missing = [name for name in needed if name not in args]
    if missing:
        raise Refusal("invalid", f"{cmd} needs {missing[0]}")


def _check_broadcast(cmd: str, args: Mapping[str, Any]) -> None:
    if TIERS[cmd] > 0 or cmd in _ONE_TIME:
        raise Refusal("invalid", f"{cmd} does not go to a whole estate at once; make it a campaign")
    if not _is_seconds(args.get("spread_s")):
        raise Refusal("invalid", f"to a whole estate needs spread_s, a whole number from 1 to {_MOST_SECONDS}")
