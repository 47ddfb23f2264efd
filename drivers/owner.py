"""Who holds a port: the three conventions of Linux, looked at without opening it."""

from __future__ import annotations

import contextlib
import os
import struct
from pathlib import Path

_LOCK_DIRS = ("/run/lock", "/var/lock")


def who_holds(port: str) -> str | None:
    """The process that holds `port`, as "name (pid N)", or None. Looks at UUCP lock files and at /proc/*/fd.

    A process of another user is not visible in /proc without rights; the advisory flock taken later covers part of
    that gap. Our own process does not count.
    """
    device = os.path.realpath(port)
    return _by_lock_file(device) or who_has_open(device)


def _by_lock_file(device: str) -> str | None:
    for folder in _LOCK_DIRS:
        lock = Path(folder) / f"LCK..{Path(device).name}"
        try:
            pid = int(lock.read_text("ascii").split()[0])
        except (OSError, ValueError, IndexError, UnicodeDecodeError):
            continue
        if pid != os.getpid() and Path(f"/proc/{pid}").exists():
            return _name(pid)
    return None


def who_has_open(device: str) -> str | None:
    """Another process that has this file open, as "name (pid N)", or None. `device` is a path without links."""
    own = os.getpid()
    try:
        wanted = Path(device).stat()
    except OSError:
        return None
    for pid in os.listdir("/proc"):  # noqa: PTH208 - plain strings: a busy machine has tens of thousands of handles
        if pid.isdigit() and int(pid) != own and _has_open(f"/proc/{pid}/fd", device, wanted.st_rdev):
            return _name(int(pid))
    return None


def _has_open(folder: str, device: str, number: int) -> bool:
    try:
        handles = os.listdir(folder)  # noqa: PTH208 - as above
    except OSError:  # it ended, or belongs to another user
        return False
    for handle in handles:
        path = f"{folder}/{handle}"
        with contextlib.suppress(OSError):  # closed while we looked
            if os.readlink(path) == device and os.stat(path).st_rdev == number:  # noqa: PTH115, PTH116 - as above
                return True
    return False


def _name(pid: int) -> str:
    try:
        name = Path(f"/proc/{pid}/comm").read_text("utf-8", errors="replace").strip()
    except OSError:
        name = "a process"
    return f"{name} (pid {pid})"


OPENED = 0x20  # IN_OPEN
CLOSED = 0x18  # IN_CLOSE_WRITE and IN_CLOSE_NOWRITE


class OpenWatch:
    """Notices that somebody opens or closes a file or port, at no cost while nobody does (inotify)."""

    def __init__(self, path: str) -> None:
        """Watch from now on; `works` is False where the kernel has no inotify."""
        import ctypes  # noqa: PLC0415 - the standard library has no other way to inotify

        libc = ctypes.CDLL(None, use_errno=True)
        self._handle: int = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        mask = OPENED | CLOSED
        self.works = self._handle >= 0 and libc.inotify_add_watch(self._handle, os.fsencode(path), mask) >= 0

    def events(self) -> int:
        """What happened since the last question: OPENED, CLOSED, both, or 0."""
        if self._handle < 0:
            return 0
        try:
            data = os.read(self._handle, 4096)
        except OSError:
            return 0
        # struct inotify_event: int wd, uint32 mask, uint32 cookie, uint32 len (0 for a watched file itself)
        masks = 0
        for _, mask, _, _ in struct.iter_unpack("iIII", data):
            masks |= mask
        return masks

    def close(self) -> None:
        """Stop watching."""
        if self._handle >= 0:
            os.close(self._handle)
        self._handle = -1
