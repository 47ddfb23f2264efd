"""A host at the other end of a port: termios and os only."""

from __future__ import annotations

import os
import select
import termios
import time
import tty
from pathlib import Path
from typing import Self


class Host:
    """Opens a port raw at a speed. As a context manager it closes it again."""

    def __init__(self, path: Path, baud: int = 9600) -> None:
        self.handle = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        tty.setraw(self.handle)
        settings = termios.tcgetattr(self.handle)
        settings[4] = settings[5] = getattr(termios, f"B{baud}")
        termios.tcsetattr(self.handle, termios.TCSANOW, settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.handle)

    def write(self, data: bytes) -> None:
        os.write(self.handle, data)

    def read(self, size: int, limit_s: float = 20.0) -> bytes:
        """At least `size` bytes, or what came within the limit."""
        data = b""
        end = time.monotonic() + limit_s
        while len(data) < size and select.select([self.handle], [], [], max(0.0, end - time.monotonic()))[0]:
            data += os.read(self.handle, 4096)
        return data

    def ask(self, data: bytes, size: int, limit_s: float = 20.0) -> bytes:
        self.write(data)
        return self.read(size, limit_s)
