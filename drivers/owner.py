"""Who holds a port: the three conventions of Linux, looked at without opening it."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from pathlib import Path

SERVICE = "/run/posdiag-owner.sock"
"""Where `drivers.owner_service` listens, which may see what other users' processes have open."""
ANSWER_BYTES = 256
_SERVICE_S = 1.0  # it may have to be started first; a scan of a busy machine takes 50 ms

_INIT = "1"  # in some containers hidden even from root; it starts programs and sells nothing
_LOCK_DIRS = ("/run/lock", "/var/lock")


def who_holds(port: str) -> str | None:
    """The process that holds `port`, as "name (pid N)", or None. Looks at UUCP lock files and at /proc/*/fd.

    A process of another user is visible in /proc only to root and to `drivers.owner_service`, which is asked where it
    runs; without it the advisory flock taken later covers part of that gap. Our own process does not count.
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
    return look(device)[0]


def look(device: str) -> tuple[str | None, bool]:
    """Another process that has this file open, and whether None in its place is certain."""
    holder, certain = scan(device, os.getpid())
    return (holder, certain) if holder is not None or certain else _ask_service(device)


def scan(device: str, asking: int) -> tuple[str | None, bool]:
    """The same by /proc alone, for the process `asking`, which does not count."""
    try:
        wanted = Path(device).stat()
    except OSError:
        return None, True
    certain = True
    for pid in os.listdir("/proc"):  # noqa: PTH208 - plain strings: a busy machine has tens of thousands of handles
        if pid.isdigit() and int(pid) != asking:
            try:
                if _has_open(f"/proc/{pid}/fd", device, wanted.st_rdev) and not _is_being_born(pid, asking):
                    return _name(int(pid)), True
            except PermissionError:
                certain = certain and pid == _INIT
            except OSError:  # it ended
                pass
    return None, certain


def _is_being_born(pid: str, parent: int) -> bool:
    """Whether it is a copy of its parent that has yet to become another program, and will close what it inherited."""
    words = [Path(f"/proc/{each}/cmdline").read_bytes() for each in (pid, parent)]
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8", errors="replace").rpartition(")")[2].split()
    return words[0] == words[1] and fields[1] == str(parent)


def _has_open(folder: str, device: str, number: int) -> bool:
    for handle in os.listdir(folder):  # noqa: PTH208 - as above
        path = f"{folder}/{handle}"
        with contextlib.suppress(FileNotFoundError):  # closed while we looked
            if os.readlink(path) == device and os.stat(path).st_rdev == number:  # noqa: PTH115, PTH116 - as above
                return True
    return False


def _ask_service(device: str) -> tuple[str | None, bool]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as link:
        link.settimeout(_SERVICE_S)
        try:
            link.connect(SERVICE)
            link.send(os.fsencode(device))
            answer = link.recv(ANSWER_BYTES).decode("utf-8", "replace")
        except OSError:  # there is none, or it does not answer: nobody knows
            return None, False
    return answer[1:] or None, answer[:1] == "="


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
        import ctypes  # noqa: PLC0415 - a third of a MiB that `owner_service` does without

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
