"""What we believe about each device, and why: notes, golden frames, models and known faults."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

_HERE = Path(__file__).parent

Value = bool | int | float | str | list[Any]


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame on the wire: its bytes, who sends it, what it means in plain field names, and who says so."""

    name: str
    data: bytes
    direction: Literal["to_device", "from_device"]
    means: Mapping[str, Value]
    source: str


@dataclass(frozen=True, slots=True)
class KnownBad:
    """A firmware version with a known fault."""

    firmware: str
    why: str
    source: str


@dataclass(frozen=True, slots=True)
class Model:
    """What is known of one model. `match` is searched in the model text without regard to case; latest may be ""."""

    family: str
    match: str
    maker: str
    latest: str
    known_bad: tuple[KnownBad, ...]

    def fits(self, model: str) -> bool:
        """Whether this entry speaks of the model that a device names."""
        return re.search(self.match, model, re.IGNORECASE) is not None


def families() -> tuple[str, ...]:
    """The device families that have notes."""
    return tuple(sorted(path.parent.name for path in _HERE.glob("*/notes.md")))


def load_golden(family: str) -> tuple[Frame, ...]:
    """The golden frames of a family, in the order of its file. Raises KeyError for a family without any."""
    path = _HERE / family / "golden.toml"
    if not path.is_file():
        raise KeyError(f"no golden frames for {family!r}")
    frames = tomllib.loads(path.read_text("utf-8")).get("frame", [])
    return tuple(
        Frame(each["name"], bytes.fromhex(each["hex"]), each["direction"], each.get("means", {}), each["source"])
        for each in frames
    )


@cache
def load_models() -> tuple[Model, ...]:
    """Every model of every family, in the order of the files: the first that fits is the one that counts."""
    found: list[Model] = []
    for path in sorted(_HERE.glob("*/models.toml")):
        for each in tomllib.loads(path.read_text("utf-8")).get("model", []):
            bad = tuple(KnownBad(one["firmware"], one["why"], one["source"]) for one in each.get("known_bad", []))
            found.append(Model(path.parent.name, each["match"], each["maker"], each.get("latest", ""), bad))
    return tuple(found)
