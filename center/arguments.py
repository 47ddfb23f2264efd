"""What the verbs of `posdiag center` have in common: one line for what cannot be, and kinds of arguments."""

from __future__ import annotations

import argparse
import math
import re
import sys
from typing import Final, NoReturn

UNABLE: Final = 2
_NAME: Final = re.compile(r"[a-z0-9_-]{1,64}")


class Parser(argparse.ArgumentParser):
    """Tells what is wrong in one line, and where the rest stands."""

    def error(self, message: str) -> NoReturn:
        print(f"posdiag: {message.removeprefix('argument ')}; see {self.prog} --help", file=sys.stderr)
        raise SystemExit(UNABLE)


PARSER: Final[type[argparse.ArgumentParser]] = Parser


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
