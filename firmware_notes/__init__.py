"""What we believe about each device, and why: notes, golden frames, models and known faults."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar

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
    return parse_golden(path.read_text("utf-8"))


def parse_golden(text: str) -> tuple[Frame, ...]:
    """The frames of a file's text. Raises ValueError for a mistake in it."""
    return _entries(
        text,
        "frame",
        lambda each: Frame(
            _text(each["name"]),
            bytes.fromhex(each["hex"]),
            each["direction"],
            dict(each.get("means", {})),
            _text(each["source"]),
        ),
    )


@cache
def load_models() -> tuple[Model, ...]:
    """Every model of every family, in the order of the files: the first that fits is the one that counts."""
    paths = sorted(_HERE.glob("*/models.toml"))
    return tuple(model for path in paths for model in parse_models(path.read_text("utf-8"), path.parent.name))


def parse_models(text: str, family: str) -> tuple[Model, ...]:
    """The models of a file's text. Raises ValueError for a mistake in it, an expression that is none among them."""

    def model(each: Mapping[str, Any]) -> Model:
        bad = tuple(
            KnownBad(_text(one["firmware"]), _text(one["why"]), _text(one["source"]))
            for one in each.get("known_bad", [])
        )
        re.compile(each["match"])
        return Model(family, _text(each["match"]), _text(each["maker"]), _text(each.get("latest", "")), bad)

    return _entries(text, "model", model)


_T = TypeVar("_T")


def _entries(text: str, name: str, read: Callable[[Mapping[str, Any]], _T]) -> tuple[_T, ...]:
    try:
        return tuple(read(each) for each in tomllib.loads(text).get(name, []))
    except KeyError as error:
        raise ValueError(f"a {name} without {error}") from error
    except (TypeError, AttributeError, RecursionError, OverflowError, re.error) as error:
        raise ValueError(f"a {name} that cannot be: {error}") from error


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value
