"""Counters that must never go back, in one block that is overwritten in place: a full disk allows that, too.

Without it an agent that ran on a full disk and died would begin again below numbers that the center has already seen.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

FILE: Final = "posdiag.marks"
BYTES: Final = 512  # one sector, which a loss of power leaves old or new


class Marks:
    """Small texts by name. A disk that takes nothing at all is no error here: then there is no mark."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / FILE
        self._written = b""

    def read(self) -> dict[str, str]:
        """What was marked; {} for a file that is absent or not ours."""
        try:
            values = {str(name): str(value) for name, value in json.loads(self._path.read_bytes()[:BYTES]).items()}
            for value in values.values():
                _number(value)
        except (OSError, ValueError, AttributeError):
            return {}
        return values

    def write(self, values: Mapping[str, str]) -> None:
        """Replace the marks; on disk at return if the disk takes it. Raises ValueError for more than fits."""
        block = json.dumps(values, separators=(",", ":")).encode().ljust(BYTES)
        if len(block) > BYTES:
            raise ValueError("more marks than the block holds")
        if block == self._written:
            return
        with suppress(OSError):
            handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.pwrite(handle, block, 0)
                os.fdatasync(handle)
                self._written = block
            finally:
                os.close(handle)


def later(one: str, other: str | None) -> bool:
    """Whether a mark, "7" or "boot:7", is above another; anything is above none. Raises ValueError for no mark."""
    return _number(one) > (() if other is None else _number(other))


def _number(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(":"))
