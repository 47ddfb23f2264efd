"""Who holds a port: the three conventions of Linux, looked at without opening it."""

from __future__ import annotations

import os
from pathlib import Path

_LOCK_DIRS = ("/run/lock", "/var/lock")


def who_holds(port: str) -> str | None:
    """The process that holds `port`, as "name (pid N)", or None. Looks at UUCP lock files and at /proc/*/fd.

    A process of another user is not visible in /proc without rights; the advisory flock taken later covers part of
    that gap. Our own process does not count.
    """
    device = os.path.realpath(port)
    return _by_lock_file(device) or _by_open_file(device)


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


def _by_open_file(device: str) -> str | None:
    own = os.getpid()
    try:
        wanted = Path(device).stat()
    except OSError:
        return None
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit() or int(entry.name) == own:
            continue
        try:
            for handle in os.scandir(f"{entry.path}/fd"):
                if os.readlink(handle.path) == device and Path(handle.path).stat().st_rdev == wanted.st_rdev:  # noqa: PTH115
                    return _name(int(entry.name))
        except OSError:
            continue
    return None


def _name(pid: int) -> str:
    try:
        name = Path(f"/proc/{pid}/comm").read_text("utf-8", errors="replace").strip()
    except OSError:
        name = "a process"
    return f"{name} (pid {pid})"
