"""Where a host finds a device: a pseudo terminal behind a link, or a FIFO for kernel input events."""

from __future__ import annotations

import contextlib
import os
import select
import termios
import tty
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from simulator.loop import Loop

_SPEEDS: Final = {
    getattr(termios, name): int(name[1:]) for name in dir(termios) if name[0] == "B" and name[1:].isdigit()
}
_MOST_AT_ONCE: Final = 65_536
OTHER_SPEED: Final = 31  # a speed outside the table: nothing but that it is not the device's is known


class Port(Protocol):
    """One end of a cable. `received` is called in the loop's thread."""

    path: Path

    def plug(self) -> None:
        """Make the port appear."""

    def unplug(self) -> None:
        """Make it vanish; a host that has it open sees a hang-up."""

    def write(self, data: bytes) -> None:
        """Bytes to the host; lost when nobody has the port open or nobody reads."""

    def host_baud(self) -> int:
        """The speed that the host has set, 0 when there is none."""


class PtyPort:
    """A pseudo terminal. The link at `path` leads to it while the cable is in.

    The simulator never keeps the host's end open: it would look like a second holder of the port. So it watches with
    edges, because a pseudo terminal that nobody has open reports a hang-up all the time.
    """

    def __init__(self, loop: Loop, path: Path, baud: int, received: Callable[[bytes], None]) -> None:
        self.path = path
        self._loop = loop
        self._baud = baud
        self._received = received
        self._master = -1
        self._name = ""
        self._open = False

    def plug(self) -> None:
        if self._master >= 0:
            return
        self._master, slave = os.openpty()
        self._name = os.ttyname(slave)
        tty.setraw(slave)
        settings = termios.tcgetattr(slave)
        settings[4] = settings[5] = getattr(termios, f"B{self._baud}", termios.B9600)
        termios.tcsetattr(slave, termios.TCSANOW, settings)
        os.close(slave)
        self._open = False
        os.set_blocking(self._master, False)
        self._loop.watch(self._master, self._ready, select.EPOLLIN | select.EPOLLET)
        link_to(self._name, self.path)

    def unplug(self) -> None:
        if self._master < 0:
            return
        self.path.unlink(missing_ok=True)
        self._loop.forget(self._master)
        os.close(self._master)
        self._master = -1

    def write(self, data: bytes) -> None:
        if self._master < 0 or not self._held():
            return
        self._open = True
        with contextlib.suppress(OSError):
            os.write(self._master, data)

    def host_baud(self) -> int:
        # On Linux the master shows the settings of the host's end.
        if self._master < 0:
            return 0
        return _SPEEDS.get(termios.tcgetattr(self._master)[5], OTHER_SPEED)

    def _held(self) -> bool:
        poll = select.poll()
        poll.register(self._master, 0)
        return not any(events & select.POLLHUP for _, events in poll.poll(0))

    def _ready(self, _events: int) -> None:
        while self._master >= 0:
            try:
                data = os.read(self._master, _MOST_AT_ONCE)
            except BlockingIOError:
                return
            except OSError:
                self._hung_up()
                return
            self._open = True
            self._received(data)

    def _hung_up(self) -> None:
        """The last host closed the port: what it did not read is lost, as in a UART's driver."""
        if not self._open:
            return
        self._open = False
        with contextlib.suppress(OSError):
            slave = os.open(self._name, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
            termios.tcflush(slave, termios.TCIFLUSH)
            os.close(slave)


class FifoPort:
    """A FIFO that carries input events, since kernels without uinput cannot offer a real event device."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle = -1

    def plug(self) -> None:
        if self._handle >= 0:
            return
        self.path.unlink(missing_ok=True)
        os.mkfifo(self.path, 0o600)
        # Opening for writing alone fails without a reader, so one stands in for a moment.
        reader = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        self._handle = os.open(self.path, os.O_WRONLY | os.O_NONBLOCK)
        os.close(reader)

    def unplug(self) -> None:
        if self._handle < 0:
            return
        self.path.unlink(missing_ok=True)
        os.close(self._handle)
        self._handle = -1

    def write(self, data: bytes) -> None:
        if self._handle < 0:
            return
        with contextlib.suppress(OSError):  # nobody reads, or nobody reads fast enough
            os.write(self._handle, data)

    def host_baud(self) -> int:
        return 0


def link_to(target: str, path: Path) -> None:
    """Make or replace a symbolic link in one step."""
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)
    beside.symlink_to(target)
    beside.replace(path)
