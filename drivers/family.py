"""What the catalog knows of a device family."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from drivers.driver import Driver


class Option(Protocol):
    """What a device's option may be."""

    def wrong(self, value: object) -> str:
        """What is wrong with a value, with the nearest legal one; "" for nothing."""


def nearest(word: str, legal: Iterable[str], most: int = 1) -> list[str]:
    """The legal words that are most like this one, the best first."""
    from difflib import get_close_matches  # noqa: PLC0415 - only a mistake needs it

    return get_close_matches(word, list(legal), n=most)


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of these words."""

    words: tuple[str, ...]

    def wrong(self, value: object) -> str:
        if value in self.words:
            return ""
        near = nearest(value, self.words) if isinstance(value, str) else []
        legal = ", ".join(f'"{word}"' for word in self.words)
        return f"is none of {legal}" + (f'; perhaps "{near[0]}"' if near else "")


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number within these bounds."""

    least: int
    most: int

    def wrong(self, value: object) -> str:
        if type(value) is int and self.least <= value <= self.most:
            return ""
        why = f"is no whole number from {self.least} to {self.most}"
        return why if type(value) is not int else f"{why}; the nearest is {min(self.most, max(self.least, value))}"


@dataclass(frozen=True, slots=True)
class YesNo:
    """True or false."""

    def wrong(self, value: object) -> str:
        return "" if isinstance(value, bool) else "is neither true nor false (without quotes)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One word of the configuration and what stands behind it."""

    word: str
    driver: type[Driver]
    baud: int
    """The speed it usually starts at."""
    other_bauds: tuple[int, ...] = ()
    """Speeds that `discover` tries next, likeliest first."""
    flow: Literal["none", "rtscts", "xonxoff", "dsrdtr"] = "none"
    options: Mapping[str, Option] = field(default_factory=dict)
    """Legal keys of the device's `options` table, and what each may be."""
    link: Literal["serial", "input"] = "serial"
    """What its port is: a serial line, or a node of the kernel's input devices."""
    probe_order: int = 50
    """`discover` asks low numbers first: a question that other devices ignore comes before one that could print."""

    @property
    def unit(self) -> str:
        return self.driver.unit
