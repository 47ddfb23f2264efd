"""Checks for keys that hold a text."""

from __future__ import annotations

from simulator.device import Key


def text_key(default: str, longest: int) -> Key:
    """A key for 1 to `longest` printable ASCII characters without quotes and commas, which answers could not carry."""

    def check(text: str) -> str:
        if not 1 <= len(text) <= longest or not (text.isascii() and text.isprintable()) or set(text) & set('",;'):
            raise ValueError(text)
        return text

    return Key(default, check=check, legal=f"1 to {longest} printable ASCII characters without quote, comma, semicolon")


def tally(text: str) -> str:
    """The canonical form of "good/failed" counts. Raises ValueError."""
    good, failed = (int(part) for part in text.split("/"))
    if not (0 <= good < 10**9 and 0 <= failed < 10**9):
        raise ValueError(text)
    return f"{good}/{failed}"


READS = Key("0/0", check=tally, legal="two counts good/failed such as 40/3")
"""How many reads the payment application reports for this reader; the device itself does not count."""
