"""A fact about a device: a value, or UNKNOWN with its cause. Unknown is never a default value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache
from typing import Final

Value = bool | int | float | str

_KEPT: Final = 256  # a terminal says far fewer different things in a minute
_SHORT: Final = 12  # digits


class Cause:
    """Why a reading is unknown; each is a different word because each asks for a different act."""

    NO_REPLY = "no_reply"
    BAD_REPLY = "bad_reply"
    PORT_LOST = "port_lost"
    PORT_BUSY = "port_busy"
    PORT_DENIED = "port_denied"
    REFUSED = "refused"
    UNSUPPORTED = "unsupported"  # this family or model cannot know it
    INCONSISTENT = "inconsistent"  # the bits contradict each other; not the nearest legal value
    MASKED = "masked"  # another state makes the sensor lie, such as the paper sensor under an open cover
    STALE = "stale"  # it was known, too long ago
    SALE = "sale"  # not asked, because a sale was going on
    NOT_ASKED = "not_asked"
    FAILED = "failed"
    LOST = "lost"  # the device told it once, and that answer never came whole
    LEARNING = "learning"  # a trend that has seen too little yet


@dataclass(frozen=True, slots=True)
class Reading:
    """`value` is None exactly when `unknown` names a cause. `raw` is the status bytes that say so, in hex."""

    value: Value | None = None
    unknown: str | None = None
    raw: str = ""

    def __post_init__(self) -> None:
        if (self.value is None) == (self.unknown is None):
            raise ValueError("a reading has either a value or a cause for having none")


def known(value: Value, raw: bytes = b"") -> Reading:
    """A measured value, with the bytes that said so."""
    return _reading(value, None, raw.hex())


def unknown(cause: str, raw: bytes = b"") -> Reading:
    """No value, and why; `cause` is one of `Cause`."""
    return _reading(None, cause, raw.hex())


def _reading(value: Value | None, cause: str | None, raw: str) -> Reading:
    """What is said again is the same object, since nearly all is and it is compared often.

    Only what is too short for a card number is kept for that.
    """
    short = len(raw) <= _SHORT and (len(value) <= _SHORT if isinstance(value, str) else abs(value or 0) < 10**_SHORT)
    return (_same if short else Reading)(value, cause, raw)


_same = lru_cache(_KEPT, typed=True)(Reading)


Readings = Mapping[str, Reading]


class Level(IntEnum):
    """UnifiedPOS CheckHealth levels: internal asks, external acts (prints), interactive needs a person."""

    INTERNAL = 1
    EXTERNAL = 2
    INTERACTIVE = 3


class Risk(IntEnum):
    """What a request to a device may do. Diagnosis sends READ unless a command of that tier asks for more."""

    READ = 0
    CONSUME = 1  # paper, airtime
    DISRUPT = 2  # a reset, a feed, a stop


@dataclass(frozen=True, slots=True)
class ReadingSpec:
    """What one reading can say: its legal values (empty for numbers and free text) and its unit ("" for none)."""

    values: tuple[Value, ...] = ()
    unit: str = ""
    about: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who a device says it is. Empty text means it did not say. UnifiedPOS names in `as_statistics`."""

    manufacturer: str = ""
    model: str = ""
    serial: str = ""
    firmware: str = ""
    extra: Mapping[str, str] = field(default_factory=dict)

    def as_statistics(self) -> dict[str, str]:
        """The identity under the statistics names of UnifiedPOS, without what is not known."""
        named = {
            "ManufacturerName": self.manufacturer,
            "ModelName": self.model,
            "SerialNumber": self.serial,
            "FirmwareRevision": self.firmware,
        }
        return {name: text for name, text in named.items() if text}
