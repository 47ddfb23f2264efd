"""Reading the kernel's small files. An attribute that is absent is not supported; it is never zero."""

from __future__ import annotations

import os

from drivers.reading import Cause, Reading, known, unknown

_MOST = 65_536


def text(path: str) -> str | None:
    """The file's text without surrounding space, at most 64 KiB; None when it cannot be read."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        data = os.read(handle, _MOST)
        while len(data) < _MOST and (more := os.read(handle, _MOST - len(data))):
            data += more
        return data.decode("utf-8", "replace").strip()
    except OSError:  # drivers refuse attributes that have no value now, with EINVAL or ENODATA
        return None
    finally:
        os.close(handle)


def number(path: str) -> int | None:
    """The file's whole number; None when absent, unreadable or not one."""
    found = text(path)
    try:
        return int(found) if found is not None else None
    except ValueError:
        return None


def entries(folder: str) -> list[str]:
    """The names in a folder, sorted; none when it is absent."""
    try:
        with os.scandir(folder) as found:
            return sorted(entry.name for entry in found)
    except OSError:
        return []


def measured(value: float | str | None, why: str = Cause.UNSUPPORTED) -> Reading:
    """A reading of the value, or UNKNOWN for None."""
    return unknown(why) if value is None else known(value)
