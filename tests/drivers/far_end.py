"""The far end of a real pseudo terminal: a thread that answers what it reads."""

from __future__ import annotations

import contextlib
import os
import select
import threading
import tty
from collections.abc import Callable
from typing import Self


class FarEnd:
    """`respond(bytes so far unanswered) -> answer` is called for each read; `heard` keeps everything that came.

    A context manager. `port` is the path that a driver opens.
    """

    def __init__(self, respond: Callable[[bytes], bytes] = lambda _data: b"") -> None:
        self._controller, self._terminal = os.openpty()
        tty.setraw(self._terminal)
        self.port = os.ttyname(self._terminal)
        self.heard = bytearray()
        self._respond = respond
        self._stop_r, self._stop_w = os.pipe()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.hang_up()

    def send(self, data: bytes) -> None:
        os.write(self._controller, data)

    def hang_up(self) -> None:
        """Take the port away, as pulling a USB cable does."""
        if self._controller < 0:
            return
        os.write(self._stop_w, b"x")
        self._thread.join()
        for fd in (self._controller, self._terminal, self._stop_r, self._stop_w):
            os.close(fd)
        self._controller = -1

    def _run(self) -> None:
        while True:
            ready, _, _ = select.select([self._controller, self._stop_r], [], [])
            if self._stop_r in ready:
                return
            with contextlib.suppress(OSError):
                data = os.read(self._controller, 4096)
                self.heard += data
                answer = self._respond(data)
                if answer:
                    os.write(self._controller, answer)
