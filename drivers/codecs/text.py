"""Texts that devices say about themselves."""

from __future__ import annotations

import re

_VERSION = re.compile(r"(?:^|[ _-])([vV]\d.*|\d+\.\d.*)$")


def printable(data: bytes, most: int = 64) -> str:
    """The printable ASCII in `data`, trimmed, at most `most` characters."""
    return "".join(chr(byte) for byte in data if 0x20 <= byte < 0x7F).strip()[:most]


def model_and_firmware(text: str) -> tuple[str, str]:
    """Split "MODEL … V1.02" into the first word and the version; a text without a version is both."""
    found = _VERSION.search(text)
    words = (text[: found.start()] if found else text).split()
    return (words[0] if words else "", found.group(1) if found else text)
