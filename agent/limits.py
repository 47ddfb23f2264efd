"""Limits that stand beside a type in `Annotated`, for messages (by pydantic) and for the configuration (by `wrong`).

They cost less than the package that names them (annotated-types takes a megabyte of the resting daemon).
"""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Pattern:
    """A text that matches the whole expression (Rust's syntax), of at most `longest` characters.

    `about` says it to people.
    """

    regex: str
    longest: int = 128
    about: str = ""

    def wrong(self, value: str) -> str:
        """What is wrong with a text, "" for nothing."""
        return "" if len(value) <= self.longest and re.fullmatch(self.regex, value) else f"must be {self.about}"

    def __get_pydantic_core_schema__(self, source: object, handler: object) -> Any:
        from pydantic_core import core_schema  # noqa: PLC0415 - only validation needs it

        return core_schema.str_schema(pattern=self.regex, max_length=self.longest)


class AnyJson:
    """Any JSON value: what was parsed as JSON is one, so nothing more is asked of it."""

    def __get_pydantic_core_schema__(self, source: object, handler: object) -> Any:
        from pydantic_core import core_schema  # noqa: PLC0415 - as above

        return core_schema.any_schema()


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Bounds of a number: at least, more than, at most, less than. None for no bound; with `or_zero` 0 is right too."""

    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    or_zero: bool = False

    def wrong(self, value: float) -> str:
        """What is wrong with a number, "" for nothing; NaN is within no bounds."""
        bounds = (
            ("at least", self.ge, operator.ge),
            ("more than", self.gt, operator.gt),
            ("at most", self.le, operator.le),
            ("less than", self.lt, operator.lt),
        )
        asked = [(word, bound, holds) for word, bound, holds in bounds if bound is not None]
        if all(holds(value, bound) for _, bound, holds in asked) or (self.or_zero and value == 0):
            return ""
        said = " and ".join(f"{word} {_digits(bound)}" for word, bound, _ in asked)
        return f"must be {'0, or ' if self.or_zero else ''}{said}"

    def __get_pydantic_core_schema__(self, source: object, handler: Any) -> Any:
        bounds = {"ge": 0 if self.or_zero else self.ge, "gt": self.gt, "le": self.le, "lt": self.lt}
        return {**handler(source), **{name: bound for name, bound in bounds.items() if bound is not None}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Length:
    """Bounds of a text's length in characters."""

    shortest: int = 0
    longest: int

    def wrong(self, value: str) -> str:
        """What is wrong with a text, "" for nothing."""
        if len(value) < self.shortest:
            return "must not be empty"
        return f"is {len(value)} characters long, more than {self.longest}" if len(value) > self.longest else ""

    def __get_pydantic_core_schema__(self, source: object, handler: Any) -> Any:
        return {**handler(source), "min_length": self.shortest, "max_length": self.longest}


@dataclass(frozen=True, slots=True)
class Spelled:
    """A text that is spelled as one of `agent.spelling.CHECKS` wants it; nothing is asked of it by pydantic."""

    check: str

    def wrong(self, value: str) -> str:
        """What is wrong with a text, "" for nothing."""
        from agent.spelling import CHECKS  # noqa: PLC0415 - the resting daemon checks nothing

        return CHECKS[self.check](value)


def _digits(bound: float) -> str:
    return str(int(bound)) if bound == int(bound) else f"{bound:g}"
