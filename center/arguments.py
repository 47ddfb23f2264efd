"""Kinds of arguments that the verbs of `posdiag center` have in common."""

from __future__ import annotations

import argparse
import math
import re
from typing import Final

_NAME: Final = re.compile(r"[a-z0-9_-]{1,64}")


def seconds(text: str) -> float:
    """A number of seconds."""
    value = float(text)
    if not math.isfinite(value) or value < 0:
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds")
    return value


def count(text: str) -> int:
    """How many, at least one."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def name_or_any(text: str) -> str:
    """A name as topics have it, or + for any."""
    if text != "+" and not _NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no name of a-z, 0-9, - and _")
    return text


def place(text: str) -> str:
    """A name of an estate, a region or a site."""
    if not text.strip() or not text.isprintable():
        raise argparse.ArgumentTypeError(f"{text!r} is no name")
    return text
