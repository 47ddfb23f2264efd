"""A tap in a serial line: what somebody else's program asked a simulated device, and what it was answered."""

from __future__ import annotations

import os
import select
import termios
import threading
import tty
from pathlib import Path
from typing import Self


class Tap:
    """A terminal of its own in front of a device's port. `path` is what the peer opens, its real name.

    Speeds pass through: the device's side always has the speed that the peer set.
    """

    def __init__(self, port: Path) -> None:
        self._port = port
        self._asked = bytearray()
        self._answered = bytearray()

    def __enter__(self) -> Self:
        self._device = os.open(self._port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.path = os.ttyname(self._slave)
        self._speed = 0
        self._waker = os.eventfd(0)
        self._thread = threading.Thread(target=self._run, name="tap")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        os.eventfd_write(self._waker, 1)
        self._thread.join()
        for handle in (self._device, self._master, self._slave, self._waker):
            os.close(handle)

    @property
    def asked(self) -> bytes:
        """All bytes to the device so far."""
        return bytes(self._asked)

    @property
    def answered(self) -> bytes:
        """All bytes from the device so far."""
        return bytes(self._answered)

    def take(self) -> tuple[bytes, bytes]:
        """What was asked and what was answered since the last call."""
        taken = self.asked, self.answered
        del self._asked[: len(taken[0])]
        del self._answered[: len(taken[1])]
        return taken

    def _run(self) -> None:
        while True:
            ready, _, _ = select.select([self._waker, self._device, self._master], [], [])
            if self._waker in ready:
                return
            if self._device in ready:
                data = os.read(self._device, 4096)
                self._answered += data
                os.write(self._master, data)
            if self._master in ready:
                self._follow_speed()
                data = os.read(self._master, 4096)
                self._asked += data
                os.write(self._device, data)

    def _follow_speed(self) -> None:
        speed = termios.tcgetattr(self._master)[5]
        if speed != self._speed:
            settings = termios.tcgetattr(self._device)
            settings[4] = settings[5] = self._speed = speed
            termios.tcsetattr(self._device, termios.TCSANOW, settings)
