"""The line to a device. The only module that imports pyserial."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import termios
import threading
from dataclasses import dataclass
from typing import Protocol

import serial

from drivers.errors import LinkLost, NoReply, PortBusy, PortDenied
from drivers.owner import who_holds

_MOST_AT_ONCE = 4096


class Link(Protocol):
    """A byte stream to one device. Every method but `wake` raises `LinkLost` once the line is gone."""

    def write(self, data: bytes) -> None:
        """Send all of it."""

    def read(self, timeout_s: float) -> bytes:
        """The first byte within the timeout and whatever waits behind it; empty when none came or `wake` was called."""

    def drain(self) -> bytes:
        """What has already arrived, without waiting."""

    def wake(self) -> None:
        """End a blocked `read` from another thread."""

    def close(self) -> None:
        """Give the port back. Safe to call twice, and from the thread that reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LineSettings:
    """A serial line's settings; `share` leaves exclusive mode off and honours the other side's locks."""

    baud: int = 9600
    parity: str = "N"
    stop_bits: int = 1
    rtscts: bool = False
    xonxoff: bool = False
    dsrdtr: bool = False
    share: bool = False


class SerialLink:
    """A tty through pyserial, locked by an advisory flock so that two agents never talk at once."""

    def __init__(self, port: str, settings: LineSettings) -> None:
        """Open `port`. Raises LinkLost (absent), PortDenied (permission) or PortBusy (held by another process)."""
        self.port = port
        holder = who_holds(port)
        if holder is not None:
            raise PortBusy(port, holder)
        try:
            self._serial = serial.Serial(
                port,
                settings.baud,
                parity=settings.parity,
                stopbits=settings.stop_bits,
                timeout=0,
                write_timeout=2,
                rtscts=settings.rtscts,
                xonxoff=settings.xonxoff,
                dsrdtr=settings.dsrdtr,
                exclusive=False,
            )
        except (serial.SerialException, OSError, termios.error, ValueError, OverflowError) as error:
            raise _open_error(port, error) from error
        try:
            fcntl.flock(self._serial.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._serial.close()
            raise PortBusy(port, "a process that locked it") from error
        self._fd: int = self._serial.fileno()
        self._waker = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._waking = threading.Lock()
        """Held while the waker is used from another thread: once closed, its number may belong to any file."""

    def write(self, data: bytes) -> None:
        try:
            sent = self._send(data)
            if sent < len(data):
                self._serial.write(data[sent:])  # which waits for the room
        except serial.SerialTimeoutException as error:
            raise NoReply("a write: the device takes no bytes") from error
        except (serial.SerialException, OSError, TypeError) as error:
            raise LinkLost(f"{self.port} is gone") from error

    def read(self, timeout_s: float) -> bytes:
        # pyserial sets the whole port up anew whenever its timeout changes, so the wait is a select of our own.
        if self._fd < 0:
            raise LinkLost(f"{self.port} is closed")
        try:
            ready, _, _ = select.select([self._fd, self._waker], [], [], timeout_s)
            if self._waker in ready:
                os.eventfd_read(self._waker)
            if self._fd not in ready:
                return b""
            data = os.read(self._fd, _MOST_AT_ONCE)
        except (OSError, ValueError) as error:
            raise LinkLost(f"{self.port} is gone") from error
        if not data:
            raise LinkLost(f"{self.port} is gone")
        return data

    def _send(self, data: bytes) -> int:
        """What the port takes at once; it is in non-blocking mode."""
        if self._fd < 0:
            raise LinkLost(f"{self.port} is closed")
        try:
            return os.write(self._fd, data)
        except BlockingIOError:
            return 0

    def drain(self) -> bytes:
        data = bytearray()
        while len(data) < _MOST_AT_ONCE and (more := self.read(0)):
            data += more
        return bytes(data)

    def wake(self) -> None:
        with self._waking:
            if self._waker >= 0:
                os.eventfd_write(self._waker, 1)

    def close(self) -> None:
        with self._waking:
            waker, self._fd, self._waker = self._waker, -1, -1
            if waker >= 0:
                os.close(waker)
        with contextlib.suppress(Exception):
            self._serial.close()


def _open_error(port: str, error: Exception) -> LinkLost | PortDenied | PortBusy:
    number = _number(error)
    if number in {errno.EACCES, errno.EPERM}:
        return PortDenied(f"no permission to open {port}")
    if number == errno.EBUSY:
        return PortBusy(port, "a process that took it exclusively")
    if not os.path.exists(port):  # noqa: PTH110 - a dangling link to a vanished port is absent too
        return LinkLost(f"{port} does not exist")
    if number == errno.ENOTTY:
        return LinkLost(f"{port} is no serial port")
    return LinkLost(f"{port} cannot be opened: {os.strerror(number) if number else error}")


def _number(error: BaseException | None) -> int | None:
    """The system's number for it; pyserial gives it with some of its errors, with others their cause has it."""
    if isinstance(error, termios.error):
        return int(error.args[0])
    found = getattr(error, "errno", None)
    return found if found or error is None else _number(error.__context__)
