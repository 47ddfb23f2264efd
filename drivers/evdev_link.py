"""The line to a Linux input device: its event stream, with answers to three read-only ioctls threaded into it.

Opening is shared and never a grab: the kernel gives every reader its own copy of each event, so the payment
application notices nothing. What is no input device (a fifo or terminal that plays one) answers each question "not
possible" and still delivers events.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import tty
from pathlib import Path

from drivers.codecs.evdev import BITMAP_BYTES, EVENT_BYTES, Question, encode_answer
from drivers.errors import LinkLost, PortDenied

_MOST_AT_ONCE = 2048  # with an answer behind it, still within what the decoder holds
_NAME_BYTES = 128


def _read_ioctl(number: int, size: int) -> int:
    """The request number of a read-only ioctl of the input subsystem, group 'E' (include/uapi/linux/input.h)."""
    return (2 << 30) | (size << 16) | (ord("E") << 8) | number


_REQUESTS = {
    Question.IDENTITY: (_read_ioctl(0x02, 8), 8),
    Question.NAME: (_read_ioctl(0x06, _NAME_BYTES), _NAME_BYTES),
    Question.HELD: (_read_ioctl(0x18, BITMAP_BYTES), BITMAP_BYTES),
}


class EvdevLink:
    """A `Link` over /dev/input/eventN. `write` takes one `Question`; its answer comes through `read`."""

    def __init__(self, port: str) -> None:
        """Open `port`. Raises LinkLost (absent) or PortDenied (permission)."""
        self.port = port
        try:
            self._fd = os.open(port, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        except OSError as error:
            if error.errno in {errno.EACCES, errno.EPERM}:
                raise PortDenied(f"no permission to open {port}") from error
            there = Path(port).exists()
            why = f"cannot be opened: {os.strerror(error.errno or 0)}" if there else "does not exist"
            raise LinkLost(f"{port} {why}") from error
        if os.isatty(self._fd):
            tty.setraw(self._fd)  # else the terminal would rewrite bytes of the events
        self._waker = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._answers = bytearray()
        self._partial = b""

    def write(self, data: bytes) -> None:
        if self._fd < 0:
            raise LinkLost(f"{self.port} is closed")
        question = Question(data)
        request, size = _REQUESTS[question]
        buffer = bytearray(size)
        try:
            length = fcntl.ioctl(self._fd, request, buffer)
        except OSError as error:
            if error.errno == errno.ENODEV:
                raise LinkLost(f"{self.port} is gone") from error
            self._answers += encode_answer(question, error=error.errno or errno.EIO)
            return
        # EVIOCGID copies a whole structure and returns 0; the other two return how much they copied.
        self._answers += encode_answer(question, bytes(buffer[: length or size]))

    def read(self, timeout_s: float) -> bytes:
        if self._fd < 0:
            raise LinkLost(f"{self.port} is closed")
        if self._answers:
            timeout_s = 0  # events that waited before the question come first, so that nothing newer precedes them
        try:
            ready, _, _ = select.select([self._fd, self._waker], [], [], timeout_s)
            if self._waker in ready:
                os.eventfd_read(self._waker)
            data = os.read(self._fd, _MOST_AT_ONCE) if self._fd in ready else None
        except (OSError, ValueError) as error:
            raise LinkLost(f"{self.port} is gone") from error
        if data == b"":
            raise LinkLost(f"{self.port} is gone")
        data = self._partial + (data or b"")
        whole = len(data) - len(data) % EVENT_BYTES  # an answer must not fall into the middle of an event
        answers, self._answers, self._partial = bytes(self._answers), bytearray(), data[whole:]
        return data[:whole] + answers

    def drain(self) -> bytes:
        data = bytearray()
        while len(data) < _MOST_AT_ONCE and (more := self.read(0)):
            data += more
        return bytes(data)

    def wake(self) -> None:
        if self._waker >= 0:
            os.eventfd_write(self._waker, 1)

    def close(self) -> None:
        fd, waker = self._fd, self._waker
        self._fd = self._waker = -1
        for each in (fd, waker):
            if each >= 0:
                with contextlib.suppress(OSError):
                    os.close(each)
